"""What development mode prints: addresses, tokens, and two examples that work when pasted."""

from __future__ import annotations

import sys
import time
from typing import Final

from server import devsecret
from server.auth import sign
from server.config import Settings

TTL_S: Final = 12 * 3600


def tell(settings: Settings) -> None:
    """Print it to standard error: standard output is for what programs read."""
    secret = settings.jwt_secret or devsecret.read_or_create(settings.data_dir)
    now = time.time()
    learner = sign(secret, user_id="27", now_s=now, ttl_s=TTL_S, role="learner", name="রহিমা খাতুন")
    staff = sign(secret, user_id="1", now_s=now, ttl_s=TTL_S, role="staff", name="Staff")
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    base = f"http://{host}:{settings.port}"
    sys.stderr.write(_text(base, base.replace("http", "ws", 1), learner, staff))
    sys.stderr.flush()


def _text(base: str, socket_base: str, learner: str, staff: str) -> str:
    return f"""
Rollcall is ready, in development mode (this machine only).

  HTTP        {base}
  WebSocket   {socket_base}/ws
  health      {base}/healthz  {base}/readyz  {base}/metrics

  a learner's token (user 27):  {learner}
  a staff token (user 1):       {staff}
  more: rollcall token --user 28 --role learner

Make a class, and see it (curl):

  curl -s -X PUT {base}/api/v1/rooms/algebra-7 \\
    -H 'Authorization: Bearer {staff}' \\
    -H 'Content-Type: application/json' \\
    -d '{{"name": "Algebra 7", "scheduled_start": "2030-01-01T09:00:00Z", "scheduled_end": "2030-01-01T10:00:00Z"}}'

Join a class and send a heartbeat (Python, `pip install websockets`; .venv/bin/python has it):

  .venv/bin/python - <<'END'
  import asyncio, json, time, websockets

  async def main():
      async with websockets.connect("{socket_base}/ws", subprotocols=["rollcall.v1.json"]) as socket:
          async def ask(until, **message):
              await socket.send(json.dumps(message))
              while True:
                  print(answer := await socket.recv())
                  if json.loads(answer)["type"] == until:
                      return
          await ask("welcome", type="hello", token="{learner}")
          await ask("joined", type="join", ref="1", room="physics-1")
          await ask("ack", type="heartbeat", stream=1, seq=1, at=int(time.time() * 1000), position=0, state="playing")

  asyncio.run(main())
  END

"""
