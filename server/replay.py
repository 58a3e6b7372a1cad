"""`rollcall replay`: rebuild a session or a room from its checkpoint and the journal, and compare it with its rows.

What the checkpoint holds must equal the stored rows exactly: they were written in one transaction. What the journal
holds beyond it is shown as not written yet. Reads only; works beside a running server.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Final

import msgspec

from actors.actor import Actor, Machine
from actors.counters import Counters
from actors.loader import Loader
from actors.machines.room import Room
from actors.machines.rows import Rows
from actors.ports import ROOM, WATCH, Entry, Kind, StoreAway, StoreRefused
from protocol import ids
from server.config import Settings
from server.rules import rules_of
from storage.embedded import EmbeddedError, EmbeddedPostgres, InUseError, running_dsn
from storage.postgres import Database
from storage.stores import PostgresStores, stores_over

OK: Final = 0
DIFFERS: Final = 1
NOT_FOUND: Final = 2


def run(settings: Settings, room: str | None, session: str | None) -> int:
    """Exit code: 0 equal, 1 different (or the store cannot be read), 2 not known."""
    try:
        return asyncio.run(_run(settings, room, session))
    except (StoreAway, StoreRefused, EmbeddedError) as error:
        sys.stderr.write(f"rollcall replay: {error}\n")
        return DIFFERS


async def _run(settings: Settings, room: str | None, session: str | None) -> int:
    embedded: EmbeddedPostgres | None = None
    url = settings.database_url
    if url is None:
        embedded = EmbeddedPostgres(settings.data_dir)
        try:
            url = await embedded.start()
        except InUseError:
            embedded, url = None, running_dsn(settings.data_dir)
    if url is None:
        message = "the embedded database of a running server cannot be reached"
        raise StoreAway(message)
    database = Database(url, pool_size=1, statement_timeout_s=max(60.0, settings.statement_timeout_s))
    try:
        await database.open()
        return await Replay(settings, stores_over(database)).run(room, session)
    finally:
        await database.close()
        if embedded is not None:
            await embedded.stop()


class Replay:
    """One comparison."""

    def __init__(self, settings: Settings, stores: PostgresStores) -> None:
        self._settings = settings
        self._stores = stores
        rules = rules_of(settings)
        self._loader = Loader(rules.room, rules.watch, stores.quarantine, Counters())

    async def run(self, room: str | None, session: str | None) -> int:
        """Compare, print, and return the exit code."""
        found = await self._subject(room, session)
        if found is None:
            sys.stderr.write("rollcall replay: not known: neither a checkpoint nor a journal entry names it\n")
            return NOT_FOUND
        kind, key, entries = found
        snapshot = (await self._stores.snapshots.load(kind, [key])).get(key)
        partition = self._partition(kind, key)
        kept = self._loader.actor(kind, key, partition, snapshot)
        differences = await self._compare(kept) if snapshot is not None else []
        tail = [entry for entry in entries if entry.version > kept.version]
        for entry in tail:
            await self._loader.replay(kept, entry)
        what = "room" if kind == ROOM else "session"
        print(f"{what} {key}: checkpoint at input {snapshot.version if snapshot else 0}")  # noqa: T201
        print(f"journal: {len(tail)} inputs behind it, not written to rows yet")  # noqa: T201
        print(_summary(kept.machine))  # noqa: T201
        for line in differences:
            print(f"DIFFERS  {line}")  # noqa: T201
        print("the checkpoint and the stored rows are equal" if not differences else "they differ")  # noqa: T201
        return DIFFERS if differences else OK

    async def _subject(self, room: str | None, session: str | None) -> tuple[Kind, str, list[Entry]] | None:
        """The actor that holds what was asked for; a session of a room is replayed with its room."""
        kind: Kind = ROOM if room is not None else WATCH
        key = room if room is not None else session or ""
        if kind == WATCH:
            if ids.session_partition(key) is None:
                return None
            row = await self._stores.sessions.session(key)
            if row is not None and row.room_id is not None:
                kind, key = ROOM, row.room_id
        entries: list[Entry] = []
        async for batch in self._stores.journal.read([self._partition(kind, key)]):
            entries += [entry for entry in batch if entry.kind == kind and entry.key == key]
        if not entries and key not in await self._stores.snapshots.load(kind, [key]):
            return None
        return kind, key, sorted(entries, key=lambda entry: entry.version)

    def _partition(self, kind: Kind, key: str) -> int:
        partition = ids.partition_of(key, self._settings.partitions) if kind == ROOM else ids.session_partition(key)
        return partition or 0

    async def _compare(self, actor: Actor) -> list[str]:
        rows = _all_rows(actor.machine)
        lines: list[str] = []
        for expected in rows.sessions:
            stored = await self._stores.sessions.session_with_segments(expected.session_id)
            if stored is None:
                lines.append(f"session {expected.session_id}: no row")
                continue
            lines += _fields(f"session {expected.session_id}", expected, stored.row)
            growing = [row for row in rows.segments if row.open and row.session_id == expected.session_id]
            by_number = {row.segment.number: row.segment for row in stored.segments}
            for row in growing:
                found = by_number.get(row.segment.number)
                name = f"segment {expected.session_id}/{row.segment.number}"
                lines += [f"{name}: no row"] if found is None else _fields(name, row.segment, found)
        if rows.room is not None:
            stored_room = await self._stores.reading.room(rows.room.room_id)
            name = f"room {rows.room.room_id}"
            lines += [f"{name}: no row"] if stored_room is None else _fields(name, rows.room, stored_room)
            for attendance in rows.attendances:
                found_row = await self._stores.reading.attendance_row(attendance.room_id, attendance.user_id)
                name = f"attendance {attendance.room_id}/{attendance.user_id}"
                lines += [f"{name}: no row"] if found_row is None else _fields(name, attendance, found_row)
        return lines


def _all_rows(machine: Machine) -> Rows:
    if isinstance(machine, Room):
        machine.mark_all()
    rows = machine.rows()
    machine.unwritten(rows)
    return rows


def _fields(name: str, expected: msgspec.Struct, stored: msgspec.Struct) -> list[str]:
    mine, theirs = _plain(expected), _plain(stored)
    return [
        f"{name}.{field}: replayed {mine[field]!r}, stored {theirs.get(field)!r}"
        for field in mine
        if not _same(mine[field], theirs.get(field))
    ]


def _plain(row: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__struct_fields__ if name != "rate_ms"}


def _same(mine: Any, theirs: Any) -> bool:  # noqa: ANN401 - any column
    if isinstance(mine, float) and isinstance(theirs, int | float):
        return abs(mine - theirs) < 1e-3  # noqa: PLR2004 - what a column of thousandths keeps
    return bool(mine == theirs)


def _summary(machine: Machine) -> str:
    if isinstance(machine, Room):
        room = machine.state
        return f"now: {room.status}, {machine.present} present, {len(room.members)} members, peak {room.peak}"
    if machine.state is None:
        return "now: over, and written"
    track = machine.state.track
    return f"now: at sample {track.last_seq}, playhead {track.position / 1000:.3f} s"
