"""Watch sessions of ours as statements of the Video Profile: one where it began, one where it ended.

A statement's id follows from its content: the same session gives the same statements, whoever asks, and one whose facts
have changed since gives others.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote
from uuid import UUID, uuid5

import msgspec

from protocol.rest import rfc3339
from protocol.xapi import profile, segments

_NAMESPACE: Final = UUID("5b0f6a56-6c8f-5d0c-9a3e-3f6f2b9d7c11")
Json = dict[str, Any]
_encode: Final = msgspec.json.Encoder().encode


class Told(msgspec.Struct, frozen=True):
    """A session that is over. Times Unix ms, playheads ms; `played` flat, in the order of play."""

    session_id: str
    user_id: str
    kind: str
    content_id: str
    title: str | None
    started_at: int
    ended_at: int
    position: int
    length: int | None
    covered: int
    completed: bool
    played: list[int]


def object_id(kind: str, content_id: str) -> str:
    """What a content is called in what we write."""
    return f"{profile.OWN_OBJECTS}{quote(kind, safe='')}:{quote(content_id, safe='')}"


def lines(told: Told, home_page: str) -> bytes:
    """The session as NDJSON."""
    statements = [_statement(told, home_page, profile.INITIALIZED, told.started_at, {})]
    if told.completed:
        statements.append(_statement(told, home_page, profile.COMPLETED, told.ended_at, _result(told)))
    statements.append(_statement(told, home_page, profile.TERMINATED, told.ended_at, _result(told)))
    return b"".join(_encode(each) + b"\n" for each in statements)


def _result(told: Told) -> Json:
    extensions: Json = {profile.TIME: told.position / 1000, profile.PLAYED_SEGMENTS: segments.write(told.played)}
    if told.length:
        extensions[profile.PROGRESS] = min(1000, told.covered * 1000 // told.length) / 1000
    spent = f"PT{segments.seconds(told.ended_at - told.started_at)}S"
    return {"completion": told.completed, "duration": spent, "extensions": extensions}


def _statement(told: Told, home_page: str, verb: int, at: int, result: Json) -> Json:
    verb_id = profile.VERB_IDS[verb]
    definition: Json = {"type": profile.VIDEO_TYPE}
    if told.title is not None:
        definition["name"] = {"und": told.title}
    extensions: Json = {profile.SESSION: told.session_id}
    if told.length:
        extensions[profile.LENGTH] = told.length / 1000
    content: Json = {
        "actor": {"objectType": "Agent", "account": {"homePage": home_page, "name": told.user_id}},
        "verb": {"id": verb_id, "display": {"en-US": verb_id.rpartition("/")[2]}},
        "object": {
            "objectType": "Activity",
            "id": object_id(told.kind, told.content_id),
            "definition": definition,
        },
        "context": {
            "registration": told.session_id,
            "contextActivities": {"category": [{"id": profile.VIDEO_CATEGORY}]},
            "extensions": extensions,
        },
        "timestamp": rfc3339(at),
        "version": "1.0.3",
    }
    if result:
        content["result"] = result
    return {"id": str(uuid5(_NAMESPACE, _encode(content).decode())), **content}
