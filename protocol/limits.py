"""Bounds of everything a client may send, in one place.

Those with a setting carry the default here; `server/config.py` may change them at start (realtime.md, reading 9).
"""

from __future__ import annotations

from typing import Final

ID_CHARS: Final = 128
NAME_CHARS: Final = 256
METADATA_BYTES: Final = 1024
DEVICES_SHOWN: Final = 16

# Integers on the wire stay exact in JavaScript; sums of two of them stay inside 64 bits.
INT_MAX: Final = 2**53 - 1
POSITION_SECONDS_MAX: Final = 1e9
RATE_MAX: Final = 16.0

FRAME_BYTES: Final = 64 * 1024
OUTBOX_BYTES: Final = 256 * 1024
STREAMS_PER_CONNECTION: Final = 16
CONNECTIONS_PER_USER: Final = 8
MESSAGES_PER_SECOND: Final = 50
MESSAGES_BURST: Final = 100
BAD_MESSAGES_PER_MINUTE: Final = 10
SAMPLES_PER_FRAME: Final = 500

HTTP_BODY_BYTES: Final = 1024 * 1024
HTTP_SAMPLES: Final = 5_000

MEMBERS_PER_PAGE: Final = 100
SAMPLE_AGE_MS: Final = 24 * 3600 * 1000
