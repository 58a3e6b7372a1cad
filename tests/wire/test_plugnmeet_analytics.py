"""The analytics file of a conference session, in all the forms that it comes in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import plugnmeet_analytics
from protocol.plugnmeet_analytics import COUNT_MAX, TALK_MS_MAX, AnalyticsError, AnalyticsUser, parse


def file_of(*users: Any) -> bytes:
    return json.dumps({"room": {"room_id": "room01"}, "users": list(users)}).encode()


def user(*events: Any, **fields: Any) -> dict[str, Any]:
    return {"user_id": "27", "name": "A", "is_admin": False, "events": list(events), **fields}


def test_the_figures_of_a_user_are_read():
    data = file_of(
        user(
            {"name": "talked_duration", "total": 61500, "values": []},
            {"name": "talked", "total": 12},
            {"name": "raise_hand", "total": 2, "values": [{"time": "1760000000123", "value": "1"}] * 2},
            {"name": "voted_poll", "total": 3},
            {"name": "public_chat", "total": 9},
            {"name": "mic_status", "total": 1, "values": [{"time": "1", "value": "ANALYTICS_STATUS_STARTED"}]},
            ex_user_id="u-27",
        )
    )

    assert parse(data) == [AnalyticsUser("27", "u-27", 61500, 2, 3)]


@pytest.mark.parametrize(
    ("event", "raised"),
    [
        ({"name": "raise_hand", "total": "2"}, 2),
        ({"name": "raise_hand", "total": 2.0}, 2),
        ({"name": "raise_hand", "values": [{}, {}, {}]}, 3),
        ({"name": "raise_hand", "total": None, "values": [{}]}, 1),
        ({"name": "raise_hand", "total": ""}, 0),
        ({"name": "raise_hand"}, 0),
        ({"name": "raise_hand", "total": -4}, 0),
        ({"name": "raise_hand", "total": 10**12}, COUNT_MAX),
        ({"name": "raise_hand", "total": True}, 0),
        ({"name": "raise_hand", "total": "many"}, 0),
        ({"name": "RAISE_HAND ", "total": 1}, 1),
        ({"name": "ANALYTICS_EVENT_USER_RAISE_HAND", "total": 1}, 1),
        ({"name": 7, "total": 1}, 0),
        ("raise_hand", 0),
        (None, 0),
    ],
)
def test_an_event_is_read_in_any_of_its_forms(event: Any, raised: int):
    assert parse(file_of(user(event))) == [AnalyticsUser("27", None, 0, raised, 0)]


def test_camel_case_and_ids_as_numbers_are_read():
    data = file_of({"userId": 27, "exUserId": "x", "events": [{"name": "voted_poll", "total": 1}]})

    assert parse(data) == [AnalyticsUser("27", "x", 0, 0, 1)]


@pytest.mark.parametrize(
    "stranger", [None, 5, "x", [], {}, {"user_id": ""}, {"user_id": "x\0"}, {"user_id": "x" * 257}]
)
def test_a_user_that_makes_no_sense_is_left_out(stranger: Any):
    assert [each.user_id for each in parse(file_of(stranger, user(), stranger))] == ["27"]


@pytest.mark.parametrize("data", [b"{}", b'{"users": null}', b'{"users": []}', b'{"room": 5, "more": {}}'])
def test_a_file_without_users_has_none(data: bytes):
    assert parse(data) == []


@pytest.mark.parametrize(
    "data", [b"", b"x", b"[]", b"null", b'{"users": {}}', b'{"users": ', b"\xff\xfe", b"[" * 100_000]
)
def test_what_is_no_such_file_is_refused(data: bytes):
    with pytest.raises(AnalyticsError):
        parse(data)


def test_a_week_of_talk_is_the_most():
    assert parse(file_of(user({"name": "talked_duration", "total": 10**15})))[0].talk_ms == TALK_MS_MAX


def test_an_event_told_in_two_pieces_is_one():
    twice = [{"name": "talked_duration", "total": 5}] * 2

    assert parse(file_of(user(*twice)))[0].talk_ms == 10


_keys = st.sampled_from(["users", "user_id", "events", "name", "total", "values", "x"])
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["users", "user_id", "events", "name", "total", "values", "x"]), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(_json)
def test_garbage_is_refused_or_counts_nothing_negative(value: Any):
    try:
        found = parse(json.dumps(value).encode())
    except AnalyticsError:
        return
    assert all(min(each.talk_ms, each.hand_raises, each.polls_answered) >= 0 for each in found)


def test_a_file_of_one_user_too_many_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(plugnmeet_analytics, "USERS_MAX", 2)

    assert len(parse(file_of(user(), user()))) == 2
    with pytest.raises(AnalyticsError, match="more than 2 users"):
        parse(file_of(user(), user(), user()))
