"""Truth beside answers: every difference has a learner, an act, a field and both values. Pure.

Content is exact: it is a sum of what the player itself said. Wall time passes through the server's estimate of the
device's clock, so it has a tolerance. What the door kept is compared message by message, by type and time.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter
from datetime import datetime
from typing import Any, Final

import msgspec

from load_tests.mobile.playing import Learner
from load_tests.mobile.truth import Credit, Watched
from protocol.engagement import MineAnswer, ViewerItem
from protocol.mobile.messages import read_body
from protocol.mobile.wire import Unreadable
from protocol.rest import SessionAnswer

EXACT_S: Final = 0.0015
"""Milliseconds, each rounded once."""
WALL_S: Final = 0.5
"""A segment's two ends: a sample is never later than its reception, so that the last of a batch may be bent."""
CLOCK_S: Final = 3.0
"""A message's time on the server's clock: the device's, and what the first request took."""
UNCOMPARED: Final = frozenset({107, -1})
"""What every sending of a batch has anew, and what was left of one that was cut short."""
SHOWN: Final = 12


class Difference(msgspec.Struct, frozen=True):
    """Something that the server says otherwise than it was."""

    learner: str
    act: str
    field: str
    truth: str
    answer: str


class Kept(msgspec.Struct):
    """What `GET /api/v1/mobile/sessions/{id}` answers, as far as it is compared (reading 11)."""

    session_id: str
    user_id: str | None
    user_uuid: str
    messages: list[dict[str, Any]]
    undecodable: int
    watch_sessions: list[str]
    next_cursor: str | None


class Answers(msgspec.Struct):
    """What was read back of one learner."""

    kept: list[Kept]
    sessions: list[SessionAnswer]
    mine: MineAnswer | None = None
    viewer: ViewerItem | None = None


class Sayer:
    """Collects the differences of one learner."""

    def __init__(self, learner: Learner) -> None:
        self._who = (learner.user_id, learner.act)
        self.found: list[Difference] = []

    def same(self, field: str, truth: object, answer: object) -> None:
        """Equal, or a difference."""
        if truth != answer:
            self.found.append(Difference(*self._who, field, str(truth), str(answer)))

    def near(self, field: str, truth: float, answer: float, within: float) -> None:
        """Near, or a difference."""
        if abs(truth - answer) > within:
            self.found.append(Difference(*self._who, field, f"{truth:.3f}", f"{answer:.3f}"))


def of_learner(learner: Learner, known: Credit, watched: Watched, answers: Answers) -> list[Difference]:
    """Everything of one learner with one content or room."""
    say = Sayer(learner)
    for problem in learner.problems:
        say.same("acting", "as the contract says", problem)
    _kept(say, learner, answers.kept)
    _sessions(say, learner, known, watched, answers.sessions)
    if answers.mine is not None:
        _mine(say, known, watched, answers.mine)
        _viewer(say, known, answers.viewer)
    return say.found


def _kept(say: Sayer, learner: Learner, kept: list[Kept]) -> None:
    """Each message that the server said it has is there, once, at its time; nothing else is."""
    truth: dict[str, list[int]] = {}
    # The same file under two tokens is one file; the same message of two devices is two.
    told = {(launch.user_uuid, *one): launch.clock_ahead_ms for launch in learner.launches for one in launch.told}
    for (_, number, at, raw), ahead in told.items():
        truth.setdefault(_told(number, raw), []).append(at - ahead)
    answer: dict[str, list[int]] = {}
    for one in (one for each in kept for one in each.messages if one["type"] not in UNCOMPARED):
        answer.setdefault(_answered(one), []).append(milliseconds(one["at"]))
    wanted, found = Counter(_counts(truth)), Counter(_counts(answer))
    say.same("messages missing", [], sorted((wanted - found).elements())[:SHOWN])
    say.same("messages too many", [], sorted((found - wanted).elements())[:SHOWN])
    for body, times in truth.items():
        for at, read in zip(sorted(times), sorted(answer.get(body, [])), strict=False):
            say.near(f"time of {body[:60]}", at / 1000, read / 1000, CLOCK_S)
    say.same("undecodable", learner.undecodable, sum(each.undecodable for each in kept))
    started: set[str] = {session for launch in learner.launches for session in launch.sessions}
    say.same("sessions begun and not listed", set[str](), started - {each.session_id for each in kept})


def _counts(times: dict[str, list[int]]) -> dict[str, int]:
    return {body: len(each) for body, each in times.items()}


def _told(number: int, raw: bytes) -> str:
    """A message in a form that can be compared: its type with its fields, or with what nobody can read."""
    try:
        body = read_body(number, raw)
    except Unreadable:
        body = None
    fields = b64encode(raw).decode() if body is None else msgspec.to_builtins(body)
    return f"{number} {json.dumps(fields)}"


def _answered(one: dict[str, Any]) -> str:
    fields = one["raw"] if one["fields"] is None else one["fields"]
    return f"{one['type']} {json.dumps(fields)}"


def _sessions(say: Sayer, learner: Learner, known: Credit, watched: Watched, sessions: list[SessionAnswer]) -> None:
    if not watched.credited:
        say.same("watch sessions of nobody", [], [each.session_id for each in sessions])
        return
    say.same("whose watch sessions", {learner.user_id}, {each.user_id for each in sessions})
    say.near("content_seconds", known.content / 1000, sum(each.content_seconds for each in sessions), _exact(known))
    watch = sum(each.watch_seconds for each in sessions)
    say.near("watch_seconds", known.wall / 1000, watch, WALL_S * max(1, known.pieces))
    unverified = [each.session_id for each in sessions for piece in each.segments if not piece.verified]
    say.same("unverified", [], unverified)


def _mine(say: Sayer, known: Credit, watched: Watched, mine: MineAnswer) -> None:
    truth = [(begin / 1000, end / 1000) for begin, end in known.ranges]
    fits = len(truth) == len(mine.ranges) and all(
        abs(mine_begin - begin) <= EXACT_S and abs(mine_end - end) <= EXACT_S
        for (begin, end), (mine_begin, mine_end) in zip(truth, mine.ranges, strict=True)
    )
    say.same("me: ranges", str(truth), str(truth if fits else mine.ranges))
    if known.ranges:
        share = known.covered / (watched.duration_s * 1000)
        say.near("me: coverage", int(share * 1000) / 1000, mine.coverage, 0.001)


def _viewer(say: Sayer, known: Credit, viewer: ViewerItem | None) -> None:
    say.same("a viewer", known.views, viewer is not None)
    if viewer is None:
        return
    say.near("viewer: covered_seconds", known.covered / 1000, viewer.covered_seconds, _exact(known))
    say.near("viewer: content_seconds", known.content / 1000, viewer.content_seconds, _exact(known))
    say.near("viewer: watch_seconds", known.watch / 1000, viewer.watch_seconds, WALL_S * known.pieces)


def _exact(known: Credit) -> float:
    return EXACT_S * max(1, known.pieces)


def milliseconds(text: str) -> int:
    """Unix ms of an RFC 3339 time."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)
