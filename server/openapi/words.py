"""What is said of one operation. The words are data; `document` turns them into OpenAPI."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, Literal

import msgspec

from protocol.codes import HttpError

Schema = Mapping[str, Any]
JSON: Final = "application/json"


class Security(Enum):
    """Who may ask."""

    NOBODY_ASKED = "nobody"
    BEARER = "bearer"
    BEARER_OR_BODY = "bearer or body"
    """The token may stand in the body, as beacons send it."""
    WRITE_KEY = "write key"
    KEY_OR_BASIC = "write key or basic"
    """The write key may be the password of Basic authentication, under any name."""
    SIGNED = "signed"
    """A webhook of a conference server."""


class Parameter(msgspec.Struct, frozen=True):
    """In the path where the path names it, else in the query (or a header)."""

    name: str
    schema: Schema
    description: str
    required: bool = False
    place: Literal["path", "query", "header"] = "query"


class Body(msgspec.Struct, frozen=True):
    """`type` is the msgspec type that decodes it, or a schema where another reader does. `also`: other media types."""

    type: Any
    description: str = ""
    media: str = JSON
    also: tuple[str, ...] = ()
    narrowed: Schema = {}
    """What the schema of the type cannot say."""
    required: bool = True


class Answer(msgspec.Struct, frozen=True):
    """`type` is the msgspec type that is encoded; a schema where it is no JSON of ours; None where there is no body."""

    status: int
    description: str
    type: Any = None
    media: str = JSON
    headers: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    """Further media types with plain text in them."""


class Refusal(msgspec.Struct, frozen=True):
    """One status of the error envelope, and the codes it comes with."""

    status: int
    codes: tuple[HttpError, ...]
    description: str
    headers: tuple[str, ...] = ()


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path. `name` is its `operationId`, and the name of its example's file."""

    method: str
    path: str
    name: str
    tag: str
    summary: str
    description: str = ""
    security: Security = Security.BEARER
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    answers: tuple[Answer, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    cached: bool = False
    """It carries an ETag and answers `If-None-Match` with 304."""


ID: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[^\\u0000/]*$"}
QUERY_ID: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[^\\u0000]*$"}
CURSOR: Final = Parameter(
    "cursor",
    {"type": "string", "maxLength": 4096, "pattern": "^[^\\u0000]*$"},
    "The `next` of the answer before; absent for the first page.",
)


def path_id(name: str, description: str) -> Parameter:
    """An id in the path."""
    return Parameter(name, ID, description, required=True, place="path")


USER: Final = Parameter(
    "user_id", QUERY_ID, "Whose, for staff; without it one's own. A learner who names one gets 403."
)
CONTENT: Final = (
    Parameter("content_kind", QUERY_ID, "The content's kind.", required=True),
    Parameter("content_id", {**QUERY_ID, "maxLength": 512}, "The content's id.", required=True),
)
MOMENT: Final[Schema] = {
    "anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}],
}
RANGE: Final = (
    Parameter("start_at", MOMENT, "RFC 3339 date-time or date. Default: 30 local days before the end."),
    Parameter(
        "end_at", MOMENT, "RFC 3339 date-time or date, exclusive; a bare date includes that day. Default: today."
    ),
)
ZONE: Final = Parameter(
    "tz",
    {"$ref": "#/components/schemas/Zone"},
    "IANA name of the zone that cuts days and weeks. Default: the server's.",
)
LANGUAGE: Final = Parameter(
    "Accept-Language", {"type": "string"}, "`bn` (default) or `en`, for titles and texts.", place="header"
)


def bad(description: str = "A parameter or the body is wrong; `message` names the field.") -> Refusal:
    """400."""
    return Refusal(400, (HttpError.VALIDATION_FAILED,), description)


def forbidden(description: str) -> Refusal:
    """403."""
    return Refusal(403, (HttpError.FORBIDDEN,), description)


def unknown(description: str) -> Refusal:
    """404."""
    return Refusal(404, (HttpError.NOT_FOUND,), description)


def conflict(description: str) -> Refusal:
    """409."""
    return Refusal(409, (HttpError.CONFLICT,), description)


BODY_REFUSALS: Final = (
    Refusal(408, (HttpError.REQUEST_TIMEOUT,), "The body did not come in time."),
    Refusal(413, (HttpError.TOO_LARGE,), "Over a limit of size; `message` names it."),
    Refusal(415, (HttpError.UNSUPPORTED_MEDIA_TYPE,), "`Content-Encoding` is neither gzip nor identity."),
)
"""Of every operation that takes a body."""
STORAGE: Final = Refusal(
    503,
    (HttpError.STORAGE_UNAVAILABLE,),
    "It cannot be read or kept now: try again after `Retry-After`.",
    ("Retry-After",),
)
LIMITED: Final = Refusal(429, (HttpError.RATE_LIMITED,), "Too many requests: slow down.", ("Retry-After",))
FAILED: Final = Refusal(500, (HttpError.INTERNAL,), "A fault of the server, in its log under `X-Request-Id`.")
UNAUTHENTICATED: Final = Refusal(
    401, (HttpError.UNAUTHENTICATED,), "No token or key, or one that is expired or forged.", ("WWW-Authenticate",)
)
