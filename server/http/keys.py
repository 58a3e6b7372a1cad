"""`X-Write-Key`: who sends from server to server, and with what right (collector.md).

Keys are held in memory and read again every two seconds where somebody uses one, so a key that is made, revoked or
changed is known within that time on every node. Missing and unknown keys get one answer on one path, and an unknown key
is looked up by its digest: how long that takes tells nothing of any key.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable, Mapping
from typing import Final

import structlog
from aiohttp import hdrs, web

from actors.ports import StoreAway, StoreRefused
from protocol.codes import HttpError
from server.http.answers import Problem, forbidden, rate_limited, unavailable
from server.http.throttle import Throttle
from storage.keys import KeyStore, Right, WriteKey, digest_of

log = structlog.get_logger(__name__)

HEADER: Final = "X-Write-Key"
FRESH_S: Final = 2.0
LOOK_AGAIN_S: Final = 0.25
"""An unknown key may have been made just now; but strangers cannot make the database work harder than this."""
STALE_S: Final = 10.0
"""Nothing is believed that was read longer ago: a key may have been revoked since."""
READ_S: Final = 1.0
"""A storage that takes longer is waited for by nobody: senders give up after 5 s, and must hear before."""
KEY_CHARS: Final = 256


class Keys:
    """One a process. `rate` requests a second and key, twice as many at once; for rights in `rates` that many."""

    def __init__(
        self,
        store: KeyStore,
        now: Callable[[], int],
        rate: float,
        monotonic: Callable[[], float] = time.monotonic,
        rates: Mapping[Right, float] | None = None,
    ) -> None:
        self._store = store
        self._now = now
        self._monotonic = monotonic
        self._throttle = Throttle(rate, 2 * rate)
        self._throttles = {right: Throttle(each, 2 * each) for right, each in (rates or {}).items()}
        self._known: dict[bytes, WriteKey] = {}
        self._by_name: dict[str, WriteKey] = {}
        self._by_number: dict[int, WriteKey] = {}
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def require(
        self, request: web.Request, right: Right, given: str | None = None, *, cost: float = 1
    ) -> WriteKey:
        """The key of a request; `given` is one that stands elsewhere than in the header, which wins.

        `cost` is how many requests it counts as. Raises `Problem`: 401, 403, 429, 503.
        """
        return await self.of_secret(request.headers.get(HEADER, given or ""), right, cost=cost)

    async def of_secret(self, secret: str, right: Right, *, cost: float = 1) -> WriteKey:
        """The key that somebody shows, wherever it stood; at no `cost` only one far over its rate is refused.

        Raises `Problem`: 401, 403, 429, 503.
        """
        key = await self._find(secret)
        if key is None:
            raise _unknown()
        state = key.state(self._now())
        if state != "valid":
            raise forbidden(f"this key is {state}")
        if right not in key.rights:
            raise forbidden(f"this key has no right to `{right}`")
        self.charge(key, right, cost)
        return key

    def charge(self, key: WriteKey, right: Right, cost: float) -> None:
        """Count so many requests more: how many a body stands for is seen when it is read. Raises `Problem` (429)."""
        throttle = self._throttles.get(right, self._throttle)
        wait = throttle.take(key.name, self._monotonic(), cost)
        if wait:
            raise rate_limited(wait)

    async def project(self, right: Right, *, name: str | None = None, number: int | None = None) -> WriteKey | None:
        """A valid key with that right by its public name or number; None where there is none. Raises `Problem` (503).

        Neither is a secret: whoever names a project proves nothing.
        """
        found = self._named(right, name, number)
        if self._monotonic() - self._read_at > (LOOK_AGAIN_S if found is None else FRESH_S):
            await self._refresh(known=found is not None)
            found = self._named(right, name, number)
        return found

    def _named(self, right: Right, name: str | None, number: int | None) -> WriteKey | None:
        key = self._by_name.get(name) if name is not None else self._by_number.get(number or 0)
        return key if key is not None and right in key.rights and key.state(self._now()) == "valid" else None

    async def _find(self, given: str) -> WriteKey | None:
        digest = digest_of(given[:KEY_CHARS])
        found = self._known.get(digest)
        age = self._monotonic() - self._read_at
        if age > (LOOK_AGAIN_S if found is None else FRESH_S):
            await self._refresh(known=found is not None)
            found = self._known.get(digest)
        return found if found is not None and hmac.compare_digest(found.digest, digest) else None

    async def _refresh(self, *, known: bool) -> None:
        """Read all keys, once for all who wait.

        Raises `Problem` (503) where they cannot be, and the one that is asked for is not `known` or too old to go by.
        """
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="read write keys")
        try:
            # One who gives up must not take the answer from the others.
            async with asyncio.timeout(READ_S):
                await asyncio.shield(self._reading)
        except (StoreAway, StoreRefused, TimeoutError) as error:
            if not known or self._monotonic() - self._read_at > STALE_S:
                raise unavailable() from error

    async def _read(self) -> None:
        began = self._monotonic()
        try:
            keys = await self._store.keys()
            self._known = {key.digest: key for key in keys}
            self._by_name = {key.name: key for key in keys}
            self._by_number = {key.number: key for key in keys}
            self._read_at = began
        finally:
            self._reading = None


async def require_key(keys: Keys, request: web.Request, right: Right) -> str:
    """The name of the key that a request came with. Raises `Problem`: 401, 403, 429, 503."""
    return (await keys.require(request, right)).name


def _unknown() -> Problem:
    headers: dict[str, str] = {hdrs.WWW_AUTHENTICATE: f'WriteKey realm="rollcall", header="{HEADER}"'}
    return Problem(401, HttpError.UNAUTHENTICATED, f"a valid write key is needed in {HEADER}", headers)
