"""Bad messages go to `rollcall.dead`, with what was wrong (events.md, reading 7)."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any, Final

import aiormq
from aiormq.abc import DeliveredMessage
from pamqp import encode

from storage.amqp.connection import BrokerAway, Channel, ask, channel_of, connected
from storage.amqp.sending import PERSISTENT
from storage.amqp.topology import DEAD

REASON_CHARACTERS: Final = 500
KEPT_HEADERS_BYTES: Final = 16_384
"""Headers of the sender are kept up to this: all properties together must fit into one frame."""


class DeadLetters:
    """Puts messages aside over a connection of its own, made when the first bad one comes.

    A broker that runs out of memory stops reading from connections that publish. The consumer's must not be one: it
    could not acknowledge any more.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._life = AsyncExitStack()
        self._channel: Channel | None = None

    async def put(self, message: DeliveredMessage, field: str, reason: str) -> None:
        """Return when the broker has it for good. Raises BrokerAway: then it may have it or not."""
        try:
            channel = await self._connected()
            await ask(
                channel.basic_publish(
                    message.body,
                    routing_key=DEAD,
                    properties=_properties(message, field, reason),
                    mandatory=True,
                )
            )
        except BrokerAway:
            await self.close()
            raise

    async def close(self) -> None:
        """End the connection; the next `put` makes a new one."""
        life, self._life, self._channel = self._life, AsyncExitStack(), None
        await life.aclose()

    async def _connected(self) -> Channel:
        if self._channel is None or self._channel.is_closed:
            await self.close()
            connection = await self._life.enter_async_context(connected(self._url, "rollcall dead letters"))
            self._channel = await channel_of(connection, confirms=True)
        return self._channel


def _properties(message: DeliveredMessage, field: str, reason: str) -> aiormq.spec.Basic.Properties:
    """The sender's, but for what would act here: its expiry, its user, where an answer should go."""
    given = message.header.properties
    told: dict[str, Any] = {
        "x-error-field": field,
        "x-error-reason": reason[:REASON_CHARACTERS],
        "x-original-exchange": message.exchange or "",
        "x-original-routing-key": message.routing_key or "",
    }
    return aiormq.spec.Basic.Properties(
        content_type=given.content_type,
        content_encoding=given.content_encoding,
        headers=_kept(given.headers) | told,
        delivery_mode=PERSISTENT,
        correlation_id=given.correlation_id,
        message_id=given.message_id,
        timestamp=given.timestamp,
        message_type=given.message_type,
        app_id=given.app_id,
    )


def _kept(headers: dict[str, Any] | None) -> dict[str, Any]:
    if not headers:
        return {}
    try:
        size = len(encode.field_table(headers))
    except (TypeError, ValueError, OverflowError):
        return {}  # read by the driver, and yet nothing that it can write
    return dict(headers) if size <= KEPT_HEADERS_BYTES else {}
