"""Texts that people read, out of one file that an operator may replace (`ROLLCALL_THEME_FILE`).

What an operator's file leaves out is taken from the one that comes with the server, so a file of an older version
goes on working. What it adds that nobody asks for is refused: it is a slip of the pen.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Final

import msgspec

LANGUAGES: Final = ("bn", "en")
DEFAULT_LANGUAGE: Final = "bn"
_BYTES_MAX: Final = 1024 * 1024


class ThemeError(Exception):
    """The file cannot be used; the message says where and why."""


class Theme(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`texts[language][key]`."""

    texts: dict[str, dict[str, str]]

    def text(self, language: str, key: str) -> str:
        """A text in one of `LANGUAGES`."""
        return self.texts[language][key]


_DECODER: Final = msgspec.json.Decoder(Theme)


def load(path: Path | None = None) -> Theme:
    """Read the theme, with the operator's file over it. Raises `ThemeError`."""
    ours = _DECODER.decode(resources.files("server.theme").joinpath("theme.json").read_bytes())
    return ours if path is None else _over(ours, _read(path), path)


def _read(path: Path) -> Theme:
    try:
        with path.open("rb") as file:
            return _DECODER.decode(file.read(_BYTES_MAX))
    except (OSError, msgspec.DecodeError, ValueError) as error:
        message = f"{path}: {error}"
        raise ThemeError(message) from error


def _over(ours: Theme, theirs: Theme, path: Path) -> Theme:
    for language, texts in theirs.texts.items():
        unknown = sorted(texts.keys() - ours.texts.get(language, {}).keys())
        if unknown:
            message = f"{path}: no such text in {language!r}: {', '.join(unknown)}"
            raise ThemeError(message)
    return Theme({language: texts | theirs.texts.get(language, {}) for language, texts in ours.texts.items()})
