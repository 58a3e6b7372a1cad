"""A real asyncio loop whose time passes only when nothing is left to do: an hour of waiting costs nothing.

Timers, time-outs and tasks are asyncio's own; only the clock and the selector's patience are not. Waiting for something
that nobody will ever do raises instead of hanging.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

STEP_S: Final = 0.005
STUCK_S: Final = 2.0
"""Real seconds: what a thread may take before a loop without timers counts as stuck."""


class _Patience(selectors.DefaultSelector):
    """Looks at sockets, and lets the loop's time pass instead of waiting for them."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            ready = super().select(STUCK_S)
            if not ready:
                raise RuntimeError("everybody waits and nothing will ever happen")
            return ready
        ready = super().select(0)
        if not ready and timeout > 0:
            self.passed += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Starts at 1,000 s, so that no instant is mistaken for nothing."""

    def __init__(self) -> None:
        self._patience = _Patience()
        super().__init__(self._patience)

    def time(self) -> float:
        return 1_000.0 + self._patience.passed


async def until(condition: Callable[[], object], within_s: float = 10.0) -> None:
    """Wait for it to be true; fails where virtual time runs out."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within_s
    while not condition():
        assert loop.time() < end, f"not within {within_s} s"
        await asyncio.sleep(STEP_S)


async def passes(seconds: float) -> None:
    """Time goes by."""
    await asyncio.sleep(seconds)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run it in a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
