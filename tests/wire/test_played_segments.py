"""`played-segments` of every form against a slow, obvious computation: a set of milliseconds.

Forms that real players write are from their sources: xapi-videojs, H5P, Xerte, Paella, Torus, Marsha.
"""

import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.machines.profiles  # noqa: F401 - how hard to look
from actors.figures.xapi import prove
from actors.machines import ranges
from protocol.loose import Unfit
from protocol.xapi import profile, segments
from protocol.xapi.statements import Heard

AT = 1_700_000_000_000


# -- the slow specification --------------------------------------------------------------------------------------------


def exact(number: str) -> Fraction | None:
    """Seconds; None where nothing stands. Raises ValueError for what is no number, or negative."""
    text = number.strip()
    if not text:
        return None
    if any(char not in "0123456789.eE+-" for char in text):
        raise ValueError(text)
    value = Fraction(text)  # takes decimals and powers of ten, as JSON and JavaScript write them
    if value < 0:
        raise ValueError(text)
    return value


def milliseconds(value: Fraction) -> int:
    """Half a millisecond goes up."""
    return (2 * value * 1000 + 1).__floor__() // 2


def covered(text: str, length: int) -> set[int]:
    """The milliseconds of a content of so many that the text proves. Raises ValueError."""
    found: set[int] = set()
    for part in text.split("[,]"):
        ends = [exact(number) for number in part.split("[.]")]
        if len(ends) == 2 and None not in ends:
            start, end = (milliseconds(each) for each in ends if each is not None)
            found.update(range(start, min(end, length)))
    return found


def agree(texts: list[str], length: int) -> None:
    """A session's tellings, each a statement, against the set."""
    try:
        expected: set[int] | None = set().union(*(covered(text, length) for text in texts))
    except ValueError:
        expected = None
    try:
        told = [
            (str(number), Heard(AT + number, profile.PAUSED, marked=True, played=segments.parse(text)))
            for number, text in enumerate(texts)
        ]
    except Unfit:
        assert expected is None, texts
        return
    assert expected is not None, texts
    made = prove(told, length)
    assert made.covered_ms == len(expected), texts
    union: list[int] = []
    for one in made.proofs:
        ranges.add(union, min(one.from_ms, length), min(one.to_ms, length), len(made.proofs))
    assert {each for start, end in ranges.pairs(union) for each in range(start, end)} == expected, texts


# -- collected ---------------------------------------------------------------------------------------------------------

PROVES = [
    ("0[.]12.5[,]30[.]45", [0, 12500, 30000, 45000]),
    ("", []),
    (" ", []),
    ("[,]", []),
    ("[.]", []),
    ("0[.]12[,]", [0, 12000]),
    ("[,]0[.]12", [0, 12000]),
    ("0[.]12[,][,]15[.]18", [0, 12000, 15000, 18000]),
    ("0", []),  # it has just begun to play
    ("0[.]5[,]10", [0, 5000]),  # the same, after the first pause
    ("0[.]5[,]10[.]", [0, 5000]),
    ("[.]12", []),
    ("3[.]3", []),
    ("45[.]30", []),  # dragged back before the pause was heard
    ("0[.]5[.]9", []),  # pause and seek at once, each with its own end
    ("0[.]10[,]0[.]10", [0, 10000, 0, 10000]),  # watched twice
    ("0[.]10[,]5[.]15[,]15[.]20", [0, 10000, 5000, 15000, 15000, 20000]),
    ("0 [.] 12 [,] 30 [.] 45", [0, 12000, 30000, 45000]),
    ("0.000[.]12.000", [0, 12000]),
    ("0[.]12.4996", [0, 12500]),
    ("0.0005[.]1.00049", [1, 1000]),
    ("2.220446049250313e-16[.]1.5e1", [0, 15000]),
    ("1E1[.]+12", [10000, 12000]),
    (".5[.]1.", [500, 1000]),
    ("-0[.]4", [0, 4000]),
    ("0[.]1e30", [0, segments.MOST_MS]),  # behind the end of anything: clipped to the content
    ("1e30[.]1e31", []),
    ("00012[.]0013.50", [12000, 13500]),
    ("0[.]12[,]12[.]12[,]12[.]24", [0, 12000, 12000, 24000]),
]
WORDS = [
    "-1[.]5",
    "0[.]-5",
    "NaN[.]5",
    "0[.]NaN",
    "null[.]12",  # a start that the player never set
    "undefined[.]12",
    "0[.]Infinity",
    "abc",
    "0[.]12,5",  # a comma of some languages
    "0:00[.]0:12",
    "[[0,12]]",
    "0-12",
    "0[.]12[,]oops",
    "0x10[.]0x20",
    "1_000[.]2_000",
    "\uff11[.]\uff12",  # digits of other scripts
    "1e[.]2",
    "--1[.]2",
    "0[.]1 2",
    "1.2.3[.]4",
]


@pytest.mark.parametrize(("text", "proven"), PROVES)
def test_a_form_of_the_field_proves_what_it_says(text, proven):
    assert segments.parse(text) == proven


@pytest.mark.parametrize("text", WORDS)
def test_negative_numbers_and_words_are_refused(text):
    with pytest.raises(Unfit):
        segments.parse(text)


@pytest.mark.parametrize("text", [text for text, _ in PROVES] + WORDS)
def test_collected_forms_agree_with_the_set(text):
    agree([text], 60_000)


def test_more_parts_than_the_bound_are_refused():
    assert len(segments.parse("[,]".join(["0[.]1"] * profile.PARTS_MAX))) == 2 * profile.PARTS_MAX
    with pytest.raises(Unfit, match="parts"):
        segments.parse("[,]".join(["0[.]1"] * (profile.PARTS_MAX + 1)))


# -- generated ---------------------------------------------------------------------------------------------------------


def number(chance: random.Random) -> str:
    """A number as some player or library writes one, now and then none."""
    value = chance.choice([chance.uniform(0, 12), chance.randrange(13), chance.randrange(25) / 2, 0.0, 10.0])
    usual = f"{value:.3f}".rstrip("0").rstrip(".")
    spellings = [str(value), f"{value:.0f}", f"{value:e}", f"{value:.6f}", f" {value:.1f} ", f"{value:.4f}5"]
    odd = chance.choice(["", "+1", "-0", ".5", "7.", "9e-1", "1e3", "99"])
    wrong = chance.choice(["-1", "NaN", "null", "x", "1,5"])
    return chance.choices([usual, *spellings, odd, wrong], [8, *[1] * len(spellings), 1, 0.05])[0]


def part(chance: random.Random) -> str:
    ends = chance.choices([0, 1, 2, 3], [1, 2, 30, 1])[0]
    return "[.]".join(number(chance) for _ in range(ends))


def field(chance: random.Random) -> str:
    return "[,]".join(part(chance) for _ in range(chance.choice([0, 1, 1, 2, 3, 5, 12])))


def session(chance: random.Random) -> list[str]:
    """What one player tells in the course of a session."""
    if chance.random() < 0.5:
        return [field(chance)]
    parts = [part(chance) for _ in range(chance.randrange(1, 6))]
    so_far = ["[,]".join(parts[:count]) for count in range(1, len(parts) + 1)]
    deltas = parts
    told = chance.choice([so_far, deltas, [*so_far, field(chance)]])
    return chance.sample(told, len(told))


@pytest.mark.parametrize("seed", range(4))
def test_generated_sessions_agree_with_the_set(seed):
    chance = random.Random(seed)
    for _ in range(120):
        agree(session(chance), chance.choice([1, 5_000, 12_000]))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_many_more_generated_sessions_agree_with_the_set(seed):
    chance = random.Random(seed)
    for _ in range(2_500):
        agree(session(chance), chance.choice([1, 5_000, 9_999, 12_000]))


@given(st.text(alphabet="0123456789.[],-+eE Nax", max_size=30))
def test_any_text_agrees_with_the_set_or_is_refused_by_both(text):
    agree([text], 2_000)


@given(st.text(max_size=40))
def test_garbage_is_refused_and_nothing_else(text):
    try:
        proven = segments.parse(text)
    except Unfit:
        return
    assert all(0 <= each <= segments.MOST_MS for each in proven)


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, 10**6)), max_size=6))
def test_what_is_written_is_read_as_it_was(pairs):
    flat = [edge for start, size in pairs for edge in (start, start + size)]
    assert segments.parse(segments.write(flat)) == flat
