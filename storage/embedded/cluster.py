"""Making and checking a cluster, and the settings that it runs with."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from storage.embedded.binaries import MAJOR
from storage.embedded.layout import PORT, ROLE, Account, EmbeddedError, Layout

DRAFT: Final = "data.new"
PASSWORD_FILE: Final = "password.new"  # noqa: S105 - a file's name

_SETTINGS: Final = {
    # Reachable through the socket only.
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": str(PORT),
    "password_encryption": "scram-sha-256",
    # An acknowledgement is a promise (realtime.md, "Durability").
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # A small server's share. The journal's batches come compressed, so compressing its pages again costs and saves
    # nothing; the wheel is built without lz4.
    "shared_buffers": "128MB",
    "max_connections": "50",
    "wal_compression": "off",
    "jit": "off",
    "autovacuum": "on",
    "io_method": "sync",  # three fewer processes; nothing here scans much
    # The log goes to a file that the parent bounds. Neither statements nor key values belong into it.
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_line_prefix": "%m [%p] ",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "lc_messages": "C",
    "cluster_name": "rollcall",  # seen in `ps`
}


def check(layout: Layout) -> None:
    """Raise `EmbeddedError` when the cluster that is there cannot be one of ours."""
    try:
        version = (layout.cluster / "PG_VERSION").read_text("ascii", "replace").strip()
    except OSError as error:
        raise EmbeddedError(
            f"{layout.cluster} holds no readable database ({error.strerror} at PG_VERSION): "
            "restore it from a backup, or choose another --data-dir"
        ) from error
    if version != str(MAJOR):
        raise EmbeddedError(
            f"{layout.cluster} was made by PostgreSQL {version[:16]}, and this is PostgreSQL {MAJOR}: "
            "move the data with pg_dump of the old version, or choose another --data-dir"
        )
    layout.read_password()


def server_command(programs: Path, layout: Layout, handle: int, socket_directory: Path) -> list[str]:
    """Return the command of the server. `handle` is an open descriptor of `layout.root`, inherited by it."""
    inside = f"/proc/self/fd/{handle}"
    socket = f"{inside}/socket" if socket_directory == layout.root / "socket" else str(socket_directory)
    # Nothing reads the last one: it tells people in `ps` which directory this is.
    settings = _SETTINGS | {"unix_socket_directories": socket, "rollcall.data_dir": str(layout.data_dir)}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [str(programs / "postgres"), "-D", f"{inside}/data", *options]


def initdb_command(programs: Path, handle: int) -> list[str]:
    """Return the command that makes a cluster beside its final place."""
    inside = f"/proc/self/fd/{handle}"
    return [
        *(str(programs / "initdb"), "--pgdata", f"{inside}/{DRAFT}", "--username", ROLE),
        *("--auth", "scram-sha-256", "--pwfile", f"{inside}/{PASSWORD_FILE}", "--no-instructions"),
        # Built in since PostgreSQL 17: an upgrade of the system's C library cannot change the order of an index.
        *("--encoding", "UTF8", "--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
    ]


def clear_drafts(layout: Layout) -> None:
    """Remove what a killed first start left."""
    shutil.rmtree(layout.root / DRAFT, ignore_errors=True)
    (layout.root / PASSWORD_FILE).unlink(missing_ok=True)


def hand_password(layout: Layout, account: Account | None) -> None:
    """Put the password where `initdb` can read it, for as long as it runs."""
    handle = os.open(layout.root / PASSWORD_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        if account is not None:
            os.fchown(handle, account.uid, account.gid)
        file.write(layout.make_password() + "\n")


def move_in(layout: Layout) -> None:
    """Give the finished cluster its name: from here on it exists, and before it did not."""
    (layout.root / DRAFT).rename(layout.cluster)
    handle = os.open(layout.root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
