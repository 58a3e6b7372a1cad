"""The sample shapes of learning-api.md as golden files: every key to the letter, full and empty."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.figures import golden_story
from tests.figures.dashboards import Dashboards, serving
from tests.support.postgres import Databases

GOLDENS: Final = {
    path.stem: json.loads(path.read_text()) for path in sorted(Path(__file__).with_name("goldens").glob("*.json"))
}
THEMED: Final = {
    "<text>": re.compile(r"(?s).*\S.*"),
    "<icon>": re.compile(r"\S+"),
    "<colour>": re.compile("#[0-9a-f]{6}"),
}
"""What the theme may say in a golden's place."""

MISSPELT: Final = {
    "attendance": {"commentery": "commentary"},
    "interaction": {
        "totola_wrong_answer": "total_wrong_answer",
        "total_unaswered": "total_unanswered",
        "total_offered_quizes": "total_offered_quizzes",
    },
}


def differences(golden: Any, answer: Any, path: str = "$") -> list[str]:
    """Where an answer is not its golden."""
    if isinstance(golden, dict) and isinstance(answer, dict):
        if list(golden) != list(answer):
            return [f"{path}: {list(golden)} but {list(answer)}"]
        return [found for key in golden for found in differences(golden[key], answer[key], f"{path}.{key}")]
    if isinstance(golden, list) and isinstance(answer, list) and len(golden) == len(answer):
        pairs = enumerate(zip(golden, answer, strict=True))
        return [found for number, pair in pairs for found in differences(*pair, f"{path}[{number}]")]
    if golden in THEMED if isinstance(golden, str) else False:
        return [] if isinstance(answer, str) and THEMED[golden].fullmatch(answer) else [f"{path}: {answer!r}"]
    same = type(golden) is type(answer) and golden == answer
    return [] if same else [f"{path}: {golden!r} but {answer!r}"]


@pytest.fixture(scope="module")
def standing(embedded: Databases, tmp_path_factory: Any) -> Iterator[tuple[asyncio.Runner, Dashboards]]:
    with asyncio.Runner() as runner:
        dsn = runner.run(embedded.migrated())
        server = serving(dsn, tmp_path_factory.mktemp("dashboards"))
        yield runner, runner.run(server.__aenter__())
        runner.run(server.__aexit__(None, None, None))
        runner.run(embedded.drop(dsn))


async def told(server: Dashboards, name: str, state: str) -> Any:
    history = golden_story.FULL if state == "full" else golden_story.EMPTY
    await server.know(history, golden_story.NOW)
    golden = GOLDENS[name]
    status, answer = await server.get(golden["path"], tz=golden_story.ZONE, **golden[state]["query"])
    assert status == 200, answer
    return answer


@pytest.mark.parametrize("state", ["full", "empty"])
@pytest.mark.parametrize("name", GOLDENS)
def test_an_answer_is_its_golden(standing: tuple[asyncio.Runner, Dashboards], name: str, state: str):
    runner, server = standing

    answer = runner.run(told(server, name, state))

    assert differences(GOLDENS[name][state]["answer"], answer) == []


@pytest.mark.parametrize(
    ("name", "misspelt", "right"), [(name, *pair) for name in MISSPELT for pair in MISSPELT[name].items()]
)
def test_a_misspelt_key_stands_alone(standing: tuple[asyncio.Runner, Dashboards], name: str, misspelt: str, right: str):
    runner, server = standing

    answer = runner.run(told(server, name, "full"))

    assert misspelt in answer
    assert right not in answer


def test_details_of_times_are_given_only_when_asked_for(standing: tuple[asyncio.Runner, Dashboards]):
    runner, server = standing
    runner.run(server.know(golden_story.FULL, golden_story.NOW))

    _, answer = runner.run(server.get("/learning/times", tz=golden_story.ZONE))
    _, refused = runner.run(server.get("/learning/times", tz=golden_story.ZONE, with_details="false"))

    assert "details" not in answer
    assert "details" not in refused


def test_there_is_a_golden_for_each_endpoint():
    assert len(GOLDENS) == 8
