"""Contents and enrolments, answered from memory: the hot path of `join` and `watch` asks the database once a fact.

What this node writes is forgotten here at once (`wrote`); what other nodes write, or a hand in the database, is asked
for once a second (`run`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Final

import structlog

from actors.ports import StoreAway, StoreRefused
from protocol.catalog import Enrolment, Entity, Lesson
from server.catalog.memory import Facts
from storage.catalog import CatalogStore, ContentFacts, ContentKey, EnrolmentFacts, EnrolmentKey

log = structlog.get_logger(__name__)

CONTENTS_MAX: Final = 100_000
ENROLMENTS_MAX: Final = 200_000
PRODUCTS_MAX: Final = 100_000
EVERY_S: Final = 1.0
CHANGES_MAX: Final = 1_000
"""Of more changes at a time than that everything is forgotten rather than heard one by one."""

_NOBODY: Final = ""
"""No user has this id: asked for, it tells of the product alone."""


class Catalog:
    """One a process."""

    def __init__(
        self,
        store: CatalogStore,
        *,
        contents_max: int = CONTENTS_MAX,
        enrolments_max: int = ENROLMENTS_MAX,
        changes_max: int = CHANGES_MAX,
    ) -> None:
        self._store = store
        self._contents: Facts[ContentKey, ContentFacts | None] = Facts(self._read_contents, contents_max)
        self._enrolments: Facts[EnrolmentKey, EnrolmentFacts] = Facts(self._read_enrolments, enrolments_max)
        self._open: Facts[tuple[str], bool] = Facts(self._read_open, PRODUCTS_MAX)
        self._changes_max = changes_max
        self._horizon = 0
        self._told_away = False

    # -- asking -------------------------------------------------------------------------------------------------------

    async def content(self, kind: str, content_id: str) -> ContentFacts | None:
        """What is known of a content; None where there is none. Raises StoreAway, StoreRefused."""
        return await self._contents.get((kind, content_id))

    async def known(self, kind: str, content_id: str, *, create: bool) -> bool:
        """Whether the content is known; with `create` it is from now on. Raises StoreAway, StoreRefused."""
        if await self.content(kind, content_id) is not None:
            return True
        if create:
            await self._store.put_content_stub(kind, content_id)
            self._contents.forget([(kind, content_id)])
        return create

    async def product_of(self, kind: str, content_id: str) -> str | None:
        """The product that a content belongs to, where one is known. Raises StoreAway, StoreRefused."""
        found = await self.content(kind, content_id)
        return None if found is None else found.catalog_product_id

    async def enrolled(self, user_id: str, product_id: str, now_ms: int) -> bool:
        """Whether a learner may use what belongs to a product at `now_ms` (realtime.md, "Who may").

        True where the product has no enrolments at all. Raises StoreAway, StoreRefused.
        """
        return await self._open.get((product_id,)) or await self.takes_part(user_id, product_id, now_ms)

    async def takes_part(self, user_id: str, product_id: str, now_ms: int) -> bool:
        """Whether the learner has an enrolment in a product at `now_ms`. Raises StoreAway, StoreRefused."""
        found = await self._enrolments.get((product_id, user_id))
        begun = found.enrolled_at is None or found.enrolled_at <= now_ms
        over = found.ended_at is not None and found.ended_at <= now_ms
        return found.known and begun and not over

    # -- what changed -------------------------------------------------------------------------------------------------

    def wrote(self, entities: Collection[Entity]) -> None:
        """This node has written these."""
        self._forget_contents([(each.kind, each.content_id) for each in entities if isinstance(each, Lesson)])
        self._forget_enrolments([(each.product_id, each.user_id) for each in entities if isinstance(each, Enrolment)])

    def ended(self, product_id: str, user_id: str) -> None:
        """This node has ended this enrolment."""
        self._forget_enrolments([(product_id, user_id)])

    def forget_learner(self, user_id: str) -> None:  # noqa: ARG002 - all go: one may have been a product's last
        """A learner is erased: their enrolments leave no row behind that would tell of it."""
        self._forget_enrolments(None)

    async def run(self) -> None:
        """Hear of what others write, for ever."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.refresh()
            except (StoreAway, StoreRefused) as error:
                # What is known goes on to be said: nothing else can change while the store is away.
                if not self._told_away:
                    log.warning("catalog.changes_unread", reason=str(error))
                self._told_away = True
            else:
                self._told_away = False

    async def refresh(self) -> None:
        """Forget what anybody changed since the last time. Raises StoreAway, StoreRefused."""
        changes = await self._store.changes(self._horizon, self._changes_max)
        # A store that was set back to an earlier day counts from there, and all that is known may be wrong.
        set_back = changes.horizon < self._horizon
        self._forget_contents(None if set_back else changes.contents)
        self._forget_enrolments(None if set_back else changes.enrolments)
        self._horizon = changes.horizon

    def _forget_contents(self, keys: Collection[ContentKey] | None) -> None:
        if keys is None:
            self._contents.forget_all()
        else:
            self._contents.forget(keys)

    def _forget_enrolments(self, keys: Collection[EnrolmentKey] | None) -> None:
        if keys is None:
            self._enrolments.forget_all()
            self._open.forget_all()
        else:
            self._enrolments.forget(keys)
            self._open.forget({(product_id,) for product_id, _ in keys})

    # -- reading ------------------------------------------------------------------------------------------------------

    async def _read_contents(self, keys: Collection[ContentKey]) -> Mapping[ContentKey, ContentFacts | None]:
        found = {(each.kind, each.content_id): each for each in await self._store.contents(keys)}
        return {key: found.get(key) for key in keys}

    async def _read_enrolments(self, keys: Collection[EnrolmentKey]) -> Mapping[EnrolmentKey, EnrolmentFacts]:
        return {(each.product_id, each.user_id): each for each in await self._store.enrolments(keys)}

    async def _read_open(self, keys: Collection[tuple[str]]) -> Mapping[tuple[str], bool]:
        asked = [(product_id, _NOBODY) for (product_id,) in keys]
        return {(each.product_id,): each.open_to_all for each in await self._store.enrolments(asked)}
