"""What the theme says of a figure: bands of commentary, the look of a card (learning-api.md, endpoint 1). Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from protocol.learning import Commentary
from server.theme import Theme

BANDS: Final = (80, 60, 40, 0)
"""From so many percent on; each is a key of the theme."""
NONE: Final = "none"
"""The band of who was offered nothing."""


class Card(msgspec.Struct, frozen=True):
    """How a part of a page looks."""

    title: str
    icon: str
    background_color: str


class Words(msgspec.Struct, frozen=True):
    """The theme in one language."""

    theme: Theme
    language: str

    def text(self, key: str) -> str:
        """A text."""
        return self.theme.text(self.language, key)

    def months(self) -> list[str]:
        """The twelve names."""
        return self.theme.months(self.language)

    def commentary(self, rate: float, offered: int) -> Commentary:
        """What to say of an attendance rate."""
        key = f"commentary_{band(rate, offered)}"
        return Commentary(self.text(key), self.theme.color(key), self.theme.icon(key))

    def participation(self, rate: float, offered: int) -> str:
        """What to say of a participation rate."""
        return self.text(f"participation_{band(rate, offered)}")

    def card(self, key: str) -> Card:
        """A card by its key."""
        return Card(self.text(f"{key}_title"), self.theme.icon(key), self.theme.color(key))


def band(rate: float, offered: int) -> str:
    """The key's end: `80`, `60`, `40`, `0`, or `none`."""
    if not offered:
        return NONE
    return str(next(floor for floor in BANDS if rate >= floor))
