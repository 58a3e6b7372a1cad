"""The HTTP edge: REST, the heartbeat door without a socket, health and metrics."""
