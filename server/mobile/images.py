"""`POST /v1/mobile/images`: images of an app session, all of a request or nothing (mobile-ingest.md, "images").

    token -> body, to disk -> its parts -> one file with all images -> store of files -> rows -> 200

Nothing of a request is in memory while it comes. It is read and unpacked in a thread, a few at once, since that costs
time; others wait in line, and where too many are at it the next one is told to come again.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final
from uuid import uuid4

import msgspec
import structlog
from aiohttp import hdrs, web

from actors.ports import StoreAway, StoreRefused
from protocol.codes import HttpError
from protocol.mobile import decode_project
from server.http import asking
from server.http.answers import Problem, unavailable
from server.http.keys import Keys
from server.http.small import Empty
from server.http.throttle import address_key
from server.mobile import images_unpacking as unpacking
from server.mobile.answers import refused
from server.mobile.images_archive import Limits
from server.mobile.images_parts import BadParts, boundary_of
from server.mobile.images_places import PLACES, Places
from server.mobile.images_unpacking import Refused, Sent
from server.mobile.sessions import AppSessions
from storage.files import Files, FilesAway
from storage.keys import Right, WriteKey
from storage.mobile import AppSession
from storage.mobile_images import Image, MobileImages, SessionGone, file_name

log = structlog.get_logger(__name__)

BODY_BYTES: Final = 10 * 1024 * 1024
RECEIVE_S: Final = 120.0
"""For a body: ten times the largest batch of messages, over the same lines."""
MEMORY_BYTES: Final = 256 * 1024
"""Of a body that is not worth a file."""
UNPACKED_AT_ONCE: Final = 2
"""Each holds its body in memory, and up to 64 MiB on disk until it is put away."""
MEDIA_TYPE: Final = "application/octet-stream"
NUMBER_DIGITS: Final = 16
RIGHT: Final[Right] = "mobile"


class Upload(msgspec.Struct, frozen=True):
    """A request that was unpacked: its images, and the local file with all of them."""

    images: list[Image]
    path: Path
    size: int


class ImageDoor:
    """The handler. One a process. `work` is a directory of this process's machine, made when it is needed."""

    def __init__(
        self,
        sessions: AppSessions,
        keys: Keys,
        images: MobileImages,
        files: Files,
        work: Path,
        counts: Counter[str],
        *,
        limits: Limits | None = None,
        places: int = PLACES,
        receive_s: float = RECEIVE_S,
    ) -> None:
        self._sessions = sessions
        self._keys = keys
        self._images = images
        self._files = files
        self._work = work
        self._counts = counts
        self._limits = limits or Limits()
        self._places = Places(places)
        self._receive_s = receive_s
        self._unpacking = asyncio.Semaphore(UNPACKED_AT_ONCE)

    @property
    def taken(self) -> int:
        """Requests that are at it."""
        return self._places.taken

    async def post(self, request: web.Request) -> web.Response:
        """200 without a body when all of it is durable. Raises `Problem`."""
        session = (await self._sessions.of_bearer(request, late=False)).session
        boundary = _boundary(request)
        if (request.content_length or 0) > BODY_BYTES:
            raise _over()
        if session is None:
            return Empty()
        key = await self._keys.project(RIGHT, name=session.project)
        if key is None:
            raise refused(401, "the project of this token is not active")
        with self._places.hold(session.session_id, address_key(request.remote)), _stored():
            await self._take(request, session, key, boundary)
        return Empty()

    async def _take(self, request: web.Request, session: AppSession, key: WriteKey, boundary: str) -> None:
        file = str(uuid4())
        path = self._work / file
        try:
            with await asyncio.to_thread(self._spool) as spool:
                await self._receive(request, spool)
                async with self._unpacking:
                    upload = await asyncio.to_thread(self._unpack, spool, boundary, key, path)
            await self._keep(upload, file, session)
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)

    def _spool(self) -> tempfile.SpooledTemporaryFile[bytes]:
        self._work.mkdir(mode=0o700, parents=True, exist_ok=True)
        return tempfile.SpooledTemporaryFile(MEMORY_BYTES, dir=str(self._work))

    async def _receive(self, request: web.Request, spool: IO[bytes]) -> None:
        size = 0
        try:
            async with asyncio.timeout(self._receive_s):
                async for piece in request.content.iter_any():
                    size += len(piece)
                    if size > BODY_BYTES:
                        raise _over()
                    await asyncio.to_thread(spool.write, piece)
        except TimeoutError:
            message = f"the body did not come within {self._receive_s:.0f} s"
            raise Problem(408, HttpError.REQUEST_TIMEOUT, message, {hdrs.CONNECTION: "close"}) from None
        except web.RequestPayloadError:
            raise refused(400, "the body's transfer coding is broken") from None

    def _unpack(self, spool: IO[bytes], boundary: str, key: WriteKey, path: Path) -> Upload:
        """Raises Refused, OSError. Blocks."""
        spool.seek(0)
        sent = unpacking.read(spool.read(), boundary)
        _check_project(sent, key)
        with path.open("xb") as file:
            images = unpacking.write(sent, file, self._limits)
        return Upload(images, path, path.stat().st_size)

    async def _keep(self, upload: Upload, file: str, session: AppSession) -> None:
        images = upload.images
        known = await self._images.known(session.session_id, [image.hash for image in images])
        fresh = [image for image in images if image.hash not in known]
        if fresh:
            if not await self._images.grows(file, session.session_id, len(images), upload.size):
                raise refused(413, "this session has all the images that it may have")
            try:
                await self._put(upload, file, session, fresh)
            except BaseException:
                await self._give_up(file)
                raise
        self._counts["kept"] += len(fresh)
        self._counts["again"] += len(images) - len(fresh)

    async def _put(self, upload: Upload, file: str, session: AppSession, fresh: list[Image]) -> None:
        await self._files.put(file_name(file), upload.path, MEDIA_TYPE)
        if not await self._images.keep(file, session.session_id, session.project, fresh):
            # It was swept before it was there: nobody else knows of it any more.
            await self._files.remove(file_name(file))
            raise unavailable("this took too long: try again")

    async def _give_up(self, file: str) -> None:
        """What is there of it goes with the next sweep. Where even this fails it goes in an hour."""
        with suppress(StoreAway, StoreRefused):
            await self._images.doom(file)


def _check_project(sent: Sent, key: WriteKey) -> None:
    """Raises Refused (401)."""
    own = sent.project_key in (None, key.name) and (sent.project_id is None or _number(sent.project_id) == key.number)
    if not own:
        raise Refused(401, "the token is another project's")


def _number(text: str) -> int | None:
    """A project's number, plain or encoded; None for what is neither."""
    if not (text.isascii() and text.isdigit() and len(text) <= NUMBER_DIGITS):
        return None
    decoded = decode_project(int(text))
    return int(text) if decoded is None else decoded


def _boundary(request: web.Request) -> str:
    try:
        boundary = boundary_of(request.headers.get(hdrs.CONTENT_TYPE, ""))
    except BadParts as error:
        raise refused(400, str(error)) from None
    if boundary is None:
        raise refused(415, "Content-Type must be multipart/form-data")
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower() != "identity":
        raise refused(415, "Content-Encoding must be absent")
    return boundary


@contextmanager
def _stored() -> Generator[None]:
    """What cannot be kept, or not now, as a `Problem`."""
    try:
        yield
    except Refused as error:
        raise refused(error.status, error.message) from None
    except SessionGone:
        raise refused(401, "there is no such session") from None
    except (StoreAway, StoreRefused) as error:
        raise asking.away(error) from error
    except (FilesAway, OSError) as error:
        log.warning("mobile_images.away", reason=str(error))
        raise unavailable("the store of files is away: try again") from error


def _over() -> Problem:
    return refused(413, f"the body is over {BODY_BYTES} bytes")
