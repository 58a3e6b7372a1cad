"""Acts one device's script with a real player, and records what was really done and when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, Final, assert_never

from load_tests.player import Player
from load_tests.simulate import record as rec
from load_tests.simulate import scenario as play
from load_tests.simulate.playhead import Playhead
from load_tests.simulate.stage import Stage, true_ms
from load_tests.simulate.truth import milliseconds
from protocol.client import Closed, ContentTarget, Fact, Refused, RoomTarget, Stream
from protocol.client.facts import Acked, Asked, ClockCompared, DoorChanged, Dropped, Held, IntervalTold, Left
from protocol.types import Content, PlayState

ENDS_BEFORE_S: Final = 0.2
"""Acts that a delay has pushed so near to the end of the class are left out."""


class _Part:
    """One stream of the device: what the player holds, where the playhead is, what is recorded."""

    def __init__(self, stream: Stream, playhead: Playhead, track: rec.Track) -> None:
        self.stream = stream
        self.playhead = playhead
        self.track = track


class DeviceActor:
    """One device from its arrival to its end."""

    def __init__(self, stage: Stage, learner: play.LearnerScript, script: play.DeviceScript, seed: int) -> None:
        self._stage = stage
        self._learner = learner
        self._script = script
        self._random = Random(seed)
        self._account = rec.Device(script.device_id)
        self._record = stage.record.learners[learner.user_id]
        self._record.devices.append(self._account)
        self._parts: dict[str, _Part] = {}
        self._by_ref: dict[int, _Part] = {}
        self._by_http = script.starts_by_http
        self._cut = self._dark = self._gone = False
        self._delay_s = 0.0
        self._next_beat_s = 0.0
        self._asked: dict[int, int] = {}
        self._at_end = False
        stage.arrives()
        self._acts: dict[type, Callable[[Any], Any]] = {
            play.Play: lambda act: self._turn(act.track, "playing"),
            play.Pause: lambda act: self._turn(act.track, "paused"),
            play.Stall: lambda act: self._turn(act.track, "buffering"),
            play.Hurry: self._hurry,
            play.Look: self._look,
            play.Seek: self._seek,
        }

    async def act(self) -> None:
        """The whole script, the end of the class, and what was kept until after it."""
        stage, script = self._stage, self._script
        await stage.until(script.steps[0].at_s)
        player = Player(
            stage.options.url,
            stage.mint(self._learner.user_id, "learner"),
            random=self._random,
            clock=lambda: true_ms() + script.clock_skew_ms,
            device_id=script.device_id,
            encoding=script.encoding,
            token_in_header=script.token_in_header,
            http=stage.http,
            by_http=script.starts_by_http,
            counters=stage.counters,
            listener=self._hear,
        )
        stage.acting += 1
        try:
            async with player:
                await self._steps(player)
                if not self._gone:
                    await self._finish(player)
        except (Refused, Closed) as error:
            self._record.problems.append(f"{script.device_id}: {error}")
        finally:
            for part in self._parts.values():
                part.track.sent = part.stream.kept.sent_seq
            self._arrive_at_end()
            stage.acting -= 1
            stage.gone += 1

    async def _steps(self, player: Player) -> None:
        for step in self._script.steps:
            at_s = step.at_s + self._delay_s
            if at_s > self._stage.seconds - ENDS_BEFORE_S:
                break
            await self._beat_until(at_s)
            await self._perform(player, step.act)
            if isinstance(step.act, play.Enter):  # a server that is away delays the rest of the script
                self._delay_s = max(self._delay_s, self._stage.now_s() - step.at_s)
            if self._gone:
                return
        await self._beat_until(self._stage.seconds)

    async def _beat_until(self, at_s: float) -> None:
        while self._next_beat_s < at_s:
            await self._stage.until(self._next_beat_s)
            if not self._dark:
                for part in self._parts.values():
                    self._sample(part)
            self._next_beat_s = self._stage.now_s() + self._beat_s()
        await self._stage.until(at_s)

    def _beat_s(self) -> float:
        """The script's beat, stretched as much as the server has stretched its interval."""
        usual = self._stage.options.heartbeat_seconds
        told = max((part.stream.heartbeat_interval for part in self._parts.values()), default=usual)
        return self._stage.beat_s * max(1.0, told / usual)

    # -- acts -----------------------------------------------------------------------------------------------------

    async def _perform(self, player: Player, act: play.Act) -> None:
        simple = self._acts.get(type(act))
        if simple is not None:
            simple(act)
            return
        match act:
            case play.Enter():
                await self._enter(player, act.track)
            case play.LeaveRoom():
                await self._leave()
            case play.Vanish():
                await self._vanish(player)
            case _:
                self._network(player, act)

    def _network(self, player: Player, act: play.Act) -> None:
        match act:
            case play.Cut(dark=dark):
                player.cut()
                self._cut, self._dark = True, dark
                for part in self._parts.values():
                    if dark:
                        part.playhead.stop_clock(true_ms())
            case play.Restore():
                self._restore(player)
            case play.UseHttp():
                self._by_http = True
                player.use_http()
                self._sample_all()
            case play.UseSocket():
                self._by_http = False
                player.use_socket()
                self._sample_all()
            case _:
                message = f"no such act: {act}"
                raise TypeError(message)

    def _restore(self, player: Player) -> None:
        for part in self._parts.values():
            if self._dark:
                part.playhead.start_clock(true_ms())
        self._cut = self._dark = False
        player.restore()
        self._sample_all()

    async def _enter(self, player: Player, name: play.TrackName) -> None:
        lesson, room = self._learner.content, self._stage.record.room
        if name == "content":
            if lesson is None:
                return
            content = Content(self._stage.options.content_kind, f"{room}-{lesson.name}")
            target: RoomTarget | ContentTarget = ContentTarget(content, lesson.seconds)
            track = rec.Track("content", lesson.seconds)
        else:
            target = RoomTarget(room, self._learner.metadata)
            track = rec.Track("room")
        stream = player.open(target)
        duration = None if track.duration is None else milliseconds(track.duration)
        part = _Part(stream, Playhead(true_ms(), duration), track)
        self._by_ref[stream.ref] = part
        if not stream.by_http:
            try:
                await stream.held()
            except Refused as refusal:
                self._record.problems.append(f"{name}: {refusal}")
                if name == "content":  # the class goes on without the lesson
                    return
                raise
            part.playhead = Playhead(true_ms(), duration)
        self._account.tracks[name] = track
        self._parts[name] = part

    def _turn(self, name: str, state: PlayState) -> None:
        part = self._parts.get(name)
        if part is not None and not self._dark:
            part.playhead.turn(true_ms(), state=state)
            self._sample(part)

    def _hurry(self, act: play.Hurry) -> None:
        part = self._parts.get(act.track)
        if part is not None and not self._dark:
            part.playhead.turn(true_ms(), rate=act.rate)
            self._sample(part)

    def _look(self, act: play.Look) -> None:
        part = self._parts.get(act.track)
        if part is not None and not self._dark:
            part.playhead.visible = act.visible
            self._sample(part)

    def _seek(self, act: play.Seek) -> None:
        part = self._parts.get(act.track)
        if part is None or self._dark:
            return
        self._sample(part, state="seeking" if act.told else None)
        part.playhead.jump(true_ms(), milliseconds(act.by_s))
        self._sample(part)

    async def _leave(self) -> None:
        self._sample_all()
        try:
            async with asyncio.timeout(self._stage.options.read_back_seconds):
                for part in list(self._parts.values())[::-1]:
                    await part.stream.leave()
        except TimeoutError:
            self._record.problems.append(f"{self._script.device_id}: could not leave")
        self._gone = True

    async def _vanish(self, player: Player) -> None:
        if self._by_http:  # a session whose id was never told could not be read back
            for part in self._parts.values():
                await part.stream.held()
        player.vanish()
        self._gone = True

    async def _finish(self, player: Player) -> None:
        """The class is over: be acknowledged, stay until the room ends, deliver what was kept until now."""
        if self._dark:
            self._restore(player)
        self._sample_all()
        if not self._cut:
            await self._acknowledged()
        self._arrive_at_end()
        await self._stage.ended.wait()
        if self._cut:
            player.restore()
            await self._acknowledged()

    def _arrive_at_end(self) -> None:
        if not self._at_end:
            self._at_end = True
            self._stage.at_end()

    async def _acknowledged(self) -> None:
        try:
            async with asyncio.timeout(self._stage.options.read_back_seconds):
                for part in self._parts.values():
                    await part.stream.acknowledged()
        except TimeoutError:
            owed = sum(len(part.stream.kept) for part in self._parts.values())
            self._record.problems.append(f"{self._script.device_id}: {owed} samples were never acknowledged")

    # -- the record -----------------------------------------------------------------------------------------------

    def _sample_all(self) -> None:
        if not self._dark:
            for part in self._parts.values():
                self._sample(part)

    def _sample(self, part: _Part, state: PlayState | None = None) -> None:
        head = part.playhead
        position = head.position_ms(true_ms()) / 1000
        state = state or head.state
        sample = part.stream.sample(position, state, rate=head.rate, visible=head.visible, duration=part.track.duration)
        at = sample.at - self._script.clock_skew_ms
        part.track.told.append(rec.Told(sample.seq, at, position, state, head.rate, head.visible, self._by_http))

    def _hear(self, fact: Fact) -> None:
        now = true_ms()
        match fact:
            case Asked():
                self._asked.setdefault(fact.ref, now)
            case Held():
                self._held(fact, now)
            case Dropped():
                self._dropped(fact, now)
            case Acked():
                self._by_ref[fact.ref].track.acked[fact.session_id] = fact.seq
            case IntervalTold():
                track = self._by_ref[fact.ref].track
                track.interval_s = max(track.interval_s, fact.interval_s)
            case ClockCompared():
                self._stage.record.compare_clock(fact.server_ms, fact.round_trip_s, now)
            case Left():
                track = self._by_ref[fact.ref].track
                track.left_at = now
                _close(track, now, "left")
            case DoorChanged():
                pass  # the script's own doing
            case _:
                assert_never(fact)

    def _held(self, fact: Held, now: int) -> None:
        part = self._by_ref[fact.ref]
        track = part.track
        if not track.sessions or track.sessions[-1][0] != fact.session_id:
            track.sessions.append((fact.session_id, part.stream.kept.acked_seq + 1))
        if fact.late is not None:
            track.late = fact.late
        asked = self._asked.pop(fact.ref, now)
        if not fact.by_http:
            _close(track, now, "cut")
            track.holds.append(rec.Hold(asked, now))
            self._stage.record.found_server(now)

    def _dropped(self, fact: Dropped, now: int) -> None:
        if self._stage.ended.is_set():
            return  # nothing counts any more
        for part in self._by_ref.values():
            _close(part.track, now, "cut" if fact.ours else "lost")
        if not fact.ours:
            self._stage.record.lost_server(now)


def _close(track: rec.Track, now: int, ending: rec.Ending) -> None:
    if track.holds and track.holds[-1].ending == "open":
        track.holds[-1].until = now
        track.holds[-1].ending = ending
