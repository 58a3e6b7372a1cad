"""What a webhook does: a room is told, a job is ordered, or the message is kept as it came; all of it durable.

    a room's event    -> its class's room, by way of `Breakouts` -> journal
    a file is ready   -> `Jobs`, and kept
    anything else     -> kept

Everything here may be done again and changes nothing then.
"""

from __future__ import annotations

import asyncio
from hashlib import sha256

from actors.machines.effects import Unplaced
from actors.machines.events import RoomEvent
from actors.system import ActorSystem
from protocol.plugnmeet import Place, Undecodable, Webhook
from server.http import asking
from server.http.answers import unavailable
from server.plugnmeet import facts
from server.plugnmeet.breakouts import Breakouts
from server.plugnmeet.ports import Jobs, WebhookStore
from server.plugnmeet.room_reply import RoomReply


class Intake:
    """One a process. `until` is a moment of the event loop's clock."""

    def __init__(self, system: ActorSystem, store: WebhookStore, jobs: Jobs) -> None:
        self._system = system
        self._store = store
        self._jobs = jobs
        self._breakouts = Breakouts(store)

    async def take(self, event: Webhook | Undecodable, body: bytes, until: float) -> str:
        """Do what the event asks for; returns, when it is durable, what became of it, in a word.

        Raises `NotOwned`, `StoreAway`; `Problem` where a room could not be told, or not `until` then: it may be yet.
        """
        if isinstance(event, Undecodable):
            await self._keep(event, None, event.message, body)
            return "undecodable"
        if event.place is None:
            await self._keep(event, None, "not read", body)
            return "stored"
        if _counts_for_nobody(event):
            return "ignored"
        return await self._take_for_room(event, event.place, body, until)

    async def _take_for_room(self, webhook: Webhook, place: Place, body: bytes, until: float) -> str:
        room_id, breakout = await self._room_of(place)
        if room_id is None:
            await self._keep(webhook, place.room_id, "a breakout room whose parent is not told", body)
            return "stored"
        event = facts.of_webhook(webhook, breakout=breakout)
        unplaced = None if event is None else await self._tell(room_id, event, until)
        if unplaced is not None:
            full = unplaced.full
            why = f"the room has no place for more {full}" if full else "outside the time of the class"
            await self._keep(webhook, room_id, why, body)
            return "full" if full else "outside"
        if await self._order(webhook, room_id, place.sid):
            await self._keep(webhook, room_id, "a job", body)
            return "taken"
        if event is None:
            await self._keep(webhook, room_id, "not read", body)
            return "stored"
        return "taken"

    async def _room_of(self, place: Place) -> tuple[str | None, bool]:
        """Whose class it is, and whether it comes from a breakout room of it; None where that is not known."""
        if place.parent_room_id is not None:
            await self._breakouts.learn(place.sid, place.room_id, place.parent_room_id)
            return place.parent_room_id, True
        if place.breakout is False:
            return place.room_id, False
        parent = await self._breakouts.parent_of(place.sid, self._system.clock.now())
        if parent is not None:
            return parent, True
        return (None, True) if place.breakout else (place.room_id, False)

    async def _tell(self, room_id: str, event: RoomEvent, until: float) -> Unplaced | None:
        """Tell the room; returns, when it is durable, why it has no place there; None where it was taken in."""
        if self._system.busy:
            raise unavailable()
        actor = await self._system.room(room_id, create=True)
        assert actor is not None
        reply = RoomReply()
        reply.send(self._system, actor, event)
        return await asking.in_time(reply.future, max(0.0, until - asyncio.get_running_loop().time()))

    async def _order(self, webhook: Webhook, room_id: str, sid: str) -> bool:
        """Have fetched what is ready; returns whether anything is."""
        recording, artifact = webhook.recording, webhook.artifact
        if recording is not None and recording.ready:
            await self._jobs.recording(recording.record_id, room_id, sid, recording.size_mb, webhook.at)
            return True
        if artifact is not None and artifact.analytics:
            await self._jobs.analytics(artifact.artifact_id, room_id, sid, older=artifact.older)
            return True
        return False

    async def _keep(self, event: Webhook | Undecodable, room_id: str | None, why: str, body: bytes) -> None:
        id = event.id or sha256(body).hexdigest()  # noqa: A001 - the message's own word
        await self._store.keep(id, event.event, room_id, self._system.clock.now(), why, body)


def _counts_for_nobody(webhook: Webhook) -> bool:
    """Bots, and tracks that show nobody."""
    if webhook.participant is not None and webhook.participant.bot:
        return True
    return webhook.track is not None and webhook.track.device is None
