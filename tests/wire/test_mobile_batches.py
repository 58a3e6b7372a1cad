"""Batches of mobile messages, byte by byte: the contract's vectors, a golden of every body, what SDKs do wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from protocol import mobile
from protocol.mobile import Message, Undecodable, Unframed, message, read_batch, write_batch, write_message
from protocol.mobile.messages import BODIES, UNMEASURED, Body, write_body
from protocol.mobile.wire import Unreadable, read_boolean, read_string, read_uint, unzigzag, write_uint, zigzag

AT = 1_688_634_943_000
META = bytes.fromhex("6b98ccf1d392310100")
CLICK = bytes.fromhex("649dccf1d3923107035461700aac02")
INPUT = bytes.fromhex("659eccf1d392310e0668c3a96c6c6f0105656d61696c")

GOLDENS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "golden_mobile.json").read_text())
KINDS: dict[str, type[Body]] = {kind.__name__: kind for kind in BODIES}


def framed(number: int, body: bytes, at: int = AT) -> bytes:
    return write_uint(number) + write_uint(at) + write_uint(len(body)) + body


# -- vectors ----------------------------------------------------------------------------------------------------------


def test_the_vectors_of_the_contract_are_read():
    batch = read_batch(META + CLICK + INPUT)

    assert batch.first_index == 0
    assert [(each.type, each.at, each.body, each.offset) for each in batch.messages] == [
        (107, AT, mobile.BatchMeta(0), 0),
        (100, AT + 5, mobile.Click("Tap", 10, 300), 9),
        (101, AT + 6, mobile.Input("héllo", masked=True, label="email"), 24),
    ]
    assert not batch.undecodable
    assert batch.broken is None


def test_the_vectors_of_the_contract_are_written():
    click = message(AT + 5, mobile.Click("Tap", 10, 300))
    typed = message(AT + 6, mobile.Input("héllo", masked=True, label="email"))

    assert write_batch([click, typed], 0, at=AT) == META + CLICK + INPUT


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden["body"])
def test_every_body_stands_on_the_wire_as_its_golden_does(golden: dict[str, Any]):
    body = KINDS[golden["body"]](*golden["fields"])
    wire = bytes.fromhex(golden["hex"])

    assert write_message(message(golden["at"], body)) == wire
    batch = read_batch(wire + CLICK)
    assert [(each.type, each.at, each.body) for each in batch.messages] == [
        (golden["type"], golden["at"], body),
        (100, AT + 5, mobile.Click("Tap", 10, 300)),
    ]
    assert batch.messages[0].raw == write_body(body)


def test_every_body_has_a_golden():
    assert [golden["body"] for golden in GOLDENS] == list(KINDS)


# -- framing ----------------------------------------------------------------------------------------------------------


def test_a_batch_without_a_byte_has_no_messages():
    assert read_batch(b"") == mobile.Batch([], [])


def test_a_bare_message_without_107_is_legal():
    batch = read_batch(CLICK)

    assert len(batch.messages) == 1
    assert batch.first_index is None


def test_only_a_107_at_the_beginning_numbers_the_batch():
    batch = read_batch(CLICK + META)

    assert batch.first_index is None
    assert batch.messages[1].body == mobile.BatchMeta(0)


def test_a_type_that_nobody_knows_is_kept_raw():
    # 89 is what one SDK calls GraphQL; 9000 nobody has thought of yet.
    batch = read_batch(framed(89, b"\x05query") + framed(9000, b"\xff\xff") + CLICK)

    assert [(each.type, each.body, each.raw) for each in batch.messages[:2]] == [
        (89, None, b"\x05query"),
        (9000, None, b"\xff\xff"),
    ]
    assert batch.messages[2].body == mobile.Click("Tap", 10, 300)


def test_a_network_call_with_four_raw_bytes_is_kept_raw_and_the_batch_goes_on():
    strings = b"".join(map(write_string, ["request", "GET", "/a", "[]", "{}"]))
    raw = strings + (200).to_bytes(4, "big") + write_uint(31)

    batch = read_batch(META + framed(105, raw) + CLICK)

    assert batch.undecodable == [Undecodable(len(META), 105, AT, raw, "3 bytes too many")]
    assert [each.type for each in batch.messages] == [107, 100]


def write_string(text: str) -> bytes:
    return write_uint(len(text.encode())) + text.encode()


@pytest.mark.parametrize(
    ("number", "raw", "reason"),
    [
        (100, b"\x03Tap\x0a", "cut short within a number"),
        (100, b"\x03Tap\x0a\x0a\x00", "1 bytes too many"),
        (100, b"\x09Tap", "cut short within a string"),
        (94, b"\x04Tap", "cut short within a string"),
        (94, b"\x02\xc3\x28", "a string that is not UTF-8"),
        (94, b"\x03\xed\xa0\x80", "a string that is not UTF-8"),
        (101, b"\x00", "cut short before a boolean"),
        (102, b"\x00" + b"\xff" * 9 + b"\x02", "a number over 64 bits"),
        (94, write_uint(10_000_001), "a string of more than 10000000 bytes"),
        (94, write_uint(2**63), "a string of more than 10000000 bytes"),
        (98, b"\x01a\x01b\x01\x00", "1 bytes too many"),
        (107, b"", "cut short within a number"),
    ],
)
def test_a_body_that_is_not_as_its_type_says_is_kept_raw_with_the_reason(number: int, raw: bytes, reason: str):
    batch = read_batch(CLICK + framed(number, raw) + INPUT)

    assert batch.undecodable == [Undecodable(len(CLICK), number, AT, raw, reason)]
    assert [each.type for each in batch.messages] == [100, 101]
    assert batch.broken is None


def test_a_first_message_with_a_bad_body_is_framed_all_the_same():
    batch = read_batch(framed(107, b"") + META)

    assert [each.type for each in batch.undecodable] == [107]
    assert [each.type for each in batch.messages] == [107]
    assert batch.first_index is None


UNFRAMED = [
    (b"\x80", "cut short within a number"),
    (b"\x64", "cut short within a number"),
    (b"\x64\x01", "cut short within a number"),
    (b"\x64\x01\x05abc", "a body of 5 bytes where 3 are left"),
    (b"\x64\x01\x04abc", "a body of 4 bytes where 3 are left"),
    (b"\x64\x01" + write_uint(2**64 - 1), "a body of 18446744073709551615 bytes where 0 are left"),
    (b"\xff" * 10 + b"\x01", "a number over 64 bits"),
    (b"\x6f\x01\x09abc", "cut short within a string"),
    (b"\x5a\x01\x01" + write_uint(10_000_001), "a string of more than 10000000 bytes"),
    (b"\x6e\x01", "cut short within a number"),
]


@pytest.mark.parametrize(("data", "reason"), UNFRAMED)
def test_a_first_message_that_cannot_be_framed_refuses_the_batch(data: bytes, reason: str):
    with pytest.raises(Unframed) as refused:
        read_batch(data)

    assert (refused.value.offset, refused.value.reason) == (0, reason)


@pytest.mark.parametrize(("data", "reason"), UNFRAMED)
def test_where_a_later_message_cannot_be_framed_the_rest_is_kept_raw(data: bytes, reason: str):
    batch = read_batch(META + CLICK + data)

    assert [each.type for each in batch.messages] == [107, 100]
    assert batch.broken == mobile.Broken(len(META + CLICK), reason, data)


def test_a_type_without_a_length_that_holds_no_text_is_framed_all_the_same():
    issue = b"\x6f" + write_uint(AT) + b"\x02\xc3\x28\x00\x00\x00"

    batch = read_batch(CLICK + issue + INPUT)

    assert batch.undecodable == [Undecodable(len(CLICK), 111, AT, issue[7:], "a string that is not UTF-8")]
    assert [each.type for each in batch.messages] == [100, 101]


def test_messages_past_the_bound_are_kept_raw():
    batch = read_batch(CLICK * 3 + INPUT, most=3)

    assert len(batch.messages) == 3
    assert batch.broken == mobile.Broken(3 * len(CLICK), "more than 3 messages", INPUT)
    assert read_batch(CLICK * 3, most=3).broken is None


def test_undecodable_messages_count_towards_the_bound():
    assert read_batch(framed(107, b"") * 4, most=3).broken is not None


# -- two bodies -------------------------------------------------------------------------------------------------------


def test_a_network_call_that_fits_both_bodies_is_the_newer():
    # As older: 0, "", "", "", false, "", 0.
    batch = read_batch(framed(105, bytes(7)))

    assert batch.messages[0].body == mobile.NetworkCall("", "", "", "", "", 0, 0)


def test_of_a_boolean_only_1_is_true():
    bodies = [read_batch(framed(98, b"\x00\x00" + bytes([byte]))).messages[0].body for byte in (0, 1, 2, 255)]

    assert bodies == [mobile.ViewComponent("", "", visible) for visible in (False, True, False, False)]


# -- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        ("00", 0),
        ("7f", 127),
        ("8001", 128),
        ("ac02", 300),
        ("8000", 0),
        ("80808080808080808000", 0),
        ("ffffffffffffffffff01", 2**64 - 1),
    ],
)
def test_a_number_is_read(wire: str, value: int):
    assert read_uint(bytes.fromhex(wire) + b"\x99", 0) == (value, len(wire) // 2)


@pytest.mark.parametrize("wire", ["ffffffffffffffffff02", "8080808080808080808000", "80808080808080808002", "80", ""])
def test_what_is_no_number_of_64_bits_is_refused(wire: str):
    with pytest.raises(Unreadable):
        read_uint(bytes.fromhex(wire), 0)


@pytest.mark.parametrize("value", [-1, 2**64])
def test_what_64_bits_do_not_hold_is_not_written(value: int):
    with pytest.raises(ValueError, match="64 bits"):
        write_uint(value)


def test_a_string_of_ten_million_bytes_is_the_longest():
    longest = write_uint(10_000_000) + b"a" * 10_000_000

    assert len(read_string(longest, 0)[0]) == 10_000_000
    with pytest.raises(ValueError, match="more than 10000000 bytes"):
        message(AT, mobile.UserId("a" * 10_000_001))


def test_a_boolean_past_the_end_is_refused():
    with pytest.raises(Unreadable, match="before a boolean"):
        read_boolean(b"", 0)


@pytest.mark.parametrize(("value", "stands_for_it"), [(0, 0), (-1, 1), (1, 2), (-2, 3), (2**63 - 1, 2**64 - 2)])
def test_a_signed_number_is_zigzag(value: int, stands_for_it: int):
    assert zigzag(value) == stands_for_it
    assert unzigzag(stands_for_it) == value


# -- messages ---------------------------------------------------------------------------------------------------------


def test_types_without_a_length_are_the_four_of_the_contract():
    assert sorted(UNMEASURED) == [90, 91, 110, 111]


def test_the_time_of_an_aggregate_is_its_start():
    aggregate = mobile.PerformanceAggregated(AT + 7, AT + 9, *range(12))

    assert read_batch(write_message(message(0, aggregate))).messages[0].at == AT + 7


def test_an_empty_batch_is_dated_0_unless_a_time_is_given():
    assert read_batch(write_batch([], 4)).messages == [Message(107, 0, mobile.BatchMeta(4), b"\x04")]


def test_an_encoded_project_is_the_contracts():
    assert mobile.decode_project(7_286_977_268_806_823) == 1
    assert mobile.encode_project(1) == 7_286_977_268_806_823


@pytest.mark.parametrize("encoded", [-1, 0, 1, 2**52 - 1, 2**53, 2**64])
def test_what_is_no_encoded_project_is_none(encoded: int):
    assert mobile.decode_project(encoded) is None


@pytest.mark.parametrize("number", [-1, 2**52])
def test_what_is_no_project_is_not_encoded(number: int):
    with pytest.raises(ValueError, match="no number of a project"):
        mobile.encode_project(number)
