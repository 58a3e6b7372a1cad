"""Who is in a room, told as it changes.

    async for event in room.presence():
        match event:
            case MemberJoined(member): print(member.name, "is here")
            case MemberLeft(member):   print(member.name, "went")

It begins with everybody who is there already. `members` and `count` can be read at any time. It needs the WebSocket:
while everything goes by HTTP it stands still, and is put right afterwards.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Self

import msgspec

from protocol.client.context import Context
from protocol.client.errors import BufferFull, Closed, Forbidden
from protocol.client.requests import Answer
from protocol.client.roster import (
    Attendee,
    CountChanged,
    MemberJoined,
    MemberLeft,
    MemberUpdated,
    OutOfStep,
    PresenceEvent,
    Roster,
    difference,
)
from protocol.client.stream import Stream
from protocol.client_frames import After, ClientFrame, PresencePage
from protocol.server_frames import Joined, MembersPage, PresenceDiff

EVENTS_MOST: Final = 10_000
"""Events that wait for a slow reader. With more, it is told the difference between what it knew and what is so."""
PAGES_AGAIN_S: Final = 1.0
"""Between two times that all pages are asked for: diffs come once a second, so nothing is gained by asking sooner."""


class Presence:
    """One room's. Ends quietly with the class, or when the stream is left or closed; else with what ended that."""

    def __init__(self, stream: Stream, room: str, context: Context, events_most: int = EVENTS_MOST) -> None:
        self._stream = stream
        self._room = room
        self._context = context
        self._most = events_most
        self._roster = Roster()
        self._events: deque[PresenceEvent] = deque()
        self._told: dict[str, Attendee] = {}
        self._behind = False
        self._news = asyncio.Event()
        self._failure: Exception | None = None
        self._asking: asyncio.Task[None] | None = None
        self._refresh()

    @property
    def members(self) -> Mapping[str, Attendee]:
        """Everybody there, by user id; empty where the room is not `listed`."""
        return MappingProxyType(self._roster.members)

    @property
    def count(self) -> int:
        """How many are there."""
        return self._roster.count

    @property
    def listed(self) -> bool:
        """False where the room is too large for its members to be named to this user."""
        return self._roster.listed

    @property
    def after(self) -> After | None:
        """What is known, for `join`."""
        return self._roster.after

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PresenceEvent:
        """The next change. Raises `Refused` where the server will not say who is here."""
        while not self._events:
            if self._behind:
                self._behind = False
                self._events.extend(self._missed())
                continue
            self._end_with_stream()
            self._news.clear()
            await self._news.wait()
        event = self._events.popleft()
        match event:
            case MemberJoined(member) | MemberUpdated(member):
                self._told[member.user_id] = member
            case MemberLeft(member):
                self._told.pop(member.user_id, None)
            case _:
                self._told.clear()
        return event

    def _missed(self) -> list[PresenceEvent]:
        """For a reader who fell behind."""
        return difference(self._told, self._roster.members) if self.listed else [CountChanged(self.count)]

    def _end_with_stream(self) -> None:
        failure = self._stream.failure or self._failure
        if self._stream.left or self._stream.room_over or isinstance(failure, Closed):
            raise StopAsyncIteration
        if failure is not None:
            raise failure

    # What the connection tells.

    def hear(self, diff: PresenceDiff) -> None:
        """A diff of this room came."""
        try:
            self._tell(self._roster.diff(diff))
        except OutOfStep:
            self._refresh()

    def rejoined(self, frame: Joined) -> None:
        """The room was joined on a new connection."""
        diffs = frame.presence.diffs
        if not frame.recovered or isinstance(diffs, msgspec.UnsetType) or self.after is None:
            self._refresh()
            return
        for diff in diffs:
            self.hear(diff)

    def wake(self) -> None:
        """Something about the stream has changed."""
        self._news.set()

    def stop(self) -> None:
        """The stream is over."""
        if self._asking is not None:
            self._asking.cancel()
        self._news.set()

    def _tell(self, events: list[PresenceEvent]) -> None:
        if not events:
            return
        if self._behind or len(self._events) + len(events) > self._most:
            self._events.clear()
            self._behind = True
        else:
            self._events.extend(events)
        self._news.set()

    # Pages.

    def _refresh(self) -> None:
        self._roster.collect()
        if self._asking is not None:
            self._asking.cancel()
        self._asking = asyncio.create_task(self._ask_pages())

    async def _ask_pages(self) -> None:
        try:
            while not await self._all_pages():
                await asyncio.sleep(PAGES_AGAIN_S)
                self._roster.collect()
        except Forbidden:  # too large to be listed to learners
            self._tell(self._roster.unlisted(-1, -1))
        except Exception as error:  # noqa: BLE001 - whoever iterates is told
            self._failure = None if self._stream.room_over else error
            self._news.set()

    async def _all_pages(self) -> bool:
        cursor: str | None = None
        try:
            while True:
                page = await self._ask(cursor)
                assert isinstance(page, MembersPage)
                cursor, events = self._roster.page(page)
                if cursor is None:
                    self._tell(events)
                    return True
        except (OutOfStep, BufferFull):
            return False

    async def _ask(self, cursor: str | None) -> Answer:
        def make(ref: str, number: int) -> ClientFrame:
            del number
            return PresencePage(ref=ref, room=self._room, cursor=cursor)

        return await self._context.requests.ask(self._stream, make, self._context.nudge)
