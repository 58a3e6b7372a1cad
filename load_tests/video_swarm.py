"""Players of the simple video door: one heartbeat a request, on keep-alive connections, open loop."""

from __future__ import annotations

import time

from load_tests.http_swarm import HttpPlayer

CONTENTS = 100
LENGTH_S = 3600


class VideoPlayer(HttpPlayer):
    """One learner before one video."""

    def post(self, samples: int, step_ms: int) -> None:
        """Tell the playhead, `step_ms` further on."""
        self._seq += 1
        body = (
            b'{"content_kind":"bench","content_id":%d,"position_seconds":%.3f,"duration_seconds":%d,'
            b'"client_timestamp":%d}'
        ) % (
            self._index % CONTENTS,
            self._seq * step_ms / 1000 % LENGTH_S,
            LENGTH_S,
            time.time_ns() // 1_000_000,
        )
        self.send(b"/api/v1/videos/engagement/heartbeat", body)
