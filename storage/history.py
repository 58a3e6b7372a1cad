"""History from elsewhere: a chunk of facts and all that follows from them, in one transaction.

    catalog -> facts of other systems -> segments and their sessions -> rooms: presence, attendance, snapshots

A class that no server has run is kept as a snapshot of version 0, by the machine's own rules (`actors/history.py`).
One that a server has run, or runs now, must not be written from here: its rows are added to, and the room is noted in
`imported_rooms`, whose presences the running server tells it (`server/history/rooms.py`). A room that came to life
within the last checkpoint interval is not in the store yet; so every imported room is looked at once more later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from actors.history import PastRoom, Stay, Times, presence_row
from actors.machines.state import RoomRules
from protocol.catalog import Entity, LiveClass
from protocol.ids import partition_of
from storage.catalog import write_entities
from storage.classfacts import Facts, write_facts
from storage.engaging import Rules as EngagingRules
from storage.engaging import refresh
from storage.postgres import Connection, Database
from storage.sql import statements

BATCH_ROWS: Final = 5_000
LOOK_AGAIN_S: Final = 150.0
"""Two checkpoint intervals, and some."""
PAGE: Final = 5_000

Values = tuple[Any, ...]


class Piece(msgspec.Struct, frozen=True):
    """A segment as it is stored, in the order of the statement's columns. Times Unix ms, playheads ms."""

    session_id: str
    number: int
    user_id: str
    kind: str | None
    content_id: str | None
    room_id: str | None
    start_at: int
    end_at: int
    playhead_start: int
    playhead_end: int
    rate: float
    rate_ms: float
    visible_ms: int
    offline: bool


class Told(msgspec.Struct, frozen=True):
    """Figures of a learner in a class: ms of talk, counts."""

    room_id: str
    user_id: str
    role: str
    name: str | None
    talk_ms: int
    hand_raises: int
    polls_answered: int


class Chunk(msgspec.Struct):
    """What is written together; `devices` by session."""

    entities: list[Entity] = []
    facts: Facts = msgspec.field(default_factory=Facts)
    stays: list[Stay] = []
    told: list[Told] = []
    pieces: list[Piece] = []
    devices: dict[str, str] = {}


class SessionTaken(Exception):
    """A segment names a session that is not its learner's import; `session_id` says which."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"session {session_id} belongs to somebody else, or to this server")
        self.session_id = session_id


class History:
    """Writes chunks. `partitions` and the rules are the server's; `now` Unix ms."""

    def __init__(
        self, database: Database, partitions: int, rules: RoomRules, engaging: EngagingRules, now: Callable[[], int]
    ) -> None:
        self._database = database
        self._partitions = partitions
        self._rules = rules
        self._engaging = engaging
        self._now = now

    async def write(self, chunk: Chunk) -> None:
        """All or nothing; writing it again changes nothing. Raises SessionTaken, StoreAway, StoreRefused."""
        async with self._database.transaction() as connection:
            await connection.fetch(statements()["begin_import"])
            await write_entities(connection, chunk.entities)
            await write_facts(connection, chunk.facts)
            await self._write_pieces(connection, chunk)
            await self._write_rooms(connection, chunk)

    async def due(self, limit: int) -> list[tuple[str, bool]]:
        """Rooms with imported presence that are to be looked at, and whether a server has run each."""
        found = await self._database.fetch("imported_rooms_due", limit)
        return [(record["room_id"], record["ran"]) for record in found]

    async def presences(self, room_id: str, after: tuple[str, int]) -> list[tuple[str, int, int, int]]:
        """A page of imported presence behind (user, number): user, number, from, to."""
        found = await self._database.fetch("imported_presences", room_id, *after, PAGE)
        return [(record[0], record[1], record[2], record[3]) for record in found]

    async def done(self, room_id: str) -> None:
        """The room knows all that was due."""
        await self._database.fetch("forget_imported_room", room_id)

    # -- segments -----------------------------------------------------------------------------------------------------

    async def _write_pieces(self, connection: Connection, chunk: Chunk) -> None:
        if not chunk.pieces:
            return
        owners = {piece.session_id: piece.user_id for piece in chunk.pieces}
        sessions = sorted(owners)
        users = [owners[each] for each in sessions]
        taken = await connection.fetch(statements()["foreign_sessions"], sessions, users)
        if taken:
            raise SessionTaken(taken[0]["session_id"])
        unique = {(piece.session_id, piece.number, piece.start_at): piece for piece in chunk.pieces}
        await _write(connection, "import_segments", [msgspec.structs.astuple(unique[key]) for key in sorted(unique)])
        devices = [chunk.devices.get(each, "") for each in sessions]
        await connection.execute(statements()["import_sessions"], sessions, devices, self._rules.completion_threshold)
        watched = {
            (piece.kind, piece.content_id, piece.user_id)
            for piece in chunk.pieces
            if piece.kind is not None and piece.content_id is not None
        }
        await refresh(connection, watched, self._engaging)

    # -- rooms --------------------------------------------------------------------------------------------------------

    async def _write_rooms(self, connection: Connection, chunk: Chunk) -> None:
        tellable, others = _rooms_of(chunk, self._now())
        room_ids = sorted(tellable | others)
        if not room_ids:
            return
        stored = await connection.fetch(statements()["lock_past_rooms"], room_ids)
        run = {record["key"] for record in stored if not record["past"]}
        bodies = {record["key"]: record["body"] for record in stored}
        await _write(connection, "import_presences", _presence_values(chunk.stays))
        past = {
            room_id: PastRoom(room_id, bodies.get(room_id), self._rules) for room_id in room_ids if room_id not in run
        }
        _take(past, chunk)
        for record in await connection.fetch(statements()["past_times"], list(past)):
            past[record[0]].settle(Times(*list(record)[1:]), self._now())
        await self._save(connection, past)
        expected = sorted(tellable)
        waits = [0.0 if room_id in run else LOOK_AGAIN_S for room_id in expected]
        await connection.execute(statements()["expect_imported_rooms"], expected, waits)

    async def _save(self, connection: Connection, past: dict[str, PastRoom]) -> None:
        if not past:
            return
        attendances = [
            msgspec.structs.astuple(each.room.attendance(each.room.state.members[user_id]))
            for each in past.values()
            for user_id in sorted(each.touched)
            if each.room.state.members[user_id].matters
        ]
        await _write(connection, "save_attendances", attendances)
        await _write(connection, "save_rooms", [msgspec.structs.astuple(each.room.row()) for each in past.values()])
        kept = [each.snapshot(partition_of(room_id, self._partitions)) for room_id, each in past.items()]
        rows = [(each.key, each.partition, each.wake_at, each.body) for each in kept]
        await _write(connection, "save_past_rooms", rows)
        await connection.execute(statements()["mark_past_rooms_told"], list(past))


def _rooms_of(chunk: Chunk, now: int) -> tuple[set[str], set[str]]:
    """Rooms that a running server may have to be told of, and classes of the past that the catalog brings."""
    rooms = {stay.room_id for stay in chunk.stays} | {told.room_id for told in chunk.told}
    rooms.update(fact.live_class_id for fact, _ in chunk.facts.classes)
    classes = {each.live_class_id for each in chunk.entities if isinstance(each, LiveClass) and each.end_at <= now}
    return rooms, classes


def _take(past: dict[str, PastRoom], chunk: Chunk) -> None:
    for stay in chunk.stays:
        if stay.room_id in past:
            past[stay.room_id].take(stay)
    for told in chunk.told:
        if told.room_id in past:
            figures = (told.talk_ms, told.hand_raises, told.polls_answered)
            past[told.room_id].take_figures(told.user_id, told.role, told.name, figures)


def _presence_values(stays: Iterable[Stay]) -> list[Values]:
    """One row a key, the longest, by key."""
    best: dict[Values, Values] = {}
    for stay in stays:
        row = msgspec.structs.astuple(presence_row(stay))
        known = best.get(row[:4])
        if known is None or row[4] > known[4]:
            best[row[:4]] = row
    return [best[key] for key in sorted(best)]


async def _write(connection: Connection, name: str, rows: Sequence[Values]) -> None:
    for start in range(0, len(rows), BATCH_ROWS):
        await connection.execute(statements()[name], *zip(*rows[start : start + BATCH_ROWS], strict=True))
