"""The door of mobile SDKs: starts, batches of messages, late data (mobile-ingest.md)."""
