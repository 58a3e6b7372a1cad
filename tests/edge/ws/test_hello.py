"""Who is speaking, for how long, and where they may go."""

import time
from typing import Any

import jwt
import msgspec
import pytest

from server.auth import Verifier, sign
from server.jwks import KeySet
from server.ws.hub import Limits
from tests.support.clients import BOTH, PING, TEXT, frame_bytes, player, upgraded, wire
from tests.support.node import SECRET, Node, until


async def test_welcome_tells_what_a_client_needs(node):
    async with player(node, None) as one:
        before = node.now
        welcome = await one.hello(node.token())
        assert set(welcome) == {"type", "connection_id", "server_time", "heartbeat_interval", "max_samples"}
        assert before <= welcome["server_time"] <= node.now
        assert (welcome["heartbeat_interval"], welcome["max_samples"]) == (10.0, 500)
        async with player(node, None) as two:
            assert (await two.hello(node.token()))["connection_id"] != welcome["connection_id"]


async def test_without_hello_the_door_closes_4408():
    async with Node(Limits(hello_s=0.05)) as node, player(node, None) as one:
        assert await one.closed() == 4408


async def test_pings_are_no_hello():
    async with Node(Limits(hello_s=0.05)) as node, upgraded(node, None) as one:
        await one.write(frame_bytes(PING, b"here"))
        assert await one.close_code() == 4408


async def test_after_hello_the_door_stays_open():
    async with Node(Limits(hello_s=0.05)) as node, player(node) as one, player(node, None) as other:
        assert await other.closed() == 4408
        assert await one.join()


# -- tokens -----------------------------------------------------------------------------------------------------------


def _unsigned(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, "", algorithm="none")


GOOD = {"sub": "27", "role": "learner", "exp": 2**33}
FORGED = {
    "another secret": lambda: jwt.encode(GOOD, "x" * 32, algorithm="HS256"),
    "no signature": lambda: _unsigned(GOOD),
    "another algorithm": lambda: jwt.encode(GOOD, SECRET * 2, algorithm="HS512"),
    "expired": lambda: sign(SECRET, user_id="27", now_s=time.time() - 100, ttl_s=99),
    "no expiry": lambda: jwt.encode({"sub": "27"}, SECRET),
    "no subject": lambda: jwt.encode({"exp": 2**33}, SECRET),
    "an unknown role": lambda: jwt.encode(GOOD | {"role": "king"}, SECRET),
    "not yet": lambda: jwt.encode(GOOD | {"nbf": 2**32}, SECRET),
    "cut": lambda: sign(SECRET, user_id="27", now_s=time.time(), ttl_s=99)[:-2],
    "empty": lambda: "",
    "words": lambda: "let me in",
}


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED)
async def test_a_token_that_does_not_open_the_door_closes_it_4401(node, token):
    async with player(node, None) as one:
        await one.say("hello", token=token())
        assert await one.closed() == 4401
        assert one.passed == []


async def test_no_token_at_all_closes_4401(node):
    async with player(node, None) as one:
        await one.say("hello")
        assert await one.closed() == 4401


async def test_a_forged_token_in_the_header_upgrades_and_then_closes_4401(node):
    async with player(node, None, headers={"Authorization": "Bearer forged"}) as one:
        await one.say("hello")
        assert await one.closed() == 4401


@pytest.mark.parametrize("header", ["Bearer", "Basic abc", "Bearer  ", "bearer {token}x", "\xff", ""])
async def test_a_header_without_a_good_token_closes_4401(node, header):
    async with wire(node) as one:
        head = await one.upgrade(f"Authorization: {header}")
        assert " 101 " in head
        await one.say(type="hello")
        assert await one.close_code() == 4401


async def test_the_reason_never_repeats_the_token(node):
    async with player(node, None) as one:
        await one.say("hello", token="secret.secret.secret")
        assert await one.closed() == 4401
        assert one.socket.close_reason
        assert "secret.secret" not in one.socket.close_reason


# -- order ------------------------------------------------------------------------------------------------------------

BEFORE_HELLO = [
    b'{"type":"join","ref":1,"room":"r"}',
    b'{"type":"watch","ref":1,"content":{"kind":"v","id":"1"}}',
    b'{"type":"heartbeat","stream":1,"seq":1,"at":1,"position":0,"state":"playing"}',
    b'{"type":"heartbeats","stream":1,"sent_at":1,"samples":[{"seq":1,"at":1,"position":0,"state":"playing"}]}',
    b'{"type":"leave","stream":1}',
    b'{"type":"presence","ref":1,"room":"r"}',
    b'{"type":"interact","ref":1,"stream":1,"kind":"doubt"}',
    b'{"type":"from-the-future"}',
    b'{"type":"hello","token":5}',
    b"not json",
    b"",
]


@pytest.mark.parametrize("message", BEFORE_HELLO)
async def test_a_first_message_that_is_no_hello_closes_4400(node, message):
    async with upgraded(node, None) as one:
        await one.write(frame_bytes(TEXT, message))
        assert await one.close_code() == 4400
    await until(lambda: node.nothing_held)
    assert not node.system.directory.rooms


@pytest.mark.parametrize("codec", BOTH)
async def test_what_is_pipelined_behind_hello_is_taken(node, codec):
    async with player(node, None, codec=codec) as one:
        await one.say("hello", token=node.token())
        await one.say("join", ref=1, room="r1")
        assert (await one.next())["type"] == "welcome"
        assert (await one.next())["type"] == "joined"


# -- renewal ----------------------------------------------------------------------------------------------------------


async def test_a_second_hello_renews_the_token(node):
    async with player(node, ttl_s=60) as one, player(node, ttl_s=60) as lazy:
        joined = await one.join()
        await lazy.join()
        await one.hello(node.token(ttl_s=600))
        node.pass_time(61)
        node.second()
        assert await lazy.closed() == 4401
        await one.beat(joined["stream"], 1)
        await one.hear("ack")
        node.pass_time(600)
        node.second()
        assert await one.closed() == 4401


async def test_the_same_token_again_changes_nothing(node):
    async with player(node, None) as one:
        token = node.token(ttl_s=60)
        first = await one.hello(token)
        for _ in range(3):
            assert (await one.hello(token))["connection_id"] == first["connection_id"]
        node.pass_time(61)
        node.second()
        assert await one.closed() == 4401


async def test_a_shorter_token_shortens(node):
    async with player(node, ttl_s=600) as one:
        await one.hello(node.token(ttl_s=30))
        node.pass_time(31)
        node.second()
        assert await one.closed() == 4401


async def test_a_renewal_keeps_streams_and_presence(node):
    async with player(node) as one:
        joined = await one.join()
        await one.hear("presence")
        await one.hello(node.token(), device_id="other")
        await one.beat(joined["stream"], 1)
        await one.hear("ack", stream=joined["stream"], seq=1)
        assert (await one.ask("presence", room="r1"))["count"] == 1


async def test_another_users_token_closes_4401(node):
    async with player(node) as one:
        await one.say("hello", token=node.token("28"))
        assert await one.closed() == 4401


async def test_a_forged_renewal_closes_4401(node):
    async with player(node) as one:
        await one.say("hello", token="forged")
        assert await one.closed() == 4401


async def test_an_expired_token_closes_within_a_second_4401(node):
    async with player(node, ttl_s=60) as one:
        await one.join()
        node.pass_time(58)
        node.second()
        assert await one.rest() is not None
        node.pass_time(3)
        node.second()
        assert await one.closed() == 4401


async def test_tokens_expire_also_when_seconds_were_skipped(node):
    async with player(node, ttl_s=60) as one, player(node, ttl_s=90) as two, player(node, ttl_s=3600) as three:
        node.pass_time(1000)
        node.second()
        assert (await one.closed(), await two.closed()) == (4401, 4401)
        assert await three.join()


# -- new keys ---------------------------------------------------------------------------------------------------------


class SlowKeys:
    """A key source that is asked and answers when the test says so; it never has the key."""

    def __init__(self) -> None:
        self.asked = 0

    def current(self, now_s: float) -> KeySet:
        return KeySet()

    async def refresh(self, now_s: float) -> None:
        self.asked += 1

    async def aclose(self) -> None:
        pass


def _strange_token() -> str:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return jwt.encode(GOOD, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": "new"})


async def test_a_token_of_an_unknown_key_is_looked_up_and_then_refused():
    keys = SlowKeys()
    async with Node(verifier=Verifier(SECRET, keys)) as node, player(node, None) as one:
        await one.say("hello", token=_strange_token())
        assert await one.closed() == 4401
        assert keys.asked == 1


async def test_requests_behind_a_look_up_are_answered():
    """A renewal whose key must be fetched does not hold up what the client asks meanwhile."""
    async with Node(verifier=Verifier(SECRET, SlowKeys())) as node, upgraded(node) as one:
        ask = [{"type": "hello", "token": node.token()}, {"type": "join", "ref": 1, "room": "r1"}]
        strange = {"type": "hello", "token": _strange_token()}
        messages = [ask[1], strange]
        await one.write(b"".join(frame_bytes(TEXT, msgspec.json.encode(message)) for message in messages))
        assert await one.close_code() == 4401


# -- where they may go ------------------------------------------------------------------------------------------------


async def test_a_token_that_names_rooms_opens_only_those(node):
    async with player(node, rooms=["r1", "7"]) as one:
        assert await one.join("r1")
        assert await one.join(7)
        assert (await one.ask("join", room="r2"))["code"] == "forbidden"
        assert (await one.ask("presence", room="r2"))["code"] == "forbidden"
        assert "r2" not in node.system.directory.rooms


async def test_a_token_that_names_contents_opens_only_those(node):
    async with player(node, contents=[("video", "7")]) as one:
        assert await one.watch("7")
        assert await one.watch(7)
        assert (await one.ask("watch", content={"kind": "video", "id": "8"}))["code"] == "forbidden"
        assert (await one.ask("watch", content={"kind": "pdf", "id": "7"}))["code"] == "forbidden"


async def test_empty_lists_open_nothing(node):
    async with player(node, rooms=[], contents=[]) as one:
        assert (await one.ask("join", room="r1"))["code"] == "forbidden"
        assert (await one.ask("watch", content={"kind": "video", "id": "7"}))["code"] == "forbidden"


async def test_a_renewed_token_brings_its_own_limits(node):
    async with player(node) as one:
        assert await one.join("r1")
        await one.hello(node.token(rooms=["r2"]))
        assert (await one.ask("join", room="r3"))["code"] == "forbidden"
        assert await one.join("r2")
