"""Everything in `/metrics`: one typed catalogue, filled from plain counters when somebody asks.

Counting costs an integer's increment; the shapes of Prometheus are made at reading.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from actors.counters import Counters, Histogram
from actors.system import ActorSystem
from storage.amqp.counters import AmqpCounters

LAG_MS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)
PREFIX: Final = "rollcall_"

Value = float | Histogram
Labelled = dict[tuple[str, ...], Value]


class Entry(msgspec.Struct, frozen=True):
    """One line of the catalogue. `scale` turns our units into those of the name (ms into seconds)."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    scale: float = 1.0


CATALOGUE: Final = (
    Entry("connections", "gauge", "WebSocket connections open now."),
    Entry("rooms", "gauge", "Rooms in memory by state.", ("state",)),
    Entry("present", "gauge", "People present in rooms in memory, each once a room."),
    Entry("sessions", "gauge", "Watch sessions in memory, those of rooms included."),
    Entry("samples_taken", "counter", "Samples that came in.", ("door",)),
    Entry("samples_acked", "counter", "Samples acknowledged: they are durable.", ("door",)),
    Entry(
        "samples_refused", "counter", "Samples refused: they are not stored, or their client was not told.", ("door",)
    ),
    Entry("socket_events", "counter", "What went wrong with WebSockets.", ("what",)),
    Entry("http_requests", "counter", "HTTP requests answered.", ("method", "route", "status")),
    Entry("inputs", "counter", "Messages that actors took in."),
    Entry("journaled", "counter", "Inputs made durable in the journal."),
    Entry("commit_seconds", "histogram", "From taking an input in to its commit.", (), 0.001),
    Entry("flush_entries", "histogram", "Inputs per journal batch."),
    Entry("flushes", "counter", "Journal batches committed."),
    Entry("flush_failures", "counter", "Journal batches that the database did not take at once."),
    Entry("journal_backlog", "gauge", "Inputs that are not durable yet."),
    Entry("journal_full", "gauge", "1 while new samples are refused because too many inputs wait."),
    Entry("storage_away_seconds", "gauge", "How long the database has taken no batch; 0 when it does."),
    Entry("mailboxes", "gauge", "Messages that wait for actors."),
    Entry("mailbox_full", "counter", "Messages refused because a room's or session's mailbox was full."),
    Entry("actor_crashes", "counter", "Actors rebuilt after a crash."),
    Entry("quarantined", "counter", "Inputs set aside because they crash their actor."),
    Entry("answers_lost", "counter", "Answers that could not be handed to their socket."),
    Entry("checkpoints", "counter", "Actors written by checkpoints."),
    Entry("checkpoint_failures", "counter", "Checkpoints that the database did not take."),
    Entry("checkpoint_waiting", "gauge", "Actors that wait for a checkpoint; some may count twice."),
    Entry("journal_trimmed", "counter", "Journal batches forgotten because checkpoints cover them."),
    Entry("replayed", "counter", "Inputs replayed from the journal at start or after a crash."),
    Entry("leases_held", "gauge", "Partitions that this node owns."),
    Entry("leases_lapsed", "gauge", "1 while the leases could not be renewed in time."),
    Entry("leases_lost", "counter", "Partitions that another node took over."),
    Entry("ready", "gauge", "1 while this node serves."),
    Entry("heartbeat_interval_seconds", "gauge", "Heartbeat interval asked of players; longer under load.", (), 0.001),
    Entry("clock_skew_seconds", "gauge", "How far the wall clock is ahead of server time."),
    Entry("loop_lag_seconds", "histogram", "How late the event loop ran what was due.", (), 0.001),
    Entry("webhooks", "counter", "Webhooks of a plugNmeet server, by what became of them.", ("event", "result")),
    Entry("repairs", "counter", "Looks at the conference server's own list of a live room.", ("result",)),
    Entry("repair_corrections", "counter", "Things that such a look found, and no webhook had told."),
    Entry("recordings", "gauge", "Recordings in the database by state, counted every 15 s.", ("state",)),
    Entry("recording_attempts", "counter", "Attempts to fetch a recording, by how they ended.", ("result",)),
    Entry("recording_bytes", "counter", "Bytes of recordings that came."),
    Entry("analytics_attempts", "counter", "Attempts to fetch analytics, by how they ended.", ("result",)),
    Entry("amqp_messages", "counter", "Events from and to RabbitMQ, by what became of them.", ("event", "result")),
    Entry("amqp_dead_letters", "counter", "Bad events put aside in rollcall.dead."),
    Entry("amqp_connected", "gauge", "1 while this part is connected to RabbitMQ.", ("part",)),
    Entry("outbox_depth", "gauge", "Events that wait to be published, counted every 5 s."),
    Entry("outbox_age_seconds", "gauge", "How long the oldest of them has waited."),
    Entry("mobile_images", "counter", "Images of mobile sessions, by what became of them.", ("result",)),
    Entry("mobile_events", "counter", "What came through the mobile door.", ("what",)),
    Entry("collector_events", "counter", "Events sent to the collector, by what became of them.", ("result",)),
)


class Samples:
    """What came through one door."""

    __slots__ = ("acked", "refused", "taken")

    def __init__(self) -> None:
        self.taken = 0
        self.acked = 0
        self.refused = 0


class CollectorCounters:
    """Events that others sent, by what became of them."""

    __slots__ = ("accepted", "duplicates", "rejected", "unstored")

    def __init__(self) -> None:
        self.accepted = 0
        self.duplicates = 0
        self.rejected = 0
        self.unstored = 0


class FetchCounters:
    """What the worker counts that fetches recordings and analytics; results and states are a few fixed words."""

    __slots__ = ("analytics", "attempts", "bytes", "recordings")

    def __init__(self) -> None:
        self.recordings: dict[str, int] = {}
        self.attempts: Counter[str] = Counter()
        self.analytics: Counter[str] = Counter()
        self.bytes = 0


class EdgeCounters:
    """What the edges count. One a process; bounded, since methods, routes, statuses and doors are few."""

    def __init__(self) -> None:
        self.requests: dict[tuple[str, str, int], int] = {}
        self.doors: dict[str, Samples] = {}
        self.socket_events: Counter[str] = Counter()
        """What went wrong with WebSockets, by a few fixed words."""
        self.loop_lag_ms = Histogram(LAG_MS)
        self.webhooks: Counter[tuple[str, str]] = Counter()
        """Webhooks by event and result, each one of a few fixed words (`server/plugnmeet/webhooks.py`)."""
        self.repairs: Counter[str] = Counter()
        """Looks for lost webhooks, by what came of them (`server/plugnmeet/repair.py`)."""
        self.corrections = 0
        self.fetched = FetchCounters()
        self.collector = CollectorCounters()
        self.images: Counter[str] = Counter()
        """Images of mobile sessions: `kept`, or there `again`."""
        self.mobile: Counter[str] = Counter()
        """What came through the mobile door, by a few fixed words (`server/mobile/`)."""
        self.amqp = AmqpCounters()

    def request(self, method: str, route: str, status: int) -> None:
        """Count an answer."""
        key = (method, route, status)
        self.requests[key] = self.requests.get(key, 0) + 1

    def samples(self, door: str) -> Samples:
        """The counters of a door (`http`, `websocket`)."""
        return self.doors.setdefault(door, Samples())


class SystemCollector(Collector):
    """Reads the whole catalogue when asked."""

    def __init__(self, system: ActorSystem, edge: EdgeCounters, connections: Callable[[], int]) -> None:
        self._system = system
        self._edge = edge
        self._connections = connections

    def describe(self) -> Iterable[Metric]:
        """Names without values: registering asks for no numbers."""
        return [_family(entry) for entry in CATALOGUE]

    def collect(self) -> Iterator[Metric]:
        """All families, each with its help text, in the order of the catalogue."""
        read = self.values()
        for entry in CATALOGUE:
            family = _family(entry)
            for labels, value in read[entry.name].items():
                _add(family, entry, labels, value)
            yield family

    def values(self) -> dict[str, Labelled]:
        """What every entry of the catalogue says now."""
        system, plain = self._system, _of_counters(self._system.counters) | _of_system(self._system)
        read: dict[str, Labelled] = {name: {(): value} for name, value in plain.items()}
        read["connections"] = {(): self._connections()}
        read["socket_events"] = {(what,): count for what, count in self._edge.socket_events.items()}
        read["rooms"] = _rooms(system)
        read["loop_lag_seconds"] = {(): self._edge.loop_lag_ms}
        read["webhooks"] = dict(self._edge.webhooks.items())
        read["repairs"] = {(result,): count for result, count in self._edge.repairs.items()}
        read["repair_corrections"] = {(): self._edge.corrections}
        fetched = self._edge.fetched
        read["recordings"] = {(state,): count for state, count in fetched.recordings.items()}
        read["recording_attempts"] = {(result,): count for result, count in fetched.attempts.items()}
        read["recording_bytes"] = {(): fetched.bytes}
        read["analytics_attempts"] = {(result,): count for result, count in fetched.analytics.items()}
        read |= _of_amqp(self._edge.amqp)
        read["mobile_images"] = {(result,): count for result, count in self._edge.images.items()}
        read["mobile_events"] = {(what,): count for what, count in self._edge.mobile.items()}
        collected = self._edge.collector
        read["collector_events"] = {
            (name,): getattr(collected, name) for name in ("accepted", "duplicates", "rejected", "unstored")
        }
        requests = self._edge.requests.items()
        read["http_requests"] = {(method, route, str(status)): count for (method, route, status), count in requests}
        for name in ("taken", "acked", "refused"):
            read[f"samples_{name}"] = {(door,): getattr(said, name) for door, said in self._edge.doors.items()}
        return read


def registry(system: ActorSystem, edge: EdgeCounters, connections: Callable[[], int]) -> CollectorRegistry:
    """All that `/metrics` shows: ours and what the operating system knows of the process."""
    made = CollectorRegistry()
    made.register(SystemCollector(system, edge, connections))
    ProcessCollector(registry=made)
    return made


def _of_counters(counters: Counters) -> dict[str, Value]:
    return {
        "inputs": counters.inputs,
        "journaled": counters.journaled,
        "commit_seconds": counters.commit_ms,
        "flush_entries": counters.batch_entries,
        "flushes": counters.flushes,
        "flush_failures": counters.flush_failures,
        "mailbox_full": counters.mailbox_full,
        "actor_crashes": counters.crashes,
        "quarantined": counters.quarantined,
        "answers_lost": counters.released_with_error,
        "checkpoints": counters.checkpoints,
        "checkpoint_failures": counters.checkpoint_failures,
        "journal_trimmed": counters.trimmed,
        "replayed": counters.replayed,
        "leases_lost": counters.leases_lost,
    }


def _of_system(system: ActorSystem) -> dict[str, Value]:
    committer, away = system.committer, system.committer.away_since
    rooms = list(system.directory.rooms.values())
    return {
        "present": sum(actor.room.present for actor in rooms),
        "sessions": len(system.directory.watches) + sum(len(actor.room.state.sessions) for actor in rooms),
        "journal_backlog": committer.backlog,
        "journal_full": committer.full,
        "storage_away_seconds": 0 if away is None else max(0, system.clock.now() - away) / 1000,
        "mailboxes": system.scheduler.depth,
        "checkpoint_waiting": system.checkpointer.dirty,
        "leases_held": len(system.leases.held),
        "leases_lapsed": system.lapsed,
        "ready": system.ready,
        "heartbeat_interval_seconds": system.interval_ms,
        "clock_skew_seconds": system.clock.skew_s,
    }


def _of_amqp(amqp: AmqpCounters) -> dict[str, Labelled]:
    return {
        "amqp_messages": {names: count for names, count in amqp.messages.items()},  # noqa: C416 - another type of key
        "amqp_dead_letters": {(): amqp.dead_letters},
        "amqp_connected": {(part,): connected for part, connected in amqp.connected.items()},
        "outbox_depth": {(): amqp.outbox_depth},
        "outbox_age_seconds": {(): amqp.outbox_age_s},
    }


def _rooms(system: ActorSystem) -> Labelled:
    read: dict[tuple[str, ...], float] = dict.fromkeys(
        [(state,) for state in ("scheduled", "live", "ended", "cancelled")], 0
    )
    for actor in system.directory.rooms.values():
        read[actor.room.state.status,] += 1
    return dict(read)


Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


def _family(entry: Entry) -> Family:
    name = PREFIX + entry.name
    if entry.kind == "counter":
        return CounterMetricFamily(name, entry.help, labels=entry.labels)
    if entry.kind == "gauge":
        return GaugeMetricFamily(name, entry.help, labels=entry.labels)
    return HistogramMetricFamily(name, entry.help, labels=entry.labels)


def _add(family: Family, entry: Entry, labels: tuple[str, ...], value: Value) -> None:
    if isinstance(family, HistogramMetricFamily):
        assert isinstance(value, Histogram)
        family.add_metric(labels, _buckets(value, entry.scale), sum_value=value.sum * entry.scale)
    else:
        assert not isinstance(value, Histogram)
        family.add_metric(labels, value * entry.scale)


def _buckets(histogram: Histogram, scale: float) -> list[tuple[str, float]]:
    total = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip([*histogram.bounds, None], histogram.counts, strict=True):
        total += count
        buckets.append(("+Inf" if bound is None else str(float(bound * scale)), total))
    return buckets
