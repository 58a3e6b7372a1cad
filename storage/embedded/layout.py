"""What the data directory holds for the embedded PostgreSQL, whose it is, and who may use it now.

    <data-dir>/
      postgres.lock       held (flock) by the process whose database this is; holds its pid
      postgres-password   of the role `rollcall`, 0600
      postgres-socket     where the socket is, only when this directory's path is too long for one
      postgres.log        what PostgreSQL says, bounded
      postgres/           0700, the only thing given to the unprivileged account when started as root
        data/             the cluster; renamed in when complete
        socket/           0700

As root, PostgreSQL runs as `nobody`: it refuses root, and no account is made for it. It reaches its directory through
a descriptor that was opened before (`/proc/self/fd/N`), so the directories above need not be opened to anybody.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import re
import secrets
import stat
import tempfile
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

ROLE: Final = "rollcall"
DATABASE: Final = "postgres"
PORT: Final = 5432  # part of the socket's name, no TCP port is opened
SOCKET_PATH_BYTES: Final = 107  # sun_path, less its final NUL
_SOCKET_NAME: Final = f".s.PGSQL.{PORT}"
_PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9_./-]+")  # drivers take `,` and others for syntax
_UNPRIVILEGED: Final = "nobody"
_SHORT_PLACE: Final = "/tmp"  # noqa: S108 - only for a private directory made by mkdtemp


class EmbeddedError(Exception):
    """The embedded database cannot run; the message says why and what to do."""


class InUseError(EmbeddedError):
    """Another process runs the database of this data directory."""


class Account(msgspec.Struct, frozen=True):
    """The unprivileged user to drop to."""

    uid: int
    gid: int
    name: str


class Layout:
    """The paths of one data directory. Made absolute, since the process may change its directory."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.resolve()
        self.lock = self.data_dir / "postgres.lock"
        self.password = self.data_dir / "postgres-password"
        self.log = self.data_dir / "postgres.log"
        self.root = self.data_dir / "postgres"
        self.cluster = self.root / "data"
        self._socket_record = self.data_dir / "postgres-socket"

    @property
    def has_cluster(self) -> bool:
        return self.cluster.exists()

    def account(self) -> Account | None:
        """Return whom to drop to: None when we are unprivileged ourselves. An existing cluster keeps its owner.

        Raises `EmbeddedError`.
        """
        owner = self.root.stat().st_uid if self.root.exists() else None
        if os.geteuid() != 0:
            if owner not in {None, os.geteuid()}:
                raise EmbeddedError(
                    f"{self.root} belongs to user {_user_name(owner)}: "
                    "start as the user that made it (or as root), or choose another --data-dir"
                )
            return None
        try:
            entry = pwd.getpwuid(owner) if owner else pwd.getpwnam(_UNPRIVILEGED)
        except KeyError as error:
            raise EmbeddedError(
                f"PostgreSQL does not run as root, and there is no user {owner or _UNPRIVILEGED!r} to run it: "
                "start as another user, or set DATABASE_URL"
            ) from error
        return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)

    def make(self, account: Account | None) -> None:
        """Make the directories that are missing."""
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root.mkdir(mode=0o700, exist_ok=True)
        _own(self.root, account)
        (self.root / "socket").mkdir(mode=0o700, exist_ok=True)
        _own(self.root / "socket", account)

    def read_password(self) -> str:
        """Return the role's password.

        Raises `EmbeddedError` when it is lost.
        """
        try:
            return self.password.read_text("ascii").strip()
        except OSError as error:
            raise EmbeddedError(f"{self.password}: the database's password: {error.strerror}") from error

    def make_password(self) -> str:
        """Return the password, made when there is none yet. Only before the cluster is made, and under the lock."""
        if not self.password.exists():
            draft = self.password.with_suffix(".new")
            draft.unlink(missing_ok=True)
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(32) + "\n")
                file.flush()
                os.fsync(file.fileno())
            draft.rename(self.password)
        return self.read_password()

    def socket_directory(self) -> Path | None:
        """Return where the socket is or was last; None when no start has decided that yet."""
        inside = self.root / "socket"
        if _fits(inside):
            return inside
        try:
            return Path(self._socket_record.read_text("utf-8").strip())
        except OSError:
            return None

    def make_socket_directory(self, account: Account | None) -> Path:
        """Return a private directory whose path is short enough for a socket, made when needed."""
        found = self.socket_directory()
        if found is not None and _private(found, account):
            return found
        made = Path(tempfile.mkdtemp(prefix="rollcall-", dir=_SHORT_PLACE))
        _own(made, account)
        self._socket_record.write_text(f"{made}\n", "utf-8")
        return made

    @staticmethod
    def clear_socket(directory: Path) -> None:
        """Remove the socket that a killed PostgreSQL left in `directory`; none of the cluster's processes may live.

        Its lock file names a pid that may by now be another program's, or a dead child's that nobody has waited for:
        PostgreSQL then believes itself to be running.
        """
        for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
            (directory / name).unlink(missing_ok=True)

    def drop_socket_directory(self) -> None:
        """Remove what `make_socket_directory` made outside the data directory, once PostgreSQL has stopped in order."""
        try:
            Path(self._socket_record.read_text("utf-8").strip()).rmdir()
            self._socket_record.unlink()
        except OSError:  # there is none, or something is in it: the next start decides
            return

    def dsn(self, socket_directory: Path) -> str:
        """Return the address of the database, password included."""
        place = quote(str(socket_directory), safe="/")
        return f"postgresql://{ROLE}:{self.read_password()}@/{DATABASE}?host={place}&port={PORT}"


class DirectoryLock:
    """At most one process runs the database of a data directory. The kernel drops the lock with the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    @property
    def held(self) -> bool:
        return self._handle is not None

    def acquire(self) -> None:
        """Take the lock, or raise `InUseError` naming the process that has it."""
        if self._handle is not None:
            raise InUseError(f"{self._path.parent}: the database is already started here")
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(handle, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(handle)
            raise InUseError(
                f"{self._path.parent} is in use by process {holder}: stop that one, or choose another --data-dir"
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        self._handle = handle

    def release(self) -> None:
        """Give the lock back; the file stays, since removing it would let two processes hold 'the' lock."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _fits(directory: Path) -> bool:
    return (
        len(os.fsencode(directory / _SOCKET_NAME)) <= SOCKET_PATH_BYTES
        and _PLAIN_PATH.fullmatch(str(directory)) is not None
    )


def _private(directory: Path, account: Account | None) -> bool:
    """Whether a directory is there, is no link, and belongs to whom it should, to nobody else."""
    try:
        found = directory.lstat()
    except OSError:
        return False
    owner = os.geteuid() if account is None else account.uid
    return stat.S_ISDIR(found.st_mode) and found.st_uid == owner and not found.st_mode & 0o077


def _own(path: Path, account: Account | None) -> None:
    """Give a directory to the account. Never through a link: the account itself could have put one there."""
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise EmbeddedError(f"{path} is no directory: remove it")
    if account is not None and found.st_uid != account.uid:
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def _user_name(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid or 0).pw_name
    except KeyError:
        return str(uid)
