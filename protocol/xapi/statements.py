"""One statement: who, what and when, and what it says of a video.

What is read is little; all of it is kept as it was sent. Extensions that are not what the profile wants them to be are
refused; what the profile does not name is passed over. `null` is absent.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

import msgspec

from protocol import catalog, limits, loose
from protocol.loose import Unfit
from protocol.xapi import profile, values

DIGEST_BYTES: Final = 16

Json = dict[str, Any]

_AGENT: Final = "Agent"
_ACTIVITY: Final = "Activity"
_ASIDE: Final = ("id", "stored", "authority", "version", "timestamp")
"""Not part of what makes two statements one (xAPI 1.0.3, Data 2.3.1 and 2.3.2)."""


class Heard(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a statement says of a video. Times Unix ms, playheads ms; None where it says nothing.

    `marked`: it speaks of a video for certain. `played` is flat, as told; `[]` where segments were told and prove
    nothing. `progress` is what the client claims.
    """

    at: int
    verb: int
    marked: bool
    position: int | None = None
    seek_from: int | None = None
    seek_to: int | None = None
    rate: float | None = None
    length: int | None = None
    played: list[int] | None = None
    progress: float | None = None


class Statement(msgspec.Struct, frozen=True, gc=False):
    """`statement_id` None: the server gives one. `heard` None: it is kept, and proves nothing whatever it says.

    `home_page` is `mailto:` for a learner who is named by a mailbox; `session` is the client's own name for it.
    """

    statement_id: str | None
    user_id: str
    home_page: str | None
    at: int
    verb_id: str
    object_id: str | None
    session: str | None
    heard: Heard | None
    digest: bytes
    body: str


class BadStatement(Exception):
    """It cannot be taken; `field` is the path to what is wrong, empty for the whole."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


_decode: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError, ValueError, OverflowError)


def read(raw: bytes | memoryview, now: int) -> Statement:
    """A statement out of its JSON, heard at `now` (Unix ms). Raises `BadStatement`, and nothing else."""
    if len(raw) > profile.STATEMENT_BYTES:
        raise BadStatement("", f"over {profile.STATEMENT_BYTES} bytes")
    try:
        found, body = _decode(raw), bytes(raw).decode()
        if type(found) is not dict:
            raise BadStatement("", "not an object")
        return _read(found, body, now)  # pyright: ignore[reportUnknownArgumentType]
    except _UNREADABLE as error:
        raise BadStatement("", f"not JSON: {error}") from None


def _read(found: Json, body: str, now: int) -> Statement:
    statement_id = _given(found, "id", "id", values.uuid)
    user_id, home_page = _learner(found.get("actor"))
    verb_id = _given(_object(found.get("verb"), "verb"), "id", "verb.id", values.iri)
    if verb_id is None:
        raise BadStatement("verb.id", "missing")
    object_id = _activity(_object(found.get("object"), "object"))
    at = _given(found, "timestamp", "timestamp", values.moment)
    if at is not None and at > now + profile.AHEAD_MS:
        raise BadStatement("timestamp", "more than 5 minutes ahead")
    _given(found, "version", "version", values.version)
    digest = digest_of(found, at)
    session, heard = _heard(found, verb_id, object_id, now if at is None else at)
    return Statement(
        statement_id, user_id, home_page, now if at is None else at, verb_id, object_id, session, heard, digest, body
    )


# -- parts -------------------------------------------------------------------------------------------------------------


def _given(found: Json, name: str, path: str, read_value: loose.Reader) -> Any:  # noqa: ANN401 - whatever it reads
    """A field by its reader; None where it is absent. Raises `BadStatement`."""
    value = found.get(name)
    if value is None:
        return None
    try:
        return read_value(value)
    except Unfit as error:
        raise BadStatement(path, str(error)) from None


def _object(value: Any, path: str) -> Json:  # noqa: ANN401 - JSON
    if type(value) is not dict:
        raise BadStatement(path, "missing" if value is None else "not an object")
    return value  # pyright: ignore[reportUnknownVariableType]


def _part(found: Json, name: str, path: str) -> Json:
    """An object that may be absent."""
    return {} if found.get(name) is None else _object(found[name], path)


# -- who, and what ----------------------------------------------------------------------------------------------------


def _learner(value: Any) -> tuple[str, str | None]:  # noqa: ANN401
    """The learner's id, and whose it is: the account's home page, or `mailto:`."""
    actor = _object(value, "actor")
    if actor.get("objectType", _AGENT) != _AGENT:
        raise BadStatement("actor.objectType", "not one learner: an Agent is wanted")
    if actor.get("account") is not None:
        account = _object(actor["account"], "actor.account")
        user_id = _given(account, "name", "actor.account.name", catalog.identifier)
        if user_id is None:
            raise BadStatement("actor.account.name", "missing")
        return user_id, _given(account, "homePage", "actor.account.homePage", values.iri)
    user_id = _given(actor, "mbox", "actor.mbox", values.mailbox)
    if user_id is None:
        raise BadStatement("actor", "names no learner: account or mbox is wanted")
    return user_id, values.MAILTO


def _activity(found: Json) -> str | None:
    """The activity's IRI; None where the object is something else."""
    if found.get("objectType", _ACTIVITY) != _ACTIVITY:
        return None
    object_id: str | None = _given(found, "id", "object.id", values.iri)
    if object_id is None:
        raise BadStatement("object.id", "missing")
    return object_id


def _heard(found: Json, verb_id: str, object_id: str | None, at: int) -> tuple[str | None, Heard | None]:
    """The client's name of the session, and what is said of the video."""
    result, context = _part(found, "result", "result"), _part(found, "context", "context")
    told = _part(result, "extensions", "result.extensions")
    around = _part(context, "extensions", "context.extensions")
    verb = profile.VERBS.get(verb_id)
    if verb is None or object_id is None or object_id.startswith(profile.OWN_OBJECTS):
        return None, None

    def of(name: str, *places: tuple[str, Json], read_value: loose.Reader = values.seconds) -> Any:  # noqa: ANN401
        found = (_given(place, name, f"{path}[{name!r}]", read_value) for path, place in places)
        return next((value for value in found if value is not None), None)

    in_result, in_context = ("result.extensions", told), ("context.extensions", around)
    heard = Heard(
        at,
        verb,
        _is_marked(found, verb, told, around),
        position=of(profile.TIME, in_result, in_context),
        seek_from=of(profile.TIME_FROM, in_result),
        seek_to=of(profile.TIME_TO, in_result),
        rate=values.rate(around.get(profile.SPEED)) or values.rate(told.get(profile.SPEED)),
        length=of(profile.LENGTH, in_context, in_result) or None,
        played=of(profile.PLAYED_SEGMENTS, in_result, in_context, read_value=values.played),
        progress=values.progress(told.get(profile.PROGRESS)),
    )
    session = of(profile.SESSION, in_context, in_result, read_value=values.name)
    return session or _given(context, "registration", "context.registration", values.name), heard


def _is_marked(found: Json, verb: int, told: Json, around: Json) -> bool:
    """Whether it speaks of a video: others initialize, complete and terminate courses."""
    if verb in profile.VIDEO_ONLY or any(name.startswith(profile.EXTENSIONS) for name in (*told, *around)):
        return True
    if _inside(found, "object", "definition", "type") == profile.VIDEO_TYPE:
        return True
    categories = _inside(found, "context", "contextActivities", "category")
    listed: list[Any] = categories if isinstance(categories, list) else [categories]  # pyright: ignore[reportUnknownVariableType]
    return any(_inside(each, "id") == profile.VIDEO_CATEGORY for each in listed)


def _inside(value: Any, *names: str) -> Any:  # noqa: ANN401 - any JSON
    """What stands under these names; None where there is nothing."""
    for name in names:
        if not isinstance(value, dict):
            return None
        value = value.get(name)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    return value  # pyright: ignore[reportUnknownVariableType]


# -- the same, or another ---------------------------------------------------------------------------------------------


def digest_of(found: Json, at: int | None) -> bytes:
    """Two statements of one id are the same where this is.

    What a system on the way may add or spell otherwise is left out: what a server sets, names of verbs and activities
    for people, the spelling of numbers and times.
    """
    kept = {name: value for name, value in found.items() if name not in _ASIDE and value is not None}
    for name, aside in (("verb", "display"), ("object", "definition")):
        kept[name] = {key: value for key, value in found[name].items() if key != aside}
    return blake2b(_encode([at, _plain(kept)]), digest_size=DIGEST_BYTES).digest()


def _plain(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if type(value) is dict:
        return {key: _plain(each) for key, each in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if type(value) is list:
        return [_plain(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
    if type(value) is float and value.is_integer():
        return int(value) if abs(value) < limits.INT_MAX else value
    return value
