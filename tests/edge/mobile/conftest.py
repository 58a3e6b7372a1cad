"""A server with a mobile project, and phones that speak to it: the stores in memory, real sockets."""

import gzip
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest

from protocol.mobile import Body, CustomEvent, Message, message, write_batch
from storage.keys import WriteKey, digest_of
from tests.edge.http.conftest import Answer, World, make_world

__all__ = ["make_world"]

PHONE = "0f4cf1c3-9a21-4a2f-8f2e-3d1f6f6b7a10"
LESSON = {"kind": "video", "id": "lesson-1"}


def event(at: int, name: str, **payload: Any) -> Message:
    """A custom event at `at` (ms by the phone's clock)."""
    return message(at, CustomEvent(name, json.dumps(payload)))


def beat(at: int, position: float, state: str = "playing", **payload: Any) -> Message:
    """A heartbeat."""
    return event(at, "heartbeat", position=position, state=state, **payload)


def said(at: int, body: Body) -> Message:
    """Any message."""
    return message(at, body)


class Phone:
    """One start of an app on a phone."""

    def __init__(self, world: World, started: dict[str, Any]) -> None:
        self.world = world
        self.token: str = started["token"]
        self.session_id = int(started["sessionID"])
        self.user_uuid: str = started["userUUID"]
        self.started = started
        app = world.mobile.apps.get(self.session_id)
        self.offset = 0 if app is None else app.session.offset

    def now(self) -> int:
        """By its clock, as the server reads it."""
        return self.world.now() - self.offset

    async def send(
        self,
        messages: Iterable[Message],
        *,
        path: str = "/v1/ios/i",
        first_index: int | None = 0,
        packed: bool = False,
        token: str | None = None,
    ) -> Answer:
        data = write_batch(messages, first_index)
        headers = {"Authorization": f"Bearer {token or self.token}", "Content-Type": "application/octet-stream"}
        if packed:
            data = gzip.compress(data)
            headers["Content-Encoding"] = "gzip"
        return await self.world.call("POST", path, data=data, headers=headers)

    async def sent(self, messages: Iterable[Message], **how: Any) -> None:
        """Sent, and taken."""
        answer = await self.send(messages, **how)
        assert (answer.status, answer.text) == (200, b""), (answer.status, answer.text)


class Mobile:
    """A world with the project `app`."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def project(
        self,
        name: str = "app",
        share: float = 1.0,
        rights: tuple[str, ...] = ("mobile",),
        expires_at: int | None = None,
    ) -> WriteKey:
        """A project; keys are read again every two seconds."""
        key = WriteKey(name, digest_of(name), list(rights), self.world.now(), expires_at, None, share)
        assert await self.world.write_keys.create(key)
        made = await self.world.write_keys.key(name)
        assert made is not None
        return made

    async def ask(self, path: str = "/v1/ios/start", data: bytes | None = None, **body: Any) -> Answer:
        """`start`, as given."""
        payload = json.dumps(body).encode() if data is None else data
        return await self.world.call("POST", path, data=payload, headers={"Content-Type": "application/json"})

    async def start(self, user: str | None = None, *, ahead: int = 0, **body: Any) -> Phone:
        """A phone in the hands of `user`, or of nobody who is known."""
        given: dict[str, Any] = {
            "projectKey": "app",
            "userUUID": PHONE,
            "timestamp": self.world.now() + ahead,
            "trackerVersion": "1.2.3",
            "platform": "ios",
        }
        if user is not None:
            given["authToken"] = self.world.token(user)
        answer = await self.ask(**(given | body))
        assert answer.status == 200, answer.text
        return Phone(self.world, answer.json)

    def sessions_of(self, user: str, *, room: str | None = None) -> list[Any]:
        """States of the learner's sessions in memory."""
        directory = self.world.system.directory
        if room is not None:
            kept = directory.rooms[room].room.state.sessions.values()
            return [state for state in kept if state.user_id == user]
        states = [actor.watch.state for actor in directory.watches.values()]
        return [state for state in states if state is not None and state.user_id == user]

    def watched(self, user: str, *, room: str | None = None) -> tuple[int, int]:
        """Watch time and distinct content so far, ms."""
        states = self.sessions_of(user, room=room)
        opened = [state.track.credit_open() for state in states]
        wall = sum(state.track.watch_ms for state in states) + sum(one.wall_ms for one in opened if one is not None)
        return wall, sum(state.track.covered_ms() for state in states)


def error(answer: Answer, status: int) -> str:
    """The text of a refusal of this door, whose form is checked on the way."""
    assert answer.status == status, (answer.status, answer.text)
    assert set(answer.json) <= {"error", "offset"}
    assert isinstance(answer.json["error"], str)
    return str(answer.json["error"])


Maker = Callable[..., Awaitable[Mobile]]


@pytest.fixture
async def make_mobile(make_world: Callable[..., Awaitable[World]]) -> Maker:
    async def make(**given: Any) -> Mobile:
        mobile = Mobile(await make_world(**given))
        await mobile.project()
        return mobile

    return make


@pytest.fixture
async def mobile(make_mobile: Maker) -> Mobile:
    return await make_mobile(ROLLCALL_MESSAGES_PER_SECOND="100000", ROLLCALL_MESSAGES_BURST="100000")
