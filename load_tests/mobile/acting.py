"""What learners with apps do, act by act, and what was true of it (mobile-ingest.md, "What it means here", readings).

| act | what the server must make of it |
| --- | --- |
| `steady` | a class or content named at start; heartbeats become watch time, pictures are kept once |
| `skewed` | the device's clock is hours off; each event names its content |
| `laggard` | the request of its start takes seconds to arrive; no sample is bent by it |
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
import uuid
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from load_tests.mobile.playing import Learner, Player, Stage, now_ms
from load_tests.mobile.sdk import App, Sdk
from protocol import mobile
from protocol.mobile import Unframed, message, read_batch

REFUSED_TIMES: Final = 8
_BAD_REQUEST: Final = 400
_FORBIDDEN: Final = 403
_UNAUTHENTICATED: Final = 401


async def steady(stage: Stage, learner: Learner) -> None:
    player = Player(stage, learner, named_at_start=True)
    sdk = player.launch()
    await sdk.start()
    picture = f"{learner.random.getrandbits(64):016x}"
    await sdk.image(picture)
    await sdk.image(picture)
    await sdk.start(resume=True)
    learner.expect("a resumed session", 1, len(set(sdk.launch.sessions)))
    begin, moments = now_ms(), player.script()
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
    begin, moments = now_ms(), player.script()
    player.watched.chunks = [player.happened(moments, begin)]
    await player.live(sdk, moments, begin)


async def laggard(stage: Stage, learner: Learner) -> None:
    await skewed(stage, learner)


async def resender(stage: Stage, learner: Learner) -> None:
    player = Player(stage, learner)
    sdk = player.launch()
    await sdk.start()
    begin, moments = now_ms(), player.script()
    player.watched.chunks = [player.happened(moments, begin)]
    await player.live(sdk, moments, begin, lossy=True)


async def crasher(stage: Stage, learner: Learner) -> None:
    player = Player(stage, learner)
    sdk = player.launch()
    await sdk.start()
    begin, moments = now_ms(), player.script()
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
    begin, moments = now_ms(), player.script()
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
    begin, moments = now_ms(), player.script()
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
    begin, moments = now_ms(), player.script()
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
    begin, moments = now_ms(), player.script()
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
        laggard,
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
