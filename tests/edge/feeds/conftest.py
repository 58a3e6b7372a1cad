"""Databases for the tests that want one beside the node."""

from __future__ import annotations

from tests.support.servers import databases, debian, embedded, postgres, timescale

__all__ = ["databases", "debian", "embedded", "postgres", "timescale"]
