"""Recordings of classes, fetched as durable jobs, and the analytics that come the same way (plugnmeet.md)."""
