"""The theme as dashboards use it: every band, every colour, every month, in both languages; and an operator's own."""

from pathlib import Path

import msgspec
import pytest

from actors.figures.study import TYPES
from server import theme
from server.http.learning.words import Words, band

OURS = theme.load()


@pytest.mark.parametrize(
    ("rate", "key"),
    [(100.0, "80"), (80.0, "80"), (79.99, "60"), (60.0, "60"), (59.99, "40"), (40.0, "40"), (39.99, "0"), (0.0, "0")],
)
def test_the_bands_begin_at_80_60_and_40(rate: float, key: str):
    assert band(rate, 1) == key


def test_nothing_offered_is_a_band_of_its_own():
    assert band(0.0, 0) == "none"


def test_every_band_has_its_words_and_its_look_in_every_language():
    for language in theme.LANGUAGES:
        words = Words(OURS, language)
        said = [words.commentary(rate, offered) for rate, offered in ((90, 1), (70, 1), (50, 1), (0, 1), (0, 0))]
        assert len({one.message for one in said}) == len({one.background_color for one in said}) == 5
        assert len({words.participation(rate, 1) for rate in (90, 70, 50, 0)} | {words.participation(0, 0)}) == 5
        assert len(set(words.months())) == 12
        assert words.text("module_unnamed")


def test_every_day_and_every_type_has_a_colour():
    colors = [OURS.color(f"day_{outcome}") for outcome in ("all", "some", "none", "upcoming")]
    assert len(set(colors)) == 4
    assert len({OURS.color(f"type_{name}") for name in TYPES}) == 3


def written(tmp_path: Path, value: object) -> Path:
    file = tmp_path / "theme.json"
    file.write_bytes(msgspec.json.encode(value))
    return file


def test_an_operator_replaces_single_colours_and_icons(tmp_path: Path):
    theirs = theme.load(written(tmp_path, {"colors": {"day_all": "#00FF00"}, "icons": {"quiz": "https://x/q.svg"}}))

    assert (theirs.color("day_all"), theirs.icon("quiz")) == ("#00FF00", "https://x/q.svg")
    assert theirs.color("day_none") == OURS.color("day_none")
    assert theirs.texts == OURS.texts


@pytest.mark.parametrize(
    "value",
    [
        {"colors": {"day_all": "green"}},
        {"colors": {"day_al": "#00ff00"}},
        {"icons": {"quizz": "x"}},
        {"colors": {"day_all": None}},
    ],
)
def test_a_slip_in_an_operators_theme_stops_the_start(tmp_path: Path, value: object):
    with pytest.raises(theme.ThemeError, match=r"theme\.json"):
        theme.load(written(tmp_path, value))
