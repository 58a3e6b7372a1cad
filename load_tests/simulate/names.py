"""Names of learners, most of them in Bangla: what tokens, metadata and ids have to carry."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

_FIRST: Final = (
    "আয়েশা", "রাফি", "নুসরাত", "তানভীর", "মেহজাবিন", "সাকিব", "ফারহানা", "জুবায়ের", "ঐশী", "অর্ণব", "শ্রেয়া", "Ayesha", "Rafi",
)  # fmt: skip
_LAST: Final = ("সিদ্দিকা", "হাসান", "জাহান", "আহমেদ", "চৌধুরী", "আল-হাসান", "ইসলাম", "দাশগুপ্ত", "Rahman", "Karim")


def names(random: Random) -> Iterator[str]:
    """First and last name, without end."""
    while True:
        yield f"{random.choice(_FIRST)} {random.choice(_LAST)}"
