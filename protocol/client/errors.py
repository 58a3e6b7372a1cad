"""What the client raises. Everything that a retry can cure is retried and never raised.

RollcallError
Closed            the client is over: closed here, or by a server that does not want it back
Unacknowledged    closed at the deadline, with samples or events that the server had not acknowledged
BufferFull        as much is kept as may be: what was offered is not taken
Refused           the server will not, and trying again would not help: `code` says why
Unauthenticated   the token is missing, forged, expired, and a fresh one did not help
Forbidden         this user may not do that
NotFound          no such room, content or session
Conflict          the session is another learner's
RoomCancelled     the class was cancelled
"""

from __future__ import annotations

from typing import Final

from protocol.codes import ErrorCode, HttpError


class RollcallError(Exception):
    """Everything that this client raises."""


class Closed(RollcallError):
    """The client was closed, by itself or by a server that does not want it back."""


class Unacknowledged(RollcallError):
    """The deadline of a close passed with `count` samples or events unacknowledged. They are lost with the client."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} were not acknowledged in time")
        self.count = count


class BufferFull(RollcallError):
    """`limit` of them wait for the server already: this one was not taken, and nothing older was given up."""

    def __init__(self, limit: int, what: str = "samples") -> None:
        super().__init__(f"{limit} {what} wait for the server: no more are taken")
        self.limit = limit


class Refused(RollcallError):
    """The server will not, and trying again would not help. `code` is the wire's (`ErrorCode`, `HttpError`)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class Unauthenticated(Refused):
    """The server refuses the token, and the provider had no better one."""


class Forbidden(Refused):
    """This user may not do that."""


class NotFound(Refused):
    """No such room, content or session."""


class Conflict(Refused):
    """The session is another learner's, or the class was cancelled (HTTP 409)."""


class RoomCancelled(Refused):
    """The class was cancelled."""


_KINDS: Final[dict[str, type[Refused]]] = {
    ErrorCode.UNAUTHENTICATED: Unauthenticated,
    ErrorCode.FORBIDDEN: Forbidden,
    ErrorCode.NOT_FOUND: NotFound,
    ErrorCode.ROOM_CANCELLED: RoomCancelled,
    HttpError.UNAUTHENTICATED: Unauthenticated,
    HttpError.FORBIDDEN: Forbidden,
    HttpError.NOT_FOUND: NotFound,
    HttpError.CONFLICT: Conflict,
}


def refusal(code: str, message: str) -> Refused:
    """The exception of a code, from either door."""
    return _KINDS.get(code, Refused)(code, message)
