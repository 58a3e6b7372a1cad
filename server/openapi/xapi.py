"""xAPI: statements in, our sessions out."""

from __future__ import annotations

from typing import Final

from protocol.xapi import profile
from server.openapi.words import (
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
)
from server.xapi.door import About
from server.xapi.reading import StatementRefusal

_TAG: Final = "xAPI"
_UUID: Final[Schema] = {"type": "string", "format": "uuid"}
_STATEMENT: Final[Schema] = {
    "type": "object",
    "required": ["actor", "verb", "object"],
    "properties": {
        "id": _UUID,
        "actor": {"type": "object"},
        "verb": {"type": "object", "required": ["id"]},
        "object": {"type": "object"},
        "result": {"type": "object"},
        "context": {"type": "object"},
        "timestamp": {"type": "string"},
    },
}
_HEADERS: Final = (profile.VERSION_HEADER, profile.THROUGH_HEADER)
_VERSION: Final = Parameter(
    profile.VERSION_HEADER,
    {"type": "string", "examples": ["1.0.3", "2.0.0"]},
    "1.0.x or 2.0.x.",
    required=True,
    place="header",
)
_REFUSALS: Final = (
    Answer(400, "Nothing is stored; `index` and `field` name the first fault.", StatementRefusal),
    Answer(
        403,
        "Nothing is stored; the key is revoked or expired, has no right to `xapi`, or may not speak of this learner.",
        StatementRefusal,
    ),
    Answer(409, "Nothing is stored; the id is known with another content.", StatementRefusal),
)

OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/xapi/statements",
        name="postStatements",
        tag=_TAG,
        summary="One statement, or an array of them",
        description="The xAPI Video Profile. Up to 5,000 statements and 8 MiB, gzip too; all or nothing, and the same "
        "id again changes nothing. Played segments prove coverage; see docs/XAPI.md.",
        security=Security.KEY_OR_BASIC,
        parameters=(_VERSION,),
        body=Body({"anyOf": [_STATEMENT, {"type": "array", "maxItems": profile.STATEMENTS_MAX, "items": _STATEMENT}]}),
        answers=(
            Answer(200, "The ids, durable.", {"type": "array", "items": _UUID}, headers=_HEADERS),
            *_REFUSALS,
        ),
        refusals=(STORAGE,),
    ),
    Operation(
        method="PUT",
        path="/xapi/statements",
        name="putStatement",
        tag=_TAG,
        summary="One statement under its id",
        security=Security.KEY_OR_BASIC,
        parameters=(_VERSION, Parameter("statementId", _UUID, "The statement's id.", required=True)),
        body=Body(_STATEMENT),
        answers=(Answer(204, "Stored, or known already.", headers=_HEADERS), *_REFUSALS),
        refusals=(STORAGE,),
    ),
    Operation(
        method="GET",
        path="/xapi/about",
        name="readXapiAbout",
        tag=_TAG,
        summary="Which versions are spoken",
        security=Security.NOBODY_ASKED,
        answers=(Answer(200, "The newest patch of each.", About, headers=_HEADERS),),
    ),
    Operation(
        method="GET",
        path="/api/v1/export/xapi",
        name="exportStatements",
        tag="Exports",
        summary="Watch sessions of ours as statements",
        description="Those that began in the range and are over, not those that statements told. NDJSON, streamed; the "
        "same session gives the same ids.",
        parameters=RANGE,
        answers=(
            Answer(200, "A statement a line.", {"type": "string"}, "application/x-ndjson", ("Content-Disposition",)),
        ),
        refusals=(bad(), forbidden("For staff and admin."), STORAGE),
    ),
)
