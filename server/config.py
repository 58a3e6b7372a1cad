"""Every setting: read once, checked together, described in one table.

The catalogue drives parsing, `rollcall config` and the table in the documentation; a test holds it to the fields of
`Settings`. This is the only module that reads the environment.

Sources, strongest first: options of the command line, environment, default. An empty variable counts as absent.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal, cast

import msgspec

from server import config_values as values
from server.config_catalogue import BY_NAME, CATALOGUE, DEV, HOST, PORT, Setting

_PLAIN_PORT: Final = "PORT"  # what process managers set
_PREFIX: Final = "ROLLCALL_"
_TEST_PREFIX: Final = "ROLLCALL_TEST_"  # read by the test suite only


class ConfigError(Exception):
    """The settings are wrong. `problems` has a line for each mistake, beginning with the setting's name."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of one process. Durations are seconds (`_s`), sizes bytes. Its `repr` shows no secret."""

    database_url: str | None
    redis_url: str | None
    amqp_url: str | None
    host: str
    port: int
    data_dir: Path
    dev: bool
    partitions: int
    heartbeat_s: float
    ping_s: float
    hello_s: float
    reconnect_grace_s: float
    late_grace_s: float
    attended_min_s: float
    unknown: Literal["refuse", "accept"]
    presence_list_limit: int
    timezone: str
    theme_file: Path | None
    completion_threshold: float
    retention_days: int
    messages_per_second: int
    messages_burst: int
    connections_per_user: int
    streams_per_connection: int
    outbox_bytes: int
    frame_bytes: int
    bad_messages_per_minute: int
    address_connections: int
    address_requests_per_second: int
    write_key_requests_per_second: int
    xapi_content_kind: str
    xapi_home_page: str
    collector_rate: int
    mobile_address_requests_per_second: int
    mobile_requests_per_second: int
    mobile_secret: str | None
    mobile_token_s: float
    collector_counts_study_time: bool
    collector_whole_addresses: bool
    cors_origins: tuple[str, ...]
    jwt_secret: str | None
    jwks_file: Path | None
    jwks_url: str | None
    jwt_issuer: str | None
    jwt_audience: str | None
    log_level: Literal["debug", "info", "warning", "error"]
    log_format: Literal["json", "console"]
    lease_ttl_s: float
    lease_renew_s: float
    checkpoint_s: float
    statement_timeout_s: float
    pool_size: int
    journal_pending: int
    mailbox: int
    drain_s: float
    actor_idle_s: float

    plugnmeet_keys: tuple[tuple[str, str], ...]
    plugnmeet_url: str | None
    plugnmeet_accept_hex: bool
    plugnmeet_repair_s: float
    recordings_dir: Path | None
    recording_max_bytes: int
    recordings_s3_bucket: str | None
    recordings_s3_endpoint: str | None
    recordings_s3_region: str
    recordings_s3_key: str | None
    recordings_s3_secret: str | None
    amqp_classes_exchange: str
    amqp_tracking_exchange: str
    amqp_activity_exchange: str
    amqp_liveclass_exchange: str
    amqp_passive: bool
    amqp_queue_type: Literal["quorum", "classic"]
    amqp_prefetch: int
    amqp_dead_max: int

    given: frozenset[str]
    """Names of the settings that did not come from their default."""
    warnings: tuple[str, ...]
    """What to tell the operator at start: variables that look like settings and are none."""

    def __repr__(self) -> str:
        """Only what was set, secrets masked: this ends up in tracebacks."""
        shown = ", ".join(f"{row.name}={row.value}" for row in describe(self) if row.given)
        return f"Settings({shown})"


class Row(msgspec.Struct, frozen=True):
    """A setting as people see it: every column is text, secrets masked."""

    group: str
    name: str
    value: str
    default: str
    unit: str
    meaning: str
    given: bool


def from_environment(overrides: Mapping[str, str] | None = None, *, serving: bool = False) -> Settings:
    """`load` from this process's environment."""
    return load(os.environ, overrides or {}, serving=serving)


def load(environ: Mapping[str, str], overrides: Mapping[str, str], *, serving: bool = False) -> Settings:
    """Read all settings; `overrides` (same names, same text) win. `serving` also asks for what a server needs: a key.

    Raises `ConfigError` with every mistake at once.
    """
    texts = _texts(environ, overrides)
    parsed: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for name, setting in BY_NAME.items():
        label, given = texts.get(name, (name, setting.default))
        try:
            parsed[setting.field] = setting.parse(given) if given else _nothing(setting)
        except ValueError as error:
            problems[name] = f"{label}: {error}"
            parsed[setting.field] = setting.parse(setting.default) if setting.default else _nothing(setting)
    if parsed["dev"] and "ROLLCALL_UNKNOWN" not in texts:
        parsed["unknown"] = "accept"
    settings = Settings(**parsed, given=frozenset(texts), warnings=tuple(_warnings(environ)))
    # A rule over several settings says nothing new where one of them could not be read at all.
    found = [*problems.values()]
    found += [line for names, line in _contradictions(settings, serving=serving) if problems.keys().isdisjoint(names)]
    if found:
        raise ConfigError(found)
    return settings


def describe(settings: Settings) -> list[Row]:
    """Every setting for people, in the order of the catalogue, with secrets and passwords in URLs masked."""
    return [
        Row(
            group=group,
            name=setting.name,
            value=_shown(setting, getattr(settings, setting.field)),
            default=setting.default,
            unit=setting.unit,
            meaning=setting.meaning,
            given=setting.name in settings.given,
        )
        for group, members in CATALOGUE.items()
        for setting in members
    ]


def _texts(environ: Mapping[str, str], overrides: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Collect what was set: setting name -> (the name to blame, text)."""
    if unknown := overrides.keys() - BY_NAME.keys():
        message = f"no such settings: {sorted(unknown)}"
        raise KeyError(message)
    found: dict[str, tuple[str, str]] = {}
    if environ.get(_PLAIN_PORT):
        found[PORT] = (_PLAIN_PORT, environ[_PLAIN_PORT].strip())
    for source in (environ, overrides):
        found |= {name: (name, _trimmed(name, source[name])) for name in BY_NAME if source.get(name, "").strip()}
    return found


def _trimmed(name: str, given: str) -> str:
    """Drop what editors and shells leave around a value; not from a secret, which others use to the letter."""
    return given if BY_NAME[name].parse in (values.secret, values.hidden) else given.strip()


def _nothing(setting: Setting) -> object:
    return () if setting.parse in (values.origins, values.key_pairs) else None


def _warnings(environ: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(environ):
        if name.startswith(_PREFIX) and name not in BY_NAME and not name.startswith(_TEST_PREFIX):
            close = get_close_matches(name, BY_NAME, n=1, cutoff=0.8)
            hint = f"; did you mean {close[0]}?" if close else ""
            yield f"{name}: no such setting, it is ignored{hint}"


def _contradictions(settings: Settings, *, serving: bool) -> Iterator[tuple[set[str], str]]:
    """Rules over several settings: (the settings they rest on, what is wrong)."""
    if settings.dev and not values.is_loopback(settings.host):
        yield {DEV, HOST}, f"{HOST}: development mode listens on loopback only (127.0.0.1, ::1 or localhost)"
    if settings.lease_renew_s >= settings.lease_ttl_s:
        names = {"ROLLCALL_LEASE_RENEW_SECONDS", "ROLLCALL_LEASE_TTL_SECONDS"}
        yield names, "ROLLCALL_LEASE_RENEW_SECONDS: must be below ROLLCALL_LEASE_TTL_SECONDS"
    if settings.jwks_file and settings.jwks_url:
        yield {"ROLLCALL_JWKS_FILE", "ROLLCALL_JWKS_URL"}, "ROLLCALL_JWKS_FILE: set this or ROLLCALL_JWKS_URL, not both"
    if settings.recordings_dir and settings.recordings_s3_bucket:
        names = {"ROLLCALL_RECORDINGS_DIR", "ROLLCALL_RECORDINGS_S3_BUCKET"}
        yield names, "ROLLCALL_RECORDINGS_DIR: set this or ROLLCALL_RECORDINGS_S3_BUCKET, not both"
    if settings.plugnmeet_url and not settings.plugnmeet_keys:
        names = {"ROLLCALL_PLUGNMEET_URL", "ROLLCALL_PLUGNMEET_KEYS"}
        yield names, "ROLLCALL_PLUGNMEET_KEYS: a key:secret is needed to call ROLLCALL_PLUGNMEET_URL"
    if serving and not (settings.dev or settings.jwt_secret or settings.jwks_file or settings.jwks_url):
        names = {DEV, "ROLLCALL_JWT_SECRET", "ROLLCALL_JWKS_FILE", "ROLLCALL_JWKS_URL"}
        line = "a signing key is needed: set this, ROLLCALL_JWKS_FILE or ROLLCALL_JWKS_URL"
        yield names, f"ROLLCALL_JWT_SECRET: {line} (or, on your own machine, start with --dev)"


def _shown(setting: Setting, value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "1" if value else "0"
        case float():
            return f"{value:.12g}"
        case tuple() if setting.secret:
            return "********" if value else ""
        case str() if setting.secret:
            return values.without_passwords(value) if _is_url(setting) else "********"
        case _:
            return ",".join(cast("tuple[str, ...]", value)) if isinstance(value, tuple) else str(value)


def _is_url(setting: Setting) -> bool:
    return setting.field.endswith("_url")
