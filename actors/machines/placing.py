"""Samples that may come in any order: a session's latest ones are kept, and folded anew when one comes in between.

    base:  a track that has taken all samples before the window; it knows nothing of those in it
    kept:  the latest samples, by number, packed; at most `KEPT_MAX`
    track: the base with all that is kept folded on top, which is what everybody reads

A sample behind all others is folded onto the track. One that belongs between them goes to its place in `kept`, and the
track is made again. A number that is in the window, or lies before it, is a repeat or comes too late: it changes
nothing. So the track depends on which samples came, and not on their order, as long as none is overtaken by `KEPT_MAX`
others (decision 0011).

A number says when its sample was taken, as far as was known when its app began. Where that turns out to be too late by
a `lag`, the kept ones that are concerned go to where they belong, and the track is made again.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

import msgspec

from actors.machines.track import OLDEST_MS, Sample, Track

KEPT_MAX: Final = 256
"""Some forty minutes of heartbeats. A room keeps as many for each of its learners who use the app."""


EPOCH_MS: Final = 1_550_000_000_000
PER_MS: Final = 4096
"""Numbers in a millisecond: one is `(ms - EPOCH_MS) * PER_MS` and something."""
_RECORD: Final = Struct("<qqqqBdq")
"""A sample in 49 bytes, where objects take 300: number, time, playhead, reception, state and sight, rate, length."""
_VISIBLE: Final = 8
_NONE: Final = -1


class Kept(msgspec.Struct, frozen=True, gc=False):
    """A sample, and when it was received."""

    sample: Sample
    heard: int


class Window(msgspec.Struct, array_like=True):
    """The latest samples of a session."""

    base: Track
    packed: bytes = b""
    """What is kept, by number."""
    redone_from: int = 0
    """Segments from this number on were worked out anew since they were last written; 0 for none."""
    folds: int = 0
    """How often that happened: what is being written may be older than the last time."""
    lag: int = 0
    since: int = 0
    """What all that is kept stands by."""

    @classmethod
    def of(cls, track: Track) -> Window:
        """The window of a session that has taken no sample yet."""
        return cls(_copy(track))

    def place(
        self,
        track: Track,
        samples: list[Sample],
        now: int,
        until: int | None,
        proofs: list[int],
        *,
        lag: int = 0,
        since: int = 0,
    ) -> Track | None:
        """Take samples in, in any order; the track as it is then, or None where nothing was new.

        `until` and `proofs` are those of `Track.fold`, `lag` and `since` those of `Placed`. Samples over 24 hours old
        change nothing.
        """
        fresh = self._fresh(samples, track.last_seq, now)
        if not fresh:
            return None
        self.base.interval = track.interval
        corrected = self._corrected(lag, since, track.last_seq, fresh[-1].sample.seq) if lag else None
        if corrected is None and fresh[0].sample.seq > track.last_seq:
            for one in fresh:
                track.put(one.sample, one.heard, until, proofs)
            self.packed += _pack(fresh)
        else:
            kept = sorted([*(self.kept() if corrected is None else corrected), *fresh], key=_number)
            self.packed = _pack(kept)
            track = self._again(track, kept, until, proofs)
        self._slide(until)
        return track

    def _corrected(self, lag: int, since: int, last: int, newest: int) -> list[Kept] | None:
        """What is kept, with those numbered from `since` to `newest` where they belong; None where they are there.

        Beyond `newest` may be another start's, whose lag is its own.
        """
        if (lag, since) == (self.lag, self.since):
            return None
        if newest >= last:
            self.lag, self.since = lag, since
        kept = self.kept()
        corrected = [_place(one, lag, since, newest) for one in kept]
        return corrected if any(one is not former for one, former in zip(corrected, kept, strict=True)) else None

    def _fresh(self, samples: list[Sample], last_seq: int, now: int) -> list[Kept]:
        """Those that change something, each once and by number; none is later than its reception."""
        found: dict[int, Kept] = {}
        first = min((sample.seq for sample in samples), default=0)
        known = {one.sample.seq for one in self.kept()} if first <= last_seq else set[int]()
        for sample in samples:
            if sample.seq > self.base.last_seq and sample.at >= now - OLDEST_MS and sample.seq not in known:
                placed = sample if sample.at <= now else msgspec.structs.replace(sample, at=now)
                found.setdefault(sample.seq, Kept(placed, now))
        return sorted(found.values(), key=_number)

    def _again(self, former: Track, kept: list[Kept], until: int | None, proofs: list[int]) -> Track:
        base = self.base
        first = base.open.number if base.open is not None else base.number + 1
        track = _copy(base)
        track.told = former.told
        # What ended before the window stands, and may not have been written yet.
        track.closed = [segment for segment in former.closed if segment.number < first]
        for one in kept:
            track.put(one.sample, one.heard, until, proofs)
        self.redone_from = min(first, self.redone_from or first)
        self.folds += 1
        return track

    def _slide(self, until: int | None) -> None:
        beyond = (self.count - KEPT_MAX) * _RECORD.size
        if beyond <= 0:
            return
        for one in _unpack(self.packed[:beyond]):
            self.base.put(one.sample, one.heard, until)
        # Segments are written from the track.
        self.base.closed.clear()
        self.packed = self.packed[beyond:]

    @property
    def count(self) -> int:
        """How many samples are kept."""
        return len(self.packed) // _RECORD.size

    @property
    def whole(self) -> bool:
        """Every sample that was taken is still kept."""
        return self.base.last_seq == 0

    def first(self) -> Sample | None:
        """The earliest that is kept."""
        found = _unpack(self.packed[: _RECORD.size])
        return found[0].sample if found else None

    def kept(self) -> list[Kept]:
        """The latest samples, by number."""
        return _unpack(self.packed)

    def settled(self) -> None:
        """All that was worked out anew is in the store."""
        self.redone_from = 0


def _place(kept: Kept, lag: int, since: int, newest: int) -> Kept:
    """The same, or earlier: no later than its number says, less the lag."""
    sample = kept.sample
    at = EPOCH_MS + sample.seq // PER_MS - lag
    if not since <= sample.seq <= newest or sample.at <= at:
        return kept
    return Kept(msgspec.structs.replace(sample, at=at), kept.heard)


def _number(kept: Kept) -> int:
    return kept.sample.seq


def _pack(kept: list[Kept]) -> bytes:
    return b"".join(
        _RECORD.pack(
            one.sample.seq,
            one.sample.at,
            one.sample.position,
            one.heard,
            one.sample.state + _VISIBLE * one.sample.visible,
            one.sample.rate,
            _NONE if one.sample.duration is None else one.sample.duration,
        )
        for one in kept
    )


def _unpack(packed: bytes) -> list[Kept]:
    return [
        Kept(
            Sample(
                seq,
                at,
                position,
                state & (_VISIBLE - 1),
                rate,
                state >= _VISIBLE,
                None if duration == _NONE else duration,
            ),
            heard,
        )
        for seq, at, position, heard, state, rate, duration in _RECORD.iter_unpack(packed)
    ]


def _copy(track: Track) -> Track:
    """Another one with the same past, whose changes are its own."""
    opened = track.open
    return msgspec.structs.replace(
        track,
        clock=msgspec.structs.replace(track.clock, doubts=track.clock.doubts.copy()),
        open=None if opened is None else msgspec.structs.replace(opened),
        closed=[],
        coverage=track.coverage.copy(),
    )
