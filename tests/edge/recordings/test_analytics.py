"""Analytics come once, and their figures reach the room before the job is done."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from server.recordings import analytics
from server.recordings.analytics import Analyst
from tests.edge.recordings.conftest import Workshop
from tests.support.node import Node, until
from tests.support.plugnmeet_api import File

FIGURES = [
    {"name": "talked_duration", "total": 61_500},
    {"name": "raise_hand", "total": 2, "values": [{"time": "1", "value": ""}, {"time": "2", "value": ""}]},
    {"name": "voted_poll", "total": 3},
]


def file_of(*users: dict[str, Any]) -> File:
    return File(content=json.dumps({"room": {"room_id": "room01"}, "users": list(users)}).encode())


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    async with Node() as started:
        yield started


@pytest.fixture
def analysing(shop: Workshop, node: Node) -> Workshop:
    shop.analyst = lambda api: Analyst(api, node.system)
    return shop


def member_of(node: Node, user: str) -> Callable[[], Any]:
    def found() -> Any:
        actor = node.system.directory.rooms.get("room01")
        member = None if actor is None else actor.room.state.members.get(user)
        return member if member is not None and member.talk_ms else None

    return found


@pytest.mark.parametrize("older", [False, True])
async def test_figures_reach_their_learner_once(analysing: Workshop, node: Node, older: bool):  # noqa: FBT001
    analysing.stand_in.artifacts["a-1"] = file_of({"user_id": "27", "ex_user_id": "", "events": FIGURES})
    for _ in range(2):
        await analysing.jobs.analytics("a-1", "room01", "s-1", older=older)

    async with analysing.life():
        await until(lambda: analysing.jobs.artifacts["a-1"].state == "ready")

    await until(member_of(node, "27"))
    member = member_of(node, "27")()
    assert (member.talk_ms, member.hand_raises, member.polls_answered) == (61_500, 2, 3)
    assert analysing.counters.analytics == {"ready": 1}
    assert analysing.stand_in.asked[f"/download/{'analytics' if older else 'artifact'}"] == 1


async def test_the_job_is_done_when_the_room_is_durable(analysing: Workshop, node: Node):
    analysing.stand_in.artifacts["a-1"] = file_of({"user_id": "27", "events": FIGURES})
    await analysing.jobs.analytics("a-1", "room01", "s-1", older=False)
    await node.room("room01")
    await node.system.committer.settled()
    node.memory.faults.stalled = True

    async with analysing.life():
        await until(member_of(node, "27"))
        assert analysing.jobs.artifacts["a-1"].state == "fetching"
        node.memory.faults.stalled = False
        await until(lambda: analysing.jobs.artifacts["a-1"].state == "ready")


@pytest.mark.parametrize("content", [b"", b"no JSON", b"[]", b'{"users": 5}', b"\xff"])
async def test_what_is_no_analytics_file_is_given_up_with_the_reason(analysing: Workshop, content: bytes):
    analysing.stand_in.artifacts["a-1"] = File(content=content)
    await analysing.jobs.analytics("a-1", "room01", "s-1", older=False)

    async with analysing.life():
        await until(lambda: analysing.jobs.artifacts["a-1"].state == "failed")

    assert (analysing.jobs.artifacts["a-1"].reason or "").startswith("no analytics file")


async def test_a_room_that_takes_no_more_files_has_the_job_fail_with_the_reason(
    analysing: Workshop, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("actors.machines.conference.ARTIFACTS_MAX", 0)
    analysing.stand_in.artifacts["a-1"] = file_of({"user_id": "27", "events": FIGURES})
    await analysing.jobs.analytics("a-1", "room01", "s-1", older=False)

    async with analysing.life():
        await until(lambda: analysing.jobs.artifacts["a-1"].state == "failed")

    assert analysing.jobs.artifacts["a-1"].reason == "the room has no place for more analytics files"


async def test_a_file_without_end_is_not_read_to_its_end(analysing: Workshop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(analytics, "FILE_BYTES_MAX", 100_000)
    analysing.stand_in.artifacts["a-1"] = File(50_000_000)
    await analysing.jobs.analytics("a-1", "room01", "s-1", older=False)

    async with analysing.life():
        await until(lambda: analysing.jobs.artifacts["a-1"].state == "failed")

    assert "too large" in (analysing.jobs.artifacts["a-1"].reason or "")
    assert analysing.stand_in.sent < 50_000_000


async def test_an_artifact_that_is_not_there_yet_is_asked_for_again(analysing: Workshop, node: Node):
    await analysing.jobs.analytics("a-1", "room01", "s-1", older=False)

    async with analysing.life():
        await until(lambda: analysing.jobs.artifacts["a-1"].reason == "not found")
        analysing.stand_in.artifacts["a-1"] = file_of({"user_id": "27", "events": FIGURES})
        analysing.ahead_s += 1
        await until(lambda: analysing.jobs.artifacts["a-1"].state == "ready")
