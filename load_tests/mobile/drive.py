"""Drive a server through learners with apps, read everything back, compare it with the truth."""

from __future__ import annotations

import asyncio
import base64
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import msgspec
from rich.console import Console
from rich.table import Table

from load_tests.mobile import comparing, truth
from load_tests.mobile.acting import ACTS, cast
from load_tests.mobile.comparing import Answers, Difference, Kept
from load_tests.mobile.playing import KIND, Learner, Stage
from load_tests.mobile.sdk import Gone, Sent
from load_tests.simulate.rest import Declined, Rest
from protocol.engagement import Data, MineAnswer, ViewerItem, ViewersAnswer
from protocol.rest import RoomBody

PATIENCE_S: Final = 30.0
SHOWN: Final = 40
_NOT_FOUND: Final = 404


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What is acted. `seconds`: how long a live one watches."""

    project: str
    none_project: str | None = None
    seconds: float = 12.0
    seed: int = 1
    read_back_s: float = 90.0


class Outcome(msgspec.Struct):
    """What came of it; nothing may differ."""

    figures: dict[str, Any]
    differences: list[Difference]


async def drive(
    options: Options,
    url: str,
    staff: str,
    tokens: list[str],
    meanwhile: Callable[[], Awaitable[None]] | None = None,
) -> Outcome:
    """Act, read back, compare; one learner for each token. `meanwhile` may do harm to the server."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=70)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None), connector=connector) as http:
        stage = Stage(
            http,
            url,
            f"mobile-{time.time_ns():x}",
            options.project,
            options.none_project,
            options.seconds,
            Sent(),
        )
        learners = cast([(subject(token), token) for token in tokens], options.seed)
        rest = Rest(url, http, PATIENCE_S)
        await rest.put_room(staff, f"{stage.prefix}-room", RoomBody("Stand-in"))
        begin = time.perf_counter()
        harm = asyncio.ensure_future(meanwhile()) if meanwhile is not None else None
        await asyncio.gather(*(_act(stage, learner) for learner in learners))
        if harm is not None:
            await harm
        elapsed = time.perf_counter() - begin
        differences = [Difference("", "", "an answer", "200", problem) for problem in stage.sent.problems]
        differences += await _read_back(Reader(rest, staff, stage), learners, options.read_back_s)
    return Outcome(_figures(stage.sent, learners, elapsed), differences)


async def _act(stage: Stage, learner: Learner) -> None:
    try:
        await ACTS[learner.act](stage, learner)
    except Gone as gone:
        learner.problems.append(f"the server stayed away: {gone}")


def subject(token: str) -> str:
    """Whose JWT this is; not verified."""
    claims = token.split(".")[1]
    return str(msgspec.json.decode(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"])


# -- reading back ----------------------------------------------------------------------------------------------------


async def _read_back(reader: Reader, learners: list[Learner], patience_s: float) -> list[Difference]:
    """What differs. Work follows an answer: what differs is read again until it agrees or time is up."""
    deadline = time.monotonic() + patience_s
    left = learners
    while True:
        await reader.look_around()
        found = await asyncio.gather(*(_of_learner(reader, learner) for learner in left))
        left = [learner for learner, differences in zip(left, found, strict=True) if differences]
        if not left or time.monotonic() > deadline:
            return [each for differences in found for each in differences]
        await asyncio.sleep(1.0)


async def _of_learner(reader: Reader, learner: Learner) -> list[Difference]:
    watched = learner.watched[0] if learner.watched else truth.Watched(learner.user_id, "", 1, credited=False)
    try:
        answers = await reader.answers(learner, watched)
    except (Declined, msgspec.ValidationError) as error:
        return [Difference(learner.user_id, learner.act, "readable", "yes", str(error))]
    return comparing.of_learner(learner, truth.credit(watched), watched, answers)


class Reader:
    """Reads what the server says of learners."""

    def __init__(self, rest: Rest, staff: str, stage: Stage) -> None:
        self._rest = rest
        self._staff = staff
        self._stage = stage
        self._listed: dict[str, list[str]] = {}
        self._viewers: dict[tuple[str, str], ViewerItem] = {}

    async def look_around(self) -> None:
        """The lists that are read once for everybody: app sessions by `userUUID`, viewers by content."""
        self._listed = {}
        for item in await self._pages(f"/api/v1/mobile/sessions?project={quote(self._stage.project)}"):
            self._listed.setdefault(item["user_uuid"], []).append(item["session_id"])
        self._viewers = {}
        for act in ACTS:
            content = f"{self._stage.prefix}-{act}"
            for viewer in await self._viewers_of(content):
                self._viewers[content, viewer.user_id] = viewer

    async def _pages(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            more = "" if cursor is None else f"&cursor={quote(cursor, safe='')}"
            page = msgspec.json.decode(await self._rest.look(self._staff, path + more))
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    async def _viewers_of(self, content: str) -> list[ViewerItem]:
        path = f"/api/v1/videos/engagement/viewers?content_kind={KIND}&content_id={quote(content)}&limit=200"
        try:
            text = await self._rest.look(self._staff, path)
        except Declined as declined:
            if declined.status == _NOT_FOUND:
                return []
            raise
        return msgspec.json.decode(text, type=Data[ViewersAnswer]).data.items

    async def answers(self, learner: Learner, watched: truth.Watched) -> Answers:
        """All of one learner. Raises `Declined`, `msgspec.ValidationError`."""
        kept = [await self._kept(each) for each in self._listed_of(learner)]
        ids = sorted({session for each in kept for session in each.watch_sessions})
        sessions = [await self._rest.session(self._staff, each) for each in ids]
        mine = await self._mine(learner, watched) if learner.room is None and watched.content_id else None
        return Answers(kept, sessions, mine, self._viewers.get((watched.content_id, learner.user_id)))

    def _listed_of(self, learner: Learner) -> list[str]:
        return [session_id for each in learner.uuids for session_id in self._listed.get(each, [])]

    async def _kept(self, session_id: str) -> Kept:
        """A session with all pages of its messages."""
        path = f"/api/v1/mobile/sessions/{session_id}?limit=200"
        found = msgspec.json.decode(await self._rest.look(self._staff, path), type=Kept)
        cursor = found.next_cursor
        while cursor is not None:
            text = await self._rest.look(self._staff, f"{path}&cursor={quote(cursor, safe='')}")
            page = msgspec.json.decode(text, type=Kept)
            found.messages += page.messages
            cursor = page.next_cursor
        return found

    async def _mine(self, learner: Learner, watched: truth.Watched) -> MineAnswer | None:
        path = f"/api/v1/videos/engagement/me?content_kind={KIND}&content_id={quote(watched.content_id)}"
        try:
            text = await self._rest.look(learner.token, path)
        except Declined as declined:
            if declined.status == _NOT_FOUND and not watched.credited:
                return None
            raise
        return msgspec.json.decode(text, type=Data[MineAnswer]).data


# -- report ----------------------------------------------------------------------------------------------------------


def _figures(sent: Sent, learners: list[Learner], elapsed: float) -> dict[str, Any]:
    return {
        "learners": len(learners),
        "launches": sum(len(learner.launches) for learner in learners),
        "app_sessions": sum(len(launch.sessions) for learner in learners for launch in learner.launches),
        "messages": sum(len(launch.told) for learner in learners for launch in learner.launches),
        "batches": sent.batches,
        "messages_repeated": sent.repeats,
        "posts": sent.posts,
        "retries": sent.retries,
        "restarted_on_401": sent.restarts,
        "answers": dict(sorted(sent.answers.items())),
        "seconds": round(elapsed, 2),
    }


def show(outcome: Outcome, console: Console) -> None:
    """A list of what differs, and the verdict."""
    if outcome.differences:
        table = Table(title=f"{len(outcome.differences)} differences", title_justify="left")
        for heading in ("learner", "act", "field", "truth", "answer"):
            table.add_column(heading, overflow="fold")
        for one in outcome.differences[:SHOWN]:
            table.add_row(one.learner, one.act, one.field, one.truth, one.answer)
        console.print(table)
    for (field, act), count in Counter((one.field, one.act) for one in outcome.differences).most_common(SHOWN):
        console.print(f"{count:6} x {field}: {act}", soft_wrap=True)
    verdict = "truth = answers" if not outcome.differences else f"{len(outcome.differences)} differences"
    console.print(f"{verdict} for {outcome.figures['learners']} learners")
