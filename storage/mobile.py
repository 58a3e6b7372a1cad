"""App sessions of mobile SDKs and the messages of their batches (mobile-ingest.md), in tables.

What one batch brings is written in one transaction, together with what other batches bring at that moment. Sent again
it changes nothing: messages are known by (session, time, type, hash), and what they say of their session only grows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final, Protocol

import msgspec

from storage.postgres import Connection, Database
from storage.sql import statements

SILENCE_MS: Final = 150_000
"""So long an app session outlasts its last activity (mobile-ingest.md, "What it means here")."""
REST: Final = -1
"""As a message's type: the rest of a batch, in which no message begins."""
CANDIDATES: Final = 32
"""Sessions of one device that late data is looked for in."""
LATE_MS: Final = 8 * 24 * 3600 * 1000
"""Messages older than that belong to no session but their token's: `late` is taken for 7 days."""
SWEEP_ROWS: Final = 1_000
BATCH_ROWS: Final = 1_000
"""Some 5 ms of the event loop to encode."""


class Allowed(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a learner's token allowed when the session began; lists of rooms, and of (kind, content)."""

    role: str = "learner"
    name: str | None = None
    rooms: list[str] | None = None
    contents: list[tuple[str, str]] | None = None


class Target(msgspec.Struct, frozen=True, omit_defaults=True):
    """What samples belong to that do not say so: a room, or a content's kind and id."""

    room: str | None = None
    content: tuple[str, str] | None = None


class AppSession(msgspec.Struct, frozen=True):
    """A row of `mobile_sessions`, as far as its messages need it. Times Unix ms, of the server."""

    session_id: int
    project: str
    user_uuid: str
    user_id: str | None
    """The learner who is credited."""
    allowed: Allowed | None
    user_label: str | None
    started_at: int
    newest_at: int
    offset: int
    """Server time less the client's."""
    target: Target
    lag: int = 0
    """The offset is known to be so much too large: its start was long under way."""


class Stored(msgspec.Struct, gc=False):
    """A row of `mobile_messages`. `user_id`: who is credited, which is known when all of a batch is."""

    session_id: int
    at: int
    type: int
    hash: bytes
    told_at: int
    body: bytes
    undecodable: bool
    user_id: str | None


class Change(msgspec.Struct, frozen=True):
    """What messages say of their session. 0 for no activity."""

    session_id: int
    active_at: int
    newest_at: int
    user_label: str | None = None
    anonymous_label: str | None = None
    closing: bool = False
    lag: int = 0


class Brought(msgspec.Struct, frozen=True):
    """What one batch brings. `begun` are sessions that nobody started; `watching` (session, watch session, learner)."""

    received_at: int
    begun: list[AppSession]
    messages: list[Stored]
    changes: list[Change]
    watching: list[tuple[int, str, str]]


class Span(msgspec.Struct, frozen=True):
    """A stored watch session of the mobile door: from its first sample to its last."""

    session_id: str
    started_at: int
    last_at: int


class MobileStore(Protocol):
    """Raises StoreAway, StoreRefused."""

    async def start(self, session: AppSession, received_at: int, device: bytes) -> bool:
        """Keep a new session, with what its start told of the device (JSON); False where its id is taken."""
        ...

    async def session(self, session_id: int) -> AppSession | None:
        """One by its id."""
        ...

    async def before(self, project: str, user_uuid: str, at: int) -> Sequence[AppSession]:
        """Sessions of a device that began by `at`, at most `LATE_MS` before it: the latest first, `CANDIDATES`."""
        ...

    async def write(self, brought: Sequence[Brought]) -> Sequence[int]:
        """Write what batches bring, all or nothing; how many messages are new in all, for each of them."""
        ...

    async def watched(self, user_id: str, device_id: str, target: Target, start: int, end: int) -> Sequence[Span]:
        """Stored watch sessions with samples between `start` and `end`, the earliest first."""
        ...

    async def end_silent(self, before: int) -> int:
        """End sessions that nothing active came of since `before`, at most `SWEEP_ROWS`; how many."""
        ...


class PostgresMobile:
    """`MobileStore` in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(self, session: AppSession, received_at: int, device: bytes) -> bool:
        """As the port says."""
        found = await self._database.fetchrow(
            "mobile_start",
            session.session_id,
            session.project,
            session.user_uuid,
            session.user_id,
            _json(session.allowed),
            session.started_at,
            received_at,
            session.offset,
            device.decode(),
            _json(session.target),
        )
        return found is not None

    async def session(self, session_id: int) -> AppSession | None:
        """As the port says."""
        record = await self._database.fetchrow("mobile_app_session", session_id)
        return None if record is None else _session(record)

    async def before(self, project: str, user_uuid: str, at: int) -> Sequence[AppSession]:
        """As the port says."""
        found = await self._database.fetch("mobile_sessions_before", project, user_uuid, at, at - LATE_MS, CANDIDATES)
        return [_session(record) for record in found]

    async def write(self, brought: Sequence[Brought]) -> Sequence[int]:
        """As the port says."""
        async with self._database.transaction() as connection:
            await _begin(connection, brought)
            changes = merged(change for one in brought for change in one.changes)
            await connection.execute(statements()["mobile_lock"], sorted(changes))
            counted = await _write_messages(connection, [row for one in brought for row in one.messages])
            await _go_on(connection, changes, counted, max(one.received_at for one in brought))
            watching = sorted({each for one in brought for each in one.watching})
            if watching:
                await connection.execute(statements()["mobile_watching"], *_columns(watching))
        fresh = sum(each for each, _ in counted.values())
        return [fresh] * len(brought)

    async def watched(self, user_id: str, device_id: str, target: Target, start: int, end: int) -> Sequence[Span]:
        """As the port says."""
        kind, content_id = target.content or (None, None)
        found = await self._database.fetch(
            "mobile_watched", user_id, device_id, target.room, content_id, start, end, kind
        )
        return [Span(*record) for record in found]

    async def end_silent(self, before: int) -> int:
        """As the port says."""
        async with self._database.connection() as connection:
            tag = await connection.execute(statements()["mobile_end_silent"], before, SWEEP_ROWS)
        return int(tag.rpartition(" ")[2])


def merged(changes: Iterable[Change]) -> dict[int, Change]:
    """One change a session: the latest times, the last labels."""
    found: dict[int, Change] = {}
    for change in changes:
        known = found.get(change.session_id)
        found[change.session_id] = change if known is None else _and(known, change)
    return found


def _and(first: Change, second: Change) -> Change:
    return Change(
        first.session_id,
        max(first.active_at, second.active_at),
        max(first.newest_at, second.newest_at),
        first.user_label if second.user_label is None else second.user_label,
        first.anonymous_label if second.anonymous_label is None else second.anonymous_label,
        first.closing or second.closing,
        max(first.lag, second.lag),
    )


async def _begin(connection: Connection, brought: Sequence[Brought]) -> None:
    rows = {
        session.session_id: (
            session.session_id,
            session.project,
            session.user_uuid,
            session.user_id,
            _json(session.allowed),
            session.started_at,
            one.received_at,
            session.offset,
            "{}",
            _json(session.target),
            session.lag,
        )
        for one in brought
        for session in one.begun
    }
    if rows:
        await connection.execute(statements()["mobile_begin_late"], *_columns(rows.values()))


async def _write_messages(connection: Connection, rows: Sequence[Stored]) -> dict[int, tuple[int, int]]:
    """Returns (new messages, undecodable ones among them) by session."""
    counted: dict[int, tuple[int, int]] = {}
    for start in range(0, len(rows), BATCH_ROWS):
        columns = _columns(map(msgspec.structs.astuple, rows[start : start + BATCH_ROWS]))
        for record in await connection.fetch(statements()["mobile_write_messages"], *columns):
            fresh, undecodable = counted.get(record["session_id"], (0, 0))
            counted[record["session_id"]] = fresh + record["fresh"], undecodable + record["undecodable"]
    return counted


async def _go_on(
    connection: Connection, changes: dict[int, Change], counted: dict[int, tuple[int, int]], received_at: int
) -> None:
    if not changes:
        return
    ordered = [changes[key] for key in sorted(changes)]
    columns = _columns(map(msgspec.structs.astuple, ordered))
    undecodable = [counted.get(change.session_id, (0, 0))[1] for change in ordered]
    silence = timedelta(milliseconds=SILENCE_MS)
    await connection.execute(statements()["mobile_go_on"], *columns, received_at, silence, undecodable)


def _columns(rows: Iterable[Iterable[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _json(value: msgspec.Struct | None) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _session(record: Any) -> AppSession:  # noqa: ANN401 - the driver's record
    session_id, project, user_uuid, user_id, claims, label, started_at, newest_at, offset, target, lag = record
    return AppSession(
        session_id,
        project,
        user_uuid,
        user_id,
        None if claims is None else msgspec.json.decode(claims, type=Allowed),
        label,
        started_at,
        newest_at,
        offset,
        Target() if target is None else msgspec.json.decode(target, type=Target),
        lag,
    )
