"""The heart, pure: what is true of a playhead, a watch session, a room. No I/O, no clock, no randomness."""
