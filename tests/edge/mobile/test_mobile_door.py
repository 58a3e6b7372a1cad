"""Phones that start, append and come late: what is credited to whom, and what is kept (mobile-ingest.md)."""

import asyncio

import pytest

from protocol.mobile import Click, CustomEvent, Message, Performance, SessionEnd, UserId, ViewComponent, write_batch
from tests.edge.mobile.conftest import LESSON, PHONE, Maker, Mobile, beat, error, event, said

SEC = 1000


async def test_heartbeats_of_a_learner_are_watch_time(mobile: Mobile) -> None:
    phone = await mobile.start("ann", content=LESSON)
    mobile.world.skip(30)
    begin = phone.now() - 30 * SEC
    await phone.sent([beat(begin + at * SEC, at) for at in (0, 10, 20, 30)])
    assert mobile.watched("ann") == (30 * SEC, 30 * SEC)
    assert [row.user_id for row in mobile.world.mobile.messages.values()] == ["ann"] * 4


async def test_a_batch_that_comes_again_changes_nothing(mobile: Mobile) -> None:
    phone = await mobile.start("ann", content=LESSON)
    mobile.world.skip(30)
    begin = phone.now() - 30 * SEC
    batch = [beat(begin + at * SEC, at) for at in (0, 10, 20, 30)]
    for first_index in (0, 7, 100):
        await phone.sent(batch, first_index=first_index)
    await phone.sent(batch[1:3], packed=True)
    assert mobile.watched("ann") == (30 * SEC, 30 * SEC)
    assert len(mobile.sessions_of("ann")) == 1
    assert len(mobile.world.mobile.messages) == 4


async def test_batches_in_the_wrong_order_are_put_right(mobile: Mobile) -> None:
    phone = await mobile.start("ann", content=LESSON)
    mobile.world.skip(60)
    begin = phone.now() - 60 * SEC
    beats = [beat(begin + at * SEC, at) for at in (0, 10, 20, 30, 40, 50, 60)]
    for part in (beats[4:], beats[:2], beats[2:4]):
        await phone.sent(part)
    assert mobile.watched("ann") == (60 * SEC, 60 * SEC)
    assert len(mobile.sessions_of("ann")) == 1


async def test_nobody_is_credited_for_what_an_anonymous_session_says(mobile: Mobile) -> None:
    phone = await mobile.start(content=LESSON)
    mobile.world.skip(10)
    begin = phone.now() - 10 * SEC
    await phone.sent([said(begin, UserId("ann")), beat(begin, 0), beat(begin + 10 * SEC, 10)])
    assert mobile.sessions_of("ann") == []
    assert [row.user_id for row in mobile.world.mobile.messages.values()] == [None] * 3
    assert mobile.world.mobile.apps[phone.session_id].session.user_label == "ann"


async def test_the_phones_clock_may_be_anywhere(mobile: Mobile) -> None:
    phone = await mobile.start("ann", content=LESSON, ahead=-3 * 365 * 86_400 * SEC)
    mobile.world.skip(20)
    begin = phone.now() - 20 * SEC
    await phone.sent([beat(begin + at * SEC, at) for at in (0, 10, 20)])
    (state,) = mobile.sessions_of("ann")
    assert abs(state.track.at - mobile.world.now()) < 2 * SEC
    assert mobile.watched("ann") == (20 * SEC, 20 * SEC)


async def test_a_start_that_was_long_under_way_costs_nothing(mobile: Mobile) -> None:
    phone = await mobile.start("ann", content=LESSON, ahead=-3 * SEC)
    begin = mobile.world.now()  # by the phone's clock, which is right
    for sent in range(3):
        mobile.world.skip(10)
        batch = [beat(begin + at * SEC, at) for at in range(sent * 10, sent * 10 + 11, 2)]
        await phone.sent(batch)
        await phone.sent(batch)
    assert mobile.watched("ann") == (30 * SEC, 30 * SEC)
    (state,) = mobile.sessions_of("ann")
    assert abs(state.track.at - mobile.world.now()) < SEC
    assert abs(mobile.world.mobile.apps[phone.session_id].session.lag - 3 * SEC) < SEC


async def test_what_others_date_into_the_future_moves_no_sample(mobile: Mobile) -> None:
    phone = await mobile.start("ann", content=LESSON)
    mobile.world.skip(10)
    begin = phone.now() - 10 * SEC
    ahead = [said(begin + 3600 * SEC, Performance("x", 1)), beat(begin + 48 * 3600 * SEC, 9)]
    await phone.sent([beat(begin, 0), beat(begin + 10 * SEC, 10), *ahead])
    (state,) = mobile.sessions_of("ann")
    assert abs(state.track.at - mobile.world.now()) < SEC
    assert mobile.watched("ann") == (10 * SEC, 10 * SEC)


async def test_late_data_of_a_session_whose_start_was_long_under_way_goes_where_its_time_is(mobile: Mobile) -> None:
    first = await mobile.start("ann", content=LESSON, ahead=-3 * SEC)
    begin = mobile.world.now()
    mobile.world.skip(10)
    await first.sent([beat(begin, 0), beat(begin + 10 * SEC, 10)])
    mobile.world.skip(20)
    second = await mobile.start("ann", content=LESSON)
    await second.sent([beat(begin + at * SEC, at) for at in (16, 20)], path="/v1/ios/late")
    assert mobile.watched("ann") == (20 * SEC, 20 * SEC)
    (state,) = mobile.sessions_of("ann")
    assert abs(state.track.at - begin - 20 * SEC) < SEC


async def test_samples_over_a_day_old_are_kept_and_credited_to_nobody(mobile: Mobile) -> None:
    phone = await mobile.start("ann", content=LESSON)
    begin = phone.now() - 25 * 3600 * SEC
    await phone.sent([beat(begin + at * SEC, at) for at in (0, 10)], path="/v1/ios/late")
    assert mobile.sessions_of("ann") == []
    assert len(mobile.world.mobile.messages) == 2


async def test_late_data_goes_to_the_session_whose_time_it_is(mobile: Mobile) -> None:
    first = await mobile.start("ann", content=LESSON)
    mobile.world.skip(60)
    begin = first.now() - 60 * SEC
    await first.sent([beat(begin + at * SEC, at) for at in (0, 10, 20)])
    mobile.world.skip(300)
    second = await mobile.start("ann", content=LESSON)
    await second.sent([beat(begin + at * SEC, at) for at in (20, 30, 40)], path="/v1/mobile/late")
    assert mobile.watched("ann") == (40 * SEC, 40 * SEC)
    assert {key[0] for key in mobile.world.mobile.messages} == {first.session_id}
    assert mobile.world.mobile.apps[second.session_id].active_at >= begin + 60 * SEC


async def test_late_data_of_no_sessions_time_makes_its_own_once(mobile: Mobile) -> None:
    phone = await mobile.start("ann")
    begin = phone.now() - 3600 * SEC
    batch = [beat(begin + at * SEC, at, content=LESSON) for at in (0, 10, 20)]
    for _ in range(2):
        await phone.sent(batch, path="/v1/ios/late")
    assert len(mobile.world.mobile.apps) == 2
    assert mobile.watched("ann") == (20 * SEC, 20 * SEC)
    own = max(mobile.world.mobile.apps)
    assert mobile.world.mobile.apps[own].session.started_at == begin + phone.offset


async def test_late_data_that_names_another_learner_is_credited_to_nobody(mobile: Mobile) -> None:
    phone = await mobile.start("ann")
    begin = phone.now() - 3600 * SEC
    batch = [said(begin, UserId("bob")), *(beat(begin + at * SEC, at, content=LESSON) for at in (0, 10))]
    await phone.sent(batch, path="/v1/ios/late")
    assert mobile.sessions_of("ann") == mobile.sessions_of("bob") == []


async def test_late_data_of_another_learners_session_is_credited_to_nobody(mobile: Mobile) -> None:
    first = await mobile.start("bob", content=LESSON)
    begin = first.now()
    mobile.world.skip(60)
    second = await mobile.start("ann", content=LESSON)
    await second.sent([beat(begin + at * SEC, at) for at in (0, 10)], path="/v1/ios/late")
    assert mobile.sessions_of("ann") == mobile.sessions_of("bob") == []


async def test_a_session_of_another_device_is_another_session(mobile: Mobile) -> None:
    for number in range(2):
        phone = await mobile.start("ann", content=LESSON, userUUID=f"0f4cf1c3-9a21-4a2f-8f2e-3d1f6f6b7a1{number}")
        await phone.sent([beat(phone.now(), 0)])
    assert {state.device_id[-1] for state in mobile.sessions_of("ann")} == {"0", "1"}


async def test_one_watch_session_lives_through_several_starts_of_the_app(mobile: Mobile) -> None:
    for number in range(3):
        phone = await mobile.start("ann", content=LESSON)
        await phone.sent([beat(phone.now() + number, number * 10)])
        mobile.world.skip(10)
    assert len(mobile.sessions_of("ann")) == 1
    assert len({watch for _, watch, _ in mobile.world.mobile.watching}) == 1
    assert len(mobile.world.mobile.watching) == 3


async def test_a_seek_is_two_samples_and_credits_no_jump(mobile: Mobile) -> None:
    phone = await mobile.start("ann", content=LESSON)
    mobile.world.skip(20)
    begin = phone.now() - 20 * SEC
    seek = {"from": 5, "to": 100, "state": "playing"}
    await phone.sent(
        [
            event(begin, "video_play", position=0),
            event(begin + 5 * SEC, "video_seek", **seek),
            event(begin + 15 * SEC, "video_pause", position=110),
            event(begin + 20 * SEC, "video_end", position=110),
        ]
    )
    assert mobile.watched("ann") == (15 * SEC, 15 * SEC)
    (state,) = mobile.sessions_of("ann")
    assert [(one.start_position, one.end_position) for one in state.track.closed] == [(0, 5 * SEC), (100_000, 110_000)]


async def test_the_events_name_is_its_state_unless_it_says_so(mobile: Mobile) -> None:
    phone = await mobile.start("ann", content=LESSON)
    mobile.world.skip(20)
    begin = phone.now() - 20 * SEC
    await phone.sent(
        [
            event(begin, "heartbeat", position=0, state="paused"),
            event(begin + 10 * SEC, "video_play", position=0, state=None),
            event(begin + 20 * SEC, "video_pause", position=10),
        ]
    )
    assert mobile.watched("ann") == (10 * SEC, 10 * SEC)


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "[]",
        '{"position": -1}',
        '{"state": "playing"}',
        '{"position": 1, "rate": 0}',
        '{"position": "1"}',
        "{" * 5000,
    ],
)
async def test_a_payload_that_is_no_sample_is_kept_and_the_batch_goes_on(mobile: Mobile, payload: str) -> None:
    phone = await mobile.start("ann", content=LESSON)
    mobile.world.skip(10)
    begin = phone.now() - 10 * SEC
    odd = said(begin + SEC, CustomEvent("heartbeat", payload))
    await phone.sent([beat(begin, 0), odd, beat(begin + 10 * SEC, 10)])
    assert mobile.watched("ann") == (10 * SEC, 10 * SEC)
    assert len(mobile.world.mobile.messages) == 3


async def test_a_room_takes_a_phones_heartbeats_and_has_its_learner_present(mobile: Mobile) -> None:
    phone = await mobile.start("ann", room="class-1")
    mobile.world.skip(30)
    begin = phone.now() - 30 * SEC
    beats = [beat(begin + at * SEC, at) for at in (0, 10, 20, 30)]
    await phone.sent(beats[2:])
    await phone.sent(beats[:2])
    await phone.sent(beats)
    assert mobile.watched("ann", room="class-1") == (30 * SEC, 30 * SEC)
    assert len(mobile.sessions_of("ann", room="class-1")) == 1
    room = mobile.world.system.directory.rooms["class-1"].room
    assert room.present == 1
    page = (await mobile.world.call("GET", "/api/v1/rooms/class-1/presence", staff=True)).json
    assert [member["user_id"] for member in page["members"]] == ["ann"]


async def test_a_learner_who_may_not_is_kept_uncredited_and_answered_200(mobile: Mobile) -> None:
    token = mobile.world.token("ann", contents=[("video", "other")])
    phone = await mobile.start(None, content=LESSON, authToken=token)
    await phone.sent([beat(phone.now(), 0)])
    assert mobile.sessions_of("ann") == []
    assert len(mobile.world.mobile.messages) == 1


async def test_unknown_contents_are_kept_uncredited(make_mobile: Maker) -> None:
    mobile = await make_mobile(ROLLCALL_UNKNOWN="refuse")
    phone = await mobile.start("ann", content=LESSON)
    await phone.sent([beat(phone.now(), 0), beat(phone.now(), 0, room="nowhere")])
    assert mobile.sessions_of("ann") == []
    assert len(mobile.world.mobile.messages) == 2


async def test_a_cancelled_class_is_kept_uncredited(mobile: Mobile) -> None:
    phone = await mobile.start("ann", room="class-1")
    await phone.sent([beat(phone.now(), 0)])
    mobile.world.system.directory.rooms["class-1"].room.state.status = "cancelled"
    await phone.sent([beat(phone.now() + 1, 0)])
    assert len(mobile.world.mobile.messages) == 2


async def test_a_session_reads_right_before_and_after_the_checkpoint_that_corrects_it(mobile: Mobile) -> None:
    phone = await mobile.start("ann", content=LESSON)
    mobile.world.skip(60)
    begin = phone.now() - 60 * SEC
    await phone.sent([beat(begin + at * SEC, at) for at in (0, 10, 30, 40)])
    await phone.sent([beat(begin + 50 * SEC, 200), beat(begin + 60 * SEC, 210)])
    await mobile.world.checkpoint()
    (_, watch, _) = next(iter(mobile.world.mobile.watching))
    before = (await mobile.world.call("GET", f"/api/v1/sessions/{watch}", user="ann")).json
    assert (before["watch_seconds"], len(before["segments"])) == (50, 2)
    await phone.sent([beat(begin + 15 * SEC, 15, "ended"), beat(begin + 25 * SEC, 25, "ended")])
    for _ in range(2):
        found = (await mobile.world.call("GET", f"/api/v1/sessions/{watch}", user="ann")).json
        assert (found["watch_seconds"], found["covered_seconds"], len(found["segments"])) == (35, 35, 3)
        await mobile.world.checkpoint()


# -- app sessions -----------------------------------------------------------------------------------------------------


async def test_an_app_session_ends_with_its_last_activity_when_it_says_so(mobile: Mobile) -> None:
    phone = await mobile.start()
    mobile.world.skip(60)
    now = phone.now()
    await phone.sent([said(now - 40 * SEC, Click("Go", 1, 2)), said(now, SessionEnd())])
    app = mobile.world.mobile.apps[phone.session_id]
    assert (app.active_at, app.ended_at, app.closed) == (
        now + phone.offset - 40 * SEC,
        now + phone.offset - 40 * SEC,
        True,
    )


async def test_performance_and_logs_keep_no_session_alive(mobile: Mobile) -> None:
    phone = await mobile.start()
    app = mobile.world.mobile.apps[phone.session_id]
    mobile.world.skip(100)
    await phone.sent([said(phone.now(), Performance("mainThreadCPU", 5))])
    assert app.active_at == app.session.started_at
    mobile.world.skip(51)
    assert await mobile.world.mobile.end_silent(mobile.world.now() - 150 * SEC) == 1
    assert app.ended_at == app.session.started_at


async def test_a_stream_that_runs_on_without_activity_ends_its_session(mobile: Mobile) -> None:
    phone = await mobile.start()
    begin = phone.now()
    mobile.world.skip(160)
    await phone.sent(
        [said(begin + SEC, ViewComponent("Home", "list", visible=True)), said(begin + 10 * SEC, Performance("x", 1))]
    )
    app = mobile.world.mobile.apps[phone.session_id]
    assert app.ended_at is None
    await phone.sent([said(begin + 151_001, Performance("x", 1))])
    assert app.ended_at == app.active_at == begin + phone.offset + SEC
    await phone.sent([said(begin + 151_500, Click("Go", 1, 2))])
    assert app.ended_at is None
    assert app.active_at == begin + phone.offset + 151_500


async def test_what_does_not_decode_is_kept_raw_and_counted_once(mobile: Mobile) -> None:
    phone = await mobile.start()
    now = phone.now()
    odd = Message(100, now, None, b"\xff")
    unknown = Message(77, now, None, b"whatever")
    for _ in range(2):
        await phone.sent([odd, unknown, said(now, Click("Go", 1, 2))])
    assert mobile.world.mobile.apps[phone.session_id].undecodable == 1
    assert len(mobile.world.mobile.messages) == 3


async def test_the_rest_of_a_broken_batch_is_kept(mobile: Mobile) -> None:
    phone = await mobile.start()
    data = write_batch([said(phone.now(), Click("Go", 1, 2))], 0) + b"\x64\xff"
    for _ in range(2):
        answer = await mobile.world.call(
            "POST", "/v1/ios/append", data=data, headers={"Authorization": f"Bearer {phone.token}"}
        )
        assert (answer.status, answer.text) == (200, b"")
    assert sorted(row.body for row in mobile.world.mobile.messages.values() if row.type == -1) == [b"\x64\xff"]


async def test_times_without_sense_stay_with_their_session(mobile: Mobile) -> None:
    phone = await mobile.start()
    for _ in range(2):
        await phone.sent([said(at, Click("Go", 1, 2)) for at in (0, 5, 2**63 + 1, 2**64 - 1)])
    assert len(mobile.world.mobile.apps) == 1
    rows = list(mobile.world.mobile.messages.values())
    assert len(rows) == 4
    assert {row.at for row in rows} == {mobile.world.mobile.apps[phone.session_id].session.started_at}


async def test_a_restart_knows_tokens_and_sessions(make_mobile: Maker) -> None:
    mobile = await make_mobile()
    phone = await mobile.start("ann", content=LESSON)
    assert phone.user_uuid == PHONE
    assert error(await phone.send([], token=phone.token[:-1] + "x"), 401) == "the token was not signed here"


async def test_a_batch_that_comes_before_its_sessions_are_in_memory_begins_no_others(mobile: Mobile) -> None:
    phone = await mobile.start("ann", content=LESSON)
    mobile.world.skip(30)
    begin = phone.now() - 30 * SEC
    await phone.sent([beat(begin + at * SEC, at) for at in (10, 20)])
    owned = mobile.world.system.directory.owned
    before, early = owned.copy(), [beat(begin, 0)]
    owned.clear()
    mobile.world.faults.stalled = True
    refused = await phone.send(early)
    mobile.world.faults.stalled = False
    assert "try again" in error(refused, 503)
    owned.update(before)
    mobile.world.faults.stalled = True
    late = asyncio.create_task(phone.send(early))
    async with asyncio.timeout(5):
        while not mobile.world.faults.waiting:  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0)
    owned.update({partition: epoch + 1 for partition, epoch in before.items()})
    mobile.world.faults.stalled = False
    assert "try again" in error(await late, 503)
    owned.update(before)
    await phone.sent(early)
    assert mobile.watched("ann") == (20 * SEC, 20 * SEC)
    assert len(mobile.sessions_of("ann")) == 1
