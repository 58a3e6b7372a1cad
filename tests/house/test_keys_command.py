"""`rollcall keys`: what it prints, what it keeps, and what it does not take."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from server import cli
from server.commands.keys import table
from storage.keys import PostgresKeys, WriteKey, digest_of
from storage.postgres import Database
from tests.support.examples import T0
from tests.support.postgres import Databases


@pytest.fixture
def dsn(embedded: Databases, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A migrated database that the command uses."""
    made = asyncio.run(embedded.migrated())
    monkeypatch.setenv("DATABASE_URL", made)
    yield made
    asyncio.run(embedded.drop(made))


def kept(dsn: str) -> list[WriteKey]:
    async def read() -> list[WriteKey]:
        database = Database(dsn)
        await database.open()
        found = list(await PostgresKeys(database).keys())
        await database.close()
        return found

    return asyncio.run(read())


def test_a_key_is_shown_once_and_kept_as_its_digest(dsn: str, capsys: pytest.CaptureFixture[str]):
    arguments = ["--name", "shop", "--right", "mobile", "--right", "catalog", "--right", "mobile"]
    assert cli.main(["keys", "create", *arguments, "--expires", "2h", "--sample-rate", "50"]) == 0
    told = capsys.readouterr()
    secret = told.out.removesuffix("\n")

    [key] = kept(dsn)
    now = time.time() * 1000
    assert key.digest == digest_of(secret)
    assert (key.name, key.rights, key.sample_rate, key.revoked_at) == ("shop", ["catalog", "mobile"], 0.5, None)
    assert key.expires_at is not None
    assert now + 7_100_000 < key.expires_at <= now + 7_200_000
    assert secret not in told.err

    assert cli.main(["keys", "list"]) == 0
    assert secret not in capsys.readouterr().out


def test_a_name_is_given_once_and_revoked_for_good(dsn: str, capsys: pytest.CaptureFixture[str]):
    create = ["keys", "create", "--name", "shop", "--right", "mobile"]
    assert [cli.main(create), cli.main(create)] == [0, 1]
    assert [cli.main(["keys", "revoke", "--name", name]) for name in ("shop", "shop", "none")] == [0, 0, 1]
    assert cli.main(create) == 1

    assert kept(dsn)[0].revoked_at is not None
    assert capsys.readouterr().err.splitlines()[-1] == "rollcall: shop: there is such a key already"


def test_a_line_tells_what_a_key_may_and_what_it_is_worth():
    digest = bytes(32)
    head, app, shop, web = table(
        [
            WriteKey("app", digest, ["mobile"], T0, None, None, 1.0, 3),
            WriteKey("shop", digest, ["collect", "catalog"], T0, T0 + 1, None, 0.25),
            WriteKey("web", digest, ["xapi"], T0, T0 + 1, T0, 1.0, home_pages=["https://lms.example"]),
        ],
        T0 + 1,
    )

    titles = ["number", "name", "rights", "state", "created", "expires", "revoked", "sample", "%", "home", "pages"]
    assert head.split() == titles
    assert app.split()[:4] == ["3", "app", "mobile", "valid"]
    assert app.split()[5:] == ["-", "-", "100", "-"]
    assert (shop.split()[2:4], shop.split()[-2]) == (["collect,catalog", "expired"], "25")
    assert (web.split()[3], web.split()[-1]) == ("revoked", "https://lms.example")


@pytest.mark.parametrize(
    "wrong",
    [
        ["create", "--name", "shop"],
        ["create", "--right", "catalog"],
        ["create", "--name", "shop", "--right", "everything"],
        ["create", "--name", "", "--right", "catalog"],
        ["create", "--name", "a b", "--right", "catalog"],
        ["create", "--name", "x" * 65, "--right", "catalog"],
        ["create", "--name", "shop", "--right", "catalog", "--expires", "soon"],
        ["create", "--name", "shop", "--right", "catalog", "--expires", "2020-01-01"],
        ["create", "--name", "shop", "--right", "catalog", "--expires", "2099-01-01T00:00:00"],
        ["create", "--name", "shop", "--right", "catalog", "--sample-rate", "-1"],
        ["create", "--name", "shop", "--right", "catalog", "--sample-rate", "100.1"],
        ["create", "--name", "shop", "--right", "catalog", "--sample-rate", "nan"],
        ["revoke"],
        [],
    ],
    ids=" ".join,
)
def test_what_is_asked_wrongly_is_said(wrong: list[str], capsys: pytest.CaptureFixture[str]):
    assert cli.main(["keys", *wrong]) == 2
    assert "usage: rollcall keys" in capsys.readouterr().err
