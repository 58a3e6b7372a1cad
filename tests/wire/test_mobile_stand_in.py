"""The stand-in for mobile SDKs knows what it acts: its scripts, garbage and truth, before any server is asked."""

from __future__ import annotations

import json
from itertools import pairwise
from random import Random
from typing import Any

import msgspec
import pytest

from load_tests.mobile import comparing, truth
from load_tests.mobile.acting import ACTS, cast
from load_tests.mobile.chatter import activity, bad, noise
from load_tests.mobile.comparing import Answers, Kept
from load_tests.mobile.playing import DURATION_S, Learner
from load_tests.mobile.script import Moment, watching
from load_tests.mobile.sdk import Launch
from load_tests.mobile.truth import Watched, credit
from load_tests.simulate.record import Told
from protocol import mobile
from protocol.engagement import MineAnswer, ViewerItem
from protocol.mobile import read_batch, write_batch
from protocol.rest import SessionAnswer
from protocol.types import PlayState

SEEDS = pytest.mark.parametrize("seed", range(8))


def script(seed: int) -> list[Moment]:
    return watching(Random(seed), seconds=600, step_s=10, duration_s=DURATION_S)


def told(at_s: float, position_s: float, state: PlayState = "playing") -> Told:
    return Told(0, round(at_s * 1000), position_s, state, 1.0, visible=True, by_http=True)


@SEEDS
def test_a_script_is_drawn_by_its_seed(seed: int):
    assert script(seed) == script(seed)
    assert script(seed) != script(seed + 1)


@SEEDS
def test_a_script_moves_forward_and_stays_within_the_content(seed: int):
    moments = script(seed)

    assert all(before.at < after.at for before, after in pairwise(moments))
    assert all(0 <= position < DURATION_S * 1000 for moment in moments for position, _ in moment.samples)
    assert all(json.loads(json.dumps(moment.payload)) == moment.payload for moment in moments)


@SEEDS
def test_all_that_is_played_in_a_script_is_credited(seed: int):
    samples = [one for moment in script(seed) for one in moment.told(0)]
    watched = Watched("u", "c", DURATION_S, chunks=[samples])

    played = sum(after.at - before.at for before, after in pairwise(samples) if before.state == "playing")
    assert credit(watched).watch == played
    assert played > truth.VIEW_MS


def test_what_is_watched_twice_is_covered_once():
    once = [told(0, 100), told(10, 110)]
    again = [told(1000, 105), told(1010, 115)]

    known = credit(Watched("u", "c", DURATION_S, chunks=[once, again]))

    assert (known.content, known.covered, known.watch) == (20_000, 15_000, 20_000)
    assert known.ranges == [(100_000, 115_000)]


def test_nothing_is_credited_over_silence_a_pause_or_a_jump():
    samples = [told(0, 0), told(36, 36), told(40, 40, "paused"), told(44, 44), told(50, 90)]

    assert credit(Watched("u", "c", DURATION_S, chunks=[samples])).ranges == [(36_000, 40_000)]


def test_what_lies_past_the_end_covers_nothing():
    known = credit(Watched("u", "c", 12, chunks=[[told(0, 4), told(10, 14)]]))

    assert known.ranges == [(4000, 12_000)]


def test_nobody_is_credited_for_what_is_nobodys():
    known = credit(Watched("u", "c", 60, credited=False, chunks=[[told(0, 0), told(10, 10)]]))

    assert known == truth.Credit(0, 0, 0, [], 0, views=False)


@SEEDS
def test_what_apps_tell_beside_playing_can_be_read(seed: int):
    chance = Random(seed)
    messages = [make(chance, 1_700_000_000_000) for make in (activity, noise) for _ in range(40)]

    batch = read_batch(write_batch(messages, 0))

    assert [each.body for each in batch.messages[1:]] == [each.body for each in messages]


@SEEDS
def test_the_garbage_of_apps_leaves_the_rest_of_a_batch_alone(seed: int):
    chance = Random(seed)
    good = noise(chance, 1)

    batch = read_batch(write_batch([each for _ in range(30) for each in (bad(chance, 1), good)], None))

    assert [each.body for each in batch.messages if each.type != 89] == [good.body] * 30
    assert len(batch.undecodable) + len(batch.messages) == 60
    assert {each.type for each in batch.undecodable} <= {94, 100, 105}
    assert not any(each.type in {94, 100} or isinstance(each.body, mobile.Crash) for each in batch.messages)


def test_everybody_acts_and_has_an_app_of_their_own():
    learners = cast([(f"m{number}", "t") for number in range(2 * len(ACTS))], seed=1)

    assert [learner.act for learner in learners] == [*ACTS] * 2
    assert len({each for learner in learners for each in learner.uuids}) == 2 * len(learners)


# -- comparing --------------------------------------------------------------------------------------------------------

CLICK = {"at": "2026-01-01T00:00:00.000Z", "type": 100, "fields": {"label": "Tap", "x": 1, "y": 2}, "raw": None}
STRANGE = {"at": "2026-01-01T00:00:01.000Z", "type": 89, "fields": None, "raw": "AAE="}
AT = 1_767_225_600_000
AHEAD = -3_600_000


def a_learner() -> Learner:
    told = {(100, AT + AHEAD, b"\x03Tap\x01\x02"), (89, AT + 1000 + AHEAD, b"\x00\x01")}
    launches = [Launch("uuid", AHEAD, ["7"], told), Launch("uuid", AHEAD, ["8"], set(told))]
    return Learner("m1", "t", "offline", Random(1), ["uuid"], launches=launches)


def a_session(**other: Any) -> SessionAnswer:
    fields: dict[str, Any] = {
        "session_id": "s",
        "user_id": "m1",
        "content": None,
        "room": None,
        "started_at": CLICK["at"],
        "ended_at": None,
        "last_seq": 1,
        "position": 10.0,
        "duration": None,
        "watch_seconds": 10.0,
        "content_seconds": 10.0,
        "covered_seconds": 10.0,
        "coverage": 0.002,
        "completed": False,
        "segments": [],
    }
    return SessionAnswer(**{**fields, **other})


MINE = MineAnswer("lesson", "c", None, 0.002, [(4.0, 14.0)], 14.0, completed=False, completed_at=None)
VIEWER = ViewerItem("m1", 1, 0.002, 10.0, 10.0, 0.0, 10.0, 14.0, None)


def answers(**other: Any) -> Answers:
    kept = [
        Kept("7", None, "uuid", [CLICK], 0, ["s"], None),
        Kept("8", None, "uuid", [STRANGE, {**CLICK, "type": 107}], 0, [], None),
    ]
    fields: dict[str, Any] = {"kept": kept, "sessions": [a_session()], "mine": MINE, "viewer": VIEWER}
    return Answers(**{**fields, **other})


def differing(read: Answers, *, credited: bool = True) -> list[str]:
    """The fields that are found to differ where ten seconds were watched."""
    watched = Watched("m1", "c", DURATION_S, credited, [[told(AT / 1000, 4), told(AT / 1000 + 10, 14)]])
    return [one.field for one in comparing.of_learner(a_learner(), credit(watched), watched, read)]


def test_answers_that_are_true_do_not_differ():
    assert differing(answers()) == []


TRUE = answers()


@pytest.mark.parametrize(
    ("read", "field"),
    [
        (answers(kept=TRUE.kept[:1]), "messages missing"),
        (answers(kept=TRUE.kept[:1]), "sessions begun and not listed"),
        (answers(kept=[*TRUE.kept, TRUE.kept[0]]), "messages too many"),
        (answers(kept=[*TRUE.kept, Kept("9", None, "uuid", [], 1, [], None)]), "undecodable"),
        (answers(sessions=[a_session(user_id="m2")]), "whose watch sessions"),
        (answers(sessions=[a_session(), a_session()]), "content_seconds"),
        (answers(sessions=[a_session(watch_seconds=11.0)]), "watch_seconds"),
        (answers(mine=msgspec.structs.replace(MINE, ranges=[(4.0, 14.1)])), "me: ranges"),
        (answers(mine=msgspec.structs.replace(MINE, coverage=0.004)), "me: coverage"),
        (answers(viewer=None), "a viewer"),
        (answers(viewer=msgspec.structs.replace(VIEWER, covered_seconds=9.9)), "viewer: covered_seconds"),
        (answers(viewer=msgspec.structs.replace(VIEWER, watch_seconds=9.0)), "viewer: watch_seconds"),
    ],
)
def test_an_answer_that_is_not_true_differs(read: Answers, field: str):
    assert field in differing(read)


def test_whoever_is_not_to_be_credited_has_no_watch_session_and_no_view():
    assert {"watch sessions of nobody", "me: ranges", "a viewer"} <= {*differing(answers(), credited=False)}
    nothing = msgspec.structs.replace(MINE, ranges=[], coverage=0.0)
    kept = [msgspec.structs.replace(each, watch_sessions=[]) for each in TRUE.kept]
    assert differing(answers(kept=kept, sessions=[], mine=nothing, viewer=None), credited=False) == []


def test_a_message_at_another_time_differs():
    late = {**CLICK, "at": "2026-01-01T00:00:04.000Z"}
    kept = [Kept("7", None, "uuid", [late], 0, ["s"], None), TRUE.kept[1]]

    assert any(field.startswith("time of 100") for field in differing(answers(kept=kept)))
