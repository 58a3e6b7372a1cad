"""The parts that fetch and keep recordings, made from settings."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from actors.system import ActorSystem
from server.config import Settings
from server.metrics import FetchCounters
from server.plugnmeet.api import PlugNMeetApi
from server.recordings import media
from server.recordings.analytics import Analyst
from server.recordings.fetching import Fetcher, Limits
from server.recordings.worker import Worker
from storage.files import DirectoryFiles, Files
from storage.files_s3 import S3Files
from storage.jobs import JobStore

WORK: Final = Path("work", "recordings")
"""Where files grow, in the data directory."""
KEPT: Final = Path("recordings")
"""Where they are kept, in the data directory, unless a setting says otherwise."""


def files_of(settings: Settings) -> Files:
    """Where recordings are kept."""
    if settings.recordings_s3_bucket is not None:
        return S3Files(
            settings.recordings_s3_bucket,
            region=settings.recordings_s3_region,
            endpoint=settings.recordings_s3_endpoint,
            key=settings.recordings_s3_key,
            secret=settings.recordings_s3_secret,
        )
    return DirectoryFiles((settings.recordings_dir or settings.data_dir / KEPT).absolute())


def worker_of(
    settings: Settings,
    jobs: JobStore,
    files: Files,
    system: ActorSystem,
    api: PlugNMeetApi | None,
    counters: FetchCounters,
) -> Worker:
    """Who fetches them; without an API it only counts what waits."""
    work = (settings.data_dir / WORK).absolute()
    owner = system.leases.owner

    def came(size: int) -> None:
        counters.bytes += size

    fetcher = None
    if api is not None:
        limits = Limits(settings.recording_max_bytes)
        tools = media.find_tools()
        fetcher = Fetcher(jobs, api, files, tools, work=work, owner=owner, limits=limits, on_bytes=came)
    return Worker(
        jobs,
        fetcher,
        None if api is None else Analyst(api, system),
        owner=owner,
        work=work,
        counters=counters,
        # The lock on the data directory proves that no other server lives on an embedded database.
        sole_owner=settings.database_url is None,
    )
