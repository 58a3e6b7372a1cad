"""Which contents are known, answered from memory: the hot path of `watch` asks the database once per content."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Protocol

KNOWN_MAX: Final = 100_000


class ContentReader(Protocol):
    """What the store knows of contents."""

    async def content(self, kind: str, content_id: str) -> object | None:
        """The content, where there is one. Raises `StoreAway`."""
        ...

    async def put_content_stub(self, kind: str, content_id: str) -> None:
        """Make a content known by its id alone; changes nothing where it is. Raises `StoreAway`."""
        ...


class KnownContents:
    """A bounded memory of contents that exist; that one does not exist is asked anew each time."""

    def __init__(self, reader: ContentReader, size: int = KNOWN_MAX) -> None:
        self._reader = reader
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._size = size

    async def known(self, kind: str, content_id: str, *, create: bool) -> bool:
        """Whether the content is known; with `create` it is from now on. Raises `StoreAway`."""
        key = (kind, content_id)
        if key in self._known:
            self._known.move_to_end(key)
            return True
        if create:
            await self._reader.put_content_stub(kind, content_id)
        elif await self._reader.content(kind, content_id) is None:
            return False
        self._known[key] = None
        if len(self._known) > self._size:
            self._known.popitem(last=False)
        return True
