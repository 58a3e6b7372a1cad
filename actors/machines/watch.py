"""A watch session: one learner, one content (realtime.md, "Watch session").

    nothing --Opened--> open --Left | Reported, ended | 30 minutes without a sample--> ended

A sample for a session that is over is refused (`unknown_stream`); whoever sent it begins another session.

Reports (the simple door) have no numbers. Where their client stamps them, one that comes again, or was overtaken by a
later one, changes nothing:

    stamp > the last one taken                               taken
    stamp = the last one                                     a repeat
    stamp < the last one, the first such                     overtaken: passed over
    stamp < the last one, > the one passed over before it    two that rise: its clock was set back; taken
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from actors.machines.clock import ClientClock
from actors.machines.effects import JOURNAL, Acked, Effect, Refused, SessionEnded, SessionOpened, Taken
from actors.machines.events import Event, Forgotten, Left, Opened, Placed, Reported, Resumed, RoomPlaced, Sampled, Tick
from actors.machines.placing import Window
from actors.machines.rows import RedoneRow, Rows, SegmentRow, SessionRow
from actors.machines.track import TooOld, Track

IDLE_MS: Final = 30 * 60 * 1000
NEVER: Final = 2**62
REPEAT_MS: Final = 60_000
"""So long after its end a session knows what was told before it for what it is."""
TAKEN: Final = Taken()
MOBILE: Final = "mobile"
"""The door of sessions whose samples come in batches of mobile SDKs, in any order."""


class WatchState(msgspec.Struct, array_like=True):
    """The snapshot of a watch session."""

    user_id: str
    kind: str
    content_id: str
    device_id: str
    door: str
    opened_at: int
    heard_at: int
    """Reception of the last sample, or the opening."""
    track: Track
    ended_at: int | None = None
    superseded: bool = False
    """A later session took its place under (learner, device): posts that name no session go there."""
    prior: list[int] = []
    """What the learner's earlier sessions had covered when this one began."""
    completed: bool = False
    """The learner had completed the content before."""
    furthest: int = 0
    """The furthest playhead of the reports."""
    told_at: int = -1
    """The client's time stamp of the last report that was taken; -1 where it sends none."""
    passed_over: int = -1
    """That of the last report that was passed over as overtaken."""
    window: Window | None = None
    """Where samples may come in any order: the latest of them."""

    @property
    def takes_numbers(self) -> bool:
        """It is open, and its samples are numbered by their client: not one of the mobile door."""
        return self.ended_at is None and self.window is None

    def settle(self) -> None:
        """The rows of this state are in the store."""
        self.track.closed.clear()
        if self.window is not None:
            self.window.settled()

    def written(self, numbers: set[int], redone: list[RedoneRow]) -> None:
        """Those closed segments are in the store, and those of `redone` that are no more have gone from it.

        What was worked out anew since then is written with the next checkpoint.
        """
        window = self.window
        if window is not None and window.redone_from and [row.fold for row in redone] != [window.folds]:
            return
        self.track.forget(numbers)
        if window is not None:
            window.settled()


def place(state: WatchState, event: Placed | RoomPlaced, now: int, until: int | None = None) -> list[int] | None:
    """Take in samples that come in any order; None where nothing was new, else the ranges they prove (see `fold`)."""
    if state.window is None:
        state.window = Window.of(state.track)
    proofs: list[int] = []
    track = state.window.place(state.track, event.samples, now, until, proofs, lag=event.lag, since=event.since)
    if track is None:
        return None
    state.track = track
    return proofs


class WatchRules(msgspec.Struct, frozen=True):
    """What an operator may set."""

    completion_threshold: float = 0.95
    idle_ms: int = IDLE_MS


class WatchSession:
    """The machine. `state` is None until `Opened`; `wake_at` is when it wants a `Tick`, or earlier (Unix ms)."""

    def __init__(self, session_id: str, state: WatchState | None, rules: WatchRules) -> None:
        self.session_id = session_id
        self.state = state
        self._rules = rules
        self.wake_at = NEVER if state is None else state.heard_at + rules.idle_ms
        self._handlers: dict[type[Event], Callable[[Any, int], list[Effect]]] = {
            Sampled: self._sampled,
            Reported: self._reported,
            Placed: self._placed,
            Opened: self._opened,
            Resumed: self._resumed,
            Left: self._left,
            Forgotten: self._forgotten,
            Tick: self._tick,
        }

    def part(self) -> None:
        """It is put away and takes nothing more: what points back at it goes, so that it needs no collector."""
        self._handlers.clear()

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.state is not None and self.state.ended_at is not None

    def step(self, event: Event, now: int) -> list[Effect]:
        """Take one input at server time `now` (Unix ms); time's own consequences come first."""
        state = self.state
        if state is not None and state.ended_at is None and now >= state.heard_at + self._rules.idle_ms:
            self._end(state.track.at if state.track.at >= 0 else state.opened_at)
            return [JOURNAL, SessionEnded(self.session_id), *self._handlers[type(event)](event, now)]
        return self._handlers[type(event)](event, now)

    # -- inputs -------------------------------------------------------------------------------------------------------

    def _sampled(self, event: Sampled, now: int) -> list[Effect]:
        state = self.state
        if state is None or state.ended_at is not None:
            return [Refused("unknown_stream", "the session has ended: watch again")]
        track = state.track
        try:
            fresh = track.fold(event.sent_at, event.samples, now)
        except TooOld as error:
            return [Refused("too_old", str(error))]
        interval = track.tell(event.interval)
        if not fresh:
            return (
                [JOURNAL, Acked(self.session_id, track.last_seq, interval)]
                if interval
                else [Acked(self.session_id, track.last_seq)]
            )
        state.heard_at = now
        return [JOURNAL, Acked(self.session_id, track.last_seq, interval)]

    def _placed(self, event: Placed, now: int) -> list[Effect]:
        state = self.state
        if state is None or state.ended_at is not None or state.door != MOBILE:
            return [Refused("unknown_stream", "the session has ended: watch again")]
        fresh = place(state, event, now) is not None
        interval = state.track.tell(event.interval)
        acked = Acked(self.session_id, state.track.last_seq, interval)
        if fresh:
            state.heard_at = now
        return [JOURNAL, acked] if fresh or interval else [acked]

    def _reported(self, event: Reported, now: int) -> list[Effect]:
        state = self.state
        if state is None or (state.ended_at is not None and not self.knows(event, now)):
            return [Refused("unknown_stream", "the session has ended: watch again")]
        if state.ended_at is not None or self._is_repeat(event):
            return []
        if self._is_overtaken(event):
            state.passed_over = event.told_at
            return [JOURNAL, TAKEN]
        self._take_report(state, event, now)
        if event.ended:
            self._end(now)
            return [JOURNAL, TAKEN, SessionEnded(self.session_id)]
        return [JOURNAL, TAKEN]

    def knows(self, event: Reported, now: int) -> bool:
        """Whether a session that is over has heard this before, or something later: its answer was lost."""
        state = self.state
        if state is None or state.ended_at is None or now - state.ended_at > REPEAT_MS:
            return False
        if event.told_at >= 0:
            return event.told_at <= state.told_at
        return event.ended and state.told_at < 0 and event.position == state.track.position

    def _is_repeat(self, event: Reported) -> bool:
        state = self.state
        return state is not None and event.told_at >= 0 and event.told_at in (state.told_at, state.passed_over)

    def _is_overtaken(self, event: Reported) -> bool:
        state = self.state
        assert state is not None
        if not 0 <= event.told_at < state.told_at:
            return False
        return state.passed_over < 0 or event.told_at < state.passed_over

    def _take_report(self, state: WatchState, event: Reported, now: int) -> None:
        track = state.track
        track.tell(event.interval)
        track.receive(event.position, event.state, event.rate, event.duration, now)
        state.heard_at = now
        state.furthest = max(state.furthest, event.position)
        if event.told_at >= 0:
            state.told_at = event.told_at
            state.passed_over = -1

    def _opened(self, event: Opened, now: int) -> list[Effect]:
        if self.state is not None:
            return [Refused("not_found", "session_id is taken")]
        track = Track(event.interval, ClientClock(), told=event.interval, duration=event.duration)
        self.wake_at = now + self._rules.idle_ms
        self.state = WatchState(
            event.user_id,
            event.kind,
            event.content_id,
            event.device_id,
            event.door,
            now,
            now,
            track,
            prior=event.prior,
            completed=event.completed,
        )
        return [JOURNAL, self._answer(resumed=False)]

    def _resumed(self, event: Resumed, now: int) -> list[Effect]:
        state = self.state
        if state is None or state.ended_at is not None:
            return [Refused("unknown_stream", "the session has ended: watch again")]
        state.track.tell(event.interval)
        if event.duration is not None:
            state.track.duration = event.duration
        return [JOURNAL, self._answer(resumed=True)]

    def _answer(self, *, resumed: bool) -> SessionOpened:
        assert self.state is not None
        track = self.state.track
        return SessionOpened(self.session_id, resumed, track.last_seq, track.position, track.coverage_share())

    def _left(self, event: Left, now: int) -> list[Effect]:
        if self.state is None or self.state.ended_at is not None:
            return []
        self._end(now)
        return [JOURNAL, SessionEnded(self.session_id)]

    def _forgotten(self, event: Forgotten, now: int) -> list[Effect]:
        """As if it never had been: nothing is written any more, and the snapshot goes."""
        if self.state is None or self.state.user_id != event.user_id:
            return []
        self.state, self.wake_at = None, NEVER
        return [JOURNAL, SessionEnded(self.session_id)]

    def _tick(self, event: Tick, now: int) -> list[Effect]:
        # Heartbeats do not move `wake_at`; it is put right when it rings.
        state = self.state
        self.wake_at = NEVER if state is None or state.ended_at is not None else state.heard_at + self._rules.idle_ms
        return []

    def _end(self, at: int) -> None:
        assert self.state is not None
        self.state.track.close()
        self.state.ended_at = at

    # -- writing ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> WatchState | None:
        """All that a rebuilt actor needs; None once it is over and nothing is left to write."""
        return None if self.ended else self.state

    def settle(self) -> None:
        """The state comes out of the store, whose rows were written with it: nothing of it waits to be written."""
        if self.state is not None:
            self.state.settle()

    def rows(self) -> Rows:
        """What a checkpoint writes now."""
        state = self.state
        if state is None:
            return Rows()
        session = session_row(self.session_id, state, None, self._rules.completion_threshold)
        redone = redone_rows(self.session_id, state)
        return Rows(sessions=[session], segments=segment_rows(self.session_id, state, None), redone=redone)

    def written(self, rows: Rows) -> None:
        """Those rows are durable: forget the closed segments among them."""
        if self.state is not None:
            self.state.written({row.segment.number for row in rows.segments if not row.open}, rows.redone)

    def unwritten(self, rows: Rows) -> None:
        """Those rows did not become durable; nothing was forgotten yet."""


def segment_rows(session_id: str, state: WatchState, room_id: str | None) -> list[SegmentRow]:
    """Segments that the store does not have as they stand."""
    kind, content = (None, None) if room_id is not None else (state.kind, state.content_id)
    rows = [
        SegmentRow(session_id, state.user_id, kind, content, room_id, segment, open=False)
        for segment in state.track.closed
    ]
    growing = state.track.open_copy()
    if growing is not None:
        rows.append(SegmentRow(session_id, state.user_id, kind, content, room_id, growing, open=True))
    return rows


def redone_rows(session_id: str, state: WatchState) -> list[RedoneRow]:
    """From which segment on the store may have other ones than these."""
    window = state.window
    if window is None or not window.redone_from:
        return []
    return [RedoneRow(session_id, state.user_id, window.redone_from, window.folds)]


def session_row(session_id: str, state: WatchState, room_id: str | None, threshold: float) -> SessionRow:
    """The session's figures so far."""
    track = state.track
    open_segment = track.credit_open()
    started = min(state.opened_at, track.started_at) if track.started_at >= 0 else state.opened_at
    return SessionRow(
        session_id=session_id,
        user_id=state.user_id,
        kind=None if room_id is not None else state.kind,
        content_id=None if room_id is not None else state.content_id,
        room_id=room_id,
        device_id=state.device_id,
        door=state.door,
        started_at=started,
        ended_at=state.ended_at,
        last_sample_at=track.at if track.at >= 0 else None,
        last_seq=track.last_seq,
        first_seq_at=track.first_seq_at if track.first_seq_at >= 0 else None,
        position=track.position,
        duration=track.duration,
        watch_ms=track.watch_ms + (open_segment.wall_ms if open_segment else 0),
        content_ms=track.content_ms + (open_segment.content_ms if open_segment else 0),
        covered_ms=track.covered_ms(),
        coverage=track.coverage_share(),
        completed=track.completed(threshold),
    )
