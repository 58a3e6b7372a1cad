"""Events of other systems as they come: the samples, with what matters to a test replaced."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from storage.amqp.ports import Delivery

SAMPLES = Path(__file__).parents[1] / "samples" / "events"
TEN = 1_707_300_000_000
"""2024-02-07T10:00:00Z, when the class of the samples begins."""
SENT = TEN + 7_200_000


def sample(name: str, **changes: Any) -> bytes:
    """A good event, with some of its payload changed; `...` takes a field away."""
    payload = _payload(name) | changes
    kept = {key: value for key, value in payload.items() if value is not ...}
    return msgspec.json.encode({"event_name": name, "data": {"payload": kept}})


@cache
def _payload(name: str) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text())["data"]["payload"]
    return payload


def delivery(
    body: bytes, message_id: str | None = None, *, sent_at: int | None = SENT, received_at: int = SENT + 1_000
) -> Delivery:
    return Delivery(body, "tenlytics_topic_exchange", "any", message_id, sent_at, received_at)
