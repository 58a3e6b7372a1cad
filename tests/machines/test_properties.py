"""Beside the fast machines, the slow specification: equal at the end of every history; and laws without examples."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

import tests.machines.profiles  # noqa: F401 - loads the profile
from actors.machines import ranges
from actors.machines.effects import Acked, Refused
from actors.machines.events import Event, Tick
from actors.machines.room import Room
from actors.machines.state import RoomState
from actors.machines.track import PAUSED, PLAYING, Sample, Segment
from actors.machines.watch import WatchSession, WatchState
from tests.machines import histories, remarkable, spec
from tests.machines.builders import GRACE, INTERVAL, MIN, SILENCE, T0, Lesson, Watching
from tests.machines.spec import FOREVER, ClassRules, Happened, Message

# -- watching ---------------------------------------------------------------------------------------------------------


def watch(messages: list[Message]) -> tuple[Watching, list[Any]]:
    learner = Watching(at=messages[0].received)
    return learner, [deliver(learner, message) for message in messages]


def deliver(learner: Watching, message: Message) -> int | str:
    samples = [
        Sample(
            one.seq,
            T0 + one.at,
            one.position,
            PLAYING if one.playing else PAUSED,
            float(one.rate),
            one.visible,
        )
        for one in message.samples
    ]
    answer = learner.sends(samples, message.sent_at, message.received, message.interval)
    if isinstance(answer, Acked):
        return answer.seq
    assert isinstance(answer, Refused)
    if answer.code == "unknown_stream":
        return "over"
    return f"{answer.code} {answer.message.removeprefix('samples[').split(']')[0]}"


def seen(segment: Segment) -> tuple[Any, ...]:
    return (
        segment.start_at - T0,
        segment.end_at - T0,
        segment.start_position,
        segment.end_position,
        segment.verified,
        segment.offline,
        segment.mean_rate,
        segment.visible_share,
    )


def meant(piece: spec.Piece) -> tuple[Any, ...]:
    rate, visible = round(float(piece.rate), 4), round(float(piece.visible), 4)
    shape = (piece.start, piece.end, piece.start_position, piece.end_position)
    return (*shape, piece.verified, piece.offline, rate, visible)


@example(remarkable.TEN_PERCENT_TOO_FAST)
@example(remarkable.KEPT_FOR_A_DAY)
@example(remarkable.A_SMALLER_INTERVAL_IS_TOLD)
@example(remarkable.CLOCK_SET_BACK)
@given(histories.messages())
def test_a_watch_session_credits_what_the_specification_credits(messages: list[Message]):
    learner, answers = watch(messages)
    studied = spec.study(messages, INTERVAL, messages[0].received)

    assert answers == studied.answers
    assert [seen(segment) for segment in learner.segments()] == [meant(piece) for piece in studied.pieces]
    covered = spec.unite([(p.start_position, p.end_position) for p in studied.pieces if p.verified])
    assert learner.state.track.covered_ms() == sum(end - start for start, end in covered)


@given(histories.messages())
def test_no_history_credits_time_that_has_not_passed(messages: list[Message]):
    learner, _ = watch(messages)
    walls = sorted((segment.start_at, segment.end_at) for segment in learner.segments())

    assert all(end <= start for (_, end), (start, _) in pairwise(walls))
    if walls:
        assert walls[0][0] >= T0 + messages[0].received - spec.DAY - 3_600_000 * 2
        assert walls[-1][1] <= T0 + messages[-1].received


@given(histories.messages())
def test_no_history_credits_more_than_the_limit(messages: list[Message]):
    learner, _ = watch(messages)
    credited = sum(segment.content_ms for segment in learner.segments() if segment.verified)
    highest = max(one.rate for message in messages for one in message.samples)
    elapsed = T0 + messages[-1].received - learner.state.track.started_at

    assert credited <= 3_000 + Fraction(105, 100) * highest * max(0, elapsed)


@given(histories.messages(), st.data())
def test_the_same_samples_in_other_batches_give_the_same_rows(messages: list[Message], data: st.DataObject):
    """Where no message is refused as a whole, or tells of a jumped clock: there every message is a decision."""
    whole, answers = watch(messages)
    offsets = [message.received - message.sent_at for message in messages]
    if any(str(answer).startswith("too_old") for answer in answers) or max(offsets) > min(offsets) + 2_000:
        return
    pieces = []
    for message in messages:
        cut = data.draw(st.integers(1, len(message.samples)))
        for part in (message.samples[:cut], message.samples[cut:]):
            if part:
                interval = message.interval if part[-1] is message.samples[-1] else 0
                pieces.append(Message(message.received, message.sent_at, part, interval))
    again, _ = watch(pieces)

    assert [seen(one) for one in again.segments()] == [seen(one) for one in whole.segments()]


@given(histories.messages(), st.data())
def test_whatever_is_delivered_again_changes_nothing(messages: list[Message], data: st.DataObject):
    once, answers = watch(messages)
    twice = Watching(at=messages[0].received)
    for index, message in enumerate(messages):
        deliver(twice, message)
        if not isinstance(answers[index], int):
            continue
        repeats = [again for again, answer in zip(messages[: index + 1], answers, strict=False) if answer != "over"]
        again = data.draw(st.sampled_from(repeats))
        if again.samples[-1].seq <= twice.state.track.last_seq:
            deliver(twice, Message(message.received, again.sent_at, again.samples))

    assert twice.machine.rows() == once.machine.rows()


@given(histories.messages(), st.data())
def test_a_watch_session_is_rebuilt_from_any_snapshot_and_what_was_journaled(
    messages: list[Message], data: st.DataObject
):
    learner, _ = watch(messages)
    cut = data.draw(st.integers(0, len(learner.journal)))
    machine = WatchSession("s1", None, learner.machine._rules)
    for index, (event, now) in enumerate(through_journal(learner.journal)):
        if index == cut and machine.state is not None:
            packed = msgspec.msgpack.encode(machine.state)
            machine = WatchSession("s1", msgspec.msgpack.decode(packed, type=WatchState), learner.machine._rules)
        machine.step(event, now)

    assert machine.state == learner.machine.state
    assert machine.rows() == learner.machine.rows()


def through_journal(journal: list[tuple[Event, int]]) -> list[tuple[Event, int]]:
    """As the journal gives them back."""
    return [(msgspec.msgpack.decode(msgspec.msgpack.encode(event), type=type(event)), now) for event, now in journal]


@given(histories.messages(), st.data())
def test_looking_at_the_clock_changes_nothing_for_a_watch_session(messages: list[Message], data: st.DataObject):
    plain, _ = watch(messages)
    watched = Watching(at=messages[0].received)
    before = messages[0].received
    for message in messages:
        for _ in range(data.draw(st.integers(0, 2))):
            before = data.draw(st.integers(before, message.received))
            watched.time_passes(before)
        if watched.machine.wake_at <= T0 + message.received:
            watched.time_passes(max(before, watched.machine.wake_at - T0))
        deliver(watched, message)

    last = messages[-1].received
    assert plain.time_passes(last) == watched.time_passes(last) == []
    assert watched.machine.rows() == plain.machine.rows()


# -- a class ----------------------------------------------------------------------------------------------------------

SCHEDULED_ENDS = [None, 5 * MIN, 10 * MIN]


class Acted(Lesson):
    """A class in which a history is acted out."""

    def __init__(self, end: int | None) -> None:
        super().__init__(0, end)
        self.seqs: dict[str, int] = {}
        self.names: dict[str, str] = {}

    def act(self, event: Happened) -> None:
        at, user, session = event.at, event.user, event.session
        if event.kind == "connect":
            known = session in self.state.sessions
            self.joins(user, at, resume=session if known else None, session=session)
        elif event.kind == "drop":
            self.drops(session, at, event.evidence)
        elif event.kind == "leave":
            self.leaves(session, at)
        elif event.kind == "sample":
            self.sends(session, self._samples(event), at)
        elif event.kind == "post":
            named = session if session in self.state.sessions else None
            self.posts(user, at, self._samples(event), session=named, fresh=session, device=session, leave=event.leave)
        elif event.kind == "restart":
            self.server_restarts(at)
        elif event.kind == "start":
            self.starts(event.evidence, received=at)
        else:
            self.ends(event.evidence, received=at)

    def _samples(self, event: Happened) -> list[Sample]:
        first = self.seqs.get(event.session, 1) + 1
        self.seqs[event.session] = first + len(event.samples)
        return [Sample(first + n, T0 + at, 0, PLAYING) for n, at in enumerate(event.samples)]


def act(history: list[Happened], end: int | None) -> Acted:
    lesson = Acted(end)
    for event in history:
        lesson.act(event)
    return lesson


def possible(history: list[Happened], end: int | None) -> list[Happened]:
    """Without what a class that is over refuses (new streams, and what they would have done), and its reopening."""
    lesson, kept = Acted(end), []
    for event in history:
        lesson.time_passes(event.at)
        if event.kind == "start" and lesson.status == "ended":
            continue
        lesson.act(event)
        refused = any(isinstance(effect, Refused) for effect in lesson.effects)
        if not refused:
            kept.append(event)
    return kept


def until(end: int, presences: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What counts: presence after the end of a class is nobody's."""
    return [(start, min(stop, end)) for start, stop in presences if start < end]


def rules_of(lesson: Lesson, end: int | None) -> ClassRules:
    return ClassRules(0, end, GRACE, SILENCE, lesson.rules.late_grace_ms)


@example((remarkable.IN_GRACE_AS_THE_WINDOW_OPENS, -10 * MIN), None)
@example((remarkable.KEPT_ACROSS_THE_END, 2 * MIN), None)
@example((remarkable.THE_LAST_TO_LAPSE_WAS_NOT_THE_LAST, 20 * MIN), 5 * MIN)
@given(histories.classes(), st.sampled_from(SCHEDULED_ENDS))
def test_a_class_knows_who_was_there_as_the_specification_does(drawn: tuple[list[Happened], int], end: int | None):
    history, now = drawn
    history = possible(history, end)
    lesson = act(history, end)
    lesson.time_passes(now)
    expected = spec.attend(history, rules_of(lesson, end), now)

    assert lesson.started == expected.started
    assert lesson.ended == (expected.ending.at if expected.ending else None)
    # An end that was told late leaves proofs of before the telling as they are: they count up to it, and no further.
    told_late = expected.ending is not None and expected.ending.at < expected.ending.seen
    over = expected.ending.at if expected.ending is not None and told_late else FOREVER
    for user, member in lesson.state.members.items():
        assert until(over, lesson.presence(user, now)) == until(over, expected.presence[user])
        assert lesson.room.late(member, T0 + now) == expected.late[user]


@given(histories.classes(), st.sampled_from(SCHEDULED_ENDS))
def test_presence_rows_together_are_the_presence(drawn: tuple[list[Happened], int], end: int | None):
    history, now = drawn
    lesson = act(history, end)
    lesson.time_passes(now)
    rows = lesson.room.rows()

    for user, member in lesson.state.members.items():
        united: list[int] = []
        for row in rows.presences:
            if row.user_id == user:
                ranges.add(united, row.joined_at, row.left_at)
        # A connection that still holds is proven up to its last evidence: that is what a row may say.
        proven = member.past.copy()
        if member.since is not None:
            ranges.add(proven, member.since, member.evidence)
        assert united == proven
        numbers = [row.number for row in rows.presences if row.user_id == user]
        assert len(numbers) == len(set(numbers))


@example((remarkable.PROOFS_THAT_GROW, 10 * MIN + 2), None, [True] * 12)
@given(histories.classes(), st.sampled_from(SCHEDULED_ENDS), st.lists(st.booleans(), min_size=12, max_size=12))
def test_checkpoints_in_between_write_the_same_rows_in_the_end(
    drawn: tuple[list[Happened], int], end: int | None, checkpoints: list[bool]
):
    history, now = drawn
    whole = act(history, end)
    whole.time_passes(now)
    stored: dict[Any, Any] = {}
    parted = Acted(end)
    writing: Any = None
    for event, written in zip(history, checkpoints, strict=False):
        parted.act(event)
        # What was being written is durable only now: after the event.
        if writing is not None:
            store(stored, writing)
            parted.room.written(writing)
        writing = parted.room.rows() if written else None
    if writing is not None:
        store(stored, writing)
        parted.room.written(writing)
    parted.time_passes(now)
    store(stored, parted.checkpoint(now))
    at_once: dict[Any, Any] = {}
    store(at_once, whole.checkpoint(now))

    for key in at_once.keys() - stored.keys():
        assert key[0] == "presence", key
    assert union_by_user(stored) == union_by_user(at_once)
    figures = {key for key in at_once if key[0] in ("attendance", "segment")}
    assert {key: at_once[key] for key in figures} == {key: stored[key] for key in figures}


def store(stored: dict[Any, Any], rows: Any) -> None:
    """As the projections keep them: the last row of a key stands."""
    for row in rows.presences:
        stored["presence", row.user_id, row.number] = (row.joined_at, row.left_at)
    for row in rows.attendances:
        stored["attendance", row.user_id] = row
    for row in rows.segments:
        stored["segment", row.session_id, row.segment.number] = msgspec.structs.replace(row, open=False)


def union_by_user(stored: dict[Any, Any]) -> dict[str, list[int]]:
    united: dict[str, list[int]] = {}
    for key, value in stored.items():
        if key[0] == "presence":
            ranges.add(united.setdefault(key[1], []), *value)
    return {user: pieces for user, pieces in united.items() if pieces}


@given(histories.classes(), st.sampled_from(SCHEDULED_ENDS), st.data())
def test_a_class_is_rebuilt_from_any_snapshot_and_what_was_journaled(
    drawn: tuple[list[Happened], int], end: int | None, data: st.DataObject
):
    history, now = drawn
    lesson = act(history, end)
    lesson.time_passes(now)
    cut = data.draw(st.integers(0, len(lesson.journal)))
    room = Room("r1", RoomState(), lesson.rules)
    for index, (event, when) in enumerate(through_journal(lesson.journal)):
        if index == cut:
            room = Room("r1", packed(room.state), lesson.rules)
        room.step(event, when)

    assert msgspec.msgpack.encode(room.state) == msgspec.msgpack.encode(lesson.state)
    figures = [room.attendance(member, T0 + now) for member in room.state.members.values()]
    assert figures == [lesson.figures(user, now) for user in lesson.state.members]
    assert room._http == lesson.room._http


def packed(state: RoomState) -> RoomState:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=RoomState)


@given(histories.classes(), st.sampled_from(SCHEDULED_ENDS), st.data())
def test_looking_at_the_clock_changes_nothing_for_a_class(
    drawn: tuple[list[Happened], int], end: int | None, data: st.DataObject
):
    history, now = drawn
    plain = act(history, end)
    plain.time_passes(now)
    watched = Acted(end)
    before = history[0].at if history else now
    for event in history:
        punctual(watched.room, T0 + before, T0 + event.at)
        if data.draw(st.booleans()):
            watched.room.step(Tick(), T0 + data.draw(st.integers(before, event.at)))
        watched.act(event)
        before = event.at
    punctual(watched.room, T0 + before, T0 + now)

    assert msgspec.msgpack.encode(watched.state) == msgspec.msgpack.encode(plain.state)


def punctual(room: Room, start: int, until: int) -> None:
    """Ticks just when the room wants them."""
    for _ in range(100):
        if room.wake_at > until:
            return
        room.step(Tick(), max(start, room.wake_at))
        start = max(start, room.wake_at if room.wake_at <= until else start)
    raise AssertionError("it wants to be woken again and again")


@given(histories.classes(), st.data())
def test_a_page_and_the_diffs_behind_it_give_who_is_announced(drawn: tuple[list[Happened], int], data: st.DataObject):
    history, now = drawn
    history = [event for event in history if event.kind != "restart"]
    lesson = Acted(None)
    start = data.draw(st.integers(0, len(history)))
    seq, viewed = 0, {}
    for index, event in enumerate(history):
        if index == start:
            seq, viewed = lesson.room.diffs.seq, page(lesson)
        lesson.act(event)
    lesson.time_passes(now)
    lesson.time_passes(now + 1_000)
    for diff in lesson.room.diffs.since(seq) or []:
        assert diff.seq == seq + 1
        seq = diff.seq
        for line in diff.leaves:
            del viewed[line.user_id]
        for line in diff.joins:
            assert line.user_id not in viewed
            viewed[line.user_id] = line.at
        for line in diff.updates:
            assert line.user_id in viewed
            viewed[line.user_id] = line.at
        assert diff.count == len(viewed)

    assert seq == lesson.room.diffs.seq
    assert viewed == page(lesson)
    assert set(viewed) == {user for user, member in lesson.state.members.items() if member.present}


def page(lesson: Lesson) -> dict[str, int]:
    return {member.user_id: member.at for member in lesson.room.diffs.page(None)[0]}


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=12))
def test_ranges_are_the_set_of_their_milliseconds(pieces: list[tuple[int, int]]):
    flat: list[int] = []
    for start, end in pieces:
        ranges.add(flat, start, end)
    points = {point for start, end in pieces for point in range(start, end)}

    assert [(a, b) for a, b in ranges.pairs(flat)] == spec.unite(pieces)
    assert ranges.length(flat) == len(points)
    assert ranges.length_within(flat, 5, 11) == len(points & set(range(5, 11)))
