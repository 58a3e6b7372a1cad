"""Rooms driven by a plugNmeet server: what it tells by webhook, and what is asked of its API (plugnmeet.md)."""
