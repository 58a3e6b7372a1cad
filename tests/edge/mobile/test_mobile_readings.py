"""Sentences of mobile-ingest.md that no story tells: what is activity, which clock is believed, whose time it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from protocol.mobile import (
    AnonymousId,
    Body,
    Click,
    Crash,
    CustomEvent,
    GraphQL,
    Input,
    InternalError,
    Issue,
    Log,
    Metadata,
    NetworkCall,
    OlderNetworkCall,
    OlderViewComponent,
    Performance,
    PerformanceAggregated,
    ScreenChanges,
    SessionEnd,
    Swipe,
    UserId,
    ViewComponent,
    encode_project,
    read_batch,
    write_batch,
)
from server.mobile.meaning import parts_of
from storage.mobile import AppSession, Target
from tests.edge.mobile.conftest import LESSON, PHONE, Mobile, beat, event, said

SEC = 1000
YEAR = 365 * 86_400 * SEC
NOW = 1_764_000_000_000


@pytest.mark.parametrize(
    ("body", "active"),
    [
        (ViewComponent("Home", "list", visible=True), True),
        (OlderViewComponent("Home", "list"), True),
        (Click("Go", 1, 2), True),
        (Input("x", masked=True, label="search"), True),
        (Swipe("list", 1, 2, "up"), True),
        (Performance("x", 1), False),
        (Log("info", "x"), False),
        (NetworkCall("http", "GET", "/", "", "", 200, 1), False),
        (OlderNetworkCall(1, "", "", "/", success=True, method="GET", status=200), False),
        (GraphQL("query", "x", "{}", "{}", 1), False),
        (CustomEvent("heartbeat", '{"position": 1}'), False),
        (Metadata("a", "b"), False),
        (ScreenChanges(0, 0, 1, 1), False),
        (Crash("x", "y", "z"), False),
        (InternalError("x"), False),
        (UserId("ann"), False),
        (AnonymousId("x"), False),
        (SessionEnd(), False),
        (Issue("x", "y", "{}", "{}"), False),
        (PerformanceAggregated(NOW, NOW + 1, *range(12)), False),
    ],
)
def test_views_clicks_inputs_and_swipes_keep_an_app_session_alive_and_nothing_else_does(body: Body, *, active: bool):
    session = AppSession(1, "app", PHONE, None, None, None, NOW - SEC, NOW - SEC, 0, Target())
    (part,) = parts_of(read_batch(write_batch([said(NOW, body)], 0)), lambda _: session, session, NOW)
    assert part.active_at == (NOW if active else 0)


async def test_ids_are_text_in_answers(mobile: Mobile):
    answer = (await mobile.ask(projectID=encode_project(1))).json
    assert (type(answer["sessionID"]), type(answer["projectID"]), type(answer["fps"])) == (str, str, int)
    assert answer["sessionID"].isdecimal()


async def test_a_start_without_a_timestamp_has_the_servers_clock(mobile: Mobile):
    phone = await mobile.start("ann", content=LESSON, timestamp=None)
    assert phone.offset == 0
    mobile.world.skip(10)
    begin = phone.now() - 10 * SEC
    await phone.sent([beat(begin, 0), beat(begin + 10 * SEC, 10)])
    assert mobile.watched("ann") == (10 * SEC, 10 * SEC)


async def test_number_and_time_in_a_payload_are_passed_over(mobile: Mobile):
    phone = await mobile.start("ann", content=LESSON)
    mobile.world.skip(20)
    begin = phone.now() - 20 * SEC
    told: list[dict[str, Any]] = [{"seq": 9, "at": 1}, {"seq": 9, "at": begin + YEAR}, {"seq": 1, "at": "soon"}]
    payloads = [json.dumps({"position": place * 10, **each}) for place, each in enumerate(told)]
    await phone.sent(
        [said(begin + place * 10 * SEC, CustomEvent("heartbeat", each)) for place, each in enumerate(payloads)]
    )
    assert mobile.watched("ann") == (20 * SEC, 20 * SEC)
    assert len(mobile.sessions_of("ann")) == 1


async def test_what_is_before_a_start_is_so_by_the_phones_clock(mobile: Mobile):
    phone = await mobile.start("ann", content=LESSON, ahead=-3 * YEAR)
    began = mobile.world.mobile.apps[phone.session_id].session.started_at - phone.offset
    mobile.world.skip(10)
    await phone.sent([beat(began, 0), beat(began + 10 * SEC, 10)])
    assert len(mobile.world.mobile.apps) == 1
    await phone.sent([said(began - 1, Click("Go", 1, 2))])
    assert len(mobile.world.mobile.apps) == 2


@pytest.mark.parametrize("path", ["i", "append", "late"])
async def test_late_data_goes_where_its_time_is_by_whatever_path_it_comes(mobile: Mobile, path: str):
    first = await mobile.start("ann", content=LESSON)
    mobile.world.skip(300)
    second = await mobile.start("ann", content=LESSON)
    await second.sent([said(first.now() - 290 * SEC, Click("Go", 1, 2))], path=f"/v1/ios/{path}")
    assert {key[0] for key in mobile.world.mobile.messages} == {first.session_id}


async def test_late_data_stretches_no_newer_session_backwards(mobile: Mobile):
    phone = await mobile.start("ann", content=LESSON)
    app = mobile.world.mobile.apps[phone.session_id]
    began = app.session.started_at
    await phone.sent([said(phone.now() - 3600 * SEC, Click("Go", 1, 2))], path="/v1/ios/late")
    assert (app.session.started_at, app.active_at) == (began, began)


async def test_an_older_session_of_the_device_in_another_project_is_not_this_ones(mobile: Mobile):
    await mobile.project("other")
    first = await mobile.start("ann", content=LESSON)
    mobile.world.skip(300)
    second = await mobile.start("ann", projectKey="other", content=LESSON)
    await second.sent([said(first.now() - 290 * SEC, Click("Go", 1, 2))], path="/v1/ios/late")
    assert first.session_id not in {key[0] for key in mobile.world.mobile.messages}


async def test_what_begins_late_is_credited_to_the_tokens_learner_also_where_a_94_says_the_same(mobile: Mobile):
    phone = await mobile.start("ann")
    begin = phone.now() - 3600 * SEC
    batch = [said(begin, UserId("ann")), *(beat(begin + at * SEC, at, content=LESSON) for at in (0, 10))]
    await phone.sent(batch, path="/v1/ios/late")
    assert mobile.watched("ann") == (10 * SEC, 10 * SEC)


async def test_events_of_other_names_are_kept_and_no_samples(mobile: Mobile):
    phone = await mobile.start("ann", content=LESSON)
    await phone.sent([event(phone.now(), "Heartbeat", position=1), event(phone.now(), "video_stop", position=1)])
    assert mobile.sessions_of("ann") == []
    assert len(mobile.world.mobile.messages) == 2
