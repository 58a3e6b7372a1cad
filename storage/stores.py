"""All stores over one database, as the composition root takes them."""

from __future__ import annotations

import msgspec

from storage.catalog import PostgresCatalog
from storage.classfacts import PostgresClassFacts
from storage.collected import PostgresCollected
from storage.collector import PostgresCollector
from storage.engagement import PostgresEngagement
from storage.engaging import Engaging, Rules
from storage.jobs import PostgresJobs
from storage.journal import PostgresJournal
from storage.keys import PostgresKeys
from storage.learning import PostgresLearning
from storage.leases import PostgresLeases
from storage.mobile import PostgresMobile
from storage.mobile_images import MobileImages
from storage.mobile_reading import MobileReading
from storage.outbox import PostgresOutbox
from storage.postgres import Database
from storage.quarantine import PostgresQuarantine
from storage.reading import PostgresReading
from storage.sessions import PostgresSessions
from storage.snapshots import PostgresSnapshots
from storage.watched import PostgresWatched
from storage.webhooks import PostgresWebhooks


class PostgresStores(msgspec.Struct, frozen=True):
    """Every port of `actors/ports.py`, and what REST reads."""

    journal: PostgresJournal
    snapshots: PostgresSnapshots
    leases: PostgresLeases
    quarantine: PostgresQuarantine
    sessions: PostgresSessions
    reading: PostgresReading
    jobs: PostgresJobs
    webhooks: PostgresWebhooks
    facts: PostgresClassFacts
    outbox: PostgresOutbox
    catalog: PostgresCatalog
    keys: PostgresKeys
    watched: PostgresWatched
    learning: PostgresLearning
    engagement: PostgresEngagement
    engaging: Engaging
    collector: PostgresCollector
    collected: PostgresCollected
    mobile: PostgresMobile
    mobile_images: MobileImages
    mobile_reading: MobileReading


def stores_over(database: Database, rules: Rules | None = None, *, collector_study: bool = False) -> PostgresStores:
    """The stores; each connects when it is asked something."""
    return PostgresStores(
        PostgresJournal(database),
        PostgresSnapshots(database, rules),
        PostgresLeases(database),
        PostgresQuarantine(database),
        PostgresSessions(database),
        PostgresReading(database),
        PostgresJobs(database),
        PostgresWebhooks(database),
        PostgresClassFacts(database),
        PostgresOutbox(database),
        PostgresCatalog(database),
        PostgresKeys(database),
        PostgresWatched(database),
        PostgresLearning(database),
        PostgresEngagement(database, rules),
        Engaging(database, rules),
        PostgresCollector(database, study=collector_study),
        PostgresCollected(database),
        PostgresMobile(database),
        MobileImages(database),
        MobileReading(database),
    )
