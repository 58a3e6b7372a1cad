"""Truth beside answers: every difference has a learner, a field and both values. Pure.

Playheads and seconds of content are exact: they are sums of what the player itself said. Wall time passes through the
server's estimate of the client's clock, so it has a tolerance.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Final

import msgspec

from load_tests.simulate import truth
from load_tests.simulate.record import Class, Learner, Told, Track
from protocol.rest import ClassDetailsAnswer, SegmentAnswer, SessionAnswer, StudyLogAnswer

WALL_BORDER_S: Final = 0.25
"""Either end of a segment: the clock's offset is the least delay seen, and a busy machine delays the first messages."""
EXACT_S: Final = 0.0015
"""Seconds of content: milliseconds, each rounded once."""
SHARE: Final = 0.02
"""Shares of wall time whose ends are uncertain."""
COMPLETED_SHARE: Final = 0.95
BETWEEN_MS: Final = 1000
"""A count of people is compared with those present for this long around the moment."""


class Difference(msgspec.Struct, frozen=True):
    """Something that the server says otherwise than it was."""

    learner: str
    field: str
    truth: str
    answer: str


class Row(msgspec.Struct, frozen=True):
    """A learner's line in the table."""

    learner: str
    main: str
    presence_truth_s: float
    presence_answer_s: int | None
    late_truth: bool | None
    late_answer: bool | None
    played_truth_s: float
    played_answer_s: float
    segments_truth: int
    segments_answer: int
    samples: int
    sessions: int


class Answers(msgspec.Struct):
    """What was read back."""

    sessions: dict[str, SessionAnswer] = {}
    details: dict[str, ClassDetailsAnswer] = {}
    refused: dict[str, str] = {}
    """Session or learner -> why it could not be read."""


class LearnerTruth(msgspec.Struct):
    """All readings of a learner's presence, and what was played in the room."""

    readings: list[list[truth.Span]] = []
    room_segments: list[truth.Segment] = []
    played_ms: int = 0
    segments: int = 0


class Comparison:
    """One learner held against the answers."""

    def __init__(self, record: Class, times: truth.ClassTruth, rules: truth.Rules, answers: Answers) -> None:
        self._record = record
        self._times = times
        self._rules = rules
        self._answers = answers

    def learner(self, learner: Learner) -> tuple[Row, LearnerTruth, list[Difference]]:
        """Everything about one learner."""
        found = [Difference(learner.user_id, "acting", "no problem", problem) for problem in learner.problems]
        known = LearnerTruth()
        accepted: dict[tuple[int, str], list[list[Told]]] = {}
        for number, device in enumerate(learner.devices):
            for name, track in device.tracks.items():
                taken, differences = self._track(learner.user_id, name, track, known)
                accepted[number, name] = taken
                found += differences
        spans = truth.learner_spans(learner, accepted, self._rules)
        readings = truth.alternatives(spans, self._record.outages)
        readings += [truth.to_the_end(reading, self._times) for reading in readings]
        known.readings = [truth.clipped(reading, self._times) for reading in readings]
        found += self._presence(learner, known)
        return self._row(learner, known), known, found

    # -- sessions -------------------------------------------------------------------------------------------------

    def _track(
        self, user_id: str, name: str, track: Track, known: LearnerTruth
    ) -> tuple[list[list[Told]], list[Difference]]:
        accepted: list[list[Told]] = []
        found: list[Difference] = []
        for index, (session_id, _) in enumerate(track.sessions):
            told = track.of_session(index)
            answer = self._answers.sessions.get(session_id)
            if answer is None:
                why = self._answers.refused.get(session_id, "not read")
                found.append(Difference(user_id, f"{name} {session_id}", f"{len(told)} samples", why))
                continue
            last = told[-1].seq if told else 0
            taken = [one for one in told if one.seq <= answer.last_seq]
            accepted.append(taken)
            say = _Sayer(user_id, f"{name} {session_id}")
            acked = track.acked.get(session_id, 0)
            may = min(last, track.sent)
            say.check("last_seq", acked <= answer.last_seq <= max(may, acked), f"{acked}..{may}", answer.last_seq)
            pieces = truth.segments(taken, track.interval_s)
            known.played_ms += sum(piece.played for piece in pieces)
            known.segments += len(pieces)
            if name == "room":
                known.room_segments += pieces
            self._session(say, track, taken, pieces, answer)
            found += say.found
        return accepted, found

    def _session(
        self, say: _Sayer, track: Track, taken: list[Told], pieces: list[truth.Segment], answer: SessionAnswer
    ) -> None:
        played = sum(piece.played for piece in pieces) / 1000
        covered = truth.covered_ms(pieces, track.duration) / 1000
        watched = sum(piece.end - piece.start for piece in pieces) / 1000
        if taken:
            say.near("position", taken[-1].position, answer.position, EXACT_S)
        say.near("content_seconds", played, answer.content_seconds, EXACT_S)
        say.near("covered_seconds", covered, answer.covered_seconds, EXACT_S)
        say.near("watch_seconds", watched, answer.watch_seconds, 2 * WALL_BORDER_S * max(1, len(pieces)))
        if track.duration is not None:
            share = min(1.0, covered / track.duration)
            near = answer.coverage is not None and abs(int(share * 1000) / 1000 - answer.coverage) <= EXACT_S
            say.check("coverage", near, share, answer.coverage)
            if abs(share - COMPLETED_SHARE) > EXACT_S:
                say.check("completed", answer.completed == (share > COMPLETED_SHARE), share, answer.completed)
        self._segments(say, pieces, answer.segments)

    def _segments(self, say: _Sayer, told: list[truth.Segment], answered: list[SegmentAnswer]) -> None:
        pieces, answers = truth.joined(told), _joined(answered)
        say.check("segments", len(pieces) == len(answers), _shown(pieces), _answered(answers))
        if len(pieces) != len(answers):
            return
        for number, (piece, answer) in enumerate(zip(pieces, answers, strict=True)):
            where = f"segment {number + 1} "
            start, end = self._on_server(piece.start), self._on_server(piece.end)
            say.near(where + "playhead_start_at", piece.playhead_start / 1000, answer.playhead_start_at, EXACT_S)
            say.near(where + "playhead_end_at", piece.playhead_end / 1000, answer.playhead_end_at, EXACT_S)
            say.near(where + "duration", piece.played / 1000, answer.duration, EXACT_S)
            say.near(where + "start_timestamp", start, seconds_of(answer.start_timestamp), WALL_BORDER_S)
            say.near(where + "end_timestamp", end, seconds_of(answer.end_timestamp), WALL_BORDER_S)
            say.check(where + "verified", answer.verified, expected=True, answer=answer.verified)
            if piece.steady and len(piece.rates) == 1:  # else it depends on what the mean is weighted by
                say.near(where + "rate", next(iter(piece.rates)), answer.rate, SHARE)
                seen = piece.seen_ms / max(1, piece.end - piece.start)
                say.near(where + "visible_share", seen, answer.visible_share, SHARE)

    def _on_server(self, at: int) -> float:
        return (at + self._record.clock_offset_ms) / 1000

    # -- the class ------------------------------------------------------------------------------------------------

    def _presence(self, learner: Learner, known: LearnerTruth) -> list[Difference]:
        say = _Sayer(learner.user_id, "details")
        answer = self._answers.details.get(learner.user_id)
        if answer is None:
            why = self._answers.refused.get(learner.user_id, "not read")
            return [Difference(learner.user_id, "details", "attendance", why)]
        figures = answer.class_details.attendance
        present = figures.total_presence_duration
        bounds = [truth.whole_seconds(reading, self._record.clock_offset_ms) for reading in known.readings]
        fits = any(bound.lo <= present <= bound.hi for bound in bounds)
        shown = " or ".join(sorted({f"{bound.lo}..{bound.hi}" for bound in bounds}))
        say.check("total_presence_duration", fits, shown, present)
        whole = truth.whole_seconds([truth.Span(self._times.begin, self._times.end, 0)], self._record.clock_offset_ms)
        length = figures.total_live_class_duration
        say.check("total_live_class_duration", whole.lo <= length <= whole.hi, f"{whole.lo}..{whole.hi}", length)
        absent = length - present
        say.check("total_absence_duration", figures.total_absence_duration == absent, absent, figures)
        self._lateness(say, learner, known, answer)
        room_pieces = truth.joined(known.room_segments)
        wanted = Counter((one.playhead_start // 1000, one.playhead_end // 1000) for one in room_pieces)
        logs = Counter(_stretches(answer.class_details.study_logs))
        say.check("study_logs", wanted == logs, sorted(wanted.elements()), sorted(logs.elements()))
        return say.found

    def _lateness(self, say: _Sayer, learner: Learner, known: LearnerTruth, answer: ClassDetailsAnswer) -> None:
        figures = answer.class_details.attendance
        lates = {truth.lateness(reading, self._record, self._rules) for reading in known.readings if reading}
        late = next(iter(lates)) if len(lates) == 1 else None
        minimum = self._rules.attended_min_s
        slack = 2 * truth.PRESENCE_BORDER_MS / 1000
        least, most = truth.least_and_most_seconds(known.readings)
        attended: bool | None = None
        if least >= minimum + slack * len(known.readings):
            attended = True
        if most < minimum - slack * len(known.readings):
            attended = False
        if attended is not None:
            say.check("was_present", figures.was_present == attended, attended, figures.was_present)
            if late is not None:
                say.check("was_late", figures.was_late == (attended and late), attended and late, figures.was_late)
        if late is None:
            return
        for device in learner.devices:
            track = device.tracks.get("room")
            if track is not None and track.late is not None:
                say.check(f"joined.late ({device.device_id})", track.late == late, late, track.late)

    def _row(self, learner: Learner, known: LearnerTruth) -> Row:
        tracks = [track for device in learner.devices for track in device.tracks.values()]
        ids = [session_id for track in tracks for session_id, _ in track.sessions]
        answers = [self._answers.sessions[one] for one in ids if one in self._answers.sessions]
        details = self._answers.details.get(learner.user_id)
        figures = None if details is None else details.class_details.attendance
        present = None if figures is None else figures.total_presence_duration
        # The reading that the answer took: the others are no less true, but would look like a difference.
        nearest = sorted(known.readings, key=lambda one: abs(truth.exact_seconds(one) - (present or 0)))
        first = nearest[0] if nearest else []
        return Row(
            learner.user_id,
            learner.main,
            round(truth.exact_seconds(first), 3),
            present,
            truth.lateness(first, self._record, self._rules),
            next((track.late for track in tracks if track.late is not None), None),
            known.played_ms / 1000,
            round(sum(answer.content_seconds for answer in answers), 3),
            known.segments,
            sum(len(answer.segments) for answer in answers),
            sum(len(track.told) for track in tracks),
            len(ids),
        )


class _Sayer:
    """Collects the differences of one learner and place."""

    def __init__(self, user_id: str, place: str) -> None:
        self._user_id = user_id
        self._place = place
        self.found: list[Difference] = []

    def check(self, field: str, fits: bool, expected: object, answer: object) -> None:  # noqa: FBT001 - the verdict
        if not fits:
            self.found.append(Difference(self._user_id, f"{self._place} {field}", str(expected), str(answer)))

    def near(self, field: str, expected: float, answer: float, tolerance: float) -> None:
        self.check(field, abs(expected - answer) <= tolerance, f"{expected:.3f}", f"{answer:.3f}")


def seconds_of(text: str) -> float:
    """Unix seconds of an RFC 3339 time."""
    return datetime.fromisoformat(text).timestamp()


def bounds_at(known: dict[str, LearnerTruth], at: float) -> tuple[int, int]:
    """Least and most learners present at our unix ms `at`."""
    least = most = 0
    for one in known.values():
        inside = [_contains(reading, at, BETWEEN_MS) for reading in one.readings]
        near = [_contains(reading, at, -BETWEEN_MS) for reading in one.readings]
        least += bool(inside) and all(inside)
        most += any(near)
    return least, most


def _contains(reading: list[truth.Span], at: float, inside_ms: int) -> bool:
    if inside_ms < 0:
        return any(span.begin.lo + inside_ms <= at <= span.end.hi - inside_ms for span in reading)
    return any(span.begin.hi + inside_ms <= at <= span.end.lo - inside_ms for span in reading)


def _shown(pieces: list[truth.Segment]) -> str:
    return f"{len(pieces)}: " + " ".join(
        f"[{one.playhead_start / 1000:.3f} {one.playhead_end / 1000:.3f}]" for one in pieces
    )


def _answered(pieces: list[SegmentAnswer]) -> str:
    return f"{len(pieces)}: " + " ".join(f"[{one.playhead_start_at:.3f} {one.playhead_end_at:.3f}]" for one in pieces)


def _joined(answers: list[SegmentAnswer]) -> list[SegmentAnswer]:
    """The end of a class closes a segment; samples that came later go on behind it: two pieces of one stretch."""
    found: list[SegmentAnswer] = []
    for one in answers:
        last = found[-1] if found else None
        here = (one.start_timestamp, one.playhead_start_at)
        if last is None or (last.end_timestamp, last.playhead_end_at) != here:
            found.append(one)
            continue
        walls = [seconds_of(each.end_timestamp) - seconds_of(each.start_timestamp) for each in (last, one)]
        whole = sum(walls) or 1.0
        found[-1] = msgspec.structs.replace(
            last,
            end_timestamp=one.end_timestamp,
            playhead_end_at=one.playhead_end_at,
            duration=last.duration + one.duration,
            rate=(last.rate * walls[0] + one.rate * walls[1]) / whole,
            visible_share=(last.visible_share * walls[0] + one.visible_share * walls[1]) / whole,
            verified=last.verified and one.verified,
        )
    return found


def _stretches(logs: list[StudyLogAnswer]) -> list[tuple[int, int]]:
    """The playheads of study logs, joined in the same way; a learner's devices may lie between one another."""
    ends: dict[tuple[str, int], int] = {}
    found: list[tuple[int, int]] = []
    for log in logs:
        place = ends.pop((log.start_timestamp, log.playhead_start_at), None)
        if place is None:
            found.append((log.playhead_start_at, log.playhead_end_at))
            place = len(found) - 1
        else:
            found[place] = (found[place][0], log.playhead_end_at)
        ends[log.end_timestamp, log.playhead_end_at] = place
    return found
