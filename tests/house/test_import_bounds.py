"""What an import says of a file that is wrong from its first line to its last has an end."""

from __future__ import annotations

import io

import pytest

from server.commands import FAILED, importing


def test_the_first_hundred_mistakes_are_told_and_then_how_many_more(capsys: pytest.CaptureFixture[str]):
    wrong = importing.PROBLEMS_TOLD + 5
    progress = importing._check(io.BytesIO(b"no JSON\n" * wrong), quiet=True)

    assert importing._finish(progress, "right", 0.0) == FAILED
    told = "".join(capsys.readouterr()).splitlines()
    assert sum(line.startswith("rollcall: line ") for line in told) == importing.PROBLEMS_TOLD
    assert "rollcall: 5 more lines are wrong" in told
