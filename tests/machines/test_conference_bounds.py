"""What a full room does with one more: it changes nothing, and says so; what is known goes on."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from actors.machines import conference, holding, stays
from actors.machines.effects import Effect, Unplaced
from actors.machines.events import UserFigures
from tests.machines.builders import MIN, SEC
from tests.machines.meeting import Meeting

FEW = 3
Tell = Callable[[Meeting, int], list[Effect]]

FULL: dict[str, tuple[str, Tell]] = {
    "conference sessions": ("SESSIONS_MAX", lambda meeting, n: meeting.begins(n * SEC, sid=f"s{n}")),
    "tracks": ("TRACKS_MAX", lambda meeting, n: meeting.switches_on("u1/1", "camera", n * SEC, track=f"t{n}")),
    "recordings": ("RECORDINGS_MAX", lambda meeting, n: meeting.is_recorded(f"r{n}", n * SEC)),
    "hidden participants": ("HIDDEN_MAX", lambda meeting, n: meeting.comes(f"u{n}/1", n * SEC, hidden=True)),
    "analytics files": (
        "ARTIFACTS_MAX",
        lambda meeting, n: meeting.is_analysed(n * SEC, UserFigures("u1", None, 5, 1, 1), artifact=f"a{n}"),
    ),
    "stays of one learner": ("STAYS_MAX", lambda meeting, n: meeting.comes(f"u1/{n}", n * SEC)),
}


@pytest.fixture(params=FULL)
def full(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Meeting, Tell]:
    """A room with as many as it keeps, of what there is one more to tell."""
    bound, tell = FULL[request.param]
    monkeypatch.setattr(stays if bound == "STAYS_MAX" else conference, bound, FEW)
    meeting = Meeting()
    for number in range(1, FEW + 1):
        assert not any(isinstance(effect, Unplaced) for effect in tell(meeting, number))
    return request.param, meeting, tell


def test_one_more_is_refused_and_changes_nothing(full: tuple[str, Meeting, Tell]):
    what, meeting, tell = full
    before, journal = msgspec.msgpack.encode(meeting.room.state), len(meeting.journal)

    for number in (FEW + 1, FEW + 2):
        assert tell(meeting, number) == [Unplaced(what)]

    assert msgspec.msgpack.encode(meeting.room.state) == before
    assert len(meeting.journal) == journal


def test_what_is_known_is_told_again_in_a_full_room(full: tuple[str, Meeting, Tell]):
    _, meeting, tell = full

    for number in (1, FEW):
        assert not any(isinstance(effect, Unplaced) for effect in tell(meeting, number))


def test_a_stay_that_is_known_ends_though_its_learner_may_have_no_more(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stays, "STAYS_MAX", 1)
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.comes("u1/2", MIN)
    meeting.goes("u1/1", 5 * MIN, "CLIENT_INITIATED")

    assert meeting.presence("u1", 10 * MIN) == [(0, 5 * MIN)]


def test_the_end_alone_of_one_stay_too_many_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stays, "STAYS_MAX", 1)
    meeting = Meeting()
    meeting.comes("u1/1", 0)

    assert meeting.goes("u1/2", MIN) == [Unplaced("stays of one learner")]


def test_whoever_is_hidden_stays_hidden_in_a_full_room(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(conference, "HIDDEN_MAX", 1)
    meeting = Meeting()
    meeting.begins(0)
    meeting.comes("u1/1", MIN, hidden=True)

    meeting.comes("u1/1", MIN)

    assert "u1" not in meeting.room.state.members


def test_a_poll_of_one_session_too_many_changes_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(conference, "SESSIONS_MAX", 1)
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.is_not_active(MIN)
    before = msgspec.msgpack.encode(meeting.room.state)

    assert meeting.is_seen(2 * MIN, ("u1/1", 0), sid="s2") == [Unplaced("conference sessions")]

    assert msgspec.msgpack.encode(meeting.room.state) == before


def test_a_poll_makes_no_stay_too_many_and_goes_on_with_the_others(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stays, "STAYS_MAX", 1)
    meeting = Meeting()
    meeting.comes("u1/1", 0)
    meeting.is_seen(2 * MIN, ("u1/1", 0), ("u1/2", MIN), ("u2/1", MIN))

    assert list(meeting.room.state.members["u1"].stays) == ["u1/1"]
    assert meeting.presence("u2", 2 * MIN) == [(MIN, 2 * MIN)]


def test_beyond_the_bound_an_identity_stays_a_learner_of_its_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(conference, "ALIASES_MAX", 1)
    meeting = Meeting()
    meeting.comes("i1/1", 0)
    meeting.comes("i2/1", 0)
    meeting.is_seen(MIN, ("i1/1", 0), ("i2/1", 0), users={"i1": "u1", "i2": "u2"})

    assert meeting.room.state.conference.aliases == {"i1": "u1"}
    assert meeting.presence("u1", MIN) == [(0, MIN)]
    assert meeting.presence("i2", MIN) == [(0, MIN)]


def test_of_dropped_streams_the_latest_are_remembered(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(holding, "LAPSES_MAX", FEW)
    meeting = Meeting()
    for number in range(1, 6):
        at = number * MIN
        meeting.joins("u1", at)
        meeting.drops(f"u1/{number}", at + 10 * SEC)
        meeting.time_passes(at + 40 * SEC)

    left = [lapse.joined_at for lapse in meeting.room.state.members["u1"].lapses]
    assert left == sorted(left)
    assert len(left) == FEW
    assert left[-1] == meeting.room.state.members["u1"].past[-1]
