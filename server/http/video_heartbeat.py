"""`POST /api/v1/videos/engagement/heartbeat`: the door for players that only know where they are.

    claims -> body -> what is known of the content, and whether the learner may -> session -> mailbox -> journal -> 200

The heartbeat's time is its reception; the session's machine numbers it (`actors.machines.watch`). The answer is made
when the machine has taken it in, and leaves when that is durable.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final

import msgspec
from aiohttp import web

from actors.actor import Actor
from actors.figures.progress import percent
from actors.machines.effects import Effect, Refused
from actors.machines.events import Opened, Reported
from actors.machines.track import PAUSED, PLAYING
from actors.machines.watch import WatchSession
from actors.system import ActorSystem
from protocol.codes import HttpError
from protocol.rest import public_id, rfc3339
from protocol.types import canonical_id
from protocol.video import VideoHeartbeat, VideoHeartbeatAnswer, VideoHeartbeatBody
from server.auth import Claims
from server.catalog import ContentFacts
from server.desk import Denied
from server.http import bodies
from server.http.access import Access
from server.http.answers import Problem, encode, failed, invalid, of_denied, refusal_in, unavailable
from server.http.asking import WRITE_S, check_storage, in_time
from server.http.gating import Gate
from server.http.small import Small
from server.metrics import EdgeCounters
from server.simple_door import SimpleDoor, length_of, worked_of

PATH: Final = "/api/v1/videos/engagement/heartbeat"
TRIES: Final = 2
BEYOND_MS: Final = 1_000
"""A playhead may stand so far behind the end: lengths are rounded."""
EPOCH_MS_FROM: Final = 100_000_000_000
"""A time stamp below it is seconds, as in `protocol.loose`."""

_DECODER: Final = msgspec.json.Decoder(VideoHeartbeatBody)
_FULL: Final = "too much waits for this session: try again"


class VideoHeartbeats:
    """The handler. One a process."""

    def __init__(
        self, system: ActorSystem, door: SimpleDoor, gate: Gate, access: Access, counters: EdgeCounters
    ) -> None:
        self._system = system
        self._door = door
        self._gate = gate
        self._access = access
        self._samples = counters.samples("simple")
        self._held = bodies.Held()

    async def post(self, request: web.Request) -> web.Response:
        """Take one in; answers when it is durable."""
        check_storage(self._system)
        claims = await self._access.anybody(request)
        with self._held.hold(request) as holding:
            data = await bodies.read(request)
            holding.resize(len(data))
            body = understood(data)
            self._samples.taken += 1
            try:
                answer = await self._take(claims, body)
            except Denied as denied:
                self._samples.refused += 1
                raise of_denied(denied) from None
            except Problem:
                self._samples.refused += 1
                raise
            self._samples.acked += 1
        return Small(encode(answer))

    async def _take(self, claims: Claims, body: VideoHeartbeatBody) -> VideoHeartbeatAnswer:
        system, door = self._system, self._door
        now = system.clock.now()
        facts = await self._gate.content(claims, body.content_kind, canonical_id(body.content_id), now)
        report = report_of(body, facts, system.interval_ms)
        over = door.told_before((claims.user_id, facts.kind, facts.content_id), report, now)
        if over is not None:
            return _answer(door, over, facts)
        for _ in range(TRIES):
            actor, opened = await door.session(claims, facts, body.session_id, report)
            posting = Posting(door, facts)
            posting.send(system, actor, opened, report)
            try:
                return await in_time(posting.future, WRITE_S)
            except Problem:
                if not posting.session_over:
                    raise
        raise unavailable("the session is coming and going: try again")


class Posting:
    """What waits for a report (`actors.actor.Reply`)."""

    __slots__ = ("_answer", "_door", "_ended", "_facts", "_problem", "future", "session_over")

    def __init__(self, door: SimpleDoor, facts: ContentFacts) -> None:
        self.future: asyncio.Future[VideoHeartbeatAnswer] = asyncio.get_running_loop().create_future()
        self.session_over = False
        """The session ended before the report reached it: it belongs to the next one."""
        self._door = door
        self._facts = facts
        self._answer: VideoHeartbeatAnswer | None = None
        self._ended: WatchSession | None = None
        self._problem: Problem | None = None

    def send(self, system: ActorSystem, actor: Actor, opened: Opened | None, report: Reported) -> None:
        """Post its events. Raises `Problem` (503) where the session's mailbox is full."""
        if opened is not None and not system.post(actor, opened):
            raise unavailable(_FULL)
        if not system.post(actor, report, self):
            raise unavailable(_FULL)

    def stage(self, actor: Actor, effects: list[Effect], now: int) -> None:  # noqa: ARG002 - the protocol's
        """Make the answer of what the machine knows now."""
        self._problem = refusal_in(effects)
        if self._problem is None:
            self._answer = _answer(self._door, actor.watch, self._facts)
            self._ended = actor.watch if actor.watch.ended else None
        else:
            self.session_over = any(type(effect) is Refused and effect.code == "unknown_stream" for effect in effects)

    def release(self, effects: list[Effect]) -> None:  # noqa: ARG002 - the protocol's
        """It is durable."""
        if self._ended is not None:
            self._door.remember(self._ended)
        if self.future.done():
            return  # given up meanwhile
        if self._problem is not None:
            self.future.set_exception(self._problem)
        elif self._answer is not None:
            self.future.set_result(self._answer)
        else:
            self.future.set_exception(failed("the heartbeat could not be processed"))


def understood(data: bytes) -> VideoHeartbeatBody:
    """The body. Raises `Problem` (400): `INVALID_BODY` where it is no JSON, else the message names the field."""
    try:
        return _DECODER.decode(data)
    except msgspec.ValidationError as error:
        problem = invalid(bodies.named(str(error)))
    except RecursionError:
        problem = Problem(400, HttpError.INVALID_BODY, "nested too deeply - at `$`")
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        problem = Problem(400, HttpError.INVALID_BODY, f"not JSON: {error} - at `$`")
    if problem.error == HttpError.VALIDATION_FAILED:
        _check_json(data)
    raise problem


def _check_json(data: bytes) -> None:
    """What is broken behind a field that is wrong is no JSON all the same."""
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
        raise Problem(400, HttpError.INVALID_BODY, f"not JSON: {error} - at `$`") from None


def report_of(body: VideoHeartbeatBody, facts: ContentFacts, interval_ms: int) -> Reported:
    """The event. Raises `Problem` (400) for a playhead behind the end of what the catalog knows."""
    position = int(body.position_seconds * 1000 + 0.5)
    duration = facts.duration_ms
    if duration is not None and position > duration + BEYOND_MS:
        raise invalid(f"Expected at most the content's {duration / 1000:g} s - at `$.position_seconds`")
    if duration is None and body.duration_seconds is not None:
        duration = max(1, int(body.duration_seconds * 1000 + 0.5))
    return Reported(
        position,
        PAUSED if body.state == "paused" else PLAYING,
        1.0 if body.playback_rate is None else body.playback_rate,
        duration,
        stamp_ms(body.client_timestamp),
        body.ended is True,
        interval_ms,
    )


def stamp_ms(stamp: float | datetime | None) -> int:
    """A client's time stamp as Unix ms, -1 for none. One without a zone is taken for UTC: it is only compared."""
    if stamp is None:
        return -1
    if isinstance(stamp, datetime):
        moment = stamp if stamp.tzinfo is not None else stamp.replace(tzinfo=UTC)
        return max(0, int(moment.timestamp() * 1000 + 0.5))
    return int(stamp if stamp >= EPOCH_MS_FROM else stamp * 1000)


def _answer(door: SimpleDoor, session: WatchSession, facts: ContentFacts) -> VideoHeartbeatAnswer:
    state = session.state
    assert state is not None
    track = state.track
    figures = door.progress(session, facts)
    length = length_of(session, facts)
    started = min(state.opened_at, track.started_at) if track.started_at >= 0 else state.opened_at
    data = VideoHeartbeat(
        session_id=session.session_id,
        content_kind=facts.kind,
        content_id=public_id(facts.content_id),
        started_at=rfc3339(started) or "",
        last_heartbeat_at=rfc3339(state.heard_at) or "",
        ended_at=rfc3339(state.ended_at),
        position_seconds=track.position / 1000,
        max_position_seconds=max(state.furthest, figures.furthest, track.position) / 1000,
        watched_seconds=figures.watched / 1000,
        duration_seconds=None if length is None else length / 1000,
        completion_percent=percent(figures.covered, worked_of(session, facts)),
        completed=door.completed(session, facts, figures),
        replayed_seconds=figures.replayed / 1000,
        heartbeat_interval_seconds=track.told / 1000,
    )
    return VideoHeartbeatAnswer("Video engagement recorded", success=True, status_code=200, data=data)
