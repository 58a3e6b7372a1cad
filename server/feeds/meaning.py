"""What an event is as a fact here: its key and its place in time (events.md, "Readings", more readings 1). Pure."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from protocol.events_in import InteractionTold, SegmentSeen
from storage.amqp.ports import Delivery
from storage.classfacts import InteractionFact, SegmentFact

NOBODY: Final = ""
_NUMBER_BITS: Final = 0x7FFF_FFFF


def segment_of(event: SegmentSeen, delivery: Delivery) -> SegmentFact:
    """When and under which key a segment is stored.

    Without a clock it ends at the message's own time, else at reception, and is as long as its playhead's way.
    """
    length = event.playhead_end - event.playhead_start
    start, end = event.start_at, event.end_at
    if end is None:
        end = _end_unsaid(delivery) if start is None else start + length
    key = f"{event.playhead_start}\0{event.playhead_end}\0{'' if start is None else start}"
    return SegmentFact(
        session_id=session_id(event),
        number=_number(key),
        user_id=event.user_id,
        room_id=event.live_class_id,
        start_at=max(0, end - length) if start is None else start,
        end_at=end,
        playhead_start=event.playhead_start,
        playhead_end=event.playhead_end,
        clocked=start is not None,
    )


def _end_unsaid(delivery: Delivery) -> int:
    """Never later than it came: a sender's clock that runs ahead makes no presence that is still to be."""
    received_at = delivery.received_at
    return received_at if delivery.sent_at is None else min(delivery.sent_at, received_at)


def session_id(event: SegmentSeen) -> str:
    """The session that a learner's segments of one class and media make up: it has no other name."""
    whole = f"{event.user_id}\0{event.live_class_id}\0{event.media_id or ''}"
    return f"amqp-{blake2b(whole.encode(), digest_size=16).hexdigest()}"


def _number(key: str) -> int:
    """A positive number of 31 bits; a session has a few thousand segments at the most."""
    return int.from_bytes(blake2b(key.encode(), digest_size=4).digest()) & _NUMBER_BITS or 1


def interaction_of(event: InteractionTold, delivery: Delivery) -> InteractionFact:
    """Where an interaction has no id, its message has one; else it is the only one of its moment."""
    said = event.id or delivery.message_id or str(event.at)
    return InteractionFact(event.live_class_id, event.user_id or NOBODY, event.kind, said, event.at)
