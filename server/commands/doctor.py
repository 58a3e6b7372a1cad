"""`rollcall doctor`: look at everything a server rests on, and say what to do about what is wrong."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import shutil
import socket
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from server import config, devsecret
from server.commands import FAILED, OK, data_dir_option, listen_options, out, overrides
from server.config_values import database_name, without_passwords
from server.jwks import FileKeys, KeySourceError, UrlKeys
from server.messaging import topology_of
from server.recordings.media import find_tools
from server.recordings.parts import KEPT, files_of
from storage.embedded import EmbeddedError, preflight, running_dsn
from storage.files import FilesAway
from storage.probe import DatabaseFacts, ProbeError, probe_amqp, probe_database, probe_outbox, probe_redis

HELP = "check what a server needs, and say what to do"
DESCRIPTION = """
Check everything that a server with these settings rests on. Each line is ok, warn or FAIL, with what to do about it.
Changes nothing.
"""
EPILOG = """
exit codes: 0 nothing fails, though there may be warnings; 1 something fails

examples:
  rollcall doctor
  rollcall doctor --dev
"""

PYTHON_OLDEST: Final = (3, 11)
POSTGRES_OLDEST: Final = 150_000
FILES_WANTED: Final = 10_000
FREE_WANTED_BYTES: Final = 1024**3
FREE_NEEDED_BYTES: Final = 100 * 1024**2
CLOCKS_APART_S: Final = 1.0
_EARLIEST_S: Final = 1_750_000_000  # the middle of 2025: a clock before this was never set
_LATEST_S: Final = 4_102_444_800  # 2100
_ANSWER_S: Final = 2.0
_HTTP_OK: Final = 200


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


class Finding(msgspec.Struct, frozen=True):
    """One line: what was looked at, how it is, and what to do where it is not well."""

    verdict: Verdict
    subject: str
    said: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.verdict:4}  {self.subject:11}  {self.said}{f': {self.advice}' if self.advice else ''}"


def configure(parser: ArgumentParser) -> None:
    listen_options(parser)
    data_dir_option(parser)


def run(arguments: Namespace) -> int:
    return asyncio.run(_run(arguments))


async def _run(arguments: Namespace) -> int:
    worst = OK
    async for finding in _findings(overrides(arguments)):
        out(str(finding))
        if finding.verdict == Verdict.FAIL:
            worst = FAILED
    return worst


async def _findings(options: dict[str, str]) -> AsyncIterator[Finding]:
    yield check_python(sys.version_info[:3])
    yield check_open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    yield check_clock(time.time())
    try:
        settings = config.from_environment(options)
    except config.ConfigError as error:
        for problem in error.problems:
            yield Finding(Verdict.FAIL, "settings", problem)
        yield Finding(Verdict.WARN, "the rest", "not looked at", "put the settings right first")
        return
    for warning in settings.warnings:
        yield Finding(Verdict.WARN, "settings", warning)
    yield Finding(Verdict.OK, "settings", f"{len(settings.given)} set, the others at their defaults")
    yield check_data_dir(settings.data_dir)
    yield await check_signing_key(settings)
    async for finding in check_database(settings):
        yield finding
    yield await check_redis(settings.redis_url)
    yield await check_amqp(settings)
    yield await check_recordings(settings)
    yield await check_port(settings.host, settings.port)


def check_python(version: tuple[int, ...]) -> Finding:
    said = ".".join(map(str, version))
    if version < PYTHON_OLDEST:
        return Finding(Verdict.FAIL, "python", said, "3.11 or newer is needed")
    return Finding(Verdict.OK, "python", said)


def check_open_files(limit: int) -> Finding:
    if limit == resource.RLIM_INFINITY:
        return Finding(Verdict.OK, "open files", "no limit")
    if limit < FILES_WANTED:
        advice = f"each player holds one; raise it with `ulimit -n {FILES_WANTED * 10}` or LimitNOFILE="
        return Finding(Verdict.WARN, "open files", f"at most {limit}", advice)
    return Finding(Verdict.OK, "open files", f"at most {limit}, one for each player")


def check_clock(now_s: float) -> Finding:
    said = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now_s))
    if not _EARLIEST_S < now_s < _LATEST_S:
        return Finding(Verdict.FAIL, "clock", said, "set this machine's clock, and keep it right (chrony, ntpd)")
    return Finding(Verdict.OK, "clock", said)


def check_data_dir(data_dir: Path) -> Finding:
    place = data_dir.absolute()
    existing = next(parent for parent in (place, *place.parents) if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        advice = "give the server's user write access, or choose another --data-dir"
        return Finding(Verdict.FAIL, "data dir", f"{existing} is no directory that can be written", advice)
    free = shutil.disk_usage(existing).free
    said = f"{place}{'' if existing == place else ' (will be made)'}, {free // 1024**2:,} MiB free"
    if free < FREE_WANTED_BYTES:
        verdict = Verdict.FAIL if free < FREE_NEEDED_BYTES else Verdict.WARN
        return Finding(verdict, "data dir", said, "make room, or choose another --data-dir")
    return Finding(Verdict.OK, "data dir", said)


async def check_signing_key(settings: config.Settings) -> Finding:
    if settings.jwks_file is not None:
        try:
            count = len(FileKeys(settings.jwks_file).current(time.time()).keys)
        except KeySourceError as error:
            return Finding(Verdict.FAIL, "signing key", str(error), "put ROLLCALL_JWKS_FILE right")
        return Finding(Verdict.OK, "signing key", f"{count} public keys in {settings.jwks_file}")
    if settings.jwks_url is not None:
        return await _check_jwks_url(settings.jwks_url)
    if settings.jwt_secret is not None:
        return Finding(Verdict.OK, "signing key", "ROLLCALL_JWT_SECRET")
    if settings.dev:
        there = (settings.data_dir / devsecret.FILE_NAME).exists()
        return Finding(Verdict.OK, "signing key", f"development secret{'' if there else ' (will be made)'}")
    advice = "set ROLLCALL_JWT_SECRET, ROLLCALL_JWKS_FILE or ROLLCALL_JWKS_URL, or start with --dev"
    return Finding(Verdict.WARN, "signing key", "none, and `rollcall serve` will not start", advice)


async def _check_jwks_url(url: str) -> Finding:
    source = UrlKeys(url)
    await source.refresh(time.time())
    count = len(source.current(time.time()).keys)
    shown = without_passwords(url)
    if not count:
        advice = "the line above says why; put ROLLCALL_JWKS_URL right, or look at the issuer"
        return Finding(Verdict.FAIL, "signing key", f"no public key from {shown}", advice)
    return Finding(Verdict.OK, "signing key", f"{count} public keys from {shown}")


async def check_recordings(settings: config.Settings) -> Finding:
    if settings.plugnmeet_url is None:
        return Finding(Verdict.OK, "recordings", "not fetched: no ROLLCALL_PLUGNMEET_URL")
    where = settings.recordings_s3_bucket or str(settings.recordings_dir or settings.data_dir / KEPT)
    try:
        await files_of(settings).check()
    except FilesAway as error:
        return Finding(Verdict.FAIL, "recordings", f"{where}: {error}", "put the settings of recordings right")
    if not settings.plugnmeet_keys:
        advice = "set ROLLCALL_PLUGNMEET_KEYS: the first pair signs what is asked"
        return Finding(Verdict.FAIL, "recordings", "cannot be fetched without a key", advice)
    tools = await asyncio.to_thread(find_tools)
    if tools.ffmpeg is None:
        advice = "apt install ffmpeg, or .venv/bin/pip install imageio-ffmpeg"
        return Finding(Verdict.WARN, "recordings", f"kept in {where} without thumbnails: no ffmpeg", advice)
    return Finding(Verdict.OK, "recordings", f"kept in {where}, thumbnails by {tools.ffmpeg}")


async def check_database(settings: config.Settings) -> AsyncIterator[Finding]:
    if settings.database_url is not None:
        where = database_name(settings.database_url)
        try:
            facts = await probe_database(settings.database_url)
        except ProbeError as error:
            advice = "start it, or put DATABASE_URL right"
            yield Finding(Verdict.FAIL, "database", f"{where} cannot be used ({error})", advice)
            return
        for finding in judge_database(where, facts):
            yield finding
        return
    try:
        version = await asyncio.to_thread(preflight, settings.data_dir)
        dsn = await asyncio.to_thread(running_dsn, settings.data_dir)
    except EmbeddedError as error:
        yield Finding(Verdict.FAIL, "database", str(error))
        return
    if dsn is None:
        yield Finding(Verdict.OK, "database", f"embedded {version}, not running now")
        return
    try:
        for finding in judge_database(f"embedded in {settings.data_dir}", await probe_database(dsn)):
            yield finding
    except ProbeError as error:
        yield Finding(Verdict.FAIL, "database", f"embedded {version} runs, but cannot be used ({error})")


def judge_database(where: str, facts: DatabaseFacts) -> list[Finding]:
    if facts.version < POSTGRES_OLDEST:
        advice = "PostgreSQL 15 or newer is needed"
        return [Finding(Verdict.FAIL, "database", f"{where} is PostgreSQL {facts.version_text}", advice)]
    findings = [Finding(Verdict.OK, "database", f"{where}, PostgreSQL {facts.version_text}")]
    if facts.timescaledb is None:
        findings.append(Finding(Verdict.OK, "timescaledb", "not there; plain PostgreSQL gives the same answers"))
    elif facts.job_errors:
        said = f"{facts.timescaledb}, {facts.job_errors} failed jobs in the last 7 days"
        advice = "read them: SELECT * FROM timescaledb_information.job_errors"
        findings.append(Finding(Verdict.WARN, "timescaledb", said, advice))
    else:
        findings.append(Finding(Verdict.OK, "timescaledb", f"{facts.timescaledb}, no failed jobs in the last 7 days"))
    if abs(facts.clock_ahead_s) > CLOCKS_APART_S:
        said = f"the database's is {facts.clock_ahead_s:+.1f} s from ours"
        findings.append(Finding(Verdict.WARN, "clock", said, "keep both right (chrony, ntpd)"))
    return findings


async def check_redis(url: str | None) -> Finding:
    if url is None:
        return Finding(Verdict.OK, "redis", "not configured: one node needs none")
    try:
        version = await probe_redis(url)
    except ProbeError as error:
        advice = "start it or put REDIS_URL right; until then rooms of other nodes are out of reach"
        return Finding(Verdict.FAIL, "redis", f"{without_passwords(url)} cannot be used ({error})", advice)
    return Finding(Verdict.OK, "redis", f"{without_passwords(url)}, version {version}")


async def check_amqp(settings: config.Settings) -> Finding:
    url = settings.amqp_url
    if url is None:
        return await _check_outbox(settings)
    try:
        missing = await probe_amqp(url, topology_of(settings))
    except ProbeError as error:
        advice = "start it, or put it or AMQP_URL right; until then events wait in the database"
        return Finding(Verdict.FAIL, "rabbitmq", f"{without_passwords(url)} cannot be used ({error})", advice)
    if settings.amqp_passive and (absent := [each for each in missing if each.startswith("exchange")]):
        advice = "make them, or let the server do it (ROLLCALL_AMQP_PASSIVE=0)"
        return Finding(Verdict.FAIL, "rabbitmq", f"{without_passwords(url)} lacks {', '.join(absent)}", advice)
    return Finding(
        Verdict.OK, "rabbitmq", f"{without_passwords(url)}{f', {len(missing)} parts will be made' if missing else ''}"
    )


async def _check_outbox(settings: config.Settings) -> Finding:
    """Without a broker: is there anything that waits for one? A database that cannot say has its own line."""
    waiting = 0
    with suppress(ProbeError, EmbeddedError):
        dsn = settings.database_url or await asyncio.to_thread(running_dsn, settings.data_dir)
        waiting = await probe_outbox(dsn) if dsn is not None else 0
    if waiting:
        said, advice = f"not configured, and {waiting:,} events wait in the database", "set AMQP_URL to send them"
        return Finding(Verdict.WARN, "rabbitmq", said, advice)
    return Finding(Verdict.OK, "rabbitmq", "not configured: events wait in the database")


async def check_port(host: str, port: int) -> Finding:
    subject, where = "port", f"{host} port {port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return Finding(Verdict.FAIL, subject, f"{where} cannot be listened on ({error.strerror})", "choose another")
        if await _answers(host, port):
            return Finding(Verdict.OK, subject, f"{where}: a server runs there and answers /healthz")
        return Finding(Verdict.FAIL, subject, f"{where} is taken", "stop what listens there, or choose another --port")
    return Finding(Verdict.OK, subject, f"{where} is free")


async def _answers(host: str, port: int) -> bool:
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/healthz"
    timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
            return answer.status == _HTTP_OK
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
