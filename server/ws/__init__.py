"""The WebSocket edge: connections on picows, streams, fan-out."""
