"""What the collector makes of bytes: every field, every fault, and what newer clients send."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import collector
from protocol.collector import BadEvent, Reader, Rejected, Taken
from tests.machines import profiles

NOW = 1_795_255_200_000
KEY = 7
VIEW: dict[str, Any] = {"app": "shop", "contentId": "p-1", "contentType": "post"}
LIKE: dict[str, Any] = {"userId": "u1", "metricType": "like", "targetId": "p-1", "targetType": "content"}
READER = Reader()


def packed(value: Any) -> bytes:
    return msgspec.json.encode(value)


def row(taken: Taken) -> dict[str, Any]:
    [found] = taken.rows
    read: dict[str, Any] = msgspec.json.decode(found)
    return read


def view(**fields: Any) -> dict[str, Any]:
    return row(READER.view(packed(VIEW | fields), KEY, NOW))


def fault(**fields: Any) -> tuple[str, str]:
    with pytest.raises(BadEvent) as caught:
        READER.view(packed(VIEW | fields), KEY, NOW)
    return caught.value.field, caught.value.message


def test_an_event_becomes_a_row_with_its_key_its_kind_and_when_it_was_received():
    assert view() == VIEW | {"k": collector.VIEW, "n": KEY, "t": NOW, "type": "view"}
    assert row(READER.engagement(packed(LIKE), KEY, NOW)) == LIKE | {
        "k": collector.ENGAGEMENT,
        "n": KEY,
        "t": NOW,
        "type": "engagement",
    }


@pytest.mark.parametrize(
    "told",
    [
        1_795_255_100_123,
        1_795_255_100.123,
        "2026-11-21T09:58:20.123Z",
        "2026-11-21T09:58:20.123456+00:00",
        "2026-11-21t15:58:20.123+06:00",
        "1795255100123",
    ],
)
def test_a_time_may_be_written_in_many_ways(told: float | str):
    assert view(timestamp=told)["t"] == 1_795_255_100_123


@pytest.mark.parametrize("told", [None, ""])
def test_without_a_time_it_is_when_it_was_received(told: str | None):
    assert view(timestamp=told)["t"] == NOW


@pytest.mark.parametrize(
    "told", ["soon", "2026-02-30T00:00:00.000Z", "2024-W01-1T00:00:00.000Z", 0, -1, 1e300, "1999-12-31T23:59:59Z"]
)
def test_what_is_no_time_is_named(told: float | str):
    assert fault(timestamp=told)[0] == "timestamp"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"app": ""}, "app"),
        ({"app": 5}, "app"),
        ({"app": "x" * 129}, "app"),
        ({"contentId": None}, "contentId"),
        ({"contentId": "x" * 513}, "contentId"),
        ({"contentId": -1}, "contentId"),
        ({"contentType": ""}, "contentType"),
        ({"userId": "x" * 129}, "userId"),
        ({"userId": True}, "userId"),
        ({"userId": 1.5}, "userId"),
        ({"userId": 2**53}, "userId"),
        ({"sessionId": []}, "sessionId"),
        ({"duration": -0.1}, "duration"),
        ({"duration": 86_400.1}, "duration"),
        ({"duration": "12"}, "duration"),
        ({"deviceType": "toaster"}, "deviceType"),
        ({"deviceType": ""}, "deviceType"),
        ({"ipAddress": 5}, "ipAddress"),
        ({"referrer": {}}, "referrer"),
        ({"eventId": "x" * 1025}, "eventId"),
        ({"metadata": []}, "metadata"),
        ({"metadata": "text"}, "metadata"),
        ({"metadata": {"a": "x" * 16_384}}, "metadata"),
        ({"metadata": {"a": "\0"}}, "metadata"),
        ({"url": "a\0b"}, "url"),
        ({"newField": ["\0"]}, "newField"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], field: str):
    assert fault(**fields)[0] == field


@pytest.mark.parametrize(
    "fields",
    [
        {"app": "x" * 128},
        {"contentId": "x" * 512},
        {"contentId": 0},
        {"contentType": "unheard-of"},
        {"userId": "x" * 128},
        {"userId": 2**53 - 1},
        {"userId": ""},
        {"sessionId": "backend-1795255200000-x7"},
        {"duration": 0.0},
        {"duration": 86_400.0},
        *({"deviceType": device} for device in ("desktop", "mobile", "tablet", "tv")),
        {"referrer": "", "url": "x" * 5_000, "userAgent": "\U0001f600", "country": "BD"},
        {"metadata": {}},
        {"metadata": {"statusCode": [None]}},
    ],
)
def test_what_is_just_right_is_kept_as_it_is(fields: dict[str, Any]):
    found = view(**fields, eventId="x" * 1024)
    assert {name: found[name] for name in fields} == fields


VIEW_MAY = (
    "userId sessionId duration ipAddress deviceType referrer url userAgent country metadata timestamp eventId writeKey"
)
LIKE_MAY = "app metadata timestamp eventId writeKey"


@pytest.mark.parametrize("read", [READER.view, READER.engagement], ids=["view", "engagement"])
def test_null_is_as_good_as_absent(read: Any):
    base, may = (VIEW, VIEW_MAY) if read == READER.view else (LIKE, LIKE_MAY)
    empty = dict.fromkeys(may.split())

    assert read(packed(base | empty), KEY, NOW) == read(packed(base), KEY, NOW)
    for name in base:
        with pytest.raises(BadEvent) as caught:
            read(packed(base | {name: None}), KEY, NOW)
        assert caught.value.field == name


@pytest.mark.parametrize("name", list(VIEW))
def test_what_a_view_must_say_is_named_when_it_is_missing(name: str):
    with pytest.raises(BadEvent) as caught:
        READER.view(packed({key: value for key, value in VIEW.items() if key != name}), KEY, NOW)
    assert (caught.value.field, caught.value.message) == (name, "Missing")


@pytest.mark.parametrize("name", list(LIKE))
def test_what_an_engagement_must_say_is_named_when_it_is_missing(name: str):
    with pytest.raises(BadEvent) as caught:
        READER.engagement(packed({key: value for key, value in LIKE.items() if key != name}), KEY, NOW)
    assert (caught.value.field, caught.value.message) == (name, "Missing")


@pytest.mark.parametrize(("metric", "good"), [("x" * 64, True), ("x" * 65, False), ("", False), ("unheard_of", True)])
def test_a_metric_is_any_word_of_up_to_64_characters(metric: str, *, good: bool):
    body = packed(LIKE | {"metricType": metric})
    if good:
        assert row(READER.engagement(body, KEY, NOW))["metricType"] == metric
    else:
        with pytest.raises(BadEvent) as caught:
            READER.engagement(body, KEY, NOW)
        assert caught.value.field == "metricType"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"text"', b"\xff", b'{"app":"\xff"}', b'{"metadata":' + b"[" * 5000]
)
def test_what_is_no_event_at_all_is_said_without_a_field(body: bytes):
    with pytest.raises(BadEvent) as caught:
        READER.view(body, KEY, NOW)
    assert caught.value.field == ""


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("203.0.113.77", "203.0.113.0"),
        (" 203.0.113.77 ", "203.0.113.0"),
        ("255.255.255.255", "255.255.255.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        ("fe80::1%eth0", "fe80::"),
        ("256.1.1.1", None),
        ("01.2.3.4", None),
        ("203.0.113.77, 10.0.0.1", None),
        ("localhost", None),
        ("", None),
        ("9" * 5_000, None),
        ("203.0.113.77:443", None),
        ("[2001:db8::1]:443", None),
        ("[2001:db8::1]", None),
        ("::FFFF:203.0.113.77%eth0", "203.0.113.0"),
        ("2001:DB8:0:0:0:0:0:1%25en0", "2001:db8::"),
        ("::1", "::"),
        ("2001:db8:ffff:ffff::", "2001:db8:ffff::"),
        ("2001:db8::1/64", None),
        ("203.0.113.77/32", None),
        ("203.0.113", None),
        ("3405803853", None),
        ("0xcb.0.0.1", None),
        ("203.0.113.\u0667\u0667", None),
        ("unknown", None),
    ],
)
def test_an_address_loses_its_end_and_what_is_none_is_none(given: str, kept: str | None):
    assert view(ipAddress=given).get("ipAddress") == kept


def test_an_address_is_kept_whole_where_that_is_wanted():
    found = Reader(whole_addresses=True).view(packed(VIEW | {"ipAddress": "203.0.113.77"}), KEY, NOW)
    assert row(found)["ipAddress"] == "203.0.113.77"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (" 2001:DB8:1:2:3:4:5:6 ", "2001:db8:1:2:3:4:5:6"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:203.0.113.77", "203.0.113.77"),
        ("203.0.113.77:443", None),
    ],
)
def test_a_whole_address_has_one_spelling(given: str, kept: str | None):
    found = Reader(whole_addresses=True).view(packed(VIEW | {"ipAddress": given}), KEY, NOW)
    assert row(found).get("ipAddress") == kept


def test_fields_that_are_not_known_are_kept_with_the_metadata():
    found = view(metadata={"a": 1}, plan="gold", nested={"b": [1, None]})

    assert found["metadata"] == {"a": 1, "extra": {"plan": "gold", "nested": {"b": [1, None]}}}
    assert "plan" not in found
    assert view(plan="gold")["metadata"] == {"extra": {"plan": "gold"}}
    assert view(plan="gold", metadata={"extra": {"own": 1}})["metadata"] == {"extra": {"own": 1, "plan": "gold"}}
    assert view(plan="gold", metadata={"extra": 5})["metadata"] == {"extra": {"extra": 5, "plan": "gold"}}


def test_only_metadata_itself_is_bounded_and_nothing_unknown_is_lost():
    full = {"a": "x" * (collector.METADATA_BYTES - len('{"a":""}'))}
    deep: Any = 1
    for _ in range(200):
        deep = {"a": [deep]}
    found = view(metadata=full, much="y" * 20_000, deep=deep)["metadata"]

    assert found == full | {"extra": {"much": "y" * 20_000, "deep": deep}}
    assert fault(metadata={"a": full["a"] + "x"}, much="y") == ("metadata", "over 16384 bytes")


def test_what_is_nested_beyond_reading_is_refused_in_single_and_in_a_batch():
    deep = b'"new":' + b"[" * 20_000 + b"]" * 20_000
    with pytest.raises(BadEvent, match="nested too deeply"):
        READER.view(packed(VIEW)[:-1] + b"," + deep + b"}", KEY, NOW)
    with pytest.raises(BadEvent, match="nested too deeply"):
        READER.batch(b'{"events":[' + packed(VIEW | {"type": "view"})[:-1] + b"," + deep + b"}]}", KEY, NOW)


def test_metadata_is_kept_as_it_was_sent():
    body = packed(VIEW)[:-1] + b',"metadata":{"big":123456789012345678901234567890,"a": 1,"a":2}}'
    assert b'"metadata":{"big":123456789012345678901234567890,"a": 1,"a":2}' in READER.view(body, KEY, NOW).rows[0]


def test_an_address_among_unknown_fields_loses_its_end_too():
    found = row(READER.engagement(packed(LIKE | {"ipAddress": "203.0.113.77"}), KEY, NOW))
    assert found["metadata"] == {"extra": {"ipAddress": "203.0.113.0"}}


@pytest.mark.parametrize("key", ["rk_secret", 5, None, {"a": 1}])
def test_a_write_key_in_a_body_is_not_kept(key: Any):
    for body in (VIEW | {"writeKey": key}, VIEW | {"writeKey": key, "newField": 1}):
        assert b"writeKey" not in READER.view(packed(body), KEY, NOW).rows[0]
        assert b"rk_secret" not in READER.view(packed(body), KEY, NOW).rows[0]
    taken, rejected = READER.batch(
        packed({"writeKey": key, "events": [LIKE | {"type": "engagement", "writeKey": key}]}), KEY, NOW
    )
    assert rejected == []
    assert b"writeKey" not in taken.rows[0]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ("GET:/api/x", collector.CALL),
        ("DELETE:/", collector.CALL),
        ("get:/api", collector.VIEW),
        ("GET:api", collector.VIEW),
        ("x GET:/", collector.VIEW),
        (5, collector.VIEW),
    ],
)
def test_an_api_call_is_a_view_of_a_method_and_a_path(content: str | int, kind: int):
    assert view(contentId=content)["k"] == kind


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"statusCode": 503}, 503),
        ({"statusCode": "404"}, 404),
        ({"metadata": {"statusCode": 200}}, 200),
        ({"statusCode": 500, "metadata": {"statusCode": 200}}, 500),
        ({"statusCode": 0}, None),
        ({"statusCode": "ok"}, None),
        ({"statusCode": None}, None),
        ({"metadata": {"statusCode": [1]}}, None),
        ({}, None),
    ],
)
def test_how_a_call_ended_is_known_where_it_says_so(fields: dict[str, Any], status: int | None):
    found = view(contentId="GET:/api/x", **fields)
    assert found.get("s") == status
    if "statusCode" in fields:
        assert found["metadata"]["extra"]["statusCode"] == fields["statusCode"]


def test_a_batch_keeps_the_good_and_names_the_bad():
    events = [
        VIEW | {"type": "view"},
        {"type": "view"},
        LIKE | {"type": "engagement", "newField": 1},
        VIEW,
        {"type": "purchase"},
        5,
        VIEW | {"type": "view", "metadata": {"a": "x" * 16_384}},
    ]
    taken, rejected = READER.batch(packed({"events": events}), KEY, NOW)

    assert len(taken.rows) == 2
    assert [(each.index, each.field) for each in rejected] == [
        (1, "app"),
        (3, "type"),
        (4, "type"),
        (5, ""),
        (6, "metadata"),
    ]


def test_one_bad_event_is_told_apart_also_where_nothing_else_is_odd():
    events = [VIEW | {"type": "view"}, VIEW | {"type": "view", "timestamp": "never"}]
    taken, rejected = READER.batch(packed({"events": events}), KEY, NOW)

    assert len(taken.rows) == 1
    assert rejected == [Rejected(1, "timestamp", "not a time")]


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"events":5}', b"\xff", packed({"events": [{}] * 1_001})])
def test_a_batch_that_is_none_is_refused_as_a_whole(body: bytes):
    with pytest.raises(BadEvent):
        READER.batch(body, KEY, NOW)


def test_a_thousand_events_are_a_batch_and_none_too():
    assert len(READER.batch(packed({"events": [VIEW | {"type": "view"}] * 1_000}), KEY, NOW)[0].rows) == 1_000
    assert READER.batch(b'{"events":[]}', KEY, NOW) == (Taken(KEY), [])


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (b'{"writeKey":"rk_a","anything":1}', "rk_a"),
        (b'{"writeKey":5}', ""),
        (b"{}", ""),
        (b"{", ""),
        (b'{"writeKey":"\xff"}', ""),
        (b"[" * 5000, ""),
    ],
)
def test_a_key_is_found_in_a_body_or_there_is_none(body: bytes, key: str):
    assert collector.key_in(body) == key


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [*sorted(VIEW | LIKE), "metadata", "timestamp", "eventId", "ipAddress", "duration", "type", "new"]
)


@settings(suppress_health_check=profiles.QUIET, deadline=None)
@given(fields=st.dictionaries(NAMES, JSON, max_size=5), kind=st.sampled_from(["view", "engagement"]))
def test_whatever_is_sent_is_a_row_or_a_named_fault(fields: dict[str, Any], kind: str):
    base = VIEW if kind == "view" else LIKE
    data = packed(base | {name: value for name, value in fields.items() if _small(value)})
    read = READER.view if kind == "view" else READER.engagement
    try:
        single = read(data, KEY, NOW)
    except BadEvent as bad:
        single = None
        told = (bad.field, bad.message)
    taken, rejected = READER.batch(packed({"events": [msgspec.json.decode(data) | {"type": kind}]}), KEY, NOW)

    if single is None:
        assert "type" in fields or (taken.rows, rejected) == ([], [Rejected(0, *told)])
        assert told[1]
    else:
        assert b"\\u0000" not in single.rows[0].replace(b"\\\\", b"")
        assert rejected == []
        assert [row(taken)] == [row(single)]


def _small(value: Any) -> bool:
    """What this JSON writer can write."""
    try:
        packed(value)
    except (OverflowError, msgspec.EncodeError):
        return False
    return True
