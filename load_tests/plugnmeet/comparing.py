"""Truth beside answers: every difference has a room, a learner, a field and both values. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from load_tests.plugnmeet.facts import Room
from load_tests.plugnmeet.truth import DEVICES, ClassTruth, Interval, LearnerTruth, unite
from protocol.rest import AttendanceAnswer


class Difference(msgspec.Struct, frozen=True):
    """Something that the server says otherwise than it was."""

    room: str
    learner: str
    act: str
    field: str
    truth: str
    answer: str


class IntervalRead(msgspec.Struct, frozen=True):
    """plugnmeet.md, reading 15."""

    joined_at: str
    left_at: str | None
    source: str
    device_id: str | None = None
    disconnect_reason: str | None = None


class ParticipantRead(msgspec.Struct, frozen=True):
    """`GET /api/v1/rooms/{id}/participants/{user}` as the contract has it; read here in its own words."""

    user_id: str | int
    name: str | None
    role: str
    intervals: list[IntervalRead]
    presence_seconds: int
    late: bool
    camera_seconds: int
    microphone_seconds: int
    screen_seconds: int
    talk_seconds: int
    hand_raises: int
    polls_answered: int
    disconnect_reasons: dict[str, int] | list[str]
    telephone: bool = False


class RoomRead(msgspec.Struct, frozen=True):
    """What matters of `GET /api/v1/rooms/{id}`."""

    state: str
    started_at: str | None
    ended_at: str | None
    name: str | None
    attended: int


class Sayer:
    """Collects the differences of one place."""

    def __init__(self, room: str, learner: str, act: str) -> None:
        self._where = (room, learner, act)
        self.found: list[Difference] = []

    def same(self, field: str, truth: Any, answer: Any) -> None:  # noqa: ANN401 - compared and shown
        if truth != answer:
            self.found.append(Difference(*self._where, field, str(truth), str(answer)))


def sayer(room_id: str) -> Sayer:
    """One for a whole room."""
    return Sayer(room_id, "", "")


def of_room(room: Room, truth: ClassTruth, read: RoomRead) -> list[Difference]:
    """The class itself."""
    say = Sayer(room.room_id, "", "")
    say.same("state", "ended", read.state)
    say.same("started_at", truth.started_ms, milliseconds(read.started_at))
    say.same("ended_at", truth.ended_ms, milliseconds(read.ended_at))
    # The older integration tells no title.
    say.same("name", None if room.older and room.scheduled is None else room.title, read.name)
    say.same("attended", truth.attended, read.attended)
    return say.found


def of_learner(room: Room, act: str, truth: LearnerTruth, read: ParticipantRead) -> list[Difference]:
    """One learner."""
    say = Sayer(room.room_id, truth.user_id, act)
    say.same("user_id", truth.user_id, str(read.user_id))
    say.same("role", truth.role, read.role)
    say.same("presence_seconds", truth.presence_seconds, read.presence_seconds)
    say.same("late", truth.late, read.late)
    answers = [read.camera_seconds, read.microphone_seconds, read.screen_seconds]
    for name, answer in zip(DEVICES.values(), answers, strict=True):
        say.same(f"{name}_seconds", truth.device_seconds[name], answer)
    say.same("disconnect_reasons", truth.reasons, _counted(read.disconnect_reasons))
    say.same("talk, hands, polls", (0, 0, 0), (read.talk_seconds, read.hand_raises, read.polls_answered))
    say.same("telephone", truth.telephone, read.telephone)
    say.same("intervals", truth.stays, _intervals(read))
    say.same("sources", {"plugnmeet"}, {one.source for one in read.intervals} or {"plugnmeet"})
    return say.found


def of_details(
    room: Room, act: str, known: ClassTruth, truth: LearnerTruth, read: AttendanceAnswer
) -> list[Difference]:
    """The same learner as dashboards are told (learning-api.md, endpoint 7)."""
    say = Sayer(room.room_id, truth.user_id, act)
    say.same("details: was_present", truth.attended, read.was_present)
    say.same("details: was_late", truth.attended and truth.late, read.was_late)
    say.same("details: total_presence_duration", truth.presence_seconds, read.total_presence_duration)
    length = known.ended_ms // 1000 - known.begin_ms // 1000
    say.same("details: total_live_class_duration", length, read.total_live_class_duration)
    return say.found


def _intervals(read: ParticipantRead) -> list[Interval]:
    """The union of what is listed; one without an end never ends."""
    found = [(milliseconds(one.joined_at) or 0, milliseconds(one.left_at) or 2**53) for one in read.intervals]
    return unite(found)


def _counted(reasons: dict[str, int] | list[str]) -> dict[str, int]:
    if isinstance(reasons, dict):
        return reasons
    return {reason: reasons.count(reason) for reason in reasons}


def milliseconds(text: str | None) -> int | None:
    """Unix ms of an RFC 3339 time."""
    return None if text is None else round(datetime.fromisoformat(text).timestamp() * 1000)
