"""The handlers of endpoints 7 and 8, and ratings: one learner in one class (learning-api.md, readings 1, 2, 10, 13)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from aiohttp import web

from actors.figures import classes, participation, rates
from actors.figures.classes import Seen
from actors.figures.facts import Answer, LiveClass
from actors.figures.spans import Span
from actors.machines.rows import SegmentRow
from actors.machines.track import Segment
from protocol.learning import InteractionAnswer
from protocol.rest import (
    AttendanceAnswer,
    ClassDetails,
    ClassDetailsAnswer,
    LiveClassAnswer,
    ProgramAnswer,
    RatingAnswer,
    RatingBody,
    StudyLogAnswer,
    public_id,
    rfc3339,
)
from server.http import bodies, merging, params
from server.http.answers import forbidden, invalid, json_answer, not_found
from server.http.learning import asked
from server.http.learning.loading import Loading
from server.http.learning.memory import RoomSeen
from server.http.learning.pages import Ground
from server.http.learning.words import Words
from server.http.ports import ClassStore
from storage.reading import Rating

BODY_BYTES: Final = 64 * 1024
NO_TIME: Final = Span(0, 0)

_DECODER: Final = msgspec.json.Decoder(RatingBody)


class OneClass:
    """One a process."""

    def __init__(self, ground: Ground, store: ClassStore) -> None:
        self._ground = ground
        self._store = store

    async def details(self, request: web.Request) -> web.Response:
        """`GET /liveclass/details?live_class_id`."""
        question, words = await self._ground.ask(request)
        live_class_id = _live_class_id(request)
        with asked.stored():
            loading, cls = await self._theirs(question.user_id, live_class_id)
            await loading.add_presences([cls], question.now)
            stored = await self._store.segments_of(live_class_id, question.user_id)
            rating = await self._store.rating(live_class_id, question.user_id)
            program = await self._program(cls)
        seen = classes.seen(cls, loading.learner.presences[live_class_id], self._ground.rules, question.now)
        answer = ClassDetailsAnswer(
            ClassDetails(
                title=words.text("class_details_title"),
                live_class=_live_class(cls, program, rated=rating is not None),
                attendance=_attendance(seen),
                study_logs=_study_logs(loading.here.get(live_class_id), stored),
            )
        )
        return asked.answer(request, answer)

    async def interaction(self, request: web.Request) -> web.Response:
        """`GET /liveclass/interaction?live_class_id`."""
        question, words = await self._ground.ask(request)
        live_class_id = _live_class_id(request)
        with asked.stored():
            loading, _ = await self._theirs(question.user_id, live_class_id)
            await loading.add_offers([live_class_id])
            await loading.add_answers(NO_TIME, [live_class_id])
            doubts = await self._ground.loader.store.doubts(question.user_id, live_class_id)
        doubts = _with_unwritten(doubts, loading, live_class_id)
        return asked.answer(request, _interaction(loading, live_class_id, doubts, words))

    async def rate(self, request: web.Request) -> web.Response:
        """`PUT /liveclass/{id}/rating`: of a class that one attended; rating twice replaces."""
        claims = await self._ground.access.anybody(request)
        live_class_id = params.path_id(request)
        body = bodies.decode(_DECODER, await bodies.read(request, BODY_BYTES))
        now = self._ground.system.clock.now()
        with asked.stored():
            loading, cls = await self._found(claims.user_id, live_class_id)
            await loading.add_presences([cls], now)
            if not classes.seen(cls, loading.learner.presences[live_class_id], self._ground.rules, now).attended:
                raise forbidden("only a class that one attended can be rated")
            await self._store.rate(Rating(live_class_id, claims.user_id, body.stars, body.comment, now))
        return json_answer(RatingAnswer(public_id(live_class_id), body.stars, body.comment, "done"))

    # -- facts --------------------------------------------------------------------------------------------------------

    async def _found(self, user_id: str, live_class_id: str) -> tuple[Loading, LiveClass]:
        """The class. Raises `Problem` (404)."""
        loading = await self._ground.loader.begin(user_id)
        # No range: what else the learner is in right now is not asked for.
        await loading.add_classes(0, 0, [live_class_id])
        cls = _class_of(loading, live_class_id)
        if cls is None:
            raise not_found("no such class")
        return loading, cls

    async def _theirs(self, user_id: str, live_class_id: str) -> tuple[Loading, LiveClass]:
        """The class, where it ever was the learner's (reading 13). Raises `Problem` (404)."""
        loading, cls = await self._found(user_id, live_class_id)
        if loading.learner.ever(cls.product_id) or live_class_id in loading.present:
            return loading, cls
        await loading.add_activity()
        if loading.learner.ever(cls.product_id) or await self._active_in(loading, cls):
            return loading, cls
        raise not_found("no such class, or never this learner's")

    async def _active_in(self, loading: Loading, cls: LiveClass) -> bool:
        """Of a class of no product nothing but activity in it tells that it is the learner's."""
        if cls.product_id is not None:
            return False
        return await self._ground.loader.store.active_in(loading.user_id, cls.live_class_id)

    async def _program(self, cls: LiveClass) -> ProgramAnswer:
        if cls.program_id is None:
            return ProgramAnswer(None, "")
        name = await self._ground.loader.store.program_name(cls.program_id)
        return ProgramAnswer(public_id(cls.program_id), name or "")


def _live_class_id(request: web.Request) -> str:
    live_class_id = params.query_id(request, "live_class_id")
    if live_class_id is None:
        raise invalid("Missing - at `$.live_class_id`")
    return live_class_id


def _class_of(loading: Loading, live_class_id: str) -> LiveClass | None:
    return next((cls for cls in loading.learner.classes if cls.live_class_id == live_class_id), None)


def _live_class(cls: LiveClass, program: ProgramAnswer, *, rated: bool) -> LiveClassAnswer:
    return LiveClassAnswer(
        live_class_id=public_id(cls.live_class_id),
        name=cls.live_class_id if cls.name is None else cls.name,
        start_at=rfc3339(cls.start_at),
        end_at=rfc3339(classes.shown_end(cls)),
        program=program,
        rating_status="done" if rated else "pending",
    )


def _attendance(seen: Seen) -> AttendanceAnswer:
    return AttendanceAnswer(
        was_present=seen.attended,
        was_late=seen.late,
        total_live_class_duration=seen.length_s,
        total_presence_duration=seen.present_s,
        total_absence_duration=seen.length_s - seen.present_s,
    )


def _study_logs(seen: RoomSeen | None, stored: Sequence[SegmentRow]) -> list[StudyLogAnswer]:
    sessions = [] if seen is None else seen.sessions
    return [_study_log(segment) for segment in merging.of_class(sessions, stored) if segment.verified]


def _study_log(segment: Segment) -> StudyLogAnswer:
    start, end = segment.start_position // 1000, segment.end_position // 1000
    return StudyLogAnswer(rfc3339(segment.start_at) or "", rfc3339(segment.end_at) or "", start, end, end - start)


def _with_unwritten(doubts: dict[str, bool], loading: Loading, live_class_id: str) -> dict[str, bool]:
    """With what the room has taken in and not written yet."""
    seen = loading.here.get(live_class_id)
    if seen is None:
        return doubts
    asked_now = {
        row.id: False for row in seen.unwritten if row.kind == "doubt_asked" and row.user_id == loading.user_id
    }
    return asked_now | doubts


def _interaction(loading: Loading, live_class_id: str, doubts: dict[str, bool], words: Words) -> InteractionAnswer:
    cls = _class_of(loading, live_class_id)
    assert cls is not None, "it was found before"
    answers: list[Answer] = loading.learner.answers
    polls = loading.learner.polls_answered.get(live_class_id, 0)
    correct = sum(answer.is_correct for answer in answers)
    rate = rates.rounded(participation.share(cls, len(answers), polls))
    resolved = sum(doubts.values())
    return InteractionAnswer(
        title=words.text("interaction_title"),
        class_participation_text=words.participation(rate, cls.quizzes + cls.polls),
        class_participation_rate=rate,
        total_offered_quizes=cls.quizzes,
        total_correct_answer=correct,
        totola_wrong_answer=len(answers) - correct,
        total_unaswered=cls.quizzes - len(answers),
        total_offered_polls=cls.polls,
        total_responded_polls=polls,
        total_unresponded_polls=cls.polls - polls,
        total_doubt_asked=len(doubts),
        total_doubt_resolved=resolved,
        total_doubt_unresolved=len(doubts) - resolved,
    )
