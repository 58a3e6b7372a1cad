"""The server itself, and what other systems post to it."""

from __future__ import annotations

from typing import Final

from server.openapi.words import STORAGE, Answer, Body, Operation, Parameter, Schema, Security, bad

_TAG: Final = "Server"
_TEXT: Final[Schema] = {"type": "string"}
_OBJECT: Final[Schema] = {"type": "object"}


def _open(name: str, path: str, summary: str, *answers: Answer, cached: bool = False) -> Operation:
    return Operation(
        method="GET",
        path=path,
        name=name,
        tag=_TAG,
        summary=summary,
        security=Security.NOBODY_ASKED,
        answers=answers,
        cached=cached,
    )


_STATUS: Final[Schema] = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"type": "string"}, "reasons": {"type": "array", "items": {"type": "string"}}},
}

OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/webhooks/plugnmeet",
        name="postConferenceWebhook",
        tag="Webhooks",
        summary="An event of a plugNmeet server",
        description="Signed over the raw body: a JWT whose `sha256` claim is its hash, or the hex HMAC where that is "
        "allowed. What cannot be read is kept raw and answered with 200, since it would not be sent again.",
        security=Security.SIGNED,
        parameters=(Parameter("Hash-Token", {"type": "string"}, "The signature, older form.", place="header"),),
        body=Body(_OBJECT, "As plugNmeet sends it.", "application/webhook+json", ("application/json",)),
        answers=(Answer(200, "The event is durable.", _STATUS),),
        refusals=(bad("The body is no event."), STORAGE),
    ),
    _open(
        "readHealth",
        "/healthz",
        "Whether the process lives",
        Answer(200, "It does.", _STATUS),
        Answer(503, "A part of it has ended, or its loop stands still.", _STATUS),
    ),
    _open(
        "readReadiness",
        "/readyz",
        "Whether this node serves",
        Answer(200, "It does.", _STATUS),
        Answer(503, "Not now; `reasons` says why.", _STATUS),
    ),
    _open("readMetrics", "/metrics", "Figures for Prometheus", Answer(200, "Text, 0.0.4.", _TEXT, "text/plain")),
    _open(
        "openSocket",
        "/ws",
        "The WebSocket door",
        Answer(101, "Switched to WebSocket: subprotocol `rollcall.v1.json` or `rollcall.v1.msgpack`."),
        Answer(400, "No proper upgrade request.", _TEXT, "text/plain"),
        Answer(403, "This origin may not.", _TEXT, "text/plain"),
        Answer(426, "A new connection must be opened for it.", _TEXT, "text/plain"),
    ),
    _open("readDocument", "/openapi.json", "This document", Answer(200, "OpenAPI 3.1.", _OBJECT), cached=True),
    _open("readDocs", "/docs", "This document, to be read", Answer(200, "A page.", _TEXT, "text/html"), cached=True),
    _open(
        "readDocsScript",
        "/docs/page.js",
        "The page's script",
        Answer(200, "JavaScript.", _TEXT, "text/javascript"),
        cached=True,
    ),
    _open("readDocsStyle", "/docs/page.css", "The page's style", Answer(200, "CSS.", _TEXT, "text/css"), cached=True),
)

DEVELOPMENT: Final = (
    _open("readFrontPage", "/", "The front page of a development server", Answer(200, "A page.", _TEXT, "text/html")),
)
"""What `--dev` adds."""
