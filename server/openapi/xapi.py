"""xAPI: statements in, our sessions out."""

from __future__ import annotations

from typing import Final

from protocol import limits
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
_NOTHING: Final[Schema] = {"type": "null"}
_IRI: Final[Schema] = {
    "type": "string",
    "maxLength": profile.IRI_CHARS,
    "pattern": "^[A-Za-z][A-Za-z0-9+.-]*:[^\\s\\u0000-\\u001f\\u007f]+$",
}
_NAME: Final[Schema] = {
    "anyOf": [
        {"type": "string", "minLength": 1, "maxLength": limits.ID_CHARS, "pattern": "^[^\\u0000]*$"},
        {"type": "integer", "minimum": 0, "maximum": limits.INT_MAX},
    ]
}
_LEARNER: Final[Schema] = {
    "type": "object",
    "properties": {"objectType": {"const": "Agent"}},
    "anyOf": [
        {
            "required": ["account"],
            "properties": {
                "account": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"homePage": {"anyOf": [_IRI, _NOTHING]}, "name": _NAME},
                }
            },
        },
        {"required": ["mbox"], "properties": {"mbox": {"type": "string", "pattern": "^mailto:[^\\u0000]{1,128}$"}}},
    ],
    "description": "By `account`, else by `mbox`; whoever is neither is no learner.",
}
_EXTENDED: Final[Schema] = {"type": ["object", "null"], "properties": {"extensions": {"type": ["object", "null"]}}}
_STATEMENT: Final[Schema] = {
    "type": "object",
    "required": ["actor", "verb", "object"],
    "properties": {
        "id": {"anyOf": [_UUID, _NOTHING]},
        "actor": _LEARNER,
        "verb": {"type": "object", "required": ["id"], "properties": {"id": _IRI}},
        "object": {
            "type": "object",
            "anyOf": [
                {"required": ["id"], "properties": {"id": _IRI}},
                {"required": ["objectType"], "properties": {"objectType": {"not": {"const": "Activity"}}}},
            ],
        },
        "result": _EXTENDED,
        "context": _EXTENDED,
        "timestamp": {"type": ["string", "null"], "format": "date-time", "description": "At most 5 minutes ahead."},
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
