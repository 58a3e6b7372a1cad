"""What learners with apps do, act by act, and what was true of it (mobile-ingest.md, "What it means here", readings).

| act | what the server must make of it |
| --- | --- |
| `steady` | a class or content named at start; heartbeats become watch time, pictures are kept once |
| `skewed` | the device's clock is hours off; each event names its content |
| `resender` | answers are lost; nothing counts twice |
| `crasher` | the last batch comes under the next launch's token; the watch session goes on |
| `tardy` | the same, when the next launch has told of later already |
| `twofold` | two devices at once: wall time counts once |
| `offline` | yesterday's files, the same one twice; credited at their own time |
| `attendee` | heartbeats of a room |
| `anonymous` | no `authToken`, a 94 with a learner's id: kept, nobody's |
| `stranger` | late data with somebody else's 94: kept, nobody's |
| `ancient` | more than a day old: kept, nobody's |
| `garbler` | bodies that nobody can read, a batch cut short, one that is no batch |
| `refused` | outside the sample: 403, however often it asks |
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Final

import aiohttp
import msgspec

from load_tests.mobile.script import Moment, watching
from load_tests.mobile.sdk import App, Launch, Sdk, Sent, activity, bad, noise
from load_tests.mobile.truth import Watched
from load_tests.simulate.record import Told
from protocol import mobile
from protocol.mobile import Message, Unframed, message, read_batch, write_batch

DURATION_S: Final = 3600
"""Longer than anybody comes: a real player does not play past the end."""
STEP_S: Final = 1.0
PAST_STEP_S: Final = 10.0
FLUSH_MOMENTS: Final = 3
HOUR_MS: Final = 3_600_000
REFUSED_TIMES: Final = 8
KIND: Final = "lesson"
_BAD_REQUEST: Final = 400
_FORBIDDEN: Final = 403
_UNAUTHENTICATED: Final = 401
_OK: Final = 200


class Stage(msgspec.Struct, frozen=True):
    """Where everybody acts. `none_project`: one of which nothing is recorded; None leaves those out."""

    http: aiohttp.ClientSession
    url: str
    prefix: str
    project: str
    none_project: str | None
    seconds: float
    sent: Sent


class Learner(msgspec.Struct):
    """One of those who act, and what is true of them."""

    user_id: str
    token: str
    act: str
    random: Random
    uuids: list[str]
    """Of their devices."""
    watched: list[Watched] = []
    room: str | None = None
    """Set where it was watched in a room: then `watched.content_id` is not a content."""
    launches: list[Launch] = []
    undecodable: int = 0
    problems: list[str] = []

    def expect(self, what: str, truth: object, answer: object) -> None:
        """A refusal or an answer that must be as it is."""
        if truth != answer:
            self.problems.append(f"{what}: {truth!r} expected, {answer!r} answered")


class Player:
    """A learner in an app, and the one content or room that it shows."""

    def __init__(
        self, stage: Stage, learner: Learner, *, auth: bool = True, named_at_start: bool = False, device: int = 0
    ) -> None:
        self.learner = learner
        self.stage = stage
        self.random = learner.random
        self._content = f"{stage.prefix}-{learner.act}"
        if learner.room is not None:
            self.target: dict[str, Any] = {"room": learner.room}
        else:
            self.target = {"content": {"kind": KIND, "id": self._content}}
        self._named_at_start = named_at_start
        ahead = self.random.choice([-5, 3]) * HOUR_MS + 1234 if learner.act == "skewed" else 0
        self._app = App(
            project=stage.project,
            user_uuid=learner.uuids[device],
            device=self.random.choice(["iPhone15,2", "Pixel 8"]),
            platform=self.random.choice(["ios", "android"]),
            auth=learner.token if auth else None,
            target=self.target if named_at_start else {},
            clock_ahead_ms=ahead,
        )
        if not learner.watched:
            learner.watched.append(Watched(learner.user_id, self._content, DURATION_S))
        self.watched = learner.watched[0]

    def launch(self) -> Sdk:
        """The app comes up: a tracker of its own."""
        sdk = Sdk(self.stage.http, self.stage.url, self._app, self.random, self.stage.sent)
        self.learner.launches.append(sdk.launch)
        return sdk

    def script(self) -> list[Moment]:
        """Watching, here and now."""
        return watching(self.random, seconds=self.stage.seconds, step_s=STEP_S, duration_s=DURATION_S)

    def messages(self, moment: Moment, begin: int) -> list[Message]:
        """A moment as the app tells it, with what else happens around it. `begin`: true Unix ms."""
        at = begin + moment.at + self._app.clock_ahead_ms
        payload = moment.payload if self._named_at_start else {**moment.payload, **self.target}
        found = [message(at, mobile.CustomEvent(moment.name, json.dumps(payload)))]
        if self.random.random() < 0.5:
            found.append(activity(self.random, at + 1))
        if self.random.random() < 0.5:
            found.append(noise(self.random, at + 2))
        return found

    def happened(self, moments: list[Moment], begin: int) -> list[Told]:
        """What was true of them."""
        return [told for moment in moments for told in moment.told(begin)]

    async def live(
        self, sdk: Sdk, moments: list[Moment], begin: int, *, lossy: bool = False, bads: bool = False, kept: int = 0
    ) -> None:
        """Act in real time; the last `kept` are told and not sent. `lossy`: every other answer is lost."""
        for number, moment in enumerate(moments, 1):
            await asyncio.sleep(max(0.0, (begin + moment.at) / 1000 - time.time()))
            sdk.tell(*self.messages(moment, begin))
            if bads:
                self._tell_bad(sdk, begin + moment.at)
            if number % FLUSH_MOMENTS == 0 and number <= len(moments) - kept:
                await sdk.flush(lose_answer=lossy and number % 2 == 0)
        if not kept:
            await sdk.flush()
            await sdk.settle()

    def _tell_bad(self, sdk: Sdk, at: int) -> None:
        unreadable = bad(self.random, at + 3)
        self.learner.undecodable += bool(read_batch(write_batch([unreadable], None)).undecodable)
        sdk.tell(unreadable)

    def past(self, hours: float) -> tuple[list[Message], list[Told]]:
        """Ten minutes of watching so long ago: what the app wrote down, and what was true of it."""
        begin = _now() - round(hours * HOUR_MS)
        moments = watching(self.random, seconds=600, step_s=PAST_STEP_S, duration_s=DURATION_S)
        return [each for moment in moments for each in self.messages(moment, begin)], self.happened(moments, begin)


async def steady(stage: Stage, learner: Learner) -> None:
    player = Player(stage, learner, named_at_start=True)
    sdk = player.launch()
    await sdk.start()
    picture = f"{learner.random.getrandbits(64):016x}"
    await sdk.image(picture)
    await sdk.image(picture)
    await sdk.start(resume=True)
    learner.expect("a resumed session", 1, len(set(sdk.launch.sessions)))
    begin, moments = _now(), player.script()
    player.watched.chunks = [player.happened(moments, begin)]
    await player.live(sdk, moments, begin)
    again = player.launch()
    await again.start()
    if len(again.images) < IMAGES_TOLD:  # beyond it others' pictures may have pushed it out
        learner.expect("images known at start", 1, again.images.count(picture))


IMAGES_TOLD: Final = 40


async def skewed(stage: Stage, learner: Learner) -> None:
    player = Player(stage, learner)
    sdk = player.launch()
    await sdk.start()
    begin, moments = _now(), player.script()
    player.watched.chunks = [player.happened(moments, begin)]
    await player.live(sdk, moments, begin)


async def resender(stage: Stage, learner: Learner) -> None:
    player = Player(stage, learner)
    sdk = player.launch()
    await sdk.start()
    begin, moments = _now(), player.script()
    player.watched.chunks = [player.happened(moments, begin)]
    await player.live(sdk, moments, begin, lossy=True)


async def crasher(stage: Stage, learner: Learner) -> None:
    player = Player(stage, learner)
    sdk = player.launch()
    await sdk.start()
    begin, moments = _now(), player.script()
    player.watched.chunks = [player.happened(moments, begin)]
    half = len(moments) // 2
    await player.live(sdk, moments[:half], begin, kept=2)
    left = sdk.crash()
    relaunched = player.launch()
    await relaunched.start()
    if left:
        await relaunched.late(left)
    await player.live(relaunched, moments[half:], begin)


async def tardy(stage: Stage, learner: Learner) -> None:
    player = Player(stage, learner)
    sdk = player.launch()
    await sdk.start()
    begin, moments = _now(), player.script()
    player.watched.chunks = [player.happened(moments, begin)]
    half = len(moments) // 2
    await player.live(sdk, moments[:half], begin, kept=2)
    left = sdk.crash()
    relaunched = player.launch()
    await relaunched.start()
    await player.live(relaunched, moments[half:], begin)
    if left:
        await relaunched.late(left)


async def twofold(stage: Stage, learner: Learner) -> None:
    await asyncio.gather(*(_on_device(stage, learner, device) for device in range(len(learner.uuids))))


async def _on_device(stage: Stage, learner: Learner, device: int) -> None:
    player = Player(stage, learner, device=device)
    sdk = player.launch()
    await sdk.start()
    begin, moments = _now(), player.script()
    player.watched.chunks.append(player.happened(moments, begin))
    await player.live(sdk, moments, begin)


async def offline(stage: Stage, learner: Learner) -> None:
    player = Player(stage, learner)
    for hours in (learner.random.uniform(12, 20), learner.random.uniform(2, 9)):
        messages, told = player.past(hours)
        player.watched.chunks.append(told)
        if learner.random.random() < 0.5:
            messages.insert(0, message(messages[0].at, mobile.UserId(learner.user_id)))
        half = len(messages) // 2
        sdk = player.launch()
        await sdk.start()
        if learner.random.random() < 0.5:
            await sdk.late(messages[:half])
            await sdk.late(messages[half:])
        else:
            sdk.tell(*messages)
            await sdk.flush()
        if learner.random.random() < 0.5:
            # The app died before it had taken the file away, and sends it once more.
            relaunched = player.launch()
            await relaunched.start()
            await relaunched.late(messages)


async def attendee(stage: Stage, learner: Learner) -> None:
    learner.room = f"{stage.prefix}-room"
    await skewed(stage, learner)


async def anonymous(stage: Stage, learner: Learner) -> None:
    player = Player(stage, learner, auth=False)
    player.watched.credited = False
    sdk = player.launch()
    await sdk.start()
    begin, moments = _now(), player.script()
    player.watched.chunks = [player.happened(moments, begin)]
    sdk.tell(message(sdk.clock_ms(), mobile.UserId(learner.user_id)))
    await player.live(sdk, moments, begin)


async def stranger(stage: Stage, learner: Learner) -> None:
    player = Player(stage, learner)
    player.watched.credited = False
    sdk = player.launch()
    await sdk.start()
    messages, told = player.past(learner.random.uniform(2, 20))
    player.watched.chunks = [told]
    await sdk.late([message(messages[0].at, mobile.UserId("somebody-else")), *messages])


async def ancient(stage: Stage, learner: Learner) -> None:
    player = Player(stage, learner)
    player.watched.credited = False
    sdk = player.launch()
    await sdk.start()
    messages, told = player.past(learner.random.uniform(26, 100))
    player.watched.chunks = [told]
    await sdk.late(messages)


async def garbler(stage: Stage, learner: Learner) -> None:
    player = Player(stage, learner)
    sdk = player.launch()
    await sdk.start()
    begin, moments = _now(), player.script()
    player.watched.chunks = [player.happened(moments, begin)]
    half = len(moments) // 2
    await player.live(sdk, moments[:half], begin, bads=True)
    cut = [message(sdk.clock_ms(), mobile.Log("info", "the last whole one"))]
    await sdk.late(cut, tail=b"\x64\x01\x80")
    learner.undecodable += 1
    await player.live(sdk, moments[half:], begin)
    await sdk.start()
    no_batch = b"\x64\x01\x05abc"
    status, text = await sdk.raw(no_batch)
    learner.expect("no batch", (_BAD_REQUEST, _first_offset(no_batch)), (status, json.loads(text).get("offset")))
    learner.expect("a forged token", _UNAUTHENTICATED, await sdk.forged(b""))


async def refused(stage: Stage, learner: Learner) -> None:
    if stage.none_project is None:
        return
    app = App(stage.none_project, learner.uuids[0], "Pixel 8", "android", auth=learner.token)
    sdk = Sdk(stage.http, stage.url, app, learner.random, stage.sent)
    learner.expect("outside the sample", [_FORBIDDEN] * REFUSED_TIMES, await sdk.refused(REFUSED_TIMES))


ACTS: Final[dict[str, Callable[[Stage, Learner], Awaitable[None]]]] = {
    act.__name__: act
    for act in (
        steady,
        skewed,
        resender,
        crasher,
        tardy,
        twofold,
        offline,
        attendee,
        anonymous,
        stranger,
        ancient,
        garbler,
        refused,
    )
}


def cast(tokens: list[tuple[str, str]], seed: int) -> list[Learner]:
    """Learners (id and token), each with an act in turn and chances of their own."""
    acts = list(ACTS)
    found: list[Learner] = []
    for place, (user_id, token) in enumerate(tokens):
        random = Random(f"{seed} {place}")
        uuids = [str(uuid.UUID(int=random.getrandbits(128), version=4)) for _ in range(2)]
        found.append(Learner(user_id, token, acts[place % len(acts)], random, uuids))
    return found


def _first_offset(data: bytes) -> int | None:
    try:
        read_batch(data)
    except Unframed as refused:
        return refused.offset
    return None


def _now() -> int:
    return round(time.time() * 1000)
