"""The outcome of a class: for people a table, for programs a JSON file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from load_tests.simulate.comparing import Answers, Difference, Row
from load_tests.simulate.options import SimulateOptions
from load_tests.simulate.record import Class
from protocol.client import Counters
from protocol.rest import RoomAnswer, TimelineAnswer


class Outcome(msgspec.Struct):
    """Everything that a class came to. `exit_code`: 0 all match, 1 something differs, 2 the server was not reached."""

    options: SimulateOptions
    record: Class
    answers: Answers = msgspec.field(default_factory=Answers)
    rows: list[Row] = []
    differences: list[Difference] = []
    room: RoomAnswer | None = None
    timeline: TimelineAnswer | None = None
    counters: dict[str, Any] = {}
    acked: dict[str, int] = {}
    """Session -> the last `seq` that the server has acknowledged: what no fault may take away."""
    exit_code: int = 0
    problem: str | None = None


def figures(counters: Counters) -> dict[str, Any]:
    """Counts and ack latency (from sending a sample to its acknowledgement, ms)."""
    latencies = sorted(counters.latencies_s)
    return {
        "samples": counters.samples,
        "sent": counters.sent,
        "acked": counters.acked,
        "resent": counters.resent,
        "forgotten": counters.forgotten,
        "connections": counters.connections,
        "drops": counters.drops,
        "http_posts": counters.posts,
        "refusals": dict(counters.refusals),
        "ack_p50_ms": _quantile_ms(latencies, 0.5),
        "ack_p99_ms": _quantile_ms(latencies, 0.99),
    }


def _quantile_ms(ordered: Sequence[float], share: float) -> float | None:
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 2)


def write_json(outcome: Outcome, path: str) -> None:
    """The whole outcome as JSON; the directory has to exist."""
    Path(path).write_bytes(msgspec.json.format(msgspec.json.encode(outcome), indent=1))


def show(outcome: Outcome, console: Console) -> None:
    """Truth and answers side by side, what differs, totals, verdict."""
    wrong = {one.learner for one in outcome.differences}
    shown = [row for index, row in enumerate(outcome.rows) if index < outcome.options.rows or row.learner in wrong]
    table = Table(title=f"room {outcome.record.room}: truth | answer", title_justify="left")
    table.add_column("learner")
    table.add_column("what they did")
    for heading in ("present s", "late", "played s", "segments", "samples"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for row in shown:
        table.add_row(
            row.learner,
            row.main,
            f"{row.presence_truth_s:.3f} | {_or_dash(row.presence_answer_s)}",
            f"{_yes(row.late_truth)} | {_yes(row.late_answer)}",
            f"{row.played_truth_s:.3f} | {row.played_answer_s:.3f}",
            f"{row.segments_truth} | {row.segments_answer}",
            str(row.samples),
            "[red]differs[/]" if row.learner in wrong else "[green]same[/]",
        )
    console.print(table)
    if len(shown) < len(outcome.rows):
        console.print(f"and {len(outcome.rows) - len(shown)} learners more, all the same")
    _show_differences(outcome, console)
    _show_totals(outcome, console)


def _show_differences(outcome: Outcome, console: Console) -> None:
    if not outcome.differences:
        return
    table = Table(title=f"{len(outcome.differences)} differences", title_justify="left")
    for heading in ("learner", "field", "truth", "answer"):
        table.add_column(heading, overflow="fold")
    for one in outcome.differences:
        table.add_row(one.learner, one.field, one.truth, one.answer)
    console.print(table)


def _show_totals(outcome: Outcome, console: Console) -> None:
    counts = outcome.counters
    rows = outcome.rows
    console.print(
        f"present {sum(row.presence_truth_s for row in rows):.1f} s in truth, "
        f"{sum(row.presence_answer_s or 0 for row in rows)} s answered (whole seconds); "
        f"played {sum(row.played_truth_s for row in rows):.3f} s in truth, "
        f"{sum(row.played_answer_s for row in rows):.3f} s answered",
        soft_wrap=True,
    )
    console.print(
        f"samples {counts['samples']}, sent {counts['sent']}, acknowledged {counts['acked']}, resent "
        f"{counts['resent']}; connections {counts['connections']}, drops {counts['drops']}, "
        f"HTTP posts {counts['http_posts']}, refusals {counts['refusals'] or 'none'}; "
        f"ack p50 {counts['ack_p50_ms']} ms, p99 {counts['ack_p99_ms']} ms",
        soft_wrap=True,
    )
    if outcome.record.outages:
        away = sum(outage.end - outage.begin for outage in outcome.record.outages if outage.end) / 1000
        console.print(f"the server was away {len(outcome.record.outages)} times, {away:.1f} s together")
    wrong = len({one.learner for one in outcome.differences} & {row.learner for row in rows})
    if outcome.differences:
        console.print(f"[red]{wrong} of {len(rows)} learners differ, {len(outcome.differences)} differences[/]")
    else:
        console.print(f"[green]truth = answers for all {len(rows)} learners[/]")


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)


def _yes(value: bool | None) -> str:  # noqa: FBT001 - it is what is shown
    return "?" if value is None else ("yes" if value else "no")
