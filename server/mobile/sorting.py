"""Which sessions a device's samples go to, by their time alone (mobile-ingest.md, reading 2). Pure.

a session that runs and began before it          it goes there: between others, too
a session that runs and begins less than half    it goes there, as the new beginning
an hour later, and still knows all its samples
a stored session's time                          nobody's: a repeat, or too late to be told from one
none of these                                    a session of its own
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from actors.machines.track import Sample
from actors.machines.watch import WatchState
from storage.mobile import Span


class Share(msgspec.Struct):
    """Samples for one session: `session_id` of one that runs, or None for a new one. By number."""

    session_id: str | None
    samples: list[Sample]


class Running(msgspec.Struct):
    """A session as far as samples are sorted by it. -1 for one without samples yet."""

    share: Share
    started_at: int
    last_at: int
    whole: bool
    """It still has every sample it took: one before them all is no harm."""
    first: Sample | None = None
    """The first that it had before this batch, where it still has it."""


def sort(
    samples: Sequence[Sample], running: list[Running], over: Sequence[Span], idle_ms: int, silence: int
) -> list[Share]:
    """What goes where; samples by number, which is by time. Pure, but for `running`, which goes on with its samples.

    A sample before a session's beginning moves that for those who come later: of this batch, what follows it lies as
    near to the session as itself.
    """
    for sample in samples:
        found = _taker(sample.at, running, idle_ms)
        if found is None:
            if any(span.started_at <= sample.at <= span.last_at for span in over):
                continue
            found = Running(Share(None, []), -1, -1, whole=True)
            running.append(found)
        found.share.samples.append(sample)
        if found.started_at < 0:
            found.started_at = sample.at
        found.last_at = max(found.last_at, sample.at)
    _join(running, silence)
    return [one.share for one in running if one.share.samples]


def _join(running: list[Running], silence: int) -> None:
    """Between two sessions that turn out to be neighbours nothing is lost: the first one ends where the next begins."""
    ordered = sorted((one for one in running if one.started_at >= 0), key=lambda one: one.started_at)
    for one, following in pairwise(ordered):
        first = following.first
        if one.share.samples and first is not None and 0 <= first.at - one.last_at <= silence:
            one.share.samples.append(first)


def _taker(at: int, running: Sequence[Running], idle_ms: int) -> Running | None:
    """The session whose time it is: the latest that began before it, else the next one to begin."""
    empty = next((one for one in running if one.started_at < 0), None)
    before = max((one for one in running if 0 <= one.started_at <= at), key=lambda one: one.started_at, default=None)
    if before is not None and at - before.last_at < idle_ms:
        return before
    behind = min((one for one in running if one.started_at > at), key=lambda one: one.started_at, default=None)
    if behind is not None and behind.whole and behind.started_at - at < idle_ms:
        return behind
    return empty


def follows(running: Sequence[Running], sample: Sample) -> bool:
    """Whether no stored session can be meant."""
    return any(0 <= one.started_at <= sample.at for one in running)


def running_of(key: str, state: WatchState | None) -> Running:
    """A session in memory, for `sort`; None for one that is just being opened."""
    share = Share(key, [])
    if state is None or state.window is None or state.track.started_at < 0:
        return Running(share, -1, -1, whole=True)
    window, track = state.window, state.track
    first = window.first() if window.whole else None
    return Running(share, track.started_at, track.at, whole=window.whole, first=first)


def span_of(key: str, state: WatchState) -> Span:
    return Span(key, state.track.started_at, state.track.at)
