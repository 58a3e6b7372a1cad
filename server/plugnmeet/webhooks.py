"""`POST /webhooks/plugnmeet`: what a plugNmeet server says of its rooms (docs/PLUGNMEET.md).

    body within 1 MiB -> a key configured -> signature -> decode -> intake -> durable -> 200

The sender has no time-out and tries three times within seconds, and only after a 429, a 5xx or a broken connection;
then the event is lost for ever. So nothing that was signed is refused for its content unless it is no event at all. A
short absence of storage, or a start, is waited for rather than answered. And a room in memory is told in any case: what
it took in is journaled when storage is back, though the answer was 503.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

import structlog
from aiohttp import hdrs, web

from actors.directory import NotOwned
from actors.ports import StoreAway
from actors.system import ActorSystem
from protocol.plugnmeet import KNOWN_EVENTS, SPEECH_TO_TEXT, NotAnEvent, Undecodable, Webhook, decode
from server.http import asking, bodies
from server.http.access import Access
from server.http.answers import Problem, encode, invalid, unauthenticated, unavailable
from server.http.small import Small
from server.plugnmeet.intake import Intake
from server.plugnmeet.ports import Jobs, WebhookStore
from server.plugnmeet.signature import BadSignature, Signatures

log = structlog.get_logger(__name__)

PATH: Final = "/webhooks/plugnmeet"
HASH_TOKEN: Final = "Hash-Token"  # noqa: S105 - a header's name
PATIENCE_S: Final = 2.0
"""How long an event is tried: three attempts of the sender then bridge 9 s. A room in memory is told in any case."""
PAUSE_S: Final = 0.2
AWAY_MS: Final = 10_000
"""Storage that took nothing for so long will not take this in time either: one try."""

_UNAVAILABLE: Final = 503
_TAKEN: Final = encode({"status": "ok"})


class Webhooks:
    """The handler. One a process."""

    def __init__(
        self,
        system: ActorSystem,
        access: Access,
        signatures: Signatures,
        store: WebhookStore,
        jobs: Jobs,
        counts: Counter[tuple[str, str]],
    ) -> None:
        self._system = system
        self._access = access
        self._signatures = signatures
        self._intake = Intake(system, store, jobs)
        self._counts = counts
        self._held = bodies.Held()
        self._told_of_no_key = False

    async def post(self, request: web.Request) -> web.Response:
        """Take one event in; answers when it is durable."""
        with self._held.hold(request) as holding:
            body = await bodies.read(request)
            holding.resize(len(body))
            self._check_sender(request, body)
            try:
                event: Webhook | Undecodable = decode(body, self._system.clock.now())
            except NotAnEvent as error:
                self._counts["", "bad"] += 1
                raise invalid(str(error)) from None
            except Undecodable as error:
                event = error
            self._counts[label(event.event), await self._taken(event, body)] += 1
        return Small(_TAKEN)

    def _check_sender(self, request: web.Request, body: bytes) -> None:
        if not self._signatures:
            if not self._told_of_no_key:
                self._told_of_no_key = True
                log.warning("webhooks.no_key", setting="ROLLCALL_PLUGNMEET_KEYS")
            self._counts["", "unavailable"] += 1
            raise unavailable("webhooks are not configured here: ROLLCALL_PLUGNMEET_KEYS is not set")
        headers = request.headers
        given = headers.getall(hdrs.AUTHORIZATION, []), headers.getall(HASH_TOKEN, [])
        try:
            self._signatures.verify(*given, body, self._system.clock.now() / 1000)
        except BadSignature as error:
            self._counts["", "refused_signature"] += 1
            # Whoever signs is exempt from the limit per address, and nobody else.
            self._access.check_address(request)
            raise unauthenticated(str(error), given=True) from None

    async def _taken(self, event: Webhook | Undecodable, body: bytes) -> str:
        """What became of the event, when it is durable. Raises `Problem`."""
        try:
            return await self._take_patiently(event, body)
        except Problem as problem:
            self._counts[label(event.event), "unavailable" if problem.status == _UNAVAILABLE else "failed"] += 1
            raise

    async def _take_patiently(self, event: Webhook | Undecodable, body: bytes) -> str:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience_s()
        while True:
            try:
                return await self._intake.take(event, body, until)
            except (NotOwned, StoreAway) as error:
                if loop.time() + PAUSE_S > until or self._system.draining:
                    raise asking.away(error) from error
            await asyncio.sleep(PAUSE_S)

    def _patience_s(self) -> float:
        away_since = self._system.committer.away_since
        known = away_since is not None and self._system.clock.now() - away_since >= AWAY_MS
        return 0.0 if known else PATIENCE_S


def label(event: str) -> str:
    """An event's name as it is counted: one of a few."""
    if event in KNOWN_EVENTS:
        return event
    return "speech_to_text" if event.startswith(SPEECH_TO_TEXT) else "other"
