"""The client of the plugNmeet API (plugnmeet.md, "Calling the plugNmeet API").

    POST {base}/auth/...      signed; answers are JSON and small
    GET  {base}/download/...  never signed: the token in the path is what opens it, and redirects lead elsewhere

Three ways to fail: `ApiRefused` (it understood and said no), `TokenRefused` (a download's token is over or unknown: get
another one), `ApiAway` (everything else: try again later).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any, Final, cast

import aiohttp
import msgspec
from aiohttp import hdrs
from yarl import URL

ANSWER_BYTES_MAX: Final = 8 * 1024 * 1024
"""A room of some thousand participants with their metadata; tokens and infos are a few hundred bytes."""
TIMEOUT_S: Final = 15.0
SILENCE_S: Final = 60.0
"""How long a download may say nothing before it counts as broken. It has no bound in all: files are large."""
REDIRECTS_MAX: Final = 5
CONNECTIONS: Final = 16
READ_BYTES: Final = 256 * 1024
"""What a download holds in memory at most, twice over."""
MESSAGE_CHARS: Final = 300

_CONTENT_RANGE: Final = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


class ApiAway(Exception):
    """The server cannot be reached, is too slow, or answers what is no answer: try again later."""


class ApiRefused(Exception):
    """The server answered with `status: false`: `message` is its `msg`, `code` its `status_code`.

    Newer servers give a code by name, such as `ROOM_NOT_ACTIVE`, `ROOM_NOT_FOUND` or `NOT_FOUND`; older ones give none.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class TokenRefused(Exception):
    """A download's token is over, or never was."""


class RangeRefused(Exception):
    """The file has no byte at this place. `size` is the whole file's, where the server says."""

    def __init__(self, size: int | None) -> None:
        super().__init__("the server has no such range")
        self.size = size


class Download(msgspec.Struct, frozen=True):
    """A body on its way.

    `start` is the place of its first byte in the file: 0 where the server ignored the wish for a later one. `size` is
    the whole file's in bytes, None where the server does not say. `validator` tells one version of the file from
    another (its `ETag`, or `Last-Modified`), "" where there is none.
    """

    start: int
    size: int | None
    validator: str
    chunks: AsyncIterator[bytes]
    """Raises ApiAway where the connection breaks, or the body ends before its time."""


class PlugNMeetApi:
    """One a process. To be made inside a running event loop; `aclose` ends it."""

    def __init__(
        self, base_url: str, key: str, secret: str, *, timeout_s: float = TIMEOUT_S, silence_s: float = SILENCE_S
    ) -> None:
        self._base = base_url.rstrip("/")
        self._key = key
        self._secret = secret.encode("utf-8", "surrogateescape")
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._streaming = aiohttp.ClientTimeout(total=None, sock_connect=timeout_s, sock_read=silence_s)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={hdrs.USER_AGENT: "rollcall"},
            read_bufsize=READ_BYTES,
            auto_decompress=False,
        )

    async def aclose(self) -> None:
        """End all connections."""
        await self._session.close()

    # -- asking -------------------------------------------------------------------------------------------------------

    async def call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """`POST {base}{path}`, signed; returns the answer's object. `path` begins with `/auth/`.

        Raises ApiRefused, ApiAway.
        """
        data = msgspec.json.encode(body)
        headers = {
            hdrs.CONTENT_TYPE: "application/json",
            hdrs.ACCEPT_ENCODING: "identity",
            "API-KEY": self._key,
            "HASH-SIGNATURE": signature(self._secret, data),
        }
        try:
            # No redirects: a signed request is for this server alone.
            async with self._session.post(
                self._base + path, data=data, headers=headers, timeout=self._timeout, allow_redirects=False
            ) as answer:
                text = await _bounded(answer)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ApiAway(f"{path}: {_words(error)}") from error
        if answer.status != 200:  # noqa: PLR2004 - the one status of an answer
            raise ApiAway(f"{path}: status {answer.status}: {_clipped(text)}")
        return _checked(path, text)

    async def recording_info(self, record_id: str) -> dict[str, Any]:
        """What the server knows of a recording: `file_size` (MB), `room_id`, `creation_time`, ...

        Raises ApiRefused (it knows none), ApiAway.
        """
        answer = await self.call("/auth/recording/info", {"record_id": record_id})
        info = answer.get("recording_info", answer.get("recordingInfo"))
        return cast("dict[str, Any]", info) if isinstance(info, dict) else {}

    async def recording_token(self, record_id: str) -> str:
        """A token for `/download/recording/{token}`, good for half an hour or so. Raises ApiRefused, ApiAway."""
        return await self._token("/auth/recording/getDownloadToken", {"record_id": record_id})

    async def artifact_token(self, artifact_id: str) -> str:
        """A token for `/download/artifact/{token}`. Raises ApiRefused, ApiAway."""
        return await self._token("/auth/artifact/getDownloadToken", {"artifact_id": artifact_id})

    async def analytics_token(self, file_id: str) -> str:
        """A token for `/download/analytics/{token}`, as older servers have it. Raises ApiRefused, ApiAway."""
        return await self._token("/auth/analytics/getDownloadToken", {"file_id": file_id})

    async def active_room_info(self, room_id: str) -> dict[str, Any]:
        """Who is in a room now: `{"room_info": {...}, "participants_info": [...]}`.

        Raises ApiRefused where the room is not active (`code` `ROOM_NOT_ACTIVE` or `ROOM_NOT_FOUND`; older servers say
        so in words only), ApiAway.
        """
        answer = await self.call("/auth/room/getActiveRoomInfo", {"room_id": room_id})
        room = answer.get("room")
        if not isinstance(room, dict):
            raise ApiAway("/auth/room/getActiveRoomInfo: an answer without a room")
        return cast("dict[str, Any]", room)

    async def _token(self, path: str, body: dict[str, Any]) -> str:
        token = (await self.call(path, body)).get("token")
        if not (isinstance(token, str) and token):
            raise ApiAway(f"{path}: an answer without a token")
        return token

    # -- downloads ----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def download(self, kind: str, token: str, *, start: int = 0, validator: str = "") -> AsyncGenerator[Download]:
        """`GET {base}/download/{kind}/{token}` from byte `start` on, where the server can.

        `validator` is that of the bytes that are there already: another version of the file comes from its beginning.
        Raises TokenRefused, RangeRefused, ApiAway.
        """
        headers = {hdrs.ACCEPT_ENCODING: "identity"}
        if start:
            headers[hdrs.RANGE] = f"bytes={start}-"
            if validator and not validator.startswith("W/"):
                headers[hdrs.IF_RANGE] = validator
        url = URL(self._base) / "download" / kind / token
        try:
            answer = await self._session.get(url, headers=headers, timeout=self._streaming, max_redirects=REDIRECTS_MAX)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ApiAway(f"/download/{kind}: {_words(error)}") from error
        try:
            yield await _opened(answer, start)
        finally:
            answer.close()


def signature(secret: bytes, body: bytes) -> str:
    """`HASH-SIGNATURE` over a raw body."""
    return hmac.new(secret, body, sha256).hexdigest()


async def _opened(answer: aiohttp.ClientResponse, start: int) -> Download:
    status, total = answer.status, None
    ranged = _CONTENT_RANGE.fullmatch(answer.headers.get(hdrs.CONTENT_RANGE, ""))
    if ranged and ranged[3] != "*":
        total = int(ranged[3])
    if status in (401, 403):
        raise TokenRefused
    if status == 416:  # noqa: PLR2004 - range not satisfiable
        raise RangeRefused(total)
    if status not in (200, 206):
        raise ApiAway(f"the download answered with status {status}: {_clipped(await _beginning(answer))}")
    if answer.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise ApiAway("the download came packed, which nobody asked for")
    validator: str = answer.headers.get(hdrs.ETAG) or answer.headers.get(hdrs.LAST_MODIFIED) or ""
    if status == 200:  # noqa: PLR2004 - all of it
        return Download(0, answer.content_length, validator, _chunks(answer, answer.content_length))
    if ranged is None or ranged[1] is None or int(ranged[1]) != start:
        raise ApiAway("the download came from another place than asked for")
    length = int(ranged[2]) - start + 1
    return Download(start, total, validator, _chunks(answer, length))


async def _chunks(answer: aiohttp.ClientResponse, length: int | None) -> AsyncIterator[bytes]:
    """The body, piece by piece. A body that is shorter than it said is a broken connection."""
    came = 0
    try:
        async for chunk in answer.content.iter_any():
            came += len(chunk)
            yield chunk
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ApiAway(f"the download broke: {_words(error)}") from error
    if length is not None and came != length:
        raise ApiAway(f"the download ended after {came} of {length} bytes")


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise ApiAway(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
    return bytes(body)


async def _beginning(answer: aiohttp.ClientResponse) -> bytes:
    """The first words of what is no file."""
    try:
        return await answer.content.read(MESSAGE_CHARS)
    except (aiohttp.ClientError, TimeoutError, OSError):
        return b""


def _checked(path: str, text: bytes) -> dict[str, Any]:
    try:
        answer = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ApiAway(f"{path}: the answer is no JSON") from error
    if not isinstance(answer, dict):
        raise ApiAway(f"{path}: the answer is no object")
    fields = cast("dict[str, Any]", answer)
    if fields.get("status") is not True:
        code = fields.get("status_code", fields.get("statusCode", ""))
        raise ApiRefused(_clipped(str(fields.get("msg", "")).encode()) or "refused without a word", str(code))
    return fields


def _clipped(text: bytes) -> str:
    """Somebody else's words, fit for one line."""
    words = " ".join(text[: 4 * MESSAGE_CHARS].decode("utf-8", "replace").split())
    return "".join(letter for letter in words if letter.isprintable())[:MESSAGE_CHARS]


def _words(error: BaseException) -> str:
    if isinstance(error, aiohttp.InvalidURL | aiohttp.ClientResponseError):
        return type(error).__name__  # their text has the URL, and with it the token
    return " ".join(str(error).split())[:MESSAGE_CHARS] or type(error).__name__
