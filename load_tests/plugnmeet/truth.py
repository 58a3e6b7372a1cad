"""What a class has to come to, from the messages that were sent: plugnmeet.md's readings 4 to 7, 11 and 12, slowly.

Nothing here is shared with the server. Messages that were lost are nothing that happened: whoever saw only the rest
could know no better, and has to know as much. Unix milliseconds throughout; intervals are half-open.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from load_tests.plugnmeet.facts import HARD, NOBODIES, Message, Person, Room, user_of

Interval = tuple[int, int]
DEVICES: Final = {"CAMERA": "camera", "MICROPHONE": "microphone", "SCREEN_SHARE": "screen"}


class Rules(msgspec.Struct, frozen=True):
    """The server's settings that matter."""

    grace_ms: int = 20_000
    late_grace_ms: int = 300_000
    attended_min_s: int = 60


class LearnerTruth(msgspec.Struct):
    """One learner in one class."""

    user_id: str
    role: str
    stays: list[Interval]
    """What was told of them, united, not clipped."""
    presence: list[Interval]
    """The same with the gaps that count."""
    presence_seconds: int
    attended: bool
    """Present for the attended minimum, by whole seconds (learning-api.md, reading 1)."""
    late: bool
    device_seconds: dict[str, int]
    reasons: dict[str, int]
    """Disconnect reason -> how often."""
    telephone: bool = False


class ClassTruth(msgspec.Struct):
    """One class."""

    started_ms: int
    begin_ms: int
    """Start of the class interval: presence before it counts in nothing."""
    ended_ms: int
    learners: dict[str, LearnerTruth]
    attended: int
    """Learners who were there for the attended minimum; moderators are no learners."""


class _Stay(msgspec.Struct):
    """One participant sid: from joining to going. `hard`: presence ended at once."""

    sid: str
    identity: str
    session: str
    joined: int
    gone: int
    hard: bool
    reason: str | None


class NotOver(Exception):
    """No end of the class's last session was told: there are no figures yet."""


def of_class(room: Room, rules: Rules) -> ClassTruth:
    """The truth of one class. Raises `NotOver`."""
    told = [one for one in room.messages if not one.lost]
    people = [one for one in told if one.person is not None and not _nobody(one.person)]
    main = {one.sid for one in told if one.parent_id is None}
    ends = _ends(told, main)
    stays = _stays(people, ends)
    # The first join is one whoever tells of it: a `left` says when its participant had come.
    started = min(
        [one.at * 1000 for one in told if one.event == "room_started" and one.sid in main]
        + [stay.joined for stay in stays if stay.session in main]
    )
    ended = max(ends[sid] for sid in main)
    begin = started if room.scheduled is None else max(started, room.scheduled[0] * 1000)
    users = sorted({user_of(stay.identity) for stay in stays})
    learners = {user: _learner(room, user, stays, people, (begin, ended), rules) for user in users}
    came = [one for one in learners.values() if one.role == "participant" and one.attended]
    return ClassTruth(started, begin, ended, learners, len(came))


def _learner(
    room: Room, user: str, stays: list[_Stay], people: list[Message], interval: Interval, rules: Rules
) -> LearnerTruth:
    mine = [stay for stay in stays if user_of(stay.identity) == user]
    told = [one.person for one in people if one.person is not None and user_of(one.person.identity) == user]
    presence = _presence(mine, rules.grace_ms)
    inside = clip(presence, *interval)
    reasons: dict[str, int] = {}
    for stay in mine:
        if stay.reason is not None:
            reasons[stay.reason] = reasons.get(stay.reason, 0) + 1
    return LearnerTruth(
        user_id=user,
        role="moderator" if any(person.moderator for person in told) else "participant",
        stays=unite((stay.joined, stay.gone) for stay in mine),
        presence=presence,
        presence_seconds=seconds(inside),
        attended=seconds(inside) >= rules.attended_min_s,
        late=_late(room, inside, rules),
        device_seconds={
            name: seconds(clip(_device(people, mine, source), *interval)) for source, name in DEVICES.items()
        },
        reasons=reasons,
        telephone=any(person.kind == "SIP" for person in told),
    )


def _nobody(person: Person) -> bool:
    return person.hidden or person.identity.startswith(NOBODIES)


def _ends(told: Sequence[Message], main: set[str]) -> dict[str, int]:
    """Session -> the earliest end told of it (reading 4).

    One whose end was lost is over when the next one begins; a breakout, when the class is. Raises `NotOver`.
    """
    ends: dict[str, int] = {}
    begins: dict[str, int] = {}
    for one in told:
        begins[one.sid] = min(begins.get(one.sid, one.at * 1000), one.at * 1000)
        if one.event in ("session_ended", "room_finished"):
            ends[one.sid] = min(ends.get(one.sid, one.at * 1000), one.at * 1000)
    following: int | None = None
    for sid in sorted(main, key=begins.__getitem__, reverse=True):
        if sid not in ends:
            if following is None:
                raise NotOver
            ends[sid] = following
        following = min(
            [one.at * 1000 for one in told if one.sid == sid and one.event == "room_started"]
            + [one.person.joined_ms for one in told if one.sid == sid and _comes(one) and one.person is not None]
        )
    over = max(ends[sid] for sid in main)
    return {sid: ends.get(sid, over) for sid in begins}


def _comes(one: Message) -> bool:
    return (
        one.event in ("participant_joined", "participant_left") and one.person is not None and not _nobody(one.person)
    )


def _stays(people: list[Message], ends: dict[str, int]) -> list[_Stay]:
    """Every participant sid that joined or left; tracks alone prove nothing."""
    stays: dict[str, _Stay] = {}
    for one in people:
        person = one.person
        if person is None or one.event not in ("participant_joined", "participant_left"):
            continue
        stay = stays.setdefault(
            person.sid,
            _Stay(person.sid, person.identity, one.sid, person.joined_ms, ends[one.sid], hard=True, reason=None),
        )
        stay.joined = min(stay.joined, person.joined_ms)
    for stay in stays.values():
        lefts = [one for one in people if one.event == "participant_left" and _sid(one) == stay.sid]
        if lefts:
            first = min(lefts, key=lambda one: one.at)
            reason = None if first.person is None else first.person.reason
            stay.reason = reason
            if first.at * 1000 < stay.gone:
                stay.gone, stay.hard = max(stay.joined, first.at * 1000), reason in HARD
        else:
            # A lost `left`: whoever came next under the same identity has taken over (reading 7).
            others = [
                other.joined
                for other in stays.values()
                if other is not stay
                and (other.identity, other.session) == (stay.identity, stay.session)
                and other.joined >= stay.joined
            ]
            stay.gone = min([stay.gone, *others])
    return list(stays.values())


def _sid(message: Message) -> str:
    return "" if message.person is None else message.person.sid


def _presence(stays: list[_Stay], grace_ms: int) -> list[Interval]:
    """The union of the stays and of the gaps that count (reading 6)."""
    found = [(stay.joined, stay.gone) for stay in stays]
    for stay in stays:
        returns = [other.joined for other in stays if stay.gone < other.joined <= stay.gone + grace_ms]
        if returns and not stay.hard:
            found.append((stay.gone, min(returns)))
    return unite(found)


def _device(people: list[Message], stays: list[_Stay], source: str) -> list[Interval]:
    """Published to unpublished, left or end, whichever is first (reading 11)."""
    found: list[Interval] = []
    for one in people:
        if one.event != "track_published" or one.track is None or one.track[1] != source:
            continue
        stay = next((stay for stay in stays if stay.sid == _sid(one)), None)
        if stay is None:
            continue
        offs = [
            other.at * 1000
            for other in people
            if other.event == "track_unpublished" and other.track is not None and other.track[0] == one.track[0]
        ]
        found.append((one.at * 1000, min([stay.gone, *offs])))
    return unite(found)


def _late(room: Room, inside: list[Interval], rules: Rules) -> bool:
    if room.scheduled is None or not inside:
        return False
    return inside[0][0] - room.scheduled[0] * 1000 > rules.late_grace_ms


# -- intervals -------------------------------------------------------------------------------------------------------


def unite(intervals: Iterable[Interval]) -> list[Interval]:
    """Sorted, apart from each other; empty ones are gone."""
    united: list[Interval] = []
    for low, high in sorted(intervals):
        if high <= low:
            continue
        if united and low <= united[-1][1]:
            united[-1] = (united[-1][0], max(high, united[-1][1]))
        else:
            united.append((low, high))
    return united


def clip(intervals: Iterable[Interval], begin: int, end: int) -> list[Interval]:
    """What lies within `[begin, end)`."""
    return unite((max(low, begin), min(high, end)) for low, high in intervals)


def seconds(intervals: Iterable[Interval]) -> int:
    """Whole seconds, both ends of each floored first (learning-api.md, reading 1)."""
    return sum(high // 1000 - low // 1000 for low, high in intervals)
