"""Small words for a class that the conference server tells of; times are milliseconds behind `T0`, as in `builders`."""

from __future__ import annotations

from typing import Any

from actors.machines.effects import Corrected, Effect, Refused, RoomTurned, Unplaced
from actors.machines.events import (
    Analysed,
    ParticipantJoined,
    ParticipantLeft,
    Polled,
    RecordingTold,
    Seen,
    SessionTold,
    Started,
    TrackTold,
    UserFigures,
    Witnessed,
)
from actors.machines.events import Finished as Ended
from tests.machines.builders import T0, Lesson

TURNS = Refused | RoomTurned | Unplaced | Corrected


class Meeting(Lesson):
    """One class. Its first conference session is `s1`; a participant `u1/1` of it is learner `u1`."""

    def begins(self, at: int, sid: str = "s1", received: int | None = None, **more: Any) -> list[Effect]:
        return self.told(SessionTold(sid, "started", T0 + at, **more), at, received)

    def is_created(self, at: int, sid: str = "s1", received: int | None = None, **more: Any) -> list[Effect]:
        return self.told(SessionTold(sid, "created", T0 + at, **more), at, received)

    def closes(self, at: int, sid: str = "s1", received: int | None = None, **more: Any) -> list[Effect]:
        return self.told(SessionTold(sid, "ended", T0 + at, **more), at, received)

    def comes(self, who: str, at: int, sid: str = "s1", received: int | None = None, **more: Any) -> list[Effect]:
        """`who` is a participant: `u1/1` is `u1`, come for the first time."""
        told_at = T0 + more.pop("told_at", at)
        return self.told(ParticipantJoined(sid, who, identity_of(who), T0 + at, told_at, **more), at, received)

    def goes(self, who: str, at: int, reason: str | None = None, **more: Any) -> list[Effect]:
        sid, received, joined = more.pop("sid", "s1"), more.pop("received", None), more.pop("joined", None)
        joined_at = None if joined is None else T0 + joined
        return self.told(ParticipantLeft(sid, who, identity_of(who), T0 + at, joined_at, reason, **more), at, received)

    def switches_on(self, who: str, device: Any, at: int, **more: Any) -> list[Effect]:
        return self._track(who, device, at, published=True, **more)

    def switches_off(self, who: str, device: Any, at: int, **more: Any) -> list[Effect]:
        return self._track(who, device, at, published=False, **more)

    def _track(self, who: str, device: Any, at: int, *, published: bool, **more: Any) -> list[Effect]:
        sid, received = more.pop("sid", "s1"), more.pop("received", None)
        track = more.pop("track", f"{who} {device}")
        device = "" if more.pop("silent", False) else device
        event = TrackTold(sid, who, identity_of(who), track, device, published, T0 + at, **more)
        return self.told(event, at, received)

    def is_seen(self, at: int, *who: tuple[str, int], sid: str = "s1", users: dict[str, str] | None = None) -> Any:
        """The conference server's list: participants, and when each joined."""
        known = users or {}
        seen = [Seen(one, identity_of(one), T0 + joined, user_id=known.get(identity_of(one))) for one, joined in who]
        return self.told(Polled(sid, T0 + at, active=True, seen=seen), at)

    def is_not_active(self, at: int) -> list[Effect]:
        return self.told(Polled("", T0 + at, active=False), at)

    def is_recorded(self, record_id: str, at: int, *, started: bool = True, **more: Any) -> list[Effect]:
        kind, sid = more.pop("kind", "recording"), more.pop("sid", "s1")
        return self.told(RecordingTold(sid, record_id, kind, started, T0 + at, more.pop("failure", None)), at)

    def is_analysed(self, at: int, *users: UserFigures, artifact: str = "a1") -> list[Effect]:
        return self.told(Analysed(artifact, list(users)), at)

    def is_witnessed(self, user: str, start: int, end: int, received: int) -> list[Effect]:
        return self.step(Witnessed(user, T0 + start, T0 + end), received)

    def is_ended_by_amqp(self, at: int, received: int, began: int | None = None) -> list[Effect]:
        return self.step(Ended(T0 + at, "amqp", None if began is None else T0 + began), received)

    def is_started_by(self, source: str, at: int, received: int) -> list[Effect]:
        return self.step(Started(T0 + at, source), received)

    def told(self, event: Any, at: int, received: int | None = None) -> list[Effect]:
        effects = self.step(event, at if received is None else received)
        return [effect for effect in effects if isinstance(effect, TURNS)]


def identity_of(participant: str) -> str:
    """`u1/2` is the second time that `u1` came."""
    return participant.split("/", maxsplit=1)[0]
