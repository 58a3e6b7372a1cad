"""`/healthz`, `/readyz`, `/metrics`, and the front page of a development server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final

from aiohttp import hdrs, web
from multidict import CIMultiDict
from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from actors.system import ActorSystem
from protocol.rest import rfc3339
from server.http.answers import HEADERS, json_answer
from server.metrics import EdgeCounters, registry

LAG_EVERY_S: Final = 0.25

PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Rollcall</title>
<h1>Rollcall</h1>
<p>A development server. Players connect to <code>/ws</code> or post to <code>/api/v1/heartbeats</code>.</p>
<ul>
<li><a href="/healthz">/healthz</a>: is the process alive?</li>
<li><a href="/readyz">/readyz</a>: does it serve?</li>
<li><a href="/metrics">/metrics</a>: what it counts</li>
<li><a href="/docs">/docs</a>: its HTTP API</li>
</ul>
</html>
"""


class Health:
    """The handlers. One a process."""

    def __init__(self, system: ActorSystem, counters: EdgeCounters, connections: Callable[[], int]) -> None:
        self._system = system
        self._counters = counters
        self._registry = registry(system, counters, connections)

    async def alive(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler
        """`/healthz`: 503 when a task ended that never may: only a restart helps."""
        if self._system.failed is None:
            return json_answer({"status": "ok"})
        return json_answer({"status": "failed", "reasons": ["a part of the server has ended: see the log"]}, 503)

    async def ready(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler
        """`/readyz`: 503 with the reasons while this node does not serve."""
        reasons = self.reasons()
        if reasons:
            return json_answer({"status": "not ready", "reasons": reasons}, 503)
        return json_answer({"status": "ready"})

    def reasons(self) -> list[str]:
        """Why this node does not serve."""
        system, reasons = self._system, list[str]()
        away_since = system.committer.away_since
        if system.failed is not None:
            reasons.append("failed: a part of the server has ended")
        if system.draining:
            reasons.append("draining")
        elif not system.ready:
            reasons.append("starting")
        if away_since is not None:
            reasons.append(f"storage away since {rfc3339(away_since)}")
        if system.committer.full:
            reasons.append("journal full")
        if system.lapsed:
            reasons.append("leases lapsed")
        return reasons

    async def metrics(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler
        """`/metrics` in the text form of Prometheus."""
        headers = CIMultiDict(HEADERS)
        headers[hdrs.CONTENT_TYPE] = CONTENT_TYPE_PLAIN_0_0_4
        return web.Response(body=generate_latest(self._registry), headers=headers)

    async def front_page(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler
        """`/` in development."""
        headers = CIMultiDict(HEADERS)
        headers[hdrs.CONTENT_TYPE] = "text/html; charset=utf-8"
        return web.Response(text=PAGE, headers=headers)

    async def upgrade(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler
        """`/ws` on a connection that has spoken HTTP before: a proxy has reused it. On a new one it is upgraded."""
        answer = web.Response(
            status=426, text="open a new connection for WebSocket\n", headers={"Upgrade": "websocket"}
        )
        answer.force_close()
        return answer

    async def measure_lag(self, app: web.Application) -> AsyncIterator[None]:  # noqa: ARG002 - a cleanup context
        """See how late the event loop runs what is due, for as long as the application lives."""
        task = asyncio.create_task(self._measure(), name="loop-lag")
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def _measure(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_EVERY_S
            await asyncio.sleep(LAG_EVERY_S)
            self._counters.loop_lag_ms.observe(max(0, int((loop.time() - due) * 1000)))
