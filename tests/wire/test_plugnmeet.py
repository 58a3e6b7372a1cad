"""A webhook in any of its forms is one thing (plugnmeet.md, "What it tolerates", readings 3, 8-12)."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.machines.profiles  # noqa: F401 - loads the profile
from protocol.plugnmeet import (
    AHEAD_MAX_MS,
    READ_EVENTS,
    Artifact,
    NotAnEvent,
    Participant,
    Place,
    Recording,
    Track,
    Undecodable,
    Webhook,
    decode,
)
from protocol.plugnmeet_wire import Envelope
from tests.support.plugnmeet import SID, changed, packed, sample, samples

NOW = 1_760_010_000_000
PLACE = Place("room01", SID, "Algebra 1", 1_760_000_401_000, breakout=False)
ALICE = Participant("PA_aJ8vYfQm4d2T", "1001", 1_760_000_430_412, "Alice Rahman")


def read(body: Any, now: int = NOW) -> Webhook:
    return decode(body if isinstance(body, bytes) else packed(body), now)


def complaint(body: Any) -> str:
    with pytest.raises(Undecodable) as caught:
        read(body)
    return caught.value.message


def place(body: Any) -> Place:
    found = read(body).place
    assert found is not None
    return found


def who(body: Any) -> Participant:
    found = read(body).participant
    assert found is not None
    return found


def track(body: Any) -> Track:
    found = read(body).track
    assert found is not None
    return found


def recording(body: Any) -> Recording:
    found = read(body).recording
    assert found is not None
    return found


# -- the samples --------------------------------------------------------------------------------------------------


def test_a_join():
    assert read(sample("03")) == Webhook(
        "participant_joined", "EV_kq3Rt8QnWz2c", 1_760_000_431_000, PLACE, participant=ALICE
    )


def test_a_leave_says_why():
    left = read(sample("14"))

    assert (left.event, left.at) == ("participant_left", 1_760_003_600_000)
    assert left.participant is not None
    assert left.participant.reason == "CLIENT_INITIATED"
    assert who(sample("14b")).reason == "DUPLICATE_IDENTITY"


def test_sessions_begin_and_end():
    found = [read(sample(number)) for number in ("01", "02", "15", "16")]

    assert [(each.event, each.at) for each in found] == [
        ("room_created", 1_760_000_401_000),
        ("room_started", 1_760_000_429_000),
        ("session_ended", 1_760_003_700_000),
        ("room_finished", 1_760_003_702_000),
    ]
    assert {(each.place.room_id, each.place.sid) for each in found if each.place} == {("room01", SID)}


def test_tracks():
    assert track(sample("04")) == Track("TR_AMk2h8RrPq9Zxs", "microphone")
    assert track(sample("05")) == track(sample("07")) == Track("TR_VCqGd3sJ5pRk2b", "camera")


def test_recordings():
    record_id = f"{SID}-1760000700123"

    assert recording(sample("08")) == recording(sample("09")) == Recording(record_id, ready=False, size_mb=0.0)
    assert recording(sample("10")) == Recording(record_id, ready=True, size_mb=123.45)


def test_analytics_in_both_forms():
    artifact_id = "a2f1c9d4-6a1e-4b1e-9f0a-b7d1f4e0c111"

    assert read(sample("17")).artifact == Artifact(artifact_id, analytics=True, older=False)
    assert read(sample("18")).artifact == Artifact(artifact_id, analytics=True, older=True)


@pytest.mark.parametrize("path", samples(), ids=lambda path: path.stem)
def test_spaces_line_breaks_and_unknown_fields_change_nothing(path: Any):
    body = path.read_bytes()
    fields = json.loads(body)

    for other in (
        json.dumps(fields, indent=2).encode() + b"\r\n",
        json.dumps(changed(fields, new={"a": [1, None]}, room__new="x", participant__new=1.5)).encode(),
        b"\xef\xbb\xbf" + body,
    ):
        if b'"participant"' in body or b'"participant"' not in other:
            assert read(other) == read(body)


# -- int64 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["1760000431", 1760000431, 1760000431.0, "1760000431.0"])
def test_int64_are_text_or_numbers(at: Any):
    body = sample("03", created_at=at, participant__joined_at=at, participant__joined_at_ms=None)

    assert read(body).at == 1_760_000_431_000
    assert who(body).joined_at == 1_760_000_431_000


@pytest.mark.parametrize("nothing", [None, 0, "0", "", -1, "-5", 0.0, 1e-9])
def test_a_missing_time_is_reception(nothing: Any):
    body = sample("03", created_at=nothing, participant__joined_at=nothing, participant__joined_at_ms=nothing)

    assert read(body).at == NOW
    assert who(body).joined_at is None


def test_a_null_is_a_missing_field():
    body = sample("03")
    body["created_at"] = body["participant"]["permission"] = body["participant"]["name"] = body["track"] = None

    assert read(body).at == NOW
    assert who(body).name is None


def test_seconds_stand_in_for_missing_milliseconds():
    assert who(sample("03", participant__joined_at_ms="0")).joined_at == 1_760_000_430_000


@pytest.mark.parametrize("ahead_s", [61, 3600, 10**9, 10**15, 1e300, 1.7e305])
def test_a_time_far_ahead_is_reception(ahead_s: float):
    at = NOW // 1000 + ahead_s
    body = sample("03", created_at=at, participant__joined_at_ms=at * 1000, room__creation_time=str(NOW))

    assert (read(body).at, who(body).joined_at, place(body).began_at) == (NOW, NOW, NOW)


def test_a_clock_a_minute_ahead_is_believed():
    assert read(sample("03", created_at=(NOW + AHEAD_MAX_MS) // 1000)).at == NOW + AHEAD_MAX_MS


def test_a_message_may_be_late_by_years():
    assert read(sample("03", created_at="1")).at == 1000


@pytest.mark.parametrize("bad", ["soon", "1e5", "0x10", "1_000", "٣", "1" * 30, "nan", " 5", True, [], {}])
def test_a_time_that_is_none_is_named(bad: Any):
    assert complaint(sample("03", created_at=bad)).endswith("- at `$.created_at`")
    assert "`$.participant.joined_at" in complaint(sample("03", participant__joined_at_ms=bad))


# -- enums --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "number", "device"),
    [
        ("CAMERA", 1, "camera"),
        ("MICROPHONE", 2, "microphone"),
        ("SCREEN_SHARE", 3, "screen"),
        ("SCREEN_SHARE_AUDIO", 4, None),
    ],
)
def test_sources_are_names_or_numbers(name: str, number: int, device: str | None):
    for source in (name, number, str(number)):
        for event in ("track_published", "track_unpublished"):
            assert track(sample("04", event=event, track__source=source)).device == device


@pytest.mark.parametrize("kind", ["DATA", 2, "2"])
def test_data_is_no_device(kind: Any):
    assert track(sample("04", track__type=kind)).device is None


@pytest.mark.parametrize("source", [None, 0, "UNKNOWN", "NEW", 99])
def test_a_track_without_a_known_source_counts_only_where_it_is_known_already(source: Any):
    assert track(sample("05", track__source=source)).device is None
    assert track(sample("07", track__source=source)).device == ""


@pytest.mark.parametrize(
    ("reason", "read_as"),
    [
        (1, "CLIENT_INITIATED"),
        ("2", "DUPLICATE_IDENTITY"),
        (10, "ROOM_CLOSED"),
        (14, "CONNECTION_TIMEOUT"),
        ("SIGNAL_CLOSE", "SIGNAL_CLOSE"),
        ("NEW_REASON", "NEW_REASON"),
        (77, "REASON_77"),
        ("x" * 100, "x" * 64),
        (None, None),
        (0, None),
        ("", None),
        ("UNKNOWN_REASON", None),
    ],
)
def test_reasons_are_names_or_numbers(reason: Any, read_as: str | None):
    assert who(sample("14", participant__disconnect_reason=reason)).reason == read_as


@pytest.mark.parametrize("kind", ["MEETING_ANALYTICS", 1, "1"])
def test_the_analytics_artifact_by_name_or_number(kind: Any):
    found = read(sample("17", room_artifact__type=kind)).artifact

    assert found is not None
    assert found.analytics


@pytest.mark.parametrize("kind", ["MEETING_SUMMARY", 2, None, "TRANSCRIPT"])
def test_other_artifacts_are_not_read(kind: Any):
    for body in (sample("17", room_artifact__type=kind), sample("17", room_artifact={"type": kind})):
        found = read(body).artifact
        assert found is not None
        assert not found.analytics


# -- who ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "identity", ["RECORDER_BOT", "RTMP_BOT", "ingres_1001", "pnm_agent-x", "pnm_tts_agent-bn-BD", "RECORDER_BOT-native"]
)
def test_bots_are_known_by_their_identity(identity: str):
    assert who(sample("03", participant__identity=identity)).bot


@pytest.mark.parametrize("kind", ["INGRESS", "EGRESS", "AGENT", 1, 2, 4, "4"])
def test_bots_are_known_by_their_kind(kind: Any):
    assert who(sample("03", participant__kind=kind)).bot


@pytest.mark.parametrize("identity", ["recorder_bot", "RECORDER_BOT2", "ingress", "1001", "agent", "x_pnm_agent-"])
def test_others_are_no_bots(identity: str):
    for kind in (None, "STANDARD", 0, 3, "NEW", 99):
        found = who(sample("03", participant__identity=identity, participant__kind=kind))
        assert (found.identity, found.bot) == (identity, False)


def test_telephone_callers_are_flagged():
    assert who(sample("03", participant__identity="sip_4411")).telephone
    for kind in ("SIP", 3):
        assert who(sample("03", participant__kind=kind)).telephone
    assert not who(sample("03")).telephone


@pytest.mark.parametrize("identity", ["1001-native", "-native", "a-natives"])
def test_a_native_twin_keeps_its_identity_and_its_sid(identity: str):
    """Whose presence it is the room decides: a twin must not be taken for its user come anew."""
    found = who(sample("03", participant__identity=identity, participant__sid="PA_twin"))

    assert (found.identity, found.sid) == (identity, "PA_twin")


@pytest.mark.parametrize(
    ("hidden", "read_as"), [(True, True), ("true", True), (1, True), (False, False), ("false", False)]
)
def test_the_hidden_are_flagged(hidden: Any, read_as: bool):  # noqa: FBT001 - a row of the table
    assert who(sample("03", participant__permission__hidden=hidden)).hidden is read_as
    assert not who(sample("03", participant__permission=None)).hidden


@pytest.mark.parametrize(
    ("metadata", "moderator"),
    [
        ('{"is_admin":true}', True),
        ('{"isAdmin": true, "is_presenter": false}', True),
        ({"is_admin": True}, True),
        ('{"is_admin":false}', False),
        ("", False),
        ("{", False),
        ("[]", False),
        ("null", False),
        (5, False),
        ('{"is_admin":[]}', False),
    ],
)
def test_an_admin_is_a_moderator(metadata: Any, moderator: bool):  # noqa: FBT001 - a row of the table
    assert who(sample("03", participant__metadata=metadata)).moderator is moderator


# -- which room ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metadata", [None, "", "not JSON", "[1]", "null", "5", 5, [], True, '{"is_breakout_room":[]}'])
def test_metadata_that_is_none_says_nothing(metadata: Any):
    assert place(sample("03", room__metadata=metadata)) == Place("room01", SID, None, PLACE.began_at)


@pytest.mark.parametrize(
    "metadata",
    [
        '{"is_breakout_room":true,"parent_room_id":"room01"}',
        '{"is_breakout_room": true, "parent_room_id": "room01", "room_title": "Group 1"}',
        '{"isBreakoutRoom":true,"parentRoomId":"room01"}',
        {"is_breakout_room": True, "parent_room_id": "room01"},
    ],
)
def test_a_breakout_room_names_its_parent_and_no_title(metadata: Any):
    found = place(sample("03", room__metadata=metadata, room__room_id="room01-b", room__sid="sb"))

    assert found == Place("room01-b", "sb", None, PLACE.began_at, breakout=True, parent_room_id="room01")


def test_whether_it_is_a_breakout_room_may_be_left_unsaid():
    assert place(sample("08")).breakout is None
    assert place(sample("03", room__metadata='{"room_title":"x"}')).breakout is None
    assert place(sample("03")).breakout is False


def test_a_breakout_room_without_a_parent_says_so():
    for parent in ("", "room01"):
        metadata = json.dumps({"is_breakout_room": True, "parent_room_id": parent})
        found = place(sample("03", room__metadata=metadata))
        assert (found.breakout, found.parent_room_id) == (True, None)


@pytest.mark.parametrize(
    "room",
    [
        {"identity": "room01"},
        {"roomId": "room01"},
        {"room_id": "room01", "sid": ""},
        {"room_id": "", "identity": "room01"},
        {"room_id": "room01", "identity": "other", "roomId": "another"},
    ],
)
def test_older_rooms_and_a_room_without_a_session(room: dict[str, Any]):
    assert place({"event": "room_started", "room": room}) == Place("room01", "room01")


def test_a_number_is_an_id():
    assert place({"event": "room_started", "room": {"room_id": 17, "sid": 4}}) == Place("17", "4")


# -- older forms --------------------------------------------------------------------------------------------------


def _camel(value: Any) -> Any:
    if isinstance(value, dict):
        return {re.sub(r"_([a-z])", lambda found: found[1].upper(), key): _camel(inner) for key, inner in value.items()}
    return [_camel(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("path", samples(), ids=lambda path: path.stem)
def test_every_field_is_read_in_camel_case_too(path: Any):
    body = json.loads(path.read_bytes())

    assert read(_camel(body)) == read(body)


def test_a_snake_case_field_that_is_empty_gives_way():
    body = sample("03", created_at="0", createdAt="1760000431", participant__joined_at_ms=0)
    body = changed(body, participant__joinedAtMs=1_760_000_430_412, room__room_id="", room__roomId="room01")

    assert read(body) == read(sample("03"))


@pytest.mark.parametrize(
    ("number", "key"),
    [
        ("02", SID),
        ("03", "PA_aJ8vYfQm4d2T"),
        ("05", "TR_VCqGd3sJ5pRk2b"),
        ("08", f"{SID}-1760000700123"),
        ("17", "a2f1c9d4-6a1e-4b1e-9f0a-b7d1f4e0c111"),
        ("18", "a2f1c9d4-6a1e-4b1e-9f0a-b7d1f4e0c111"),
    ],
)
def test_a_missing_id_is_the_natural_key(number: str, key: str):
    for missing in (None, "", "x" * 129, "\0"):
        assert read(sample(number, id=missing)).id == key
    assert read(sample(number, id=17)).id == "17"


OLDER = {
    "event": "end_recording",
    "room": {"identity": "room01"},
    "recording_info": {
        "recordingId": "rec-1",
        "fileName": "rec-1.mp4",
        "status": "FINISHED",
        "duration": "3600",
        "fileSize": "12.5",
    },
    "createdAt": 1_760_004_000,
}


def test_the_older_form_of_a_ready_recording():
    found = read(OLDER)

    assert found.recording == Recording("rec-1", ready=True, size_mb=12.5)
    assert (found.id, found.at) == ("rec-1", 1_760_004_000_000)
    for less in ({"recording_info__fileName": None}, {"recording_info__status": None}):
        assert recording(changed(OLDER, **less)).ready


def test_the_end_of_a_recording_alone_makes_no_file_ready():
    assert not recording(changed(OLDER, recording_info__fileName=None, recording_info__status="FAILED")).ready
    assert not recording(changed(OLDER, event="start_recording")).ready
    assert not recording(sample("09", recording_info__status="FINISHED")).ready


@pytest.mark.parametrize(("said", "failure"), [("success", None), (None, None), ("", None), ("no space", "no space")])
def test_a_failure_is_seen_in_the_recorders_words_only(said: Any, failure: str | None):
    assert recording(sample("08", recording_info__recorder_msg=said)).failure == failure


def test_the_state_of_a_recorder_is_told_without_an_id():
    assert recording(sample("08", event="start_rtmp", recording_info=None)).record_id == SID
    assert "`$.recording_info.record_id`" in complaint(sample("10", recording_info=None))


# -- what cannot be read ------------------------------------------------------------------------------------------


NOT_JSON = [b"", b"x", b"[1,2]", b"5", b'"x"', b"null", b"{", b'{"event":', b"\xff\xfe", b'{"event":NaN}']


@pytest.mark.parametrize("body", [*NOT_JSON, b"[" * 5000, b"\xef\xbb\xbf" * 5000, b"\\ud800" * 5000])
def test_what_is_not_json_is_no_event(body: bytes):
    with pytest.raises(NotAnEvent):
        read(body)


@pytest.mark.parametrize("event", [None, "", 5, True, ["room_started"], {"a": 1}])
def test_an_event_has_a_name(event: Any):
    for room in ({"room_id": "r1"}, 5):
        with pytest.raises(NotAnEvent, match="event"):
            read({"event": event, "room": room})
    with pytest.raises(NotAnEvent, match="event"):
        read({"room": {"room_id": "r1"}})


@pytest.mark.parametrize(
    "event", ["speech_to_text_usage", "recording_transcoding_finished", "new", "e" * 500, "a\0b", "\0"]
)
def test_nothing_else_is_read_of_an_event_that_nobody_reads(event: str):
    rooms: list[Any] = [{"room_id": "r1"}, 5, None, {"room_id": []}]
    for room in rooms:
        found = read({"event": event, "room": room, "id": "i1", "created_at": []})
        assert (found.id, found.place) == ("i1", None)
        assert 0 < len(found.event) <= 128
        assert "\0" not in found.event


@pytest.mark.parametrize(
    ("number", "field"),
    [
        ("02", "room"),
        ("02", "room.room_id"),
        ("03", "participant"),
        ("03", "participant.sid"),
        ("03", "participant.identity"),
        ("04", "track.sid"),
        ("10", "recording_info.record_id"),
        ("17", "room_artifact.artifact_id"),
        ("18", "analytics.file_id"),
    ],
)
def test_what_an_event_needs_is_named_where_it_is_missing(number: str, field: str):
    path = field.replace(".", "__")

    for nothing in (None, ""):
        if nothing is None or "." in field:
            assert f"`$.{field}" in complaint(sample(number, **{path: nothing}))


@pytest.mark.parametrize(
    ("number", "field"),
    [
        ("02", "room.room_id"),
        ("02", "room.sid"),
        ("03", "participant.sid"),
        ("03", "participant.identity"),
        ("04", "track.sid"),
        ("10", "recording_info.record_id"),
        ("17", "room_artifact.artifact_id"),
    ],
)
@pytest.mark.parametrize("bad", ["x" * 129, "nul \0", "lone \ud800 half", [], {}, True, 1.5])
def test_an_id_that_no_table_can_hold_is_named(number: str, field: str, bad: Any):
    body = json.dumps(sample(number, **{field.replace(".", "__"): bad})).encode()

    assert f"`$.{field}`" in complaint(body)


def test_an_id_may_be_in_any_script_and_of_128_characters():
    for good in ("ক্লাস-১", "😀", "x" * 128):
        assert place(sample("03", room__room_id=good)).room_id == good


def test_half_a_surrogate_pair_in_a_name_costs_only_itself():
    body = json.dumps(sample("03", participant__name="Alice \ud83d", room__metadata='{"room_title":"\\ud83d x"}'))

    assert who(body.encode()).name == "Alice"
    assert place(body.encode()).title == "x"
    whole = json.dumps(sample("03", participant__name="Alice \U0001f600 \\ud800 \ud83d"))
    assert who(whole.encode()).name == "Alice \U0001f600 \\ud800"


def test_names_and_titles_are_cut():
    body = sample("03", participant__name="n" * 300 + "\0", room__metadata=json.dumps({"room_title": "t" * 300}))

    assert (who(body).name, place(body).title) == ("n" * 256, "t" * 256)


# -- anything at all ----------------------------------------------------------------------------------------------

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=150),
    st.sampled_from(
        ["", "0", "\0", "\ud800", "x" * 129, '{"is_breakout_room":true}', "CAMERA", "SIP", 2**63, -1, 10**400]
    ),
)
JUNK = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
EVENTS = st.sampled_from(sorted(READ_EVENTS))
NAMES_A_FIELD = re.compile(r" - at `\$(\.[A-Za-z_]+)*`$")


def survives(body: bytes) -> None:
    """Read, or refused by name; nothing else leaves the decoder, and what does can be stored."""
    found = _decoded(body)
    if isinstance(found, NotAnEvent | Undecodable):
        assert NAMES_A_FIELD.search(str(found)), found
        assert isinstance(found, NotAnEvent) or found.event in READ_EVENTS
        _storable(found.id if isinstance(found, Undecodable) else "")
        return
    _storable(found.id)
    assert 0 < found.at <= NOW + AHEAD_MAX_MS
    for each in (found.place, found.participant, found.track, found.recording, found.artifact):
        for name in each.__struct_fields__ if each is not None else ():
            value = getattr(each, name)
            if isinstance(value, str):
                _storable(value)
            elif isinstance(value, int) and not isinstance(value, bool):
                assert 0 < value <= NOW + AHEAD_MAX_MS


def _decoded(body: bytes) -> Webhook | NotAnEvent | Undecodable:
    try:
        return decode(body, NOW)
    except (NotAnEvent, Undecodable) as error:
        return error


def _storable(text: str) -> None:
    text.encode()
    assert "\0" not in text
    assert len(text) <= 256


@given(st.binary(max_size=300))
def test_any_bytes(body: bytes):
    survives(body)


@given(EVENTS, st.dictionaries(st.sampled_from(Envelope.__struct_encode_fields__), JUNK, max_size=6))
def test_any_fields(event: str, fields: dict[str, Any]):
    survives(json.dumps(fields | {"event": event}).encode())


@given(st.sampled_from(samples()), st.data())
def test_a_sample_with_something_else_anywhere(path: Any, data: Any):
    body = json.loads(path.read_bytes())
    spot = body
    while True:
        key = data.draw(st.sampled_from(sorted(spot)))
        if not isinstance(spot[key], dict) or not spot[key] or data.draw(st.booleans()):
            break
        spot = spot[key]
    spot[key] = data.draw(JUNK)
    survives(json.dumps(body).encode())


@given(st.sampled_from(samples()), st.integers(0, 1500), st.binary(max_size=3))
def test_a_sample_with_some_bytes_changed(path: Any, place: int, other: bytes):
    body = path.read_bytes()
    place %= len(body)
    survives(body[:place] + other + body[place + len(other) :])


@given(st.sampled_from(samples()), st.integers(0, 1500))
def test_a_sample_that_was_cut(path: Any, length: int):
    survives(path.read_bytes()[:length])
