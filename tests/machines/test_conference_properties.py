"""Rooms told by webhooks, beside the slow specification (`conference_spec.py`); and laws without examples."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

import tests.machines.profiles  # noqa: F401 - loads the profile
from actors import snapshots
from actors.machines import ranges
from actors.machines.events import Event, ParticipantJoined, ParticipantLeft, SessionTold, Tick, TrackTold
from actors.machines.room import Room
from actors.machines.rows import Rows
from actors.machines.state import RoomRules, RoomState
from tests.machines import conference_histories as histories
from tests.machines import conference_spec as spec
from tests.machines.builders import GRACE, HOUR, MIN, T0
from tests.machines.conference_histories import Drawn
from tests.machines.conference_spec import Fact
from tests.machines.meeting import Meeting

FIGURES = ("camera", "microphone", "screen")


def tell(meeting: Meeting, facts: list[Fact]) -> None:
    for fact in facts:
        event, received = histories.unix(fact)
        meeting.step(event, received - T0)


def held(facts: list[Fact], now: int, end: int | None = HOUR) -> Meeting:
    """A class of which all this was told, as seen at `now`."""
    meeting = Meeting(0, end)
    tell(meeting, facts)
    meeting.time_passes(now)
    return meeting


def meant(drawn: Drawn, end: int | None = HOUR) -> spec.Told:
    rules = spec.Rules(0, end, GRACE, RoomRules().late_grace_ms, RoomRules().attended_min_ms)
    return spec.come_to(drawn.facts, drawn.streams, rules, drawn.now)


def figures_of(meeting: Meeting, now: int) -> dict[str, Any]:
    """What a class comes to, for whoever reads it; presence behind its end is nobody's."""
    over = now if meeting.ended is None else meeting.ended
    read: dict[str, Any] = {"": (meeting.status, meeting.started, meeting.ended)}
    for user in meeting.state.members:
        row = meeting.figures(user, now)
        presences = [(start, min(end, over)) for start, end in meeting.presence(user, now) if start < over]
        devices = (row.camera_ms, row.microphone_ms, row.screen_ms)
        if presences:
            stays = meeting.state.members[user].stays.values()
            reasons = sorted(stay.reason for stay in stays if stay.counts and stay.reason is not None)
            read[user] = (presences, row.presence_ms, row.late, row.attended, devices, reasons)
    return read


def figures_meant(told: spec.Told) -> dict[str, Any]:
    """The same, as the specification has it."""
    read: dict[str, Any] = {"": (told.state, told.started, told.ended)}
    for user, learner in told.learners.items():
        devices = tuple(learner.devices[device] for device in FIGURES)
        if learner.presences:
            figures = (learner.presences, learner.presence_ms, learner.late, learner.attended)
            read[user] = (*figures, devices, sorted(learner.reasons))
    return read


# -- beside the specification -----------------------------------------------------------------------------------------


@given(histories.unordered())
def test_a_class_told_afterwards_in_any_order_is_what_the_specification_says(drawn: Drawn):
    meeting = held(drawn.facts, drawn.now)

    assert figures_of(meeting, drawn.now) == figures_meant(meant(drawn))


@given(histories.alive())
def test_a_class_told_while_it_happens_is_what_the_specification_says(drawn: Drawn):
    meeting = held(drawn.facts, drawn.now)

    assert figures_of(meeting, drawn.now) == figures_meant(meant(drawn))


# -- laws -------------------------------------------------------------------------------------------------------------


@given(histories.unordered(), st.randoms(use_true_random=False))
def test_the_same_facts_in_another_order_come_to_the_same(drawn: Drawn, random: Any):
    other = drawn.facts.copy()
    random.shuffle(other)

    assert figures_of(held(other, drawn.now), drawn.now) == figures_of(held(drawn.facts, drawn.now), drawn.now)


@given(histories.alive(), st.data())
def test_whatever_is_told_again_changes_nothing(drawn: Drawn, data: st.DataObject):
    again: list[Fact] = []
    for event, received in drawn.facts:
        again.append((event, received))
        told = [
            fact for fact in again if isinstance(fact[0], ParticipantJoined | ParticipantLeft | SessionTold | TrackTold)
        ]
        repeated: bool = data.draw(st.booleans())
        if told and repeated:
            again.append((data.draw(st.sampled_from(told))[0], received))

    assert figures_of(held(again, drawn.now), drawn.now) == figures_of(held(drawn.facts, drawn.now), drawn.now)


@given(histories.alive(), st.data())
def test_a_class_is_rebuilt_from_any_snapshot_and_what_was_journaled(drawn: Drawn, data: st.DataObject):
    whole = held(drawn.facts, drawn.now)
    cut = data.draw(st.integers(0, len(whole.journal)))
    room = Room("r1", RoomState(), whole.rules)
    for index, (event, now) in enumerate(through_journal(whole.journal)):
        if index == cut:
            room = Room("r1", through_snapshot(room), whole.rules)
        room.step(event, now)
    room.step(Tick(), T0 + drawn.now)

    assert msgspec.msgpack.encode(room.state) == msgspec.msgpack.encode(whole.state)
    figures = [room.attendance(member, T0 + drawn.now) for member in room.state.members.values()]
    assert figures == [whole.figures(user, drawn.now) for user in whole.state.members]
    assert room.row(T0 + drawn.now) == whole.room.row(T0 + drawn.now)


def through_journal(journal: list[tuple[Event, int]]) -> list[tuple[Event, int]]:
    """As the journal gives them back."""
    return [(msgspec.msgpack.decode(msgspec.msgpack.encode(event), type=type(event)), now) for event, now in journal]


def through_snapshot(room: Room) -> RoomState:
    """As the store gives it back."""
    return snapshots.room_state(snapshots.PLAIN + snapshots.encode(room.snapshot()))


@given(histories.alive(), st.data())
def test_looking_at_the_clock_changes_nothing(drawn: Drawn, data: st.DataObject):
    watched = Meeting(0, HOUR)
    before = drawn.facts[0][1] if drawn.facts else drawn.now
    for event, received in drawn.facts:
        for _ in range(data.draw(st.integers(0, 2))):
            before = data.draw(st.integers(before, received))
            watched.time_passes(before)
        tell(watched, [(event, received)])
        before = received
    watched.time_passes(drawn.now)

    assert figures_of(watched, drawn.now) == figures_of(held(drawn.facts, drawn.now), drawn.now)


class Table:
    """What the store keeps of checkpoints: rows by their keys, and an open presence whose beginning moved goes."""

    def __init__(self) -> None:
        self.presences: dict[tuple[str, int, int], tuple[int, bool, str | None]] = {}
        self.attendances: dict[str, Any] = {}
        self.room: Any = None

    def store(self, rows: Rows) -> None:
        for gone in rows.gone:
            self.presences = {key: row for key, row in self.presences.items() if key[0] != gone.user_id}
            self.attendances.pop(gone.user_id, None)
        latest = {(row.user_id, row.number): row for row in rows.presences}
        for (user, number), row in latest.items():
            former = [key for key in self.presences if key[:2] == (user, number) and key[2] != row.joined_at]
            for key in former:
                del self.presences[key]
            self.presences[user, number, row.joined_at] = (row.left_at, row.open, row.disconnect_reason)
        self.attendances.update({row.user_id: row for row in rows.attendances})
        self.room = rows.room

    def united(self, user: str) -> list[int]:
        union: list[int] = []
        for (owner, _, joined_at), (left_at, _, _) in self.presences.items():
            if owner == user:
                ranges.add(union, joined_at, left_at)
        return union


@given(histories.alive() | histories.unordered(), st.data())
def test_checkpoints_in_between_write_the_same_rows_in_the_end(drawn: Drawn, data: st.DataObject):
    whole, at_once = held(drawn.facts, drawn.now), Table()
    at_once.store(whole.checkpoint(drawn.now))
    parted, stored = Meeting(0, HOUR), Table()
    writing: Rows | None = None
    for fact in drawn.facts:
        tell(parted, [fact])
        if writing is not None:
            settle(parted, stored, writing, durable=data.draw(st.booleans()))
            writing = None
        if data.draw(st.booleans()):
            writing = parted.room.rows()
    if writing is not None:
        settle(parted, stored, writing, durable=data.draw(st.booleans()))
    parted.time_passes(drawn.now)
    stored.store(parted.checkpoint(drawn.now))

    assert stored.attendances == at_once.attendances
    assert stored.room == at_once.room
    users = {key[0] for key in [*stored.presences, *at_once.presences]}
    assert {user: stored.united(user) for user in users} == {user: at_once.united(user) for user in users}


def settle(meeting: Meeting, table: Table, rows: Rows, *, durable: bool) -> None:
    """A checkpoint became durable, or did not, while other things happened."""
    if durable:
        table.store(rows)
        meeting.room.written(rows)
    else:
        meeting.room.unwritten(rows)


@given(histories.alive() | histories.unordered())
def test_rows_together_are_the_presence_that_is_proven(drawn: Drawn):
    meeting, table = held(drawn.facts, drawn.now), Table()
    table.store(meeting.checkpoint(drawn.now))

    for user, member in meeting.state.members.items():
        if user in table.attendances:
            assert table.united(user) == member.presences(0), user


# -- which sessions are of the class ----------------------------------------------------------------------------------

WINDOW_END = 5 * MIN
EDGES = [-15 * MIN - 1, -15 * MIN, -15 * MIN + 1, 15 * MIN - 1, 15 * MIN, 15 * MIN + 1]


@st.composite
def at_the_edges(draw: st.DrawFn) -> Drawn:
    """Sessions that begin and end around the time in which a class of five minutes may be."""
    facts: list[Event] = []
    for number in range(draw(st.integers(1, 3))):
        sid = f"s{number}"
        begins = draw(st.sampled_from([*EDGES, 0, -HOUR, HOUR]))
        ends = max(begins, draw(st.sampled_from([*EDGES, MIN, HOUR + MIN])))
        facts += [SessionTold(sid, "started", begins), SessionTold(sid, "ended", ends)]
        if draw(st.booleans()):
            facts.append(ParticipantJoined(sid, f"a/{sid}", "a", begins, begins))
    received = max(event.at for event in facts if isinstance(event, SessionTold))
    ordered = draw(st.permutations(facts))
    return Drawn([(event, received) for event in ordered], [], received)


@given(at_the_edges())
def test_only_sessions_in_its_time_are_of_a_class(drawn: Drawn):
    meeting = held(drawn.facts, drawn.now, end=WINDOW_END)

    assert figures_of(meeting, drawn.now) == figures_meant(meant(drawn, WINDOW_END))
