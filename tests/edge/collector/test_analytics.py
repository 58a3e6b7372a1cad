"""What staff read of events, beside a slow and obvious reading of the same events."""

import asyncio
import os
from collections import defaultdict
from datetime import UTC, datetime
from math import ceil, floor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.openapi import catalogue
from storage import collected
from storage.keys import PostgresKeys, WriteKey, digest_of
from tests.edge.learning.conftest import World, said
from tests.machines import profiles

pytestmark = pytest.mark.slow
FOLDER = Path(catalogue.__file__).parent / "examples"
SECRET = "rk_a-key-of-these-tests"
T0 = round(datetime(2026, 3, 1, tzinfo=UTC).timestamp() * 1000)
STEP_S = 600
HOURS = {"start_at": said(T0), "end_at": said(T0 + 3_600_000), "step": str(STEP_S)}
Event = dict[str, Any]


async def make_key(world: World) -> None:
    key = WriteKey("shop", digest_of(SECRET), ["collect"], 0, None, None, 1.0)
    await PostgresKeys(world.server.database).create(key)


async def send(world: World, events: list[Event]) -> None:
    body = msgspec.json.encode({"events": events})
    url = f"{world.url}/analytics/track/batch"
    async with world.http.post(url, data=body, headers={"X-Write-Key": SECRET}) as response:
        answer = msgspec.json.decode(await response.read())
    assert answer == {"accepted": len(events), "duplicates": 0, "rejected": []}


async def ask(world: World, path: str, **query: Any) -> Any:
    return (await world.get(f"/analytics/{path}", staff=True, **query)).json


def view(at: int = T0, **fields: Any) -> Event:
    return {"type": "view", "app": "shop", "contentId": "p", "contentType": "post", "timestamp": at} | fields


def engagement(at: int = T0, **fields: Any) -> Event:
    base = {"type": "engagement", "userId": "u", "metricType": "like", "targetId": "p", "targetType": "content"}
    return base | {"timestamp": at} | fields


# -- the specification ------------------------------------------------------------------------------------------------


def percentile(values: list[float], share: float) -> float | None:
    """`percentile_cont`: between the two values that the share falls between."""
    if not values:
        return None
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low, high = ordered[floor(place)], ordered[ceil(place)]
    return low + (place - floor(place)) * (high - low)


def mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def users(events: list[Event]) -> int:
    return len({str(each["userId"]) for each in events if each.get("userId") not in (None, "")})


def durations(events: list[Event]) -> list[float]:
    return [each["duration"] for each in events if each.get("duration") is not None]


def within(events: list[Event], kind: str, **wanted: str | None) -> list[Event]:
    return [
        each
        for each in events
        if each["type"] == kind
        and T0 <= each["timestamp"] < T0 + 3_600_000
        and all(value is None or str(each.get(name)) == value for name, value in wanted.items())
    ]


def of_step(events: list[Event], step: int) -> list[Event]:
    return [each for each in events if (each["timestamp"] - T0) // (1000 * STEP_S) == step]


def close(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, float) and isinstance(found, int | float):
        return abs(found - wanted) < 2e-6
    if isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(close(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(close, found, wanted))
    return bool(found == wanted)


def views_of(events: list[Event], **wanted: str | None) -> list[Any]:
    chosen = within(events, "view", **wanted)
    items: list[Any] = []
    for step in range(6):
        mine = of_step(chosen, step)
        told = durations(mine)
        figures = {"views": len(mine), "unique_users": users(mine), "mean_duration": mean(told)}
        shares = {"p50_duration": percentile(told, 0.5), "p95_duration": percentile(told, 0.95)}
        items.append({"at": said(T0 + 1000 * STEP_S * step)} | figures | shares)
    return items


def engagement_of(events: list[Event], **wanted: str | None) -> list[Any]:
    chosen = within(events, "engagement", **wanted)
    items: list[Any] = []
    for step in range(6):
        mine = of_step(chosen, step)
        for metric in sorted({each["metricType"] for each in mine}):
            of_type = [each for each in mine if each["metricType"] == metric]
            at = said(T0 + 1000 * STEP_S * step)
            items.append({"at": at, "metric_type": metric, "count": len(of_type), "unique_users": users(of_type)})
    return items


def status_of(event: Event) -> int | None:
    status = event.get("statusCode", event.get("metadata", {}).get("statusCode"))
    return None if status is None else int(status)


def calls_of(events: list[Event], **wanted: str | None) -> list[Any]:
    by_path: dict[str, list[Event]] = defaultdict(list)
    for each in within(events, "view", **wanted):
        if str(each["contentId"]).startswith(("GET:/", "POST:/")):
            by_path[each["contentId"]].append(each)
    items: list[Any] = []
    for path, mine in sorted(by_path.items(), key=lambda item: (-len(item[1]), item[0])):
        known = [status for status in map(status_of, mine) if status is not None]
        rate = round(100.0 * sum(status >= 500 for status in known) / len(known), 3) if known else None
        told = durations(mine)
        shares = {f"p{share}_duration": percentile(told, share / 100) for share in (50, 95, 99)}
        items.append({"content_id": path, "count": len(mine), "error_rate": rate} | shares)
    return items


# -- the property -----------------------------------------------------------------------------------------------------

TIMES = st.sampled_from([-1, 0, 1, 599_999, 600_000, 600_001, 3_599_999, 3_600_000]) | st.integers(0, 3_599_999)
USERS = st.sampled_from([None, "", "a", "b", 5, "5"])
CONTENTS = st.sampled_from(["p", "q", 7, "GET:/x", "POST:/y", "get:/x"])
DURATIONS = st.none() | st.sampled_from([0, 1, 86_400]) | st.floats(0, 1_000).map(lambda value: round(value, 3))
STATUSES = st.sampled_from(
    [{}, {"statusCode": 200}, {"statusCode": "500"}, {"statusCode": 499}, {"metadata": {"statusCode": 503}}]
)
VIEWS = st.builds(
    lambda at, status, **fields: view(T0 + at, **fields, **status),
    TIMES,
    STATUSES,
    userId=USERS,
    contentId=CONTENTS,
    duration=DURATIONS,
    app=st.sampled_from(["shop", "web"]),
    contentType=st.sampled_from(["post", "api"]),
)
ENGAGEMENTS = st.builds(
    lambda at, **fields: engagement(T0 + at, **fields),
    TIMES,
    userId=st.sampled_from(["a", "b", 5, "5"]),
    metricType=st.sampled_from(["like", "share"]),
    targetId=st.sampled_from(["p", "q"]),
)
FILTERS = st.fixed_dictionaries(
    {"app": st.sampled_from([None, "shop", "none"]), "contentType": st.sampled_from([None, "post"])}
)


def query(**wanted: str | None) -> dict[str, Any]:
    names = {"contentType": "content_type", "contentId": "content_id", "metricType": "metric_type"}
    return HOURS | {names.get(name, name): value for name, value in wanted.items() if value is not None}


async def compare(world: World, events: list[Event], filters: dict[str, str | None]) -> None:
    await world.database.execute("TRUNCATE collector_events")
    if events:
        await send(world, events)
    views = await ask(world, "views", **query(**filters))
    assert views["step"] == STEP_S
    assert close(views["items"], views_of(events, **filters)), (views["items"], views_of(events, **filters))
    one = await ask(world, "views", **query(contentId="p"))
    assert close(one["items"], views_of(events, contentId="p"))
    for metric in (None, "like"):
        engaged = await ask(world, "engagement", **query(metricType=metric))
        assert engaged["items"] == engagement_of(events, metricType=metric)
    calls = await ask(world, "api-calls", **_without_step(query(app=filters["app"])))
    assert close(calls["items"], calls_of(events, app=filters["app"])), (calls, calls_of(events, app=filters["app"]))


def _without_step(asked: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if name != "step"}


@settings(max_examples=60, deadline=None, suppress_health_check=[*profiles.QUIET, HealthCheck.function_scoped_fixture])
@given(events=st.lists(VIEWS | ENGAGEMENTS, max_size=40), filters=FILTERS)
def test_answers_are_those_of_the_slow_reading(standing_reader, events, filters):
    runner: asyncio.Runner
    runner, world = standing_reader
    runner.run(make_key(world))
    runner.run(compare(world, events, filters))


# -- by hand ----------------------------------------------------------------------------------------------------------


async def test_an_event_is_read_as_soon_as_it_is_answered(reader):
    await make_key(reader)
    await send(reader, [view(reader.now(), userId="u", duration=2), view(reader.now())])
    found = await ask(reader, "views", step="86400")

    step = found["items"][-1]
    assert (step["views"], step["unique_users"], step["mean_duration"]) == (2, 1, 2.0)
    assert len(found["items"]) == 30


async def test_nothing_is_zero_and_none(reader):
    found = await ask(reader, "views", **HOURS)

    nothing = {"views": 0, "unique_users": 0, "mean_duration": None, "p50_duration": None, "p95_duration": None}
    assert found["items"] == [{"at": said(T0 + 1000 * STEP_S * step)} | nothing for step in range(6)]
    assert await ask(reader, "engagement", **HOURS) == {"items": [], "step": STEP_S}
    assert await ask(reader, "api-calls") == {"items": []}


async def test_the_most_called_come_first_and_no_more_than_asked(reader):
    await make_key(reader)
    paths = ["GET:/a", "GET:/b", "GET:/b", "GET:/c"]
    await send(reader, [view(reader.now(), contentId=path, contentType="api") for path in paths])

    found = await ask(reader, "api-calls", limit="2")
    assert [(each["content_id"], each["count"]) for each in found["items"]] == [("GET:/b", 2), ("GET:/a", 1)]
    [only] = (await ask(reader, "api-calls", content_id="GET:/c"))["items"]
    assert only["content_id"] == "GET:/c"
    assert (only["error_rate"], only["p99_duration"]) == (None, None)


@pytest.mark.parametrize("path", ["views", "engagement", "api-calls"])
async def test_only_staff_reads(reader, path):
    assert (await reader.get(f"/analytics/{path}", "learner")).refusal(403, "FORBIDDEN")
    assert (await reader.get(f"/analytics/{path}", None)).refusal(401, "UNAUTHENTICATED")


@pytest.mark.parametrize(
    ("path", "asked", "field"),
    [
        ("views", {"step": "0"}, "$.step"),
        ("views", {"step": "x"}, "$.step"),
        ("views", {"step": "1"}, "$.step"),
        ("views", HOURS | {"end_at": said(T0)}, "$.end_at"),
        ("views", {"start_at": "yesterday"}, "$.start_at"),
        ("views", {"start_at": "2020-01-01", "end_at": "2026-01-01"}, "$.end_at"),
        ("views", {"tz": "Mars/Olympus"}, "$.tz"),
        ("views", {"app": "x" * 129}, "$.app"),
        ("views", {"content_id": "x" * 513}, "$.content_id"),
        ("engagement", {"metric_type": ""}, "$.metric_type"),
        ("engagement", {"step": "1"}, "$.step"),
        ("api-calls", {"limit": "1001"}, "$.limit"),
        ("api-calls", {"limit": "0"}, "$.limit"),
    ],
)
async def test_what_is_asked_wrongly_is_named(reader, path, asked, field):
    message = (await reader.get(f"/analytics/{path}", staff=True, **asked)).refusal(400, "VALIDATION_FAILED")
    assert message.endswith(f"at `{field}`")


async def test_two_thousand_steps_are_answered_and_one_more_is_refused(reader):
    span = {"start_at": said(T0), "step": "1"}
    full = await ask(reader, "views", **span, end_at=said(T0 + 2_000_000))
    assert len(full["items"]) == 2_000

    refused = await reader.get("/analytics/views", staff=True, **span, end_at=said(T0 + 2_001_000))
    assert "2000" in refused.refusal(400, "VALIDATION_FAILED")


async def test_a_range_of_a_year_has_steps_of_whole_hours_and_its_days_are_the_zones(reader):
    year = await ask(reader, "views", start_at="2025-01-01", end_at="2025-12-31", tz="Asia/Dhaka")
    assert (year["step"], len(year["items"])) == (5 * 3_600, 365 * 24 // 5)
    assert year["items"][0]["at"] == "2024-12-31T18:00:00.000Z"


async def test_more_types_in_more_steps_than_can_be_told_are_refused(reader):
    await reader.database.execute(
        "INSERT INTO collector_events (at, received_at, key_number, kind, content_id, metric_type)"
        " SELECT to_timestamp($1::float8 / 1000) + n % 2000 * interval '1 second', now(), 1, 2, 'p', 'm' || n / 2000"
        " FROM generate_series(0, 20000) AS n",
        T0,
    )
    span = {"start_at": said(T0), "end_at": said(T0 + 2_000_000), "step": "1"}

    refused = await reader.get("/analytics/engagement", staff=True, **span)
    assert refused.refusal(400, "VALIDATION_FAILED").endswith("at `$.step`")
    assert len((await ask(reader, "engagement", **span, metric_type="m3"))["items"]) == 2_000


async def test_storage_that_is_away_is_said(reader):
    await reader.database.execute("ALTER TABLE collector_events RENAME TO elsewhere")
    for path in ("views", "engagement", "api-calls"):
        answer = await reader.get(f"/analytics/{path}", staff=True)
        answer.refusal(503, "STORAGE_UNAVAILABLE")
        assert int(answer.headers["Retry-After"]) >= 1


async def test_too_many_questions_at_once_are_refused(reader, monkeypatch):
    monkeypatch.setattr(collected, "WAITING_MAX", 0)
    (await reader.get("/analytics/views", staff=True)).refusal(503, "STORAGE_UNAVAILABLE")


# -- the examples of /openapi.json ------------------------------------------------------------------------------------


async def test_the_examples_are_what_a_server_answers(reader):
    await make_key(reader)
    like = {"userId": 15, "metricType": "like", "targetId": "product-17", "targetType": "content"}
    seen: Event = {"app": "shop", "contentId": "product-17", "contentType": "post", "userId": 15, "duration": 12.5}
    called = {"contentId": "GET:/api/cart", "contentType": "api", "statusCode": 503, "duration": 0.25}
    sent = {
        "trackView": ("view", seen | {"deviceType": "mobile", "eventId": "0b8f9d9a-6a36", "timestamp": said(T0)}),
        "trackEngagement": ("engagement", like | {"timestamp": said(T0)}),
        "trackBatch": ("batch", {"events": [view(T0, **called), {"type": "engagement", "userId": 15}]}),
    }
    found: dict[str, Any] = {}
    for name, (path, body) in sent.items():
        url, headers = f"{reader.url}/analytics/track/{path}", {"X-Write-Key": SECRET}
        async with reader.http.post(url, json=body, headers=headers) as response:
            assert response.status == 202
            found |= {name: await response.json(), f"{name}.request": body}
    span = {"start_at": said(T0), "end_at": said(T0 + 3_600_000)}
    found["readViews"] = await ask(reader, "views", **span, step="1800")
    found["readEngagement"] = await ask(reader, "engagement", **span)
    found["readApiCalls"] = await ask(reader, "api-calls", **span)
    if os.environ.get("ROLLCALL_WRITE_EXAMPLES"):
        for name, value in found.items():
            text = msgspec.json.format(msgspec.json.encode(value), indent=2)
            (FOLDER / f"{name}.json").write_bytes(text + b"\n")

    kept = catalogue.examples()
    assert {name: kept.get(name) for name in found} == found
