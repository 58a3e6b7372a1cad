"""A learner in an app that shows one content or room: what they do there, and what was true of it."""

from __future__ import annotations

import asyncio
import json
import time
from random import Random
from typing import Any, Final

import aiohttp
import msgspec

from load_tests.mobile.chatter import activity, bad, noise
from load_tests.mobile.script import Moment, watching
from load_tests.mobile.sdk import App, Launch, Sdk, Sent
from load_tests.mobile.truth import Watched
from load_tests.simulate.record import Told
from protocol import mobile
from protocol.mobile import Message, message, read_batch, write_batch

DURATION_S: Final = 3600
"""Longer than anybody comes: a real player does not play past the end."""
STEP_S: Final = 1.0
PAST_STEP_S: Final = 10.0
FLUSH_MOMENTS: Final = 3
HOUR_MS: Final = 3_600_000
LAG_MS: Final = 2_200
"""A slow start: over the second and a half that a pair of samples may be bent by, under what a kept time may be off."""
KIND: Final = "lesson"


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
            start_lag_ms=LAG_MS if learner.act == "laggard" else 0,
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
        begin = now_ms() - round(hours * HOUR_MS)
        moments = watching(self.random, seconds=600, step_s=PAST_STEP_S, duration_s=DURATION_S)
        return [each for moment in moments for each in self.messages(moment, begin)], self.happened(moments, begin)


def now_ms() -> int:
    """True Unix ms."""
    return round(time.time() * 1000)
