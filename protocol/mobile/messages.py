"""What a mobile SDK tells: one struct for each type of message (mobile-ingest.md, "The format").

A struct's fields are the body, in its order: `int` is a `uint`, `str` a `string`, `bool` a `boolean`.
"""

from __future__ import annotations

from typing import Any, ClassVar, get_type_hints

import msgspec

from protocol.mobile.wire import (
    Unreadable,
    read_boolean,
    read_string,
    read_uint,
    skip_boolean,
    skip_string,
    skip_uint,
    write_boolean,
    write_string,
    write_uint,
)


class Body(msgspec.Struct, frozen=True, gc=False):
    """What stands in a message, decoded."""

    TYPE: ClassVar[int]


class SessionStart(Body, frozen=True, gc=False):
    TYPE: ClassVar[int] = 90
    project_id: int
    tracker_version: str
    rev_id: str
    user_uuid: str
    user_os: str
    user_os_version: str
    user_device: str
    user_device_type: str
    user_country: str


class SessionEnd(Body, frozen=True, gc=False):
    TYPE: ClassVar[int] = 91


class Metadata(Body, frozen=True, gc=False):
    TYPE: ClassVar[int] = 92
    key: str
    value: str


class CustomEvent(Body, frozen=True, gc=False):
    """`payload` is JSON, or says it is."""

    TYPE: ClassVar[int] = 93
    name: str
    payload: str


class UserId(Body, frozen=True, gc=False):
    TYPE: ClassVar[int] = 94
    value: str


class AnonymousId(Body, frozen=True, gc=False):
    TYPE: ClassVar[int] = 95
    value: str


class ScreenChanges(Body, frozen=True, gc=False):
    TYPE: ClassVar[int] = 96
    x: int
    y: int
    width: int
    height: int


class Crash(Body, frozen=True, gc=False):
    TYPE: ClassVar[int] = 97
    name: str
    reason: str
    stacktrace: str


class ViewComponent(Body, frozen=True, gc=False):
    TYPE: ClassVar[int] = 98
    screen_name: str
    view_name: str
    visible: bool


class OlderViewComponent(Body, frozen=True, gc=False):
    """The body that 98 had before: one byte shorter, so that the two are never mistaken."""

    TYPE: ClassVar[int] = 98
    title: str
    view_name: str


class Click(Body, frozen=True, gc=False):
    TYPE: ClassVar[int] = 100
    label: str
    x: int
    y: int


class Input(Body, frozen=True, gc=False):
    TYPE: ClassVar[int] = 101
    value: str
    masked: bool
    label: str


class Performance(Body, frozen=True, gc=False):
    TYPE: ClassVar[int] = 102
    name: str
    value: int


class Log(Body, frozen=True, gc=False):
    TYPE: ClassVar[int] = 103
    severity: str
    content: str


class InternalError(Body, frozen=True, gc=False):
    TYPE: ClassVar[int] = 104
    content: str


class NetworkCall(Body, frozen=True, gc=False):
    """`duration` in milliseconds."""

    TYPE: ClassVar[int] = 105
    type: str
    method: str
    url: str
    request: str
    response: str
    status: int
    duration: int


class OlderNetworkCall(Body, frozen=True, gc=False):
    """The body that 105 had before."""

    TYPE: ClassVar[int] = 105
    duration: int
    headers: str
    body: str
    url: str
    success: bool
    method: str
    status: int


class Swipe(Body, frozen=True, gc=False):
    TYPE: ClassVar[int] = 106
    label: str
    x: int
    y: int
    direction: str


class BatchMeta(Body, frozen=True, gc=False):
    """What a batch usually begins with: the number of its first message within the app's run."""

    TYPE: ClassVar[int] = 107
    first_index: int


class GraphQL(Body, frozen=True, gc=False):
    TYPE: ClassVar[int] = 109
    kind: str
    name: str
    variables: str
    response: str
    duration: int


class PerformanceAggregated(Body, frozen=True, gc=False):
    """`start` and `end` are Unix ms; its message's time is `start`."""

    TYPE: ClassVar[int] = 110
    start: int
    end: int
    min_fps: int
    avg_fps: int
    max_fps: int
    min_cpu: int
    avg_cpu: int
    max_cpu: int
    min_memory: int
    avg_memory: int
    max_memory: int
    min_battery: int
    avg_battery: int
    max_battery: int


class Issue(Body, frozen=True, gc=False):
    TYPE: ClassVar[int] = 111
    type: str
    context_string: str
    context: str
    payload: str


BODIES: tuple[type[Body], ...] = (
    SessionStart,
    SessionEnd,
    Metadata,
    CustomEvent,
    UserId,
    AnonymousId,
    ScreenChanges,
    Crash,
    ViewComponent,
    OlderViewComponent,
    Click,
    Input,
    Performance,
    Log,
    InternalError,
    NetworkCall,
    OlderNetworkCall,
    Swipe,
    BatchMeta,
    GraphQL,
    PerformanceAggregated,
    Issue,
)
"""Every body; where a type has two, the newer stands first and is tried first."""

UNMEASURED = frozenset({SessionStart.TYPE, SessionEnd.TYPE, PerformanceAggregated.TYPE, Issue.TYPE})
"""Types that have no `length`: where they end is found by reading them (mobile-ingest.md, reading 4)."""

UNTIMED = frozenset({PerformanceAggregated.TYPE})
"""Types that have no `timestampMs` either."""

_READERS: dict[type, Any] = {int: read_uint, str: read_string, bool: read_boolean}
_SKIPPERS: dict[type, Any] = {int: skip_uint, str: skip_string, bool: skip_boolean}
_WRITERS: dict[type, Any] = {int: write_uint, str: write_string, bool: write_boolean}


def _fields(body: type[Body]) -> list[type]:
    hints = get_type_hints(body)
    return [hints[name] for name in body.__struct_fields__]


_READ: dict[type[Body], tuple[Any, ...]] = {body: tuple(_READERS[kind] for kind in _fields(body)) for body in BODIES}
_SKIP: dict[type[Body], tuple[Any, ...]] = {body: tuple(_SKIPPERS[kind] for kind in _fields(body)) for body in BODIES}
_WRITE: dict[type[Body], tuple[Any, ...]] = {body: tuple(_WRITERS[kind] for kind in _fields(body)) for body in BODIES}
OF_TYPE: dict[int, tuple[type[Body], ...]] = {
    number: tuple(body for body in BODIES if number == body.TYPE) for number in sorted({body.TYPE for body in BODIES})
}
"""The bodies of each type that is known."""


def read_fields(kind: type[Body], data: bytes, at: int) -> tuple[Body, int]:
    """The body that begins there, and where it ends. Raises `Unreadable`."""
    values: list[Any] = []
    for read in _READ[kind]:
        value, at = read(data, at)
        values.append(value)
    return kind(*values), at


def end_of_fields(kind: type[Body], data: bytes, at: int) -> int:
    """Where the body that begins there ends, whether its strings are text or not. Raises `Unreadable`."""
    for skip in _SKIP[kind]:
        at = skip(data, at)
    return at


def read_body(number: int, raw: bytes) -> Body | None:
    """The body of a message of this type: the first of its bodies that takes every byte. None: an unknown type.

    For 98 no bytes fit both; where they fit both for 105, which takes a body made for it, it is the newer.
    Raises `Unreadable` where none fits, with the reason of the newest.
    """
    reason = ""
    for kind in OF_TYPE.get(number, ()):
        try:
            body, end = read_fields(kind, raw, 0)
        except Unreadable as error:
            reason = reason or str(error)
            continue
        if end == len(raw):
            return body
        reason = reason or f"{len(raw) - end} bytes too many"
    if reason:
        raise Unreadable(reason)
    return None


def write_body(body: Body) -> bytes:
    """The bytes of a body. Raises `ValueError` for what the format cannot hold."""
    values = (getattr(body, name) for name in body.__struct_fields__)
    return b"".join(write(value) for write, value in zip(_WRITE[type(body)], values, strict=True))
