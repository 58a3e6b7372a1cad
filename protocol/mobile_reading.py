"""Answers about app sessions of mobile SDKs, for staff (mobile-ingest.md, reading 11).

Ids of sessions are decimal strings: they go beyond what a JSON number holds everywhere. Times are RFC 3339 text in UTC.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class MobileSessionItem(msgspec.Struct, frozen=True):
    """An app session. `user_id`: the learner who is credited; null is nobody. `ended_at`: null while it lasts."""

    session_id: str
    project: str
    user_id: str | None
    user_uuid: str
    started_at: str
    ended_at: str | None


class MobileSessionsAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/mobile/sessions`, the newest first. `next_cursor`: null on the last page."""

    items: list[MobileSessionItem]
    next_cursor: str | None


class MobileMessageItem(msgspec.Struct, frozen=True):
    """A message of the timeline. `at` is server time.

    `name` and `fields` are what its type says; null where the type is not known or the body does not decode, and then
    `raw` is the body, base64. Of a body over 1 MiB `raw` is the first MiB, and `size_bytes` says how long it is.
    """

    at: str
    type: int
    name: str | None
    fields: dict[str, Any] | None
    raw: str | None
    undecodable: bool
    size_bytes: int | msgspec.UnsetType = msgspec.UNSET


class MobileImageItem(msgspec.Struct, frozen=True):
    """An image. `frame`: of the film of the screen; `at`: the client's time in its name, null where there is none."""

    hash: str
    content_type: Literal["image/png", "image/jpeg", "image/webp"]
    size_bytes: int
    frame: bool
    at: str | None
    stored_at: str
    url: str


class MobileSessionAnswer(msgspec.Struct, frozen=True):
    """`GET /api/v1/mobile/sessions/{id}`: the session and a page each of its messages and its images.

    `next_cursor` goes on with messages, `next_images_cursor` with images; null where there are no more. `user_label`
    and `anonymous_label` are what the app said, and nobody vouches for it.
    """

    session_id: str
    project: str
    user_id: str | None
    user_uuid: str
    started_at: str
    ended_at: str | None
    user_label: str | None
    anonymous_label: str | None
    device: dict[str, Any]
    messages: list[MobileMessageItem]
    next_cursor: str | None
    images: list[MobileImageItem]
    next_images_cursor: str | None
    undecodable: int
    watch_sessions: list[str]
