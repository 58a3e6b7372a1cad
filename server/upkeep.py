"""What a server does on its own once it is ready, in the order of its start: each part works for ever."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from actors.system import ActorSystem
from server.collector.study import StudyTime
from server.collector.sweeping import CollectorSweeper
from server.config import Settings
from server.history.rooms import ImportedRooms
from server.learners.erasing import Eraser
from server.learners.requests import Requests
from server.mobile import images_sweeping
from server.mobile.images_sweeping import ImageSweeper
from server.mobile.silence import Silence
from server.retention import Sweeper
from server.rules import engagement_rules, rules_of
from storage.collector_study import CollectorStudy
from storage.collector_upkeep import CollectorUpkeep
from storage.files import Files
from storage.history import History
from storage.learners import Learners
from storage.postgres import Database
from storage.retention import Retention
from storage.stores import PostgresStores


class Upkeep:
    """All of it. `images` also go with their learner."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        stores: PostgresStores,
        system: ActorSystem,
        files: Files,
        eraser: Eraser,
        learners: Learners,
    ) -> None:
        now, days = system.clock.now, settings.retention_days
        past = History(database, settings.partitions, rules_of(settings).room, engagement_rules(settings), now)
        self.engaging = stores.engaging
        self.requests = Requests(learners, eraser)
        self.imported = ImportedRooms(system, past, stores.facts)
        self.detail = Sweeper(Retention(database), days, now)
        self.events = CollectorSweeper(CollectorUpkeep(database), days, now)
        self.study = StudyTime(CollectorStudy(database), past)
        self.images = ImageSweeper(stores.mobile_images, files, images_sweeping.work_of(settings.data_dir))
        self.silence = Silence(stores.mobile, now)
        eraser.after.append(self.images.sweep)

    def works(self) -> list[Callable[[], Awaitable[None]]]:
        """What is to be run beside the server."""
        return [
            self.engaging.run,
            self.requests.run,
            self.imported.run,
            self.detail.run,
            self.events.run,
            self.study.run,
            self.images.run,
            self.silence.run,
        ]
