"""`CollectorStore` in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from storage.collector import Post

if TYPE_CHECKING:
    from storage.memory import Memory


class CollectorTables:
    """Events as they were written, and which post brought each id."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.ids: dict[tuple[int, str], Post] = {}
        self.posts: dict[int, Post] = {}
        """Those that were kept, by their identity; held, so that no other can have it."""


class MemoryCollector:
    """`CollectorStore`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def keep(self, posts: Sequence[Post]) -> list[int]:
        tables = self._memory.collected
        async with self._memory.faults.call():
            for post in posts:
                if id(post) not in tables.posts:
                    tables.posts[id(post)] = post
                    _write(tables, post)
            return [_known(tables, post) for post in posts]


def _write(tables: CollectorTables, post: Post) -> None:
    for row, each in zip(post.taken.rows, post.taken.ids, strict=True):
        key = (post.taken.key, each or "")
        if not each or key not in tables.ids:
            tables.events.append(msgspec.json.decode(row))
            if each:
                tables.ids[key] = post
                post.proposed.append(each)


def _known(tables: CollectorTables, post: Post) -> int:
    brought = [each for each in post.proposed if each and tables.ids[post.taken.key, each] is post]
    return sum(map(bool, post.taken.ids)) - len(brought)
