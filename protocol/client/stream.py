"""One user's stream into one room or content: samples go in here, the doors see to it that they arrive.

lesson = await client.watch("video", "7")
lesson.playing(lesson.resume_position)      # from here on the heartbeats go by themselves
lesson.seek(120.0)
lesson.paused()
await lesson.leave()                        # once everything is acknowledged
"""

from __future__ import annotations

import asyncio

from protocol.client.context import ContentTarget, Context, RoomTarget
from protocol.client.delivery import Delivery
from protocol.client.errors import BufferFull, Refused
from protocol.client.kept import Kept
from protocol.client.playhead import Playhead, Position, checked
from protocol.codes import ErrorCode
from protocol.sample import Sample
from protocol.types import PlayState


class Stream(Delivery):
    """What `Client.watch` gives, and what `RoomStream` adds to. Made by a client, not by hand.

    `session_id`: the session on the server, once it is known: name it to go on with the session in another life of
    this program. `resume_position`: where to continue, seconds. `coverage`: share of the content played so far, 0..1.
    `late`: whether the user came late to the class. `heartbeat_interval`: seconds, as the server wishes.
    """

    def __init__(
        self, ref: int, target: RoomTarget | ContentTarget, context: Context, kept: Kept, session_id: str | None
    ) -> None:
        super().__init__(ref, target, context, kept, session_id)
        self._head = Playhead()
        self._duration = target.duration if isinstance(target, ContentTarget) else None
        self._beat: asyncio.TimerHandle | None = None
        self._sampled_at = 0.0

    # Telling where the playhead is. Each of these sends a sample at once and keeps the heartbeat going. All raise
    # `BufferFull` (this sample is not kept; the next heartbeat that finds room tells where it is), `ValueError` (a
    # position or rate that cannot be), and `Refused` or `Closed` once the stream is over.

    def playing(self, position: Position | None = None, *, rate: float | None = None) -> None:
        """It plays, from `position` (seconds) at `rate`: the client works out where it is at each heartbeat.

        `position` may be a function instead, `() -> seconds`, which is asked at each heartbeat. Left out: it goes on
        from where it was.
        """
        self._turn("playing", position, rate)

    def paused(self, position: Position | None = None) -> None:
        """It stands still. Heartbeats go on, and say so."""
        self._turn("paused", position)

    def buffering(self, position: Position | None = None) -> None:
        """It waits for data."""
        self._turn("buffering", position)

    def ended(self, position: Position | None = None) -> None:
        """The media is over: the heartbeats end. `playing` begins again; `leave` ends the session."""
        self._turn("ended", position)

    def seek(self, to: float) -> None:
        """The playhead is about to jump `to` (seconds): call this before the player is moved."""
        checked(to)
        state = self._head.state or "paused"
        now = asyncio.get_running_loop().time()
        self.sample(self._head.position(now), "seeking", rate=self._head.rate, visible=self._head.visible)
        if not self._head.asks:
            self._head.turn(state, to, None, now)
        self.sample(to, state, rate=self._head.rate, visible=self._head.visible)

    def hidden(self) -> None:
        """The page or app went to the background."""
        self._look(visible=False)

    def visible(self) -> None:
        """It is in the foreground, as it is taken to be at first."""
        self._look(visible=True)

    def sample(
        self,
        position: float,
        state: PlayState,
        *,
        rate: float = 1.0,
        visible: bool = True,
        duration: float | None = None,
    ) -> Sample:
        """Number, stamp and keep one sample by hand, and send it as soon as a door is open."""
        if self.failure is not None:
            raise self.failure
        if self.observing:
            raise Refused(ErrorCode.FORBIDDEN, "an observer plays nothing")
        if self.leaving:
            raise Refused(ErrorCode.UNKNOWN_STREAM, "this stream is being left")
        sample = self.kept.add(
            lambda seq: Sample(
                seq=seq,
                at=self._context.clock(),
                position=position,
                state=state,
                rate=None if rate == 1.0 else rate,
                duration=self._duration if duration is None else duration,
                visible=None if visible else False,
            )
        )
        self._context.counters.samples += 1
        self._beat_again()
        self._context.nudge()
        return sample

    # Waiting for the server.

    @property
    def unacknowledged(self) -> int:
        """Samples that the server has not promised to keep yet."""
        return len(self.kept)

    async def held(self) -> None:
        """Wait until the server holds the session. Raises `Refused`, `Closed`."""
        await self.reached(lambda: self.session_id is not None and (self.number is not None or self.by_http))

    async def acknowledged(self, seq: int | None = None) -> None:
        """Wait until `seq`, or all that was sampled so far, is durable. Raises `Refused`, `Closed`."""
        await self.reached(lambda: self.numbered or not self.kept)
        wanted = self.kept.last_seq if seq is None else seq
        await self.reached(lambda: self.kept.acked_seq >= wanted or not self.kept)

    async def leave(self) -> None:
        """Go on purpose, once everything kept is acknowledged: no grace. Raises `Refused`, `Closed`."""
        self.leaving = True
        self.over()
        self._context.nudge()
        await self.reached(lambda: self.left)

    # The heartbeat.

    def _turn(self, state: PlayState, position: Position | None, rate: float | None = None) -> None:
        where = self._head.turn(state, position, rate, asyncio.get_running_loop().time())
        try:
            self._sample_head(where)
        except BufferFull:
            self._beat_again()  # the next heartbeat that finds room tells it
            raise

    def _look(self, *, visible: bool) -> None:
        self._head.visible = visible
        if self._head.state is not None:
            self._turn(self._head.state, None)

    def _sample_head(self, position: float) -> None:
        head = self._head
        assert head.state is not None
        self.sample(position, head.state, rate=head.rate, visible=head.visible)
        if head.state == "ended":
            self.over()

    def _beat_again(self) -> None:
        if self._head.state is None:
            return  # sampled by hand
        self._sampled_at = asyncio.get_running_loop().time()
        self._schedule()

    def _schedule(self) -> None:
        if self._beat is not None:
            self._beat.cancel()
        loop = asyncio.get_running_loop()
        self._beat = loop.call_at(self._sampled_at + self.heartbeat_interval, self._on_beat)

    def told_interval(self, interval_s: float) -> None:
        """The server wants a heartbeat every `interval_s` seconds: the next one already."""
        super().told_interval(interval_s)
        if self._beat is not None:
            self._schedule()

    def over(self) -> None:
        """The heartbeats end."""
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None

    def _on_beat(self) -> None:
        try:
            self._sample_head(self._head.position(asyncio.get_running_loop().time()))
        except BufferFull:
            self._context.counters.left_out += 1
            self._beat_again()
        except Exception as error:  # noqa: BLE001 - the player's own function raised
            self.over()
            told = {"message": "no heartbeats any more: the position cannot be told", "exception": error}
            asyncio.get_running_loop().call_exception_handler(told)
