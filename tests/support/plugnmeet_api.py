"""A plugNmeet server's API, as a stand-in: a real HTTP server that is as strict as the original and as bad as told.

    async with PlugNMeetStandIn() as stand_in:
        stand_in.recordings["r-1"] = File(10_000_000)
        ... PlugNMeetApi(stand_in.url, KEY, SECRET) ...

Signed requests are checked over their raw body. A download's token lasts `token_s`, and no download, redirected or
not, may carry a header of the API: what did is in `leaks`. Every request is counted in `asked`.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

from aiohttp import web

KEY = "plugnmeet"
SECRET = "zumyyYWqv7KR2kUqvYdq4z4sXg7XTBD2ljT6"
BLOCK = 1 << 20
API_HEADERS = ("API-KEY", "HASH-SIGNATURE")

Answer = dict[str, Any]


class File:
    """A file of `size` made-up bytes behind `head`, or of `content`. It is never held as a whole unless given so."""

    def __init__(
        self, size: int = 0, content: bytes | None = None, seed: bytes = b"rollcall", head: bytes = b""
    ) -> None:
        self.content = content
        self.head = head
        self.size = size if content is None else len(content)
        self.etag = f'"{secrets.token_hex(8)}"'
        self._block = hashlib.shake_256(seed).digest(BLOCK)

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`, at most a block of them."""
        if self.content is not None:
            return self.content[start : min(end, start + BLOCK)]
        if start < len(self.head):
            return self.head[start : min(end, start + BLOCK)]
        number, offset = divmod(start, BLOCK)
        block = number.to_bytes(8, "big") + self._block[8:]
        return block[offset : offset + min(end - start, BLOCK - offset)]

    @property
    def sha256(self) -> str:
        found, at = hashlib.sha256(), 0
        while at < self.size:
            piece = self.read(at, self.size)
            found.update(piece)
            at += len(piece)
        return found.hexdigest()


class PlugNMeetStandIn:
    """The switches change what it does from the next request on."""

    def __init__(self, key: str = KEY, secret: str = SECRET) -> None:
        self.key = key
        self.secret = secret
        self.recordings: dict[str, File] = {}
        self.artifacts: dict[str, File] = {}
        self.rooms: dict[str, Answer | Callable[[], Answer]] = {}
        """What `getActiveRoomInfo` says of a room: see `active_room`, `not_active`. Others are not known."""
        self.token_s = 1800.0
        self.honours_range = True
        self.redirects = False
        self.says_length = True
        self.break_at: list[int] = []
        """Bytes of a body after which the connection breaks, for the next downloads in turn."""
        self.refuse_tokens = 0
        """How many downloads are refused although their token is good."""
        self.fail: list[int] = []
        """Statuses for the next signed requests in turn, instead of an answer; 0 breaks the connection."""
        self.slow_s = 0.0
        """How long each block of a download takes."""
        self.hold: asyncio.Event | None = None
        """While it is set and not yet fired, a download waits after its first block."""
        self.asked: Counter[str] = Counter()
        self.bodies: list[tuple[str, Answer]] = []
        self.ranges: list[str] = []
        self.sent = 0
        self.leaks: list[str] = []
        self.refused: list[str] = []
        self.url = ""
        self.port = 0
        self._tokens: dict[str, tuple[float, File]] = {}
        self._runner: web.AppRunner | None = None

    # -- life ---------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()
        assert not self.leaks, self.leaks

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/auth/{rest:.+}", self._signed)
        app.router.add_get("/download/{kind}/{token}", self._download)
        app.router.add_get("/elsewhere/{token}", self._elsewhere)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    # -- signed -------------------------------------------------------------------------------------------------------

    async def _signed(self, request: web.Request) -> web.Response:
        path, body = request.path, await request.read()
        self.asked[path] += 1
        if self.fail:
            status = self.fail.pop(0)
            if status:
                return web.Response(status=status, text="out of order")
            assert request.transport is not None
            request.transport.abort()
        wanted = hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
        given = request.headers.get("HASH-SIGNATURE", "")
        if request.headers.get("API-KEY") != self.key or not hmac.compare_digest(wanted, given):
            self.refused.append(path)
            return _answer({"status": False, "msg": "Failed to verify provided authentication details."}, 401)
        asked: Answer = json.loads(body)
        self.bodies.append((path, asked))
        answers: dict[str, Callable[[Answer], Answer]] = {
            "/auth/recording/info": self._recording_info,
            "/auth/recording/getDownloadToken": lambda asked: self._token(self.recordings, asked["record_id"]),
            "/auth/artifact/getDownloadToken": lambda asked: self._token(self.artifacts, asked["artifact_id"]),
            "/auth/analytics/getDownloadToken": lambda asked: self._token(self.artifacts, asked["file_id"]),
            "/auth/room/getActiveRoomInfo": self._active_room,
        }
        made = answers.get(path)
        return web.Response(status=404) if made is None else _answer(made(asked))

    def _recording_info(self, asked: Answer) -> Answer:
        file = self.recordings.get(asked["record_id"])
        if file is None:
            return refusal("recording not found", "NOT_FOUND")
        info = {
            "record_id": asked["record_id"],
            "room_id": "room01",
            "room_sid": "7f867cd7-7956-4a17-af46-6ddd4015a497",
            "file_path": "../../etc/passwd",  # a name that nobody may use
            "file_size": round(file.size / 1e6, 2),
            "creation_time": "1760004000",
            "room_creation_time": "1760000000",
        }
        return {**SUCCESS, "recording_info": info, "room_info": {"room_id": "room01"}}

    def _token(self, files: dict[str, File], name: str) -> Answer:
        if name not in files:
            return refusal("not found", "NOT_FOUND")
        token = secrets.token_urlsafe(24)
        self._tokens[token] = (time.monotonic() + self.token_s, files[name])
        return {**SUCCESS, "token": token}

    def _active_room(self, asked: Answer) -> Answer:
        said = self.rooms.get(asked["room_id"], not_active("ROOM_NOT_FOUND"))
        return said() if callable(said) else said

    # -- downloads ----------------------------------------------------------------------------------------------------

    async def _download(self, request: web.Request) -> web.StreamResponse:
        self._count(request, f"/download/{request.match_info['kind']}")
        token = request.match_info["token"]
        if self._known(token) is None or self.refuse_tokens > 0:
            self.refuse_tokens -= 1
            return web.Response(status=401, text="token expired")
        if self.redirects:
            return web.Response(status=307, headers={"Location": f"/elsewhere/{token}"})
        return await self._send(request, self._tokens[token][1])

    async def _elsewhere(self, request: web.Request) -> web.StreamResponse:
        self._count(request, "/elsewhere")
        file = self._known(request.match_info["token"])
        return web.Response(status=403) if file is None else await self._send(request, file)

    def _known(self, token: str) -> File | None:
        until, file = self._tokens.get(token, (0.0, None))
        return file if time.monotonic() < until else None

    def _count(self, request: web.Request, what: str) -> None:
        self.asked[what] += 1
        self.leaks += [f"{what}: {name}" for name in API_HEADERS if name in request.headers]

    async def _send(self, request: web.Request, file: File) -> web.StreamResponse:
        start, status, headers = 0, 200, {"ETag": file.etag, "Content-Type": "video/mp4"}
        wanted = request.headers.get("Range")
        if wanted is not None:
            self.ranges.append(wanted)
        same = request.headers.get("If-Range", file.etag) == file.etag
        if wanted is not None and self.honours_range and same:
            found = re.fullmatch(r"bytes=(\d+)-", wanted)
            assert found, wanted
            start = int(found[1])
            if start >= file.size:
                return web.Response(status=416, headers={"Content-Range": f"bytes */{file.size}"})
            status = 206
            headers["Content-Range"] = f"bytes {start}-{file.size - 1}/{file.size}"
        response = web.StreamResponse(status=status, headers=headers)
        if self.says_length:
            response.content_length = file.size - start
        else:
            response.enable_chunked_encoding()
        await response.prepare(request)
        stop = self.break_at.pop(0) if self.break_at else None
        try:
            async for piece in self._pieces(file, start, file.size if stop is None else min(start + stop, file.size)):
                await response.write(piece)
                self.sent += len(piece)
        except ConnectionError:
            return response  # whoever fetched it has gone
        if stop is not None:
            assert request.transport is not None
            request.transport.abort()
            return response
        await response.write_eof()
        return response

    async def _pieces(self, file: File, start: int, end: int) -> AsyncIterator[bytes]:
        at = start
        while at < end:
            piece = file.read(at, end)
            yield piece
            at += len(piece)
            if self.slow_s:
                await asyncio.sleep(self.slow_s)
            if self.hold is not None:
                await self.hold.wait()


SUCCESS = {"status": True, "msg": "success", "status_code": "SUCCESS"}


def refusal(message: str, code: str) -> Answer:
    """How the server says no, with status 200."""
    return {"status": False, "msg": message, "status_code": code}


def not_active(code: str = "ROOM_NOT_ACTIVE") -> Answer:
    """`getActiveRoomInfo` of a room that is over, or was never known."""
    words = {"ROOM_NOT_ACTIVE": "room is not active", "ROOM_NOT_FOUND": "room not found in active state"}
    return refusal(words[code], code)


def active_room(room_id: str, sid: str, participants: list[Answer], **room: Any) -> Answer:
    """`getActiveRoomInfo` of a room that goes on; see `participant`."""
    info = {"room_id": room_id, "sid": sid, "is_running": 1, "is_breakout_room": 0, "metadata": "{}", **room}
    return {**SUCCESS, "room": {"room_info": info, "participants_info": participants}}


def participant(identity: str, sid: str, joined_at_ms: int, name: str = "", **metadata: Any) -> Answer:
    """One of `participants_info`: `metadata` is JSON inside a string, with `is_admin` and `ex_user_id`."""
    return {
        "sid": sid,
        "identity": identity,
        "state": "ACTIVE",
        "joined_at": str(joined_at_ms // 1000),
        "joined_at_ms": str(joined_at_ms),
        "name": name or identity,
        "metadata": json.dumps({"is_admin": False, **metadata}),
        "permission": {"hidden": False},
        "kind": "STANDARD",
    }


def _answer(value: Answer, status: int = 200) -> web.Response:
    return web.json_response(value, status=status)
