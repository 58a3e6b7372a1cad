"""A learner's pages as a client reads them: facts in PostgreSQL, answers over HTTP, equal to the slow specification."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings

import tests.machines.profiles  # noqa: F401 - loads the profile
from tests.figures import histories, spec_days
from tests.figures import learning_spec as spec
from tests.figures.dashboards import Dashboards, serving
from tests.figures.histories import Drawn
from tests.support.postgres import Databases

LOOK = {"title", "icon", "background_color", "message", "text", "colors", "commentary", "commentery", "program"}
"""Keys of the theme, and one that the specification leaves out; their presence is for the goldens."""
NO_SUBJECT = "Other"
"""Of the English theme."""


def figures(answer: Any, keep: frozenset[str] = frozenset()) -> Any:
    """Without what is the theme's."""
    if isinstance(answer, list):
        return [figures(item, keep) for item in answer]
    if isinstance(answer, dict):
        return {key: figures(value, keep) for key, value in answer.items() if key not in LOOK - keep}
    return answer


@pytest.fixture(scope="module")
def standing(
    embedded: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[asyncio.Runner, Dashboards]]:
    """A server for tests that are not coroutines, and what runs theirs."""
    folder: Path = tmp_path_factory.mktemp("dashboards")
    with asyncio.Runner() as runner:
        dsn = runner.run(embedded.migrated())
        server = serving(dsn, folder)
        yield runner, runner.run(server.__aenter__())
        runner.run(server.__aexit__(None, None, None))
        runner.run(embedded.drop(dsn))


@pytest.mark.slow
@settings(max_examples=60, phases=[Phase.reuse, Phase.generate])  # a smaller history takes minutes to find here
@given(drawn=histories.drawn(usual_rules=True))
def test_every_page_over_http_is_what_the_specification_says(standing: tuple[asyncio.Runner, Dashboards], drawn: Drawn):
    runner, server = standing
    runner.run(server.know(drawn.history, drawn.asked.now))

    runner.run(compare_ranges(server, drawn))
    runner.run(compare_classes(server, drawn))


async def compare_ranges(server: Dashboards, drawn: Drawn) -> None:
    history, asked = drawn.history, drawn.asked
    told = await page(server, "/learning/activities", asked)
    for day in told["live_class_attendance"]["histories"]:
        assert day.keys() == {"date", "total_offered_live_classes", "attended", "was_late"}
    assert told == spec.activities(history, asked)
    told = await page(server, "/learning/times", asked, with_details="true")
    assert told == spec.times(history, asked, with_details=True)
    told = await page(server, "/learning/times", asked)
    assert told == spec.times(history, asked, with_details=False)
    status, answer = await server.get("/liveclass/attendance", asked)
    assert status == 200
    wanted = spec.attendance(history, asked)
    assert figures(answer["products"], frozenset({"title"})) == wanted["products"]
    assert figures(answer) == figures(wanted)
    told = await page(server, "/liveclass/attendance-overview", asked)
    rows = spec.overview(history, asked)
    assert len(
        {(row["color"], meant["color"]) for row, meant in zip(told["overview"], rows["overview"], strict=True)}
    ) == len({meant["color"] for meant in rows["overview"]})
    assert without_color(told) == without_color(rows)
    for product in [*history.products, "unheard of"]:
        status, answer = await server.get("/liveclass/attendance/details", asked, catalog_product_id=product)
        try:
            wanted = spec.details(history, asked, product)
            assert [module["name"] or NO_SUBJECT for module in wanted["modules"]] == [
                module["name"] for module in answer["modules"]
            ]
            assert (status, nameless(answer)) == (200, nameless(wanted))
        except spec.NotFound:
            assert (status, answer["error"]) == (404, "NOT_FOUND")


async def compare_classes(server: Dashboards, drawn: Drawn) -> None:
    history, asked = drawn.history, drawn.asked
    days = {spec_days.day_of(live.start_at, asked.zone) for live in history.classes}
    for day in days or {dt.date(2024, 2, 7)}:
        status, answer = await server.get(f"/liveclass/attendance-overview/{day}", tz=asked.zone)
        assert (status, answer) == (200, spec.day_of_classes(history, asked, day))
    for live in history.classes:
        for path, meant in [("details", spec.class_details), ("interaction", spec.interaction)]:
            status, answer = await server.get(f"/liveclass/{path}", live_class_id=live.id)
            try:
                wanted = meant(history, asked, live.id)
            except spec.NotFound:
                assert (status, answer["error"]) == (404, "NOT_FOUND")
                continue
            answer.pop("class_participation_text", None)
            assert status == 200
            assert tie_less(figures(answer)) == tie_less(figures(wanted))


def tie_less(answer: Any) -> Any:
    """Segments that began at the same moment, on two devices, have no order of their own."""
    logs = answer.get("class_details", {}).get("study_logs", [])
    assert [log["start_timestamp"] for log in logs] == sorted(log["start_timestamp"] for log in logs)
    logs.sort(key=lambda log: (log["start_timestamp"], log["end_timestamp"], log["playhead_start_at"]))
    return answer


def nameless(details: Any) -> Any:
    return figures(details) | {"modules": [module | {"name": None} for module in details["modules"]]}


async def page(server: Dashboards, path: str, asked: Any, **query: Any) -> Any:
    status, answer = await server.get(path, asked, **query)
    assert status == 200, answer
    return figures(answer)


def without_color(overview: Any) -> Any:
    return overview | {"overview": [row | {"color": None} for row in overview["overview"]]}
