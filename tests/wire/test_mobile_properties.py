"""Whatever is written is read again; whatever the bytes, reading ends, loses none and takes no more than they weigh."""

from __future__ import annotations

import random
import tracemalloc
from itertools import pairwise
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.machines.profiles  # noqa: F401 - loads the profile
from protocol.mobile import (
    Batch,
    Broken,
    CustomEvent,
    Message,
    PerformanceAggregated,
    Undecodable,
    Unframed,
    decode_project,
    encode_project,
    message,
    read_batch,
    write_batch,
    write_message,
)
from protocol.mobile.messages import BODIES, OF_TYPE, UNMEASURED, UNTIMED, Body, read_body
from protocol.mobile.wire import UINT_MAX, Unreadable, write_uint

UINTS = st.integers(0, UINT_MAX) | st.sampled_from([0, 1, 127, 128, 2**14 - 1, 2**14, 2**63 - 1, 2**63, UINT_MAX])
VALUES: dict[type, st.SearchStrategy[Any]] = {
    int: UINTS,
    str: st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from(["", "\0", "é" * 64]),
    bool: st.booleans(),
}


def bodies_of(kind: type[Body]) -> st.SearchStrategy[Body]:
    hints = get_type_hints(kind)
    return st.builds(kind, *(VALUES[hints[name]] for name in kind.__struct_fields__))


BODY = st.one_of(*map(bodies_of, BODIES))


@st.composite
def messages(draw: st.DrawFn) -> Message:
    body = draw(BODY)
    return message(body.start if isinstance(body, PerformanceAggregated) else draw(UINTS), body)


@st.composite
def strangers(draw: st.DrawFn) -> Message:
    number = draw(UINTS.filter(lambda number: number not in OF_TYPE))
    return Message(number, draw(UINTS), None, draw(st.binary(max_size=30)))


@given(written=st.lists(messages() | strangers(), max_size=8), first_index=UINTS)
def test_what_is_written_is_read_again(written: list[Message], first_index: int):
    batch = read_batch(write_batch(written, first_index, at=5))

    assert batch.first_index == first_index
    assert not batch.undecodable
    assert batch.broken is None
    read = [(each.type, each.at, each.raw) for each in batch.messages[1:]]
    assert read == [(each.type, each.at, each.raw) for each in written]
    for before, after in zip(written, batch.messages[1:], strict=True):
        assert is_a_reading(before.body, after)


def is_a_reading(body: Body | None, read: Message) -> bool:
    """The same body; but an older network call whose bytes are a newer one's too is read as that."""
    return read.body == body or (read.type == 105 and type(read.body) is OF_TYPE[105][0])


@given(written=st.lists(messages() | strangers(), max_size=5), bad=st.binary(max_size=30), number=UINTS)
def test_behind_a_bad_body_reading_goes_on(written: list[Message], bad: bytes, number: int):
    if number in UNMEASURED:
        return
    before, after = write_batch(written, 0), write_batch(written, 1)

    batch = read_batch(before + write_message(Message(number, 7, None, bad)) + after)

    assert len(batch.messages) + len(batch.undecodable) == 2 * (len(written) + 1) + 1
    assert batch.broken is None


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    wire = write_batch(draw(st.lists(messages(), min_size=1, max_size=6)), 0)
    cut = draw(st.sets(st.integers(0, 60), max_size=4))
    return bytes(byte for place, byte in enumerate(wire) if place % 61 not in cut)


@given(data=st.binary(max_size=300) | mangled())
def test_every_byte_of_whatever_arrives_is_in_one_place(data: bytes):
    check(data)


def check(data: bytes) -> None:
    """Reading ends; what was read stands side by side and is, written again, what was there."""
    try:
        batch = read_batch(data)
    except Unframed as refused:
        refusal = (refused.offset, bool(refused.reason))
    else:
        holds(data, batch)
        return
    assert refusal == (0, True)


def holds(data: bytes, batch: Batch) -> None:
    """All of the bytes are in one place."""
    pieces: list[Message | Undecodable] = sorted([*batch.messages, *batch.undecodable], key=lambda piece: piece.offset)
    ends = [piece.offset for piece in pieces] + [len(data) if batch.broken is None else batch.broken.offset]
    assert ends[0] == 0
    for piece, (begin, end) in zip(pieces, pairwise(ends), strict=True):
        assert data[begin:end].endswith(piece.raw)
        assert len(data[begin:end]) - len(piece.raw) <= 30  # three numbers
        assert read_again(piece.type, piece.at, piece.raw) == getattr(piece, "body", None)
    if batch.broken is not None:
        assert batch.broken == Broken(ends[-1], batch.broken.reason, data[ends[-1] :])


def read_again(number: int, at: int, raw: bytes) -> Body | None:
    """From a message's type, time and raw body alone, as they are stored."""
    assert number in UNTIMED or 0 <= at <= UINT_MAX
    try:
        return read_body(number, raw)
    except Unreadable:
        return None


@pytest.mark.parametrize("seed", range(4))
def test_a_batch_with_bytes_changed_at_random_is_read_or_refused(seed: int):
    chance = random.Random(seed)
    seeds = [write_message(message(1_688_634_943_000, CustomEvent("heartbeat", "{}")))] + [
        write_uint(number) + write_uint(1) + write_uint(size) + chance.randbytes(size)
        for number in OF_TYPE
        for size in (0, 3, 20)
    ]
    for _ in range(300):
        check(mutated(b"".join(chance.sample(seeds, 5)), chance))


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Bytes changed, cut out, doubled or put in."""
    found = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(found) + 1)
        what = chance.randrange(5)
        if what == 0:
            found[place : place + 1] = bytes([chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])])
        elif what == 1:
            del found[place : place + chance.randint(1, 9)]
        elif what == 2:
            found[place:place] = found[place : place + chance.randint(1, 40)]
        elif what == 3:
            found[place:place] = write_uint(chance.choice([127, 128, 10_000_000, 10_000_001, 2**32, UINT_MAX]))
        else:
            found[place:place] = chance.randbytes(chance.randint(1, 8))
    return bytes(found)


@pytest.mark.parametrize(
    "claim",
    [
        write_uint(94) + write_uint(1) + write_uint(5) + write_uint(10_000_000),  # a string longer than its body
        write_uint(111) + write_uint(1) + write_uint(10_000_000) + b"abc",  # in a type without a length
        write_uint(94) + write_uint(1) + write_uint(16_000_000),  # a body longer than the batch
    ],
)
def test_a_claim_of_ten_megabytes_takes_no_memory(claim: bytes):
    data = write_message(message(1, CustomEvent("a", "b"))) + claim + b"abc"
    read_batch(data)
    tracemalloc.start()
    try:
        read_batch(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 20_000


@given(number=st.integers(0, 2**52 - 1))
def test_a_project_is_read_as_it_was_encoded(number: int):
    encoded = encode_project(number)

    assert 2**52 <= encoded < 2**53
    assert decode_project(encoded) == number
