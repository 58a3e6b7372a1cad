"""The slow, obvious specification: what realtime.md and video-engagement.md say, looked up in whole histories.

Nothing here is kept up to date from step to step: every answer is worked out from the full list of what happened, with
exact numbers. It is written from the contracts and shares no code with the machines.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from typing import Final

DAY: Final = 24 * 3600 * 1000
HALF_HOUR: Final = 30 * 60 * 1000
FOREVER: Final = 2**60

Range = tuple[int, int]


# -- playhead ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """A sample as the client told it; `playing` is all that the rules ask of its state."""

    seq: int
    at: int
    position: int
    playing: bool
    rate: Fraction
    visible: bool = True


@dataclass(frozen=True)
class Message:
    """What arrived: when, the client's clock at sending, and the heartbeat interval told with the answer."""

    received: int
    sent_at: int
    samples: tuple[Told, ...]
    interval: int = 0


@dataclass(frozen=True)
class Placed:
    """An accepted sample in server time."""

    at: int
    received: int
    told: Told
    interval: int


@dataclass(frozen=True)
class Piece:
    """A segment."""

    start: int
    end: int
    start_position: int
    end_position: int
    verified: bool
    offline: bool
    rate: Fraction
    visible: Fraction


@dataclass
class Studied:
    """What a history comes to."""

    answers: list[int | str] = field(default_factory=list)
    """Per message: the acknowledged seq, `too_old <index>`, or `over`."""
    placed: list[Placed] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)


def offset_of(heard: list[tuple[int, int]]) -> int:
    """The client's offset after (received, received - sent_at) of every accepted message."""
    known = heard[0][1]
    witnesses: list[tuple[int, int]] = []
    for received, seen in heard:
        if seen <= known + 2_000:
            known, witnesses = min(known, seen), []
            continue
        witnesses.append((received, seen))
        offsets = [offset for _, offset in witnesses]
        if max(offsets) - min(offsets) > 500:
            witnesses = witnesses[-1:]
        elif len(witnesses) >= 3 and received - witnesses[0][0] >= 10_000:
            known, witnesses = min(offsets), []
        elif len(witnesses) > 3:
            # Three speak: the first, for the span, and the youngest two.
            witnesses = [witnesses[0], *witnesses[-2:]]
    return known


def place(messages: list[Message], interval: int, opened: int) -> Studied:
    """Which samples are accepted, and when they were."""
    studied = Studied()
    heard: list[tuple[int, int]] = []
    alive_until = opened + HALF_HOUR
    for message in messages:
        if message.received >= alive_until:
            studied.answers.append("over")
            continue
        newest = max((placed.told.seq for placed in studied.placed), default=0)
        if message.samples[-1].seq > newest:
            offset = offset_of([*heard, (message.received, message.received - message.sent_at)])
            old = [
                index
                for index, told in enumerate(message.samples)
                if told.seq > newest and told.at + offset < message.received - DAY
            ]
            if old:
                studied.answers.append(f"too_old {old[0]}")
                continue
            heard.append((message.received, message.received - message.sent_at))
            alive_until = message.received + HALF_HOUR
            for told in message.samples:
                if told.seq > newest:
                    before = studied.placed[-1].at if studied.placed else -FOREVER
                    at = max(before, min(told.at + offset, message.received))
                    studied.placed.append(Placed(at, message.received, told, interval))
            newest = message.samples[-1].seq
        interval = max(interval, message.interval)
        studied.answers.append(newest)
    return studied


def continuous(before: Placed, after: Placed) -> bool:
    """Rules 1 to 4 for one pair."""
    wall = after.at - before.at
    played = after.told.position - before.told.position
    fair = before.told.rate * wall
    silent = Fraction(wall) > Fraction(7, 2) * after.interval
    return before.told.playing and not silent and 0 <= played <= fair + max(Fraction(1_000), fair / 10)


def study(messages: list[Message], interval: int, opened: int) -> Studied:
    """Everything that a watch session credits."""
    studied = place(messages, interval, opened)
    placed = studied.placed
    verdicts: list[bool | None] = []
    for index in range(1, len(placed)):
        verdicts.append(_verdict(placed, index, verdicts))
    start = 0
    while start < len(verdicts):
        verdict, end = verdicts[start], start
        while end < len(verdicts) and verdicts[end] == verdict:
            end += 1
        if verdict is not None:
            piece = _piece(placed[start : end + 1], verified=verdict)
            if piece.end_position - piece.start_position >= 500:
                studied.pieces.append(piece)
        start = end
    return studied


def _verdict(placed: list[Placed], index: int, verdicts: list[bool | None]) -> bool | None:
    """None: nothing played from the sample before to this one; else whether the credit limit allows it."""
    if not continuous(placed[index - 1], placed[index]):
        return None
    moves = [placed[n].told.position - placed[n - 1].told.position for n in range(1, index + 1)]
    credited = sum(move for move, verdict in zip(moves, verdicts, strict=False) if verdict)
    rates = [placed[n].told.rate for n, verdict in enumerate(verdicts) if verdict is not None]
    highest = max([*rates, placed[index - 1].told.rate])
    elapsed = placed[index].received - placed[0].at
    return credited + moves[-1] <= 3_000 + Fraction(105, 100) * highest * elapsed


def _piece(run: list[Placed], *, verified: bool) -> Piece:
    walls = [after.at - before.at for before, after in pairwise(run)]
    wall = sum(walls)
    rates = [before.told.rate * lasted for before, lasted in zip(run, walls, strict=False)]
    seen = [lasted for before, lasted in zip(run, walls, strict=False) if before.told.visible]
    return Piece(
        run[0].at,
        run[-1].at,
        run[0].told.position,
        run[-1].told.position,
        verified,
        any(after.received - after.at > 60_000 for after in run[1:]),
        sum(rates, Fraction(0)) / wall if wall else run[0].told.rate,
        Fraction(sum(seen), wall) if wall else Fraction(1),
    )


# -- presence ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Happened:
    """One event of a class at server time `at`.

    `kind`: connect, drop, leave, sample (of a stream), post (over HTTP), restart, start, end. `evidence` of a drop is
    when the stream was last heard; of a start or an end, the time that its sender gave it. `samples` are times.
    """

    at: int
    kind: str
    user: str = ""
    session: str = ""
    evidence: int = 0
    samples: tuple[int, ...] = ()
    leave: bool = False


@dataclass(frozen=True)
class ClassRules:
    """Milliseconds."""

    scheduled_start: int
    scheduled_end: int | None
    grace: int
    silence: int
    late_grace: int


@dataclass(frozen=True)
class Hold:
    """From when to when a source is seen to hold a learner in the room, and how; `index` is the event that began it."""

    user: str
    start: int
    end: int
    kind: str
    connected_until: int
    index: int
    left: bool
    """On purpose, and not because its time was over."""


@dataclass(frozen=True)
class Ending:
    """`seen`: when the server came to it; `at`: as of when the class is over; `index`: how many events were before."""

    seen: int
    at: int
    index: int


@dataclass
class Class:
    """What a history comes to."""

    started: int | None
    ending: Ending | None
    presence: dict[str, list[Range]]
    late: dict[str, bool]


def attend(history: list[Happened], rules: ClassRules, now: int) -> Class:
    """Who was there, until when the class lasted and who was late, as seen at `now`."""
    told = [Ending(e.at, min(e.evidence, e.at), index) for index, e in enumerate(history) if e.kind == "end"][:1]
    before = history[: told[0].index] if told else history
    began = _began(before, rules, told[0].seen if told else now)
    ending = _ended(before, rules, began, told, now)
    started = None if began is None else began[1]
    if ending is not None and started is not None:
        ending = replace(ending, at=max(ending.at, started))
    users = sorted({e.user for e in history if e.user})
    presence = {user: _presence(history, rules, user, ending, now) for user in users}
    late = {user: _late(history, rules, user, started, ending, now) for user in users}
    return Class(started, ending, presence, late)


def unite(pieces: list[Range]) -> list[Range]:
    """The union, as disjoint ranges that do not touch."""
    united: list[Range] = []
    for start, end in sorted(piece for piece in pieces if piece[0] < piece[1]):
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(end, united[-1][1]))
        else:
            united.append((start, end))
    return united


# What holds whom, all by itself: a class that ends is looked at up to its end.


def _holds(history: list[Happened], rules: ClassRules) -> list[Hold]:
    """Every source, from when it began to hold to when it let go."""
    holds = []
    for index, event in enumerate(history):
        if event.kind == "connect":
            holds.append(_stream(history, index, rules))
        elif event.kind == "post" and event.samples:
            fresh = _last_placed(history[: index + 1], event.session) + rules.silence
            later = [e.at for e in history[index:] if e.session == event.session and _lets_go(e)]
            if fresh > event.at:
                holds.append(
                    Hold(
                        event.user,
                        event.at,
                        min([fresh, *later]),
                        "http",
                        -FOREVER,
                        index,
                        min([fresh, *later]) < fresh,
                    )
                )
    return holds


def _lets_go(event: Happened) -> bool:
    return event.kind == "leave" or event.leave


def _stream(history: list[Happened], index: int, rules: ClassRules) -> Hold:
    event = history[index]
    end = connected_until = FOREVER
    left = False
    for later in history[index + 1 :]:
        if end <= later.at:
            break
        mine = later.session == event.session
        if mine and _lets_go(later):
            end, connected_until, left = later.at, min(connected_until, later.at), True
            break
        if mine and later.kind == "drop" and connected_until == FOREVER:
            end, connected_until = later.at + rules.grace, later.at
        if mine and later.kind == "connect":
            end = connected_until = FOREVER
        if later.kind == "restart":
            end, connected_until = later.at + rules.grace, min(connected_until, later.at)
    return Hold(event.user, event.at, end, "stream", connected_until, index, left)


def _placed_times(history: list[Happened], session: str) -> list[tuple[int, int]]:
    """(event, at) of a session's samples: no later than received, no earlier than the one before."""
    placed: list[tuple[int, int]] = []
    for index, event in enumerate(history):
        if event.session == session:
            for at in event.samples:
                placed.append((index, max(min(at, event.at), placed[-1][1] if placed else -FOREVER)))
    return placed


def _last_placed(history: list[Happened], session: str) -> int:
    return _placed_times(history, session)[-1][1]


def _together(holds: list[Hold]) -> list[Range]:
    """Stretches in which at least one source holds; one that begins just when another lets go begins anew."""
    stretches: list[Range] = []
    for start, end in sorted((hold.start, hold.end) for hold in holds if hold.start < hold.end):
        if stretches and start < stretches[-1][1]:
            stretches[-1] = (stretches[-1][0], max(end, stretches[-1][1]))
        else:
            stretches.append((start, end))
    return stretches


@dataclass
class Stay:
    """One presence: held from `start` to `end`, proven from `first` to `last`."""

    start: int
    end: int
    first: int
    last: int


def _stays(history: list[Happened], rules: ClassRules, user: str, now: int | None) -> list[Stay]:
    """The presences of a learner, each from its earliest to its latest evidence."""
    holds = [hold for hold in _holds(history, rules) if hold.user == user]
    here, heard = _evidence(history, rules, user)
    if now is not None and any(hold.start <= now < min(hold.end, hold.connected_until) for hold in holds):
        heard.append((now, now))
    stays = []
    for start, end in _together(holds):
        began = [of for known, of in here if start <= known < end]
        proven = [of for known, of in heard if start <= known < end]
        stays.append(Stay(start, end, min(began), max(began + proven)))
    return stays


def _evidence(
    history: list[Happened], rules: ClassRules, user: str
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """(when it was known, of when it is) of what may begin a presence, and of what proves that it went on.

    A parting word counts with the connection that it ends.
    """
    here, heard = [], []
    for index, event in enumerate(history):
        if event.user != user:
            continue
        connected = _connected_since(history[:index], event.session)
        if event.kind == "connect" or (event.kind == "sample" and connected is not None):
            here.append((event.at, event.at))
        elif event.kind == "post" and event.samples:
            last = _last_placed(history[: index + 1], event.session)
            if last + rules.silence > event.at:
                here += _with(history[:index], rules, event, last) if event.leave else [(event.at, last)]
        elif event.kind == "drop" and connected is not None:
            heard.append((connected, min(event.evidence, event.at)))
        if _lets_go(event) and connected is not None:
            heard.append((connected, event.at))
    return here, heard


def _with(before: list[Happened], rules: ClassRules, event: Happened, last: int) -> list[tuple[int, int]]:
    """A sample that leaves holds nobody: it counts with what held when it came."""
    holds = [hold for hold in _holds(before, rules) if hold.user == event.user]
    return [(hold.start, last) for hold in holds if hold.start <= event.at < hold.end]


def _connected_since(before: list[Happened], session: str) -> int | None:
    since: int | None = None
    for event in before:
        if event.kind == "restart":
            since = None
        if event.session == session:
            if event.kind == "connect":
                since = event.at if since is None else since
            elif event.kind == "drop" or _lets_go(event):
                since = None
    return since


def _presence(
    history: list[Happened],
    rules: ClassRules,
    user: str,
    ending: Ending | None,
    now: int,
    *,
    open_end: int = -FOREVER,
) -> list[Range]:
    before = history[: ending.index] if ending else history
    stays = _stays(before, rules, user, None if ending else now)
    pieces = []
    for session in sorted({e.session for e in history if e.user == user and e.session}):
        pieces += _proofs(history, session, rules, ending, stays)
    for stay in stays:
        last = stay.last
        if ending is not None and stay.end > ending.seen:
            # Held by a connection, or by fresh samples, to the end of the class; a grace holds nobody that long.
            there = any(
                hold.user == user
                and hold.start <= ending.seen < hold.end
                and (hold.kind == "http" or hold.connected_until > ending.seen)
                for hold in _holds(before, rules)
            )
            last = max(stay.first, min(max(last, ending.at) if there else last, ending.at))
        elif ending is None and stay.end > now:
            last = max(last, open_end)
        pieces.append((stay.first, last))
    return unite(pieces)


def _held(before: list[Happened], rules: ClassRules, user: str, now: int) -> bool:
    """Whether more than a grace holds the learner: what comes later then proves what lies between, too."""
    sessions = {event.session for event in before if event.user == user}
    fresh = any(
        hold.user == user and hold.kind == "http" and hold.start <= now < hold.end for hold in _holds(before, rules)
    )
    return fresh or any(_connected_since(before, session) is not None for session in sessions)


def _proofs(
    history: list[Happened], session: str, rules: ClassRules, ending: Ending | None, stays: list[Stay]
) -> list[Range]:
    """From sample to sample without silence: presence, whenever it became known."""
    alone = []
    placed = _placed_times(history, session)
    for (_, start), (index, end) in pairwise(placed):
        if end == start or end - start > rules.silence:
            continue
        known = history[index].at
        if ending is not None and index >= ending.index:
            alone.append((start, min(end, ending.at)))
            continue
        during = [stay for stay in stays if stay.start <= known < stay.end]
        if during and start >= during[0].first and _held(history[:index], rules, history[index].user, known):
            during[0].last = max(during[0].last, end)
        else:
            alone.append((start, end))
    return alone


def _began(history: list[Happened], rules: ClassRules, until: int) -> tuple[int, int] | None:
    """When the class was seen to begin, and as of when."""
    opens = rules.scheduled_start - 15 * 60_000
    found = [(e.at, index, min(e.evidence, e.at)) for index, e in enumerate(history) if e.kind == "start"]
    for hold in _holds(history, rules):
        there = max(hold.start, opens)
        # Whoever comes and goes at once came all the same; whoever goes just then was still there.
        if (there < hold.end or there == hold.start or (there == hold.end and hold.left)) and there <= until:
            # Where the window opens around somebody, it is the clock that turns the room, before all that happens then.
            found.append((there, hold.index if there == hold.start else -1, there))
    return (min(found)[0], min(found)[2]) if found else None


def _ended(
    history: list[Happened], rules: ClassRules, began: tuple[int, int] | None, told: list[Ending], now: int
) -> Ending | None:
    """By its sender; or, nobody there for 10 minutes after the scheduled end, as of when the last one had gone."""
    limit = told[0].seen if told else now
    if rules.scheduled_end is not None and began is not None:
        holds = _holds(history, rules)
        held = _together(holds)
        for empty in sorted({began[0], *[max(end, began[0]) for _, end in held], *[hold.start for hold in holds]}):
            # Who comes just when the last one has gone finds an empty class.
            left = any(end == empty for _, end in held)
            if empty < began[0] or any(start < empty < end or (start == empty and not left) for start, end in held):
                continue
            last = max([began[1], *_gone(history, rules, empty)])
            over = max(rules.scheduled_end, last)
            due = max(empty, over + 10 * 60_000)
            later = [hold for hold in holds if hold.start > empty or (left and hold.start == empty < hold.end)]
            back = min([hold.start for hold in later], default=due)
            if due <= min(back, limit):
                return Ending(due, over, sum(event.at < due for event in history))
    return told[0] if told else None


def _gone(history: list[Happened], rules: ClassRules, empty: int) -> list[int]:
    """When everybody who had gone by then was there last."""
    users = sorted({event.user for event in history if event.user})
    gone = []
    for user in users:
        stays = _stays(history, rules, user, None)
        for session in sorted({event.session for event in history if event.user == user}):
            _proofs(history, session, rules, None, stays)
        gone += [stay.last for stay in stays if stay.end <= empty]
    for hold in _holds(history, rules):
        if hold.start == hold.end <= empty:
            until_then = history[: hold.index + 1]
            gone.append(_last_placed(until_then, until_then[-1].session) if hold.kind == "http" else hold.start)
    return gone


def _late(
    history: list[Happened], rules: ClassRules, user: str, started: int | None, ending: Ending | None, now: int
) -> bool:
    """First arrival, at the start for who was there before, strictly over the grace behind the scheduled start."""
    begin = None if started is None else max(started, rules.scheduled_start)
    for start, end in _presence(history, rules, user, ending, now, open_end=now + 1):
        if begin is None or end > begin:
            if ending is not None and start >= ending.at:
                return False
            return max(start, rules.scheduled_start) - rules.scheduled_start > rules.late_grace
    return False
