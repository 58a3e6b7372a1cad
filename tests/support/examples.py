"""Made-up rows and inputs: one good one of each kind, with what matters to a test replaced.

No two numbers of a row are the same, so that a column in another's place shows.
"""

from __future__ import annotations

from typing import Any

import msgspec

from actors.machines.events import Sampled
from actors.machines.rows import (
    AttendanceRow,
    EndRow,
    InteractionRow,
    PresenceRow,
    RoomRow,
    Rows,
    SegmentRow,
    SessionRow,
)
from actors.machines.track import PLAYING, Sample, Segment
from actors.ports import ROOM, WATCH, Checkpoint, Entry, Fence, Kind, Snapshot

T0 = 1_764_000_000_000
"""A Monday in November, Unix ms."""
NAME = "অনন্যা রহমান"


def entry(key: str = "s1", version: int = 1, at: int = T0) -> Entry:
    return Entry(WATCH, key, version, at, Sampled(at, [Sample(version, at, 1000 * version, PLAYING)], 10_000))


def entries(count: int, key: str = "s1") -> list[Entry]:
    return [entry(key, version, T0 + 10_000 * version) for version in range(1, count + 1)]


def fence(leases: dict[int, int], *partitions: int, owner: str = "node-1") -> Fence:
    return Fence(owner, {partition: leases[partition] for partition in partitions or leases})


def session(session_id: str = "s1", **changes: Any) -> SessionRow:
    row = SessionRow(
        session_id=session_id,
        user_id="u1",
        kind="video",
        content_id="c1",
        room_id=None,
        device_id="d1",
        door="http",
        started_at=T0,
        ended_at=None,
        last_sample_at=T0 + 60_000,
        last_seq=7,
        first_seq_at=T0 - 123,
        position=61_000,
        duration=600_000,
        watch_ms=59_001,
        content_ms=59_002,
        covered_ms=59_003,
        coverage=0.1,
        completed=False,
    )
    return msgspec.structs.replace(row, **changes)


def segment(session_id: str = "s1", number: int = 1, **changes: Any) -> SegmentRow:
    """`changes` of the row and of its segment alike."""
    start = T0 + 1000 * (number - 1)
    played = Segment(number, start, start + 1000, 20, 1520, 1501.5, 900, 1.25, verified=True)
    inner = {name: changes.pop(name) for name in list(changes) if name in Segment.__struct_fields__}
    row = SegmentRow(session_id, "u1", "video", "c1", None, msgspec.structs.replace(played, **inner), open=False)
    return msgspec.structs.replace(row, **changes)


def presence(user_id: str = "u1", number: int = 1, **changes: Any) -> PresenceRow:
    row = PresenceRow(
        "r1", user_id, number, T0, T0 + 60_000, "plugnmeet", "d1", open=False, disconnect_reason="SIGNAL_CLOSE"
    )
    return msgspec.structs.replace(row, **changes)


def attendance(user_id: str = "u1", **changes: Any) -> AttendanceRow:
    row = AttendanceRow(
        "r1",
        user_id,
        NAME,
        "learner",
        T0,
        T0 + 60_000,
        60_001,
        1_500,
        late=False,
        attended=True,
        camera_ms=50_001,
        microphone_ms=50_002,
        screen_ms=50_003,
        talk_ms=50_004,
        hand_raises=5,
        polls_answered=6,
        telephone=True,
    )
    return msgspec.structs.replace(row, **changes)


def room(room_id: str = "r1", **changes: Any) -> RoomRow:
    row = RoomRow(room_id, "বীজগণিত ১", "p1", "live", T0, T0 + 3_600_000, T0 + 5, None, 12, 11)
    row = msgspec.structs.replace(row, recording=True, streaming=False, recording_failure="কোনো রেকর্ডার নেই")
    return msgspec.structs.replace(row, **changes)


def interaction(**changes: Any) -> InteractionRow:
    row = InteractionRow("r1", "u1", "doubt", "i1", '{"কেন": "x\\u0000y", "n": 1e400}'.encode(), T0)
    return msgspec.structs.replace(row, **changes)


def snapshot(key: str = "r1", version: int = 1, partition: int = 0, **changes: Any) -> Snapshot:
    kind: Kind = changes.pop("kind", ROOM)
    return msgspec.structs.replace(Snapshot(kind, key, partition, version, b"\x00body\xff", T0), **changes)


def checkpoint(rows: Rows | None = None, **changes: Any) -> Checkpoint:
    return Checkpoint(snapshot(**changes), rows if rows is not None else Rows())


def end(number: int = 1, **changes: Any) -> EndRow:
    row = EndRow("r1", number, full=True, start_at=T0, end_at=T0 + 3_600_000, avg_watch_s=1234, product_id="p1")
    return msgspec.structs.replace(row, **changes)
