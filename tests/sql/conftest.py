"""PostgreSQL in each of its forms."""

from tests.support.servers import databases, debian, embedded, postgres, timescale

__all__ = ["databases", "debian", "embedded", "postgres", "timescale"]
