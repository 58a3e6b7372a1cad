"""`python -m load_tests dashboards`: ask as dashboards do, and say how long the answers take.

Questions go out one after the other, learners and contents drawn by chance (seeded) out of those that `history` makes;
staff reads for learners by `user_id`. With `--beats` simple video heartbeats of many learners flow meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

import aiohttp
import msgspec
import uvloop

from load_tests.year.history import last_midnight_ms
from load_tests.year.platform import CLASSES_FROM, LESSONS_FROM, USERS_FROM, Platform, Size
from load_tests.year.telling import KIND
from load_tests.year.watching import Beats, viewers, watch

_OK: Final = 200
_AGAIN: Final = 429
_NOT_FOUND: Final = 404
WARM_UP_S: Final = 3.0
"""The first heartbeat of each learner asks the store; after it they ask memory."""
Ask = tuple[str, dict[str, str]]


class Figures(msgspec.Struct):
    """How long one kind of question took: ms, and the answers that were none."""

    took: list[float] = []
    bytes: int = 0
    missing: int = 0
    failed: int = 0

    def report(self) -> dict[str, float]:
        """Quantiles in ms."""
        ordered = sorted(self.took) or [0.0]
        return {
            "n": len(self.took),
            "p50_ms": round(ordered[len(ordered) // 2], 1),
            "p95_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], 1),
            "max_ms": round(ordered[-1], 1),
            "kb": round(self.bytes / 1000 / max(1, len(self.took)), 1),
            "not_found": self.missing,
            "failed": self.failed,
        }


class Asker:
    """One dashboard that asks; `random` draws whom and what."""

    def __init__(self, http: aiohttp.ClientSession, options: argparse.Namespace) -> None:
        self._http = http
        self._options = options
        self._random = Random(options.seed)
        self._size = Size().share(options.share)
        self.platform = Platform(self._size, options.platform_seed, last_midnight_ms(options.end_s))
        self.figures: dict[str, Figures] = {}

    async def run(self, only: str) -> None:
        """Every kind of question, `rounds` times each, in turns."""
        questions = {name: make for name, make in self._questions().items() if only in name}
        for _ in range(self._options.rounds):
            for name, make in questions.items():
                await self._ask(name, make())

    async def _ask(self, name: str, ask: Ask) -> None:
        path, query = ask
        figures = self.figures.setdefault(name, Figures())
        while True:
            began = time.perf_counter()
            async with self._http.get(path, params=query) as response:
                body = await response.read()
            took = (time.perf_counter() - began) * 1000
            if response.status != _AGAIN:
                break
            await asyncio.sleep(0.5)
        figures.took.append(took)
        figures.bytes += len(body)
        figures.missing += response.status == _NOT_FOUND
        if response.status not in (_OK, _NOT_FOUND):
            figures.failed += 1
            if figures.failed == 1:
                sys.stderr.write(f"{name}: {response.status} {body[:200]!r}\n")

    def report(self) -> dict[str, Any]:
        """By kind of question."""
        return {name: figures.report() for name, figures in self.figures.items()}

    # -- what is asked ------------------------------------------------------------------------------------------------

    def _user(self) -> str:
        return str(USERS_FROM + self._random.randrange(self._size.learners))

    def _class(self) -> str:
        return str(CLASSES_FROM + self._random.randrange(self._size.classes))

    def _product(self) -> str:
        return str(1 + self._random.randrange(max(2, round(self._size.classes / 125))))

    def _lesson(self) -> dict[str, str]:
        # Popular ones are asked for more often.
        rank = min(self._random.randrange(self._size.lessons), self._random.randrange(self._size.lessons))
        return {"content_kind": KIND, "content_id": str(LESSONS_FROM + rank)}

    def _questions(self) -> dict[str, Callable[[], Ask]]:
        begin, end, month, day = _days(self._options.end_s)
        year = {"start_at": begin, "end_at": end}
        last = {"start_at": month, "end_at": end}
        spans = {"month": last, "year": year}
        learner: dict[str, Callable[[], Ask]] = {}
        for span, within in spans.items():
            for name, path in _LEARNER.items():
                learner[f"learner {name} {span}"] = self._of_learner(path, within)
            learner[f"learner attendance/details {span}"] = self._details(within)
        learner["learner attendance-overview/day"] = self._of_learner(
            f"/api/v1/liveclass/attendance-overview/{day}", {}
        )
        learner["learner liveclass/details"] = lambda: self._in_class("/api/v1/liveclass/details")
        learner["learner liveclass/interaction"] = lambda: self._in_class("/api/v1/liveclass/interaction")
        learner["learner engagement/me"] = lambda: (
            "/api/v1/videos/engagement/me",
            {**self._lesson(), "user_id": self._user()},
        )
        return learner | self._staff(year, last)

    def _most_watched(self) -> dict[str, str]:
        return {"content_kind": KIND, "content_id": str(LESSONS_FROM)}

    def _month_of(self) -> dict[str, str]:
        """Any 30 days of the year."""
        end_s = (self._options.end_s or time.time()) - self._random.randrange(1, 330) * 86_400
        begin, end = (time.strftime("%Y-%m-%d", time.gmtime(at)) for at in (end_s - 29 * 86_400, end_s))
        return {"start_at": begin, "end_at": end}

    def _odd(self) -> dict[str, str]:
        """A period that begins and ends at no midnight: hours, days or months long."""
        end_s = (self._options.end_s or time.time()) - self._random.randrange(86_400, 30 * 86_400)
        length_s = self._random.choice((5_000, 100_000, 3_000_000, 30_000_000))
        begin, end = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in (end_s - length_s, end_s))
        return {"from": begin, "to": end}

    def _day_of(self, year: dict[str, str]) -> dict[str, str]:
        """Any day of the year."""
        end_s = self._options.end_s or time.time()
        day = time.strftime("%Y-%m-%d", time.gmtime(end_s - self._random.randrange(1, 300) * 86_400))
        return {"start_at": day, "end_at": day} if day < year["end_at"] else year

    def _of_learner(self, path: str, within: dict[str, str]) -> Callable[[], Ask]:
        return lambda: (path, {**within, "user_id": self._user()})

    def _details(self, within: dict[str, str]) -> Callable[[], Ask]:
        path = "/api/v1/liveclass/attendance/details"

        def ask() -> Ask:
            learner = self._random.choice(self.platform.learners)
            product = str(self._random.choice(learner.products))
            return path, {**within, "user_id": str(learner.id), "catalog_product_id": product}

        return ask

    def _in_class(self, path: str) -> Ask:
        """A class of one of the learner's products, which they may have missed."""
        learner = self._random.choice(self.platform.learners)
        found = self._random.choice([each for each in self.platform.classes if each.product in learner.products])
        return path, {"live_class_id": str(found.id), "user_id": str(learner.id)}

    def _staff(self, year: dict[str, str], month: dict[str, str]) -> dict[str, Callable[[], Ask]]:
        videos = "/api/v1/videos/engagement"
        today = {"start_at": year["end_at"], "end_at": year["end_at"]}
        return {
            "staff engagement/summary": lambda: (f"{videos}/summary", self._lesson()),
            "staff engagement/summary month": lambda: (f"{videos}/summary", {**self._lesson(), **month}),
            "staff engagement/retention": lambda: (f"{videos}/retention", self._lesson()),
            "staff engagement/top": lambda: (f"{videos}/top", {"sort": self._random.choice(_SORTS)}),
            "staff engagement/viewers": lambda: (f"{videos}/viewers", self._lesson()),
            "staff engagement/summary day": lambda: (f"{videos}/summary", {**self._lesson(), **self._day_of(year)}),
            "staff engagement/retention month": lambda: (f"{videos}/retention", {**self._lesson(), **month}),
            "staff engagement/viewers month": lambda: (f"{videos}/viewers", {**self._lesson(), **month}),
            "staff concurrent month": lambda: ("/api/v1/videos/concurrent", {**month, "step": "3600"}),
            "staff concurrent day": lambda: ("/api/v1/videos/concurrent", {**today, "step": "300"}),
            "staff analytics/dashboard": lambda: ("/api/v1/analytics/dashboard", {}),
            "staff analytics/dashboard year": lambda: ("/api/v1/analytics/dashboard", {"year": year["end_at"][:4]}),
            "staff analytics/dashboard odd period": lambda: ("/api/v1/analytics/dashboard", self._odd()),
            "staff most watched summary month": lambda: (f"{videos}/summary", {**self._most_watched(), **month}),
            "staff most watched summary any month": lambda: (
                f"{videos}/summary",
                {**self._most_watched(), **self._month_of()},
            ),
            "staff most watched retention any month": lambda: (
                f"{videos}/retention",
                {**self._most_watched(), **self._month_of()},
            ),
            "staff rooms": lambda: ("/api/v1/rooms", {}),
            "staff attendance.csv class": lambda: (f"/api/v1/rooms/{self._class()}/attendance.csv", {}),
            "staff attendance.csv product month": lambda: (
                "/api/v1/export/attendance.csv",
                {**month, "catalog_product_id": self._product()},
            ),
            "staff attendance.csv largest product month": lambda: (
                "/api/v1/export/attendance.csv",
                {**month, "catalog_product_id": "1"},
            ),
        }


_LEARNER: Final = {
    "learning/activities": "/api/v1/learning/activities",
    "learning/times": "/api/v1/learning/times",
    "liveclass/attendance": "/api/v1/liveclass/attendance",
    "liveclass/attendance-overview": "/api/v1/liveclass/attendance-overview",
}
_DAY: Final = "/api/v1/liveclass/attendance-overview"
_SORTS: Final = ("viewers", "completion", "drop_off", "watch_time")


def _days(end_s: float | None) -> tuple[str, str, str, str]:
    """The dates of a year ago, of yesterday, of a month ago and of a week ago."""
    end = time.time() if end_s is None else end_s
    day = 24 * 3600
    found = [time.strftime("%Y-%m-%d", time.gmtime(end - back * day)) for back in (364, 1, 30, 7)]
    return found[0], found[1], found[2], found[3]


async def _measure(options: argparse.Namespace) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {options.token}"}
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(options.url, headers=headers, timeout=timeout) as http:
        asker = Asker(http, options)
        if not options.beats:
            await asker.run(options.only)
            return asker.report()
        those = viewers(asker.platform, options.learners, options.seed)
        beats = Beats()
        async with aiohttp.ClientSession(options.url, timeout=timeout) as players:
            watching = asyncio.create_task(watch(players, those, options.beats, beats))
            await asyncio.sleep(WARM_UP_S)
            beats.took.clear()
            await asker.run(options.only)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        asker.figures[f"heartbeats of {len(those)} learners"] = Figures(beats.took, failed=beats.refused)
    return asker.report()


def main(arguments: Sequence[str]) -> int:
    """Ask, and print the figures as JSON; 1 where a question failed."""
    parser = argparse.ArgumentParser(prog="python -m load_tests dashboards", description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--token", required=True, help="of staff")
    parser.add_argument("--share", type=float, default=1.0, help="as for `history`")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--only", default="", help="questions with this in their name")
    parser.add_argument("--beats", type=float, default=0.0, help="simple video heartbeats a second meanwhile, of:")
    parser.add_argument("--learners", type=Path, metavar="FILE", help="`rollcall token --count 9999 --prefix 100`")
    parser.add_argument("--platform-seed", type=int, default=1, help="the --seed of `history`")
    parser.add_argument("--save", type=Path, metavar="FILE", help="the figures as JSON, with what was measured")
    parser.add_argument("--end-s", type=float, metavar="UNIX", help="as for `history`; default: today")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    if options.beats and options.learners is None:
        parser.error("--beats needs --learners")
    figures = uvloop.run(_measure(options))
    text = json.dumps(figures, indent=2) + "\n"
    sys.stdout.write(text)
    if options.save is not None:
        options.save.write_text(text)
    for name, each in figures.items():
        sys.stderr.write(f"{name:45} p50 {each['p50_ms']:8} ms   p95 {each['p95_ms']:8} ms   {each['kb']} KB\n")
    return 1 if any(each["failed"] for each in figures.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
