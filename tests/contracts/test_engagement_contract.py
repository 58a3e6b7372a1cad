"""Engagement as it is kept, against the same worked out from the raw rows, after histories of checkpoints."""

from __future__ import annotations

import asyncio
import random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from actors.figures import engagement
from actors.figures.watched import Credited, Period, Sitting, Watched, watched
from actors.machines.rows import Rows
from storage import projections
from storage.content_engagement import Asking
from storage.engagement import PostgresEngagement, WholeDays
from storage.engaging import Engaging, Rules, day_of, refresh, split
from storage.postgres import Database
from tests.support.examples import T0, segment, session
from tests.support.stores import PostgresStore

RULES = Rules(0.9, ZoneInfo("Asia/Dhaka"))
USERS = ("u1", "u2", "u3")
CONTENTS = ("c1", "c2")
DAY = 86_400_000
D = 60_000
LATER = Period(0, T0 + 20_000 * DAY)
"""Everything, but asked of the rows: the kept sums answer only what leaves nothing out."""


@pytest.fixture
async def database(postgres: PostgresStore) -> Database:
    return await postgres.database()


async def write(database: Database, *rows: Rows) -> None:
    async with database.transaction() as connection:
        await projections.write(connection, rows, RULES)


async def catalog(database: Database, content_id: str, duration: int | None, **facts: object) -> None:
    """The catalog speaks, and what is stale is worked out."""
    columns = {"duration_ms": duration, **facts}
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO contents (kind, content_id) VALUES ('video', $1) ON CONFLICT DO NOTHING", content_id
        )
        for name, value in columns.items():
            await connection.execute(f"UPDATE contents SET {name} = $2 WHERE content_id = $1", content_id, value)
    await settle(database)


async def settle(database: Database) -> None:
    engaging = Engaging(database, RULES)
    while await engaging.settle(after_s=0):
        pass


def history(chance: random.Random, *, duration: bool = True) -> list[Rows]:
    """Checkpoints of sessions that grow, jump, go back, end or not; some are written twice."""
    checkpoints: list[Rows] = []
    for number in range(8):
        user, content = chance.choice(USERS), chance.choice(CONTENTS)
        name, at = f"s{number}", T0 + chance.choice([0, 1, 5, 9]) * DAY // 3 + chance.randrange(3_600_000)
        told = chance.choice([D, D, D + 400, 2 * D]) if duration else None
        row = session(name, user_id=user, content_id=content, started_at=at, duration=told, last_sample_at=None)
        checkpoints.append(Rows(sessions=[row]))
        wall, place = at, chance.choice([0, 0, 700, 31_000])
        for piece in range(1, chance.randrange(1, 5)):
            start, begin, length = wall, place, chance.choice([600, 3_000, 12_345, 29_999, D])
            verified = chance.random() < 0.85
            for part in (length // 2, length):
                wall, place = start + part, begin + part
                grown = segment(
                    name,
                    piece,
                    user_id=user,
                    content_id=content,
                    start_at=start,
                    end_at=wall,
                    start_position=begin,
                    end_position=place,
                    verified=verified,
                    open=part < length,
                )
                row = replace(row, last_sample_at=wall, position=place)
                checkpoints.append(Rows(sessions=[row], segments=[grown]))
            wall, place = wall + chance.choice([0, 1000]), chance.choice([place, place + 500, place + 501, 0])
        if chance.random() < 0.7:
            checkpoints.append(Rows(sessions=[replace(row, ended_at=wall)]))
    # Sessions run side by side; each one's own checkpoints stay in order.
    order = sorted(range(len(checkpoints)), key=lambda place: chance.random() * 20 + place)
    own = {
        key: iter([each for each in checkpoints if each.sessions[0].session_id == key]) for key in names(checkpoints)
    }
    mixed = [next(own[checkpoints[place].sessions[0].session_id]) for place in order]
    return [again for each in mixed for again in [each] * chance.choice([1, 1, 2])]


def names(checkpoints: list[Rows]) -> set[str]:
    return {each.sessions[0].session_id for each in checkpoints}


Learners = dict[str, tuple[list[Sitting], list[Credited], Watched]]


async def raw(database: Database, asking: Asking) -> Learners:
    """All learners of a content, from the rows."""
    found: Learners = {}
    async with database.connection() as connection:
        sessions = await connection.fetch(
            "SELECT user_id, session_id, started_at, ended_at, last_sample_at, position_ms, duration_ms"
            " FROM watch_sessions WHERE content_id = $1",
            asking.subject.content_id,
        )
        segments = await connection.fetch(
            "SELECT user_id, session_id, number, start_timestamp, end_timestamp, playhead_start_ms, playhead_end_ms"
            " FROM study_logs WHERE content_id = $1 AND verified",
            asking.subject.content_id,
        )
    for user in {row["user_id"] for row in sessions}:
        sittings = [Sitting(*row[1:]) for row in map(tuple, sessions) if row[0] == user]
        credited = [Credited(*row[1:]) for row in map(tuple, segments) if row[0] == user]
        for version, mine, pieces in split(asking.subject.versions, sittings, credited):
            if version is asking.subject.latest:
                found[user] = (list(mine), list(pieces), watched(mine, pieces, version.facts))
    return found


async def check(database: Database) -> None:
    """Sums, curves and ends of every content are those of its raw rows."""
    now = T0 + 3 * DAY
    reader = PostgresEngagement(database, RULES)
    for content_id in CONTENTS:
        async with reader.about("video", content_id) as asking:
            if asking is None:
                continue
            learners = await raw(database, asking)
            subject = asking.subject
            every = [made for _, _, made in learners.values()]
            told = [made.told_ms for made in every if made.told_ms]
            if subject.latest.facts.duration is None:
                assert subject.duration == (engagement.median(told) or 0)
            assert await asking.totals() == engagement.tally(every, subject.duration, subject.worked, LATER.end)
            assert await kept_curves(asking, 30) == drawn(every, subject.duration, 30)
            if subject.duration:
                assert await asking.ends(30, now) == engagement.ends(every, subject.duration, 30, LATER.end, now)
            assert [each async for page in asking.learners(LATER) for each in page] == [
                (user, learners[user][2]) for user in sorted(learners)
            ]
    assert await reader.days(0, 2**31 - 1) == await reader.between(0, LATER.end)
    first = day_of(T0, RULES.zone)
    midnight = (first * 24 - 6) * 3_600_000
    assert await reader.days(first, first + 1) == await reader.between(midnight, midnight + DAY)
    assert await reader.days(first + 1, first + 3) == await reader.between(midnight + DAY, midnight + 3 * DAY)
    for low, high in ((1, 2), (1, 3), (2, 3), (3, 4)):
        whole = WholeDays(first + low, first + high, midnight + low * DAY, midnight + high * DAY)
        odd = (midnight + DAY // 2, whole.end + DAY * 19 // 20)
        assert await reader.between(*odd, whole) == await reader.between(*odd)


async def kept_curves(asking: Asking, buckets: int) -> tuple[list[int], list[int]]:
    curves, duration = await asking.curves(), asking.subject.duration
    if not duration:
        return [], []
    return engagement.drawn(curves.plays, duration, buckets), engagement.drawn(curves.viewers, duration, buckets)


def drawn(every: list[Watched], duration: int, buckets: int) -> tuple[list[int], list[int]]:
    plays: engagement.Curve = {}
    viewers: engagement.Curve = {}
    for one in every:
        engagement.add_passes(plays, one.passes)
        engagement.add_passes(viewers, engagement.union(one.passes))
    if not duration:
        return [], []
    return engagement.drawn(plays, duration, buckets), engagement.drawn(viewers, duration, buckets)


@pytest.mark.parametrize("seed", range(4))
async def test_what_is_kept_is_what_the_raw_rows_say(database: Database, seed: int):
    chance = random.Random(seed)
    await catalog(database, "c1", D)
    for count, checkpoint in enumerate(history(chance)):
        await write(database, checkpoint)
        if count % 20 == 0:
            await check(database)
    await check(database)


def view(name: str = "s1", to: int = 30_000, **who: Any) -> Rows:
    """One session that played from the beginning to `to`."""
    ids = {"user_id": "u1", "content_id": "c1"} | who
    row = session(name, ended_at=T0 + to, last_sample_at=T0 + to, position=to, duration=D, **ids)
    return Rows(sessions=[row], segments=[segment(name, end_at=T0 + to, start_position=0, end_position=to, **ids)])


async def totals(database: Database, content_id: str = "c1") -> engagement.Tally:
    async with PostgresEngagement(database, RULES).about("video", content_id) as asking:
        assert asking is not None
        return await asking.totals()


async def test_a_repeated_checkpoint_writes_nothing(database: Database):
    await catalog(database, "c1", D)
    marks = "SELECT array_agg(xmin::text ORDER BY ctid) FROM "
    tables = ("engagement_learners", "engagement_sessions", "engagement_totals", "engagement_curves", "engagement_days")
    await write(database, view(), view("s2", user_id="u2"))
    async with database.connection() as connection:
        before = [await connection.fetchval(marks + table) for table in tables]

    await write(database, view(), view("s2", user_id="u2"))

    async with database.connection() as connection:
        assert [await connection.fetchval(marks + table) for table in tables] == before


async def test_two_checkpoints_at_once_with_one_learners_sessions_see_each_other(
    database: Database, postgres: PostgresStore
):
    await catalog(database, "c1", D)
    async with asyncio.TaskGroup() as group, database.transaction() as connection:
        await projections.write(connection, [view("s1", 20_000)], RULES)
        group.create_task(write(database, view("s2", 30_000)))
        await postgres.until_waiting()

    kept = await totals(database)
    assert (kept.views, kept.viewers, kept.covered_ms, kept.replayed) == (2, 1, 30_000, 1)
    await check(database)


async def test_checkpoints_of_many_learners_in_any_order_do_not_deadlock(database: Database):
    await catalog(database, "c1", D)
    rows = [view(f"s{n}-{user}-{c}", user_id=user, content_id=c) for n in (1, 2) for user in USERS for c in CONTENTS]
    async with asyncio.TaskGroup() as group:
        for part in (rows, rows[::-1], rows[3:] + rows[:3]):
            group.create_task(write(database, *part))

    await check(database)


async def test_an_erased_learner_is_gone_from_every_sum(database: Database):
    await catalog(database, "c1", D)
    for checkpoint in history(random.Random(9)):
        await write(database, checkpoint)

    async with database.transaction() as connection:
        await connection.fetch("SELECT * FROM erase_learner('u1')")
    await settle(database)

    await check(database)
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM engagement_learners WHERE user_id = 'u1'") == 0


async def test_rows_that_were_taken_away_count_no_more(database: Database):
    await write(database, view(), view("s2", user_id="u2"))

    async with database.transaction() as connection:
        await connection.execute("DELETE FROM watch_sessions WHERE user_id = 'u1'")
        await connection.execute("DELETE FROM study_logs WHERE user_id = 'u1'")
        await refresh(connection, [("video", "c1", "u1")], RULES)

    assert (await totals(database)).viewers == 1
    await check(database)


async def test_a_length_that_the_catalog_tells_later_makes_completions(database: Database):
    await write(database, view(to=10_000), view("s2", user_id="u2"))
    assert (await totals(database)).completed == 0

    await catalog(database, "c1", 11_000)

    assert (await totals(database)).completed == 2
    await check(database)


async def test_a_length_within_a_second_is_the_same_content(database: Database):
    await catalog(database, "c1", D)
    await write(database, view(to=55_000))

    await catalog(database, "c1", D + 1_000)

    kept = await totals(database)
    assert (kept.viewers, kept.completed) == (1, 1)
    await check(database)


async def test_another_length_is_a_new_version_and_figures_speak_of_it(database: Database):
    reader = PostgresEngagement(database, RULES)
    await catalog(database, "c1", D)
    await write(database, view(to=55_000))

    await catalog(database, "c1", D + 1_001)
    assert (await totals(database)).viewers == 0
    later = T0 + 10_000 * DAY
    row = session("s2", started_at=later, last_sample_at=later + 9_000, ended_at=None)
    await write(database, Rows(sessions=[row], segments=[segment("s2", start_at=later, end_at=later + 9_000)]))

    kept = await totals(database)
    assert (kept.viewers, kept.completed) == (1, 0)
    assert await reader.completed("u1", "video", "c1")
    await check(database)


async def test_sessions_that_began_after_a_new_length_move_to_its_version(database: Database):
    await catalog(database, "c1", D)
    await write(database, view(to=20_000))
    async with database.connection() as connection:
        await connection.execute("UPDATE contents SET updated_at = $1, duration_ms = 90000", T0 - 1)
    await settle(database)

    assert (await totals(database)).viewers == 1
    await check(database)
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT sum(views) FROM engagement_totals WHERE version = 1") == 0


async def test_what_was_completed_stays_completed(database: Database):
    reader = PostgresEngagement(database, RULES)
    await catalog(database, "c1", D)
    await write(database, view(to=55_000))

    await catalog(database, "c1", D, completion_threshold=0.99)

    assert await reader.completed("u1", "video", "c1")
    assert (await totals(database)).completed == 1
    assert not await reader.completed("u2", "video", "c1")


async def test_figures_stay_when_segments_are_no_longer_kept(database: Database):
    rules = replace(RULES, thins=True)
    await catalog(database, "c1", D)
    first, second = view("s1", 55_000), view("s2", 20_000)
    rows = [
        Rows([replace(one.sessions[0], watch_ms=ms)], one.segments) for one, ms in ((first, 55_000), (second, 20_000))
    ]
    async with database.transaction() as connection:
        await projections.write(connection, rows, rules)
    before, sessions = await totals(database), await PostgresEngagement(database).days(0, 2**31 - 1)

    async with database.transaction() as connection:
        await connection.execute("DELETE FROM study_logs")
        await refresh(connection, [("video", "c1", "u1")], rules)
        await refresh(connection, [("video", "c1", "u1")], rules)

    again = {"content_ms": 55_000, "replayed": 0}
    assert await totals(database) == replace(before, **again)
    assert await PostgresEngagement(database).days(0, 2**31 - 1) == sessions
    third = view("s3", 58_000)
    async with database.transaction() as connection:
        await projections.write(
            connection, [Rows([replace(third.sessions[0], watch_ms=58_000)], third.segments)], rules
        )
    after = await totals(database)
    assert (after.views, after.viewers, after.completed, after.covered_ms) == (3, 1, 1, 58_000)


async def test_a_stale_content_is_worked_out_page_by_page(database: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("storage.engaging.STALE_PAGE", 2)
    await write(database, *(view(f"s{n}", to=9_000, user_id=f"u{n}") for n in range(5)))

    await catalog(database, "c1", 9_000)

    assert (await totals(database)).completed == 5


async def test_the_best_contents_come_first_and_each_once_over_the_pages(database: Database):
    reader = PostgresEngagement(database, RULES)
    for content_id, viewers in (("c1", 2), ("c2", 3), ("c3", 2), ("c4", 1)):
        for n in range(viewers):
            await write(database, view(f"{content_id}-{n}", user_id=f"u{n}", content_id=content_id))

    first = await reader.top("viewers", None, None, 3)
    last = first[-1]
    then = await reader.top("viewers", None, (last.rank, last.kind, last.content_id), 3)

    assert [one.content_id for one in first + then] == ["c2", "c1", "c3", "c4"]


@pytest.mark.parametrize("sort", ["viewers", "completion", "drop_off", "watch_time"])
async def test_top_counts_what_the_summary_counts(database: Database, sort: str):
    await catalog(database, "c1", D, course_id="k")
    await write(database, view(), view("s2", 58_000, user_id="u2"))

    (one,) = await PostgresEngagement(database, RULES).top(sort, "k", None, 10)

    kept = await totals(database)
    assert (one.viewers, one.views, one.completed, one.watch_ms) == (2, 2, 1, kept.watch_ms)
    assert (one.starters, one.completed_starters) == (kept.starters, kept.completed_starters)


async def test_a_learner_who_watches_two_things_at_once_is_one_person(database: Database):
    await write(database, view(), view("s2", 20_000, content_id="c2"), view("s3", 10_000, user_id="u2"))

    (step,) = await PostgresEngagement(database, RULES).crowds.counted(T0 - 1000, T0 + DAY, DAY + 1000)

    assert (step.peak, step.area) == (2, 30_000 + 10_000)
