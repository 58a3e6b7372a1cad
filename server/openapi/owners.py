"""What owning systems write, what offices take home, and a learner's right to be forgotten."""

from __future__ import annotations

from typing import Final

from protocol.learners import ErasedAnswer
from server.http.catalog import Accepted, BulkRefusal
from server.openapi.words import (
    ID,
    QUERY_ID,
    RANGE,
    STORAGE,
    Answer,
    Body,
    Operation,
    Parameter,
    Schema,
    Security,
    bad,
    forbidden,
    path_id,
    unknown,
)

_TAG: Final = "Catalog"
_NAME: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[^\\u0000]*$"}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_ANY_ID: Final[Schema] = {"anyOf": [QUERY_ID, {"type": "integer", "minimum": 0, "maximum": 9007199254740991}]}
_RIGHT: Final = forbidden("The key is revoked or expired, or has no right to `catalog`.")


def _maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _entity(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    properties = {"updated_at": _TIME} | required | {name: _maybe(each) for name, each in (optional or {}).items()}
    return {"type": "object", "required": ["updated_at", *required], "properties": properties}


_CONTENT: Final[Schema] = {"type": "object", "required": ["kind", "id"], "properties": {"kind": _ANY_ID, "id": _ANY_ID}}
_NAMED: Final = _entity({"name": _NAME})
_CLASS: Final = _entity(
    {
        "name": _NAME,
        "catalog_product_id": _ANY_ID,
        "subject": _NAME,
        "start_at": _TIME,
        "end_at": _TIME,
    },
    {
        "program_id": _ANY_ID,
        "course_id": _ANY_ID,
        "platform": _NAME,
        "is_required": {"type": "boolean", "default": True},
        "status": {"type": "string", "enum": ["scheduled", "cancelled"], "default": "scheduled"},
    },
)
_LESSON: Final = _entity(
    {
        "title": _NAME,
        "has_video": {"type": "boolean"},
        "published": {"type": "boolean"},
    },
    {
        "sequential": {"type": "boolean", "default": False},
        "requires": {"type": "array", "maxItems": 100, "items": _CONTENT},
        "catalog_product_id": _ANY_ID,
        "course_id": _ANY_ID,
        "published_at": _TIME,
        "duration_seconds": {"type": "number", "minimum": 0, "maximum": 1e9},
        "completion_threshold": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "ignore_tail": {"type": "boolean"},
        "xapi_id": {"type": "string", "minLength": 1, "maxLength": 512, "pattern": ":"},
    },
)
_ENROLMENT: Final = _entity({}, {"enrolled_at": _TIME, "ended_at": _TIME})


def _put(name: str, path: str, summary: str, body: Schema, *ids: Parameter) -> Operation:
    return Operation(
        method="PUT",
        path=path,
        name=name,
        tag=_TAG,
        summary=summary,
        description="Idempotent; an older `updated_at` never overwrites a newer one.",
        security=Security.WRITE_KEY,
        parameters=ids,
        body=Body(body),
        answers=(
            Answer(200, "Known already, or older than what is known.", Accepted),
            Answer(201, "New.", Accepted),
        ),
        refusals=(bad(), _RIGHT, STORAGE),
    )


_ENROLLED: Final = (path_id("catalog_product_id", "The product."), path_id("user_id", "The learner."))
_ROWS: Final = (
    Parameter("rows", {"type": "string", "enum": ["learners", "intervals"]}, "What a row is; default: a learner."),
    Parameter("bom", {"type": "string", "enum": ["0", "1"]}, "Whether a byte order mark leads, for spreadsheets."),
)
_CSV: Final = Answer(200, "CSV, streamed.", {"type": "string"}, "text/csv", ("Content-Disposition",))
_STAFF: Final = forbidden("For staff and admin.")

OPERATIONS: Final = (
    _put("putProduct", "/api/v1/catalog/products/{id}", "A catalog product", _NAMED, path_id("id", "The product.")),
    _put("putProgram", "/api/v1/catalog/programs/{id}", "A program", _NAMED, path_id("id", "The program.")),
    _put("putLiveClass", "/api/v1/catalog/live-classes/{id}", "A live class", _CLASS, path_id("id", "The class.")),
    _put(
        "putContent",
        "/api/v1/catalog/contents/{kind}/{id}",
        "A content",
        _LESSON,
        path_id("kind", "Its kind."),
        path_id("id", "Its id."),
    ),
    _put(
        "putEnrolment",
        "/api/v1/catalog/enrolments/{catalog_product_id}/{user_id}",
        "A learner in a product",
        _ENROLMENT,
        *_ENROLLED,
    ),
    Operation(
        method="DELETE",
        path="/api/v1/catalog/enrolments/{catalog_product_id}/{user_id}",
        name="endEnrolment",
        tag=_TAG,
        summary="The enrolment ends now",
        security=Security.WRITE_KEY,
        parameters=_ENROLLED,
        answers=(Answer(200, "It has ended.", Accepted),),
        refusals=(bad(), _RIGHT, unknown("No such enrolment."), STORAGE),
    ),
    Operation(
        method="POST",
        path="/api/v1/catalog/bulk",
        name="postBulk",
        tag=_TAG,
        summary="Many entities, one a line",
        description="NDJSON, up to 50,000 lines, all or nothing. A line has the fields of its entity, `entity` "
        "(`product`, `program`, `live_class`, `content`, `enrolment`) and its ids.",
        security=Security.WRITE_KEY,
        body=Body(
            {"type": "string"}, "Lines of JSON; gzip too.", "application/x-ndjson", ("text/plain",), required=False
        ),
        answers=(
            Answer(200, "All lines are taken in.", Accepted),
            Answer(400, "Nothing is taken in; `errors` tells where the faults are.", BulkRefusal),
        ),
        refusals=(bad(), _RIGHT, STORAGE),
    ),
    Operation(
        method="GET",
        path="/api/v1/rooms/{id}/attendance.csv",
        name="exportRoomAttendance",
        tag="Exports",
        summary="Attendance of a class",
        parameters=(path_id("id", "The class."), *_ROWS),
        answers=(_CSV,),
        refusals=(bad(), _STAFF, unknown("No such room."), STORAGE),
    ),
    Operation(
        method="GET",
        path="/api/v1/export/attendance.csv",
        name="exportProductAttendance",
        tag="Exports",
        summary="Attendance of a product's classes",
        parameters=(Parameter("catalog_product_id", QUERY_ID, "The product.", required=True), *RANGE, *_ROWS),
        answers=(_CSV,),
        refusals=(bad(), _STAFF, STORAGE),
    ),
    Operation(
        method="DELETE",
        path="/api/v1/users/{id}",
        name="eraseUser",
        tag="Learners",
        summary="Forget everything of a learner",
        description="Answers when nothing is left, which may take a minute and a half. Idempotent.",
        parameters=(Parameter("id", ID, "The learner.", required=True, place="path"),),
        answers=(Answer(200, "Nothing is left.", ErasedAnswer),),
        refusals=(bad(), forbidden("For admins."), STORAGE),
    ),
)
