"""What mobile SDKs call. Each of the four names of the door has the same operations; refusals are `{error}`."""

from __future__ import annotations

from typing import Final

from protocol.mobile_rest import Refused, StartAnswer, StartBody
from server.openapi.words import Answer, Body, Operation, Parameter, Schema, Security

_TAG: Final = "Mobile"
_PLACES: Final = {
    "Mobile": "/v1/mobile",
    "Ios": "/v1/ios",
    "IngestMobile": "/ingest/v1/mobile",
    "IngestIos": "/ingest/v1/ios",
}
_BINARY: Final[Schema] = {"type": "string", "format": "binary"}
_MULTIPART: Final[Schema] = {
    "type": "object",
    "properties": {
        "projectKey": {"type": "string"},
        "projectID": {"type": "string"},
        "batch": {**_BINARY, "description": "A gzip tar of frames."},
    },
    "additionalProperties": {**_BINARY, "description": "An image, named by its hash."},
}
_BEARER: Final = Parameter(
    "Authorization", {"type": "string"}, "`Bearer` and the token of the session, from its start.", place="header"
)


def _refused(status: int, description: str, *headers: str) -> Answer:
    return Answer(status, description, Refused, headers=headers)


_SHARED: Final = (
    _refused(408, "The body did not come in time."),
    _refused(413, "Over a limit of size; `error` names it."),
    _refused(415, "Another encoding, or another media type, than this takes."),
    _refused(429, "Too many requests: slow down.", "Retry-After"),
    _refused(503, "It cannot be kept now: try again after `Retry-After`.", "Retry-After"),
)
_TOKEN: Final = _refused(401, "No token of a session, or one that is forged, has run out, or whose session is gone.")


def _start(place: str, path: str) -> Operation:
    return Operation(
        method="POST",
        path=f"{path}/start",
        name=f"start{place}",
        tag=_TAG,
        summary="An app session begins, or goes on by its token",
        description="At most 16 KiB. Numbers may be fractions, `null` means absent, and only the project is required.",
        security=Security.NOBODY_ASKED,
        body=Body(StartBody),
        answers=(
            Answer(200, "The session and its token.", StartAnswer),
            _refused(400, "Not JSON, or a field is wrong; `error` names it."),
            _refused(401, "`authToken` is expired or forged."),
            _refused(403, "No project is named; or `cancel`: the session is not in the project's sample."),
            _refused(404, "No such project, or it is not active."),
            *_SHARED,
        ),
    )


def _batch(place: str, path: str, end: str, summary: str) -> Operation:
    return Operation(
        method="POST",
        path=f"{path}/{end}",
        name=f"{'append' if end == 'append' else 'appendShort' if end == 'i' else 'late'}{place}",
        tag=_TAG,
        summary=summary,
        description="Binary messages, `type timestamp length body`; at most 1,000,000 bytes, gzip too, and 16 MiB "
        "unpacked. 200 when it is durable; sent again it changes nothing.",
        security=Security.NOBODY_ASKED,
        parameters=(_BEARER,),
        body=Body(_BINARY, "A batch.", "application/octet-stream", required=False),
        answers=(
            Answer(200, "It is durable."),
            _refused(400, "The gzip is broken; or no message begins at `offset`, and nothing is kept."),
            _TOKEN,
            *_SHARED,
        ),
    )


def _images(place: str, path: str) -> Operation:
    return Operation(
        method="POST",
        path=f"{path}/images",
        name=f"images{place}",
        tag=_TAG,
        summary="Images of an app session",
        description="At most 10 MiB. PNG, JPEG and WebP, by what they are; all of a request or none.",
        security=Security.NOBODY_ASKED,
        parameters=(_BEARER,),
        body=Body(_MULTIPART, "Parts with a file name, and `batch`.", "multipart/form-data", required=False),
        answers=(
            Answer(200, "They are stored."),
            _refused(400, "A part or the archive is broken, or has names that leave its place."),
            _TOKEN,
            *_SHARED,
        ),
    )


def _of(place: str, path: str) -> tuple[Operation, ...]:
    return (
        _start(place, path),
        _batch(place, path, "append", "Messages of a session"),
        _batch(place, path, "i", "Messages of a session, as SDKs call it"),
        _batch(place, path, "late", "Messages of a session that is over"),
        _images(place, path),
    )


OPERATIONS: Final = tuple(operation for place, path in _PLACES.items() for operation in _of(place, path))
