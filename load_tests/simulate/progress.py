"""What is seen while a class is acted: a live table on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import asyncio
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.table import Table

from load_tests.simulate.report import figures
from load_tests.simulate.stage import Stage

TERMINAL_S: Final = 0.25
LINES_S: Final = 5.0


async def follow(stage: Stage, console: Console) -> None:
    """Show the class until cancelled."""
    if not console.is_terminal:
        while True:
            console.print(_line(stage), highlight=False, soft_wrap=True)
            await asyncio.sleep(LINES_S)
    with Live(_table(stage), console=console, refresh_per_second=4, transient=True) as live:
        while True:
            await asyncio.sleep(TERMINAL_S)
            live.update(_table(stage))


def _facts(stage: Stage) -> list[tuple[str, str]]:
    counts = figures(stage.counters)
    return [
        ("acted", f"{max(0.0, min(stage.now_s(), stage.seconds)):.0f} of {stage.seconds:.0f} s"),
        ("devices", f"{stage.acting} acting, {stage.gone} done"),
        ("samples", f"{counts['sent']} sent, {counts['acked']} acknowledged, {counts['resent']} resent"),
        ("connections", f"{counts['connections']}, {counts['drops']} drops, {counts['http_posts']} HTTP posts"),
        ("ack", f"p50 {counts['ack_p50_ms']} ms, p99 {counts['ack_p99_ms']} ms"),
        ("refusals", str(counts["refusals"] or "none")),
    ]


def _table(stage: Stage) -> Table:
    table = Table(title=f"room {stage.record.room}", show_header=False, title_justify="left")
    for name, value in _facts(stage):
        table.add_row(name, value)
    return table


def _line(stage: Stage) -> str:
    return "; ".join(f"{name} {value}" for name, value in _facts(stage))
