"""PostgreSQL as a part of the server: its own child process, its data in the data directory.

No TCP port, one UNIX socket in a private directory, a random password, an unprivileged account when started as root.
One server per data directory. It dies with its parent, and what a killed parent left behind is stopped at the next
start. Linux only: it rests on `/proc` and on the parent-death signal.
"""

from __future__ import annotations

from storage.embedded.binaries import MAJOR
from storage.embedded.layout import EmbeddedError, InUseError
from storage.embedded.server import EmbeddedPostgres, EmbeddedState, has_database, preflight, running_dsn

__all__ = [
    "MAJOR",
    "EmbeddedError",
    "EmbeddedPostgres",
    "EmbeddedState",
    "InUseError",
    "has_database",
    "preflight",
    "running_dsn",
]
