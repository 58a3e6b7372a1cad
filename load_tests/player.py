"""A client whose network and learner behave as they do: cut off, moved to posts, gone without a word.

It speaks by the door that it is told to use, and leaving its context hangs up without leaving any stream.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from protocol.client.client import Client
from protocol.client.tokens import TokenProvider


class Player(Client):
    """`by_http`: begin with posts. All other options are the client's."""

    def __init__(self, url: str, token: str | TokenProvider, *, by_http: bool = False, **options: Any) -> None:  # noqa: ANN401 - as the client has them
        super().__init__(url, token, transport="http" if by_http else "websocket", **options)
        self._online = True

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What is still kept is lost with the player."""
        await self.abort()

    def cut(self) -> None:
        """The network is gone: both doors, abruptly."""
        self._online = False
        socket, http = self._doors()
        socket.cut()
        http.cut()

    def restore(self) -> None:
        """The network is back: connect at once, resume, send what is owed."""
        self._online = True
        socket, http = self._doors()
        http.restore()
        if not self._context.all_by_http:
            socket.restore()

    def use_http(self) -> None:
        """No WebSocket gets through any more: drop it and post instead, in the same sessions."""
        self._doors()[0].cut()
        self._go_by(http=True)

    def use_socket(self) -> None:
        """Back to the WebSocket, in the same sessions."""
        self._go_by(http=False)
        if self._online:
            self._doors()[0].restore()

    def vanish(self) -> None:
        """Go for ever without a word."""
        self.cut()
        for task in self._tasks:
            task.cancel()
