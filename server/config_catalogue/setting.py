"""One line of the catalogue, and what several lines share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from server import config_values as values

DEV: Final = "ROLLCALL_DEV"
HOST: Final = "ROLLCALL_HOST"
PORT: Final = "ROLLCALL_PORT"
DATA_DIR: Final = "ROLLCALL_DATA_DIR"

DAY_S: Final = 86_400
BIG: Final = 2**31 - 1
DURATION: Final = values.number(0.05, DAY_S)
GRACE: Final = values.number(0, DAY_S)
COUNT: Final = values.whole(1, BIG)


class Setting(msgspec.Struct, frozen=True):
    """One line of the catalogue. `default` is text, as an operator would write it; empty means none."""

    name: str
    field: str
    parse: Callable[[str], object]
    default: str
    unit: str
    meaning: str
    secret: bool = False
