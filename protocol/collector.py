"""What servers and pages say happened: views and engagement, fired and forgotten (collector.md).

    bytes -> typed, in one pass -> `Taken`: a row of JSON that the database takes apart, and its `eventId`

Most events have only fields that are known here and take the short way. Where a field is not known, it is kept in
`metadata.extra`, so that newer clients lose nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from protocol import limits, loose

EVENT_BYTES: Final = 64 * 1024
BATCH_BYTES: Final = 1024 * 1024
EVENTS_MAX: Final = 1_000
METADATA_BYTES: Final = 16 * 1024
DURATION_MAX_S: Final = 86_400
CONTENT_CHARS: Final = 512
"""A call's path is longer than an id; longer ones would not fit an index."""
MESSAGE_CHARS: Final = 200
EVENT_ID_CHARS: Final = 1_024
TIME_FROM_MS: Final = 946_684_800_000
TIME_TO_MS: Final = 4_102_444_800_000
"""2000 and 2100: what is told of other times is a clock that was never set."""
STATUS_MIN: Final = 100
STATUS_MAX: Final = 999
ADDRESS_CHARS: Final = 64
ADDRESSES_KEPT: Final = 4_096

VIEW: Final = 0
CALL: Final = 1
ENGAGEMENT: Final = 2
"""Kinds of row. A call is a view whose content is `METHOD:/path` (reading 3)."""

Text = Annotated[str, Meta(min_length=1, max_length=limits.ID_CHARS)]
Metric = Annotated[str, Meta(min_length=1, max_length=64)]
Identity = Text | Annotated[int, Meta(ge=0, le=limits.INT_MAX)]
Subject = Annotated[str, Meta(min_length=1, max_length=CONTENT_CHARS)] | Annotated[int, Meta(ge=0, le=limits.INT_MAX)]
Optional = Annotated[str, Meta(max_length=limits.ID_CHARS)] | Annotated[int, Meta(ge=0, le=limits.INT_MAX)] | None
EventId = Annotated[str, Meta(max_length=EVENT_ID_CHARS)] | Annotated[int, Meta(ge=0, le=limits.INT_MAX)] | None
Time = str | int | float | None
Duration = Annotated[float, Meta(ge=0, le=DURATION_MAX_S)]
Device = Literal["desktop", "mobile", "tablet", "tv"]


class View(
    msgspec.Struct, rename="camel", forbid_unknown_fields=True, omit_defaults=True, tag_field="type", tag="view"
):
    """Somebody saw something, or called something. Times RFC 3339 or epoch ms, `duration` seconds."""

    app: Text
    content_id: Subject
    content_type: Text
    user_id: Optional = None
    session_id: Optional = None
    duration: Duration | None = None
    ip_address: str | None = None
    device_type: Device | None = None
    referrer: str | None = None
    url: str | None = None
    user_agent: str | None = None
    country: str | None = None
    metadata: Raw | UnsetType = UNSET
    timestamp: Time = None
    event_id: EventId = None
    write_key: Raw | UnsetType = UNSET


class Engagement(
    msgspec.Struct, rename="camel", forbid_unknown_fields=True, omit_defaults=True, tag_field="type", tag="engagement"
):
    """Somebody did something to something: a like, a comment, a purchase."""

    user_id: Identity
    metric_type: Metric
    target_id: Subject
    target_type: Text
    app: Annotated[str, Meta(max_length=limits.ID_CHARS)] | None = None
    metadata: Raw | UnsetType = UNSET
    timestamp: Time = None
    event_id: EventId = None
    write_key: Raw | UnsetType = UNSET


Event = View | Engagement
Fields = dict[str, Raw]
T = TypeVar("T")


class Batch(msgspec.Struct, rename="camel"):
    """`POST /analytics/track/batch`: `type` says what each event is."""

    events: Annotated[list[Event], Meta(max_length=EVENTS_MAX)]


class _Pieces(msgspec.Struct):
    events: Annotated[list[Raw], Meta(max_length=EVENTS_MAX)]


class _Keyed(msgspec.Struct, rename="camel"):
    write_key: str = ""


class Rejected(msgspec.Struct, frozen=True):
    """An event of a batch that was not kept. `field` is empty for the whole event."""

    index: int
    field: str
    message: str


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to one event."""

    accepted: int
    duplicate: bool = False


class KeptBatch(msgspec.Struct, frozen=True):
    """The answer to a batch: how many are new, were known already, and what was wrong with the others."""

    accepted: int
    duplicates: int
    rejected: list[Rejected]


class Taken(msgspec.Struct):
    """Events of one key that can be kept: a row of JSON each, and its `eventId`; None or empty where it has none."""

    key: int
    rows: list[bytes] = []
    ids: list[str | None] = []


class BadEvent(Exception):
    """An event that cannot be kept; `field` names what is wrong with it, empty for the whole."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


class Reader:
    """Reads what a key sends. `key` is its number, `now` Unix ms. Addresses lose their end unless told otherwise."""

    def __init__(self, *, whole_addresses: bool = False) -> None:
        self._address = _whole if whole_addresses else _truncated

    def view(self, data: bytes, key: int, now: int) -> Taken:
        """`POST /analytics/track/view`. Raises `BadEvent`."""
        taken = Taken(key)
        self._take(*self._read(data, _view, View), taken, key, now)
        return taken

    def engagement(self, data: bytes, key: int, now: int) -> Taken:
        """`POST /analytics/track/engagement`. Raises `BadEvent`."""
        taken = Taken(key)
        self._take(*self._read(data, _engagement, Engagement), taken, key, now)
        return taken

    def batch(self, data: bytes, key: int, now: int) -> tuple[Taken, list[Rejected]]:
        """`POST /analytics/track/batch`. Raises `BadEvent` where the whole cannot be read."""
        taken, rejected = Taken(key), list[Rejected]()
        events = _at_once(data)
        pieces = _pieces_of(data) if events is None else ()
        for index, event in enumerate(events or pieces):
            try:
                if isinstance(event, Raw):
                    self._take(*self._read(bytes(event), _event, None), taken, key, now)
                else:
                    self._take(event, None, taken, key, now)
            except BadEvent as bad:
                rejected.append(Rejected(index, bad.field, bad.message))
        return taken, rejected

    def _read(
        self, data: bytes, decode: Callable[[bytes], Event], kind: type[Event] | None
    ) -> tuple[Event, Fields | None]:
        """An event, and its fields that are not known. Raises `BadEvent`."""
        if not _is_plain(data):
            _check_texts(data)
        try:
            return decode(data), None
        except msgspec.ValidationError as error:
            if not str(error).startswith(_UNKNOWN):
                raise _placed(str(error)) from None
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise _unreadable(error) from None
        fields = _understood(_fields, data)
        known = _KNOWN[kind or _KINDS[_texts(fields["type"])]]
        rest = {name: value for name, value in fields.items() if name not in known}
        if "ipAddress" in rest:
            address = _texts(rest["ipAddress"])
            rest["ipAddress"] = Raw(_encode(self._address(address) if isinstance(address, str) else None))
        return _understood(decode, _encode({name: fields[name] for name in fields if name in known})), rest

    def _take(self, event: Event, rest: Fields | None, taken: Taken, key: int, now: int) -> None:
        """Make its row: what is known here of it, then what it says. Raises `BadEvent`.

        Six in seven of its microseconds are not the decoder's: what most events have is looked at without a call.
        """
        stamp = event.timestamp
        at = stamp if type(stamp) is int and TIME_FROM_MS <= stamp < TIME_TO_MS else _moment(stamp, now)
        metadata = None if event.metadata is UNSET else _metadata(event)
        head = self._see(event, metadata, rest) if type(event) is View else _ENGAGEMENT
        if rest is not None:
            event.metadata = Raw(_encode(_merged(metadata, rest)))
        if event.write_key is not UNSET:
            event.write_key = UNSET
        event_id = event.event_id
        taken.rows.append(b'%b"n":%d,"t":%d,%b' % (head, key, at, _encode(event)[1:]))
        taken.ids.append(event_id if type(event_id) is str else None if event_id is None else str(event_id))

    def _see(self, event: View, metadata: Raw | None, rest: Fields | None) -> bytes:
        """What kind of view it is, and how a call ended, as its row begins."""
        if event.ip_address is not None:
            event.ip_address = self._address(event.ip_address)
        content = event.content_id
        if type(content) is not str or ":/" not in content or not _CALL.match(content):
            return _VIEW
        status = _status(rest["statusCode"]) if rest is not None and "statusCode" in rest else None
        if status is None and metadata is not None and b"tatus" in bytes(metadata):
            status = _status_in(metadata)
        return _CALLED if status is None else b'%b"s":%d,' % (_CALLED, status)


def key_in(data: bytes) -> str:
    """The write key in a body, for those that cannot set headers (sendBeacon); empty where there is none."""
    try:
        return _keyed(data).write_key
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""


# -- reading ----------------------------------------------------------------------------------------------------------

_view: Final = msgspec.json.Decoder(View).decode
_engagement: Final = msgspec.json.Decoder(Engagement).decode
_event: Final = msgspec.json.Decoder(Event).decode
_batch: Final = msgspec.json.Decoder(Batch).decode
_pieces: Final = msgspec.json.Decoder(_Pieces).decode
_fields: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_keyed: Final = msgspec.json.Decoder(_Keyed).decode
_texts: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_CALL: Final = re.compile(r"[A-Z]+:/")
_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4: Final = re.compile(rf"((?:{_OCTET}\.){{3}}){_OCTET}")
_PATH: Final = re.compile(r"(?P<said>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_MISSING: Final = re.compile(r"missing required field `([^`]+)`")
_NUL: Final = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_UNKNOWN: Final = "Object contains unknown field"
_VIEW: Final = b'{"k":%d,' % VIEW
_CALLED: Final = b'{"k":%d,' % CALL
_ENGAGEMENT: Final = b'{"k":%d,' % ENGAGEMENT
_KINDS: Final[dict[str, type[Event]]] = {"view": View, "engagement": Engagement}
_KNOWN: Final[dict[type[Event], frozenset[str]]] = {
    kind: frozenset({"type", *(field.encode_name for field in msgspec.structs.fields(kind))})
    for kind in _KINDS.values()
}


def _at_once(data: bytes) -> list[Event] | None:
    """All events of a batch, where nothing is wrong with any and no field unknown."""
    if not _is_plain(data):
        return None
    try:
        return _batch(data).events
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _pieces_of(data: bytes) -> list[Raw]:
    try:
        return _pieces(data).events
    except msgspec.ValidationError as error:
        raise _placed(str(error)) from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _unreadable(error) from None


def _understood(decode: Callable[[bytes], T], data: bytes) -> T:
    try:
        return decode(data)
    except msgspec.ValidationError as error:
        raise _placed(str(error)) from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _unreadable(error) from None


def _placed(message: str) -> BadEvent:
    found = _PATH.fullmatch(message)
    said, path = (found["said"], found["path"] or "") if found is not None else (message, "")
    missing = _MISSING.search(said)
    if missing is not None:
        return BadEvent(f"{path}.{missing[1]}" if path else missing[1], "Missing")
    return BadEvent(path, said)


def _unreadable(error: Exception) -> BadEvent:
    return BadEvent("", "nested too deeply" if isinstance(error, RecursionError) else f"not JSON: {error}")


def _is_plain(data: bytes) -> bool:
    """Whether nothing in it needs a second look: PostgreSQL holds neither NUL nor what is not UTF-8."""
    if b"\\" in data and b"\\u0000" in data:
        return False
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _check_texts(data: bytes) -> None:
    """The second look. Raises `BadEvent` where it cannot be kept."""
    try:
        data.decode()
    except UnicodeDecodeError:
        raise BadEvent("", "not UTF-8") from None
    for name, value in _understood(_fields, data).items():
        if "\0" in name:
            raise BadEvent("", "NUL is not allowed in a name")
        # Only texts and what holds them; numbers that Python cannot hold are none of this.
        if b"\\u0000" in bytes(value) and _holds_nul(bytes(value)):
            raise BadEvent(name, "NUL is not allowed")


def _holds_nul(raw: bytes) -> bool:
    """Whether an escape that looks like NUL is one: a backslash before it may be escaped itself."""
    return _NUL.search(raw) is not None


# -- values -----------------------------------------------------------------------------------------------------------


def _moment(value: Time, now: int) -> int:
    """Unix ms. Raises `BadEvent`."""
    if value is None or value == "":
        return now
    try:
        at = value if type(value) is int and value >= loose.EPOCH_MS_FROM else _told(value)
    except (loose.Unfit, ValueError) as error:
        raise BadEvent("timestamp", str(error)) from None
    if not TIME_FROM_MS <= at < TIME_TO_MS:
        raise BadEvent("timestamp", "a time out of range")
    return at


def _told(value: str | float) -> int:
    """As browsers write it, `2024-02-07T10:00:00.000Z`, in a tenth of the time that any other form takes."""
    if type(value) is str and len(value) == 24 and value[7] == "-" and value[10:24:13] == "TZ" and value[19] == ".":  # noqa: PLR2004
        return (datetime.fromisoformat(value) - _EPOCH) // _MS
    return loose.moment(value)


def _metadata(event: Event) -> Raw | None:
    """As it was sent; None where there is none. Raises `BadEvent`."""
    found = event.metadata
    if found is UNSET:
        return None
    data = bytes(found)
    if data == b"null":
        event.metadata = UNSET
        return None
    if not data.startswith(b"{"):
        raise BadEvent("metadata", "Expected `object | null`")
    if len(data) > METADATA_BYTES:
        raise BadEvent("metadata", f"over {METADATA_BYTES} bytes")
    return found


def _merged(metadata: Raw | None, rest: Fields) -> Fields:
    """`metadata` with what is not known as its `extra`; one that is there already is added to."""
    fields = {} if metadata is None else _fields(metadata)
    extra = fields.get("extra")
    if extra is not None and bytes(extra).startswith(b"{"):
        rest = _fields(extra) | rest
    elif extra is not None:
        rest = {"extra": extra} | rest
    return fields | {"extra": Raw(_encode(rest))}


def _status(raw: Raw) -> int | None:
    """The status of a call, also as text; None where it is none."""
    try:
        found = int(_texts(raw))
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError):
        return None
    return found if STATUS_MIN <= found <= STATUS_MAX else None


def _status_in(metadata: Raw) -> int | None:
    found = _fields(metadata).get("statusCode")
    return None if found is None else _status(found)


@lru_cache(ADDRESSES_KEPT)
def _whole(value: str) -> str | None:
    """An address in one spelling; None where it cannot be read."""
    if len(value) > ADDRESS_CHARS:
        return None
    try:
        found = ip_address(value.strip())
    except ValueError:
        return None
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped or IPv6Address(found.packed))
    return str(found)


def _truncated(value: str) -> str | None:
    """Its network: /24, /48. Most are IPv4, in a tenth of the time that the library takes."""
    found = _IPV4.fullmatch(value)
    return f"{found[1]}0" if found is not None else _network(value)


@lru_cache(ADDRESSES_KEPT)
def _network(value: str) -> str | None:
    whole = _whole(value)
    if whole is None:
        return None
    return str(ip_network((whole, 48 if ":" in whole else 24), strict=False).network_address)
