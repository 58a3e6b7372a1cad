"""`rollcall recordings`: what it prints, and what it does not take."""

from __future__ import annotations

import pytest

from server import cli
from server.commands.recordings import table
from storage.jobs import Figures, RecordingJob
from tests.support.examples import T0


def job(**changes: object) -> RecordingJob:
    fields: dict[str, object] = {
        "id": "11111111-1111-4111-8111-111111111111",
        "record_id": "r-1",
        "room_id": "room01",
        "sid": "s-1",
        "told_mb": 1.0,
        "reported_at": T0,
        "state": "pending",
        "reason": None,
        "attempts": 0,
        "fruitless": 0,
        "first_tried_at": None,
        "next_at": T0,
        "expected_bytes": None,
        "validator": None,
        "figures": None,
        "tried_for_s": 0.0,
    }
    return RecordingJob(**(fields | changes))  # type: ignore[arg-type]


def test_a_line_tells_room_record_state_size_next_try_and_reason():
    figures = Figures(1_234_567, "ab" * 32, 1000, [], thumbnail=False, thumbnail_reason="x")
    head, waiting, ready, failed = table(
        [
            job(reason="the API\nis away"),
            job(state="ready", figures=figures),
            job(state="failed", reason="too large", expected_bytes=99),
        ]
    )

    assert head.split() == ["id", "room", "record", "state", "size", "next", "try", "reason"]
    assert waiting.split()[1:4] == ["room01", "r-1", "pending"]
    assert waiting.endswith("2025-11-24 16:00:00Z  the API is away")
    assert ready.split()[3:] == ["ready", "1,234,567", "-", "-"]
    assert failed.split()[3:] == ["failed", "99", "-", "too", "large"]


def test_somebody_elses_words_do_not_steer_the_terminal():
    lines = table([job(room_id="\x1b[2Jroom", record_id="r\x07", reason="a\x1b]0;x\x07")])

    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["list", "--state", "lost"],
        ["list", "--limit", "0"],
        ["list", "--limit", "x"],
        ["retry"],
        ["retry", "r-1", "--failed"],
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_opened(arguments: list[str], tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert cli.main(["recordings", *arguments]) == 2
    assert capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
