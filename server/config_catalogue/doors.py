"""What may come in at the doors, and how much of it."""

from __future__ import annotations

from typing import Final

from protocol import limits
from server import config_values as values
from server.config_catalogue.setting import BIG, COUNT, DAY_S, DURATION, Setting

LIMITS: Final = (
    Setting("ROLLCALL_PING_SECONDS", "ping_s", DURATION, "25", "s", "between pings; two missed close"),
    Setting("ROLLCALL_HELLO_SECONDS", "hello_s", DURATION, "5", "s", "until the first message must come"),
    Setting(
        "ROLLCALL_MESSAGES_PER_SECOND",
        "messages_per_second",
        COUNT,
        str(limits.MESSAGES_PER_SECOND),
        "messages/s",
        "per connection, steady",
    ),
    Setting(
        "ROLLCALL_MESSAGES_BURST",
        "messages_burst",
        COUNT,
        str(limits.MESSAGES_BURST),
        "messages",
        "per connection, at once",
    ),
    Setting(
        "ROLLCALL_CONNECTIONS_PER_USER",
        "connections_per_user",
        COUNT,
        str(limits.CONNECTIONS_PER_USER),
        "connections",
        "the oldest gives way",
    ),
    Setting(
        "ROLLCALL_STREAMS_PER_CONNECTION",
        "streams_per_connection",
        COUNT,
        str(limits.STREAMS_PER_CONNECTION),
        "streams",
        "rooms and lessons at once",
    ),
    Setting(
        "ROLLCALL_OUTBOX_BYTES",
        "outbox_bytes",
        values.whole(256, BIG),
        str(limits.OUTBOX_BYTES),
        "bytes",
        "waiting for a slow reader",
    ),
    Setting(
        "ROLLCALL_FRAME_BYTES",
        "frame_bytes",
        values.whole(256, BIG),
        str(limits.FRAME_BYTES),
        "bytes",
        "largest frame from a client",
    ),
    Setting(
        "ROLLCALL_BAD_MESSAGES_PER_MINUTE",
        "bad_messages_per_minute",
        COUNT,
        str(limits.BAD_MESSAGES_PER_MINUTE),
        "messages",
        "unreadable ones until the close",
    ),
    Setting(
        "ROLLCALL_ADDRESS_CONNECTIONS",
        "address_connections",
        values.whole(0, BIG),
        "0",
        "connections",
        "per address; 0 = no limit: a school is one address",
    ),
    Setting(
        "ROLLCALL_ADDRESS_REQUESTS_PER_SECOND",
        "address_requests_per_second",
        values.whole(0, BIG),
        "0",
        "requests/s",
        "per address; 0 = no limit",
    ),
    Setting(
        "ROLLCALL_WRITE_KEY_REQUESTS_PER_SECOND",
        "write_key_requests_per_second",
        COUNT,
        "1000",
        "requests/s",
        "per write key, twice as many at once; a bulk is one",
    ),
    Setting(
        "ROLLCALL_COLLECTOR_RATE",
        "collector_rate",
        COUNT,
        "5000",
        "events/s",
        "per write key at the event collector, twice as many at once",
    ),
)

MOBILE: Final = (
    Setting(
        "ROLLCALL_MOBILE_SECRET",
        "mobile_secret",
        values.secret,
        "",
        "",
        "signs tokens of app sessions; none = made of ROLLCALL_JWT_SECRET, else kept in ROLLCALL_DATA_DIR",
        secret=True,
    ),
    Setting(
        "ROLLCALL_MOBILE_TOKEN_SECONDS",
        "mobile_token_s",
        values.number(1, 30 * DAY_S),
        "7200",
        "s",
        "how long an app session's token may append",
    ),
    Setting(
        "ROLLCALL_MOBILE_REQUESTS_PER_SECOND",
        "mobile_requests_per_second",
        COUNT,
        "5000",
        "requests/s",
        "per project at the mobile door, twice as many at once",
    ),
    Setting(
        "ROLLCALL_MOBILE_ADDRESS_REQUESTS_PER_SECOND",
        "mobile_address_requests_per_second",
        COUNT,
        "500",
        "requests/s",
        "per address at the mobile door, twice as many at once; a school is one address",
    ),
)

COLLECTOR: Final = (
    Setting(
        "ROLLCALL_COLLECTOR_COUNTS_STUDY_TIME",
        "collector_counts_study_time",
        values.flag,
        "0",
        "",
        "views of videos and classes with a duration count as study time",
    ),
    Setting(
        "ROLLCALL_COLLECTOR_WHOLE_ADDRESSES",
        "collector_whole_addresses",
        values.flag,
        "0",
        "",
        "keep `ipAddress` whole; else /24 and /48",
    ),
)

XAPI: Final = (
    Setting(
        "ROLLCALL_XAPI_CONTENT_KIND",
        "xapi_content_kind",
        values.kind,
        "xapi",
        "",
        "kind of contents that only statements name",
    ),
    Setting(
        "ROLLCALL_XAPI_HOME_PAGE",
        "xapi_home_page",
        values.iri,
        "urn:rollcall",
        "",
        "whose the accounts in exported statements are",
    ),
)
