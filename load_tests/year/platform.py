"""The platform whose year is told: products, classes, lessons, learners, and who belongs to what. Seeded.

Popularity falls like Zipf's law, for products and for lessons. A tenth of the size has a tenth of the products and of
the learners: classes are as large, and a learner has done as much.
"""

from __future__ import annotations

from itertools import accumulate
from random import Random
from typing import Final

import msgspec

from load_tests.simulate.names import names

DAY_MS: Final = 24 * 3600 * 1000
YEAR_DAYS: Final = 365
CLASSES_A_PRODUCT: Final = 125
SUBJECTS: Final = ("Physics", "Chemistry", "Mathematics", "Biology", "English")
USERS_FROM: Final = 1_000_000
CLASSES_FROM: Final = 100_000
LESSONS_FROM: Final = 500_000


class Size(msgspec.Struct, frozen=True):
    """How large the platform is."""

    learners: int = 20_000
    classes: int = 5_000
    lessons: int = 2_000
    segments: int = 10_000_000

    def share(self, part: float) -> Size:
        """The same platform, `part` of it."""
        return Size(*(max(1, round(each * part)) for each in msgspec.structs.astuple(self)))


class Class(msgspec.Struct, frozen=True):
    """A live class; times Unix ms."""

    id: int
    product: int
    subject: str
    start: int
    end: int


class Lesson(msgspec.Struct, frozen=True):
    """A recorded lesson; `length` ms."""

    id: int
    product: int
    length: int
    published: int


class Learner(msgspec.Struct, frozen=True):
    """`diligence` 0..1: how likely they come."""

    id: int
    name: str
    products: list[int]
    enrolled: int
    diligence: float


class Platform:
    """All of it, of one seed. `end`: where the year ends, Unix ms."""

    def __init__(self, size: Size, seed: int, end: int) -> None:
        self.size = size
        self.begin, self.end = end - YEAR_DAYS * DAY_MS, end
        random = Random(f"{seed} platform")
        self.products = list(range(1, max(2, round(size.classes / CLASSES_A_PRODUCT)) + 1))
        self.weights = zipf(len(self.products), 0.7)
        self.classes = [self._class(random, number) for number in range(size.classes)]
        self.lessons = [self._lesson(random, number) for number in range(size.lessons)]
        named = names(random)
        self.learners = [self._learner(random, number, next(named)) for number in range(size.learners)]

    def _class(self, random: Random, number: int) -> Class:
        day = number * YEAR_DAYS // self.size.classes
        # From ten in the morning to nine in the evening, in Dhaka.
        start = self.begin + day * DAY_MS + random.randrange(4 * 12, 15 * 12) * 300_000
        length = random.choice((3600, 3600, 5400, 7200)) * 1000
        return Class(CLASSES_FROM + number, self._product(number), random.choice(SUBJECTS), start, start + length)

    def _lesson(self, random: Random, number: int) -> Lesson:
        published = self.begin + random.randrange(200 * DAY_MS) // 1000 * 1000
        return Lesson(LESSONS_FROM + number, self._product(number), random.randrange(240, 2400) * 1000, published)

    def _product(self, number: int) -> int:
        return self.products[number % len(self.products)]

    def _learner(self, random: Random, number: int, name: str) -> Learner:
        wanted = random.choices((1, 2, 3), (0.55, 0.3, 0.15))[0]
        products = sorted(set(random.choices(self.products, cum_weights=self.weights, k=wanted)))
        enrolled = self.begin + int(random.betavariate(1, 4) * 300) * DAY_MS
        return Learner(USERS_FROM + number, name, products, enrolled, random.betavariate(5, 2))


def zipf(count: int, exponent: float) -> list[float]:
    """Cumulative weights of ranks 1 to `count`."""
    return list(accumulate(1 / rank**exponent for rank in range(1, count + 1)))
