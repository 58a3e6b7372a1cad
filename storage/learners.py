"""All that the store has of one learner: to be given out, and to be erased.

Tables are found by their column `user_id` (0016_learners.sql). What names learners inside a body is searched here:
snapshots, messages that wait to be published, raw webhooks, inputs that were set aside.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Final, Literal

import msgspec

from actors import snapshots
from actors.machines.forgetting import mentions
from actors.ports import ROOM, Kind, StoreRefused
from storage.postgres import Database
from storage.sql import statements

PAGE: Final = 200
_BODIES: Final = 100
What = Literal["save", "erase"]

_WORD: Final = rb"[0-9A-Za-z_-]"


class Held(msgspec.Struct, frozen=True):
    """A row with something of the learner; `content` is JSON."""

    table: str
    content: msgspec.Raw


class Learners:
    """Raises StoreAway, StoreRefused."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # -- giving out ---------------------------------------------------------------------------------------------------

    async def rows(self, user_id: str) -> AsyncGenerator[Held]:
        """Every row of every table, then what bodies hold of them. Close it, where not all is read: it has a cursor."""
        # A cursor: a learner of many years has more rows than should be held at once.
        async with self._database.transaction() as connection:
            async for record in connection.cursor(statements()["learner_rows"], user_id, prefetch=PAGE):
                yield Held(record["relation"], msgspec.Raw(record["content"].encode()))
            async for record in connection.cursor(statements()["mobile_of_label"], user_id, prefetch=PAGE):
                yield Held(record["relation"], msgspec.Raw(record["content"].encode()))
        for record in await self._database.fetch("outbox_of_learner", user_id):
            yield Held("outbox", msgspec.Raw(record["body"].encode()))
        async for kind, key in self.snapshots_with(user_id):
            found = await self._database.fetch("load_snapshots", kind, [key])
            if found:
                yield Held("actors", _of_snapshot(kind, key, found[0]["body"], user_id))
        async for _, body in self._webhooks(user_id):
            yield Held("webhooks", msgspec.Raw(msgspec.json.encode({"body": body.decode("utf-8", "replace")})))
        async for _, body in self._set_aside(user_id):
            yield Held("quarantine", msgspec.Raw(msgspec.json.encode({"event": msgspec.msgpack.decode(body)})))

    async def snapshots_with(self, user_id: str) -> AsyncIterator[tuple[Kind, str]]:
        """Kind and key of each stored actor that says anything of the learner."""
        place: tuple[int, str] = (-1, "")
        while True:
            page = await self._database.fetch("snapshots_page", *place, PAGE)
            for record in page:
                if snapshot_mentions(record["kind"], record["body"], user_id):
                    yield record["kind"], record["key"]
            if len(page) < PAGE:
                return
            place = page[-1]["kind"], page[-1]["key"]

    # -- erasing ------------------------------------------------------------------------------------------------------

    async def erase(self, user_id: str) -> dict[str, int]:
        """From every table but those that actors write; returns how many rows went, by table. Again: nothing."""
        rooms = [record[0] for record in await self._database.fetch("rooms_of_learner", user_id)]
        outbox = [record["id"] for record in await self._database.fetch("outbox_of_learner", user_id)]
        webhooks = [key async for key, _ in self._webhooks(user_id)]
        aside = [key async for key, _ in self._set_aside(user_id)]
        async with self._database.transaction() as connection:
            found = await connection.fetch(statements()["erase_learner"], user_id)
            gone = {record["relation"]: record["gone"] for record in found}
            await connection.execute(statements()["erase_mobile_anonymous"], user_id)
            await connection.execute(statements()["erase_mobile_named"], user_id)
            await connection.execute(statements()["erase_mobile_labels"], user_id)
            await connection.execute(statements()["erase_outbox"], outbox)
            await connection.execute(statements()["erase_collected_of"], user_id)
            await connection.execute(statements()["erase_webhooks"], webhooks)
            await connection.execute(statements()["erase_quarantine"], aside)
            await connection.execute(statements()["recount_attended"], rooms)
        bodies = {"outbox": outbox, "webhooks": webhooks, "quarantine": aside}
        return gone | {name: len(keys) for name, keys in bodies.items() if keys}

    async def _webhooks(self, user_id: str) -> AsyncIterator[tuple[int, bytes]]:
        after, more = 0, True
        while more:
            page = await self._database.fetch("webhooks_with", user_id, after, _BODIES)
            for seq, body in page:
                after = seq
                if means(body, user_id):
                    yield seq, body
            more = len(page) == _BODIES

    async def _set_aside(self, user_id: str) -> AsyncIterator[tuple[int, bytes]]:
        after, more = 0, True
        while more:
            page = await self._database.fetch("quarantine_with", user_id, after, _BODIES)
            for number, event in page:
                after = number
                if _holds_packed(event, user_id):
                    yield number, event
            more = len(page) == _BODIES

    # -- asking the running server ------------------------------------------------------------------------------------

    async def server_lives(self) -> bool:
        """Whether some server holds its leases."""
        record = await self._database.fetchrow("server_lives")
        return record is not None and bool(record["lives"])

    async def ask(self, user_id: str, what: What) -> None:
        """Have the running server do it."""
        await self._database.fetch("ask_of_server", user_id, what)

    async def asked(self, limit: int) -> list[tuple[str, What]]:
        """What is to be done, the oldest first."""
        return [(record[0], record[1]) for record in await self._database.fetch("asked_of_server", limit)]

    async def state(self, user_id: str, what: What) -> tuple[bool, str | None]:
        """Whether it is done, and why it failed."""
        record = await self._database.fetchrow("request_state", user_id, what)
        return record is None, None if record is None else record["failure"]

    async def done(self, user_id: str, what: What) -> None:
        """It is done, or not wanted any more."""
        await self._database.fetch("request_done", user_id, what)

    async def failed(self, user_id: str, what: What, why: str) -> None:
        """It cannot be done."""
        await self._database.fetch("request_failed", user_id, what, why)


# -- bodies -----------------------------------------------------------------------------------------------------------


def snapshot_mentions(kind: Kind, body: bytes, user_id: str) -> bool:
    """Whether a snapshot says anything of the learner; only where the bytes occur is it read."""
    if user_id.encode() not in snapshots.unpacked(body):
        return False
    if kind == ROOM:
        return mentions(snapshots.room_state(body), user_id)
    return snapshots.watch_state(body).user_id == user_id


def contains(value: Any, user_id: str) -> bool:  # noqa: ANN401 - any tree
    """Whether the id is one of the tree's strings or keys; as a phone's twin, or a number, too."""
    stack = [value]
    while stack:
        each = stack.pop()
        if isinstance(each, dict):
            stack += each.keys()
            stack += each.values()
        elif isinstance(each, list | tuple):
            stack += each
        elif isinstance(each, str) and each.removesuffix("-native") == user_id:
            return True
    return False


def means(body: bytes, user_id: str) -> bool:
    """Whether a raw message is about the learner. What cannot be read goes if the id stands in it as a word."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return re.search(rb"(?<!%s)%s(?!%s)" % (_WORD, re.escape(user_id.encode()), _WORD), body) is not None
    return contains(_texts(found), user_id)


def _texts(value: Any) -> Any:  # noqa: ANN401 - JSON
    """JSON with its numbers as text: an id may be one; and with the JSON that stands in its strings."""
    if isinstance(value, dict):
        return [[key, _texts(each)] for key, each in value.items()]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [_texts(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return _texts(msgspec.json.decode(value))
        except (msgspec.DecodeError, RecursionError):
            return value
    return str(value) if isinstance(value, int) else value


def _holds_packed(body: bytes, user_id: str) -> bool:
    try:
        return contains(msgspec.msgpack.decode(body), user_id)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True


def _of_snapshot(kind: Kind, key: str, body: bytes, user_id: str) -> msgspec.Raw:
    """What an actor keeps of the learner, as JSON."""
    found: dict[str, Any] = {"kind": "room" if kind == ROOM else "watch", "key": key}
    if kind == ROOM:
        state = snapshots.room_state(body)
        conference = state.conference
        found["member"] = state.members.get(user_id)
        found["sessions"] = {name: each for name, each in state.sessions.items() if each.user_id == user_id}
        found["stays"] = [sid for sid, owner in conference.owners.items() if owner == user_id]
        found["identities"] = [name for name, owner in conference.aliases.items() if owner == user_id]
        found["devices"] = [each for each in conference.tracks.values() if each.identity == user_id]
    else:
        found["session"] = snapshots.watch_state(body)
    try:
        return msgspec.Raw(msgspec.json.encode(found))
    except (msgspec.EncodeError, TypeError, UnicodeError) as error:
        raise StoreRefused(f"what {key} holds cannot be written as JSON: {error}") from error
