"""Texts, colours and icons that people see, out of one file that an operator may replace (`ROLLCALL_THEME_FILE`).

What an operator's file leaves out is taken from the one that comes with the server, so a file of an older version
goes on working. What it adds that nobody asks for is refused: it is a slip of the pen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec

LANGUAGES: Final = ("bn", "en")
DEFAULT_LANGUAGE: Final = "bn"
_BYTES_MAX: Final = 1024 * 1024
_COLOR: Final = re.compile(r"#[0-9a-fA-F]{6}", re.ASCII)


class ThemeError(Exception):
    """The file cannot be used; the message says where and why."""


class Theme(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`texts[language][key]`, `colors[key]` as `#rrggbb`, `icons[key]` by name or address."""

    texts: dict[str, dict[str, str]] = {}
    colors: dict[str, str] = {}
    icons: dict[str, str] = {}

    def text(self, language: str, key: str) -> str:
        """A text in one of `LANGUAGES`."""
        return self.texts[language][key]

    def color(self, key: str) -> str:
        """A colour."""
        return self.colors[key]

    def icon(self, key: str) -> str:
        """An icon."""
        return self.icons[key]

    def months(self, language: str) -> list[str]:
        """The twelve names, January first."""
        return [self.texts[language][f"month_{number}"] for number in range(1, 13)]


_DECODER: Final = msgspec.json.Decoder(Theme)


def load(path: Path | None = None) -> Theme:
    """Read the theme, with the operator's file over it. Raises `ThemeError`."""
    ours = _DECODER.decode(resources.files("server.theme").joinpath("theme.json").read_bytes())
    return ours if path is None else _over(ours, _read(path), path)


def _read(path: Path) -> Theme:
    try:
        with path.open("rb") as file:
            return _DECODER.decode(file.read(_BYTES_MAX))
    except OSError as error:
        message = f"{path}: {error.strerror}"
        raise ThemeError(message) from error
    except (msgspec.DecodeError, ValueError) as error:
        message = f"{path}: {error}"
        raise ThemeError(message) from error


def _over(ours: Theme, theirs: Theme, path: Path) -> Theme:
    for language, texts in theirs.texts.items():
        _check_keys(ours.texts.get(language, {}), texts, f"text in {language!r}", path)
    _check_keys(ours.colors, theirs.colors, "color", path)
    _check_keys(ours.icons, theirs.icons, "icon", path)
    for key, color in theirs.colors.items():
        if not _COLOR.fullmatch(color):
            message = f"{path}: color {key!r} is not of the form #rrggbb: {color!r}"
            raise ThemeError(message)
    return Theme(
        {language: texts | theirs.texts.get(language, {}) for language, texts in ours.texts.items()},
        ours.colors | theirs.colors,
        ours.icons | theirs.icons,
    )


def _check_keys(ours: Mapping[str, str], theirs: Mapping[str, str], what: str, path: Path) -> None:
    unknown = sorted(theirs.keys() - ours.keys())
    if unknown:
        message = f"{path}: no such {what}: {', '.join(unknown)}"
        raise ThemeError(message)
