"""Repair: what webhooks did not tell is asked for (plugnmeet.md, "Repair", reading 13).

    once at start, then every `every_s`: each live room that the conference server has told of
      -> getActiveRoomInfo -> `Polled` -> the room's actor, which decides what it means

At start all rooms are asked at once, four at a time; later they are spread over the interval, so that neither side sees
a wave. Breakout rooms are not asked for: the API wants their own room id, their presence is the class's, and it ends
with the class at the latest.

An error of the API changes nothing here. Neither does an answer that is doubtful or cannot be read: whoever is missing
in it would look as if they had gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

import structlog

from actors.actor import Actor
from actors.directory import NotOwned
from actors.machines.effects import Corrected, Effect
from actors.machines.events import Polled, Seen
from actors.machines.room import Room
from actors.machines.rows import RoomRow
from actors.ports import StoreAway, StoreRefused
from actors.system import ActorSystem
from protocol.plugnmeet_active import ActiveRoom, Unreadable, decode
from server.metrics import EdgeCounters
from server.plugnmeet.api import ApiAway, ApiRefused

log = structlog.get_logger(__name__)

AT_ONCE: Final = 4
SPREAD: Final = 0.9
"""Share of the interval over which the rooms are spread: the last answer is in before the next round begins."""
PAGE: Final = 100
RETRY_S: Final = 2.0

AGREED: Final = "agreed"
CORRECTED: Final = "corrected"
DOUBTFUL: Final = "doubtful"
FAILED: Final = "failed"
BUSY: Final = "busy"

_OVER_CODES: Final = frozenset({"ROOM_NOT_ACTIVE", "14", "ROOM_NOT_FOUND", "10"})
"""The server says the first once: asking makes it forget the room, and from then on it is not found."""
_OVER_WORDS: Final = ("not active", "not found in active", "room-not-active")
"""How servers without codes say it."""


class ActiveRooms(Protocol):
    """The part of the API that is needed."""

    async def active_room_info(self, room_id: str) -> dict[str, Any]:
        """Raises `ApiRefused`, `ApiAway`."""
        ...


class RoomList(Protocol):
    """The part of the store that is needed."""

    async def rooms_page(self, state: str | None, after_id: str | None, limit: int) -> Sequence[RoomRow]:
        """Rooms behind `after_id` by id. Raises `StoreAway`, `StoreRefused`."""
        ...


class Repair:
    """One a process."""

    def __init__(
        self, system: ActorSystem, api: ActiveRooms, rooms: RoomList, counters: EdgeCounters, *, every_s: float
    ) -> None:
        self._system = system
        self._api = api
        self._rooms = rooms
        self._counters = counters
        self._every_s = every_s
        self._followed: set[str] = set()
        """Live rooms that the conference server knows, also while they are not in memory."""
        self._away = False
        """The API was not there when it was asked last."""
        self._went = False
        """The same, of this round."""
        self._troubled: set[str] = set()
        """Rooms whose answer could not be used, as the log was told; no more than are followed."""

    async def run(self) -> None:
        """Ask for ever."""
        await self._system.until_ready()
        await self._recall()
        await self.round(spread_s=0.0)
        while True:
            begin = asyncio.get_running_loop().time()
            await self._system.until_ready()
            await self.round(spread_s=self._every_s * SPREAD)
            # Also when the round took longer than the interval: never without a pause.
            over = begin + self._every_s - asyncio.get_running_loop().time()
            await asyncio.sleep(max(over, self._every_s * (1 - SPREAD)))

    async def _recall(self) -> None:
        """Rooms that were live when the process before this one ended: not all of them came into memory."""
        while True:
            try:
                after: str | None = None
                while page := await self._rooms.rooms_page("live", after, PAGE):
                    self._followed.update(row.room_id for row in page)
                    after = page[-1].room_id
            except (StoreAway, StoreRefused) as error:
                log.warning("plugnmeet.recall_failed", reason=str(error))
                await asyncio.sleep(RETRY_S)
            else:
                return

    # -- one round ----------------------------------------------------------------------------------------------------

    async def round(self, *, spread_s: float) -> None:
        """Ask for every live room once, their beginnings `spread_s` apart from first to last."""
        due = await self._due()
        begin = asyncio.get_running_loop().time()
        moments = iter([(begin + spread_s * place / len(due), room_id) for place, room_id in enumerate(due)])
        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, len(due))):
                group.create_task(self._work(moments))
        if self._away and due and not self._went:
            self._away = False
            log.info("plugnmeet.back")
        self._went = False
        self._troubled &= set(due)

    async def _due(self) -> list[str]:
        memory = self._system.directory.rooms
        out_of_reach: set[str] = set()
        for room_id in self._followed - memory.keys():
            try:
                await self._system.room(room_id, create=False)
            except (NotOwned, StoreAway, StoreRefused):
                out_of_reach.add(room_id)
        due = {room_id for room_id, actor in memory.items() if follows(actor.room)}
        self._followed = due | out_of_reach
        return sorted(due)

    async def _work(self, moments: Iterator[tuple[float, str]]) -> None:
        for moment, room_id in moments:
            await asyncio.sleep(max(0.0, moment - asyncio.get_running_loop().time()))
            await self._look(room_id)

    async def _look(self, room_id: str) -> None:
        """Ask for one room, and tell its actor."""
        # Before the question: whoever joined behind it is not missing in the answer.
        at = self._system.clock.now()
        try:
            answer = await self._api.active_room_info(room_id)
            polled = _active(decode(answer), at)
        except ApiRefused as refused:
            if not _is_over(refused):
                self._trouble(room_id, str(refused))
                return
            polled = Polled("", at, active=False)
        except Unreadable as error:
            self._trouble(room_id, str(error))
            return
        except ApiAway as error:
            self._not_there(str(error))
            return
        self._troubled.discard(room_id)
        if polled is None:
            self._count(DOUBTFUL)
        elif not await self._tell(room_id, polled):
            self._count(BUSY)

    async def _tell(self, room_id: str, polled: Polled) -> bool:
        """False where the room cannot take it now; it is asked for again anyway."""
        if self._system.busy:
            return False
        try:
            actor = await self._system.room(room_id, create=False)
        except (NotOwned, StoreAway, StoreRefused):
            return False
        return actor is not None and self._system.post(actor, polled, _Outcome(self._counters))

    # -- what is said of it -------------------------------------------------------------------------------------------

    def _not_there(self, reason: str) -> None:
        """One line an outage; it is over with the first round that meets none of it."""
        self._count(FAILED)
        self._went = True
        if not self._away:
            self._away = True
            log.warning("plugnmeet.away", reason=reason)

    def _trouble(self, room_id: str, reason: str) -> None:
        """The API is there, and what it says of this room is of no use: one line until it is."""
        self._count(FAILED)
        if room_id not in self._troubled:
            self._troubled.add(room_id)
            log.warning("plugnmeet.refused", room=room_id, reason=reason)

    def _count(self, result: str) -> None:
        self._counters.repairs[result] += 1


class _Outcome:
    """Counts what a look came to, once it is durable (an `actors.actor.Reply`)."""

    __slots__ = ("_counters",)

    def __init__(self, counters: EdgeCounters) -> None:
        self._counters = counters

    def stage(self, actor: Actor, effects: list[Effect], now: int) -> None:
        """Nothing is answered."""

    def release(self, effects: list[Effect]) -> None:
        """It is durable."""
        corrected = sum(effect.count for effect in effects if isinstance(effect, Corrected))
        self._counters.corrections += corrected
        self._counters.repairs[CORRECTED if corrected else AGREED] += 1


def follows(room: Room) -> bool:
    """Whether a room is live and has a session at the conference server that is not over."""
    state = room.state
    return state.status == "live" and any(
        session.started_at is not None and session.ended_at is None and not session.breakout
        for session in state.conference.sessions.values()
    )


def _active(room: ActiveRoom, at: int) -> Polled | None:
    """None where the list is not to be trusted."""
    if room.doubtful:
        return None
    seen = [
        # Never ahead of the question: their clock may be, and a wild one must not get into the journal.
        Seen(one.sid, one.identity, min(one.joined_at, at), one.name, one.moderator, one.telephone, one.user_id)
        for one in room.participants
    ]
    return Polled(room.sid, at, active=True, seen=seen)


def _is_over(refused: ApiRefused) -> bool:
    if refused.code:
        return refused.code in _OVER_CODES
    said = refused.message.lower()
    return any(words in said for words in _OVER_WORDS)
