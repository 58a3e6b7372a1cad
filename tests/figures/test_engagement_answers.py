"""What is answered over HTTP, out of an embedded PostgreSQL, is what the specification says of the history."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.edge.http.conftest import World
from tests.figures import engagement_spec as spec
from tests.figures import engagement_story as story
from tests.figures.engagement_histories import (
    BUCKETS,
    LEARNERS,
    LESSON,
    NOW,
    catalogued_twice,
    histories,
    ranges,
    steady,
)
from tests.figures.engagement_kept import ZONE, Standing, standing
from tests.figures.engagement_spec import History, Key, Piece, Range, Video, Visit
from tests.machines.profiles import QUIET

__all__ = ["standing"]

ENGAGEMENT: Final = "/api/v1/videos/engagement"
GOLDENS: Final = Path(__file__).parent / "goldens" / "engagement"
several = settings(
    max_examples=max(20, settings().max_examples // 10),
    deadline=None,
    suppress_health_check=QUIET,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to make one smaller takes minutes of a database
)


class Asker:
    """Staff who read."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def body(self, path: str, *, user: str | None = None, **query: Any) -> Any:
        answer = await self.world.call("GET", path, user=user, staff=user is None, **query)
        assert answer.status == 200, (path, query, answer.text)
        return answer.json

    async def data(self, path: str, *, user: str | None = None, **query: Any) -> Any:
        body = await self.body(path, user=user, **query)
        assert set(body) == {"data"}
        return body["data"]

    async def items(self, path: str, limit: int, **query: Any) -> list[Any]:
        """All of them, a page at a time."""
        found: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = await self.data(path, limit=str(limit), **query, **cursor)
            assert len(page["items"]) <= limit
            found += page["items"]
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}


def about(key: Key) -> dict[str, str]:
    return {"content_kind": key[0], "content_id": key[1]}


def between(asked: Range) -> dict[str, str]:
    """As a query says it."""
    if asked.start is None or asked.end is None:
        return {}
    return {"start_at": str(spec.instant(asked.start)), "end_at": str(spec.instant(asked.end))}


@st.composite
def whole_ranges(draw: st.DrawFn, history: History) -> Range:
    """Ranges of whole seconds, to which those of a question are floored (learning-api.md, reading 1)."""
    asked = draw(ranges(history))
    if asked.start is None or asked.end is None:
        return asked
    start = asked.start // 1000 * 1000
    return Range(start, max(-(-asked.end // 1000) * 1000, start + 1000))


# -- equality ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@several
@given(st.data())
def test_answers_are_those_of_the_specification(standing: Standing, tmp_path_factory: Any, data: st.DataObject):
    runner, kept = standing
    history = steady(data.draw(st.one_of(histories(), catalogued_twice())))
    asked = data.draw(whole_ranges(history))
    buckets = data.draw(st.sampled_from(BUCKETS))
    limit = data.draw(st.sampled_from((1, 2, 200)))
    seed = data.draw(st.integers(0, 2**32))

    async def told() -> None:
        await kept.live(history, Random(seed))
        async with kept.serving(tmp_path_factory.mktemp("world")) as world:
            asker = Asker(world)
            for video in history.videos:
                await _same_content(asker, history, video.key, asked, buckets, limit)
                for user in LEARNERS:
                    mine = await asker.data(f"{ENGAGEMENT}/me", user=user, **about(video.key))
                    assert mine == spec.me(history, video.key, user)
            for sort in spec.SORTS:
                for course in (None, "c1"):
                    ranked = {"sort": sort} | ({"course_id": course} if course else {})
                    assert await asker.items(f"{ENGAGEMENT}/top", limit, **ranked) == spec.top(
                        history, sort, course_id=course
                    )

    runner.run(told())


async def _same_content(asker: Asker, history: History, key: Key, asked: Range, buckets: int, limit: int) -> None:
    query = about(key) | between(asked)
    assert await asker.data(f"{ENGAGEMENT}/summary", **query) == spec.summary(history, key, asked)
    drawn = await asker.data(f"{ENGAGEMENT}/retention", buckets=str(buckets), **query)
    assert drawn == spec.retention(history, key, buckets, asked)
    assert await asker.items(f"{ENGAGEMENT}/viewers", limit, **query) == spec.viewers(history, key, asked)


@pytest.mark.slow
@several
@given(st.data())
def test_the_platforms_answers_are_those_of_the_specification(
    standing: Standing, tmp_path_factory: Any, data: st.DataObject
):
    runner, kept = standing
    history = steady(data.draw(st.one_of(histories(), catalogued_twice())))
    seed = data.draw(st.integers(0, 2**32))
    query, period = data.draw(st.sampled_from(list(periods())))
    start = data.draw(st.sampled_from((NOW - 4_200_000, NOW - 3_720_000, NOW - 3_606_000, NOW - 60_000, NOW - 1_000)))
    end = start + data.draw(st.sampled_from((1_000, 125_000, 600_000)))
    step = data.draw(st.sampled_from((10, 11, 60)))

    async def told() -> None:
        await kept.live(history, Random(seed))
        async with kept.serving(tmp_path_factory.mktemp("world")) as world:
            asker = Asker(world)
            assert await asker.data("/api/v1/analytics/dashboard", **query) == spec.dashboard(history, period)
            watching = await asker.data("/api/v1/videos/concurrent", step=str(step), **between(Range(start, end)))
            assert watching == spec.concurrent(history, start, end, step)

    runner.run(told())


def periods() -> Iterator[tuple[dict[str, str], Range]]:
    """Queries of the dashboard, and what they mean in the server's zone."""

    def local(year: int, month: int = 1, day: int = 1) -> int:
        return round(datetime(year, month, day, tzinfo=ZONE).timestamp() * 1000)

    today = datetime.fromtimestamp(NOW / 1000, ZONE)
    before = today - timedelta(days=1)
    month = local(today.year, today.month)
    following = local(today.year + today.month // 12, today.month % 12 + 1)
    yield {}, Range()
    yield {"year": str(today.year)}, Range(local(today.year), local(today.year + 1))
    yield {"year": "2024"}, Range(local(2024), local(2025))
    yield {"year": str(today.year), "month": str(today.month)}, Range(month, following)
    midnight = local(today.year, today.month, today.day)
    yield (
        {"from": f"{today:%Y-%m-%d}", "to": f"{today:%Y-%m-%d}"},
        Range(midnight, midnight + 86_400_000),
    )
    yield (
        {"from": f"{before:%Y-%m-%d}", "to": f"{before:%Y-%m-%d}"},
        Range(midnight - 86_400_000, midnight),
    )
    for hours in (1, 20, 60):
        # Within a day, over a midnight, and around a whole day.
        moment = NOW - hours * 3_600_000
        yield {"from": str(spec.instant(moment)), "to": str(spec.instant(NOW))}, Range(moment, NOW)


def _sat(name: str, ago: int, *, ended: bool = True) -> Visit:
    """u1 watches the first 100 s, until `ago` ms before now."""
    last = NOW - ago
    piece = Piece(1, last - 100_000, last, 0, 100_000)
    return Visit(name, "u1", LESSON, piece.start_at, last if ended else None, last, 100_000, None, (piece,))


def test_a_learner_on_two_devices_is_one_who_watches(standing: Standing, tmp_path: Path):
    runner, kept = standing
    history = History((Video(LESSON, lengths=((0, 600_000),)),), (_sat("s1", 60_000), _sat("s2", 90_000)), NOW)
    window = Range(NOW - 200_000, NOW)

    async def told() -> Any:
        await kept.live(history, Random(1))
        async with kept.serving(tmp_path) as world:
            return await Asker(world).data("/api/v1/videos/concurrent", step="200", **between(window))

    assert runner.run(told())["steps"] == [{"start_at": spec.instant(window.start), "peak": 1, "mean": 0.65}]


@pytest.mark.parametrize(("ago", "censored"), [(1_799_999, 1.0), (1_800_000, 0.0)])
def test_a_view_is_open_for_thirty_minutes(standing: Standing, tmp_path: Path, ago: int, censored: float):
    runner, kept = standing
    history = History((Video(LESSON, lengths=((0, 600_000),)),), (_sat("s1", ago, ended=False),), NOW)

    async def told() -> Any:
        await kept.live(history, Random(1))
        async with kept.serving(tmp_path) as world:
            return await Asker(world).data(f"{ENGAGEMENT}/retention", **about(LESSON))

    drawn = runner.run(told())
    assert (drawn["censored_share"], sum(drawn["exits"])) == (censored, 1.0 - censored)


# -- goldens ----------------------------------------------------------------------------------------------------------


RANGE: Final = between(Range(story.T0, story.T0 + 1_800_000))
TEN_MINUTES: Final = between(Range(story.T0, story.T0 + 600_000)) | {"step": "300"}
FULL: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "summary": (f"{ENGAGEMENT}/summary", about(story.LESSON)),
    "summary_of_a_range": (f"{ENGAGEMENT}/summary", about(story.LESSON) | RANGE),
    "retention": (f"{ENGAGEMENT}/retention", about(story.LESSON) | {"buckets": "10"}),
    "top": (f"{ENGAGEMENT}/top", {}),
    "viewers": (f"{ENGAGEMENT}/viewers", about(story.LESSON)),
    "me": (f"{ENGAGEMENT}/me", about(story.LESSON) | {"user_id": "u2"}),
    "me_completed": (f"{ENGAGEMENT}/me", about(story.LESSON) | {"user_id": "u1"}),
    "concurrent": ("/api/v1/videos/concurrent", TEN_MINUTES),
    "dashboard": ("/api/v1/analytics/dashboard", {}),
}
EMPTY: Final[dict[str, tuple[str, dict[str, str]]]] = {
    "summary_of_nothing": (f"{ENGAGEMENT}/summary", about(story.ABSENT)),
    "retention_of_nothing": (f"{ENGAGEMENT}/retention", about(story.ABSENT) | {"buckets": "10"}),
    "top_of_nothing": (f"{ENGAGEMENT}/top", {}),
    "viewers_of_nothing": (f"{ENGAGEMENT}/viewers", about(story.ABSENT)),
    "me_of_nothing": (f"{ENGAGEMENT}/me", about(story.ABSENT) | {"user_id": "u1"}),
    "concurrent_of_nothing": ("/api/v1/videos/concurrent", TEN_MINUTES),
    "dashboard_of_nothing": ("/api/v1/analytics/dashboard", {}),
}


@pytest.mark.parametrize(("history", "answers"), [(story.HISTORY, FULL), (story.NOTHING, EMPTY)], ids=["full", "empty"])
def test_answers_are_the_goldens_to_the_letter(
    standing: Standing, tmp_path: Path, history: History, answers: dict[str, tuple[str, dict[str, str]]]
):
    """Names, their order, and numbers that were worked out by hand."""
    runner, kept = standing

    async def told() -> None:
        await kept.live(history, Random(1))
        async with kept.serving(tmp_path, history.now) as world:
            asker = Asker(world)
            for name, (path, query) in answers.items():
                golden = msgspec.json.decode((GOLDENS / f"{name}.json").read_bytes())
                body = await asker.body(path, **query)
                assert body == golden, name
                assert _names(body) == _names(golden), name

    runner.run(told())


def test_every_golden_is_asked_for():
    assert {path.stem for path in GOLDENS.glob("*.json")} == FULL.keys() | EMPTY.keys()


def _names(value: Any) -> Any:
    """Keys in their order, at every depth."""
    match value:
        case dict():
            return [(name, _names(value[name])) for name in value]  # pyright: ignore[reportUnknownVariableType]
        case list():
            return list(map(_names, value))  # pyright: ignore[reportUnknownArgumentType]
        case _:
            return None


def test_the_table_has_all_rows_under_the_same_names(standing: Standing, tmp_path: Path):
    runner, kept = standing
    history = story.HISTORY

    async def told() -> str:
        await kept.live(history, Random(1))
        async with kept.serving(tmp_path, history.now) as world:
            query: dict[str, Any] = {**about(story.LESSON)}
            answer = await world.call(
                "GET", f"{ENGAGEMENT}/viewers", staff=True, headers={"Accept": "text/csv"}, **query
            )
            assert answer.headers["Content-Type"].startswith("text/csv")
            return answer.text.decode()

    rows = list(csv.DictReader(io.StringIO(runner.run(told()))))

    expected = spec.viewers(history, story.LESSON)
    assert [list(row) for row in rows] == [list(row) for row in expected]
    for row, wanted in zip(rows, expected, strict=True):
        assert {name: _number(text) for name, text in row.items()} == wanted


def _number(text: str) -> Any:
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        return text
