"""Histories for the properties, drawn at the boundaries."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Final

from hypothesis import strategies as st

from tests.machines.builders import GRACE, INTERVAL, MIN, SEC, SILENCE
from tests.machines.spec import DAY, Happened, Message, Told

RATES: Final = [Fraction(1), Fraction(1), Fraction(1, 2), Fraction(5, 4), Fraction(2), Fraction(16)]
WALLS: Final = [0, 1, 499, 500, 501, 1_000, 5_000, 9_999, INTERVAL, 20_000, SILENCE - 1, SILENCE, SILENCE + 1, 70_001]
CLAIMS: Final = ["fair", "fair", "fair", "limit", "limit+1", "0", "-1", "499", "500", "501", "1000", "3000", "back"]
GREEDY_WALLS: Final = [0, 0, 1, 499, 500, 1_000, 1_000, 20_000]
GREEDY_CLAIMS: Final = ["limit", "limit", "limit", "fair", "500"]
DELAYS: Final = [0, 0, 0, 1, 499, 1_999, 2_000, 2_001, 60_000, 60_001, 5 * MIN, DAY - 1, DAY, DAY + 1]
SKEWS: Final = [0, 0, 0, 0, -2_001, -2_000, 2_000, 2_001, 5_000, -5_000, -5_400, 3_600_000, -3_600_000]
PAUSES: Final = [0] * 12 + [1, 30 * MIN - 1, 30 * MIN]


@st.composite
def told(draw: st.DrawFn) -> list[tuple[Told, int]]:
    """A client's samples, each with the true time at which it was taken; a greedy one claims what each pair allows."""
    manner = draw(st.sampled_from(["any", "any", "any", "greedy", "clock set back"]))
    greedy = manner == "greedy"
    time, position, skew = 0, 60_000, 0
    samples: list[tuple[Told, int]] = []
    rate = Fraction(1)
    for seq in range(1, draw(st.integers(2, 14)) + 1):
        wall = draw(st.sampled_from(GREEDY_WALLS if greedy else WALLS))
        if manner == "clock set back" and seq > 1:
            wall, skew = draw(st.sampled_from([5_000, INTERVAL])), draw(st.sampled_from([-5_000, -5_400, -5_501]))
        else:
            skew = draw(st.sampled_from([skew, skew, skew, skew, draw(st.sampled_from(SKEWS))]))
        time += wall
        fair = int(rate * wall)
        claims = {
            "fair": fair,
            "limit": int(rate * wall + max(Fraction(1_000), rate * wall / 10)),
            "limit+1": int(rate * wall + max(Fraction(1_000), rate * wall / 10)) + 1,
            "back": -30_000,
        }
        claim = draw(st.sampled_from(GREEDY_CLAIMS if greedy else CLAIMS))
        position = max(0, position + (claims[claim] if claim in claims else int(claim)))
        rate = draw(st.sampled_from([rate, rate, draw(st.sampled_from(RATES))]))
        playing = greedy or draw(st.sampled_from([True, True, True, False]))
        visible = draw(st.sampled_from([True, True, False]))
        samples.append((Told(seq, time + skew, position, playing, rate, visible), time))
    return samples


@st.composite
def messages(draw: st.DrawFn) -> list[Message]:
    """The same, delivered: alone or in batches, late, again in front of what is new, with a pause."""
    samples = draw(told())
    kept = samples
    sent: list[Message] = []
    received = -1
    while samples:
        size = draw(st.sampled_from([1, 1, 1, 2, 3, 8]))
        again = draw(st.sampled_from([0, 0, 0, 1, 2]))
        done = len(kept) - len(samples)
        batch, samples = kept[max(0, done - again) : done + size], samples[size:]
        last, taken = batch[-1]
        delay = draw(st.sampled_from([0, 0, draw(st.sampled_from(DELAYS))]))
        held = draw(st.sampled_from([0, 0, delay]))
        pause = draw(st.sampled_from(PAUSES))
        if not sent and draw(st.sampled_from([False] * 7 + [True])):
            # Kept for a day, to the millisecond.
            delay = batch[0][1] - taken + draw(st.sampled_from([DAY - 1, DAY, DAY + 1]))
            held, pause = delay, 0
        received = max(received, taken + delay) + pause
        interval = draw(st.sampled_from([0, 0, INTERVAL, 2 * INTERVAL]))
        sent.append(Message(received, last.at + held, tuple(one for one, _ in batch), interval))
        if draw(st.booleans()) and draw(st.booleans()):
            repeat = draw(st.sampled_from(sent))
            sent.append(replace(repeat, received=received, interval=0))
    return sent


GAPS: Final = [
    0, 1, 5 * SEC, INTERVAL, GRACE - 1, GRACE, GRACE + 1, SILENCE - 1, SILENCE, SILENCE + 1, MIN, 5 * MIN, 10 * MIN,
]  # fmt: skip
WINDOW: Final = -15 * MIN
BEGINNINGS: Final = [-20 * MIN, WINDOW - 5 * SEC, WINDOW - 6 * SEC, WINDOW - 1, WINDOW, -MIN, 0, 5 * MIN, 5 * MIN + 1]
AGES: Final = [0, 0, 0, 1, GRACE, SILENCE - 1, SILENCE, SILENCE + 1, 2 * MIN]
HORIZON: Final = 29 * MIN
KINDS: Final = ["connect", "connect", "drop", "drop", "leave", "sample", "post", "post", "restart", "start", "end"]


class _Cast:
    """Two learners: the streams that each still has, and how often each began over HTTP."""

    def __init__(self) -> None:
        self.streams: dict[str, list[str]] = {"a": [], "b": []}
        self.begun = 0
        self.posts = {"a": 0, "b": 0}
        self.posted: set[str] = set()

    def release(self, event: Happened) -> None:
        if event.session in self.streams[event.user]:
            self.streams[event.user].remove(event.session)
        elif event.kind == "post":
            self.posts[event.user] += 1


@st.composite
def classes(draw: st.DrawFn) -> tuple[list[Happened], int]:
    """What happens to a class of two learners, from just before the window to after its end; and the last look."""
    now = draw(st.sampled_from(BEGINNINGS))
    horizon = now + HORIZON
    history: list[Happened] = []
    cast = _Cast()
    kinds = [kind for kind in KINDS if draw(st.booleans()) or kind in ("connect", "drop", "post")]
    for _ in range(draw(st.integers(1, 12))):
        gap = draw(st.sampled_from(GAPS))
        if now + gap >= horizon:
            break
        now += gap
        event = draw(_happened(cast, now, draw(st.sampled_from(kinds))))
        if event is None:
            continue
        if event.kind in ("start", "end"):
            kinds = [kind for kind in kinds if kind != event.kind]
        if event.kind == "leave" or event.leave:
            if history and history[-1].at == now:
                # Nobody comes and goes in one millisecond but in one request.
                now += 1
                event = replace(event, at=now)
            cast.release(event)
        history.append(event)
    return history, now + draw(st.sampled_from([*GAPS, 10 * MIN + GRACE]))


@st.composite
def _happened(draw: st.DrawFn, cast: _Cast, now: int, kind: str) -> Happened | None:
    """An event of that kind, where it makes sense."""
    if kind in ("restart", "start", "end"):
        return Happened(now, kind, evidence=now - draw(st.sampled_from([0, 0, 1, 30 * SEC, 5 * MIN, -MIN])))
    user = draw(st.sampled_from("ab"))
    known = cast.streams[user]
    session = draw(st.sampled_from(known)) if known else ""
    event = Happened(now, kind, user, session)
    if kind == "connect":
        if session and draw(st.booleans()):
            return event
        cast.begun += 1
        known.append(f"{user}{cast.begun}")
        return replace(event, session=known[-1])
    if kind == "post":
        return draw(_posted(cast, event))
    if not session:
        return None
    ago = 0
    samples: tuple[int, ...] = ()
    if kind == "drop":
        ago = draw(st.sampled_from([0, 0, 1, SEC, GRACE, 50 * SEC, -SEC]))
    elif kind == "sample":
        samples = draw(times(now))
    return replace(event, evidence=now - ago, samples=samples)


@st.composite
def _posted(draw: st.DrawFn, cast: _Cast, event: Happened) -> Happened | None:
    """Over HTTP: for a stream's session, or for one of its own."""
    through_stream = bool(event.session) and draw(st.booleans())
    session = event.session if through_stream else f"{event.user}h{cast.posts[event.user]}"
    leave = draw(st.sampled_from([False, False, False, True]))
    if leave and draw(st.booleans()):
        return replace(event, session=session, leave=True) if session in cast.posted or through_stream else None
    cast.posted.add(session)
    return replace(event, session=session, samples=draw(times(event.at)), leave=leave)


@st.composite
def times(draw: st.DrawFn, now: int = 0) -> tuple[int, ...]:
    """When the samples of a message were taken, the last of them some time ago."""
    at = now - draw(st.sampled_from(AGES))
    taken = [at]
    for _ in range(draw(st.sampled_from([0, 0, 1, 3]))):
        at -= draw(st.sampled_from([0, 1, INTERVAL, SILENCE, SILENCE + 1]))
        taken.insert(0, at)
    return tuple(taken)
