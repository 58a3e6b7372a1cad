"""A webhook as what happened to a room: events of `actors/machines/events.py`, or nothing where it does not count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from actors.machines.events import (
    ParticipantJoined,
    ParticipantLeft,
    RecordingTold,
    RoomEvent,
    SessionTold,
    TrackTold,
)
from protocol.plugnmeet import Webhook

Phase = Literal["created", "started", "ended"]

_PHASES: Final[dict[str, Phase]] = {
    "room_created": "created",
    "room_started": "started",
    "room_finished": "ended",
    "session_ended": "ended",
}


def of_webhook(webhook: Webhook, *, breakout: bool) -> RoomEvent | None:
    """What a room is to take in; None for bots, for tracks that do not count, and for what is no room's business."""
    make = _MAKERS.get(webhook.event)
    return None if make is None else make(webhook, breakout)


def _session(webhook: Webhook, breakout: bool) -> RoomEvent | None:  # noqa: FBT001 - a row of the table below
    place = webhook.place
    assert place is not None
    return SessionTold(place.sid, _PHASES[webhook.event], webhook.at, place.began_at, breakout, place.title)


def _joined(webhook: Webhook, breakout: bool) -> RoomEvent | None:  # noqa: FBT001 - the same
    place, who = webhook.place, webhook.participant
    assert place is not None
    assert who is not None
    if who.bot:
        return None
    return ParticipantJoined(
        place.sid,
        who.sid,
        who.identity,
        webhook.at if who.joined_at is None else who.joined_at,
        webhook.at,
        who.name,
        who.moderator,
        who.telephone,
        who.hidden,
        breakout,
    )


def _left(webhook: Webhook, breakout: bool) -> RoomEvent | None:  # noqa: FBT001 - the same
    place, who = webhook.place, webhook.participant
    assert place is not None
    assert who is not None
    if who.bot:
        return None
    return ParticipantLeft(
        place.sid,
        who.sid,
        who.identity,
        webhook.at,
        who.joined_at,
        who.reason,
        who.name,
        who.moderator,
        who.telephone,
        who.hidden,
        breakout,
    )


def _track(webhook: Webhook, breakout: bool) -> RoomEvent | None:  # noqa: FBT001 - the same
    place, who, track = webhook.place, webhook.participant, webhook.track
    assert place is not None
    assert who is not None
    assert track is not None
    if who.bot or track.device is None:
        return None
    published = webhook.event == "track_published"
    return TrackTold(place.sid, who.sid, who.identity, track.sid, track.device, published, webhook.at, breakout)


def _recorder(webhook: Webhook, breakout: bool) -> RoomEvent | None:  # noqa: ARG001, FBT001 - the same
    place, recording = webhook.place, webhook.recording
    assert place is not None
    assert recording is not None
    started = webhook.event.startswith("start_")
    kind: Literal["recording", "rtmp"] = "rtmp" if webhook.event.endswith("_rtmp") else "recording"
    return RecordingTold(place.sid, recording.record_id, kind, started, webhook.at, recording.failure)


_MAKERS: Final[dict[str, Callable[[Webhook, bool], RoomEvent | None]]] = {
    "room_created": _session,
    "room_started": _session,
    "room_finished": _session,
    "session_ended": _session,
    "participant_joined": _joined,
    "participant_left": _left,
    "track_published": _track,
    "track_unpublished": _track,
    "start_recording": _recorder,
    "end_recording": _recorder,
    "start_rtmp": _recorder,
    "end_rtmp": _recorder,
}
ROOM_EVENTS: Final = frozenset(_MAKERS)
"""Events that a room takes in."""
