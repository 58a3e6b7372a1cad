"""The names that the xAPI Video Profile 1.0 gives to things, and the bounds of what is taken in."""

from __future__ import annotations

import re
from typing import Final

STATEMENTS_MAX: Final = 5_000
BODY_BYTES: Final = 8 * 1024 * 1024
STATEMENT_BYTES: Final = 256 * 1024
IRI_CHARS: Final = 512
PARTS_MAX: Final = 2_000
"""Parts of one `played-segments`."""
AHEAD_MS: Final = 5 * 60 * 1000
"""How far a statement's `timestamp` may lie ahead."""

VERSION_HEADER: Final = "X-Experience-API-Version"
THROUGH_HEADER: Final = "X-Experience-API-Consistent-Through"
VERSIONS: Final = ("1.0.3", "2.0.0")
"""What is spoken, the newest patch of each: what is read of a statement is the same in both."""
_VERSION: Final = re.compile(r"(1|2)\.0(?:\.[0-9]{1,4})?", re.ASCII)

INITIALIZED: Final = 0
PLAYED: Final = 1
PAUSED: Final = 2
SEEKED: Final = 3
COMPLETED: Final = 4
TERMINATED: Final = 5
INTERACTED: Final = 6

_ADL: Final = "http://adlnet.gov/expapi/verbs/"
_VIDEO_VERBS: Final = "https://w3id.org/xapi/video/verbs/"
VERB_IDS: Final = {
    INITIALIZED: f"{_ADL}initialized",
    PLAYED: f"{_VIDEO_VERBS}played",
    PAUSED: f"{_VIDEO_VERBS}paused",
    SEEKED: f"{_VIDEO_VERBS}seeked",
    COMPLETED: f"{_ADL}completed",
    TERMINATED: f"{_ADL}terminated",
    INTERACTED: f"{_ADL}interacted",
}
VERBS: Final = {verb_id: verb for verb, verb_id in VERB_IDS.items()}
VIDEO_ONLY: Final = frozenset({PLAYED, PAUSED, SEEKED})
"""The others are said of courses and pages too."""

VIDEO_TYPE: Final = "https://w3id.org/xapi/video/activity-type/video"
VIDEO_CATEGORY: Final = "https://w3id.org/xapi/video"
EXTENSIONS: Final = "https://w3id.org/xapi/video/extensions/"
PLAYED_SEGMENTS: Final = f"{EXTENSIONS}played-segments"
PROGRESS: Final = f"{EXTENSIONS}progress"
TIME: Final = f"{EXTENSIONS}time"
TIME_FROM: Final = f"{EXTENSIONS}time-from"
TIME_TO: Final = f"{EXTENSIONS}time-to"
LENGTH: Final = f"{EXTENSIONS}length"
SPEED: Final = f"{EXTENSIONS}speed"
SESSION: Final = f"{EXTENSIONS}session-id"

OWN_OBJECTS: Final = "urn:rollcall:content:"
"""What objects of exported statements begin with; statements about them are taken and passed over."""


def spoken(version: str | None) -> str | None:
    """The version to answer in, for what a client's header says; None where there is no such version here."""
    found = _VERSION.fullmatch((version or "").strip())
    if found is None:
        return None
    return VERSIONS[0] if found[1] == "1" else VERSIONS[1]
