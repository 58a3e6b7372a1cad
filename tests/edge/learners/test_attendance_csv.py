"""Attendance as CSV: by the dashboards' rules, up to the last heartbeat, safe in a spreadsheet, staff's alone."""

import csv
import io

from tests.edge.learners.conftest import World


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


async def test_a_running_class_is_listed_up_to_now(world: World):
    actor = await world.live("c1")
    await world.attend(actor, "u1", "রহিম", seconds=60)
    await world.attend(actor, "u2", seconds=30)

    status, text, headers = await world.call("GET", "/rooms/c1/attendance.csv", role="staff")

    assert status == 200
    assert headers["Content-Type"] == "text/csv; charset=utf-8"
    assert headers["Content-Disposition"] == 'attachment; filename="attendance-c1.csv"'
    first, second = read(text)
    assert (first["user_id"], first["name"], first["class_name"]) == ("u1", "রহিম", "Algebra")
    assert (first["devices"], first["sources"], first["attended"]) == ("phone", "websocket", "true")
    assert int(first["presence_seconds"]) >= 60 > int(second["presence_seconds"]) >= 30
    assert float(first["percent_of_class"]) <= 100


async def test_each_stay_is_a_row_of_its_own(world: World):
    actor = await world.live("c1")
    await world.attend(actor, "u1", seconds=20)
    await world.attend(actor, "u2", seconds=20)

    status, text, _ = await world.call("GET", "/rooms/c1/attendance.csv", role="staff", rows="intervals")

    assert status == 200
    rows = read(text)
    assert [row["user_id"] for row in rows] == ["u1", "u2"]
    assert all(row["source"] == "websocket" and row["open"] == "true" for row in rows)


async def test_a_name_that_a_spreadsheet_would_run_gets_an_apostrophe(world: World):
    actor = await world.live("c1")
    for number, name in enumerate(["=1+1", "+1", "-1", "@x", "\tx", "\rx", "a=b"]):
        await world.attend(actor, f"u{number}", name, seconds=10)

    _, text, _ = await world.call("GET", "/rooms/c1/attendance.csv", role="staff")

    names = [row["name"] for row in read(text)]
    assert names == ["'=1+1", "'+1", "'-1", "'@x", "'\tx", "'\rx", "a=b"]


async def test_a_byte_order_mark_is_there_when_asked_for(world: World):
    await world.live("c1")
    _, with_mark, _ = await world.call("GET", "/rooms/c1/attendance.csv", role="staff", bom="1")
    _, without, _ = await world.call("GET", "/rooms/c1/attendance.csv", role="staff")
    assert with_mark == "\ufeff" + without
    assert without.endswith("\r\n")


async def test_a_product_is_listed_class_by_class_within_the_range(world: World):
    for room, day in (("c1", 7), ("c2", 6), ("c3", 9)):
        start = f"2024-02-{day:02}T10:00:00Z"
        await world.database.execute(
            "INSERT INTO catalog_classes (live_class_id, name, catalog_product_id, subject, start_at, end_at, status,"
            " updated_at) VALUES ($1, $1, '15', 's', $2::text::timestamptz, $2::text::timestamptz + interval '1 hour',"
            " 'scheduled', now())",
            *(room, start),
        )
        await world.database.execute(
            "INSERT INTO attendance (room_id, user_id, role, presence_ms, late_ms, late, attended)"
            " VALUES ($1, 'u1', 'learner', 0, 0, false, false)",
            room,
        )
        await world.database.execute(
            "INSERT INTO presence_intervals VALUES ($1, 'u1', 1, $2::text::timestamptz + interval '10 minutes',"
            " $2::text::timestamptz + interval '70 minutes', 'zoom', 'd', false)",
            *(room, start),
        )

    status, text, _ = await world.call(
        "GET",
        "/export/attendance.csv",
        role="staff",
        catalog_product_id="15",
        start_at="2024-02-06",
        end_at="2024-02-07",
    )

    assert status == 200
    rows = read(text)
    assert [row["live_class_id"] for row in rows] == ["c2", "c1"]
    assert (rows[0]["presence_seconds"], rows[0]["class_seconds"], rows[0]["percent_of_class"]) == (
        "3000",
        "3600",
        "83.33",
    )
    assert (rows[0]["late_by_seconds"], rows[0]["late"]) == ("600", "true")


async def test_what_is_asked_wrongly_is_said(world: World):
    for path, query, status in (
        ("/rooms/nowhere/attendance.csv", {}, 404),
        ("/rooms/nowhere/attendance.csv", {"rows": "all"}, 400),
        ("/export/attendance.csv", {}, 400),
        ("/export/attendance.csv", {"catalog_product_id": "1", "start_at": "soon"}, 400),
        ("/export/attendance.csv", {"catalog_product_id": "1", "start_at": "2020-01-01", "end_at": "2024-01-01"}, 400),
    ):
        found, text, _ = await world.call("GET", path, role="staff", **query)
        assert found == status, text
    status, _, _ = await world.call("GET", "/rooms/nowhere/attendance.csv", role="learner")
    assert status == 403
