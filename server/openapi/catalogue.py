"""All operations of the server, and the document of them: read once at start, with the examples beside it."""

from __future__ import annotations

from importlib import resources
from typing import Any, Final

import msgspec

from server.openapi import about, collector, learning, mobile, mobile_reading, owners, rooms, videos, watching, xapi
from server.openapi.document import document
from server.openapi.words import Operation, Schema

OPERATIONS: Final[tuple[Operation, ...]] = (
    *watching.OPERATIONS,
    *learning.OPERATIONS,
    *videos.OPERATIONS,
    *rooms.OPERATIONS,
    *xapi.OPERATIONS,
    *owners.OPERATIONS,
    *collector.OPERATIONS,
    *mobile.OPERATIONS,
    *mobile_reading.OPERATIONS,
    *about.OPERATIONS,
)

TAGS: Final[dict[str, str]] = {
    "Heartbeats": "What players say. With a WebSocket it is `GET /ws`.",
    "Mobile": "Binary batches of mobile SDKs, and the app sessions made of them.",
    "xAPI": "Statements of the xAPI Video Profile.",
    "Events": "What servers and pages say happened, and its figures over time.",
    "Webhooks": "What a conference server tells.",
    "Rooms": "Classes: time-table, presence, recordings.",
    "Learning": "What a learner's dashboards read; staff may read anybody's.",
    "Video engagement": "Who watched what of recorded lessons.",
    "Exports": "Attendance as tables, watch sessions as statements.",
    "Catalog": "What the owners of products, classes, contents and enrolments tell.",
    "Learners": "A person's right to be forgotten.",
    "Server": "Health, metrics, and this document.",
}
"""All groups, in the order of the page, with what belongs to them."""

INFO: Final[Schema] = {
    "title": "Rollcall",
    "version": "1",
    "summary": "Presence and watch time for live classes and videos, to the second",
    "description": (
        "Every refusal is `{message, error, success, status_code}`; `message` names the field.\n\n"
        "Times are RFC 3339 in UTC with milliseconds, `2024-02-07T00:00:00.000Z`. An id may be sent as a number or as "
        'text, `15` and `"15"` are one; an answer gives a number where it is a canonical decimal.\n\n'
        "Some names are spelt as existing clients read them, and have no second key: `commentery` means commentary, "
        "`totola_wrong_answer` total wrong answers, `total_unaswered` total unanswered, `total_offered_quizes` total "
        "offered quizzes."
    ),
}


def operations(*, dev: bool) -> list[Operation]:
    """What a server answers; a development server has a front page."""
    return [*OPERATIONS, *(about.DEVELOPMENT if dev else ())]


def examples() -> dict[str, Any]:
    """Real answers, by operation: `readRoom.json`, and `readRoom.request.json` for what was sent."""
    folder = resources.files("server.openapi").joinpath("examples")
    return {
        file.name.removesuffix(".json"): msgspec.json.decode(file.read_bytes())
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".json")
    }


def build(*, dev: bool) -> dict[str, Any]:
    """The document."""
    return document(operations(dev=dev), examples(), info=INFO, tags=TAGS)
