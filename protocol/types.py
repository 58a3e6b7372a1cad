"""The scalar types that frames and REST bodies share."""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from protocol import limits

# NUL cannot be stored in PostgreSQL text, so it is refused at the door (realtime.md, reading 14).
_NO_NUL = r"\A[^\x00]*\Z"

Id = Annotated[str, Meta(min_length=1, max_length=limits.ID_CHARS, pattern=_NO_NUL)]
"""A room, user, device or content id, as sent."""

LooseId = Id | Annotated[int, Meta(ge=0, le=limits.INT_MAX)]
"""An id that a client may write as a number; `canonical_id` makes it text."""

Name = Annotated[str, Meta(min_length=1, max_length=limits.NAME_CHARS, pattern=_NO_NUL)]
Ref = (
    Annotated[str, Meta(max_length=limits.ID_CHARS, pattern=_NO_NUL)]
    | Annotated[int, Meta(ge=-limits.INT_MAX, le=limits.INT_MAX)]
)
"""What a client writes to tell answers apart; echoed untouched."""

StreamNo = Annotated[int, Meta(ge=0, le=limits.INT_MAX)]
Seq = Annotated[int, Meta(ge=1, le=limits.INT_MAX)]
AfterSeq = Annotated[int, Meta(ge=0, le=limits.INT_MAX)]
UnixMs = Annotated[int, Meta(ge=0, le=limits.INT_MAX)]
Seconds = Annotated[float, Meta(ge=0, le=limits.POSITION_SECONDS_MAX)]
Rate = Annotated[float, Meta(gt=0, le=limits.RATE_MAX)]
Token = Annotated[str, Meta(max_length=16_384)]
Cursor = Annotated[str, Meta(max_length=1024)]
PlayState = Literal["playing", "paused", "buffering", "seeking", "ended"]
RoomStateName = Literal["scheduled", "live", "ended", "cancelled"]
Metadata = dict[str, Any]


class Content(msgspec.Struct, frozen=True):
    """A recorded lesson, named by kind and id."""

    kind: Id
    id: LooseId


def canonical_id(value: str | int) -> str:
    """One spelling per id: `15` and `"15"` are the same (learning-api.md, reading 15)."""
    return value if isinstance(value, str) else str(value)


def check_metadata(value: Metadata | None) -> None:
    """Refuse metadata over 1 KiB of JSON, or with what PostgreSQL and JSON clients cannot hold.

    Raises `msgspec.ValidationError` naming `metadata`.
    """
    if value is None:
        return
    try:
        encoded = msgspec.json.encode(value)
    except (msgspec.EncodeError, OverflowError, TypeError, UnicodeEncodeError, RecursionError) as error:
        message = f"Not JSON: {error} - at `$.metadata`"
        raise msgspec.ValidationError(message) from error
    if len(encoded) > limits.METADATA_BYTES:
        message = f"Expected at most {limits.METADATA_BYTES} bytes of JSON - at `$.metadata`"
        raise msgspec.ValidationError(message)
    if b"\\u0000" in encoded:
        message = "NUL is not allowed - at `$.metadata`"
        raise msgspec.ValidationError(message)
    _check_numbers(value)


def _check_numbers(value: Any) -> None:  # noqa: ANN401 - walks any JSON value
    if isinstance(value, dict):
        for inner in value.values():  # pyright: ignore[reportUnknownVariableType]
            _check_numbers(inner)
    elif isinstance(value, list):
        for inner in value:  # pyright: ignore[reportUnknownVariableType]
            _check_numbers(inner)
    elif isinstance(value, int) and not -(2**63) <= value < 2**64:
        message = "Integer over 64 bits - at `$.metadata`"
        raise msgspec.ValidationError(message)
    elif isinstance(value, float) and not isfinite(value):
        message = "NaN and infinity are not allowed - at `$.metadata`"
        raise msgspec.ValidationError(message)
