"""App sessions of mobile SDKs, as staff read them (mobile-ingest.md, reading 11)."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import asyncpg
import msgspec

from storage.postgres import Database

SESSION_ID_MAX: Final = 2**63 - 1
FROM: Final = 0
TO: Final = 253_402_300_800_000
"""The year 10000."""
PAGE_BYTES: Final = 1024 * 1024
"""Of bodies on a page of messages; of a message that weighs more so much is a page of its own."""
WATCH_SESSIONS_MAX: Final = 1_000


class SessionPlace(NamedTuple):
    """A session in the list: what begins before it, the newest first, is behind it. Unix ms."""

    started_at: int
    session_id: int


class MessagePlace(NamedTuple):
    """A message in a session. `at` Unix ms."""

    at: int
    type: int
    hash: bytes


FIRST_SESSION: Final = SessionPlace(TO, SESSION_ID_MAX)
FIRST_MESSAGE: Final = MessagePlace(FROM, -(2**63), b"")


class ListedSession(msgspec.Struct, frozen=True):
    """A row of the list. Times Unix ms."""

    session_id: int
    project: str
    user_id: str | None
    user_uuid: str
    started_at: int
    ended_at: int | None


class WholeSession(msgspec.Struct, frozen=True):
    """One session; `device` is what the app said of itself."""

    listed: ListedSession
    user_label: str | None
    anonymous_label: str | None
    device: dict[str, Any]
    undecodable: int


class StoredMessage(msgspec.Struct, frozen=True):
    """A message; its body as it was sent, without its head. `size`: of the whole body, of which this may be a piece."""

    place: MessagePlace
    body: bytes
    undecodable: bool
    size: int


class Wanted(msgspec.Struct, frozen=True):
    """Which sessions: of a learner, of a project, that began in [start, end) (Unix ms)."""

    user_id: str | None = None
    project: str | None = None
    start: int = FROM
    end: int = TO


class MobileReading:
    """Raises StoreAway, StoreRefused."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sessions(self, wanted: Wanted, behind: SessionPlace, limit: int) -> list[ListedSession]:
        """At most `limit` sessions behind a place, the newest first."""
        window = (wanted.start, wanted.end, *behind, limit)
        if wanted.user_id is not None:
            found = await self._database.fetch("mobile_sessions_of_user", *window, wanted.user_id, wanted.project)
        elif wanted.project is not None:
            found = await self._database.fetch("mobile_sessions_of_project", *window, wanted.project)
        else:
            found = await self._database.fetch("mobile_sessions_page", *window)
        return [_listed(record) for record in found]

    async def session(self, session_id: int) -> WholeSession | None:
        """One; None where there is none."""
        record = await self._database.fetchrow("mobile_session", session_id)
        if record is None:
            return None
        device = msgspec.json.decode(record["device"], type=dict[str, Any])
        labels = (record["user_label"], record["anonymous_label"])
        return WholeSession(_listed(record), *labels, device, record["undecodable"])

    async def messages(
        self, session_id: int, behind: MessagePlace, limit: int, *, page_bytes: int = PAGE_BYTES
    ) -> tuple[list[StoredMessage], bool]:
        """At most `limit` messages behind a place, by time, fewer where they weigh more; and whether there are more."""
        found = await self._database.fetch("mobile_messages_page", session_id, *behind, limit + 1, page_bytes)
        messages = [_message(record) for record in found[:limit]]
        return messages, bool(found) and found[0]["there"] > len(messages)

    async def watch_sessions(self, session_id: int) -> list[str]:
        """Ids of the watch sessions that its samples went to; at most a thousand."""
        found = await self._database.fetch("mobile_watch_sessions_of", session_id, WATCH_SESSIONS_MAX)
        return [record[0] for record in found]


def _message(record: asyncpg.Record) -> StoredMessage:
    place = MessagePlace(record["at"], record["type"], record["hash"])
    return StoredMessage(place, record["body"], record["undecodable"], record["weight"])


def _listed(record: asyncpg.Record) -> ListedSession:
    return ListedSession(
        record["session_id"],
        record["project"],
        record["user_id"],
        record["user_uuid"],
        record["started_at"],
        record["ended_at"],
    )
