"""App sessions, messages and images of mobile SDKs, as staff are shown them."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Final

import msgspec

from protocol.mobile.messages import read_body
from protocol.mobile.wire import Unreadable
from protocol.mobile_reading import MobileImageItem, MobileMessageItem, MobileSessionItem
from protocol.rest import rfc3339
from storage.mobile_images import StoredImage
from storage.mobile_reading import ListedSession, StoredMessage

OLDER: Final = "Older"
"""Of types that have had two bodies; what is in them says which it is."""
_INNER_CAPITAL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


def path_of(session_id: int) -> str:
    """Where a session is read."""
    return f"/api/v1/mobile/sessions/{session_id}"


def session(listed: ListedSession) -> MobileSessionItem:
    """An item of the list."""
    return MobileSessionItem(
        str(listed.session_id),
        listed.project,
        listed.user_id,
        listed.user_uuid,
        moment(listed.started_at),
        rfc3339(listed.ended_at),
    )


def message(stored: StoredMessage) -> MobileMessageItem:
    """An item of the timeline: decoded where it can be, raw where it cannot, or is too long to be shown whole."""
    number, at, cut = stored.place.type, moment(stored.place.at), stored.size > len(stored.body)
    undecodable = stored.undecodable
    body = None
    if not undecodable and not cut:
        try:
            body = read_body(number, stored.body)
        except Unreadable:
            undecodable = True  # it was kept as one that decodes by another version of this server
    if body is None:
        raw, size = b64encode(stored.body).decode(), stored.size if cut else msgspec.UNSET
        return MobileMessageItem(at, number, None, None, raw, undecodable, size)
    name = _INNER_CAPITAL.sub("_", type(body).__name__.removeprefix(OLDER)).lower()
    return MobileMessageItem(at, number, name, msgspec.to_builtins(body), None, undecodable=False)


def image(session_id: int, stored: StoredImage) -> MobileImageItem:
    """An item of the images, and where its bytes are."""
    one = stored.image
    return MobileImageItem(
        one.hash,
        one.media,
        one.size,
        one.frame,
        rfc3339(one.at),
        moment(stored.stored_at),
        f"{path_of(session_id)}/images/{one.hash}",
    )


def moment(at: int) -> str:
    """A time that there is."""
    return rfc3339(at) or ""


def disposition(stored: StoredImage) -> str:
    """Shown where it is asked for; its name needs no quoting beyond this."""
    return f'inline; filename="{stored.image.hash}"'
