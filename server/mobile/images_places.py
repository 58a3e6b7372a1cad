"""How many uploads of images are at it: in all, from one address, of one session.

A body may take two minutes to come. So nobody may have all places: neither a session, whose app sends one upload after
the other, nor an address, behind which there may be a school.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from server.http.answers import Problem, unavailable

PLACES: Final = 64
"""Uploads at once: 16 MiB of memory, and 640 MiB of disk while they come."""
SESSION_PLACES: Final = 4
ADDRESS_SHARE: Final = 2
"""An address has one of so many parts of all places."""


class Places:
    """One a process."""

    def __init__(self, places: int = PLACES) -> None:
        self._places = places
        self._address_places = max(1, places // ADDRESS_SHARE)
        self._sessions: Counter[int] = Counter()
        self._addresses: Counter[str] = Counter()
        self.taken = 0

    @contextmanager
    def hold(self, session_id: int, address: str) -> Generator[None]:
        """Have one. Raises `Problem` (503) where there is none."""
        problem = self._full(session_id, address)
        if problem is not None:
            raise problem
        self.taken += 1
        self._sessions[session_id] += 1
        self._addresses[address] += 1
        try:
            yield
        finally:
            self.taken -= 1
            self._sessions -= Counter((session_id,))
            self._addresses -= Counter((address,))

    def _full(self, session_id: int, address: str) -> Problem | None:
        if self._sessions[session_id] >= SESSION_PLACES:
            return unavailable("too many images of this session are coming in: send one upload after the other")
        if self.taken >= self._places or self._addresses[address] >= self._address_places:
            return unavailable("too many images are coming in: try again")
        return None
