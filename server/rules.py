"""The settings, in the units of those who go by them."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from actors.machines.state import RoomRules
from actors.machines.watch import WatchRules
from actors.system import Rules
from server.config import Settings
from server.ws.hub import Limits
from storage.engaging import Rules as EngagementRules


def rules_of(settings: Settings) -> Rules:
    """The settings, in the actors' units."""
    return Rules(
        room=RoomRules(
            grace_ms=_ms(settings.reconnect_grace_s),
            late_grace_ms=_ms(settings.late_grace_s),
            attended_min_ms=_ms(settings.attended_min_s),
            completion_threshold=settings.completion_threshold,
        ),
        watch=WatchRules(completion_threshold=settings.completion_threshold),
        partitions=settings.partitions,
        heartbeat_ms=_ms(settings.heartbeat_s),
        lease_ttl_s=settings.lease_ttl_s,
        lease_renew_s=settings.lease_renew_s,
        checkpoint_ms=_ms(settings.checkpoint_s),
        journal_pending=settings.journal_pending,
        mailbox=settings.mailbox,
        actor_idle_ms=_ms(settings.actor_idle_s),
    )


def engagement_rules(settings: Settings) -> EngagementRules:
    """The settings that figures of contents depend on."""
    return EngagementRules(settings.completion_threshold, ZoneInfo(settings.timezone), settings.retention_days > 0)


def limits_of(settings: Settings) -> Limits:
    """The settings that bound a connection."""
    return Limits(
        frame_bytes=settings.frame_bytes,
        outbox_bytes=settings.outbox_bytes,
        streams_per_connection=settings.streams_per_connection,
        connections_per_user=settings.connections_per_user,
        messages_per_second=settings.messages_per_second,
        messages_burst=settings.messages_burst,
        bad_messages_per_minute=settings.bad_messages_per_minute,
        hello_s=settings.hello_s,
        ping_s=max(1, round(settings.ping_s)),
        presence_list=settings.presence_list_limit,
        connections_per_address=settings.address_connections,
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
