"""App sessions of mobile SDKs, as staff read them."""

from __future__ import annotations

from typing import Final

from protocol.mobile_reading import MobileSessionAnswer, MobileSessionsAnswer
from server.openapi.words import (
    CURSOR,
    ID,
    MOMENT,
    QUERY_ID,
    STORAGE,
    ZONE,
    Answer,
    Operation,
    Parameter,
    Schema,
    bad,
    forbidden,
    unknown,
)

_TAG: Final = "Mobile"
_BINARY: Final[Schema] = {"type": "string", "format": "binary"}
_STAFF: Final = forbidden("For staff and admin.")
_NUMBER: Final[Schema] = {"type": "string", "pattern": "^[0-9]{1,19}$"}
_SESSION: Final = Parameter("id", _NUMBER, "The session, a decimal number.", required=True, place="path")


def _limit(most: int, default: int, description: str) -> Parameter:
    return Parameter("limit", {"type": "integer", "minimum": 1, "maximum": most, "default": default}, description)


_CURSOR: Final = Parameter(
    CURSOR.name, CURSOR.schema, "The `next_cursor` of the answer before; absent for the first page."
)

OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/v1/mobile/sessions",
        name="listMobileSessions",
        tag=_TAG,
        summary="App sessions, the newest first",
        description="Without a range: all. One of `start_at` and `end_at` alone means 30 days.",
        parameters=(
            Parameter("user_id", QUERY_ID, "Only those credited to the learner."),
            Parameter("project", QUERY_ID, "Only those of the project: the name of its write key."),
            Parameter("start_at", MOMENT, "Began then or later: RFC 3339 date-time or date."),
            Parameter("end_at", MOMENT, "Began before: RFC 3339 date-time or date, which includes that day."),
            ZONE,
            _limit(200, 50, "Items of a page."),
            _CURSOR,
        ),
        answers=(Answer(200, "A page.", MobileSessionsAnswer),),
        refusals=(bad(), _STAFF, STORAGE),
    ),
    Operation(
        method="GET",
        path="/api/v1/mobile/sessions/{id}",
        name="readMobileSession",
        tag=_TAG,
        summary="One app session: device, messages, images",
        description="Messages come in the order of time, images in that of their hashes; each of the two is a page. A "
        "page of messages ends at `limit` or at 1 MiB of bodies; of a longer body it has the beginning. Messages of "
        "type -1 are what followed in a batch in which nothing more could be told apart.",
        parameters=(
            _SESSION,
            _limit(1000, 200, "Messages of a page, and images."),
            _CURSOR,
            Parameter(
                "images_cursor",
                {"type": "string", "maxLength": 128, "pattern": "^[\\u0001-\\u007f]*$"},
                "The `next_images_cursor` of the answer before; absent for the first page.",
            ),
        ),
        answers=(Answer(200, "The session, and a page each of its messages and images.", MobileSessionAnswer),),
        refusals=(bad(), _STAFF, unknown("No such session."), STORAGE),
    ),
    Operation(
        method="GET",
        path="/api/v1/mobile/sessions/{id}/images/{hash}",
        name="readMobileImage",
        tag=_TAG,
        summary="An image of an app session",
        parameters=(_SESSION, Parameter("hash", ID, "As the session's images have it.", required=True, place="path")),
        answers=(
            Answer(
                200, "Its bytes.", _BINARY, "image/png", ("Content-Disposition",), also=("image/jpeg", "image/webp")
            ),
        ),
        refusals=(bad(), _STAFF, unknown("No such image."), STORAGE),
    ),
)
