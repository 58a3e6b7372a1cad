"""The collector's doors: on the store in memory what comes in, over a real database what is read of it."""

from tests.edge.http.conftest import make_world, standing, world
from tests.edge.learning.conftest import standing as standing_reader
from tests.edge.learning.conftest import world as reader

__all__ = ["make_world", "reader", "standing", "standing_reader", "world"]
