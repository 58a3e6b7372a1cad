"""Who may watch which video: the checks of the simple heartbeat, in their order (video-engagement.md, reading 15).

    404 unknown -> 400 no video -> 403 unpublished -> 403 not enrolled -> 403 prerequisite

Staff pass the last three. All is answered from memory; that a learner has completed something is asked once and then
remembered, since it stays true. Full case: whoever was not asked about for longest is asked about again.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Protocol

from actors.ports import StoreAway, StoreRefused
from protocol.codes import HttpError
from server.auth import Claims
from server.catalog import Catalog, ContentFacts
from server.http.access import is_staff
from server.http.answers import Problem, forbidden
from server.http.asking import away
from server.simple_door import SimpleDoor

COMPLETED_MAX: Final = 100_000
ASK_AGAIN_MS: Final = 5_000
"""That something is not completed is believed for so long."""

_Done = tuple[str, str, str]


class CompletionReader(Protocol):
    """Who has completed what, as it is stored."""

    async def completed(self, user_id: str, kind: str, content_id: str) -> bool:
        """Whether the learner has completed the content. Raises StoreAway, StoreRefused."""
        ...


class Gate:
    """One a process."""

    def __init__(
        self,
        catalog: Catalog,
        door: SimpleDoor,
        completions: CompletionReader,
        *,
        accept_unknown: bool,
        completed_max: int = COMPLETED_MAX,
    ) -> None:
        self._catalog = catalog
        self._door = door
        self._completions = completions
        self._accept_unknown = accept_unknown
        self._asked: OrderedDict[_Done, int | None] = OrderedDict()
        """None: completed. Else until when (Unix ms) it is believed not to be."""
        self._asked_max = completed_max

    async def content(self, claims: Claims, kind: str, content_id: str, now: int) -> ContentFacts:
        """The content that the bearer may watch. Raises `Problem`."""
        try:
            facts = await self._known(kind, content_id)
            if not facts.has_video:
                raise Problem(400, HttpError.CONTENT_HAS_NO_VIDEO, f"content {kind} {content_id} has no video")
            if claims.contents is not None and (kind, content_id) not in claims.contents:
                raise forbidden("the token does not name this content")
            if not is_staff(claims):
                await self._check_learner(claims.user_id, facts, now)
        except (StoreAway, StoreRefused) as error:
            raise away(error) from error
        return facts

    async def _known(self, kind: str, content_id: str) -> ContentFacts:
        facts = await self._catalog.content(kind, content_id)
        if facts is None and self._accept_unknown:
            await self._catalog.known(kind, content_id, create=True)
            facts = await self._catalog.content(kind, content_id)
        if facts is None:
            raise Problem(404, HttpError.VIDEO_CONTENT_NOT_FOUND, f"no content {kind} {content_id}")
        return facts

    async def _check_learner(self, user_id: str, facts: ContentFacts, now: int) -> None:
        if not facts.published:
            message = f"content {facts.kind} {facts.content_id} is not published"
            raise Problem(403, HttpError.LESSON_NOT_PUBLISHED, message)
        product = facts.catalog_product_id
        if product is not None and not await self._catalog.enrolled(user_id, product, now):
            raise Problem(403, HttpError.NOT_ENROLLED, f"not enrolled in product {product} of this content")
        if facts.sequential and facts.requires:
            await self._check_required(user_id, facts, now)

    async def _check_required(self, user_id: str, facts: ContentFacts, now: int) -> None:
        missing = [each for each in facts.requires if not await self._completed(user_id, *each, now)]
        if missing:
            names = ", ".join([await self._name(*each) for each in missing])
            raise Problem(403, HttpError.LMS_PREREQUISITE_NOT_MET, f"to be completed first: {names}")

    async def _name(self, kind: str, content_id: str) -> str:
        facts = await self._catalog.content(kind, content_id)
        return f"{kind} {content_id}" + (f" ({facts.title})" if facts is not None and facts.title else "")

    async def _completed(self, user_id: str, kind: str, content_id: str, now: int) -> bool:
        key = (user_id, kind, content_id)
        until = self._asked.get(key, 0)
        if until is None:
            self._asked.move_to_end(key)
            return True
        done = await self._completed_now(key)
        if not done and until <= now:
            done = await self._completions.completed(*key)
            until = now + ASK_AGAIN_MS
        self._asked[key] = None if done else until
        self._asked.move_to_end(key)
        if len(self._asked) > self._asked_max:
            self._asked.popitem(last=False)
        return done

    def forget(self, user_id: str) -> None:
        """The learner is erased."""
        for key in [key for key in self._asked if key[0] == user_id]:
            del self._asked[key]

    async def _completed_now(self, key: _Done) -> bool:
        """What the store cannot know yet: a session that has just completed it."""
        facts = await self._catalog.content(*key[1:])
        return facts is not None and self._door.completed_in_memory(key[0], facts)
