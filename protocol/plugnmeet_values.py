"""The scalars of a webhook: int64 as number or text, enums as number or name, who is a learner (readings 10, 11)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Final, Literal

from protocol.limits import ID_CHARS

Device = Literal["camera", "microphone", "screen", ""]

REASON_CHARS: Final = 64
_FAR: Final = 10**15
"""Any later time is as late: it keeps a product of floats finite."""
_NUMBER: Final = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,9})?")


class Wrong(Exception):
    """A value that cannot be what its field must be; the message ends with the field."""


def ident(value: str | int | None, field: str) -> str:
    """An id; "" where it is absent. Raises `Wrong` for what the database cannot hold or an index should not."""
    if value is None:
        return ""
    if type(value) is not str:
        value = str(value)
    if len(value) > ID_CHARS:
        raise Wrong(f"Expected at most {ID_CHARS} characters - at `{field}`")
    if "\0" in value or not value.isascii():
        _check_text(value, field)
    return value


def _check_text(value: str, field: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Wrong(f"Half a surrogate pair is not allowed - at `{field}`") from None
    if "\0" in value:
        raise Wrong(f"NUL is not allowed - at `{field}`")


def text(value: str | int | None, chars: int) -> str | None:
    """What people read: without what cannot be stored, of bounded length; None where nothing is left."""
    if value is None:
        return None
    return str(value).replace("\0", "").strip()[:chars] or None


def flag(value: bool | int | str | None) -> bool:  # noqa: FBT001 - it is what is read
    """A boolean, in whatever way it was written."""
    return value is True or value in (1, "true", "True", "1")


def moment(value: float | str | None, scale: int, field: str) -> int | None:
    """A time in Unix ms, of which `scale` make one of the unit; None where it is absent, zero or below."""
    if type(value) is str and value.isascii() and value.isdigit() and len(value) <= 20:  # noqa: PLR2004 - of 64 bits
        value = int(value)
    if type(value) is not int:
        value = number(value, field)
        if value is None:
            return None
    return (int(min(value, _FAR) * scale) or None) if value > 0 else None


def number(value: float | str | None, field: str) -> float | None:
    """A number; None where it is absent. Raises `Wrong`."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        if _NUMBER.fullmatch(value) is None:
            raise Wrong(f"Expected a number - at `{field}`")
        value = float(value)
    try:
        value = float(value)
    except OverflowError:
        raise Wrong(f"Number out of range - at `{field}`") from None
    if not isfinite(value):
        raise Wrong(f"Number out of range - at `{field}`")
    return value


def _by_number_too(names: Mapping[int, str]) -> dict[str | int, str]:
    """Both spellings of an enum, and the number as text."""
    return {key: name for at, name in names.items() for key in (at, str(at), name)}


_SOURCES: Final = _by_number_too({1: "CAMERA", 2: "MICROPHONE", 3: "SCREEN_SHARE", 4: "SCREEN_SHARE_AUDIO"})
_DEVICES: Final[dict[str, Device]] = {"CAMERA": "camera", "MICROPHONE": "microphone", "SCREEN_SHARE": "screen"}
_TYPES: Final = _by_number_too({0: "AUDIO", 1: "VIDEO", 2: "DATA"})
_KINDS: Final = _by_number_too({1: "INGRESS", 2: "EGRESS", 3: "SIP", 4: "AGENT"})
_REASONS: Final = _by_number_too(
    {
        1: "CLIENT_INITIATED",
        2: "DUPLICATE_IDENTITY",
        3: "SERVER_SHUTDOWN",
        4: "PARTICIPANT_REMOVED",
        5: "ROOM_DELETED",
        6: "STATE_MISMATCH",
        7: "JOIN_FAILURE",
        8: "MIGRATION",
        9: "SIGNAL_CLOSE",
        10: "ROOM_CLOSED",
        11: "USER_UNAVAILABLE",
        12: "USER_REJECTED",
        13: "SIP_TRUNK_FAILURE",
        14: "CONNECTION_TIMEOUT",
        15: "MEDIA_FAILURE",
    }
)
_NO_REASON: Final = frozenset({0, "0", "", "UNKNOWN_REASON"})


def device_of(source: str | int | None, kind: str | int | None) -> Device | None:
    """What a track shows: "" where its source is not told, None where it is told and not counted."""
    if kind is not None and _TYPES.get(kind) == "DATA":
        return None
    name = None if source is None else _SOURCES.get(source)
    if name is None:
        return ""
    return _DEVICES.get(name)


def reason_of(value: str | int | None) -> str | None:
    """Why a participant left, by name; None where no reason is told."""
    if value is None or value in _NO_REASON:
        return None
    known = _REASONS.get(value)
    if known is not None:
        return known
    return f"REASON_{value}"[:REASON_CHARS] if isinstance(value, int) else text(value, REASON_CHARS)


_BOTS: Final = frozenset({"RECORDER_BOT", "RTMP_BOT"})
_BOT_PREFIXES: Final = ("ingres_", "pnm_agent-", "pnm_tts_agent-")
_BOT_KINDS: Final = frozenset({"INGRESS", "EGRESS", "AGENT"})
_TELEPHONE: Final = "sip_"
_NATIVE: Final = "-native"


def kind_of(identity: str, kind: str | int | None) -> tuple[bool, bool]:
    """Whether an identity is a bot's, and whether it is a telephone caller's; a native twin is as its user."""
    user = identity.removesuffix(_NATIVE) or identity
    its_kind = "" if kind is None else _KINDS.get(kind, "")
    bot = user in _BOTS or user.startswith(_BOT_PREFIXES) or its_kind in _BOT_KINDS
    return bot, not bot and (its_kind == "SIP" or user.startswith(_TELEPHONE))
