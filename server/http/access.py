"""Who asks, how often, and whether they may."""

from __future__ import annotations

import time
from typing import Final

from aiohttp import hdrs, web

from actors.clock import ServerClock
from server.auth import AuthError, Claims, UnknownKeyError, Verifier
from server.config import Settings
from server.http.answers import Problem, forbidden, rate_limited, unauthenticated
from server.http.throttle import Throttle, address_key

_SCHEME: Final = "bearer "


def bearer(request: web.Request) -> str | None:
    """The token of the `Authorization` header."""
    header = request.headers.get(hdrs.AUTHORIZATION)
    if header is None:
        return None
    if header[:7].lower() != _SCHEME:
        raise unauthenticated("Authorization must be `Bearer <token>`", given=True)
    return header[7:].strip()


def is_staff(claims: Claims) -> bool:
    """Whether the bearer may see and do what learners may not."""
    return claims.role != "learner"


class Access:
    """One a process."""

    def __init__(self, verifier: Verifier, clock: ServerClock, settings: Settings) -> None:
        self._verifier = verifier
        self._clock = clock
        self._users = Throttle(settings.messages_per_second, settings.messages_burst)
        rate = settings.address_requests_per_second
        self._addresses = Throttle(rate, 2 * rate) if rate else None

    def check_address(self, request: web.Request) -> None:
        """Raises `Problem` (429) where requests per address are limited and this one has had its share."""
        if self._addresses is not None:
            wait = self._addresses.take(address_key(request.remote), time.monotonic())
            if wait:
                raise rate_limited(wait)

    async def claims(self, token: str | None) -> Claims:
        """The bearer of a token. Raises `Problem`: 401, or 429 over the bearer's rate."""
        if token is None:
            raise unauthenticated("a token is needed: Authorization: Bearer <token>", given=False)
        now = self._clock.now() / 1000
        try:
            claims = self._verifier.verify(token, now)
        except UnknownKeyError:
            claims = await self._look_up(token, now)
        except AuthError as error:
            raise _refused(error) from None
        wait = self._users.take(claims.user_id, time.monotonic())
        if wait:
            raise rate_limited(wait)
        return claims

    async def _look_up(self, token: str, now: float) -> Claims:
        try:
            return await self._verifier.authenticate(token, now)
        except AuthError as error:
            raise _refused(error) from None

    async def anybody(self, request: web.Request) -> Claims:
        """Whoever has a token."""
        return await self.claims(bearer(request))

    async def staff(self, request: web.Request) -> Claims:
        """Staff and admin only; raises `Problem` (403) for others."""
        claims = await self.claims(bearer(request))
        if not is_staff(claims):
            raise forbidden("this is for staff")
        return claims


def _refused(error: AuthError) -> Problem:
    return unauthenticated(error.reason, given=True)
