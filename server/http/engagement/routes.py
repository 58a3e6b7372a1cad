"""Where engagement is asked."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from actors.system import ActorSystem
from server.http.access import Access
from server.http.engagement.contents import ContentEngagement
from server.http.engagement.mine import OwnEngagement
from server.http.engagement.platform import PlatformEngagement
from server.http.shell import Handler
from storage.engagement import PostgresEngagement


def routes(
    system: ActorSystem, access: Access, engagement: PostgresEngagement, timezone: str
) -> list[tuple[str, str, Handler]]:
    """`timezone` is the server's, an IANA name that is known to be one."""
    contents = ContentEngagement(system, access, engagement, timezone)
    platform = PlatformEngagement(system, access, engagement, ZoneInfo(timezone))
    return [
        ("GET", "/api/v1/videos/engagement/summary", contents.summary),
        ("GET", "/api/v1/videos/engagement/retention", contents.retention),
        ("GET", "/api/v1/videos/engagement/viewers", contents.viewers),
        ("GET", "/api/v1/videos/engagement/top", platform.top),
        ("GET", "/api/v1/videos/engagement/me", OwnEngagement(system, access, engagement).read),
        ("GET", "/api/v1/videos/concurrent", platform.concurrent),
        ("GET", "/api/v1/analytics/dashboard", platform.dashboard),
    ]
