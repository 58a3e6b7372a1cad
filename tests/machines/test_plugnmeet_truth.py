"""The stand-in of the conference server knows what its classes come to: rules by small stories, forms, disorder."""

from __future__ import annotations

from random import Random

import jwt
import msgspec
import pytest

from load_tests.plugnmeet import disorder, truth, wire
from load_tests.plugnmeet.disorder import Disorder, lines
from load_tests.plugnmeet.facts import HARD, SOFT, Kind, Message, Person, Room, Source
from load_tests.plugnmeet.scenario import Act, Shape, write
from protocol.plugnmeet import Webhook, decode

END = 1_760_004_000
START = END - 3000
RULES = truth.Rules()
SHAPE = Shape(rooms=12, participants=22, seed=7, end_s=END)


class Story:
    """A class told by hand; seconds since its start."""

    def __init__(self, *, scheduled: tuple[int, int] | None = (0, 3000)) -> None:
        self._scheduled = scheduled
        self._messages: list[Message] = []
        self.tell("room_started", 0)

    def tell(
        self,
        event: Kind,
        at: int,
        person: Person | None = None,
        *,
        sid: str = "s",
        track: tuple[str, Source] | None = None,
        parent_id: str | None = None,
        lost: bool = False,
    ) -> Story:
        number = str(len(self._messages))
        room_id = "r" if parent_id is None else "b"
        self._messages.append(
            Message(event, room_id, sid, START + at, number, person, track, parent_id=parent_id, lost=lost)
        )
        return self

    def joined(self, at: float, sid: str = "a", identity: str = "1", *, lost: bool = False) -> Story:
        person = Person(sid, identity, "", round((START + at) * 1000))
        return self.tell("participant_joined", int(at), person, lost=lost)

    def left(self, at: int, reason: str | None = "CLIENT_INITIATED", sid: str = "a", joined: float = 0) -> Story:
        person = Person(sid, "1", "", round((START + joined) * 1000), reason=reason)
        return self.tell("participant_left", at, person)

    def track(self, event: Kind, at: int, sid: str = "t", source: Source = "CAMERA", of: str = "a") -> Story:
        return self.tell(event, at, Person(of, "1", "", 0), track=(sid, source))

    def ends(self, at: int = 3000, event: Kind = "room_finished", sid: str = "s") -> Story:
        return self.tell(event, at, sid=sid)

    def of_class(self) -> truth.ClassTruth:
        at = self._scheduled
        scheduled = None if at is None else (START + at[0], START + at[1])
        room = Room("r", "", scheduled, older=False, messages=tuple(self._messages), acts=(), nobodies=())
        return truth.of_class(room, RULES)

    def one(self) -> truth.LearnerTruth:
        return self.of_class().learners["1"]

    @property
    def seconds(self) -> int:
        return self.one().presence_seconds


# -- presence --------------------------------------------------------------------------------------------------------


def test_presence_is_from_joining_to_leaving_in_whole_seconds():
    assert Story().joined(100.9).left(200, joined=100.9).ends().seconds == 100


def test_without_a_left_it_is_to_the_end():
    assert Story().joined(100).ends().seconds == 2900


def test_the_end_is_the_first_that_was_told_whatever_its_name():
    assert Story().joined(0).ends(2900, "session_ended").ends(2800).seconds == 2800


@pytest.mark.parametrize("reason", sorted(HARD))
def test_who_left_on_purpose_gets_no_gap(reason: str):
    assert Story().joined(0).left(100, reason).joined(101, "b").left(200, sid="b", joined=101).ends().seconds == 199


@pytest.mark.parametrize("reason", SOFT)
@pytest.mark.parametrize(("gap_ms", "bridged"), [(1, True), (19_999, True), (20_000, True), (20_001, False)])
def test_any_other_gap_counts_within_the_grace(reason, gap_ms, bridged):
    story = Story().joined(0).left(100, reason).joined(100 + gap_ms / 1000, "b").ends()
    gap = (100_000 + gap_ms) // 1000 - 100
    assert story.seconds == 3000 - (0 if bridged else gap)


def test_a_take_over_is_one_presence():
    assert (
        Story().joined(0).joined(99, "b").left(100, "DUPLICATE_IDENTITY").left(200, sid="b", joined=99).ends().seconds
        == 200
    )


def test_a_lost_left_ends_where_the_next_one_of_the_identity_begins():
    story = Story().joined(0).joined(500, "b").left(600, sid="b", joined=500).ends()
    assert (story.seconds, story.one().stays) == (600, [(START * 1000, (START + 600) * 1000)])


def test_a_twin_takes_nothing_over():
    assert Story().joined(0).joined(500, "b", "1-native").left(600).ends().seconds == 3000


def test_of_two_lefts_the_earlier_one_holds():
    one = Story().joined(0).left(200, "CLIENT_INITIATED").left(100, "SIGNAL_CLOSE").ends().one()
    assert (one.presence_seconds, one.reasons) == (100, {"SIGNAL_CLOSE": 1})


def test_a_left_knows_when_they_had_joined():
    assert Story().joined(50, lost=True).left(150, joined=50).ends().seconds == 100


def test_a_left_behind_the_end_lengthens_nothing():
    assert Story().joined(0).ends(1000).left(1010).seconds == 1000


def test_only_the_class_interval_counts():
    assert Story(scheduled=(300, 3000)).joined(0).left(400).ends().seconds == 100


def test_time_in_a_breakout_is_time_in_class():
    story = Story().joined(0).left(100)
    inside = Person("b", "1", "", (START + 100) * 1000 + 500)
    story.tell("participant_joined", 100, inside, sid="x", parent_id="r")
    story.tell("session_ended", 400, sid="x", parent_id="r")
    assert story.ends().seconds == 400
    assert story.of_class().ended_ms == (START + 3000) * 1000


def test_without_any_end_there_are_no_figures():
    with pytest.raises(truth.NotOver):
        Story().joined(0).of_class()


def test_an_end_that_was_lost_is_the_beginning_of_the_next_session():
    story = Story().joined(0)
    story.tell("room_started", 1000, sid="s2")
    story.tell("participant_joined", 1200, Person("b", "1", "", (START + 1200) * 1000), sid="s2")
    assert story.ends(sid="s2").seconds == 1000 + 1800


def test_who_came_before_the_start_is_counted_from_it():
    story = Story(scheduled=None)
    story._messages.clear()
    assert story.joined(10).joined(20, "b", "2").ends().of_class().started_ms == (START + 10) * 1000


@pytest.mark.parametrize(("at", "late"), [(300, False), (300.001, True)])
def test_late_is_strictly_over_the_grace(at, late):
    assert Story().joined(at).ends().one().late is late


# -- devices ---------------------------------------------------------------------------------------------------------


def test_a_device_is_on_from_published_to_unpublished():
    story = Story().joined(0).track("track_published", 10).track("track_unpublished", 70).ends()
    assert story.one().device_seconds == {"camera": 60, "microphone": 0, "screen": 0}


def test_or_to_the_left_or_to_the_end():
    assert Story().joined(0).track("track_published", 10).left(50).ends().one().device_seconds["camera"] == 40
    assert Story().joined(0).track("track_published", 10).ends().one().device_seconds["camera"] == 2990


def test_two_tracks_at_once_are_one_camera():
    story = Story().joined(0).track("track_published", 10).track("track_published", 20, "u").left(50).ends()
    assert story.one().device_seconds["camera"] == 40


# -- the scenario ----------------------------------------------------------------------------------------------------


def test_the_same_seed_writes_the_same_classes():
    assert write(SHAPE) == write(SHAPE) != write(msgspec.structs.replace(SHAPE, seed=8))


def test_everybody_has_a_turn_and_nothing_lies_ahead():
    rooms = write(SHAPE)
    assert {act for room in rooms for _, act in room.acts} == set(Act)
    assert max(message.at for room in rooms for message in room.messages) <= END
    assert {room.older for room in rooms} == {True, False}
    assert any(room.scheduled is None for room in rooms)
    assert any(len({one.sid for one in room.messages if one.parent_id is None}) == 2 for room in rooms)


def test_every_truth_is_possible():
    for room in write(SHAPE):
        known = truth.of_class(room, RULES)
        whole = known.ended_ms // 1000 - known.begin_ms // 1000
        assert set(known.learners) == {user for user, _ in room.acts}
        for one in known.learners.values():
            assert 0 <= one.presence_seconds <= whole
            assert max(one.device_seconds.values()) <= one.presence_seconds
        assert 0 < known.attended <= len(room.acts)


def test_what_a_behaviour_is_for_shows_in_its_truth():
    late: set[str] = set()
    for room in write(SHAPE):
        known = truth.of_class(room, RULES)
        for user, act in room.acts:
            one = known.learners[user]
            if one.late:
                late.add(act)
            if act == Act.MODERATOR:
                assert one.role == "moderator"
            if act == Act.TAKE_OVER and not user.startswith("sip"):
                assert "DUPLICATE_IDENTITY" in one.reasons
    assert {Act.LATE, Act.ON_THE_BORDER} <= late


# -- on the wire -----------------------------------------------------------------------------------------------------


def _read(content: bytes) -> Webhook:
    return decode(content, (END + 10) * 1000)


def test_every_form_of_a_message_reads_the_same():
    random = Random(3)
    for room in write(msgspec.structs.replace(SHAPE, rooms=5)):
        for message in room.messages:
            plain = _read(wire.body(message, room.title, wire.PLAIN))
            for _ in range(3):
                read = _read(wire.body(message, room.title, wire.draw(random, message, older=False)))
                assert (read.event, read.id, read.at) == (plain.event, plain.id, plain.at)
                assert (read.participant, read.track) == (plain.participant, plain.track)
                assert read.place is not None
                assert (read.place.room_id, read.place.sid) == (message.room_id, message.sid)


def test_the_older_form_reads_the_same_but_for_the_session():
    random = Random(3)
    room = write(SHAPE)[5]
    assert room.older
    for message in room.messages:
        plain = _read(wire.body(message, room.title, wire.PLAIN))
        read = _read(wire.body(message, room.title, wire.draw(random, message, older=True)))
        assert (read.at, read.participant, read.track) == (plain.at, plain.participant, plain.track)
        assert read.place is not None
        assert read.place.sid == read.place.room_id == message.room_id


@pytest.mark.parametrize("kind", list(Disorder))
def test_disorder_loses_nothing_but_what_was_lost(kind: Disorder):
    room = write(SHAPE)[0]
    told = lines(room, Random(1), kind, 0.2)
    places = [delivery.message for line in told.values() for delivery in line]
    assert set(places) == {place for place, message in enumerate(room.messages) if not message.lost}
    assert len(places) > len(set(places))


def test_a_breakout_says_first_whose_it_is():
    for room in write(SHAPE):
        for room_id, line in lines(room, Random(1), Disorder.SHUFFLED, 0).items():
            if room_id != room.room_id:
                place = _read(line[0].content).place
                assert place is not None
                assert place.parent_room_id == room.room_id


def test_a_repeat_is_the_same_request_or_the_same_fact_under_a_new_id():
    room = write(SHAPE)[0]
    seen: dict[int, set[bytes]] = {}
    for delivery in lines(room, Random(1), Disorder.NONE, 0.5)[room.room_id]:
        seen.setdefault(delivery.message, set()).add(delivery.content)
    assert any(len(forms) > 1 for forms in seen.values())
    for place, forms in seen.items():
        assert {_read(content).event for content in forms} == {room.messages[place].event}


def test_the_signature_is_that_of_the_vector():
    """plugnmeet.md, "Vectors"."""
    content = (
        b'{"event":"analytics_proceeded","room":{"sid":"7f867cd7-7956-4a17-af46-6ddd4015a497","room_id":"room01"},'
        b'"analytics":{"file_id":"a2f1c9d4-6a1e-4b1e-9f0a-b7d1f4e0c111"},"id":"5f0c1b1e-0000-4000-8000-000000000018",'
        b'"created_at":"1760003762"}'
    )
    signed = wire.token(content, "plugnmeet", "zumyyYWqv7KR2kUqvYdq4z4sXg7XTBD2ljT6", END)
    claims = jwt.decode(
        signed,
        "zumyyYWqv7KR2kUqvYdq4z4sXg7XTBD2ljT6",
        algorithms=["HS256"],
        options={"verify_exp": False, "verify_nbf": False},
    )
    assert len(content) == 237
    assert claims["sha256"] == "4Fa4xzeJ0TLJBk3nnWnHhzaqgPjF26kYrqN/aK4E+wk="
    assert claims["iss"] == "plugnmeet"


def test_the_disorders_are_deterministic():
    room = write(SHAPE)[1]
    assert disorder.lines(room, Random(5), Disorder.LATE, 0.1) == disorder.lines(room, Random(5), Disorder.LATE, 0.1)
