"""A server as a process: its signals, its port, and the database that it brings along."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
import sys
from contextlib import AsyncExitStack

import structlog
import uvloop

from server import logs, theme
from server.app import Server
from server.config import Settings
from storage.embedded import EmbeddedError, EmbeddedPostgres, EmbeddedState

log = structlog.get_logger(__name__)


def serve(settings: Settings) -> int:
    """Run until told to stop; returns the exit code. Blocks."""
    logs.set_up(settings.log_level, settings.log_format)
    _raise_file_limit()
    try:
        return uvloop.run(_main(settings))
    except (EmbeddedError, theme.ThemeError) as error:
        sys.stderr.write(f"rollcall: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"rollcall: {settings.host}:{settings.port}: {error.strerror or error}\n")
        return 1


async def _main(settings: Settings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _ask_to_stop, stop)
    async with AsyncExitStack() as stack:
        # Taken first: a port in use must not cost a database start.
        listening = _bind(settings.host, settings.port)
        stack.callback(listening.close)
        server = Server(settings, await _database_url(settings, stack))
        return await server.run(listening, stop)


def _ask_to_stop(stop: asyncio.Event) -> None:
    if stop.is_set():
        # Asked twice: whoever waits for us has lost patience. What is acknowledged is durable anyway.
        sys.exit(1)
    stop.set()


async def _database_url(settings: Settings, stack: AsyncExitStack) -> str:
    if settings.database_url is not None:
        return settings.database_url
    embedded = EmbeddedPostgres(settings.data_dir, in_use_s=10.0)
    url = await embedded.start()
    stack.push_async_callback(embedded.stop)
    supervision = asyncio.create_task(embedded.supervise(_tell_embedded))
    stack.callback(supervision.cancel)
    return url


def _tell_embedded(state: EmbeddedState, reason: str) -> None:
    if state is EmbeddedState.DOWN:
        log.error("postgres.down", reason=reason)
    else:
        log.info("postgres.running")


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError:
        listening.close()
        raise
    return listening


def _raise_file_limit() -> None:
    """A connection is a file: take what the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
