"""What the pages on the other doors show is what the code reads: fields, names, lines and bytes."""

import re
import time
from pathlib import Path

import pytest

from protocol import events, history, mobile
from protocol.mobile import BatchMeta, CustomEvent
from protocol.xapi.profile import VERB_IDS
from server import auth

DOCS = Path(__file__).parents[2] / "docs"
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^ {4}.*\n)+", re.MULTILINE)
IN_JSON = re.compile(r"^```json\n(.*?)^```", re.MULTILINE | re.DOTALL)


def program(page: str, names: str) -> dict[str, object]:
    """What the block that defines `names` defines."""
    (block,) = [block for block in PYTHON.findall((DOCS / page).read_text()) if names in block]
    made: dict[str, object] = {}
    exec(compile(block, page, "exec"), made)
    return made


def test_fields_of_events_that_must_be_there_are_in_bold():
    bold: dict[str, set[str]] = {}
    for row in re.findall(r"^\| `[a-z_.]+` \|.*\|.*\|.*\|.*\|$", (DOCS / "EVENTS.md").read_text(), re.MULTILINE):
        name, _, fields = [cell.strip() for cell in row.split("|")][1:4]
        if name.strip("`") in events.EVENT_NAMES and "`" in fields:
            bold.setdefault(name.strip("`"), set(re.findall(r"\*\*`(\w+)`\*\*", fields)))

    assert bold == {name: set(fields) for name, fields in events.REQUIRED.items()}


def test_examples_of_events_are_read():
    examples = [block.encode() for block in IN_JSON.findall((DOCS / "EVENTS.md").read_text())]

    assert examples
    assert [type(events.decode(example)).__name__ for example in examples] == [
        "QuizAnswered",
        "SegmentSeen",
        "ClassOver",
    ]


def test_lines_of_history_are_read():
    blocks = INDENTED.findall((DOCS / "IMPORT.md").read_text())
    lines = [" ".join(block.split()) for block in blocks if '"entity"' in block]

    assert [type(history.read_line(line.encode())).__name__ for line in lines] == ["Presence", "Attended", "Played"]


def test_verbs_of_statements_are_told_by_their_whole_names():
    told = set()
    for prefix, words in re.findall(
        r"^\| `(https?://[^`]*/)` \| (.*) \|$", (DOCS / "XAPI.md").read_text(), re.MULTILINE
    ):
        told |= {prefix + word for word in re.findall(r"`(\w+)`", words)}

    assert told == set(VERB_IDS.values())


def test_the_encoder_of_the_page_is_understood():
    made = program("MOBILE.md", "def uint")
    batch = mobile.read_batch(bytes(made["batch"]))  # type: ignore[call-overload]

    assert (batch.undecodable, batch.broken) == ([], None)
    assert [(type(one.body), one.at) for one in batch.messages] == [
        (BatchMeta, 1688634943000),
        (CustomEvent, 1688634953000),
    ]
    assert f"`{bytes(made['begun']).hex()}`" in (DOCS / "MOBILE.md").read_text()  # type: ignore[call-overload]


@pytest.mark.parametrize("name", ["রহিমা খাতুন", "Rahima"])
def test_a_token_as_the_page_makes_it_opens_the_door(name: str):
    secret = "a secret of thirty-two bytes or more"
    token = program("CLIENTS.md", "def token")["token"](secret, 27, name)  # type: ignore[operator]

    claims = auth.Verifier(secret).verify(token, time.time())

    assert (claims.user_id, claims.name, claims.role) == ("27", name, "learner")
