"""Batches of mobile messages: `type timestampMs length body` again and again (mobile-ingest.md, "The format").

Whatever a body is, the next message begins `length` bytes on; types without a length end where their fields end.

    read                                            becomes
    a body that is as its type says                 a `Message` with its `body`
    a type nobody knows                             a `Message` without one
    a body that is not as its type says             an `Undecodable`; reading goes on behind it
    no message where one should begin: the first    `Unframed` is raised, nothing is known of the batch
                                       a later one  `Broken`: the rest of the bytes, and reading stops
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from protocol.mobile.messages import (
    OF_TYPE,
    UNMEASURED,
    UNTIMED,
    BatchMeta,
    Body,
    PerformanceAggregated,
    end_of_fields,
    read_body,
    read_fields,
    write_body,
)
from protocol.mobile.wire import Unreadable, read_uint, write_uint

MESSAGES_PER_BATCH: Final = 100_000
"""Ten times what an SDK ever keeps. A batch of 16 MB could hold 5 million of 3 bytes, which is a bomb of objects."""


class Unframed(Exception):
    """The first message cannot be told from what follows it, so nothing of the batch can (reading 5)."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f"{reason}, at byte {offset}")
        self.offset = offset
        self.reason = reason


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message. `at`: Unix ms by the client's clock, as told (up to 2^64 - 1).

    `body`: None for a type that is not known. `raw`: the bytes of the body, whatever it is; of a type without a length
    its fields (behind the timestamp where it has one). `offset`: of the message within its batch.
    """

    type: int
    at: int
    body: Body | None
    raw: bytes
    offset: int = 0


class Undecodable(msgspec.Struct, frozen=True, gc=False):
    """A message that is framed, with a body that is not as its type says."""

    offset: int
    type: int
    at: int
    raw: bytes
    reason: str


class Broken(msgspec.Struct, frozen=True, gc=False):
    """From `offset` on there are no messages; `raw` is all that follows."""

    offset: int
    reason: str
    raw: bytes


class Batch(msgspec.Struct, frozen=True):
    """What a batch holds, in its order. `first_index`: as the 107 at its beginning says, which is in `messages` too."""

    messages: list[Message]
    undecodable: list[Undecodable]
    first_index: int | None = None
    broken: Broken | None = None


def read_batch(data: bytes, *, most: int = MESSAGES_PER_BATCH) -> Batch:
    """Read a whole batch; one without a byte has no messages. Raises `Unframed`.

    Messages past the first `most` are not read: that is where it is broken.
    """
    messages: list[Message] = []
    undecodable: list[Undecodable] = []
    broken = None
    at = 0
    while at < len(data):
        if len(messages) + len(undecodable) >= most:
            broken = Broken(at, f"more than {most} messages", data[at:])
            break
        try:
            found, end = _read_message(data, at)
        except Unreadable as error:
            if at == 0:
                raise Unframed(at, str(error)) from None
            broken = Broken(at, str(error), data[at:])
            break
        if isinstance(found, Message):
            messages.append(found)
        else:
            undecodable.append(found)
        at = end
    return Batch(messages, undecodable, _first_index(messages), broken)


def _first_index(messages: list[Message]) -> int | None:
    if not messages or messages[0].offset:
        return None
    body = messages[0].body
    return body.first_index if type(body) is BatchMeta else None


def _read_message(data: bytes, offset: int) -> tuple[Message | Undecodable, int]:
    number, at = read_uint(data, offset)
    if number in UNMEASURED:
        return _read_unmeasured(number, data, offset, at)
    time, at = read_uint(data, at)
    length, at = read_uint(data, at)
    end = at + length
    if end > len(data):
        raise Unreadable(f"a body of {length} bytes where {len(data) - at} are left")
    raw = data[at:end]
    try:
        return Message(number, time, read_body(number, raw), raw, offset), end
    except Unreadable as error:
        return Undecodable(offset, number, time, raw, str(error)), end


def _read_unmeasured(number: int, data: bytes, offset: int, at: int) -> tuple[Message | Undecodable, int]:
    time = 0
    if number not in UNTIMED:
        time, at = read_uint(data, at)
    (kind,) = OF_TYPE[number]
    end = end_of_fields(kind, data, at)
    raw = data[at:end]
    try:
        body, _ = read_fields(kind, raw, 0)
    except Unreadable as error:  # a string that is not UTF-8: where it ends is known all the same
        return Undecodable(offset, number, time, raw, str(error)), end
    if type(body) is PerformanceAggregated:
        time = body.start
    return Message(number, time, body, raw, offset), end


def message(at: int, body: Body) -> Message:
    """A message to be written. Raises `ValueError` for what the format cannot hold."""
    return Message(body.TYPE, at, body, write_body(body))


def write_message(message: Message) -> bytes:
    """The bytes of one message, by its `type`, `at` and `raw` alone. Raises `ValueError` for a number over 64 bits."""
    head = write_uint(message.type)
    if message.type not in UNTIMED:
        head += write_uint(message.at)
    if message.type not in UNMEASURED:
        head += write_uint(len(message.raw))
    return head + message.raw


def write_batch(messages: Iterable[Message], first_index: int | None, *, at: int | None = None) -> bytes:
    """A batch; with a 107 in front unless `first_index` is None, dated `at` or as the first message is.

    Raises `ValueError` for numbers over 64 bits.
    """
    written = list(messages)
    if first_index is not None:
        if at is None:
            at = written[0].at if written else 0
        written.insert(0, message(at, BatchMeta(first_index)))
    return b"".join(map(write_message, written))
