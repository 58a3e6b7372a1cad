"""What checkpoints leave in the database is what the specification says of the whole history.

In whatever order, repeated and growing they came; and nothing is left of what is taken out again.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any, Final

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from storage.engaging import Engaging, Rules
from tests.figures import engagement_spec as spec
from tests.figures.engagement_histories import LESSON, NOW, catalogued_twice, histories, steady
from tests.figures.engagement_kept import RULES, ZONE, Kept, Standing, standing
from tests.figures.engagement_spec import History, Piece, Video, Visit
from tests.figures.engagement_writing import write
from tests.machines.profiles import QUIET

__all__ = ["standing"]

pytestmark = pytest.mark.slow

TOTALS: Final = """
SELECT views, viewers, starts, completed, replayed, starters, completed_starters, watch_ms, content_ms
  FROM engagement_totals WHERE kind = $1 AND content_id = $2
   AND version = (SELECT coalesce(max(version), 1) FROM engagement_versions WHERE kind = $1 AND content_id = $2)
"""


several = settings(
    max_examples=max(20, settings().max_examples // 10),
    deadline=None,
    suppress_health_check=QUIET,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to make one smaller takes minutes of a database
)


async def same(kept: Kept, history: History) -> None:
    """The sums and the rows of learners and sessions are those of the specification."""
    for video in history.videos:
        slow = spec.summary(history, video.key)
        asked = spec.Asked(spec.Content(history, video.key), spec.EVERYTHING)
        content = asked.content
        found = await kept.rows(TOTALS, *video.key)
        expected = {
            "views": slow["views"],
            "viewers": slow["viewers"],
            "starts": slow["starts"],
            "completed": len(asked.completers),
            "replayed": sum(content.replayed(user, spec.EVERYTHING) for user in asked.viewers),
            "watch_ms": asked.watch_ms(),
            "content_ms": asked.content_ms(),
        }
        if found or any(expected.values()):
            assert [{name: sums[name] for name in expected} for sums in found] == [expected]
        for sums in found:
            stayed = sums["starters"] - sums["completed_starters"]
            assert spec.rate(spec.share(stayed, sums["starters"])) == slow["drop_off_rate"]
    days = await kept.rows(
        "SELECT coalesce(sum(sessions), 0)::int AS total_watch_sessions, coalesce(sum(completed), 0)::int AS"
        " completed_sessions, coalesce(sum(replays), 0)::int AS replay_sessions FROM engagement_days"
    )
    slow = spec.dashboard(history)["videos"]
    assert days[0] == {name: slow[name] for name in days[0]}


@several
@given(histories().map(steady), st.integers(0, 2**32))
def test_whatever_the_order_of_checkpoints_the_figures_are_those_of_the_history(
    standing: Standing, history: History, seed: int
):
    runner, kept = standing

    async def story() -> None:
        await kept.live(history, Random(seed))
        await same(kept, history)

    runner.run(story())


def _visit(name: str, user: str, told: int | None, *, ago: int, played: int = 10_000) -> Visit:
    start = NOW - ago
    piece = Piece(1, start, start + played, 0, played)
    return Visit(name, user, LESSON, start, start + played, start + played, played, told, (piece,))


def test_the_median_moves_with_a_client_that_tells_another_length(standing: Standing):
    """It told 30 s and now tells 20 s, which was the median of 10 s and 30 s: it is 15 s."""
    runner, kept = standing
    before = (_visit("s1", "u1", 10_000, ago=90_000), _visit("s2", "u2", 30_000, ago=80_000))
    history = History((Video(LESSON),), (*before, _visit("s3", "u2", 20_000, ago=40_000)), NOW)

    async def story() -> list[dict[str, Any]]:
        await kept.begin(history)
        await write(kept.snapshots, kept.fence, replace(history, visits=before), Random(1))
        await write(kept.snapshots, kept.fence, replace(history, visits=history.visits[2:]), Random(1))
        return await kept.rows("SELECT told_ms FROM engagement_totals")

    assert spec.Content(history, LESSON).length == 15_000
    assert runner.run(story()) == [{"told_ms": 15_000}]


@several
@given(catalogued_twice(), st.integers(0, 2**32))
def test_another_length_is_another_version_and_a_second_more_is_not(standing: Standing, history: History, seed: int):
    runner, kept = standing

    async def story() -> None:
        await kept.live(history, Random(seed))
        await same(kept, history)

    runner.run(story())


@several
@given(histories().map(steady), st.integers(0, 2**32))
def test_what_is_taken_out_leaves_nothing(standing: Standing, history: History, seed: int):
    """A learner's rows go, and the sums are those of the others, and at last all are nothing."""
    runner, kept = standing
    users = sorted({each.user_id for each in history.visits})

    async def story() -> None:
        await kept.live(history, Random(seed))
        left = history
        for user in users:
            for table in ("engagement_learners", "engagement_sessions"):
                await kept.rows(f"DELETE FROM {table} WHERE user_id = $1", user)
            left = replace(left, visits=tuple(each for each in left.visits if each.user_id != user))
            if all(video.lengths for video in history.videos):
                await same(kept, left)
        sums = await kept.rows("SELECT views, viewers, starts, completed, replayed, watch_ms FROM engagement_totals")
        days = await kept.rows("SELECT sessions, known, completed, replays, reached_25 FROM engagement_days")
        curves = await kept.rows("SELECT plays, viewers FROM engagement_curves")
        assert not any(value for row in (*sums, *days, *curves) for value in row.values())

    runner.run(story())


def test_when_nobody_is_left_who_told_a_length_nobodys_length_is_left(standing: Standing):
    runner, kept = standing
    history = History((Video(LESSON),), (_visit("s1", "u1", 10_000, ago=90_000),), NOW)

    async def story() -> list[dict[str, Any]]:
        await kept.live(history, Random(1))
        assert await kept.rows("SELECT told_ms FROM engagement_totals") == [{"told_ms": 10_000}]
        for table in ("study_logs", "watch_sessions", "engagement_learners", "engagement_sessions"):
            await kept.rows(f"DELETE FROM {table} WHERE user_id = 'u1'")
        await kept.settle()
        return await kept.rows("SELECT told_ms FROM engagement_totals")

    assert runner.run(story()) == [{"told_ms": None}]


def test_with_other_settings_all_is_worked_out_anew(standing: Standing):
    runner, kept = standing
    history = History((Video(LESSON),), (_visit("s1", "u1", 20_000, ago=90_000),), NOW)
    lower = Engaging(kept.database, Rules(threshold=0.5, zone=ZONE))

    async def story() -> list[object]:
        await kept.live(history, Random(1))
        await kept.rows("UPDATE contents SET completion_threshold = NULL")
        await kept.settle()
        before = await Engaging(kept.database, RULES).note_settings(), await lower.settle(-1.0)
        noted = [await lower.note_settings(), await lower.note_settings()]
        while await lower.settle(-1.0):
            pass
        (totals,) = await kept.rows("SELECT completed FROM engagement_totals")
        return [*before, *noted, totals["completed"]]

    assert runner.run(story()) == [False, False, True, False, 1]
