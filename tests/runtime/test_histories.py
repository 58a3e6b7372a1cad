"""After a death at any point: what was acknowledged is there, and what is there was taken in (promises 1 and 6).

More of them: `HISTORIES=2000 pytest tests/runtime/test_histories.py`.
"""

from __future__ import annotations

from tests.runtime.histories import live
from tests.runtime.virtual import run


def test_recovery_gives_what_was_acknowledged(seed: int):
    world = run(live(seed, moves=120))
    assert world.answers
