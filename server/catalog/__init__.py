"""What the rest of the server asks of the catalog: contents and enrolments, from memory."""

from server.catalog.facts import Catalog
from storage.catalog import ContentFacts

__all__ = ["Catalog", "ContentFacts"]
