"""Around every handler: request id, error envelope, cross-origin rules, counting. One middleware, since each costs.

What leaves a handler as an error is answered here: a `Problem` as it says, aiohttp's own (no such path, no such
method) in the same envelope, and a crash as 500 with the request's id and a line in the log, never with a traceback.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Collection
from typing import Final

import structlog
from aiohttp import hdrs, web
from multidict import CIMultiDict

from protocol.codes import HttpError
from server.http.access import Access
from server.http.answers import HEADERS, Problem, failed, not_found, refusal, too_large
from server.metrics import EdgeCounters

log = structlog.get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REQUEST_ID: Final = "X-Request-Id"
PREFLIGHT_S: Final = "600"
ALLOWED: Final = (
    "authorization, content-encoding, content-type, if-none-match, if-range, range, "
    "x-experience-api-version, x-write-key"
)
EXPOSED: Final = f"Content-Disposition, Content-Range, ETag, Retry-After, {REQUEST_ID}"
_UNMATCHED: Final = "unmatched"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"})
_BAD_REQUEST: Final = 400
_NO_METHOD: Final = 405
_NO_CONTENT: Final = 204


class Shell:
    """The middleware. One a process. Paths of `unlimited` see to the limit per address themselves."""

    def __init__(
        self, access: Access, counters: EdgeCounters, origins: tuple[str, ...], unlimited: Collection[str] = ()
    ) -> None:
        self._access = access
        self._counters = counters
        self._origins = frozenset(origins)
        self._unlimited = frozenset(unlimited)
        self._ids = secrets.token_hex(4)
        self._count = 0
        self._names: dict[web.AbstractRoute, str] = {}

    def name_routes(self, app: web.Application) -> None:
        """Know the routes' names, which is what requests are counted by."""
        for route in app.router.routes():
            self._names[route] = route.resource.canonical if route.resource is not None else _UNMATCHED

    @web.middleware
    async def around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._count += 1
        request_id = f"{self._ids}-{self._count:x}"
        try:
            if request.method == "OPTIONS":
                response: web.StreamResponse = self._options(request)
            else:
                if request.path not in self._unlimited:
                    self._access.check_address(request)
                response = await handler(request)
        except Problem as problem:
            response = refusal(problem)
        except web.HTTPException as error:
            response = refusal(_translated(error))
        except ConnectionError:
            raise
        except Exception:
            log.exception("http.failed", request_id=request_id, route=self._route(request))
            response = refusal(failed(f"something went wrong here; it is in the log as request {request_id}"))
        response.headers[REQUEST_ID] = request_id
        if self._origins:
            self._share(request, response)
        self._counters.request(
            request.method if request.method in _METHODS else "other", self._route(request), response.status
        )
        return response

    def _route(self, request: web.Request) -> str:
        return self._names.get(request.match_info.route, _UNMATCHED)

    # -- other origins ------------------------------------------------------------------------------------------------

    def _options(self, request: web.Request) -> web.Response:
        error = request.match_info.http_exception
        if not isinstance(error, web.HTTPMethodNotAllowed):
            raise not_found("no such path")
        methods = ", ".join(sorted({*error.allowed_methods, "OPTIONS"}))
        headers = CIMultiDict(HEADERS)
        del headers[hdrs.CONTENT_TYPE]
        headers[hdrs.ALLOW] = methods
        if self._allowed(request):
            headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = methods
            headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = ALLOWED
            headers[hdrs.ACCESS_CONTROL_MAX_AGE] = PREFLIGHT_S
        return web.Response(status=_NO_CONTENT, headers=headers)

    def _allowed(self, request: web.Request) -> bool:
        return request.headers.get(hdrs.ORIGIN, "").lower() in self._origins

    def _share(self, request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        headers[hdrs.VARY] = f"{headers[hdrs.VARY]}, Origin" if hdrs.VARY in headers else "Origin"
        if self._allowed(request):
            headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = request.headers[hdrs.ORIGIN]
            headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED
            # A beacon is sent "with credentials"; there are no cookies here that this could open to anybody.
            headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"


def _translated(error: web.HTTPException) -> Problem:
    if isinstance(error, web.HTTPMethodNotAllowed):
        headers: dict[str, str] = {hdrs.ALLOW: ", ".join(sorted(error.allowed_methods))}
        return Problem(_NO_METHOD, HttpError.METHOD_NOT_ALLOWED, "no such method here", headers)
    if isinstance(error, web.HTTPNotFound):
        return not_found("no such path")
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return too_large("the body is too large")
    if _BAD_REQUEST <= error.status < 500:  # noqa: PLR2004 - the client's fault ends there
        return Problem(error.status, HttpError.VALIDATION_FAILED, error.reason)
    return failed(error.reason)


async def expect(request: web.Request) -> None:
    """`Expect: 100-continue` is answered; any other expectation is passed over, as RFC 9110 allows."""
    if request.version >= (1, 1) and request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
