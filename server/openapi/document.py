"""The OpenAPI 3.1 document of a list of operations. Pure: the same operations give the same document."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from zoneinfo import available_timezones

import msgspec

from protocol.rest import ErrorEnvelope
from server.openapi.words import (
    BODY_REFUSALS,
    FAILED,
    JSON,
    LIMITED,
    UNAUTHENTICATED,
    Answer,
    Body,
    Operation,
    Parameter,
    Refusal,
    Schema,
    Security,
)

Json = dict[str, Any]
VERSION: Final = "3.1.0"
_REF: Final = "#/components/schemas/{name}"
_SCHEMES: Final[dict[Security, list[Json]]] = {
    Security.NOBODY_ASKED: [],
    Security.BEARER: [{"bearer": []}],
    Security.BEARER_OR_BODY: [{"bearer": []}, {}],
    Security.WRITE_KEY: [{"writeKey": []}],
    Security.KEY_OR_BASIC: [{"writeKey": []}, {"basic": []}],
    Security.SIGNED: [{"signature": []}],
}
_HEADERS: Final[dict[str, Json]] = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string", "pattern": "^[0-9]+$"}},
    "ETag": {"description": "What `If-None-Match` may name.", "schema": {"type": "string"}},
    "WWW-Authenticate": {"description": "RFC 6750.", "schema": {"type": "string"}},
    "Content-Range": {"description": "RFC 9110, 14.4.", "schema": {"type": "string"}},
    "Content-Disposition": {"description": "A name to save it under.", "schema": {"type": "string"}},
    "X-Experience-API-Version": {"description": "The version of xAPI.", "schema": {"type": "string"}},
    "X-Experience-API-Consistent-Through": {
        "description": "Up to when everything is stored.",
        "schema": {"type": "string", "format": "date-time"},
    },
    "X-Request-Id": {"description": "The request in the server's log.", "schema": {"type": "string"}},
}
_SECURITY_SCHEMES: Final[Json] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "HS256, RS256, ES256 or EdDSA, as the server is set up. Claims: `sub`, `exp`, "
        "`role` (`learner`, `staff`, `admin`), `name`, `rooms`, `contents`.",
    },
    "writeKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Write-Key",
        "description": "From `rollcall keys create`; each key has rights.",
    },
    "basic": {"type": "http", "scheme": "basic", "description": "Any name; the password is a write key."},
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "Hash-Token",
        "description": "A JWT of the conference server over the SHA-256 of the body; `Authorization` is read too.",
    },
}
# Python's anchors and escapes are not those of ECMA 262, whose dialect JSON Schema speaks.
_PATTERNS: Final = {r"\A[^\x00]*\Z": "^[^\\u0000]*$"}


def document(
    operations: Sequence[Operation], examples: Mapping[str, Any], *, info: Schema, tags: Mapping[str, str]
) -> Json:
    """The document; `examples` by operation name are real answers of its first 2xx, `tags` what belongs to each."""
    types = _types(operations)
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    schema_of = {id(kind): _portable(schema) for kind, schema in zip(types, schemas, strict=True)}
    writer = _Writer(schema_of, examples)
    paths: Json = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = writer.operation(operation)
    return {
        "openapi": VERSION,
        "info": dict(info),
        "tags": [{"name": name, "description": said} for name, said in tags.items()],
        "paths": paths,
        "components": {
            "schemas": {name: _portable(schema) for name, schema in sorted(components.items())} | _zone(),
            "responses": writer.refusals,
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


def _zone() -> Json:
    """The names that this machine knows: what a range is cut by."""
    return {"Zone": {"type": "string", "description": "An IANA zone.", "enum": sorted(available_timezones())}}


def refusals_of(operation: Operation) -> list[Refusal]:
    """All refusals: those that are said, and those that follow from what the operation is."""
    found = list(operation.refusals)
    if operation.security is not Security.NOBODY_ASKED:
        found.append(UNAUTHENTICATED)
    if operation.body is not None:
        found += BODY_REFUSALS
    found += [LIMITED, FAILED]
    return found


def _types(operations: Iterable[Operation]) -> list[Any]:
    found: dict[int, Any] = {id(ErrorEnvelope): ErrorEnvelope}
    for operation in operations:
        for said in (operation.body, *operation.answers):
            if said is not None and said.type is not None and not isinstance(said.type, Mapping):
                found[id(said.type)] = said.type
    return list(found.values())


def _portable(schema: Any) -> Any:  # noqa: ANN401 - walks a schema
    if isinstance(schema, dict):
        return {
            key: _pattern(value) if key == "pattern" and isinstance(value, str) else _portable(value)
            for key, value in schema.items()  # pyright: ignore[reportUnknownVariableType]
        }
    if isinstance(schema, list | tuple):
        return [_portable(each) for each in schema]  # pyright: ignore[reportUnknownVariableType]
    return schema


def _pattern(pattern: str) -> str:
    return _PATTERNS.get(pattern) or re.sub(r"\\A|\\Z", lambda found: "^" if found[0] == r"\A" else "$", pattern)


class _Writer:
    """Writes operations, once the schemas of all types are known."""

    def __init__(self, schema_of: Mapping[int, Json], examples: Mapping[str, Any]) -> None:
        self._schema_of = schema_of
        self._examples = examples
        self.refusals: Json = {}
        """Those that are written so far, by name: most operations share them."""

    def operation(self, operation: Operation) -> Json:
        found: Json = {"operationId": operation.name, "tags": [operation.tag], "summary": operation.summary}
        if operation.description:
            found["description"] = operation.description
        found["security"] = _SCHEMES[operation.security]
        parameters = [_parameter(each) for each in operation.parameters]
        if operation.cached:
            parameters.append(_parameter(_IF_NONE_MATCH))
        if parameters:
            found["parameters"] = parameters
        if operation.body is not None:
            found["requestBody"] = self._body(operation.body, operation.name)
        found["responses"] = self._responses(operation)
        return found

    def _schema(self, kind: Any) -> Json:  # noqa: ANN401 - a type, or a schema
        return dict(kind) if isinstance(kind, Mapping) else self._schema_of[id(kind)]  # pyright: ignore[reportUnknownArgumentType]

    def _body(self, body: Body, name: str) -> Json:
        schema = self._schema(body.type)
        if body.narrowed:
            schema = {"allOf": [schema, dict(body.narrowed)]}
        media: Json = {"schema": schema}
        example = self._examples.get(f"{name}.request")
        if example is not None:
            media["example"] = example
        content = {body.media: media} | {other: {"schema": schema} for other in body.also}
        return {"required": body.required, "description": body.description, "content": content}

    def _responses(self, operation: Operation) -> Json:
        found: Json = {}
        for index, answer in enumerate(operation.answers):
            example = self._examples.get(operation.name) if index == 0 else None
            cached = ("ETag",) if operation.cached else ()
            found[str(answer.status)] = self._answer(answer, cached, example)
        if operation.cached:
            found["304"] = {"description": "Still the same.", "headers": _headers(("ETag",))}
        by_status: dict[int, list[Refusal]] = {}
        for refusal in refusals_of(operation):
            by_status.setdefault(refusal.status, []).append(refusal)
        for status, refusals in sorted(by_status.items()):
            found.setdefault(str(status), self._shared(status, refusals))
        return dict(sorted(found.items()))

    def _answer(self, answer: Answer, headers: Sequence[str], example: Any) -> Json:  # noqa: ANN401 - any JSON
        found: Json = {"description": answer.description, "headers": _headers((*answer.headers, *headers))}
        if answer.type is not None:
            media: Json = {"schema": self._schema(answer.type)}
            if example is not None:
                media["example"] = example
            found["content"] = {answer.media: media} | {other: {"schema": {"type": "string"}} for other in answer.also}
        return found

    def _shared(self, status: int, refusals: Sequence[Refusal]) -> Json:
        made = self._refusal(status, refusals)
        name = next((name for name, known in self.refusals.items() if known == made), None)
        if name is None:
            same = sum(known.startswith(f"refused{status}") for known in self.refusals)
            name = f"refused{status}" + (f"_{same + 1}" if same else "")
            self.refusals[name] = made
        return {"$ref": f"#/components/responses/{name}"}

    def _refusal(self, status: int, refusals: Sequence[Refusal]) -> Json:
        codes = list(dict.fromkeys(str(code) for refusal in refusals for code in refusal.codes))
        narrowed = {"properties": {"error": {"enum": codes}, "status_code": {"const": status}}}
        schema = {"allOf": [self._schema(ErrorEnvelope), narrowed]}
        return {
            "description": " ".join(dict.fromkeys(refusal.description for refusal in refusals)),
            "headers": _headers(tuple(name for refusal in refusals for name in refusal.headers)),
            "content": {JSON: {"schema": schema}},
        }


_IF_NONE_MATCH: Final = Parameter(
    "If-None-Match", {"type": "string"}, "An `ETag`; 304 where the answer is still the same.", place="header"
)


def _parameter(parameter: Parameter) -> Json:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required,
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }


def _headers(names: Sequence[str]) -> Json:
    return {name: _HEADERS[name] for name in dict.fromkeys((*names, "X-Request-Id"))}
