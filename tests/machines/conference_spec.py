"""The slow, obvious specification of a class that webhooks and other systems tell of (plugnmeet.md, realtime.md).

Nothing here is kept up to date: every answer is looked up in the whole list of what was told, and when. It is written
from the contracts and shares no code with the machines, only the words in which a fact is told (`events`).

How the contracts are read where they leave it open:

- A session that ends closes its stays like `ROOM_CLOSED` does: the gap behind it never counts. Where its own end was
  lost, two polls in a row that do not know it, or else the next session of the class that begins, tell of it.
- A left whose join was lost is a moment of presence, but no join: it opens no class. Nor does a breakout.
- The class is over when all of its sessions are, at the latest end.
- A look at the conference server's list (`Polled`) misses the participants that were known when it came. Whoever is
  missed, with nothing that proves them there afterwards, left at the latest proof: the join, a poll that saw them, a
  camera, microphone or screen that was switched.
- The gap behind a stay goes up to the *next* presence of the learner, whatever that one's own end is: who is back and
  then leaves on purpose is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from actors.machines.events import (
    Event,
    ParticipantJoined,
    ParticipantLeft,
    Polled,
    SessionTold,
    TrackTold,
)

MIN: Final = 60_000
SETTLED: Final = 10_000
"""A join younger than this is not missed by a poll."""
FINAL: Final = ("CLIENT_INITIATED", "PARTICIPANT_REMOVED", "ROOM_DELETED", "ROOM_CLOSED")
NEVER: Final = 2**60

Fact = tuple[Event, int]
"""What was told, and when it was received."""
Range = tuple[int, int]


@dataclass(frozen=True)
class Rules:
    """Milliseconds; the schedule as Unix ms."""

    scheduled_start: int | None
    scheduled_end: int | None
    grace: int
    late_grace: int
    attended_min: int


@dataclass(frozen=True)
class Stream:
    """A player's socket: opened at `start`, last heard at `end` (None: still open), lost at `dropped` (None: left)."""

    user: str
    start: int
    end: int | None
    dropped: int | None = None


@dataclass
class Stay:
    """One presence by one source. `bridged`: up to when a return makes the gap behind it presence."""

    user: str
    start: int
    end: int
    bridged: int = -NEVER
    reason: str | None = None
    socket: bool = False


@dataclass
class Attended:
    """What one learner comes to."""

    presences: list[Range] = field(default_factory=list)
    presence_ms: int = 0
    first: int | None = None
    late: bool = False
    attended: bool = False
    devices: dict[str, int] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)


@dataclass
class Told:
    """What all facts together come to, as seen at `now`."""

    state: str
    started: int | None
    ended: int | None
    learners: dict[str, Attended]
    counted: set[str]
    """The conference sessions that are of the class."""


def come_to(facts: Sequence[Fact], streams: Sequence[Stream], rules: Rules, now: int) -> Told:
    """Everything that the facts say of the class."""
    counted = {sid for sid in _sids(facts) if _is_of_the_class(facts, sid, rules)}
    started, ended = _lifetime(facts, streams, counted)
    state = "ended" if ended is not None else "scheduled" if started is None else "live"
    until = now if ended is None else ended
    stays = [_socket(stream, rules, until) for stream in streams]
    stays += [
        stay
        for sid in sorted(counted)
        for participant in _participants(facts, sid)
        if not _is_hidden(facts, participant) and (stay := _stay(facts, counted, participant, rules, until)) is not None
    ]
    learners = {
        user: _attended([stay for stay in stays if stay.user == user], rules, started, ended, now)
        for user in sorted({stay.user for stay in stays})
    }
    for user, learner in learners.items():
        for device in ("camera", "microphone", "screen"):
            learner.devices[device] = _device_ms(facts, counted, rules, user, device, until)
    return Told(state, started, ended, learners, counted)


def unite(pieces: list[Range]) -> list[Range]:
    """The union, as disjoint ranges that do not touch."""
    united: list[Range] = []
    for start, end in sorted(piece for piece in pieces if piece[0] < piece[1]):
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(end, united[-1][1]))
        else:
            united.append((start, end))
    return united


# -- sessions ---------------------------------------------------------------------------------------------------------


def _sids(facts: Sequence[Fact]) -> set[str]:
    return {event.sid for event, _ in facts if isinstance(event, _OF_A_SESSION) and event.sid}


_OF_A_SESSION = (SessionTold, ParticipantJoined, ParticipantLeft, TrackTold, Polled)


def _is_breakout(facts: Sequence[Fact], sid: str) -> bool:
    """Where any message says so (reading 12)."""
    return any(
        event.breakout
        for event, _ in facts
        if isinstance(event, SessionTold | ParticipantJoined | ParticipantLeft | TrackTold) and event.sid == sid
    )


def _known_times(facts: Sequence[Fact], sid: str) -> list[int]:
    """Every moment of which a message says that the session was there."""
    times: list[int] = []
    for event, _ in facts:
        if not isinstance(event, _OF_A_SESSION) or event.sid != sid:
            continue
        times.append(event.at)
        if isinstance(event, SessionTold) and event.began_at is not None:
            times.append(event.began_at)
        if isinstance(event, ParticipantLeft) and event.joined_at is not None:
            times.append(event.joined_at)
        if isinstance(event, Polled):
            times += [seen.joined_at for seen in event.seen]
    return times


def _is_of_the_class(facts: Sequence[Fact], sid: str, rules: Rules) -> bool:
    """It overlaps [scheduled start - 15 min, scheduled end + 10 min] (reading 5)."""
    times = _known_times(facts, sid)
    opens = -NEVER if rules.scheduled_start is None else rules.scheduled_start - 15 * MIN
    closes = NEVER if rules.scheduled_end is None else rules.scheduled_end + 10 * MIN
    return min(times) <= closes and max(times) >= opens


def _begun(facts: Sequence[Fact], sid: str) -> int | None:
    """The earliest of its start and its first join, hidden ones left out (reading 4)."""
    times = [
        event.at
        for event, _ in facts
        if isinstance(event, SessionTold) and event.sid == sid and event.phase == "started"
    ]
    for participant in _participants(facts, sid):
        joined = _joined(facts, participant)
        if joined is not None and not _is_hidden(facts, participant):
            times.append(joined)
    return min(times, default=None)


def _in_order(facts: Sequence[Fact], counted: set[str]) -> list[str]:
    """The sessions of the class itself that began, as they followed each other."""
    own = [sid for sid in counted if not _is_breakout(facts, sid)]
    begun = [(when, sid) for sid in own if (when := _begun(facts, sid)) is not None]
    return [sid for _, sid in sorted(begun)]


def _told_end(facts: Sequence[Fact], sid: str) -> int | None:
    """The earliest end that was told (reading 4)."""
    return min(
        (
            event.at
            for event, _ in facts
            if isinstance(event, SessionTold) and event.sid == sid and event.phase == "ended"
        ),
        default=None,
    )


def _end(facts: Sequence[Fact], counted: set[str], sid: str) -> int | None:
    """When a session was over: told, else found out by two polls in a row, else when the next one began."""
    end = _told_end(facts, sid)
    if end is None:
        end = _not_active(facts, counted, sid)
    order = _in_order(facts, counted)
    if end is None and sid in order and sid != order[-1]:
        end = _begun(facts, order[order.index(sid) + 1])
    return end


def _not_active(facts: Sequence[Fact], counted: set[str], sid: str) -> int | None:
    """The first of two polls in a row that know of no session, where this was the last to have begun (reading 13).

    As far as was known then: nobody asks about a class of which nothing was heard.
    """
    polls = [(event, index) for index, (event, _) in enumerate(facts) if isinstance(event, Polled)]
    found: int | None = None
    for (first, index), (second, _) in pairwise(polls):
        known = facts[:index]
        begun = [one for one in _in_order(known, counted) if (_begun(known, one) or -NEVER) <= first.at]
        if found is None and not first.active and not second.active and begun and begun[-1] == sid:
            found = first.at
    return found


def _lifetime(facts: Sequence[Fact], streams: Sequence[Stream], counted: set[str]) -> tuple[int | None, int | None]:
    """When the class began, and when it ended: with the last of its sessions (readings 4, 5)."""
    order = _in_order(facts, counted)
    begins = [begun for sid in order if (begun := _begun(facts, sid)) is not None]
    started = min([*begins, *[stream.start for stream in streams]], default=None)
    ends = [_end(facts, counted, sid) for sid in order]
    known = [end for end in ends if end is not None]
    if started is None or not ends or len(known) < len(ends):
        return started, None
    return started, max([*known, started])


# -- participants -----------------------------------------------------------------------------------------------------

Participant = tuple[str, str, str]
"""(session, participant, identity)."""


def _participants(facts: Sequence[Fact], sid: str) -> list[Participant]:
    found: set[Participant] = set()
    for event, _ in facts:
        if isinstance(event, ParticipantJoined | ParticipantLeft) and event.sid == sid:
            found.add((sid, event.participant_sid, event.identity))
        if isinstance(event, Polled) and event.sid == sid:
            found |= {(sid, seen.participant_sid, seen.identity) for seen in event.seen}
    return sorted(found)


def _of(facts: Sequence[Fact], participant: Participant) -> list[Fact]:
    """What was told of a participant by name."""
    return [
        (event, received)
        for event, received in facts
        if isinstance(event, ParticipantJoined | ParticipantLeft | TrackTold)
        and (event.sid, event.participant_sid) == participant[:2]
    ]


def _is_hidden(facts: Sequence[Fact], participant: Participant) -> bool:
    return any(
        event.hidden for event, _ in _of(facts, participant) if isinstance(event, ParticipantJoined | ParticipantLeft)
    )


def _polls_of(facts: Sequence[Fact], sid: str) -> list[tuple[Polled, int]]:
    return [(event, at) for event, at in facts if isinstance(event, Polled) and event.active and event.sid == sid]


def _seen_by(facts: Sequence[Fact], poll: Polled, received: int, participant: Participant) -> int | None:
    """When the list has them joined; a join that is younger than 10 s says nothing of somebody unknown."""
    for seen in poll.seen:
        if seen.participant_sid == participant[1]:
            young = seen.joined_at > poll.at - SETTLED
            return None if young and not _is_known(facts, participant, received) else seen.joined_at
    return None


def _is_known(facts: Sequence[Fact], participant: Participant, received: int) -> bool:
    """Whether anything had been told of them by then, or an earlier poll had."""
    by_message = any(at <= received and not isinstance(event, TrackTold) for event, at in _of(facts, participant))
    by_poll = any(
        at < received and seen.participant_sid == participant[1] and seen.joined_at <= poll.at - SETTLED
        for poll, at in _polls_of(facts, participant[0])
        for seen in poll.seen
    )
    return by_message or by_poll


def _joined(facts: Sequence[Fact], participant: Participant) -> int | None:
    """The earliest time that any message gives; None where none does."""
    times = []
    for event, _ in _of(facts, participant):
        if isinstance(event, ParticipantJoined):
            times.append(event.at)
        if isinstance(event, ParticipantLeft) and event.joined_at is not None:
            times.append(event.joined_at)
    for poll, received in _polls_of(facts, participant[0]):
        seen = _seen_by(facts, poll, received, participant)
        times += [] if seen is None else [seen]
    return min(times, default=None)


def _left(facts: Sequence[Fact], participant: Participant) -> ParticipantLeft | None:
    """The earliest (reading 7)."""
    lefts = [event for event, _ in _of(facts, participant) if isinstance(event, ParticipantLeft)]
    return min(lefts, key=lambda left: left.at, default=None)


def _repaired(facts: Sequence[Fact], participant: Participant, joined: int) -> int | None:
    """Where the polls say that a participant, whose left is lost, is gone; None while they see them (reading 13)."""
    proofs = [joined, *[event.at for event, _ in _of(facts, participant) if isinstance(event, TrackTold)]]
    missed = []
    for poll, received in _polls_of(facts, participant[0]):
        if any(seen.participant_sid == participant[1] for seen in poll.seen):
            if _seen_by(facts, poll, received, participant) is not None:
                proofs.append(poll.at)
        elif joined + SETTLED <= poll.at and _is_known(facts, participant, received):
            missed.append(poll.at)
    return max(proofs) if missed and max(missed) > max(proofs) else None


def _superseded(facts: Sequence[Fact], participant: Participant, joined: int) -> int | None:
    """When the same identity came to the same session once more (reading 7), as far as is known."""
    others = [
        came
        for other in _participants(facts, participant[0])
        if other[2] == participant[2]
        and other != participant
        and not _is_hidden(facts, other)
        and (came := _came(facts, other)) is not None
        and came > joined
    ]
    return min(others, default=None)


def _came(facts: Sequence[Fact], participant: Participant) -> int | None:
    """Since when they were there, as far as is known: a left without a join is a moment."""
    joined, left = _joined(facts, participant), _left(facts, participant)
    return left.at if joined is None and left is not None else joined


def _stay(facts: Sequence[Fact], counted: set[str], participant: Participant, rules: Rules, until: int) -> Stay | None:
    """One participant's presence; None where they are only known by a camera."""
    start, left = _came(facts, participant), _left(facts, participant)
    if start is None:
        return None
    end = left.at if left is not None else _repaired(facts, participant, start)
    bridged = end is not None and (left is None or left.reason not in FINAL)
    lost = _superseded(facts, participant, start) if left is None else None
    for limit in (_end(facts, counted, participant[0]), lost):
        if limit is not None and (end is None or limit < end):
            end, bridged = limit, False
    if end is None:
        return Stay(user_of(facts, participant[2]), start, max(start, until))
    stay = Stay(user_of(facts, participant[2]), start, max(start, end))
    stay.bridged = end + rules.grace if bridged else -NEVER
    stay.reason = None if left is None else left.reason
    return stay


def user_of(facts: Sequence[Fact], identity: str) -> str:
    """Whom an identity stands for: a twin of a mobile app for its learner, else the last that a poll has told."""
    identity = identity.removesuffix("-native")
    known = [
        seen.user_id
        for event, _ in facts
        if isinstance(event, Polled)
        for seen in event.seen
        if seen.user_id and seen.identity == identity
    ]
    return known[-1] if known else identity


# -- learners ---------------------------------------------------------------------------------------------------------


def _socket(stream: Stream, rules: Rules, until: int) -> Stay:
    end = until if stream.end is None else stream.end
    # A grace that runs out just as somebody comes back has run out.
    bridged = -NEVER if stream.dropped is None else stream.dropped + rules.grace - 1
    return Stay(stream.user, stream.start, max(stream.start, end), bridged, socket=True)


def _presence(stays: list[Stay]) -> list[Range]:
    """The stays, and the gaps behind those that broke off and were taken up again in time (reading 6)."""
    pieces = [(stay.start, stay.end) for stay in stays]
    for stay in stays:
        later = [other for other in stays if other is not stay and stay.end < other.start <= stay.bridged]
        # A player's grace is the learner's: whichever of their players is back in it never left.
        back = [min(other.start for other in later)] if later else []
        back += [other.start for other in later if stay.socket and other.socket]
        pieces += [(stay.end, max(back))] if back else []
    return unite(pieces)


def _attended(stays: list[Stay], rules: Rules, started: int | None, ended: int | None, now: int) -> Attended:
    learner = Attended(_presence(stays))
    over = now if ended is None else ended
    learner.presences = [(start, min(end, over)) for start, end in learner.presences if start < over]
    learner.first = min((stay.start for stay in stays), default=None)
    learner.reasons = [stay.reason for stay in sorted(stays, key=lambda stay: stay.end) if stay.reason is not None]
    starts = [at for at in (started, rules.scheduled_start) if at is not None]
    begin = max(starts) if started is not None else -NEVER
    if started is not None:
        learner.presence_ms = sum(max(0, end - max(start, begin)) for start, end in learner.presences)
        # By whole seconds, each edge floored (learning-api.md, reading 1).
        whole = sum(max(0, end // 1000 - max(start, begin) // 1000) for start, end in learner.presences)
        learner.attended = whole * 1000 >= rules.attended_min
    # Whoever is here now has arrived, also in this very millisecond.
    arrivals = [start for start, end in _presence(stays) if end > begin or (ended is None and end == now)]
    if rules.scheduled_start is not None and arrivals and (ended is None or arrivals[0] < ended):
        learner.late = max(arrivals[0] - rules.scheduled_start, 0) > rules.late_grace
    return learner


# -- cameras, microphones, screens ------------------------------------------------------------------------------------


def _device_ms(facts: Sequence[Fact], counted: set[str], rules: Rules, user: str, device: str, until: int) -> int:
    """Published to unpublished, to the participant's own end or the room's, whichever is first (reading 11)."""
    pieces: list[Range] = []
    for track_sid in sorted({event.track_sid for event, _ in facts if isinstance(event, TrackTold)}):
        tracks = [event for event, _ in facts if isinstance(event, TrackTold) and event.track_sid == track_sid]
        participant = (tracks[0].sid, tracks[0].participant_sid, tracks[0].identity)
        mine = tracks[0].sid in counted and user_of(facts, tracks[0].identity) == user
        on = [track.at for track in tracks if track.published]
        if not mine or not on or _is_hidden(facts, participant) or device not in [track.device for track in tracks]:
            continue
        over = [until, *[track.at for track in tracks if not track.published]]
        stay = _stay(facts, counted, participant, rules, until)
        session_end = _end(facts, counted, tracks[0].sid)
        over += [] if stay is None else [stay.end]
        over += [] if session_end is None else [session_end]
        pieces.append((min(on), min(over)))
    return sum(end - start for start, end in unite(pieces))
