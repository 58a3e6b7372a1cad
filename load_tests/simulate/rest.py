"""What is read back over REST, and the few things that staff does to a room."""

from __future__ import annotations

import asyncio
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from load_tests.simulate.stage import true_ms
from protocol.rest import (
    ClassDetailsAnswer,
    PresenceAnswer,
    RoomAnswer,
    RoomBody,
    SessionAnswer,
    TimelineAnswer,
)

REQUEST_TIMEOUT_S: Final = 15.0
RETRY_S: Final = 0.3
AT_ONCE: Final = 16
_FAULTS: Final = 500
_OK: Final = (200, 201, 204)
_TOO_MANY: Final = 429

T = TypeVar("T")


class Unreachable(Exception):
    """The server did not answer within the bound."""


class Declined(Exception):
    """The server answered with a refusal."""

    def __init__(self, what: str, status: int, text: str) -> None:
        super().__init__(f"{what}: {status} {text[:300]}")
        self.status = status


def _why(error: Exception) -> str:
    """In a few words; aiohttp's own speak of its settings too."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or str(error.os_error)
    return str(error) or type(error).__name__


class Rest:
    """The server's REST side. Every call is repeated while the server is away, up to `patience_s`."""

    def __init__(self, url: str, http: aiohttp.ClientSession, patience_s: float) -> None:
        self._url = url.rstrip("/")
        self._http = http
        self.patience_s = patience_s
        self._slots = asyncio.Semaphore(AT_ONCE)
        self.clock_ahead_ms = 0.0
        """Server clock minus ours to the second, by its `Date` header."""

    async def put_room(self, token: str, room: str, body: RoomBody) -> None:
        """Create or change a room."""
        await self._call("PUT", f"/api/v1/rooms/{quote(room, safe='')}", token, body=msgspec.json.encode(body))

    async def end_room(self, token: str, room: str) -> tuple[int, int]:
        """End a room. Returns our clock before and after, ms."""
        before = true_ms()
        await self._call("POST", f"/api/v1/rooms/{quote(room, safe='')}/end", token)
        return before, true_ms()

    async def room(self, token: str, room: str) -> RoomAnswer:
        """The room as dashboards see it."""
        return await self._read(RoomAnswer, f"/api/v1/rooms/{quote(room, safe='')}", token)

    async def timeline(self, token: str, room: str, step: int) -> TimelineAnswer:
        """Learners present per step."""
        return await self._read(TimelineAnswer, f"/api/v1/rooms/{quote(room, safe='')}/timeline", token, step=step)

    async def presence(self, token: str, room: str) -> list[str]:
        """Ids of everybody present, page after page."""
        members: list[str] = []
        cursor: str | None = None
        while True:
            query = {} if cursor is None else {"cursor": cursor}
            path = f"/api/v1/rooms/{quote(room, safe='')}/presence"
            page = await self._read(PresenceAnswer, path, token, **query)
            members += [member.user_id for member in page.members]
            cursor = page.next
            if cursor is None:
                return members

    async def session(self, token: str, session_id: str) -> SessionAnswer:
        """A session, as its learner reads it."""
        return await self._read(SessionAnswer, f"/api/v1/sessions/{session_id}", token)

    async def details(self, token: str, room: str, user_id: str) -> ClassDetailsAnswer:
        """A learner's attendance and study logs, as staff reads them."""
        path = "/api/v1/liveclass/details"
        return await self._read(ClassDetailsAnswer, path, token, live_class_id=room, user_id=user_id)

    async def look(self, token: str, path: str) -> bytes:
        """What stands at a path. Raises `Declined`, `Unreachable`."""
        return await self._call("GET", path, token)

    async def _read(self, kind: type[T], path: str, token: str, **query: Any) -> T:  # noqa: ANN401 - query values
        text = await self._call("GET", path, token, query)
        return msgspec.json.decode(text, type=kind)

    async def _call(
        self, method: str, path: str, token: str, query: dict[str, Any] | None = None, *, body: bytes | None = None
    ) -> bytes:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.patience_s
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        while True:
            try:
                async with (
                    self._slots,
                    asyncio.timeout(REQUEST_TIMEOUT_S),
                    self._http.request(method, self._url + path, params=query, data=body, headers=headers) as response,
                ):
                    text = await response.read()
                    self._look_at_clock(response)
                    status = response.status
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                if loop.time() > deadline:
                    raise Unreachable(f"{self._url} does not answer: {_why(error)}") from error
                await asyncio.sleep(RETRY_S)
                continue
            if status in _OK:
                return text
            if (status < _FAULTS and status != _TOO_MANY) or loop.time() > deadline:
                raise Declined(f"{method} {path}", status, text.decode(errors="replace"))
            await asyncio.sleep(RETRY_S)

    def _look_at_clock(self, response: aiohttp.ClientResponse) -> None:
        date = response.headers.get("Date")
        if date is not None:
            ahead = parsedate_to_datetime(date).timestamp() * 1000 + 500 - true_ms()
            self.clock_ahead_ms = ahead if abs(ahead) > 2000 else 0.0
