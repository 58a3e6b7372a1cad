"""The documentation says what the code says: tables, names, examples, links and paths are compared with it."""

import json
import re
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from protocol.client_frames import ClientFrame
from protocol.codec import JSON
from protocol.codes import BYE_CLOSE, CLOSE_CODES, ERROR_CODES, ByeReason, CloseCode, ErrorCode, HttpError
from protocol.rest import ErrorEnvelope, HeartbeatsAnswer, HeartbeatsBody
from protocol.server_frames import ServerFrame
from server import cli, config, metrics, welcome
from server.commands import config as config_command

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

# Folders whose files the pages name; what stands there must be there.
NAMED_PATH = re.compile(r"`((?:actors|docs|load_tests|protocol|scripts|server|storage|tests)/[\w./-]*)")
FENCE = re.compile(r"^ *```(\w*) ?(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
LOGGED = re.compile(r"\blog\.(?:debug|info|warning|error|exception|critical)\(\s*\"([\w.]+)\"")
# One line is `log.warning("a" if ... else "b")`.
LOGGED_OR = re.compile(r"\blog\.\w+\(\s*\"[\w.]+\" if \w+ else \"([\w.]+)\"")
ROUTE = re.compile(r"\(\"(GET|PUT|POST|DELETE)\", \"(/[^\"]*)\"")


def test_the_table_of_settings_is_the_catalogue():
    table = "\n".join(config_command._markdown(config.describe(config.load({}, {}))))

    assert table in _text("docs/OPERATIONS.md"), f"put `rollcall config --markdown` there:\n\n{table}"


@pytest.mark.parametrize("page", ["docs/OPERATIONS.md", "docs/CLIENTS.md"])
def test_every_code_is_told_with_its_meaning_and_duty(page: str):
    errors = [f"| `{code.value}` | {meaning} | {duty} |" for code, (meaning, duty) in ERROR_CODES.items()]
    closes = [f"| {code.value} | {meaning} | {duty} |" for code, (meaning, duty) in CLOSE_CODES.items()]

    assert ERROR_CODES.keys() == set(ErrorCode)
    assert CLOSE_CODES.keys() == set(CloseCode)
    _assert_lines(page, [*errors, *closes])


@pytest.mark.parametrize("page", ["docs/OPERATIONS.md", "docs/CLIENTS.md"])
def test_every_farewell_and_http_error_is_named(page: str):
    text = _text(page)

    assert [reason for reason in ByeReason if f"`{reason.value}`" not in text] == []
    assert [error for error in HttpError if f"`{error.value}`" not in text] == []


def test_every_farewell_is_told_with_its_close_code():
    rows = [f"| `{reason.value}` | {code.value} |" for reason, code in BYE_CLOSE.items()]

    assert [row for row in rows if row not in _text("docs/CLIENTS.md")] == []


def test_every_metric_is_told():
    rows = []
    for entry in metrics.CATALOGUE:
        labels = ", ".join(f"`{label}`" for label in entry.labels)
        rows.append(f"| `{_shown(entry)}` | {entry.kind} | {labels} | {entry.help} |")

    _assert_lines("docs/OPERATIONS.md", rows)


def test_every_metric_that_is_named_exists():
    known = {_shown(entry) for entry in metrics.CATALOGUE}

    named = {(page, name) for page in NAMES for name in re.findall(r"`(rollcall_[a-z_]+)`", _text(page))}
    assert {(page, name) for page, name in named if name not in known} == set()


def test_every_setting_that_is_named_exists():
    known = {row.name for row in config.describe(config.load({}, {}))} | {"ROLLCALL_TEST_TIMESCALE_URL"}

    named = {(page, name) for page in NAMES for name in re.findall(r"`(ROLLCALL_[A-Z_]+[A-Z])\b", _text(page))}
    assert {(page, name) for page, name in named if name not in known} == set()


def test_every_command_is_told():
    _assert_lines("README.md", [f"| `rollcall {name}` | {module.HELP} |" for name, module in cli.COMMANDS.items()])


def test_every_command_and_option_that_is_named_exists():
    options: dict[str, str] = {}
    for name, module in cli.COMMANDS.items():
        parser = ArgumentParser()
        module.configure(parser)
        options[name] = parser.format_help()

    for page in NAMES:
        for command, rest in re.findall(r"\brollcall ([a-z]+)((?: --?[a-z][^`\n]*)?)[`\n]", _text(page)):
            if command in options:
                assert [option for option in re.findall(r"--[a-z-]+", rest) if option not in options[command]] == []


def test_every_log_event_is_told():
    events = set()
    for room in ("actors", "server", "storage"):
        for path in (ROOT / room).rglob("*.py"):
            text = path.read_text()
            events |= {*LOGGED.findall(text), *LOGGED_OR.findall(text)}

    told = _text("docs/OPERATIONS.md")
    assert events, "the pattern finds nothing any more"
    assert sorted(event for event in events if f"`{event}`" not in told) == []


def test_every_route_is_told():
    routes = ROUTE.findall((ROOT / "server/http/app.py").read_text())

    told = _text("docs/CLIENTS.md") + _text("docs/OPERATIONS.md")
    assert routes, "the pattern finds nothing any more"
    assert [f"{method} {path}" for method, path in routes if f"`{method} {_readable(path)}`" not in told] == []


def test_every_frame_has_an_example_that_decodes():
    client = _examples("client")
    server = _examples("server")

    assert {type(JSON.decode(frame)) for frame in client} == set(get_args(ClientFrame))
    assert {type(JSON.decode_server(frame)) for frame in server} == set(get_args(ServerFrame))
    assert [frame for frame in client if not _spells(JSON.encode(JSON.decode(frame)), frame)] == []
    assert [frame for frame in server if not _spells(JSON.encode(JSON.decode_server(frame)), frame)] == []


def test_the_examples_of_posts_decode():
    bodies, answers = _examples("post"), _examples("answer")

    assert bodies
    assert [body for body in bodies if not _spells(_again(body, HeartbeatsBody), body)] == []
    for answer in answers:
        kind = ErrorEnvelope if b'"success"' in answer else HeartbeatsAnswer
        assert _spells(_again(answer, kind), answer)


def test_the_examples_to_paste_are_those_of_a_development_server():
    told = welcome._text("http://127.0.0.1:8080", "ws://127.0.0.1:8080", "$LEARNER", "$STAFF")
    # Here the tokens are variables of the shell, which it puts in between double quotes only.
    told = told.replace("'Authorization: Bearer $STAFF'", '"Authorization: Bearer $STAFF"').replace("<<'END'", "<<END")
    curl = told[told.index("  curl") : told.index("\n\nJoin a class")]
    script = told[told.index("  .venv/bin/python - <<") : told.rindex("END") + 3]

    for example in (curl, script):
        unindented = re.sub(r"^  ", "", example, flags=re.MULTILINE)
        assert unindented in _text("README.md"), f"README.md lacks:\n\n{unindented}"


@pytest.mark.parametrize("page", NAMES)
def test_every_relative_link_leads_somewhere(page: str):
    place = (ROOT / page).parent
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", _without_code(_text(page))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (place / path).resolve() if path else ROOT / page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)
        elif not target.is_relative_to(ROOT):
            broken.append(f"{link} (outside)")
    assert broken == []


@pytest.mark.parametrize("page", NAMES)
def test_every_path_that_is_named_exists(page: str):
    assert [path for path in NAMED_PATH.findall(_text(page)) if not (ROOT / path.rstrip(".")).exists()] == []


def test_the_decisions_have_their_four_parts_and_are_numbered_without_gaps():
    decisions = sorted((DOCS / "decisions").glob("*.md"))

    assert [path.name[:4] for path in decisions] == [f"{number:04}" for number in range(1, len(decisions) + 1)]
    for path in decisions:
        text = path.read_text()
        assert text.startswith(f"# {path.name[:4]}. ")
        assert re.search(r"^Status: (accepted|superseded by \d{4}), \d{4}-\d{2}$", text, re.MULTILINE), path.name
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"], path.name


def _shown(entry: metrics.Entry) -> str:
    """A metric's name as Prometheus has it."""
    return f"{metrics.PREFIX}{entry.name}{'_total' if entry.kind == 'counter' else ''}"


def _text(page: str) -> str:
    return (ROOT / page).read_text()


def _assert_lines(page: str, wanted: list[str]) -> None:
    lines = set(_text(page).splitlines())
    missing = [line for line in wanted if line not in lines]
    assert not missing, f"{page} lacks:\n\n" + "\n".join(missing)


def _examples(kind: str) -> list[bytes]:
    """Each JSON value of the blocks that are marked `json KIND`, as it stands."""
    decoder, found = json.JSONDecoder(), []
    for language, marked, body in FENCE.findall(_text("docs/CLIENTS.md")):
        if (language, marked) != ("json", kind):
            continue
        rest = body.strip()
        while rest:
            end = decoder.raw_decode(rest)[1]
            found.append(rest[:end].encode())
            rest = rest[end:].strip()
    return found


def _again(data: bytes, kind: type) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(data, type=kind))


def _spells(again: bytes, example: bytes) -> bool:
    """Whether all that an example says came through: a field that nobody knows would be left out in silence."""
    return _within(json.loads(example), json.loads(again))


def _within(example: Any, again: Any) -> bool:
    if isinstance(example, dict):
        return isinstance(again, dict) and all(
            key in again and _within(value, again[key]) for key, value in example.items()
        )
    if isinstance(example, list):
        return len(example) == len(again) and all(map(_within, example, again))
    return example == again


def _readable(path: str) -> str:
    return re.sub(r"\{(\w+):[^}]*\}", r"{\1}", path)


def _without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


def _anchors(page: Path) -> set[str]:
    if page.suffix != ".md":
        return set()
    heads = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
