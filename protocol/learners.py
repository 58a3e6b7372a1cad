"""What the interface for a learner's rights answers."""

from __future__ import annotations

import msgspec


class ErasedAnswer(msgspec.Struct, frozen=True):
    """`DELETE /api/v1/users/{id}`: how many rows went, by table. Erased again: none."""

    user_id: str
    erased: dict[str, int]
