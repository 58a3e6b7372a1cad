"""What staff read of collected events (collector.md, "Reading"). Times RFC 3339, durations seconds."""

from __future__ import annotations

import msgspec


class ViewsStep(msgspec.Struct, frozen=True):
    """Durations are None where no view of the step told one."""

    at: str
    views: int
    unique_users: int
    mean_duration: float | None
    p50_duration: float | None
    p95_duration: float | None


class ViewsAnswer(msgspec.Struct, frozen=True):
    """Every step of the range, in seconds from its start."""

    items: list[ViewsStep]
    step: int


class EngagementStep(msgspec.Struct, frozen=True):
    """One type in one step."""

    at: str
    metric_type: str
    count: int
    unique_users: int


class EngagementAnswer(msgspec.Struct, frozen=True):
    """Steps and types that have any."""

    items: list[EngagementStep]
    step: int


class ApiCalls(msgspec.Struct, frozen=True):
    """One `METHOD:/path`. `error_rate`: percent of calls with a status of 500 and more, of those that told one."""

    content_id: str
    count: int
    error_rate: float | None
    p50_duration: float | None
    p95_duration: float | None
    p99_duration: float | None


class ApiCallsAnswer(msgspec.Struct, frozen=True):
    """The most called first."""

    items: list[ApiCalls]
