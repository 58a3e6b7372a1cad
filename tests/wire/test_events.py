"""Events over the broker: every tolerated form to one typed one, everything else named; what we publish, to the letter.

`HYPOTHESIS_PROFILE=thorough` tries 20,000.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.machines.profiles  # noqa: F401 - loads the profile
from protocol.events import BODY_BYTES, EVENT_NAMES, NAME_OF, REQUIRED, BadEvent, decode
from protocol.events_in import (
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
from protocol.events_out import ClassEnd, UserLeave, encode_class_end, encode_class_end_short, encode_user_leave
from tests.support.events import SAMPLES, TEN, sample

CATALOG = ("7", "70", "3", "4", "k12")
FIELDS = sorted({name for path in SAMPLES.iterdir() for name in json.loads(path.read_text())["data"]["payload"]})

MEANT: dict[str, Inbound] = {
    "liveclass.end": ClassOver(
        "15", *CATALOG, TEN, TEN + 3_600_500, 3600.5, 1800.25, 1, 2, 3, 4, 5, 6, is_required=False
    ),
    "liveclass.quiz": QuizOffered(
        "9", "15", "live_class", *CATALOG, "mcq", 1, 30.0, 2.5, TEN + 1_800_000, is_required=True
    ),
    "exam.start": ExamOffered(
        "5", "assignment", "3", *CATALOG, TEN, TEN + 86_400_000, 3600.0, 10, 20.0, is_required=True
    ),
    "session.end": ExamTaken("5", "27", TEN, *CATALOG, "assignment", 600.0, 10, 8, 10, -1.5, TEN + 3_600_000, 9, 1),
    "quiz_response": QuizAnswered(
        "27", "9", "15", *CATALOG, "mcq", is_correct=True, at=TEN + 1_830_000, quiz_option_id="2", time_taken_s=3.5
    ),
    "live_class_user_leave": SegmentSeen("27", "15", *CATALOG, "live_class", "15", 60_000, 180_250, 120.25, None, None),
    "liveclass.interaction": InteractionTold("15", "27", "doubt_asked", "d1", TEN + 300_250),
    "liveclass.start": ClassBegan("15", TEN),
    "liveclass.cancel": ClassCancelled("15"),
}


def refusal(body: bytes) -> BadEvent:
    with pytest.raises(BadEvent) as caught:
        decode(body)
    return caught.value


def read(name: str, **changes: Any) -> Any:
    return decode(sample(name, **changes))


# -- what is meant ------------------------------------------------------------------------------------------------


def test_every_event_has_a_sample_and_a_name():
    assert {path.stem for path in SAMPLES.iterdir()} == EVENT_NAMES == MEANT.keys()
    assert {type(event): name for name, event in MEANT.items()} == NAME_OF


@pytest.mark.parametrize("name", sorted(MEANT))
def test_every_event_is_read_as_it_is_meant(name: str):
    assert read(name) == MEANT[name]


@pytest.mark.parametrize("name", sorted(MEANT))
@pytest.mark.parametrize("absent", [None, "", ...])
def test_every_optional_field_may_be_absent(name: str, absent: object):
    payload = json.loads(sample(name))["data"]["payload"]
    optional = payload.keys() - set(REQUIRED[name]) - ({"id"} if name == "liveclass.interaction" else set())

    found = read(name, **dict.fromkeys(optional, absent))

    values = msgspec.structs.astuple(found)
    assert values.count(None) >= len(optional - {"identification_type"})


@pytest.mark.parametrize(("name", "field"), [(name, field) for name in sorted(REQUIRED) for field in REQUIRED[name]])
@pytest.mark.parametrize("absent", [None, "", ...])
def test_every_required_field_is_named_when_it_is_missing(name: str, field: str, absent: object):
    bad = refusal(sample(name, **{field: absent}))

    assert (bad.field, bad.reason, bad.event) == (f"data.payload.{field}", "missing", name)


def test_what_is_required_is_what_the_contract_requires():
    assert {
        "liveclass.end": {"live_class_id", "end_at"},
        "liveclass.quiz": {"quiz_id", "identification_id", "identification_type", "timestamp"},
        "exam.start": {"exam_id", "type", "start_at"},
        "session.end": {"exam_id", "auth_user_id", "end_at"},
        "quiz_response": {"auth_user_id", "quiz_id", "identification_id", "is_correct", "particiapte_at"},
        "live_class_user_leave": {"auth_user_id", "identification_id", "playhead_start_at", "playhead_end_at"},
        "liveclass.interaction": {"live_class_id", "kind", "timestamp"},
        "liveclass.start": {"live_class_id", "start_at"},
        "liveclass.cancel": {"live_class_id"},
    } == {name: set(fields) for name, fields in REQUIRED.items()}


# -- tolerated forms ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", [15, "15"])
def test_a_number_and_its_text_are_one_id(written: object):
    assert read("liveclass.cancel", live_class_id=written) == ClassCancelled("15")


@pytest.mark.parametrize("written", ["a-7", "০১", "x" * 128, "007", " 7", 0, 2**53 - 1])
def test_ids_may_be_any_text(written: object):
    assert read("liveclass.cancel", live_class_id=written) == ClassCancelled(str(written))


@pytest.mark.parametrize("written", [True, False, 1.5, 1.0, [], {}, "x" * 129, -1, 2**53, "a\0b"])
def test_what_is_no_id_is_named(written: object):
    assert refusal(sample("liveclass.cancel", live_class_id=written)).field == "data.payload.live_class_id"


@pytest.mark.parametrize(
    "written",
    [
        "2024-02-07T10:00:00Z",
        "2024-02-07t10:00:00z",
        "2024-02-07 10:00:00",
        "2024-02-07T10:00:00",
        "2024-02-07T10:00:00.0",
        "2024-02-07T10:00:00.000999999Z",
        "2024-02-07T16:00:00+06:00",
        "2024-02-07T00:00:00-10:00",
        "2024-02-07T09:59:60Z",
        1_707_300_000,
        1_707_300_000_000,
        1_707_300_000.0,
        "1707300000",
        "1707300000000",
        "1707300000.0",
        "1.7073e9",
    ],
)
def test_a_time_may_be_written_so(written: object):
    assert read("liveclass.start", start_at=written) == ClassBegan("15", TEN)


@pytest.mark.parametrize(
    ("written", "ms"),
    [
        ("2024-02-07T10:00:00.5Z", TEN + 500),
        ("2024-02-07T10:00:00.123456789+00:00", TEN + 123),
        (1_707_300_000.25, TEN + 250),
        (99_999_999_999, 99_999_999_999_000),
        (100_000_000_000, 100_000_000_000),
        (0, 0),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
    ],
)
def test_a_time_is_read_to_the_millisecond(written: object, ms: int):
    assert read("liveclass.start", start_at=written) == ClassBegan("15", ms)


@pytest.mark.parametrize(
    "written",
    [
        True,
        [],
        {},
        "soon",
        "2024-02-07",
        "2024-02-30T10:00:00Z",
        "2024-02-07T25:00:00Z",
        "2024-02-07T10:00:00+6",
        "2024-02-07T10:00:00+24:00",
        "20240207T100000Z",
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59-01:00",
        "0000-01-01T00:00:00Z",
        "\u09e8024-02-07T10:00:00Z",
        -1,
        10**15,
        10**30,
        "1" * 30,
        "1e400",
        "nan",
        1e300,
    ],
)
def test_what_is_no_time_is_named(written: object):
    assert refusal(sample("liveclass.start", start_at=written)).field == "data.payload.start_at"


@pytest.mark.parametrize(
    ("written", "meant"),
    [(True, True), (1, True), ("1", True), ("true", True), (False, False), (0, False), ("0", False), ("false", False)],
)
def test_a_boolean_may_be_written_so(written: object, *, meant: bool):
    assert read("quiz_response", is_correct=written).is_correct is meant
    assert read("liveclass.end", is_required=written).is_required is meant


@pytest.mark.parametrize("written", [2, -1, 1.0, 0.0, "yes", "True", "FALSE", [], {}, [1]])
def test_any_other_boolean_is_named(written: object):
    assert refusal(sample("quiz_response", is_correct=written)).field == "data.payload.is_correct"


@pytest.mark.parametrize(("written", "meant"), [(0, 0.0), (3, 3.0), (3.25, 3.25), ("3", 3.0), ("3.25", 3.25)])
def test_a_duration_may_be_written_so(written: object, meant: float):
    assert read("quiz_response", time_taken=written).time_taken_s == meant


@pytest.mark.parametrize(
    "written", [-1, "-0.5", "1e999", "inf", "NaN", " 3", "3 s", "1_000", True, [], {}, 1e10, 10**40]
)
def test_what_is_no_duration_is_named(written: object):
    assert refusal(sample("quiz_response", time_taken=written)).field == "data.payload.time_taken"


@pytest.mark.parametrize(("written", "meant"), [(0, 0), (7, 7), ("7", 7), (7.0, 7), ("7.0", 7), (2**31 - 1, 2**31 - 1)])
def test_a_count_may_be_written_so(written: object, meant: int):
    assert read("liveclass.end", total_poll=written).total_poll == meant


@pytest.mark.parametrize("written", [-1, 1.5, "1.5", 2**31, True, "many", [], 10**40])
def test_what_is_no_count_is_named(written: object):
    assert refusal(sample("liveclass.end", total_poll=written)).field == "data.payload.total_poll"


def test_a_score_may_be_negative_and_marks_may_not():
    assert read("session.end", total_score=-7).total_score == -7
    assert refusal(sample("liveclass.quiz", total_marks=-7)).field == "data.payload.total_marks"


@pytest.mark.parametrize("written", [7, True, [], "x" * 257, "k\0"])
def test_what_is_no_text_is_named(written: object):
    assert refusal(sample("liveclass.end", platform=written)).field == "data.payload.platform"


def test_the_day_of_an_exam_may_be_a_number():
    assert read("exam.start", day=3).day == "3"


# -- impossible values --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        ("liveclass.end", "start_at", "end_at"),
        ("exam.start", "start_at", "end_at"),
        ("session.end", "start_at", "end_at"),
        ("live_class_user_leave", "playhead_start_at", "playhead_end_at"),
        ("live_class_user_leave", "start_timestamp", "end_timestamp"),
    ],
)
def test_an_end_before_its_start_is_impossible(name: str, start: str, end: str):
    bad = refusal(sample(name, **{start: 1000, end: 999}))

    assert (bad.field, bad.reason) == (f"data.payload.{end}", f"lies before {start}")
    assert read(name, **{start: 1000, end: 1000})


@pytest.mark.parametrize("kind", ["comment", "reaction", "hand_raise"])
def test_some_interactions_need_no_id(kind: str):
    assert read("liveclass.interaction", kind=kind, id=None).id is None


@pytest.mark.parametrize("kind", ["poll_offered", "poll_response", "doubt_asked", "doubt_resolved"])
def test_others_do(kind: str):
    bad = refusal(sample("liveclass.interaction", kind=kind, id=""))

    assert (bad.field, bad.reason) == ("data.payload.id", "missing")


def test_an_unknown_kind_of_interaction_is_named():
    assert refusal(sample("liveclass.interaction", kind="wink")).field == "data.payload.kind"


# -- not ours -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["quiz_response", "live_class_user_leave"])
def test_what_is_about_something_else_is_left_alone(name: str):
    about = read(name, identification_type="video", auth_user_id=None)

    assert isinstance(about, NotOurs)
    assert about.event == name
    assert read(name, identification_type=None) == MEANT[name]
    assert refusal(sample(name, identification_type=[])).field == "data.payload.identification_type"


def test_a_quiz_elsewhere_is_a_quiz():
    assert read("liveclass.quiz", identification_type="video").identification_type == "video"


@pytest.mark.parametrize("rest", [{}, {"data": None}, {"data": {"payload": {"live_class_id": "15"}}}])
def test_an_unknown_event_is_nobodys_fault(rest: dict[str, Any]):
    found = decode(msgspec.json.encode({"event_name": "liveclass.dance", **rest}))

    assert isinstance(found, NotOurs)
    assert found.event == ""


# -- the envelope -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"[]", "body"),
        (b'"liveclass.end"', "body"),
        (b"null", "body"),
        (b"\xff\xfe", "body"),
        (b"[" * 5000, "body"),
        (b'{"event_name": "\xff"}', "body"),
        (b'{"event_name": "a", "data": 1e999}', "body"),
        (b"{}", "event_name"),
        (b'{"event_name": ""}', "event_name"),
        (b'{"event_name": 7}', "event_name"),
        (b'{"event_name": "liveclass.end"}', "data"),
        (b'{"event_name": "liveclass.end", "data": []}', "data"),
        (b'{"event_name": "liveclass.end", "data": {}}', "data.payload"),
        (b'{"event_name": "liveclass.end", "data": {"payload": "x"}}', "data.payload"),
    ],
)
def test_a_wrong_envelope_is_named(body: bytes, field: str):
    bad = refusal(body)

    assert bad.field == field
    assert bad.reason
    assert bad.event == ("liveclass.end" if field.startswith("data") else "")


def test_a_body_has_a_bound():
    body = sample("liveclass.cancel")
    padded = body + b" " * (BODY_BYTES - len(body))

    assert decode(padded) == ClassCancelled("15")
    assert refusal(padded + b" ").field == "body"


# -- garbage ------------------------------------------------------------------------------------------------------

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    st.from_regex(r"\A[-+0-9.eE]{1,8}\Z"),
    st.from_regex(r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|\+[0-9]{2}:[0-9]{2})?\Z"),
    st.sampled_from(["", "live_class", "comment", "true", 0, 1, 2**53 - 1, 2**53, "x" * 128, "x" * 129, "\0"]),
)
JUNK = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(st.text(max_size=2), SCALARS, max_size=2)
PATH = re.compile(r"body|event_name|data(\.payload(\.\w+)?)?")


def check(body: bytes) -> None:
    """Read, not ours, or named; and what is read holds what its type says."""
    try:
        found = decode(body)
    except BadEvent as bad:
        refused = bad
    else:
        assert msgspec.convert(msgspec.to_builtins(found), type(found)) == found
        return
    assert PATH.fullmatch(refused.field), refused.field
    assert refused.reason


@given(body=st.binary(max_size=300))
def test_bytes_from_strangers(body: bytes):
    check(body)


@given(
    name=st.sampled_from(sorted(EVENT_NAMES)), payload=st.dictionaries(st.sampled_from(FIELDS), JUNK, max_size=4) | JUNK
)
def test_payloads_from_strangers(name: str, payload: Any):
    check(json.dumps({"event_name": name, "data": {"payload": payload}}).encode())


@given(name=st.sampled_from(sorted(EVENT_NAMES)), changes=st.dictionaries(st.sampled_from(FIELDS), SCALARS, max_size=2))
def test_a_good_event_with_something_odd_in_it(name: str, changes: dict[str, Any]):
    event = json.loads(sample(name))
    event["data"]["payload"] |= changes

    check(json.dumps(event).encode())


# -- what we publish ----------------------------------------------------------------------------------------------

END = ClassEnd(
    live_class_id="15",
    catalog_product_id="7",
    catalog_sku_id="70",
    program_id="math-3",
    course_id="4",
    platform="k12",
    start_at=TEN,
    end_at=TEN + 3_600_500,
    avg_watch_time_s=1800,
    total_comments=1,
    total_doubts=2,
    total_doubt_resolved=3,
    total_quiz=4,
    total_poll=5,
    total_participation=6,
    is_required=False,
)
LEAVE = UserLeave(
    auth_user_id="27",
    live_class_id="15",
    catalog_product_id="7",
    catalog_sku_id="70",
    program_id="3",
    course_id="4",
    platform="k12",
    playhead_start_ms=60_000,
    playhead_end_ms=180_250,
    start_at=TEN,
    end_at=TEN + 120_250,
)


def test_the_end_of_a_class_in_full():
    assert encode_class_end(END).decode() == (
        '{"event_name":"liveclass.end","data":{"payload":{"live_class_id":15,"catalog_product_id":7,'
        '"catalog_sku_id":70,"program_id":"math-3","course_id":4,"platform":"k12",'
        '"start_at":"2024-02-07T10:00:00.000Z","end_at":"2024-02-07T11:00:00.500Z","duration":3600,'
        '"avg_watch_time":1800,"total_comments":1,"total_doubts":2,"total_doubt_resolved":3,"total_quiz":4,'
        '"total_poll":5,"total_participation":6,"is_required":false}}}'
    )


def test_of_what_is_unknown_only_the_key_is_told():
    assert encode_class_end(ClassEnd(live_class_id="007", end_at=TEN)).decode() == (
        '{"event_name":"liveclass.end","data":{"payload":{"live_class_id":"007","catalog_product_id":"",'
        '"catalog_sku_id":"","program_id":"","course_id":"","platform":"","start_at":"",'
        '"end_at":"2024-02-07T10:00:00.000Z","duration":"","avg_watch_time":"","total_comments":"",'
        '"total_doubts":"","total_doubt_resolved":"","total_quiz":"","total_poll":"","total_participation":"",'
        '"is_required":true}}}'
    )


def test_the_end_of_a_class_in_short():
    assert encode_class_end_short(END).decode() == (
        '{"event_name":"liveclass.end","data":{"payload":{"live_class_id":15,"platform":"k12",'
        '"start_at":"2024-02-07T10:00:00.000Z","end_at":"2024-02-07T11:00:00.500Z","duration":3600,'
        '"is_required":false}}}'
    )


def test_a_segment_of_a_learner():
    assert encode_user_leave(LEAVE).decode() == (
        '{"event_name":"live_class_user_leave","data":{"payload":{"auth_user_id":27,"catalog_product_id":7,'
        '"catalog_sku_id":70,"program_id":3,"course_id":4,"platform":"k12","identification_id":15,'
        '"identification_type":"live_class","media_type":"live_class","media_id":15,"playhead_start_at":60,'
        '"playhead_end_at":180.25,"duration":120.25,"start_timestamp":"2024-02-07T10:00:00.000Z",'
        '"end_timestamp":"2024-02-07T10:02:00.250Z"}}}'
    )


def test_what_we_publish_is_what_we_would_read():
    over, short = decode(encode_class_end(END)), decode(encode_class_end_short(END))
    seen = decode(encode_user_leave(LEAVE))

    figures = {"program_id": "math-3", "duration_s": 3600.0, "avg_watch_time_s": 1800.0}
    assert over == msgspec.structs.replace(MEANT["liveclass.end"], **figures)
    assert isinstance(short, ClassOver)
    assert (short.start_at, short.end_at, short.total_poll) == (TEN, TEN + 3_600_500, None)
    assert seen == msgspec.structs.replace(MEANT["live_class_user_leave"], start_at=TEN, end_at=TEN + 120_250)
