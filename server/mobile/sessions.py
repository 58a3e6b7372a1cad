"""App sessions: found by their token, and by the time of what they send (mobile-ingest.md, reading 6)."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from aiohttp import hdrs, web

from actors.ports import StoreAway, StoreRefused
from server.http.answers import unavailable
from server.http.keys import Keys
from server.mobile.answers import refused
from server.mobile.ids import SessionIds, unrecorded
from server.mobile.token import BadToken, Token, Tokens
from storage.mobile import LATE_MS, SILENCE_MS, AppSession, MobileStore, Target

CACHED_MAX: Final = 20_000
"""App sessions remembered; the one used longest ago is asked for anew."""
BEGUN_MAX: Final = 16
"""Sessions that the late data of one batch may make of its own; what is beyond goes to the last of them."""
_SCHEME: Final = "bearer "


class Bearer(msgspec.Struct, frozen=True):
    """Whose a request is; `session` None for one that must not be recorded."""

    token: Token
    session: AppSession | None


class AppSessions:
    """One a process."""

    def __init__(
        self,
        store: MobileStore,
        tokens: Tokens,
        keys: Keys,
        ids: SessionIds,
        now: Callable[[], int],
        *,
        cached_max: int = CACHED_MAX,
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._keys = keys
        self._ids = ids
        self._now = now
        self._cached: OrderedDict[int, AppSession] = OrderedDict()
        self._cached_max = cached_max

    async def of_bearer(self, request: web.Request, *, late: bool) -> Bearer:
        """The session of a request's token. Raises `Problem`: 401, 429, 503. `late`: one that has run out may do."""
        header = request.headers.get(hdrs.AUTHORIZATION, "")
        if header[:7].lower() != _SCHEME:
            raise refused(401, "a session's token is needed: Authorization: Bearer <token>")
        token = self._read(header[7:].strip())
        now = self._now()
        if not (token.late(now) if late else token.alive(now)):
            raise refused(401, "the token has run out: start a new session")
        if unrecorded(token.session_id):
            return Bearer(token, None)
        session = await self.find(token.session_id)
        if session is None:
            raise refused(401, "there is no such session any more: start a new one")
        key = await self._keys.project("mobile", name=session.project)
        if key is None:
            raise refused(401, "the session's project is not active any more")
        self._keys.charge(key, "mobile", 1)
        return Bearer(token, session)

    def _read(self, text: str) -> Token:
        try:
            return self._tokens.read(text)
        except BadToken as error:
            raise refused(401, str(error)) from None

    async def resumable(self, text: str) -> Bearer | None:
        """The session of a start's token; None where a new one begins. Raises `Problem` (503)."""
        try:
            token = self._tokens.read(text)
        except BadToken:
            return None
        if not token.alive(self._now()):
            return None
        if unrecorded(token.session_id):
            return Bearer(token, None)
        session = await self.find(token.session_id)
        return None if session is None else Bearer(token, session)

    async def find(self, session_id: int) -> AppSession | None:
        """From memory, else the store. Raises `Problem` (503)."""
        session = self._cached.get(session_id)
        if session is None:
            try:
                session = await self._store.session(session_id)
            except (StoreAway, StoreRefused) as error:
                raise unavailable() from error
            if session is None:
                return None
        self.remember(session)
        return session

    def remember(self, session: AppSession) -> None:
        """It is in the store, as it stands here."""
        self._cached[session.session_id] = session
        self._cached.move_to_end(session.session_id)
        if len(self._cached) > self._cached_max:
            self._cached.popitem(last=False)

    def slowed(self, session: AppSession, lag: int) -> AppSession:
        """The session, whose start is known to have been so long under way."""
        if lag != session.lag:
            session = msgspec.structs.replace(session, lag=lag)
            if session.session_id in self._cached:  # not where its learner was erased meanwhile
                self.remember(session)
        return session

    def forget(self, user_id: str) -> None:
        """The learner is erased."""
        for key in [key for key, session in self._cached.items() if session.user_id == user_id]:
            del self._cached[key]

    # -- late data ----------------------------------------------------------------------------------------------------

    async def sorted_by_time(
        self, session: AppSession, times: Sequence[int], now: int, *, large: bool = False
    ) -> Timetable:
        """Where messages of these times (the client's, rising) go. Raises `Problem` (503).

        Times that no clock shows stay with the token's session: nothing is made of them. `large`: there are so many
        that they are looked through beside the event loop.
        """
        early = times[bisect_left(times, oldest(session, now)) : bisect_left(times, _began(session))]
        if not early:
            return Timetable(session, [], [])
        try:
            known = await self._store.before(session.project, session.user_uuid, session.started_at)
        except (StoreAway, StoreRefused) as error:
            raise unavailable() from error
        found = [one for one in known if one.session_id != session.session_id]
        found.sort(key=lambda one: (_began(one), one.session_id))
        table = Timetable(session, found, [])
        place = 0
        while True:
            place = await asyncio.to_thread(table.missing, early, place) if large else table.missing(early, place)
            if place == len(early):
                return table
            table.begin(await self._own(session, early[place]), early[place])

    async def _own(self, session: AppSession, time: int) -> AppSession:
        """A session for late data that belongs to none."""
        at = time + session.offset
        return msgspec.structs.replace(
            session,
            session_id=await self._ids.take(),
            started_at=at,
            newest_at=at,
            user_label=None,
            target=Target(),
        )


class Timetable:
    """Sessions of one device by the client's time. `begun` are those that this batch makes."""

    def __init__(self, current: AppSession, found: list[AppSession], begun: list[AppSession]) -> None:
        self.current = current
        self.begun = begun
        self._start = _began(current)
        self._others = found
        self._until = {one.session_id: one.newest_at - one.offset + SILENCE_MS for one in found}

    def missing(self, times: Sequence[int], place: int) -> int:
        """Of times before the current session, from a place on: that of the first for which a session must begin.

        How many there are where there is none such. What no session may begin for any more goes to the last that did.
        """
        for at in range(place, len(times)):
            if self.of(times[at]) is self.current:
                if len(self.begun) < BEGUN_MAX:
                    return at
                self._until[self.begun[-1].session_id] = times[at] + SILENCE_MS
        return len(times)

    def begin(self, session: AppSession, time: int) -> None:
        """One more session, which begins at `time`."""
        self.begun.append(session)
        self._others.append(session)
        self._others.sort(key=lambda one: (_began(one), one.session_id))
        self._until[session.session_id] = time + SILENCE_MS

    def of(self, time: int) -> AppSession:
        """The session that a message belongs to; asked in the order of time. The current one where no other has it."""
        if time >= self._start:
            return self.current
        place = bisect_right(self._others, time, key=_began)
        if not place:
            return self.current
        latest = self._others[place - 1]
        until = self._until[latest.session_id]
        if time > until:
            return self.current
        self._until[latest.session_id] = max(until, time + SILENCE_MS)
        return latest


def oldest(session: AppSession, now: int) -> int:
    """By the client's clock: what is dated before it has no time."""
    return now - LATE_MS - session.offset


def _began(session: AppSession) -> int:
    return session.started_at - session.offset
