"""Secrets that nobody sets, kept in the data directory.

That of development mode stands there so that `rollcall token` works beside a server; that of mobile sessions so that a
restart knows its tokens.

Whoever comes first makes it: server and command line may start at the same moment, and agree.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

from server.config_values import SECRET_BYTES_MIN

FILE_NAME: Final = "dev-secret"
_RANDOM_BYTES: Final = 32


class DevSecretError(Exception):
    """The development secret cannot be read or made; the message names the file."""


def read_or_create(data_dir: Path, name: str = FILE_NAME) -> str:
    """Return the secret of `data_dir`; makes both when missing (directory 0700, file 0600).

    Raises `DevSecretError`.
    """
    path = data_dir / name
    try:
        if not path.exists():
            _create(path)
        secret = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise DevSecretError(f"{path}: the secret cannot be used: {reason}") from error
    if len(secret) < SECRET_BYTES_MIN:
        raise DevSecretError(f"{path}: the secret is cut short; remove the file to have a new one made")
    return secret


def _create(path: Path) -> None:
    """Write the whole file under another name, then link: no reader can see half of it, and the first link wins."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(_RANDOM_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
