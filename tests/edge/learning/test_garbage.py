"""Dashboards asked by whoever writes anything: an answer or a refusal that names what is wrong, never a failure."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import tests.machines.profiles  # noqa: F401 - loads the profile
from tests.edge.learning.conftest import HOUR, MINUTE, World, at

PATHS = [
    "/learning/activities",
    "/learning/times",
    "/liveclass/attendance",
    "/liveclass/attendance-overview",
    "/liveclass/attendance/details",
    "/liveclass/attendance-overview/2024-02-07",
    "/liveclass/attendance-overview/2024-02-07T10:00:00Z",
    "/liveclass/attendance-overview/9999-12-31",
    "/liveclass/attendance-overview/0001-01-01",
    "/liveclass/details",
    "/liveclass/interaction",
]
ZONES = ["UTC", "Asia/Dhaka", "America/Sao_Paulo", "Pacific/Apia", "America/St_Johns", "Antarctica/Troll", "/", "UTC\0"]
TIMES = (
    st.dates().map(str)
    | st.datetimes().map(lambda one: f"{one.isoformat()}Z")
    | st.datetimes().map(lambda one: f"{one.isoformat()}+14:00")
    | st.sampled_from(["2024-02-07", "2024-02-01", "2024-02-30", "1970-01-01", "9998-12-31", "9999-12-31", "", "now"])
)
TEXTS = st.text(max_size=8) | st.sampled_from(["", "\0", "x" * 129, "15", "1", "true", "\ud800", "٣"])
QUERIES = st.fixed_dictionaries(
    {},
    optional={
        "start_at": TIMES | TEXTS,
        "end_at": TIMES | TEXTS,
        "tz": st.sampled_from(ZONES) | TEXTS,
        "live_class_id": TEXTS,
        "catalog_product_id": TEXTS,
        "user_id": TEXTS,
        "with_details": st.sampled_from(["true", "false", "1"]),
    },
)


def sent(query: dict[str, str]) -> dict[str, Any]:
    """Half a surrogate pair cannot be written into an address."""
    return {name: value.encode("utf-8", "replace").decode() for name, value in query.items()}


def test_whatever_is_asked_is_answered_or_refused_by_name(standing: tuple[asyncio.Runner, World]):
    runner, world = standing
    start = at("2024-02-07 10:00")
    runner.run(world.enrol("u1", "1"))
    runner.run(world.held("15", start))
    runner.run(world.presence("u1", "15", start + MINUTE, start + HOUR))

    @settings(max_examples=150)
    @given(st.sampled_from(PATHS), QUERIES, st.booleans())
    def one(path: str, query: dict[str, str], staff: bool) -> None:  # noqa: FBT001 - drawn
        answer = runner.run(world.get(path, staff=staff, **sent(query)))
        assert answer.status in {200, 400, 403, 404}, (answer.status, answer.text)
        if answer.status != 200:
            codes = {400: "VALIDATION_FAILED", 403: "FORBIDDEN", 404: "NOT_FOUND"}
            message = answer.refusal(answer.status, codes[answer.status])
            assert answer.status != 400 or "`$." in message

    one()
