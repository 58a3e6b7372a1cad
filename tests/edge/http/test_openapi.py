"""`/openapi.json` and `/docs`: all of the server is described, truly, and nothing comes from elsewhere."""

import re
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
from aiohttp import web
from openapi_spec_validator import OpenAPIV31SpecValidator  # type: ignore[import-not-found,unused-ignore]

from protocol.codes import HttpError
from server.http.app import build
from server.openapi import catalogue
from server.openapi.document import refusals_of
from tests.edge.http.conftest import Maker, World

DOCUMENT = catalogue.build(dev=True)
PAGES = ["/docs", "/docs/page.js", "/docs/page.css"]


def described(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, item in document["paths"].items() for method in item}


def routes_of(app: web.Application) -> set[tuple[str, str]]:
    return {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }


@pytest.mark.parametrize("dev", [False, True])
async def test_every_route_is_described_and_nothing_else(make_world: Maker, dev):
    options = {"ROLLCALL_DEV": "true"} if dev else {}
    world: World = await make_world(start=False, **options)

    assert described(catalogue.build(dev=dev)) == routes_of(build(world.services))


async def test_it_is_served_as_it_was_made(world):
    answer = await world.call("GET", "/openapi.json")
    again = await world.call("GET", "/openapi.json", headers={"If-None-Match": answer.headers["ETag"]})

    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.json == msgspec.json.decode(msgspec.json.encode(catalogue.build(dev=False)))
    assert (again.status, again.text) == (304, b"")


@pytest.mark.slow
def test_it_is_openapi_3_1():
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_operations_have_names_of_their_own():
    names = [operation.name for operation in catalogue.operations(dev=True)]
    assert len(names) == len(set(names))


def test_every_group_is_told_and_has_operations():
    assert {operation.tag for operation in catalogue.operations(dev=False)} == set(catalogue.TAGS)


def test_every_code_of_a_refusal_is_told_somewhere():
    told = {
        code for operation in catalogue.operations(dev=True) for each in refusals_of(operation) for code in each.codes
    }
    assert set(HttpError) - told == {HttpError.METHOD_NOT_ALLOWED}


def test_parameters_of_a_path_are_those_that_it_names():
    for operation in catalogue.operations(dev=True):
        named = set(re.findall(r"{(\w+)}", operation.path))
        assert {each.name for each in operation.parameters if each.place == "path"} == named, operation.name


@pytest.mark.parametrize("word", ["commentery", "totola_wrong_answer", "total_unaswered", "total_offered_quizes"])
def test_a_key_that_is_spelt_unusually_is_there_once_and_explained(word):
    names = [name for schema in DOCUMENT["components"]["schemas"].values() for name in schema.get("properties", {})]

    assert word in names
    assert f"`{word}`" in DOCUMENT["info"]["description"]
    for spelt_right in ("total_wrong_answer", "total_unanswered", "total_offered_quizzes"):
        assert spelt_right not in names


# -- examples ---------------------------------------------------------------------------------------------------------


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    return schema | {"components": DOCUMENT["components"]}


def media_with_examples() -> list[Any]:
    found: list[Any] = []
    for item in DOCUMENT["paths"].values():
        for operation in item.values():
            bodies = [operation["requestBody"]] if "requestBody" in operation else []
            for said in [*bodies, *operation["responses"].values()]:
                found += [
                    pytest.param(media["schema"], media["example"], id=operation["operationId"])
                    for media in said.get("content", {}).values()
                    if "example" in media
                ]
    return found


@pytest.mark.parametrize(("schema", "example"), media_with_examples())
def test_an_example_is_what_its_schema_says(schema, example):
    jsonschema.Draft202012Validator(resolved(schema)).validate(example)


def test_every_example_is_used():
    names = {operation.name for operation in catalogue.operations(dev=True)}
    assert {name.removesuffix(".request") for name in catalogue.examples()} <= names


def test_every_answer_in_json_shows_a_real_one():
    known = catalogue.examples().keys()
    aliases = ("Ios", "IngestMobile")  # as /v1/mobile
    lacking = {
        operation.name
        for operation in catalogue.operations(dev=False)
        if operation.answers[0].type is not None and operation.answers[0].media == "application/json"
        if operation.name not in known and not operation.name.endswith(aliases)
    }
    assert lacking == {"readDocument"}


# -- the page ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
async def test_the_page_comes_whole_from_here_and_may_load_nothing_else(world, path):
    answer = await world.call("GET", path)
    policy = answer.headers["Content-Security-Policy"]

    assert answer.status == 200
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert b"http://" not in answer.text
    assert b"https://" not in answer.text
    assert b"innerHTML" not in answer.text


async def test_the_page_names_only_what_is_served(world):
    page = (await world.call("GET", "/docs")).text.decode()
    for path in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert (await world.call("GET", path)).status == 200


async def test_a_page_that_is_known_is_not_sent_again(world):
    for path in PAGES:
        etag = (await world.call("GET", path)).headers["ETag"]
        assert (await world.call("GET", path, headers={"If-None-Match": etag})).status == 304
