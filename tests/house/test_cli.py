"""`rollcall` as people start it: the installed command, in a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from server.auth import Verifier
from server.commands.doctor import Verdict, check_clock, check_data_dir, check_open_files, check_python, judge_database
from server.commands.token import parse_ttl
from server.config_catalogue import BY_NAME
from server.devsecret import DevSecretError, read_or_create
from storage.embedded import EmbeddedPostgres
from storage.probe import DatabaseFacts

pytestmark = pytest.mark.slow  # each starts the program

ROLLCALL = str(Path(sys.executable).parent / "rollcall")
KEY = "a secret of more than thirty-two bytes"


def rollcall(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROLLCALL, *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_one_clear_line(text: str) -> bool:
    return text.startswith("rollcall: ") and text.count("\n") == 1


def test_a_token_is_alone_on_standard_output_and_works_before_the_first_start(tmp_path: Path):
    done = rollcall("token", "--user", "27", "--role", "staff", "--ttl", "15m", "--data-dir", "new/data", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1
    verifier = Verifier(read_or_create(tmp_path / "new" / "data"))
    claims = verifier.verify(done.stdout.strip(), time.time())
    assert (claims.user_id, claims.role) == ("27", "staff")
    assert 890 < claims.expires_at_ms / 1000 - time.time() <= 901


def test_a_thousand_tokens_come_one_a_line_in_order(tmp_path: Path):
    done = rollcall("token", "--count", "1000", "--prefix", "u", "--data-dir", "d", cwd=tmp_path)
    verifier = Verifier(read_or_create(tmp_path / "d"))
    users = [verifier.verify(line, time.time()).user_id for line in done.stdout.splitlines()]
    assert users == [f"u{number}" for number in range(1, 1001)]


def test_the_configured_secret_signs_with_issuer_audience_and_claims(tmp_path: Path):
    arguments = ("token", "--user", "ক", "--name", "Ayesha", "--room", "r1", "--room", "r2", "--content", "lesson:a:b")
    named = {"ROLLCALL_JWT_ISSUER": "school", "ROLLCALL_JWT_AUDIENCE": "rollcall"}
    done = rollcall(*arguments, cwd=tmp_path, ROLLCALL_JWT_SECRET=KEY, PYTHONUTF8="1", **named)
    claims = Verifier(KEY, issuer="school", audience="rollcall").verify(done.stdout.strip(), time.time())
    assert (claims.user_id, claims.name) == ("ক", "Ayesha")
    assert claims.rooms == frozenset({"r1", "r2"})
    assert claims.contents == frozenset({("lesson", "a:b")})
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("fly",),
        ("token",),
        ("token", "--user", ""),
        ("token", "--user", "x" * 129),
        ("token", "--user", "1", "--ttl", "soon"),
        ("token", "--user", "1", "--ttl", "0"),
        ("token", "--user", "1", "--role", "king"),
        ("token", "--user", "1", "--prefix", "u"),
        ("token", "--count", "5"),
        ("token", "--count", "0", "--prefix", "u"),
        ("token", "--user", "1", "--count", "5"),
        ("serve", "--port", "eighty", "--dev"),
        ("serve", "--dev", "--host", "0.0.0.0"),
        ("serve",),
        ("replay",),
        ("replay", "--room", "1", "--session", "2"),
        ("simulate", "--learners", "0"),
        ("simulate", "--speed", "-1"),
    ],
)
def test_what_is_asked_wrongly_ends_with_2_and_no_traceback(arguments: tuple[str, ...], tmp_path: Path):
    done = rollcall(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_every_mistake_in_the_settings_gets_its_line(tmp_path: Path):
    done = rollcall("config", cwd=tmp_path, ROLLCALL_PORT="x", ROLLCALL_DEV="perhaps")
    assert done.returncode == 2
    assert [line.split(":")[1].strip() for line in done.stderr.splitlines()] == ["ROLLCALL_PORT", "ROLLCALL_DEV"]


def test_config_prints_every_setting_and_no_secret(tmp_path: Path):
    given = {"ROLLCALL_JWT_SECRET": KEY, "DATABASE_URL": "postgresql://u:hunter2@h/db", "ROLLCALL_PROT": "1"}
    done = rollcall("config", cwd=tmp_path, **given)
    assert done.returncode == 0
    assert all(name in done.stdout for name in BY_NAME)
    assert "hunter2" not in done.stdout
    assert KEY not in done.stdout
    assert "ROLLCALL_PORT" in done.stderr  # what ROLLCALL_PROT was probably meant to be
    table = rollcall("config", "--markdown", cwd=tmp_path)
    assert all(f"| `{name}` |" in table.stdout for name in BY_NAME)


@pytest.mark.parametrize("command", ["serve", "migrate", "config", "token", "simulate", "replay", "doctor"])
def test_every_command_explains_itself(command: str, tmp_path: Path):
    done = rollcall(command, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "--data-dir" in done.stdout
    assert not any(tmp_path.iterdir())


def test_a_data_directory_that_cannot_be_made_is_one_clear_line(tmp_path: Path):
    (tmp_path / "file").touch()
    done = rollcall("token", "--user", "1", "--data-dir", "file/data", cwd=tmp_path)
    assert done.returncode == 1
    assert is_one_clear_line(done.stderr)


def test_a_reader_that_goes_away_is_no_fault_to_talk_about(tmp_path: Path):
    command = [ROLLCALL, "token", "--count", "20000", "--prefix", "u", "--data-dir", "d"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == ""


def test_ctrl_c_ends_with_130_and_no_traceback(tmp_path: Path):
    command = [ROLLCALL, "token", "--count", "1000000", "--prefix", "u", "--data-dir", "d"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert is_one_clear_line(said)


def test_doctor_finds_a_bare_machine_fit_for_development_and_changes_nothing(tmp_path: Path):
    done = rollcall("doctor", "--dev", "--data-dir", "d", "--port", str(free_port()), cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    subjects = {line[6:17].strip() for line in done.stdout.splitlines()}
    assert subjects >= {"python", "open files", "clock", "settings", "data dir", "signing key", "database", "redis"}
    assert "FAIL" not in done.stdout
    assert not any(tmp_path.iterdir())


def test_doctor_names_each_service_that_cannot_be_reached_and_no_password(tmp_path: Path):
    closed = free_port()
    services = {
        "DATABASE_URL": f"postgresql://u:hunter2@127.0.0.1:{closed}/db",
        "REDIS_URL": f"redis://:hunter2@127.0.0.1:{closed}",
        "AMQP_URL": f"amqp://u:hunter2@127.0.0.1:{closed}/",
        "ROLLCALL_JWKS_FILE": "missing.json",
    }
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = rollcall("doctor", "--port", port, cwd=tmp_path, **services)
    assert done.returncode == 1
    failed = [line[6:17].strip() for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert failed == ["signing key", "database", "redis", "rabbitmq", "port"]
    assert "hunter2" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


async def test_doctor_looks_into_a_database_that_runs(tmp_path: Path):
    database = EmbeddedPostgres(tmp_path / "d")
    dsn = await database.start()
    try:
        beside = rollcall("doctor", "--dev", "--data-dir", "d", "--port", str(free_port()), cwd=tmp_path)
        named = rollcall("doctor", "--dev", "--port", str(free_port()), cwd=tmp_path, DATABASE_URL=dsn)
    finally:
        await database.stop()
    for done in (beside, named):
        assert done.returncode == 0, done.stdout
        assert "PostgreSQL 18" in done.stdout
        assert "ok    timescaledb" in done.stdout


def test_doctor_reports_wrong_settings_and_goes_on_with_what_needs_none(tmp_path: Path):
    done = rollcall("doctor", cwd=tmp_path, ROLLCALL_PORT="x")
    assert done.returncode == 1
    assert "ok    python" in done.stdout
    assert "ROLLCALL_PORT" in done.stdout


def test_doctor_judges_what_it_cannot_be_shown_here(tmp_path: Path):
    assert check_python((3, 10, 9)).verdict == Verdict.FAIL
    assert check_open_files(1024).verdict == Verdict.WARN
    assert check_clock(0).verdict == Verdict.FAIL
    (tmp_path / "file").touch()
    assert check_data_dir(tmp_path / "file").verdict == Verdict.FAIL
    fit = DatabaseFacts(150004, "15.4", "2.28.0", 0, 0.0)
    old = DatabaseFacts(140010, "14.10", None, None, 0.0)
    failing = DatabaseFacts(150004, "15.4", "2.28.0", 3, 2.5)
    assert [finding.verdict for finding in judge_database("h", fit)] == [Verdict.OK, Verdict.OK]
    assert [finding.verdict for finding in judge_database("h", old)] == [Verdict.FAIL]
    assert [finding.verdict for finding in judge_database("h", failing)] == [Verdict.OK, Verdict.WARN, Verdict.WARN]


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("1.5h", 5400)])
def test_a_time_to_live_is_seconds_or_has_a_unit(text: str, seconds: float):
    assert parse_ttl(text) == seconds


def test_everybody_who_asks_at_once_gets_the_same_development_secret(tmp_path: Path):
    with ThreadPoolExecutor(32) as pool:
        secrets = set(pool.map(lambda _: read_or_create(tmp_path / "d"), range(200)))
    assert len(secrets) == 1
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["dev-secret"]
    assert (tmp_path / "d" / "dev-secret").stat().st_mode & 0o777 == 0o600


def test_a_development_secret_that_was_cut_short_is_refused(tmp_path: Path):
    (tmp_path / "dev-secret").write_text("short\n")
    with pytest.raises(DevSecretError, match="cut short"):
        read_or_create(tmp_path)


def test_a_year_of_history_is_written_in_the_form_that_import_reads(tmp_path: Path):
    told = rollcall("simulate", "--history", "year.ndjson", "--share", "0.0005", "--seed", "3", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    again = rollcall("simulate", "--history", "-", "--share", "0.0005", "--seed", "3", cwd=tmp_path)
    assert again.stdout == (tmp_path / "year.ndjson").read_text()
    read = rollcall("import", "--check", "year.ndjson", cwd=tmp_path)
    assert read.returncode == 0, read.stderr


def test_history_that_cannot_be_written_is_one_clear_line(tmp_path: Path):
    done = rollcall("simulate", "--history", "missing/year.ndjson", cwd=tmp_path)
    assert (done.returncode, is_one_clear_line(done.stderr)) == (1, True)
