"""The events that other systems publish, as they come and as they are meant (events.md, "Consumed").

    {"event_name": str, "data": {"payload": {...}}}

`decode` gives one typed form, `NotOurs`, or raises `BadEvent` with the field's path and the reason. `event_name`
decides, not the routing key. Absent, `null` and `""` are the same; a field that is there must be right, also an
optional one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import msgspec

from protocol import loose
from protocol.events_in import (
    LIVE_CLASS,
    ClassBegan,
    ClassCancelled,
    ClassOver,
    ExamOffered,
    ExamTaken,
    Inbound,
    InteractionTold,
    NotOurs,
    QuizAnswered,
    QuizOffered,
    SegmentSeen,
)

BODY_BYTES: Final = 64 * 1024
NEEDS_NO_ID: Final = frozenset({"comment", "reaction", "hand_raise"})
KINDS: Final = NEEDS_NO_ID | {"poll_offered", "poll_response", "doubt_asked", "doubt_resolved"}
"""Of `liveclass.interaction`."""
PAYLOAD: Final = "data.payload."


class BadEvent(Exception):
    """Not what the contract says; it would be no better the next time."""

    def __init__(self, field: str, reason: str, event: str = "") -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason
        self.event = event
        """The `event_name`, where it is one of ours."""


class _Field(msgspec.Struct, frozen=True):
    name: str
    read: loose.Reader
    required: bool = False


class _Shape(msgspec.Struct, frozen=True):
    """How a payload becomes a struct: `fields` stand in the struct's order, `check` compares what was read."""

    make: Callable[..., Inbound]
    fields: tuple[_Field, ...]
    check: Callable[[Any], None] | None = None
    only_classes: bool = False
    """Another `identification_type` is not ours."""


def _must(name: str, read: loose.Reader) -> _Field:
    return _Field(name, read, required=True)


def _may(name: str, read: loose.Reader) -> _Field:
    return _Field(name, read)


def _in_order(start: str, end: str, start_name: str, end_name: str) -> Callable[[Any], None]:
    def check(event: Inbound) -> None:
        begin, stop = getattr(event, start), getattr(event, end)
        if begin is not None and stop is not None and stop < begin:
            raise BadEvent(PAYLOAD + end_name, f"lies before {start_name}")

    return check


_ORDERED_TIMES: Final = _in_order("start_at", "end_at", "start_at", "end_at")
_ORDERED_PLAYHEADS: Final = _in_order("playhead_start", "playhead_end", "playhead_start_at", "playhead_end_at")
_ORDERED_STAMPS: Final = _in_order("start_at", "end_at", "start_timestamp", "end_timestamp")


def _check_segment(event: SegmentSeen) -> None:
    _ORDERED_PLAYHEADS(event)
    _ORDERED_STAMPS(event)


def _check_interaction(event: InteractionTold) -> None:
    if event.kind not in KINDS:
        raise BadEvent(PAYLOAD + "kind", "an unknown kind")
    if event.id is None and event.kind not in NEEDS_NO_ID:
        raise BadEvent(PAYLOAD + "id", "missing")


_CATALOG: Final = (
    _may("catalog_product_id", loose.identifier),
    _may("catalog_sku_id", loose.identifier),
    _may("program_id", loose.identifier),
    _may("course_id", loose.identifier),
    _may("platform", loose.text),
)

_SHAPES: Final[dict[str, _Shape]] = {
    "liveclass.end": _Shape(
        ClassOver,
        (
            _must("live_class_id", loose.identifier),
            *_CATALOG,
            _may("start_at", loose.moment),
            _must("end_at", loose.moment),
            _may("duration", loose.seconds),
            _may("avg_watch_time", loose.seconds),
            _may("total_comments", loose.count),
            _may("total_doubts", loose.count),
            _may("total_doubt_resolved", loose.count),
            _may("total_quiz", loose.count),
            _may("total_poll", loose.count),
            _may("total_participation", loose.count),
            _may("is_required", loose.boolean),
        ),
        _ORDERED_TIMES,
    ),
    "liveclass.quiz": _Shape(
        QuizOffered,
        (
            _must("quiz_id", loose.identifier),
            _must("identification_id", loose.identifier),
            _must("identification_type", loose.text),
            *_CATALOG,
            _may("modality", loose.text),
            _may("total_questions", loose.count),
            _may("duration", loose.seconds),
            _may("total_marks", loose.amount),
            _must("timestamp", loose.moment),
            _may("is_required", loose.boolean),
        ),
    ),
    "exam.start": _Shape(
        ExamOffered,
        (
            _must("exam_id", loose.identifier),
            _must("type", loose.text),
            _may("day", loose.label),
            *_CATALOG,
            _must("start_at", loose.moment),
            _may("end_at", loose.moment),
            _may("duration", loose.seconds),
            _may("total_questions", loose.count),
            _may("total_marks", loose.amount),
            _may("is_required", loose.boolean),
        ),
        _ORDERED_TIMES,
    ),
    "session.end": _Shape(
        ExamTaken,
        (
            _must("exam_id", loose.identifier),
            _must("auth_user_id", loose.identifier),
            _may("start_at", loose.moment),
            *_CATALOG,
            _may("type", loose.text),
            _may("time_taken", loose.seconds),
            _may("total_answers", loose.count),
            _may("total_correct_answers", loose.count),
            _may("total_qustions", loose.count),
            _may("total_score", loose.number),
            _must("end_at", loose.moment),
            _may("total_unique_questions_submitted", loose.count),
            _may("total_unique_questions_corrected", loose.count),
        ),
        _ORDERED_TIMES,
    ),
    "quiz_response": _Shape(
        QuizAnswered,
        (
            _must("auth_user_id", loose.identifier),
            _must("quiz_id", loose.identifier),
            _must("identification_id", loose.identifier),
            *_CATALOG,
            _may("modality", loose.text),
            _must("is_correct", loose.boolean),
            _must("particiapte_at", loose.moment),
            _may("quiz_option_id", loose.identifier),
            _may("time_taken", loose.seconds),
        ),
        only_classes=True,
    ),
    "live_class_user_leave": _Shape(
        SegmentSeen,
        (
            _must("auth_user_id", loose.identifier),
            _must("identification_id", loose.identifier),
            *_CATALOG,
            _may("media_type", loose.text),
            _may("media_id", loose.identifier),
            _must("playhead_start_at", loose.seconds_as_ms),
            _must("playhead_end_at", loose.seconds_as_ms),
            _may("duration", loose.seconds),
            _may("start_timestamp", loose.moment),
            _may("end_timestamp", loose.moment),
        ),
        _check_segment,
        only_classes=True,
    ),
    "liveclass.interaction": _Shape(
        InteractionTold,
        (
            _must("live_class_id", loose.identifier),
            _may("auth_user_id", loose.identifier),
            _must("kind", loose.text),
            _may("id", loose.identifier),
            _must("timestamp", loose.moment),
        ),
        _check_interaction,
    ),
    "liveclass.start": _Shape(
        ClassBegan,
        (
            _must("live_class_id", loose.identifier),
            _must("start_at", loose.moment),
        ),
    ),
    "liveclass.cancel": _Shape(ClassCancelled, (_must("live_class_id", loose.identifier),)),
}

EVENT_NAMES: Final = frozenset(_SHAPES)
REQUIRED: Final = {
    name: tuple(field.name for field in shape.fields if field.required) for name, shape in _SHAPES.items()
}
"""Fields that must be there, by event (events.md, more readings 2)."""
NAME_OF: Final[dict[type, str]] = {
    ClassOver: "liveclass.end",
    QuizOffered: "liveclass.quiz",
    ExamOffered: "exam.start",
    ExamTaken: "session.end",
    QuizAnswered: "quiz_response",
    SegmentSeen: "live_class_user_leave",
    InteractionTold: "liveclass.interaction",
    ClassBegan: "liveclass.start",
    ClassCancelled: "liveclass.cancel",
}

# What msgspec raises on bytes from strangers; the last two by deep nesting and absurd numbers.
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, OverflowError)
_parse: Final = msgspec.json.Decoder(dict[str, Any]).decode


def decode(body: bytes) -> Inbound | NotOurs:
    """One message. Raises `BadEvent`, and nothing else whatever the bytes."""
    name, data = _envelope(body)
    shape = _SHAPES.get(name)
    if shape is None:
        return NotOurs("", "an unknown event_name")
    try:
        return _read(name, shape, _payload(data))
    except BadEvent as bad:
        bad.event = name
        raise


def _envelope(body: bytes) -> tuple[str, Any]:
    if len(body) > BODY_BYTES:
        raise BadEvent("body", f"over {BODY_BYTES} bytes")
    try:
        found = _parse(body)
    except msgspec.ValidationError as error:
        raise BadEvent("body", f"not an event: {error}") from None
    except _UNREADABLE as error:
        raise BadEvent("body", f"not JSON: {error}") from None
    name = found.get("event_name")
    if type(name) is not str or not name:
        raise BadEvent("event_name", "missing" if name in (None, "") else "not text")
    return name, found.get("data")


def _payload(data: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return _object(_object(data, "data").get("payload"), "data.payload")


def _object(value: Any, path: str) -> dict[str, Any]:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    raise BadEvent(path, "missing" if value in (None, "") else "not an object")


def _read(name: str, shape: _Shape, payload: dict[str, Any]) -> Inbound | NotOurs:
    if shape.only_classes:
        about = payload.get("identification_type")
        if about is not None and about not in ("", LIVE_CLASS) and _text_at("identification_type", about):
            return NotOurs(name, "about something else than a live class")
    values: list[Any] = []
    for field in shape.fields:
        value = payload.get(field.name)
        if value is None or value == "":
            if field.required:
                raise BadEvent(PAYLOAD + field.name, "missing")
            values.append(None)
            continue
        try:
            values.append(field.read(value))
        except loose.Unfit as error:
            raise BadEvent(PAYLOAD + field.name, str(error)) from None
    event = shape.make(*values)
    if shape.check is not None:
        shape.check(event)
    return event


def _text_at(name: str, value: Any) -> str:  # noqa: ANN401 - JSON
    try:
        return loose.text(value)
    except loose.Unfit as error:
        raise BadEvent(PAYLOAD + name, str(error)) from None
