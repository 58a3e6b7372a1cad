"""What is bounded at the mobile door, and what happens when it is full."""

from __future__ import annotations

import asyncio

import pytest

from actors.machines.placing import KEPT_MAX
from actors.machines.track import PLAYING, Sample
from protocol.mobile import Click, Performance, UserId, read_batch
from protocol.mobile.wire import write_uint
from server.auth import Claims
from server.http.answers import Problem
from server.http.keys import Keys
from server.mobile.batches import MESSAGE_COST, Batches
from server.mobile.ids import SessionIds
from server.mobile.meaning import LABEL_CHARS
from server.mobile.sessions import BEGUN_MAX, AppSessions
from server.mobile.silence import Silence
from server.mobile.token import Tokens
from server.mobile.watching import AT_ONCE, Watching
from storage.gathering import Gathering
from storage.memory_mobile import MemoryMobile
from storage.mobile import CANDIDATES, SILENCE_MS, SWEEP_ROWS, AppSession, Brought, Target
from tests.edge.mobile.conftest import LESSON, PHONE, Mobile, beat, said

SEC = 1000


async def test_sessions_that_are_forgotten_are_asked_for_again(mobile: Mobile):
    world = mobile.world
    keys = Keys(world.write_keys, world.now, 100)
    sessions = AppSessions(world.mobile, Tokens(b"x"), keys, SessionIds(world.now), world.now, cached_max=2)
    phones = [await mobile.start() for _ in range(4)]
    for _ in range(2):
        for phone in phones:
            found = await sessions.find(phone.session_id)
            assert found is not None
            assert found.session_id == phone.session_id
    assert len(sessions._cached) == 2


async def test_late_data_makes_a_bounded_number_of_sessions_and_keeps_the_rest_with_the_last(mobile: Mobile):
    phone = await mobile.start()
    begin = phone.now() - 3600 * SEC
    times = [begin + number * (SILENCE_MS + 1) for number in range(BEGUN_MAX + 5)]
    for _ in range(2):
        await phone.sent([said(time, Click("Go", 1, 2)) for time in times], path="/v1/ios/late")
    assert len(mobile.world.mobile.apps) == 1 + BEGUN_MAX
    assert len(mobile.world.mobile.messages) == len(times)


async def test_late_data_is_looked_for_in_a_bounded_number_of_sessions(mobile: Mobile):
    for _ in range(CANDIDATES + 3):
        await mobile.start()
    assert len(await mobile.world.mobile.before("app", PHONE, mobile.world.now())) == CANDIDATES


async def test_a_session_keeps_its_latest_samples_and_what_comes_too_late_for_them_is_uncredited(mobile: Mobile):
    phone = await mobile.start("ann", content=LESSON)
    mobile.world.skip(KEPT_MAX + 20)
    begin = phone.now() - (KEPT_MAX + 20) * SEC
    beats = [beat(begin + at * SEC, at) for at in range(KEPT_MAX + 20)]
    await phone.sent([one for one in beats if one is not beats[5]])
    before = mobile.watched("ann")
    await phone.sent([beats[5], beat(begin + 5 * SEC + 1, 0, "paused")])
    assert mobile.watched("ann") == before
    assert len(mobile.world.mobile.messages) == KEPT_MAX + 21


async def test_what_waits_for_storage_is_bounded_and_then_503(mobile: Mobile):
    world = mobile.world
    system = world.system
    keys = Keys(world.write_keys, world.now, 100)
    ids, tokens = SessionIds(world.now), Tokens(b"x")
    sessions = AppSessions(world.mobile, tokens, keys, ids, world.now)
    limit = 1000 + 2 * MESSAGE_COST - 1
    gathering: Gathering[Brought, int] = Gathering(world.mobile.write, batch=limit, limit=limit, patience_s=1)
    batches = Batches(
        system,
        sessions,
        Watching(system, world.desk, world.mobile),
        gathering,
        (world.edge.mobile, world.edge.samples("x")),
    )
    session = (await mobile.start()).session_id
    app = world.mobile.apps[session].session
    for size, full in ((999, False), (1000, True)):
        body = b"\x64" + bytes(1) + write_uint(size) + bytes(size)
        if not full:
            await batches._take(app, read_batch(body))
            continue
        with pytest.raises(Problem) as refused:
            await batches._take(app, read_batch(body))
        assert refused.value.status == 503
    assert gathering.weight == 0


async def test_labels_are_cut_and_hold_what_can_be_stored(mobile: Mobile):
    phone = await mobile.start()
    await phone.sent([said(phone.now(), UserId("a\0" + "x" * 1000))])
    label = mobile.world.mobile.apps[phone.session_id].session.user_label
    assert label == ("a" + "x" * 1000)[:LABEL_CHARS]


async def test_many_batches_of_one_device_at_once_are_one_session(mobile: Mobile):
    phone = await mobile.start("ann", content=LESSON)
    mobile.world.skip(100)
    begin = phone.now() - 100 * SEC
    beats = [beat(begin + at * SEC, at) for at in range(0, 101, 5)]
    answers = await asyncio.gather(*(phone.send(beats[at : at + 2]) for at in range(0, 20, 2)), phone.send(beats))
    assert {answer.status for answer in answers} == {200}
    assert len(mobile.sessions_of("ann")) == 1
    assert mobile.watched("ann") == (100 * SEC, 100 * SEC)


async def test_devices_of_a_learner_that_begin_at_once_have_a_session_each(mobile: Mobile):
    phones = [
        await mobile.start("ann", content=LESSON, userUUID=f"0f4cf1c3-9a21-4a2f-8f2e-3d1f6f6b7a1{number}")
        for number in range(5)
    ]
    mobile.world.skip(20)
    begins = [phone.now() - 20 * SEC for phone in phones]
    batches = [[beat(begin + at * SEC, 100 * number + at) for at in (0, 10, 20)] for number, begin in enumerate(begins)]
    answers = await asyncio.gather(*(phone.send(batch) for phone, batch in zip(phones, batches, strict=True)))
    assert {answer.status for answer in answers} == {200}
    sessions = mobile.sessions_of("ann")
    assert {state.device_id for state in sessions} == {phone.user_uuid for phone in phones}
    assert mobile.watched("ann") == (5 * 20 * SEC, 5 * 20 * SEC)


async def test_what_is_being_opened_is_forgotten_when_it_is_open(mobile: Mobile):
    world = mobile.world
    watching = Watching(world.system, world.desk, world.mobile)
    phone = await mobile.start("ann")
    app, claims = world.mobile.apps[phone.session_id].session, Claims("ann", "learner", 0, None, None, None)
    for number in range(20):
        target = Target(content=("video", str(number)))
        assert await watching.take(claims, app, target, [Sample(1, world.now(), 0, PLAYING)])
    assert len(watching._opening) == 1


async def test_a_large_batch_is_read_and_kept(mobile: Mobile):
    phone = await mobile.start()
    now = phone.now()
    messages = [said(now - number, Performance("mainThreadCPU", number)) for number in range(20_000)]
    await phone.sent(messages, packed=True)
    assert len(mobile.world.mobile.messages) == 20_000


async def test_a_sweep_ends_many_sessions_a_bounded_number_at_a_time(mobile: Mobile):
    store = MemoryMobile(mobile.world.memory)
    now = mobile.world.now()
    for number in range(SWEEP_ROWS + 1):
        session = AppSession(number, "app", PHONE, None, None, None, now, now, 0, Target())
        assert await store.start(session, now, b"{}")
    assert await store.end_silent(now + 1) == SWEEP_ROWS
    mobile.world.skip(SILENCE_MS / 1000 + 1)
    assert await Silence(store, mobile.world.now).sweep() == 1


async def test_late_data_that_comes_several_times_at_once_makes_one_session(mobile: Mobile):
    phone = await mobile.start("ann")
    begin = phone.now() - 3600 * SEC
    batch = [beat(begin + at * SEC, at, content=LESSON) for at in (0, 10, 20)]
    answers = await asyncio.gather(*(phone.send(batch, path="/v1/ios/late") for _ in range(5)))
    assert {answer.status for answer in answers} == {200}
    assert len(mobile.world.mobile.apps) == 2
    assert mobile.watched("ann") == (20 * SEC, 20 * SEC)


async def test_a_day_of_samples_goes_to_its_session_piece_by_piece(mobile: Mobile):
    phone = await mobile.start("ann", content=LESSON)
    mobile.world.skip(AT_ONCE + 20)
    begin = phone.now() - (AT_ONCE + 20) * SEC
    beats = [beat(begin + at * SEC, at, "paused" if at == AT_ONCE - 1 else "playing") for at in range(AT_ONCE + 10)]
    for _ in range(2):
        await phone.sent(beats)
    assert mobile.watched("ann") == ((AT_ONCE + 8) * SEC, (AT_ONCE + 8) * SEC)
    assert len(mobile.sessions_of("ann")) == 1


async def test_a_session_whose_learner_is_erased_meanwhile_is_not_remembered(mobile: Mobile):
    world = mobile.world
    keys = Keys(world.write_keys, world.now, 100)
    sessions = AppSessions(world.mobile, Tokens(b"x"), keys, SessionIds(world.now), world.now)
    phone = await mobile.start("ann")
    session = await sessions.find(phone.session_id)
    assert session is not None
    sessions.forget("ann")
    assert sessions.slowed(session, 900).lag == 900
    world.mobile.apps.clear()
    assert await sessions.find(phone.session_id) is None
