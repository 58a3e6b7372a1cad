"""`rollcall import`, `export`, `user` as people start them."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from server.cli import main

ROLLCALL = str(Path(sys.executable).parent / "rollcall")
LINES = [
    {
        "entity": "live_class", "id": "c1", "name": "Waves", "catalog_product_id": 15, "subject": "Physics",
        "start_at": "2024-02-07T10:00:00Z", "end_at": "2024-02-07T11:00:00Z", "updated_at": "2024-01-01T00:00:00Z",
    },
    {
        "entity": "presence", "live_class_id": "c1", "user_id": 7, "name": "রহিম", "source": "zoom",
        "joined_at": "2024-02-07T10:10:00Z", "left_at": "2024-02-07T11:10:00Z",
    },
    {"entity": "attendance", "live_class_id": "c1", "user_id": 8, "first_join": "2024-02-07T10:00:00Z",
     "presence_seconds": 60},
]  # fmt: skip


def rollcall(*arguments: str, cwd: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROLLCALL, *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def ndjson(*lines: object) -> str:
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def test_a_check_tells_line_and_field_and_touches_no_database(tmp_path: Path):
    file = tmp_path / "facts.ndjson"
    file.write_text(ndjson(LINES[0], {**LINES[1], "left_at": "2024-02-07T09:00:00Z"}))
    done = rollcall("import", str(file), "--check", "--quiet", cwd=tmp_path)
    assert done.returncode == 1
    assert "line 2, left_at: before joined_at" in done.stderr
    assert done.stdout == ""
    assert [path.name for path in tmp_path.iterdir()] == ["facts.ndjson"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["import", "nowhere.ndjson"],
        ["export", "attendance"],
        ["export", "attendance", "--room", "1", "--product", "1"],
        ["user", "erase"],
        ["user", "erase", "--user", "7"],
        ["user", "export", "--user", ""],
    ],
)
def test_what_is_asked_wrongly_is_exit_code_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    assert main(arguments) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_history_comes_in_is_listed_given_out_and_erased(tmp_path: Path):
    assert rollcall("migrate", cwd=tmp_path).returncode == 0
    done = rollcall("import", "-", cwd=tmp_path, given=ndjson(*LINES))
    assert done.returncode == 0, done.stderr
    assert "3 facts are in, 0 are not" in done.stderr

    bad = ndjson(LINES[0], {"entity": "presence"}) + ndjson({}) * 9_998 + ndjson({**LINES[1], "user_id": 9})
    done = rollcall("import", "-", "--quiet", cwd=tmp_path, given=bad)
    assert done.returncode == 1
    assert "lines 1 to 10000 were not taken in" in done.stderr
    assert "1 facts are in, 10,000 are not" in done.stderr

    listing = rollcall("export", "attendance", "--room", "c1", "--bom", cwd=tmp_path)
    assert listing.stdout.startswith("\ufeff")
    rows = {row["user_id"]: row for row in csv.DictReader(io.StringIO(listing.stdout.removeprefix("\ufeff")))}
    assert (rows["7"]["name"], rows["7"]["presence_seconds"], rows["7"]["late_by_seconds"]) == ("রহিম", "3000", "600")
    assert rows["8"]["presence_seconds"] == "60"
    assert rollcall("export", "attendance", "--room", "nowhere", cwd=tmp_path).returncode == 1

    known = rollcall("user", "export", "--user", "7", cwd=tmp_path)
    assert {json.loads(line)["table"] for line in known.stdout.splitlines()} >= {"attendance", "actors"}
    for arguments in (["user", "export", "--user", "7"], ["export", "attendance", "--room", "c1"], ["export", "xapi"]):
        full = rollcall(*arguments, "-o", "/dev/full", cwd=tmp_path)
        assert (full.returncode, full.stdout) in {(1, ""), (0, "")}
        assert "Traceback" not in full.stderr
    assert rollcall("user", "erase", "--user", "7", "--yes", cwd=tmp_path).returncode == 0
    assert rollcall("user", "export", "--user", "7", cwd=tmp_path).stdout == ""
    again = rollcall(
        "export", "attendance", "--product", "15", "--from", "2024-02-07", "--to", "2024-02-07", cwd=tmp_path
    )
    assert {row["user_id"] for row in csv.DictReader(io.StringIO(again.stdout))} == {"8", "9"}
