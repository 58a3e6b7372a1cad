"""JSON of the mobile door: the start of an app session, refusals, and what players say in custom events.

SDKs send what their languages have: numbers with fractions, `null` for what they do not know. `null` means absent.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from protocol.types import Content, LooseId, PlayState, Rate, Seconds, Token

START_BYTES: Final = 16 * 1024
BATCH_BYTES: Final = 1_000_000
"""On the wire; what `start` tells as `beaconSizeLimit`."""
UNPACKED_BYTES: Final = 16 * 1024 * 1024
_TIME_MAX: Final = 2**53

Moment = Annotated[float, Meta(ge=0, le=_TIME_MAX)]
Number = float | None
Text = str | None


class StartBody(msgspec.Struct, frozen=True, rename="camel"):
    """`POST .../start`; only the project is required."""

    project_key: Text = None
    project_id: float | str | None = msgspec.field(default=None, name="projectID")
    tracker_version: Text = None
    token: Text = None
    """Of a session to resume."""
    rev_id: Text = msgspec.field(default=None, name="revID")
    user_uuid: Text = msgspec.field(default=None, name="userUUID")
    user_os_version: Text = msgspec.field(default=None, name="userOSVersion")
    user_device: Text = None
    user_device_type: float | str | None = None
    timestamp: Moment | None = None
    """The client's clock, Unix ms."""
    timezone: Text = None
    performance: dict[str, Any] | None = None
    performances: dict[str, Any] | None = None
    device_memory: Number = None
    platform: Text = None
    width: Number = None
    height: Number = None
    do_not_record: bool | None = None
    auth_token: Token | None = None
    """A learner's token: the session's samples are theirs."""
    content: Content | None = None
    room: LooseId | None = None


class StartAnswer(msgspec.Struct, frozen=True):
    """What SDKs decode strictly: `projectID` is text, `fps` a whole number."""

    token: str
    user_uuid: str = msgspec.field(name="userUUID")
    session_id: str = msgspec.field(name="sessionID")
    project_id: str = msgspec.field(name="projectID")
    images: list[str] = msgspec.field(name="imagesHashList")
    beacon_size_limit: int = msgspec.field(default=BATCH_BYTES, name="beaconSizeLimit")
    quality: str = "standard"
    fps: int = 1
    frames_support: bool = msgspec.field(default=False, name="framesSupport")


class Refused(msgspec.Struct, frozen=True):
    """Every refusal. `offset`, in bytes of the unpacked batch, where no message begins and one should."""

    error: str
    offset: int | msgspec.UnsetType = msgspec.UNSET


class PlayerEvent(msgspec.Struct, frozen=True):
    """The payload of a custom event `heartbeat`, `video_play`, `video_pause`, `video_end` or `video_seek`.

    Its time is the message's; `seq` and `at` of a sample are passed over. `to` of a seek may stand in `position`.
    """

    position: Seconds | None = None
    state: PlayState | None = None
    rate: Rate | None = None
    duration: Seconds | None = None
    visible: bool | None = None
    content: Content | None = None
    room: LooseId | None = None
    start: Seconds | None = msgspec.field(default=None, name="from")
    to: Seconds | None = None
