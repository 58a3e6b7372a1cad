"""The file of a conference session's analytics, as far as learners' figures go (plugnmeet.md, reading 14).

    {"room": {...}, "users": [{"user_id", "ex_user_id", "events": [{"name", "total", "values": [...]}]}]}

Tolerant: numbers as strings, camelCase, absent fields, unknown events. A user that makes no sense is left out, the
others count; only a file that is no object with a list of users is refused.
"""

from __future__ import annotations

from typing import Final

import msgspec

TALK_MS_MAX: Final = 7 * 24 * 3600 * 1000
COUNT_MAX: Final = 1_000_000
USERS_MAX: Final = 20_000
ID_CHARS: Final = 256

TALKED: Final = "talked_duration"
RAISED: Final = "raise_hand"
VOTED: Final = "voted_poll"


class AnalyticsError(Exception):
    """The file is no analytics file; the message says why."""


class AnalyticsUser(msgspec.Struct, frozen=True):
    """One user's figures; `talk_ms` in milliseconds. `ex_user_id` where the conference knows another id of theirs."""

    user_id: str
    ex_user_id: str | None
    talk_ms: int
    hand_raises: int
    polls_answered: int


class _Event(msgspec.Struct):
    name: str = ""
    total: int | float | str | None = None
    values: msgspec.Raw = msgspec.Raw(b"[]")


class _User(msgspec.Struct):
    user_id: str | int | None = None
    userId: str | int | None = None  # noqa: N815 - the other spelling on the wire
    ex_user_id: str | int | None = None
    exUserId: str | int | None = None  # noqa: N815 - the same
    events: list[msgspec.Raw] | None = None


class _File(msgspec.Struct):
    users: list[msgspec.Raw] | None = None


_FILE: Final = msgspec.json.Decoder(_File)
_USER: Final = msgspec.json.Decoder(_User)
_EVENT: Final = msgspec.json.Decoder(_Event)
_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])


def parse(data: bytes) -> list[AnalyticsUser]:
    """Read every user's figures. Raises AnalyticsError."""
    try:
        users = _FILE.decode(data).users or []
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise AnalyticsError(f"no analytics file: {error}"[:ID_CHARS]) from error
    if len(users) > USERS_MAX:
        raise AnalyticsError(f"more than {USERS_MAX} users")
    return [user for user in map(_user, users) if user is not None]


def _user(raw: msgspec.Raw) -> AnalyticsUser | None:
    try:
        user = _USER.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    user_id = _id(user.user_id) or _id(user.userId)
    if user_id is None:
        return None
    totals: dict[str, int] = {}
    for event in user.events or []:
        name, total = _total(event)
        totals[name] = totals.get(name, 0) + total
    return AnalyticsUser(
        user_id,
        _id(user.ex_user_id) or _id(user.exUserId),
        min(totals.get(TALKED, 0), TALK_MS_MAX),
        min(totals.get(RAISED, 0), COUNT_MAX),
        min(totals.get(VOTED, 0), COUNT_MAX),
    )


def _total(raw: msgspec.Raw) -> tuple[str, int]:
    """An event's name and total; where it has none, as many as it has values."""
    try:
        event = _EVENT.decode(raw)
        total = _count(event.total)
        if total is None:
            total = len(_LIST.decode(event.values))
    except (msgspec.DecodeError, ValueError, RecursionError):
        return "", 0
    return event.name.strip().lower().removeprefix("analytics_event_user_"), total


def _count(value: float | str | None) -> int | None:
    """A whole number from 0 on; None for what is none."""
    if value is None or value == "":
        return None
    try:
        return max(0, int(float(value)))
    except (ValueError, OverflowError):
        return None


def _id(value: str | int | None) -> str | None:
    """An id that can be stored; None for none and for what cannot be one."""
    text = "" if value is None else str(value).strip()
    sound = 0 < len(text) <= ID_CHARS and "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)
    return text if sound else None
