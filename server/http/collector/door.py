"""`POST /analytics/track/...`: views and engagement from servers and pages that do not wait (collector.md).

    write key -> body within its limit -> typed, or the field named -> gathered with others, committed -> 202

A page that leaves cannot set headers: then the key stands in the body, which has to be read first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import web

from actors.ports import StoreAway, StoreRefused
from protocol import collector
from protocol.collector import BadEvent, Kept, KeptBatch, Reader, Rejected, Taken
from server.http import bodies
from server.http.answers import MESSAGE_MAX, Problem, encode, invalid, unavailable
from server.http.keys import HEADER, Keys
from server.http.small import Small
from server.metrics import CollectorCounters
from storage.collector import CollectorStore, Post
from storage.gathering import Full, Gathering
from storage.keys import WriteKey

RIGHT: Final = "collect"
ACCEPTED: Final = 202
BATCH_EVENTS: Final = 2_000
"""Written together: some 50 ms of the database."""
PENDING_EVENTS: Final = 100_000
"""Taken in and not yet durable; beyond it events are refused with 503."""
LINGER_S: Final = 0.016
"""A busy collector writes sixty times a second: each write costs this process what ten events do, and nobody waits."""
PATIENCE_S: Final = 3.0
TOLD_AFTER_S: Final = 3.5
"""Clients give up after 5, of which looking up a key may take one."""
_NEW: Final = encode(Kept(1))
_KNOWN: Final = encode(Kept(0, duplicate=True))

Read = Callable[[bytes, int, int], Taken]


class CollectorDoor:
    """The handlers. One a process; to be made inside the running event loop. `now` Unix ms."""

    def __init__(
        self, store: CollectorStore, keys: Keys, counters: CollectorCounters, reader: Reader, now: Callable[[], int]
    ) -> None:
        self._keys = keys
        self._reader = reader
        self._counters = counters
        self._now = now
        self._held = bodies.Held()
        self._gathering = Gathering(
            store.keep,
            batch=BATCH_EVENTS,
            limit=PENDING_EVENTS,
            patience_s=PATIENCE_S,
            linger_s=LINGER_S,
            told_after_s=TOLD_AFTER_S,
        )

    async def view(self, request: web.Request) -> web.Response:
        """`POST /analytics/track/view`."""
        return await self._single(request, self._reader.view)

    async def engagement(self, request: web.Request) -> web.Response:
        """`POST /analytics/track/engagement`."""
        return await self._single(request, self._reader.engagement)

    async def batch(self, request: web.Request) -> web.Response:
        """`POST /analytics/track/batch`: good events are kept, bad ones are named."""
        key = await self._key_of_header(request, cost=0)
        with self._held.hold(request) as holding:
            data = await bodies.read(request, collector.BATCH_BYTES)
            holding.resize(len(data))
            key = key or await self._key_in(data, cost=0)
            try:
                taken, rejected = self._reader.batch(data, key.number, self._now())
            except BadEvent as bad:
                self._keys.charge(key, RIGHT, 1)
                raise self._bad(bad) from None
            count = len(taken.rows)
            self._keys.charge(key, RIGHT, max(1, count + len(rejected)))
            known = await self._keep(taken) if count else 0
        self._counters.rejected += len(rejected)
        return Small(encode(KeptBatch(count - known, known, [_clipped(each) for each in rejected])), ACCEPTED)

    async def _single(self, request: web.Request, read: Read) -> web.Response:
        key = await self._key_of_header(request)
        with self._held.hold(request) as holding:
            data = await bodies.read(request, collector.EVENT_BYTES)
            holding.resize(len(data))
            key = key or await self._key_in(data)
            try:
                taken = read(data, key.number, self._now())
            except BadEvent as bad:
                raise self._bad(bad) from None
            known = await self._keep(taken)
        return Small(_KNOWN if known else _NEW, ACCEPTED)

    async def _key_of_header(self, request: web.Request, cost: float = 1) -> WriteKey | None:
        secret = request.headers.get(HEADER)
        return None if secret is None else await self._keys.of_secret(secret, RIGHT, cost=cost)

    async def _key_in(self, data: bytes, cost: float = 1) -> WriteKey:
        return await self._keys.of_secret(collector.key_in(data), RIGHT, cost=cost)

    async def _keep(self, taken: Taken) -> int:
        """How many of them were known already, when all are durable. Raises `Problem` (503)."""
        count = len(taken.rows)
        try:
            known = await self._gathering.put(Post(taken), count)
        except Full:
            self._counters.unstored += count
            raise unavailable("too many events wait for storage: try again") from None
        except (StoreAway, StoreRefused) as error:
            self._counters.unstored += count
            raise unavailable() from error
        self._counters.accepted += count - known
        self._counters.duplicates += known
        return known

    def _bad(self, bad: BadEvent) -> Problem:
        self._counters.rejected += 1
        return invalid(f"{bad.message} - at `{f'$.{bad.field}' if bad.field else '$'}`")


def _clipped(rejected: Rejected) -> Rejected:
    return Rejected(rejected.index, _short(rejected.field), _short(rejected.message))


def _short(text: str) -> str:
    """What quotes the client's own words stays short, and can be written as JSON."""
    return text[:MESSAGE_MAX].encode("utf-8", "replace").decode()
