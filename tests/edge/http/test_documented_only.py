"""Whatever is sent, the answer is one that `/openapi.json` tells of: its status, its media type, its shape.

The long form is schemathesis (tests/edge/schemathesis.toml); this is its core, on every run.
"""

import asyncio
from functools import cache
from typing import Any
from urllib.parse import quote

import jsonschema  # type: ignore[import-untyped]
import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.openapi import catalogue
from storage.keys import RIGHTS, WriteKey, digest_of
from tests.edge.http.conftest import Answer, World
from tests.machines import profiles

DOCUMENT = msgspec.json.decode(msgspec.json.encode(catalogue.build(dev=False)))
EXAMPLES = catalogue.examples()
OPERATIONS = [
    (method, path, operation)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if path != "/ws"  # an upgrade: tests/edge/ws
]
WORDS = [
    "",
    "0",
    "7",
    "-1",
    "1.5",
    "demo-1",
    "27",
    "lms_lesson",
    "\x00",
    "%",
    "..",
    "x" * 129,
    "শ্রেণি",
    "\ud800",
    "null",
]
TIMES = ["2024-02-07", "2024-02-07T00:00:00Z", "2024-02-30", "0001-01-01", "9999-12-31T23:59:59+14:00", "yesterday"]
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.none(), max_size=2)
)
RAW = [b"", b"{", b"[]", b"null", b'"text"', b"\xff", b'{"a":' * 2000, b"1" * 400]
USERS = [None, "learner", "staff", "admin", "owner"]
KEY = "rk_a-key-of-these-tests"


def values(parameter: dict[str, Any]) -> st.SearchStrategy[str]:
    schema = parameter["schema"]
    fitting = [str(each) for each in schema.get("enum", [])[:5]]
    fitting += [str(schema[bound]) for bound in ("minimum", "maximum") if bound in schema]
    return st.sampled_from(fitting + WORDS + TIMES)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, dict[str, str], dict[str, str], bytes | None, dict[str, Any]]:
    """Method, path, query, headers, body, and the operation."""
    method, path, operation = draw(st.sampled_from(OPERATIONS))
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    for parameter in operation.get("parameters", []):
        name, value = parameter["name"], draw(values(parameter))
        if parameter["in"] == "path":
            path = path.replace(f"{{{name}}}", quote(value or "0", safe="", errors="surrogatepass"))
        elif parameter["in"] == "query" and draw(st.booleans()):
            query[name] = value.encode(errors="replace").decode()
        elif parameter["in"] == "header" and draw(st.booleans()):
            headers[name] = value.encode("ascii", "ignore").decode().replace("\x00", "")
    body = draw(bodies(operation)) if "requestBody" in operation else None
    return method, path, query, headers, body, operation


def bodies(operation: dict[str, Any]) -> st.SearchStrategy[bytes]:
    example = EXAMPLES.get(f"{operation['operationId']}.request")
    if not isinstance(example, dict):
        return st.sampled_from(RAW)
    changed = st.dictionaries(st.sampled_from(sorted(example)), ODD, max_size=2)
    return st.sampled_from(RAW) | changed.map(lambda change: msgspec.json.encode(example | change))


@cache
def validator(name: str, status: str, media: str) -> jsonschema.Draft202012Validator:
    operation = next(each for _, _, each in OPERATIONS if each["operationId"] == name)
    schema = said(operation, status)["content"][media]["schema"]
    return jsonschema.Draft202012Validator(schema | {"components": DOCUMENT["components"]})


def said(operation: dict[str, Any], status: str) -> dict[str, Any]:
    answer: dict[str, Any] = operation["responses"][status]
    return DOCUMENT["components"]["responses"][answer["$ref"].split("/")[-1]] if "$ref" in answer else answer


def check(operation: dict[str, Any], answer: Answer) -> None:
    status = str(answer.status)
    assert status in operation["responses"], (operation["operationId"], status, answer.text[:300])
    assert answer.status < 500 or answer.status == 503, answer.text[:300]
    told = said(operation, status)
    content = told.get("content", {})
    if not content:
        assert answer.text == b""
        return
    media = answer.headers["Content-Type"].split(";")[0]
    assert media in content, (operation["operationId"], media)
    if media == "application/json":
        validator(operation["operationId"], status, media).validate(answer.json)
    for name in told.get("headers", {}):
        assert name in answer.headers or name == "WWW-Authenticate", (operation["operationId"], status, name)


@settings(max_examples=150, deadline=None, suppress_health_check=[*profiles.QUIET, HealthCheck.function_scoped_fixture])
@given(request=requests(), user=st.sampled_from(USERS))
def test_every_answer_is_a_documented_one(standing, request, user):
    runner: asyncio.Runner
    world: World
    runner, world = standing
    method, path, query, headers, body, operation = request
    if user == "owner":
        key = WriteKey("owner", digest_of(KEY), RIGHTS, world.now(), None, None, 1.0)
        runner.run(world.write_keys.create(key))
        headers = headers | {"X-Write-Key": KEY}
    elif user is not None:
        headers = headers | {"Authorization": f"Bearer {world.token('27', user)}"}
    answer = runner.run(world.call(method.upper(), path, headers=headers, data=body, **query))

    if not path_is_another(path):
        check(operation, answer)


def path_is_another(path: str) -> bool:
    """A client takes `.` and `..` for steps in a path, and never sends them."""
    return any(step in ("", ".", "..", "%2E", "%2E%2E") for step in path.split("/")[1:])
