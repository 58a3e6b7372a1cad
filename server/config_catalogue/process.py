"""A process: where it listens, what it speaks to, whose tokens it believes, and how it works inside."""

from __future__ import annotations

from typing import Final

from protocol import ids
from server import config_values as values
from server.config_catalogue.setting import COUNT, DATA_DIR, DEV, DURATION, GRACE, HOST, PORT, Setting

SERVER: Final = (
    Setting(HOST, "host", values.host, "127.0.0.1", "", "address to listen on; loopback only with --dev"),
    Setting(PORT, "port", values.whole(0, 65535), "8080", "", "port to listen on, 0 = any free one; PORT stands in"),
    Setting(DATA_DIR, "data_dir", values.path, ".rollcall", "", "where the embedded database and secrets live"),
    Setting(
        DEV, "dev", values.flag, "0", "", "development mode: own signing secret, loopback only, unknown rooms made"
    ),
    Setting("ROLLCALL_DRAIN_SECONDS", "drain_s", GRACE, "5", "s", "longest wait for the database at stop, twice"),
    Setting(
        "ROLLCALL_LOG_LEVEL",
        "log_level",
        values.choice("debug", "info", "warning", "error"),
        "info",
        "",
        "verbosity",
    ),
    Setting("ROLLCALL_LOG_FORMAT", "log_format", values.choice("json", "console"), "json", "", "shape of log lines"),
)

SERVICES: Final = (
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
    Setting("ROLLCALL_POOL_SIZE", "pool_size", values.whole(1, 100), "4", "connections", "database connections kept"),
    Setting(
        "ROLLCALL_STATEMENT_TIMEOUT_SECONDS",
        "statement_timeout_s",
        DURATION,
        "5",
        "s",
        "longest database statement",
    ),
)

KEYS: Final = (
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
    Setting("ROLLCALL_JWT_AUDIENCE", "jwt_audience", values.text, "", "", "`aud` that tokens must carry; none = any"),
    Setting(
        "ROLLCALL_CORS_ORIGINS",
        "cors_origins",
        values.origins,
        "",
        "",
        "web origins that may call, comma list; none = same",
    ),
)

INSIDE: Final = (
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
    Setting("ROLLCALL_CHECKPOINT_SECONDS", "checkpoint_s", DURATION, "60", "s", "oldest unwritten study time"),
    Setting(
        "ROLLCALL_JOURNAL_PENDING",
        "journal_pending",
        COUNT,
        "200000",
        "entries",
        "waiting for the database before refusal",
    ),
    Setting(
        "ROLLCALL_MAILBOX", "mailbox", COUNT, "10000", "messages", "waiting for one room or session before refusal"
    ),
    Setting("ROLLCALL_ACTOR_IDLE_SECONDS", "actor_idle_s", DURATION, "300", "s", "until an idle room leaves memory"),
)
