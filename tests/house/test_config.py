"""Settings: one catalogue, every mistake at once, no secret in what is shown."""

from pathlib import Path
from typing import get_type_hints

import msgspec
import pytest

from protocol import limits
from server import config
from server.config_catalogue import BY_NAME, CATALOGUE

KEY = "k" * 32


def load(_environ: dict[str, str] | None = None, **environ: str) -> config.Settings:
    return config.load({**(_environ or {}), **environ}, {})


def problems(_overrides: dict[str, str] | None = None, *, serving: bool = False, **environ: str) -> list[str]:
    with pytest.raises(config.ConfigError) as caught:
        config.load(environ, _overrides or {}, serving=serving)
    return caught.value.problems


def test_every_field_has_one_line_in_the_catalogue_and_every_line_a_field():
    fields = [setting.field for settings in CATALOGUE.values() for setting in settings]
    assert sorted(fields) == sorted(set(config.Settings.__struct_fields__) - {"given", "warnings"})
    assert len(BY_NAME) == len(fields)


def test_every_default_reads_as_the_type_of_its_field():
    settings = load()
    values = {name: getattr(settings, name) for name in config.Settings.__struct_fields__}
    for name, hint in get_type_hints(config.Settings).items():
        if hint is not Path and values[name] is not None and not isinstance(values[name], Path):
            msgspec.convert(values[name], hint, strict=True)
    assert isinstance(settings.data_dir, Path)


def test_the_limits_of_the_wire_are_the_defaults():
    settings = load()
    for name in (
        "frame_bytes",
        "outbox_bytes",
        "streams_per_connection",
        "connections_per_user",
        "messages_per_second",
    ):
        assert getattr(settings, name) == getattr(limits, name.upper())
    assert settings.messages_burst == limits.MESSAGES_BURST
    assert settings.bad_messages_per_minute == limits.BAD_MESSAGES_PER_MINUTE


def test_the_defaults_of_the_contract():
    settings = load()
    assert (settings.heartbeat_s, settings.ping_s, settings.hello_s) == (10, 25, 5)
    assert (settings.reconnect_grace_s, settings.late_grace_s, settings.attended_min_s) == (20, 300, 60)
    assert (settings.unknown, settings.presence_list_limit, settings.partitions) == ("refuse", 500, 64)
    assert (settings.host, settings.port, settings.timezone) == ("127.0.0.1", 8080, "Asia/Dhaka")
    assert (settings.address_connections, settings.address_requests_per_second) == (0, 0)


def test_all_mistakes_are_reported_together_each_by_its_name():
    found = problems(
        ROLLCALL_PORT="eighty",
        ROLLCALL_PARTITIONS="4097",
        ROLLCALL_HEARTBEAT_SECONDS="nan",
        ROLLCALL_UNKNOWN="maybe",
        ROLLCALL_TIMEZONE="Mars/Olympus",
        DATABASE_URL="mysql://h/db",
        ROLLCALL_JWT_SECRET="short",
        ROLLCALL_CORS_ORIGINS="https://a.example,*",
        ROLLCALL_JWKS_URL="http://keys.example/jwks",
        ROLLCALL_COMPLETION_THRESHOLD="1.01",
    )
    assert [line.split(":")[0] for line in found] == [
        "ROLLCALL_PORT",
        "DATABASE_URL",
        "ROLLCALL_JWT_SECRET",
        "ROLLCALL_JWKS_URL",
        "ROLLCALL_CORS_ORIGINS",
        "ROLLCALL_HEARTBEAT_SECONDS",
        "ROLLCALL_UNKNOWN",
        "ROLLCALL_TIMEZONE",
        "ROLLCALL_COMPLETION_THRESHOLD",
        "ROLLCALL_PARTITIONS",
    ]


@pytest.mark.parametrize("text", ["0x10", "1e3", "1_000", "٣", "-1", "65536", "9" * 5000, "1.0"])
def test_a_port_is_a_plain_whole_number_in_range(text: str):
    assert problems(ROLLCALL_PORT=text) == ["ROLLCALL_PORT: must be a whole number from 0 to 65535"]


@pytest.mark.parametrize("text", ["../../etc/passwd", "/etc/localtime", "", "Asia", "UTC\0"])
def test_no_file_passes_for_a_time_zone(text: str):
    if not text:
        assert load(ROLLCALL_TIMEZONE=text).timezone == "Asia/Dhaka"
    else:
        assert problems(ROLLCALL_TIMEZONE=text) == ["ROLLCALL_TIMEZONE: must be a time zone such as Asia/Dhaka or UTC"]


def test_options_win_over_the_environment_and_an_empty_variable_is_absent():
    settings = config.load({"ROLLCALL_PORT": "1", "ROLLCALL_HOST": " "}, {"ROLLCALL_PORT": "2"})
    assert (settings.port, settings.host) == (2, "127.0.0.1")
    assert settings.given == {"ROLLCALL_PORT"}


def test_a_mistake_in_the_environment_is_forgiven_where_an_option_replaces_it():
    assert config.load({"ROLLCALL_PORT": "eighty"}, {"ROLLCALL_PORT": "80"}).port == 80


def test_plain_port_stands_in_and_is_blamed_by_its_own_name():
    assert load(PORT="9000").port == 9000
    assert load(PORT="9000", ROLLCALL_PORT="9001").port == 9001
    assert problems(PORT="x") == ["PORT: must be a whole number from 0 to 65535"]


def test_development_mode_makes_unknown_rooms_unless_told_otherwise():
    assert load(ROLLCALL_DEV="1").unknown == "accept"
    assert load(ROLLCALL_DEV="1", ROLLCALL_UNKNOWN="refuse").unknown == "refuse"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "school.example", "127.0.0.1.nip.io"])
def test_development_mode_refuses_any_host_but_loopback(host: str):
    assert problems({"ROLLCALL_DEV": "1"}, ROLLCALL_HOST=host)[0].startswith("ROLLCALL_HOST: development mode")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_development_mode_takes_every_loopback(host: str):
    assert load(ROLLCALL_DEV="yes", ROLLCALL_HOST=host).dev


def test_serving_needs_a_key_and_other_commands_do_not():
    assert load().jwt_secret is None
    assert problems(serving=True)[0].startswith("ROLLCALL_JWT_SECRET: a signing key is needed")
    for given in ({"ROLLCALL_DEV": "1"}, {"ROLLCALL_JWT_SECRET": KEY}, {"ROLLCALL_JWKS_FILE": "keys.json"}):
        config.load(given, {}, serving=True)


def test_a_secret_that_is_too_short_is_one_mistake_and_not_two():
    assert problems(serving=True, ROLLCALL_JWT_SECRET="x" * 31) == [
        "ROLLCALL_JWT_SECRET: must be at least 32 bytes, it has 31"
    ]


def test_secret_length_is_counted_in_bytes():
    assert load(ROLLCALL_JWT_SECRET="ক" * 11).jwt_secret == "ক" * 11  # 33 bytes


def test_a_lease_is_renewed_before_it_ends():
    assert len(problems(ROLLCALL_LEASE_RENEW_SECONDS="5")) == 1
    assert load(ROLLCALL_LEASE_TTL_SECONDS="2").lease_ttl_s == 2


def test_unknown_names_warn_and_name_the_likely_one():
    settings = load(
        {"ROLLCALL_HEARTBEAT_SECOND": "1", "ROLLCALL_XYZZY": "1", "ROLLCALL_TEST_TIMESCALE_URL": "", "X": "1"}
    )
    assert len(settings.warnings) == 2
    assert settings.warnings[0].endswith("did you mean ROLLCALL_HEARTBEAT_SECONDS?")
    assert settings.warnings[1].startswith("ROLLCALL_XYZZY:")


def test_origins_are_a_list_in_one_spelling():
    settings = load(ROLLCALL_CORS_ORIGINS="https://School.Example/ , http://localhost:3000,")
    assert settings.cors_origins == ("https://school.example", "http://localhost:3000")


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("DATABASE_URL", "postgresql://user:hunter2@host/db"),
        ("DATABASE_URL", "postgresql://user:hun/ter2@ho@st/db?x=1"),
        ("DATABASE_URL", "postgresql://host/db?user=u&password=hunter2&sslpassword=hunter2"),
        ("REDIS_URL", "redis://:hunter2@host:6379/0"),
        ("AMQP_URL", "amqps://user:hunter2@host/vhost"),
        ("ROLLCALL_JWKS_URL", "https://user:hunter2@host/jwks?token=hunter2"),
        ("ROLLCALL_JWT_SECRET", "hunter2 " * 4),
    ],
)
def test_no_password_is_shown_anywhere(name: str, url: str):
    settings = load({name: url})
    shown = {row.name: row.value for row in config.describe(settings)}
    assert "host" in shown[name] or "host" not in url or "ho@st" in url
    for text in (shown[name], repr(settings), f"{settings}"):
        assert "hunter2" not in text
        assert "ter2" not in text
    assert shown[name]


@pytest.mark.parametrize("setting", BY_NAME.values(), ids=lambda setting: setting.name)
def test_no_refusal_repeats_the_text_that_it_refuses(setting):
    refused = ""
    try:
        setting.parse("hunter2\x01")
    except ValueError as error:
        refused = str(error)
    assert "hunter2" not in refused


def test_a_secret_is_taken_to_the_letter():
    assert load(ROLLCALL_JWT_SECRET=f" {KEY}\n").jwt_secret == f" {KEY}\n"


def test_the_table_shows_every_setting_with_its_meaning():
    rows = config.describe(load(ROLLCALL_PORT="9000"))
    assert [row.name for row in rows] == list(BY_NAME)
    assert all(row.meaning for row in rows)
    assert [row.name for row in rows if row.given] == ["ROLLCALL_PORT"]


def test_an_override_that_is_no_setting_is_our_own_mistake():
    with pytest.raises(KeyError):
        config.load({}, {"ROLLCALL_PROT": "1"})
