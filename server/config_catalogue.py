"""The one list of settings: name, how its text is read, default, unit and meaning.

Defaults are text, as an operator would write them, so that a default takes the same path as a given value. Those of
the wire's limits come from `protocol.limits` (realtime.md, reading 9).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from protocol import ids, limits
from server import config_values as values

DEV: Final = "ROLLCALL_DEV"
HOST: Final = "ROLLCALL_HOST"
PORT: Final = "ROLLCALL_PORT"
DATA_DIR: Final = "ROLLCALL_DATA_DIR"

_DAY_S: Final = 86_400
_BIG: Final = 2**31 - 1


class Setting(msgspec.Struct, frozen=True):
    """One line of the catalogue. `default` is text, as an operator would write it; empty means none."""

    name: str
    field: str
    parse: Callable[[str], object]
    default: str
    unit: str
    meaning: str
    secret: bool = False


_duration = values.number(0.05, _DAY_S)
_grace = values.number(0, _DAY_S)
_count = values.whole(1, _BIG)

CATALOGUE: Final[dict[str, tuple[Setting, ...]]] = {
    "Server": (
        Setting(HOST, "host", values.host, "127.0.0.1", "", "address to listen on; loopback only with --dev"),
        Setting(
            PORT, "port", values.whole(0, 65535), "8080", "", "port to listen on, 0 = any free one; PORT stands in"
        ),
        Setting(DATA_DIR, "data_dir", values.path, ".rollcall", "", "where the embedded database and secrets live"),
        Setting(DEV, "dev", values.flag, "0", "", "development mode: own signing secret, loopback only, stubs"),
        Setting("ROLLCALL_DRAIN_SECONDS", "drain_s", _grace, "5", "s", "longest wait for the database at stop, twice"),
        Setting(
            "ROLLCALL_LOG_LEVEL",
            "log_level",
            values.choice("debug", "info", "warning", "error"),
            "info",
            "",
            "verbosity",
        ),
        Setting(
            "ROLLCALL_LOG_FORMAT", "log_format", values.choice("json", "console"), "json", "", "shape of log lines"
        ),
    ),
    "Services": (
        Setting(
            "DATABASE_URL",
            "database_url",
            values.url("postgresql", "postgres"),
            "",
            "",
            "PostgreSQL >= 15, with or without TimescaleDB; none = the embedded one",
            secret=True,
        ),
        Setting(
            "REDIS_URL",
            "redis_url",
            values.url("redis", "rediss", "unix"),
            "",
            "",
            "bus between nodes; none = one node",
            secret=True,
        ),
        Setting(
            "AMQP_URL",
            "amqp_url",
            values.url("amqp", "amqps"),
            "",
            "",
            "RabbitMQ for events; none = they wait",
            secret=True,
        ),
        Setting(
            "ROLLCALL_POOL_SIZE", "pool_size", values.whole(1, 100), "4", "connections", "database connections kept"
        ),
        Setting(
            "ROLLCALL_STATEMENT_TIMEOUT_SECONDS",
            "statement_timeout_s",
            _duration,
            "5",
            "s",
            "longest database statement",
        ),
    ),
    "Keys": (
        Setting(
            "ROLLCALL_JWT_SECRET",
            "jwt_secret",
            values.secret,
            "",
            "",
            f"signs HS256 tokens, at least {values.SECRET_BYTES_MIN} bytes",
            secret=True,
        ),
        Setting(
            "ROLLCALL_JWKS_FILE", "jwks_file", values.path, "", "", "public keys (JWKS) in a file, read again on change"
        ),
        Setting(
            "ROLLCALL_JWKS_URL",
            "jwks_url",
            values.key_url,
            "",
            "",
            "public keys (JWKS) fetched from a URL",
            secret=True,
        ),
        Setting("ROLLCALL_JWT_ISSUER", "jwt_issuer", values.text, "", "", "`iss` that tokens must carry; none = any"),
        Setting(
            "ROLLCALL_JWT_AUDIENCE", "jwt_audience", values.text, "", "", "`aud` that tokens must carry; none = any"
        ),
        Setting(
            "ROLLCALL_CORS_ORIGINS",
            "cors_origins",
            values.origins,
            "",
            "",
            "web origins that may call, comma list; none = same",
        ),
    ),
    "Classes and study time": (
        Setting("ROLLCALL_HEARTBEAT_SECONDS", "heartbeat_s", _duration, "10", "s", "asked of players"),
        Setting(
            "ROLLCALL_RECONNECT_GRACE_SECONDS", "reconnect_grace_s", _grace, "20", "s", "a drop this short never left"
        ),
        Setting(
            "ROLLCALL_LATE_GRACE_SECONDS", "late_grace_s", _grace, "300", "s", "later than this after the start is late"
        ),
        Setting(
            "ROLLCALL_ATTENDED_MIN_SECONDS",
            "attended_min_s",
            values.number(1, _DAY_S),
            "60",
            "s",
            "presence that counts as attended",
        ),
        Setting(
            "ROLLCALL_UNKNOWN",
            "unknown",
            values.choice("refuse", "accept"),
            "refuse",
            "",
            "rooms not announced; --dev: accept",
        ),
        Setting(
            "ROLLCALL_PRESENCE_LIST_LIMIT",
            "presence_list_limit",
            _count,
            "500",
            "people",
            "above it learners see counts only",
        ),
        Setting(
            "ROLLCALL_TIMEZONE", "timezone", values.timezone, "Asia/Dhaka", "", "where a day of study begins and ends"
        ),
        Setting(
            "ROLLCALL_THEME_FILE", "theme_file", values.path, "", "", "texts that people read; none = the built-in ones"
        ),
        Setting(
            "ROLLCALL_COMPLETION_THRESHOLD",
            "completion_threshold",
            values.number(0.01, 1),
            "0.95",
            "share",
            "coverage that completes a lesson",
        ),
        Setting(
            "ROLLCALL_RETENTION_DAYS",
            "retention_days",
            values.whole(0, 36_500),
            "0",
            "days",
            "detail kept; 0 = for ever",
        ),
    ),
    "plugNmeet": (
        Setting(
            "ROLLCALL_PLUGNMEET_KEYS",
            "plugnmeet_keys",
            values.key_pairs,
            "",
            "",
            "key:secret[,key:secret...] that sign webhooks; the first calls the API",
            secret=True,
        ),
        Setting(
            "ROLLCALL_PLUGNMEET_URL",
            "plugnmeet_url",
            values.url("https", "http"),
            "",
            "",
            "its API; none = no calls, recordings stay pending",
        ),
        Setting(
            "ROLLCALL_PLUGNMEET_ACCEPT_HEX",
            "plugnmeet_accept_hex",
            values.flag,
            "1",
            "",
            "accept webhooks of older integrations, signed by a bare HMAC",
        ),
        Setting(
            "ROLLCALL_PLUGNMEET_REPAIR_SECONDS",
            "plugnmeet_repair_s",
            _duration,
            "60",
            "s",
            "between looks for lost webhooks of a live room",
        ),
        Setting(
            "ROLLCALL_RECORDINGS_DIR",
            "recordings_dir",
            values.path,
            "",
            "",
            "where recordings are kept; none = recordings in the data directory",
        ),
        Setting(
            "ROLLCALL_RECORDING_MAX_BYTES",
            "recording_max_bytes",
            values.whole(1, 2**53),
            "20000000000",
            "bytes",
            "a larger recording is not fetched",
        ),
        Setting(
            "ROLLCALL_RECORDINGS_S3_BUCKET",
            "recordings_s3_bucket",
            values.text,
            "",
            "",
            "keep recordings in this S3 bucket instead, as bucket or bucket/prefix",
        ),
        Setting(
            "ROLLCALL_RECORDINGS_S3_ENDPOINT",
            "recordings_s3_endpoint",
            values.url("https", "http"),
            "",
            "",
            "where an S3-compatible store is; none = Amazon's",
        ),
        Setting(
            "ROLLCALL_RECORDINGS_S3_REGION",
            "recordings_s3_region",
            values.text,
            "us-east-1",
            "",
            "region of the bucket",
        ),
        Setting(
            "ROLLCALL_RECORDINGS_S3_KEY",
            "recordings_s3_key",
            values.text,
            "",
            "",
            "access key id",
        ),
        Setting(
            "ROLLCALL_RECORDINGS_S3_SECRET",
            "recordings_s3_secret",
            values.hidden,
            "",
            "",
            "secret access key",
            secret=True,
        ),
    ),
    "RabbitMQ": (
        Setting(
            "ROLLCALL_AMQP_CLASSES_EXCHANGE",
            "amqp_classes_exchange",
            values.text,
            "tenlytics_topic_exchange",
            "",
            "classes, quizzes and exams come from it; ends of classes go to it",
        ),
        Setting(
            "ROLLCALL_AMQP_TRACKING_EXCHANGE",
            "amqp_tracking_exchange",
            values.text,
            "stage_tracking_exchange",
            "",
            "finished exams come from it",
        ),
        Setting(
            "ROLLCALL_AMQP_ACTIVITY_EXCHANGE",
            "amqp_activity_exchange",
            values.text,
            "stage_tracking_topic_exchange",
            "",
            "answers and segments come from it; segments go to it",
        ),
        Setting(
            "ROLLCALL_AMQP_LIVECLASS_EXCHANGE",
            "amqp_liveclass_exchange",
            values.text,
            "stage_liveclass_exchange",
            "",
            "ends of classes in short go to it",
        ),
        Setting(
            "ROLLCALL_AMQP_PASSIVE", "amqp_passive", values.flag, "0", "", "exchanges must exist already, as they are"
        ),
        Setting(
            "ROLLCALL_AMQP_QUEUE_TYPE",
            "amqp_queue_type",
            values.choice("quorum", "classic"),
            "quorum",
            "",
            "of our queues; fixed once they exist",
        ),
        Setting(
            "ROLLCALL_AMQP_PREFETCH",
            "amqp_prefetch",
            values.whole(1, 10_000),
            "500",
            "messages",
            "in hand at once, not yet acked",
        ),
        Setting(
            "ROLLCALL_AMQP_DEAD_MAX",
            "amqp_dead_max",
            values.whole(1, _BIG),
            "100000",
            "messages",
            "kept in rollcall.dead; beyond it the oldest go",
        ),
    ),
    "Limits": (
        Setting("ROLLCALL_PING_SECONDS", "ping_s", _duration, "25", "s", "between pings; two missed close"),
        Setting("ROLLCALL_HELLO_SECONDS", "hello_s", _duration, "5", "s", "until the first message must come"),
        Setting(
            "ROLLCALL_MESSAGES_PER_SECOND",
            "messages_per_second",
            _count,
            str(limits.MESSAGES_PER_SECOND),
            "messages/s",
            "per connection, steady",
        ),
        Setting(
            "ROLLCALL_MESSAGES_BURST",
            "messages_burst",
            _count,
            str(limits.MESSAGES_BURST),
            "messages",
            "per connection, at once",
        ),
        Setting(
            "ROLLCALL_CONNECTIONS_PER_USER",
            "connections_per_user",
            _count,
            str(limits.CONNECTIONS_PER_USER),
            "connections",
            "the oldest gives way",
        ),
        Setting(
            "ROLLCALL_STREAMS_PER_CONNECTION",
            "streams_per_connection",
            _count,
            str(limits.STREAMS_PER_CONNECTION),
            "streams",
            "rooms and lessons at once",
        ),
        Setting(
            "ROLLCALL_OUTBOX_BYTES",
            "outbox_bytes",
            values.whole(256, _BIG),
            str(limits.OUTBOX_BYTES),
            "bytes",
            "waiting for a slow reader",
        ),
        Setting(
            "ROLLCALL_FRAME_BYTES",
            "frame_bytes",
            values.whole(256, _BIG),
            str(limits.FRAME_BYTES),
            "bytes",
            "largest frame from a client",
        ),
        Setting(
            "ROLLCALL_BAD_MESSAGES_PER_MINUTE",
            "bad_messages_per_minute",
            _count,
            str(limits.BAD_MESSAGES_PER_MINUTE),
            "messages",
            "unreadable ones until the close",
        ),
        Setting(
            "ROLLCALL_ADDRESS_CONNECTIONS",
            "address_connections",
            values.whole(0, _BIG),
            "0",
            "connections",
            "per address; 0 = no limit: a school is one address",
        ),
        Setting(
            "ROLLCALL_ADDRESS_REQUESTS_PER_SECOND",
            "address_requests_per_second",
            values.whole(0, _BIG),
            "0",
            "requests/s",
            "per address; 0 = no limit",
        ),
        Setting(
            "ROLLCALL_WRITE_KEY_REQUESTS_PER_SECOND",
            "write_key_requests_per_second",
            _count,
            "1000",
            "requests/s",
            "per write key, twice as many at once; a bulk is one",
        ),
        Setting(
            "ROLLCALL_COLLECTOR_RATE",
            "collector_rate",
            _count,
            "5000",
            "events/s",
            "per write key at the event collector, twice as many at once",
        ),
    ),
    "Mobile": (
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
            values.number(1, 30 * _DAY_S),
            "7200",
            "s",
            "how long an app session's token may append",
        ),
        Setting(
            "ROLLCALL_MOBILE_REQUESTS_PER_SECOND",
            "mobile_requests_per_second",
            _count,
            "5000",
            "requests/s",
            "per project at the mobile door, twice as many at once",
        ),
        Setting(
            "ROLLCALL_MOBILE_ADDRESS_REQUESTS_PER_SECOND",
            "mobile_address_requests_per_second",
            _count,
            "500",
            "requests/s",
            "per address at the mobile door, twice as many at once; a school is one address",
        ),
    ),
    "Event collector": (
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
    ),
    "xAPI": (
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
    ),
    "Inside": (
        Setting(
            "ROLLCALL_PARTITIONS",
            "partitions",
            values.whole(1, ids.PARTITIONS_MAX),
            "64",
            "partitions",
            "fixed once there is data",
        ),
        Setting(
            "ROLLCALL_LEASE_TTL_SECONDS",
            "lease_ttl_s",
            values.number(0.5, 300),
            "5",
            "s",
            "until a silent owner is replaced",
        ),
        Setting(
            "ROLLCALL_LEASE_RENEW_SECONDS",
            "lease_renew_s",
            values.number(0.1, 100),
            "1.6",
            "s",
            "between renewals of a lease",
        ),
        Setting("ROLLCALL_CHECKPOINT_SECONDS", "checkpoint_s", _duration, "60", "s", "oldest unwritten study time"),
        Setting(
            "ROLLCALL_JOURNAL_PENDING",
            "journal_pending",
            _count,
            "200000",
            "entries",
            "waiting for the database before refusal",
        ),
        Setting(
            "ROLLCALL_MAILBOX", "mailbox", _count, "10000", "messages", "waiting for one room or session before refusal"
        ),
        Setting(
            "ROLLCALL_ACTOR_IDLE_SECONDS", "actor_idle_s", _duration, "300", "s", "until an idle room leaves memory"
        ),
    ),
}

BY_NAME: Final = {setting.name: setting for settings in CATALOGUE.values() for setting in settings}
