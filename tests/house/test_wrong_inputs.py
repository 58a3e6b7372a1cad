"""What people mistype is told in a line that says what to do: no traceback, and nothing is made."""

import os
from argparse import Namespace
from pathlib import Path

import pytest

from server import cli, config
from server.cli import COMMANDS
from server.commands import CommandError, exporting

ACTIONS = [
    ("recordings", "list"),
    ("recordings", "retry"),
    ("outbox", "status"),
    ("outbox", "retry"),
    ("keys", "create"),
    ("keys", "list"),
    ("keys", "revoke"),
    ("export", "attendance"),
    ("export", "xapi"),
    ("user", "export"),
    ("user", "erase"),
]
ALL = [(), *((name,) for name in COMMANDS), *ACTIONS]


def run(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = cli.main(arguments)
    read = capsys.readouterr()
    assert read.out == ""
    return code, read.err


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without anything, and an environment without settings."""
    for name in [name for name in os.environ if name.startswith("ROLLCALL_") or name in {"DATABASE_URL", "PORT"}]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("token", "--user", ""), "--user must have from 1 to 128 characters"),
        (("export", "attendance", "--room", "7", "--from", "2024-02-01"), "--from and --to go with --product"),
        (("export", "attendance", "--room", "7", "--to", "2024-02-01"), "--from and --to go with --product"),
        (("keys", "create", "--name", "a", "--right", "collect", "--sample-rate", "5"), "goes with --right mobile"),
        (("keys", "create", "--name", "a", "--right", "mobile", "--xapi-home-page", "http://a"), "with --right xapi"),
        (("simulate", "--url", "ftp://x"), "must begin with http:// or https://"),
        (("simulate", "--history", "x", "--share", "5"), "must be at most 1"),
        (("import", "."), ".: is a directory"),
        (("import", "none.ndjson"), "none.ndjson: no such file"),
        (("user", "erase", "--user", "x" * 129), "--user must have from 1 to 128 characters"),
        (("recordings", "retry"), "name one recording, or give --failed"),
    ],
)
def test_what_is_asked_wrongly_is_named_and_nothing_is_made(
    arguments: tuple[str, ...], said: str, elsewhere: Path, capsys: pytest.CaptureFixture[str]
):
    code, told = run(arguments, capsys)

    assert code == 2
    assert said in told
    assert not any(elsewhere.iterdir())


def test_a_packed_file_is_told_how_to_be_unpacked(elsewhere: Path, capsys: pytest.CaptureFixture[str]):
    (elsewhere / "year.ndjson.gz").write_bytes(b"\x1f\x8b\x08\x00")

    code, told = run(("import", "year.ndjson.gz"), capsys)

    assert (code, told) == (2, "rollcall: year.ndjson.gz is packed: zcat year.ndjson.gz | rollcall import -\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("keys", "list"),
        ("outbox", "status"),
        ("recordings", "list"),
        ("user", "export", "--user", "27"),
        ("export", "xapi"),
    ],
    ids=" ".join,
)
def test_a_mistyped_data_directory_is_told_and_not_made(
    arguments: tuple[str, ...], elsewhere: Path, capsys: pytest.CaptureFixture[str]
):
    code, told = run((*arguments, "--data-dir", "rolcall"), capsys)

    assert code == 1
    assert told == "rollcall: rolcall holds no database: is --data-dir right? A server makes one at its first start\n"
    assert not any(elsewhere.iterdir())


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("yesterday", None, "--from: expected a date such as"),
        ("2024-02-30", None, "--from: expected a day of the calendar"),
        ("2024-02-03", "2024-02-01", "--to: expected a time after --from"),
        ("2020-01-01", "2024-02-01", "--to: expected a range of at most 400 days"),
    ],
)
def test_a_range_that_is_none_is_told_by_its_options(start: str, end: str | None, said: str):
    arguments = Namespace(start=start, end=end)
    with pytest.raises(CommandError, match=said):
        exporting._span(config.load({}, {}), arguments)


@pytest.mark.parametrize("arguments", ALL, ids=" ".join)
def test_every_command_and_action_says_what_it_does(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]):
    assert cli.main([*arguments, "--help"]) == 0

    lines = capsys.readouterr().out.splitlines()
    said = lines[lines.index("") + 1 :]
    assert said[0][:1].isupper()
    assert "".join(said[: said.index("")]).endswith(".")
