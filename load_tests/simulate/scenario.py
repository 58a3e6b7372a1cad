"""Who comes to the class and what each of them does, written before anything happens.

Pure: the same shape and seed give the same scripts.
Times are seconds of wall time since the class began to be acted. Every learner has one main behaviour, dealt out in
turn so that a class of fifty has each of them, and plays, pauses, seeks and hurries around it.
"""

from __future__ import annotations

from enum import StrEnum
from random import Random
from typing import Any, Final, Literal

import msgspec

from load_tests.simulate.names import names

SILENCE_INTERVALS: Final = 3.5
"""realtime.md, "Segments" rule 2."""
GRACE_SHARE_SHORT: Final = 0.4
"""A short drop is at most this share of the grace: well inside it on a slow machine."""
GRACE_SHARE_LONG: Final = 1.3
"""A long drop is at least this share of the grace."""
SETTLE_S: Final = 3.0
"""Kept free behind a drop that nobody returns from, so that its grace is over before the class is."""
LATE_MARGIN_S: Final = 1.5
"""Nobody arrives so near to the border between late and not late."""
QUICK_S: Final = 0.4
"""Between two acts of a learner."""


class Main(StrEnum):
    """What a learner is here to show."""

    STAY = "stay"
    SHORT_DROP = "short drop"
    OFFLINE = "offline"
    BLACKOUT = "blackout"
    SECOND_DEVICE = "second device"
    HTTP_PHASE = "http phase"
    HTTP_ONLY = "http only"
    HTTP_VANISH = "http vanish"
    LATE_DELIVERY = "late delivery"
    LEAVE = "leave"
    LEAVE_AND_RETURN = "leave and return"
    VANISH = "vanish"


class Arrival(StrEnum):
    """When they come."""

    EARLY = "early"
    ON_TIME = "on time"
    LATE = "late"


TrackName = Literal["room", "content"]


class Enter(msgspec.Struct, frozen=True, tag="enter"):
    """Join the room, or begin to watch the content."""

    track: TrackName = "room"


class Play(msgspec.Struct, frozen=True, tag="play"):
    track: TrackName = "room"


class Pause(msgspec.Struct, frozen=True, tag="pause"):
    track: TrackName = "room"


class Stall(msgspec.Struct, frozen=True, tag="stall"):
    """The player waits for data."""

    track: TrackName = "room"


class Seek(msgspec.Struct, frozen=True, tag="seek"):
    """Jump by `by_s` seconds of media; `told` says it with state `seeking`, else two playing samples say it."""

    by_s: float
    told: bool
    track: TrackName = "room"


class Hurry(msgspec.Struct, frozen=True, tag="rate"):
    """Change the playback rate."""

    rate: float
    track: TrackName = "room"


class Look(msgspec.Struct, frozen=True, tag="look"):
    """Bring the player to the foreground, or send it to the background."""

    visible: bool
    track: TrackName = "room"


class Cut(msgspec.Struct, frozen=True, tag="cut"):
    """The network is lost; the player plays on and keeps its samples unless it is `dark`."""

    dark: bool = False


class Restore(msgspec.Struct, frozen=True, tag="restore"):
    """The network is back."""


class UseHttp(msgspec.Struct, frozen=True, tag="use_http"):
    """No WebSocket gets through from here on."""


class UseSocket(msgspec.Struct, frozen=True, tag="use_socket"):
    """WebSockets get through again."""


class LeaveRoom(msgspec.Struct, frozen=True, tag="leave"):
    """Go on purpose."""


class Vanish(msgspec.Struct, frozen=True, tag="vanish"):
    """Go without a word, for good."""


Act = (
    Enter | Play | Pause | Stall | Seek | Hurry | Look | Cut | Restore | UseHttp | UseSocket | LeaveRoom | Vanish
)  # fmt: skip


class Step(msgspec.Struct, frozen=True):
    """An act and its time."""

    at_s: float
    act: Act


class DeviceScript(msgspec.Struct, frozen=True):
    """One device from its arrival on. After its last step it stays to the end, unless that was to go."""

    device_id: str
    encoding: Literal["json", "msgpack"]
    token_in_header: bool
    clock_skew_ms: int
    starts_by_http: bool
    steps: tuple[Step, ...]


class Lesson(msgspec.Struct, frozen=True):
    """A recorded content and its length."""

    name: str
    seconds: float


class LearnerScript(msgspec.Struct, frozen=True):
    """One learner: their devices' scripts in order of arrival."""

    user_id: str
    name: str
    metadata: dict[str, Any]
    arrival: Arrival
    main: Main
    content: Lesson | None
    """The recorded content that they watch beside the class."""
    devices: tuple[DeviceScript, ...]


class Shape(msgspec.Struct, frozen=True):
    """What a scenario is made from."""

    learners: int
    seconds: float
    seed: int
    watch_share: float
    grace_s: float
    late_grace_s: float
    heartbeat_s: float


class Scenario(msgspec.Struct, frozen=True):
    """The class. `scheduled_start_s` may lie before its first second: then the late border falls into it."""

    seconds: float
    beat_s: float
    scheduled_start_s: float
    learners: tuple[LearnerScript, ...]


def shortest_s(grace_s: float) -> float:
    """The shortest class in which a drop beyond the grace can be acted, with time before and after it."""
    return grace_s * 1.6 + 10.0


def write(shape: Shape) -> Scenario:
    """The scenario of this shape."""
    seconds = max(shape.seconds, shortest_s(shape.grace_s))
    border = _late_border(seconds, shape.late_grace_s)
    random = Random(shape.seed)
    called = names(random)
    mains = tuple(Main)
    learners: list[LearnerScript] = []
    for index in range(shape.learners):
        main = mains[index % len(mains)]
        writer = _Writer(shape, seconds, border, Random(random.getrandbits(64)))
        learners.append(writer.learner(index, main, next(called)))
    return Scenario(
        seconds, min(shape.heartbeat_s, max(0.5, seconds / 40)), border - shape.late_grace_s, tuple(learners)
    )


def _late_border(seconds: float, late_grace_s: float) -> float:
    """When late begins: by the schedule alone where the class is long enough for it, else a third into it."""
    from_start = late_grace_s + seconds * 0.05
    return from_start if from_start < seconds * 0.5 else seconds * 0.35


class _Writer:
    """Writes the scripts of one learner."""

    def __init__(self, shape: Shape, seconds: float, border: float, random: Random) -> None:
        self._shape = shape
        self._seconds = seconds
        self._border = border
        self._random = random
        self._turn = 0

    def learner(self, index: int, main: Main, name: str) -> LearnerScript:
        random = self._random
        self._turn = index // len(Main)
        arrival = self._arrival(index, main)
        watches = main is not Main.HTTP_ONLY and random.random() < self._shape.watch_share
        share = random.choice((0.4, 0.8, 1.5))
        lesson = Lesson(f"lesson-{share}", round(self._seconds * share, 3)) if watches else None
        user_id = f"{name.split(maxsplit=1)[0]}-{index}" if index % 2 else f"sim-{index}"
        metadata = {"name": name, "class": random.choice(["ক", "খ", "গ"])}
        devices = self._devices(main, self._comes_at(index, arrival), watches=watches)
        return LearnerScript(user_id, name, metadata, arrival, main, lesson, devices)

    # -- arriving -------------------------------------------------------------------------------------------------

    def _arrival(self, index: int, main: Main) -> Arrival:
        if index == 0:
            return Arrival.EARLY  # starts the room
        if main in {Main.OFFLINE, Main.BLACKOUT, Main.VANISH, Main.HTTP_VANISH}:
            return Arrival.ON_TIME  # what they do needs the time behind it
        return tuple(Arrival)[(index // len(Main) + index) % len(Arrival)]

    def _comes_at(self, index: int, arrival: Arrival) -> float:
        early = self._seconds * 0.05
        if index == 0:
            return 0.2
        if arrival is Arrival.EARLY:
            return self._random.uniform(1.0, max(1.1, early))
        if arrival is Arrival.ON_TIME:
            return self._random.uniform(early, max(early + 0.1, min(self._border, self._seconds * 0.2) - LATE_MARGIN_S))
        return self._random.uniform(self._border + LATE_MARGIN_S, self._border + LATE_MARGIN_S + self._seconds * 0.1)

    # -- devices --------------------------------------------------------------------------------------------------

    def _devices(self, main: Main, come: float, *, watches: bool) -> tuple[DeviceScript, ...]:
        phone, seconds, random = "phone", self._seconds, self._random
        skew = self._skew()
        if main is Main.SECOND_DEVICE:
            other = random.uniform(come + 2, seconds * 0.6)
            gone = Step(random.uniform(seconds * 0.7, seconds * 0.9), LeaveRoom() if skew else Vanish())
            return (
                self._device(phone, come, [], skew, watches=watches),
                self._device("tablet", other, [gone], self._skew()),
            )
        if main is Main.LEAVE_AND_RETURN:
            leave = random.uniform(max(come, seconds * 0.4) + 2, seconds * 0.6)
            back = random.uniform(leave + 3, seconds * 0.8)
            return (
                self._device(phone, come, [Step(leave, LeaveRoom())], skew, watches=watches),
                self._device(phone, back, [], skew),
            )
        if main is Main.BLACKOUT:
            return self._blackout(phone, come, skew, watches=watches)
        return (self._device(phone, come, self._main_steps(main, come), skew, watches=watches, main=main),)

    def _blackout(self, phone: str, come: float, skew: int, *, watches: bool) -> tuple[DeviceScript, ...]:
        """Go dark for longer than the grace, and resume where that is longer than the silence, too.

        Else the neighbouring samples of one session would prove the presence that the drop ended.
        """
        grace, seconds, random = self._shape.grace_s, self._seconds, self._random
        silence = SILENCE_INTERVALS * self._shape.heartbeat_s
        dark = random.uniform(come + 1.0, max(come + 1.1, seconds * 0.2))
        resumed = dark + max(silence * 1.15, grace * GRACE_SHARE_LONG) + 1
        if resumed < seconds * 0.85:
            back = random.uniform(resumed, seconds * 0.9)
            return (
                self._device(phone, come, [Step(dark, Cut(dark=True)), Step(back, Restore())], skew, watches=watches),
            )
        back = dark + grace * GRACE_SHARE_LONG + 1
        return (
            self._device(phone, come, [Step(dark, Vanish())], skew, watches=watches),
            self._device(phone, back, [], skew),
        )

    def _main_steps(self, main: Main, come: float) -> list[Step]:  # noqa: PLR0911 - one per behaviour
        grace, seconds, random = self._shape.grace_s, self._seconds, self._random
        early = max(come + 1.0, seconds * 0.2)
        last_drop = max(come + 1.0, seconds - grace - SETTLE_S)
        if main is Main.SHORT_DROP:
            first = random.uniform(max(come + 1, seconds * 0.3), seconds * 0.7)
            away = min(random.uniform(0.5, grace * GRACE_SHARE_SHORT), seconds * 0.2)
            return [Step(first, Cut()), Step(first + away, Restore())]
        if main is Main.OFFLINE:
            first = random.uniform(come + 1.0, early + 0.5)
            back = min(first + grace * GRACE_SHARE_LONG + 1, seconds * 0.95)
            return [Step(first, Cut()), Step(back, Restore())]
        if main is Main.HTTP_PHASE:
            first = random.uniform(max(come + 1, seconds * 0.3), seconds * 0.6)
            steps = [Step(first, UseHttp())]
            if self._turn % 2:
                steps.append(Step(first + seconds * 0.2, UseSocket()))
            return steps
        if main is Main.LATE_DELIVERY:
            return [Step(random.uniform(max(come + 1, seconds * 0.6), seconds * 0.75), Cut())]
        if main is Main.LEAVE:
            return [Step(random.uniform(max(come + 2, seconds * 0.5), seconds * 0.9), LeaveRoom())]
        if main in {Main.VANISH, Main.HTTP_VANISH}:
            return [Step(random.uniform(come + 1.0, max(come + 1.1, last_drop)), Vanish())]
        return []

    def _device(
        self,
        device_id: str,
        come: float,
        main_steps: list[Step],
        skew: int,
        *,
        watches: bool = False,
        main: Main | None = None,
    ) -> DeviceScript:
        gone = next((step.at_s for step in main_steps if isinstance(step.act, Vanish | LeaveRoom)), self._seconds)
        dark = [step.at_s for step in main_steps if step.act == Cut(dark=True)]
        until = dark[0] if dark else gone
        steps = [Step(come, Enter()), *self._playback(come, until, "room"), *main_steps]
        if watches:
            begin = min(come + 0.3, until - QUICK_S)
            steps += [Step(begin, Enter("content")), *self._playback(begin, until, "content")]
        steps.sort(key=lambda step: step.at_s)
        return DeviceScript(
            device_id=device_id,
            encoding=self._random.choice(("json", "msgpack")),
            token_in_header=self._random.random() < 0.3,
            clock_skew_ms=skew,
            starts_by_http=main in {Main.HTTP_ONLY, Main.HTTP_VANISH},
            steps=tuple(steps),
        )

    def _skew(self) -> int:
        """A third of the clocks are minutes off."""
        return (
            self._random.choice((-1, 1)) * self._random.randint(60_000, 900_000) if self._random.random() < 1 / 3 else 0
        )

    # -- playing --------------------------------------------------------------------------------------------------

    def _playback(self, begin: float, until: float, track: TrackName) -> list[Step]:
        """What happens at the player between arriving and going; times a little apart from each other."""
        random = self._random
        steps: list[Step] = []
        at = begin + random.uniform(0.05, 0.3)
        steps.append(Step(at, Play(track)))
        pace = max(QUICK_S, self._seconds / 14)
        while True:
            at += random.uniform(pace * 0.5, pace * 1.5)
            if at > until - QUICK_S:
                return [step for step in steps if step.at_s < until - 0.1]
            steps += self._act(at, pace, track)
            at = max(at, steps[-1].at_s)

    def _act(self, at: float, pace: float, track: TrackName) -> list[Step]:
        random = self._random
        later = at + random.uniform(pace * 0.3, pace)
        match random.choice(("pause", "stall", "seek", "seek", "rate", "look")):
            case "pause":
                return [Step(at, Pause(track)), Step(later, Play(track))]
            case "stall":
                return [Step(at, Stall(track)), Step(later, Play(track))]
            case "seek":
                by = random.choice((1, -1)) * random.uniform(5.0, 40.0)
                return [Step(at, Seek(round(by, 3), random.random() < 0.5, track))]
            case "rate":
                return [Step(at, Hurry(random.choice((0.5, 0.75, 1.0, 1.25, 1.5, 2.0)), track))]
            case _:
                return [Step(at, Look(visible=False, track=track)), Step(later, Look(visible=True, track=track))]
