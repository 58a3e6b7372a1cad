"""Facts told by other systems over the message broker: what they mean here, and who is told (events.md)."""
