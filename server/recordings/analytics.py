"""One analytics file: fetched, read, and told to its room; done when the room's journal has it."""

from __future__ import annotations

import asyncio
from typing import Final

from actors.directory import NotOwned
from actors.machines.events import Analysed, UserFigures
from actors.system import ActorSystem
from protocol.plugnmeet_analytics import AnalyticsError, AnalyticsUser, parse
from server.http import asking
from server.http.answers import Problem
from server.plugnmeet.api import PlugNMeetApi, TokenRefused
from server.plugnmeet.room_reply import RoomReply
from server.recordings.fetching import Again, GiveUp
from storage.jobs import ArtifactJob

FILE_BYTES_MAX: Final = 16 * 1024 * 1024
"""A class of a thousand for an afternoon has two or three."""


class Analyst:
    """One a process."""

    def __init__(self, api: PlugNMeetApi, system: ActorSystem) -> None:
        self._api = api
        self._system = system

    async def analyse(self, job: ArtifactJob) -> None:
        """Raises GiveUp, Again; ApiAway, ApiRefused, StoreAway."""
        data = await self._fetch(job)
        try:
            users = await asyncio.to_thread(parse, data)
        except AnalyticsError as error:
            raise GiveUp(str(error)) from error
        await self._tell(job, users)

    async def _fetch(self, job: ArtifactJob) -> bytes:
        if job.older:
            kind, token = "analytics", await self._api.analytics_token(job.artifact_id)
        else:
            kind, token = "artifact", await self._api.artifact_token(job.artifact_id)
        body = bytearray()
        try:
            async with self._api.download(kind, token) as download:
                async for chunk in download.chunks:
                    body += chunk
                    if len(body) > FILE_BYTES_MAX:
                        raise GiveUp(f"too large: more than {FILE_BYTES_MAX} bytes")
        except TokenRefused as error:
            raise Again("the token for the download was refused") from error
        return bytes(body)

    async def _tell(self, job: ArtifactJob, users: list[AnalyticsUser]) -> None:
        event = Analysed(job.artifact_id, [_figures(user) for user in users])
        try:
            actor = await self._system.room(job.room_id, create=True)
            assert actor is not None, "a room that may be made is there"
            reply = RoomReply()
            reply.send(self._system, actor, event)
            unplaced = await asking.in_time(reply.future, asking.WRITE_S)
        except NotOwned as error:
            raise Again("the room is on another node") from error
        except Problem as problem:
            raise Again(problem.message) from problem
        if unplaced is not None:
            raise GiveUp(f"the room has no place for more {unplaced.full}")


def _figures(user: AnalyticsUser) -> UserFigures:
    return UserFigures(user.user_id, user.ex_user_id, user.talk_ms, user.hand_raises, user.polls_answered)
