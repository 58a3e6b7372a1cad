"""No test is left out in silence: the summary names each that did not run and why, and in CI that is a failure.

The databases stand here, so that a test run starts one server of each kind and no more.
"""

import gc
import os
from collections import defaultdict
from collections.abc import Generator

import pytest

from tests.support.servers import databases, debian, embedded, postgres, timescale

__all__ = ["databases", "debian", "embedded", "postgres", "timescale"]

MAY_BE_AWAY = "timescale"
"""The marker of tests whose server no package carries: they may be skipped in CI too."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if not item.get_closest_marker(MAY_BE_AWAY):
        _fail_a_skip_in_ci(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_a_skip_in_ci(report)
    return report


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: no collection of garbage need look through it again."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    names: defaultdict[str, list[str]] = defaultdict(list)
    for report in terminalreporter.stats.get("skipped", []):
        names[_reason(report)].append(report.nodeid)
    if not names:
        return
    terminalreporter.section("not run")
    for reason, left_out in sorted(names.items()):
        terminalreporter.line(f"{len(left_out)} not run: {reason}")
        for name in left_out:
            terminalreporter.line(f"    {name}")


def _fail_a_skip_in_ci(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        report.longrepr = f"CI runs every test, and this one was not run: {_reason(report)}"
        report.outcome = "failed"


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")
