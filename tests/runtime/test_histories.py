"""After a death at any point: what was acknowledged is there, and what is there was taken in (promises 1 and 6)."""

from __future__ import annotations

import pytest

from tests.runtime.histories import live
from tests.runtime.virtual import run


@pytest.mark.parametrize("seed", range(40))
def test_recovery_gives_what_was_acknowledged(seed: int):
    world = run(live(seed, moves=150))
    assert world.answers
