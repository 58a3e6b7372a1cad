"""The year as lines of history: who came, late, early, again; who watched, how far, and what twice.

Lines stand in an order that an import likes: the catalog, classes one after another, exams, then lessons learner by
learner.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

from load_tests.year.platform import Class, Learner, Lesson, Platform, zipf

KIND: Final = "lms_lesson"
EXAMS_A_PRODUCT: Final = 12
_DEVICES: Final = ("android", "web", "ios")


def lines(platform: Platform, seed: int) -> Iterator[str]:
    """Every line, without its line end."""
    yield from _catalog(platform)
    members: dict[int, list[Learner]] = {product: [] for product in platform.products}
    for learner in platform.learners:
        for product in learner.products:
            members[product].append(learner)
    told = 0
    random = Random(f"{seed} classes")
    for each in platform.classes:
        for line in _class(random, each, members[each.product]):
            told += line.startswith('{"entity":"segment"')
            yield line
    yield from _exams(Random(f"{seed} exams"), platform, members)
    yield from _watching(Random(f"{seed} lessons"), platform, platform.size.segments - told)


def iso(ms: int) -> str:
    """RFC 3339, UTC, milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


# -- the catalog ------------------------------------------------------------------------------------------------------


def _catalog(platform: Platform) -> Iterator[str]:
    at = iso(platform.begin)
    for product in platform.products:
        yield _json(entity="product", id=product, name=f"Product {product}", updated_at=at)
    yield _json(entity="program", id=1, name="Program 1", updated_at=at)
    for each in platform.classes:
        yield _json(
            entity="live_class", id=each.id, name=f"{each.subject} {each.id}", catalog_product_id=each.product,
            program_id=1, subject=each.subject, platform="app", start_at=iso(each.start), end_at=iso(each.end),
            updated_at=at,
        )  # fmt: skip
    for lesson in platform.lessons:
        yield _json(
            entity="content", kind=KIND, id=lesson.id, title=f"Lesson {lesson.id}", catalog_product_id=lesson.product,
            course_id=lesson.product, has_video=True, published=True, published_at=iso(lesson.published),
            duration_seconds=lesson.length / 1000, updated_at=at,
        )  # fmt: skip
    for learner in platform.learners:
        for product in learner.products:
            yield _json(
                entity="enrolment", catalog_product_id=product, user_id=learner.id, enrolled_at=iso(learner.enrolled),
                updated_at=at,
            )  # fmt: skip


# -- classes ----------------------------------------------------------------------------------------------------------


def _class(random: Random, each: Class, members: list[Learner]) -> Iterator[str]:
    if not members:
        return
    yield _event("liveclass.end", live_class_id=each.id, catalog_product_id=each.product, start_at=iso(each.start),
                 end_at=iso(each.end), total_quiz=0)  # fmt: skip
    quiz = each.id if random.random() < 0.5 else None
    if quiz is not None:
        yield _event("liveclass.quiz", quiz_id=quiz, identification_id=each.id, identification_type="live_class",
                     catalog_product_id=each.product, timestamp=iso(each.start + 1_200_000))  # fmt: skip
    for learner in members:
        if learner.enrolled > each.start or random.random() > learner.diligence:
            continue
        yield from _attending(random, each, learner)
        if quiz is not None and random.random() < 0.5:
            yield _event("quiz_response", auth_user_id=learner.id, quiz_id=quiz, identification_id=each.id,
                         catalog_product_id=each.product, is_correct=random.random() < 0.6,
                         particiapte_at=iso(each.start + 1_200_000 + random.randrange(60_000)))  # fmt: skip


def _attending(random: Random, each: Class, learner: Learner) -> Iterator[str]:
    late = random.random() < 0.25
    begin = each.start + (int(random.expovariate(1 / 480_000)) if late else -random.randrange(420_000))
    end = each.end + random.randrange(180_000)
    if random.random() < 0.3:
        end = each.start + int((each.end - each.start) * random.betavariate(2, 2))
    device = random.choice(_DEVICES)
    name = json.dumps(learner.name, ensure_ascii=False)
    while end - begin > 5_000:
        # A third of all stays breaks off once, and goes on after a while.
        until = begin + random.randrange(5_000, end - begin) if random.random() < 0.25 else end
        yield (
            f'{{"entity":"presence","live_class_id":{each.id},"user_id":{learner.id},"joined_at":"{iso(begin)}",'
            f'"left_at":"{iso(until)}","source":"websocket","device_id":"{device}","name":{name}}}'
        )
        if until - begin > 60_000:
            head = max(0, begin - each.start) / 1000
            yield (
                f'{{"entity":"segment","user_id":{learner.id},"live_class_id":{each.id},'
                f'"start_timestamp":"{iso(begin)}","end_timestamp":"{iso(until)}","playhead_start_at":{head},'
                f'"playhead_end_at":{head + (until - begin) / 1000},"device_id":"{device}"}}'
            )
        begin = until + random.randrange(20_000, 180_000)


def _exams(random: Random, platform: Platform, members: dict[int, list[Learner]]) -> Iterator[str]:
    step = (platform.end - platform.begin) // (EXAMS_A_PRODUCT + 1)
    for product in platform.products:
        for number in range(EXAMS_A_PRODUCT):
            exam, start = f"{product}-{number}", platform.begin + (number + 1) * step // 1000 * 1000
            kind = "assignment" if number % 2 else "exam"
            yield _event("exam.start", exam_id=exam, type=kind, catalog_product_id=product, start_at=iso(start),
                         duration=1800)  # fmt: skip
            for learner in members[product]:
                if random.random() < learner.diligence:
                    took = random.randrange(300, 1800)
                    yield _event("session.end", exam_id=exam, auth_user_id=learner.id, start_at=iso(start), type=kind,
                                 catalog_product_id=product, time_taken=took,
                                 end_at=iso(start + took * 1000))  # fmt: skip


# -- lessons ----------------------------------------------------------------------------------------------------------


def _watching(random: Random, platform: Platform, budget: int) -> Iterator[str]:
    by_product: dict[int, list[Lesson]] = {product: [] for product in platform.products}
    for lesson in platform.lessons:
        by_product[lesson.product].append(lesson)
    left = len(platform.learners)
    for learner in platform.learners:
        lessons = [lesson for product in learner.products for lesson in by_product[product]]
        share = max(0, round(budget / left * random.uniform(0.3, 1.7))) if left > 1 else budget
        left -= 1
        weights = zipf(len(lessons), 0.8)
        told = 0
        while lessons and told < share:
            lesson = random.choices(lessons, cum_weights=weights)[0]
            for line in _session(random, platform, learner, lesson):
                told += 1
                yield line
        budget -= told


def _session(random: Random, platform: Platform, learner: Learner, lesson: Lesson) -> Iterator[str]:
    since = max(learner.enrolled, lesson.published)
    at = random.randrange(since, max(since + 1, platform.end - 4 * 3600 * 1000))
    session = f"h{random.getrandbits(64):016x}"
    device = random.choice(_DEVICES)
    # Half go through to the end, the others leave on the way, mostly early.
    leaves = lesson.length if random.random() < 0.5 else int(lesson.length * random.betavariate(0.8, 1.6))
    head = 0 if random.random() < 0.8 else random.randrange(lesson.length)
    for _ in range(12):
        rate = random.choice((1.0, 1.0, 1.0, 1.25, 1.5, 2.0))
        tail = min(max(leaves, head + 2_000), head + random.randrange(20_000, 400_000), lesson.length)
        if tail - head < 500:
            return
        until = at + round((tail - head) / rate)
        yield (
            f'{{"entity":"segment","user_id":{learner.id},"content_kind":"{KIND}","content_id":{lesson.id},'
            f'"session_id":"{session}","start_timestamp":"{iso(at)}","end_timestamp":"{iso(until)}",'
            f'"playhead_start_at":{head / 1000},"playhead_end_at":{tail / 1000},"device_id":"{device}"}}'
        )
        if tail >= leaves and random.random() < 0.85:
            return
        at = until + random.randrange(1_000, 90_000)
        # On, back to hear it again, or over what is known.
        head = (
            tail
            if random.random() < 0.7
            else max(0, min(lesson.length - 1_000, tail + random.randrange(-90_000, 60_000)))
        )


def _json(**fields: Any) -> str:  # noqa: ANN401 - JSON
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def _event(name: str, **payload: Any) -> str:  # noqa: ANN401 - JSON
    return _json(event_name=name, data={"payload": payload})
