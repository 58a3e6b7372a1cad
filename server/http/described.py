"""`/openapi.json` and `/docs`: what the server says of itself, made once at start, with nothing from elsewhere."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from importlib import resources
from typing import Final

import msgspec
from aiohttp import hdrs, web
from multidict import CIMultiDict

from server.http.answers import HEADERS, JSON_TYPE
from server.http.shell import Handler
from server.openapi import catalogue

PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_PAGE: Final = {
    "/docs": ("page.html", "text/html; charset=utf-8"),
    "/docs/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/docs/page.css": ("page.css", "text/css; charset=utf-8"),
}


class _Kept:
    """One document in memory, and its handler."""

    def __init__(self, body: bytes, media: str, policy: str | None) -> None:
        self._body = body
        self._etag = f'"{blake2b(body, digest_size=12).hexdigest()}"'
        self._headers = CIMultiDict(HEADERS)
        self._headers.update({hdrs.CONTENT_TYPE: media, hdrs.ETAG: self._etag, hdrs.CACHE_CONTROL: "no-cache"})
        if policy is not None:
            self._headers["Content-Security-Policy"] = policy

    async def read(self, request: web.Request) -> web.Response:
        """It, or 304."""
        headers = CIMultiDict(self._headers)
        if any(self._etag in tags for tags in request.headers.getall(hdrs.IF_NONE_MATCH, [])):
            del headers[hdrs.CONTENT_TYPE]
            return web.Response(status=304, headers=headers)
        return web.Response(body=self._body, headers=headers)


def routes(*, dev: bool) -> list[tuple[str, str, Handler]]:
    """The document and the page that shows it."""
    document = _Kept(_document(dev=dev), JSON_TYPE, None)
    found: list[tuple[str, str, Handler]] = [("GET", "/openapi.json", document.read)]
    folder = resources.files("server.openapi").joinpath("page")
    for path, (name, media) in _PAGE.items():
        found.append(("GET", path, _Kept(folder.joinpath(name).read_bytes(), media, PAGE_POLICY).read))
    return found


@cache
def _document(*, dev: bool) -> bytes:
    """The document as it is sent: of the code alone, so the same for every server of a process."""
    return msgspec.json.encode(catalogue.build(dev=dev))
