"""Who may join and watch where the catalog knows enrolments (realtime.md, "Who may")."""

from __future__ import annotations

from typing import Any

import pytest

from actors.machines.events import Scheduled
from protocol.catalog import Enrolment, Entity, Lesson
from storage.memory_catalog import MemoryCatalog
from tests.support.clients import player
from tests.support.node import Node

JOIN: dict[str, Any] = {"type": "join", "room": "r1"}
WATCH: dict[str, Any] = {"type": "watch", "content": {"kind": "video", "id": 7}}
PAGE: dict[str, Any] = {"type": "presence", "room": "r1"}


def video(product_id: str) -> Lesson:
    return Lesson(
        kind="video",
        content_id="7",
        title="Algebra",
        catalog_product_id=product_id,
        course_id=None,
        has_video=True,
        published=True,
        published_at=None,
        duration_ms=None,
        sequential=False,
        requires=(),
        completion_threshold=None,
        ignore_tail=False,
        updated_at=0,
    )


async def tell(node: Node, *entities: Entity) -> None:
    await MemoryCatalog(node.memory).write(entities)
    node.catalog.wrote(entities)


@pytest.fixture
async def course(node: Node) -> Node:
    """A class and a video of product p1, in which one learner is enrolled."""
    await node.happens("r1", Scheduled("Algebra", None, None, "p1"))
    await tell(node, video("p1"), Enrolment("p1", "mine", None, None, 0))
    return node


@pytest.mark.parametrize("asked", [JOIN, WATCH, PAGE], ids=lambda asked: asked["type"])
async def test_a_learner_without_an_enrolment_is_refused_and_the_connection_lives(course: Node, asked: dict[str, Any]):
    async with player(course, "stranger") as one:
        assert (await one.ask(**asked))["code"] == "forbidden"
        assert (await one.join("another"))["type"] == "joined"


@pytest.mark.parametrize("asked", [JOIN, WATCH, PAGE], ids=lambda asked: asked["type"])
async def test_a_learner_with_one_comes_in(course: Node, asked: dict[str, Any]):
    async with player(course, "mine") as one:
        assert (await one.ask(**asked))["type"] in ("joined", "watching", "members")


@pytest.mark.parametrize("asked", [JOIN, WATCH, PAGE], ids=lambda asked: asked["type"])
async def test_staff_need_none(course: Node, asked: dict[str, Any]):
    async with player(course, "teacher", role="staff") as one:
        assert (await one.ask(**asked))["type"] in ("joined", "watching", "members")


async def test_who_is_in_class_when_the_enrolment_ends_stays_and_does_not_come_again(course: Node):
    async with player(course, "mine") as one:
        joined = await one.join("r1")
        await tell(course, Enrolment("p1", "mine", None, course.now, 1))
        await one.beat(joined["stream"], 1)
        assert (await one.hear("ack"))["seq"] == 1

    async with player(course, "mine") as again:
        assert (await again.ask(**JOIN))["code"] == "forbidden"


async def test_a_fact_that_cannot_be_read_is_busy(course: Node):
    course.memory.faults.away = True
    async with player(course, "mine") as one:
        answer = await one.ask(**JOIN)

    assert answer["code"] == "busy"
    assert answer["retry_after"] > 0
