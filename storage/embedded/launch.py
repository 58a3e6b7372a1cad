"""Starts a program as the child that PostgreSQL has to be, then becomes it.

    python -I -S launch.py UID GID PARENT DEATH_SIGNAL PROGRAM ARGUMENT...

UID and GID are -1 where nothing is to be dropped. A script of its own, and not a `preexec_fn`: Python code between
fork and exec can deadlock in a process with threads, and uvloop's children run none. It costs 15 ms.

The order matters: the kernel forgets the death signal when the user changes, so it is asked for afterwards, and the
parent may have died before it was asked for. With it, a server killed by `kill -9` takes its database along, by a
fast shutdown. Where it does not work, the next start finds the orphan (`orphans.py`).
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_ORPHANED: Final = 3


def main(arguments: list[str]) -> None:
    uid, gid, parent, death_signal = map(int, arguments[:4])
    program = arguments[4:]
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    os.umask(0o077)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(_ORPHANED)
    os.execv(program[0], program)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
