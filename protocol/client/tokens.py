"""The token, asked of whoever makes tokens when there is none, when the server refuses it, and before it expires."""

from __future__ import annotations

import asyncio
import base64
import inspect
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp
import msgspec

TokenProvider = Callable[[], "str | Awaitable[str]"]
"""Gives a valid token, at once or awaited. A network error (`OSError`, `TimeoutError`, `aiohttp.ClientError`) is tried
again with back-off; any other exception stops the client and reaches its callers."""

REFUSALS_MOST: Final = 2
"""A refused token, and the fresh one behind it: a third would be refused as well (docs/CLIENTS.md, checklist)."""


class TokenAway(ConnectionError):
    """The provider's own network failed: try again later."""


class _Claims(msgspec.Struct):
    exp: float | None = None


class Tokens:
    """One client's token, shared by its doors."""

    def __init__(self, source: str | TokenProvider) -> None:
        self._source = source
        self._token: str | None = source if isinstance(source, str) else None
        self._refusals = 0
        self._asking = asyncio.Lock()

    @property
    def renewable(self) -> bool:
        """Whether there can be another token than this one."""
        return not isinstance(self._source, str)

    async def current(self) -> str:
        """The token to use now. Raises `TokenAway`, and whatever else the provider raises."""
        async with self._asking:  # both doors may miss it at once
            if self._token is None:
                self._token = await self._provided()
            return self._token

    async def renewed(self) -> str:
        """A fresh token, where there can be one. Raises as `current`."""
        if not self.renewable:
            return await self.current()
        async with self._asking:
            self._token = await self._provided()
            return self._token

    def accepted(self) -> None:
        """The server took the token."""
        self._refusals = 0

    def refused(self, token: str) -> bool:
        """The server refused `token`; returns whether asking for another is worth a try."""
        if self._token is not None and token != self._token:
            return True  # the other door has seen to it
        self._refusals += 1
        if not self.renewable or self._refusals >= REFUSALS_MOST:
            return False
        self._token = None
        return True

    async def _provided(self) -> str:
        assert not isinstance(self._source, str)
        try:
            answer = self._source()
            return await answer if inspect.isawaitable(answer) else answer
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            message = f"no token: {error}"
            raise TokenAway(message) from error


def expiry_s(token: str) -> float | None:
    """When a JWT expires, Unix seconds by the server's clock; None where it does not say so. Nothing is verified."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, claims, signature
        return None
    try:
        claims = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(claims, type=_Claims).exp
    except (ValueError, msgspec.DecodeError):
        return None
