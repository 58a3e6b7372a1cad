"""Which session a sample goes to, whatever the order of batches: all sessions together are as long as the truth."""

from __future__ import annotations

import random

from hypothesis import example, given
from hypothesis import strategies as st

import tests.machines.profiles  # noqa: F401 - loads the profile
from actors.machines import ranges
from actors.machines.events import Opened, Placed
from actors.machines.track import PAUSED, PLAYING, Sample, silence_ms
from actors.machines.watch import IDLE_MS, MOBILE, WatchRules, WatchSession
from server.mobile.sorting import Running, Share, running_of, sort
from storage.mobile import Span
from tests.machines.builders import HOUR, INTERVAL, MIN, SEC, T0

SILENCE = silence_ms(INTERVAL)
NOW = T0 + 12 * HOUR


def at(time: int, position: int = 0, state: int = PLAYING) -> Sample:
    return Sample(time + 1, T0 + time, position, state)


class Device:
    """A learner's sessions of one content on one device, as the server keeps them."""

    def __init__(self) -> None:
        self.sessions: dict[str, WatchSession] = {}

    def take(self, *samples: Sample) -> list[str]:
        known = [running_of(key, one.state) for key, one in self.sessions.items()]
        went = []
        for share in sort(sorted(samples, key=lambda one: one.seq), known, [], IDLE_MS, SILENCE):
            key = share.session_id or str(len(self.sessions))
            if share.session_id is None:
                self.sessions[key] = WatchSession(key, None, WatchRules())
                self.sessions[key].step(Opened("ann", "video", "v", "phone", MOBILE, INTERVAL), NOW)
            self.sessions[key].step(Placed(share.samples, INTERVAL), NOW)
            went.append(key)
        return went

    def figures(self) -> tuple[int, int]:
        wall, covered = 0, list[int]()
        for one in self.sessions.values():
            assert one.state is not None
            track = one.state.track
            track.close()
            wall += track.watch_ms
            for begin, end in ranges.pairs(track.coverage):
                ranges.add(covered, begin, end)
        return wall, ranges.length(covered)


def test_a_session_goes_on_until_half_an_hour_of_nothing():
    device = Device()
    assert device.take(at(0)) == device.take(at(30 * MIN - 1)) == ["0"]
    assert device.take(at(60 * MIN - 1)) == ["1"]


def test_one_batch_may_be_several_sessions():
    device = Device()
    assert device.take(at(0), at(SEC), at(31 * MIN), at(2 * HOUR)) == ["0", "1", "2"]


def test_an_earlier_sample_goes_to_the_session_before_it_or_else_the_next_one():
    device = Device()
    device.take(at(HOUR))
    assert device.take(at(HOUR - 29 * MIN)) == ["0"]
    assert device.take(at(0)) == ["1"]
    assert device.take(at(29 * MIN)) == ["1"]


def test_what_lies_in_the_time_of_a_stored_session_is_nobodys():
    samples = [at(0), at(5 * SEC), at(10 * SEC), at(10 * SEC + 1)]
    shares = sort(samples, [], [Span("old", T0, T0 + 10 * SEC)], IDLE_MS, SILENCE)
    assert [[one.at - T0 for one in share.samples] for share in shares] == [[10 * SEC + 1]]


def test_neighbours_that_meet_late_lose_nothing_between_them():
    device = Device()
    device.take(at(0, 0), at(10 * SEC, 10 * SEC))
    device.take(at(31 * MIN, 0, PLAYING), at(31 * MIN + 10 * SEC, 10 * SEC))
    device.take(*(at(time * SEC, time * SEC) for time in range(20, 31 * 60, 10)))
    assert len(device.sessions) == 2
    assert device.figures()[0] == 31 * MIN + 10 * SEC - 10 * SEC  # but for the jump back


def test_a_session_that_has_forgotten_its_first_samples_gets_no_new_beginning():
    running = Running(Share("old", []), T0 + HOUR, T0 + HOUR, whole=False)
    (share,) = sort([at(59 * MIN)], [running], [], IDLE_MS, SILENCE)
    assert share.session_id is None


@st.composite
def histories(draw: st.DrawFn) -> list[Sample]:
    """Nobody stands still: a stretch too short to be kept is dropped, and two sessions may drop two."""
    time, position, found = 0, 0, list[Sample]()
    for _ in range(draw(st.integers(1, 25))):
        gap = draw(st.sampled_from([1 * SEC, 10 * SEC, 10 * SEC, SILENCE, SILENCE + 1, 20 * MIN, IDLE_MS - 1, IDLE_MS]))
        time, position = time + gap, position + draw(st.sampled_from([gap, gap, gap, 10 * MIN]))
        found.append(at(time, position, draw(st.sampled_from([PLAYING, PLAYING, PLAYING, PAUSED]))))
    return found


@given(histories(), st.randoms(use_true_random=False), st.integers(1, 6))
@example([at(time * SEC, time * SEC) for time in range(0, 2400, 100)], random.Random(1), 2)
def test_whatever_the_order_all_sessions_together_are_the_truth(
    samples: list[Sample], chance: random.Random, size: int
):
    truth = Device()
    truth.take(*samples)
    batches = [samples[place : place + size] for place in range(0, len(samples), size)]
    batches += chance.sample(batches, min(2, len(batches)))
    chance.shuffle(batches)
    device = Device()
    for batch in batches:
        device.take(*batch)
    assert device.figures() == truth.figures()
