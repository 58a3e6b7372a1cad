"""The catalog's entities as their owners write them (learning-api.md, "What feeds these: the catalog").

`read` turns a body of JSON into one typed form or raises `BadField`. Unknown fields are passed over; null is absent.
Times Unix ms, durations ms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

import msgspec

from protocol import limits, loose
from protocol.xapi.profile import IRI_CHARS

REQUIRES_MAX: Final = 100
"""Contents that one content may demand."""

SCHEDULED: Final = "scheduled"
CANCELLED: Final = "cancelled"
Status = Literal["scheduled", "cancelled"]


class Product(msgspec.Struct, frozen=True):
    """What is sold; the contract's catalog product."""

    product_id: str
    name: str
    updated_at: int


class Program(msgspec.Struct, frozen=True):
    """What classes belong to beside their product."""

    program_id: str
    name: str
    updated_at: int


class LiveClass(msgspec.Struct, frozen=True):
    """A class of the time-table; its room has the same id."""

    live_class_id: str
    name: str
    catalog_product_id: str
    program_id: str | None
    course_id: str | None
    subject: str
    platform: str | None
    start_at: int
    end_at: int
    is_required: bool
    status: Status
    updated_at: int


class Lesson(msgspec.Struct, frozen=True):
    """A content. `requires`: (kind, id) of what must be completed first. `duration_ms` None: not known."""

    kind: str
    content_id: str
    title: str
    catalog_product_id: str | None
    course_id: str | None
    has_video: bool
    published: bool
    published_at: int | None
    duration_ms: int | None
    sequential: bool
    requires: tuple[tuple[str, str], ...]
    completion_threshold: float | None
    ignore_tail: bool
    updated_at: int
    xapi_id: str | None = None
    """What xAPI statements call it."""


class Enrolment(msgspec.Struct, frozen=True):
    """A learner in a product during [`enrolled_at` or ever, `ended_at` or for ever) (reading 4)."""

    product_id: str
    user_id: str
    enrolled_at: int | None
    ended_at: int | None
    updated_at: int


Entity = Product | Program | LiveClass | Lesson | Enrolment


class BadField(Exception):
    """The body cannot be taken in; `field` names what is wrong with it, empty for the whole."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


# -- values -----------------------------------------------------------------------------------------------------------


def identifier(value: Any) -> str:  # noqa: ANN401 - JSON
    """An id: `15` and `"15"` are one (reading 15). Raises `loose.Unfit`."""
    if value == "":
        raise loose.Unfit("an empty id")
    return _storable(loose.identifier(value))


def _name(value: Any) -> str:  # noqa: ANN401
    if type(value) is not str:
        raise loose.Unfit("not text")
    if not 1 <= len(value) <= limits.NAME_CHARS:
        raise loose.Unfit(f"not from 1 to {limits.NAME_CHARS} characters")
    return _storable(value)


def _storable(value: str) -> str:
    """PostgreSQL holds neither NUL nor half a surrogate pair."""
    if "\0" in value:
        raise loose.Unfit("holds NUL")
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise loose.Unfit("holds half a character")
    return value


def moment(value: Any) -> int:  # noqa: ANN401 - JSON
    """RFC 3339 with its zone: what an owner leaves out would be guessed."""
    if type(value) is not str or not (value[-1:] in "Zz" or value[-6:-5] in ("+", "-")):
        raise loose.Unfit("not a time with its zone, such as 2024-02-07T10:00:00Z")
    return loose.moment(value)


def _boolean(value: Any) -> bool:  # noqa: ANN401
    if type(value) is not bool:
        raise loose.Unfit("neither true nor false")
    return value


def _status(value: Any) -> Status:  # noqa: ANN401
    if value == SCHEDULED:
        return "scheduled"
    if value == CANCELLED:
        return "cancelled"
    raise loose.Unfit(f"neither {SCHEDULED} nor {CANCELLED}")


def _length(value: Any) -> int | None:  # noqa: ANN401
    """Seconds as ms. Owners write 0 for a length that they do not know."""
    if type(value) not in (int, float):
        raise loose.Unfit("not a number")
    return loose.seconds_as_ms(value) or None


def _iri(value: Any) -> str:  # noqa: ANN401
    if type(value) is not str or not 1 <= len(value) <= IRI_CHARS or ":" not in value:
        raise loose.Unfit(f"not an IRI of at most {IRI_CHARS} characters")
    return _storable(value)


def _threshold(value: Any) -> float:  # noqa: ANN401
    if type(value) not in (int, float) or not 0 < value <= 1:
        raise loose.Unfit("not a share over 0 and at most 1")
    return float(value)


class _Named(msgspec.Struct):
    kind: Any
    id: Any


def _requires(value: Any) -> tuple[tuple[str, str], ...]:  # noqa: ANN401
    try:
        items = msgspec.convert(value, list[_Named])
        if len(items) > REQUIRES_MAX:
            raise loose.Unfit(f"more than {REQUIRES_MAX} contents")
        return tuple(dict.fromkeys((identifier(item.kind), identifier(item.id)) for item in items))
    except msgspec.ValidationError as error:
        raise loose.Unfit(f"not a list of objects of kind and id: {error}") from None


# -- entities ---------------------------------------------------------------------------------------------------------

_NONE: Final = object()
"""No default: the field must be there."""


class _Field(msgspec.Struct, frozen=True):
    name: str
    read: loose.Reader
    default: Any = _NONE


class Shape(msgspec.Struct, frozen=True):
    """How an entity is written. `ids`: each with the names that a line of a bulk may give it, the first is ours."""

    make: Callable[..., Entity]
    ids: tuple[tuple[str, ...], ...]
    fields: tuple[_Field, ...]
    check: Callable[[Any], None] | None = None


def _check_class(found: LiveClass) -> None:
    if found.end_at <= found.start_at:
        raise BadField("end_at", "not after start_at")


def _check_lesson(found: Lesson) -> None:
    if (found.kind, found.content_id) in found.requires:
        raise BadField("requires", "names the content itself")


def _check_enrolment(found: Enrolment) -> None:
    if found.enrolled_at is not None and found.ended_at is not None and found.ended_at < found.enrolled_at:
        raise BadField("ended_at", "before enrolled_at")


_UPDATED: Final = _Field("updated_at", moment)

SHAPES: Final[dict[str, Shape]] = {
    "product": Shape(Product, (("id", "product_id", "catalog_product_id"),), (_Field("name", _name), _UPDATED)),
    "program": Shape(Program, (("id", "program_id"),), (_Field("name", _name), _UPDATED)),
    "live_class": Shape(
        LiveClass,
        (("id", "live_class_id"),),
        (
            _Field("name", _name),
            _Field("catalog_product_id", identifier),
            _Field("program_id", identifier, None),
            _Field("course_id", identifier, None),
            _Field("subject", _name),
            _Field("platform", _name, None),
            _Field("start_at", moment),
            _Field("end_at", moment),
            _Field("is_required", _boolean, default=True),
            _Field("status", _status, SCHEDULED),
            _UPDATED,
        ),
        _check_class,
    ),
    "content": Shape(
        Lesson,
        (("kind",), ("id", "content_id")),
        (
            _Field("title", _name),
            _Field("catalog_product_id", identifier, None),
            _Field("course_id", identifier, None),
            _Field("has_video", _boolean),
            _Field("published", _boolean),
            _Field("published_at", moment, None),
            _Field("duration_seconds", _length, None),
            _Field("sequential", _boolean, default=False),
            _Field("requires", _requires, ()),
            _Field("completion_threshold", _threshold, None),
            _Field("ignore_tail", _boolean, default=False),
            _UPDATED,
            _Field("xapi_id", _iri, None),
        ),
        _check_lesson,
    ),
    "enrolment": Shape(
        Enrolment,
        (("catalog_product_id", "product_id"), ("user_id",)),
        (_Field("enrolled_at", moment, None), _Field("ended_at", moment, None), _UPDATED),
        _check_enrolment,
    ),
}


def read(entity: str, ids: tuple[str, ...], body: Mapping[str, Any]) -> Entity:
    """An entity with its ids from elsewhere, the path say. Raises `BadField`."""
    shape = SHAPES[entity]
    made = shape.make(*ids, *(_value(field, body) for field in shape.fields))
    if shape.check is not None:
        shape.check(made)
    return made


def _value(field: _Field, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 - whatever the field is
    value = body.get(field.name)
    if value is None:
        if field.default is _NONE:
            raise BadField(field.name, "missing")
        return field.default
    try:
        return field.read(value)
    except loose.Unfit as error:
        raise BadField(field.name, str(error)) from None


_parse: Final = msgspec.json.Decoder(dict[str, Any]).decode
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, OverflowError)


def parse(data: bytes | bytearray | memoryview) -> dict[str, Any]:
    """A JSON object. Raises `BadField`, and nothing else whatever the bytes."""
    try:
        return _parse(data)
    except msgspec.ValidationError:
        raise BadField("", "not a JSON object") from None
    except _UNREADABLE as error:
        raise BadField("", f"not JSON: {error}") from None


def read_line(data: bytes | bytearray | memoryview) -> Entity:
    """A line of a bulk: `entity`, its ids, and its fields. Raises `BadField`."""
    body = parse(data)
    entity = body.get("entity")
    if type(entity) is not str or entity not in SHAPES:
        raise BadField("entity", "missing" if entity is None else f"none of {', '.join(SHAPES)}")
    return read(entity, tuple(_id(names, body) for names in SHAPES[entity].ids), body)


def _id(names: tuple[str, ...], body: Mapping[str, Any]) -> str:
    name = next((each for each in names if body.get(each) is not None), None)
    if name is None:
        raise BadField(names[0], "missing")
    try:
        return identifier(body[name])
    except loose.Unfit as error:
        raise BadField(name, str(error)) from None


def key_of(entity: Entity) -> tuple[type, str, str]:
    """What makes two tellings of one thing."""
    match entity:
        case Lesson():
            return Lesson, entity.kind, entity.content_id
        case Enrolment():
            return Enrolment, entity.product_id, entity.user_id
        case Product():
            return Product, entity.product_id, ""
        case Program():
            return Program, entity.program_id, ""
        case LiveClass():
            return LiveClass, entity.live_class_id, ""


def lasting(entities: Iterable[Entity]) -> list[Entity]:
    """One telling a thing: the newest, of equals the last, as if they had come one after another. Ordered by key."""
    best: dict[tuple[type, str, str], Entity] = {}
    for entity in entities:
        key = key_of(entity)
        known = best.get(key)
        if known is None or entity.updated_at >= known.updated_at:
            best[key] = entity
    return [best[key] for key in sorted(best, key=lambda key: (key[0].__name__, *key[1:]))]
