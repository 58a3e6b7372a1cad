"""`MobileStore` in memory: the twin of the tables, held to the same tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from storage.memory import Memory
from storage.memory_rows import check_text
from storage.mobile import (
    CANDIDATES,
    LATE_MS,
    SILENCE_MS,
    SWEEP_ROWS,
    AppSession,
    Brought,
    Change,
    Span,
    Stored,
    Target,
    merged,
)


class MemoryApp(msgspec.Struct):
    """A row of `mobile_sessions`."""

    session: AppSession
    device: bytes
    active_at: int
    alive_at: int
    ended_at: int | None = None
    closed: bool = False
    anonymous_label: str | None = None
    undecodable: int = 0


class MemoryMobile:
    """`MobileStore`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.apps: dict[int, MemoryApp] = {}
        self.messages: dict[tuple[int, int, int, bytes], Stored] = {}
        self.watching: set[tuple[int, str, str]] = set()

    async def start(self, session: AppSession, received_at: int, device: bytes) -> bool:
        """As the port says."""
        check_text(session.user_uuid)
        async with self._memory.faults.call():
            if session.session_id in self.apps:
                return False
            self.apps[session.session_id] = MemoryApp(session, device, session.started_at, received_at)
            return True

    async def session(self, session_id: int) -> AppSession | None:
        """As the port says."""
        async with self._memory.faults.call():
            app = self.apps.get(session_id)
            return None if app is None else app.session

    async def before(self, project: str, user_uuid: str, at: int) -> Sequence[AppSession]:
        """As the port says."""
        async with self._memory.faults.call():
            found = [
                app.session
                for app in self.apps.values()
                if (app.session.project, app.session.user_uuid) == (project, user_uuid)
                and at - LATE_MS <= app.session.started_at <= at
            ]
        found.sort(key=lambda one: (one.started_at, one.session_id), reverse=True)
        return found[:CANDIDATES]

    async def write(self, brought: Sequence[Brought]) -> Sequence[int]:
        """As the port says."""
        async with self._memory.faults.call():
            for one in brought:
                for session in one.begun:
                    app = MemoryApp(session, b"{}", session.started_at, one.received_at)
                    self.apps.setdefault(session.session_id, app)
            fresh = self._write([row for one in brought for row in one.messages])
            received_at = max(one.received_at for one in brought)
            for change in merged(change for one in brought for change in one.changes).values():
                if change.session_id in self.apps:
                    _go_on(self.apps[change.session_id], change, received_at)
            self.watching.update(each for one in brought for each in one.watching if each[0] in self.apps)
        return [fresh] * len(brought)

    def _write(self, rows: Sequence[Stored]) -> int:
        fresh = 0
        for row in rows:
            key = (row.session_id, row.at, row.type, row.hash)
            if row.session_id in self.apps and key not in self.messages:
                self.messages[key] = row
                self.apps[row.session_id].undecodable += row.undecodable
                fresh += 1
        return fresh

    async def watched(self, user_id: str, device_id: str, target: Target, start: int, end: int) -> Sequence[Span]:
        """As the port says."""
        wanted: tuple[Any, ...] = (user_id, device_id, "mobile", target.room, *(target.content or (None, None)))
        async with self._memory.faults.call():
            found = [
                Span(row.session_id, row.started_at, row.last_sample_at or row.started_at)
                for row in self._memory.rows.sessions.values()
                if (row.user_id, row.device_id, row.door, row.room_id, row.kind, row.content_id) == wanted
            ]
        return sorted(
            (span for span in found if span.started_at <= end and span.last_at >= start),
            key=lambda span: span.started_at,
        )

    async def end_silent(self, before: int) -> int:
        """As the port says."""
        async with self._memory.faults.call():
            silent = [app for app in self.apps.values() if app.ended_at is None and app.alive_at < before][:SWEEP_ROWS]
            for app in silent:
                app.ended_at = app.active_at
        return len(silent)


def _go_on(app: MemoryApp, change: Change, received_at: int) -> None:
    active_at = max(app.active_at, change.active_at)
    newest_at = max(app.session.newest_at, change.newest_at)
    moved = active_at > app.active_at
    if moved:
        app.alive_at = max(app.alive_at, received_at)
    app.closed = app.closed or change.closing
    if app.closed or newest_at - active_at > SILENCE_MS:
        app.ended_at = active_at
    elif moved:
        app.ended_at = None
    app.active_at = active_at
    label = app.session.user_label if change.user_label is None else change.user_label
    lag = max(app.session.lag, change.lag)
    app.session = msgspec.structs.replace(app.session, newest_at=newest_at, user_label=label, lag=lag)
    if change.anonymous_label is not None:
        app.anonymous_label = change.anonymous_label
