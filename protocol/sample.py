"""The sample: where a player's playhead is, and what it does until the next one (realtime.md, "The sample")."""

from __future__ import annotations

import msgspec

from protocol.types import PlayState, Rate, Seconds, Seq, UnixMs


class Sample(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One sample as it stands in a batch; `null` means absent."""

    seq: Seq
    at: UnixMs
    position: Seconds
    state: PlayState
    rate: Rate | None = None
    duration: Seconds | None = None
    visible: bool | None = None
