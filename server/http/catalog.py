"""`/api/v1/catalog`: owners of products, classes, contents and enrolments tell what is so (learning-api.md).

    write key -> body within its bounds -> typed, or every fault named -> stored -> rooms told -> answered

A body is taken in as a whole or not at all, and the same body again changes nothing.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from aiohttp import web

from actors.directory import NotOwned
from actors.ports import StoreAway, StoreRefused
from protocol import catalog, loose
from protocol.catalog import BadField, Entity
from protocol.codes import HttpError
from server.catalog.writing import CatalogWriter
from server.http import asking, bodies
from server.http.answers import MESSAGE_MAX, invalid, json_answer, not_found
from server.http.bulk import Bulks, Lines, TooManyLines
from server.http.keys import Keys

RIGHT: Final = "catalog"
BODY_BYTES: Final = 64 * 1024
ERRORS_MAX: Final = 100
"""Faults that are told of one bulk; behind them nothing is read."""


class Accepted(msgspec.Struct, frozen=True):
    """How many entities were taken in: those that are known already, or better, count too."""

    accepted: int


class LineError(msgspec.Struct, frozen=True):
    """A fault in a bulk; lines count from 1."""

    line: int
    field: str
    message: str


class BulkRefusal(msgspec.Struct, frozen=True):
    """The envelope of every refusal, with the faults."""

    message: str
    error: str
    success: bool
    status_code: int
    errors: list[LineError]


class CatalogDoor:
    """The handlers. One a process."""

    def __init__(self, writer: CatalogWriter, keys: Keys) -> None:
        self._writer = writer
        self._keys = keys
        self._bulks = Bulks()

    async def put_product(self, request: web.Request) -> web.Response:
        """`PUT /catalog/products/{id}`."""
        return await self._put(request, "product", "id")

    async def put_program(self, request: web.Request) -> web.Response:
        """`PUT /catalog/programs/{id}`."""
        return await self._put(request, "program", "id")

    async def put_live_class(self, request: web.Request) -> web.Response:
        """`PUT /catalog/live-classes/{id}`: its room knows it when the answer comes."""
        return await self._put(request, "live_class", "id")

    async def put_content(self, request: web.Request) -> web.Response:
        """`PUT /catalog/contents/{kind}/{id}`."""
        return await self._put(request, "content", "kind", "id")

    async def put_enrolment(self, request: web.Request) -> web.Response:
        """`PUT /catalog/enrolments/{catalog_product_id}/{user_id}`."""
        return await self._put(request, "enrolment", "catalog_product_id", "user_id")

    async def end_enrolment(self, request: web.Request) -> web.Response:
        """`DELETE /catalog/enrolments/{catalog_product_id}/{user_id}`: it ends now (reading 4)."""
        await self._keys.require(request, RIGHT)
        product_id, user_id = (_path_id(request, name) for name in ("catalog_product_id", "user_id"))
        try:
            found = await self._writer.end_enrolment(product_id, user_id)
        except (StoreAway, StoreRefused) as error:
            raise asking.away(error) from error
        if not found:
            raise not_found("no such enrolment")
        return json_answer(Accepted(1))

    async def _put(self, request: web.Request, entity: str, *names: str) -> web.Response:
        await self._keys.require(request, RIGHT)
        ids = tuple(_path_id(request, name) for name in names)
        body = await bodies.read(request, BODY_BYTES)
        try:
            found = catalog.read(entity, ids, catalog.parse(body))
        except BadField as bad:
            raise invalid(f"{bad.message} - at `{_path(bad)}`") from None
        return json_answer(Accepted(1), 201 if await self._write([found]) else 200)

    async def bulk(self, request: web.Request) -> web.Response:
        """`POST /catalog/bulk`: NDJSON, an entity a line; all or nothing."""
        await self._keys.require(request, RIGHT)
        async with self._bulks.turn():
            entities, errors = await _read_all(Lines(request))
            if errors:
                return _refused(errors)
            if entities:
                await self._write(entities)
        return json_answer(Accepted(len(entities)))

    async def _write(self, entities: list[Entity]) -> int:
        try:
            return await self._writer.write(entities)
        except (NotOwned, StoreAway, StoreRefused) as error:
            raise asking.away(error) from error


async def _read_all(lines: Lines) -> tuple[list[Entity], list[LineError]]:
    entities: list[Entity] = []
    errors: list[LineError] = []
    try:
        async for number, line in lines:
            try:
                entities.append(catalog.read_line(line))
            except BadField as bad:
                errors.append(LineError(number, bad.field, _clean(bad.message)))
                if len(errors) == ERRORS_MAX:
                    break
    except TooManyLines as error:
        errors.append(LineError(error.number, "", str(error)))
    return entities, errors


def _refused(errors: list[LineError]) -> web.Response:
    first = errors[0]
    count = f"at least {len(errors)} faults" if len(errors) == ERRORS_MAX else f"{len(errors)} fault(s)"
    where = f"line {first.line}{f', {first.field}' if first.field else ''}"
    message = f"nothing was taken in: {count}, the first in {where}: {first.message}"
    refusal = BulkRefusal(message, HttpError.VALIDATION_FAILED, success=False, status_code=400, errors=errors)
    return json_answer(refusal, 400)


def _path(bad: BadField) -> str:
    return f"$.{bad.field}" if bad.field else "$"


def _clean(message: str) -> str:
    return message[:MESSAGE_MAX].encode("utf-8", "replace").decode()


def _path_id(request: web.Request, name: str) -> str:
    value: Any = request.match_info[name]
    try:
        return catalog.identifier(value)
    except loose.Unfit as error:
        raise invalid(f"{error} - at `$.{name}`") from None
