"""Rooms: classes as staff sees and steers them, and their recordings."""

from __future__ import annotations

from typing import Final

from protocol.rest import (
    ParticipantAnswer,
    PresenceAnswer,
    RecordingsAnswer,
    RoomAnswer,
    RoomBody,
    RoomsAnswer,
    TimelineAnswer,
)
from server.openapi.words import (
    CURSOR,
    STORAGE,
    Answer,
    Body,
    Operation,
    Parameter,
    Schema,
    bad,
    conflict,
    forbidden,
    path_id,
    unknown,
)

_TAG: Final = "Rooms"
_BINARY: Final[Schema] = {"type": "string", "format": "binary"}
_ROOM: Final = path_id("id", "The room's id: that of the live class.")
_STAFF: Final = forbidden("For staff and admin.")
_NO_ROOM: Final = unknown("No such room.")
_RECORDING: Final = path_id("id", "The recording's id, as the list of the room's recordings has it.")
_PART: Final = Parameter("Range", {"type": "string"}, "One range of bytes (RFC 9110, 14.2).", place="header")
_IF_RANGE: Final = Parameter("If-Range", {"type": "string"}, "The `ETag` that the range is of.", place="header")
_SENT: Final = ("ETag", "Content-Disposition")


def _file(name: str, path: str, summary: str, media: str, also: str) -> Operation:
    return Operation(
        method="GET",
        path=path,
        name=name,
        tag=_TAG,
        summary=summary,
        parameters=(_RECORDING, _PART, _IF_RANGE),
        answers=(
            Answer(200, "The file.", _BINARY, media, _SENT),
            Answer(206, "The range.", _BINARY, media, (*_SENT, "Content-Range")),
            Answer(416, "The range lies behind the end.", None, headers=("Content-Range",)),
        ),
        refusals=(bad(), unknown(also), conflict("It is not here yet, or failed; `message` says why."), STORAGE),
        cached=True,
    )


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/v1/rooms",
        name="listRooms",
        tag=_TAG,
        summary="All rooms, by id",
        parameters=(
            Parameter(
                "state", {"type": "string", "enum": ["scheduled", "live", "ended", "cancelled"]}, "Only those in it."
            ),
            CURSOR,
        ),
        answers=(Answer(200, "A page of up to 100.", RoomsAnswer),),
        refusals=(bad(), _STAFF, STORAGE),
    ),
    Operation(
        method="GET",
        path="/api/v1/rooms/{id}",
        name="readRoom",
        tag=_TAG,
        summary="One room, live",
        parameters=(_ROOM,),
        answers=(Answer(200, "The room as it is now.", RoomAnswer),),
        refusals=(bad(), forbidden("The token names other rooms."), _NO_ROOM, STORAGE),
    ),
    Operation(
        method="PUT",
        path="/api/v1/rooms/{id}",
        name="putRoom",
        tag=_TAG,
        summary="What the time-table knows of a room",
        description="Makes the room where there is none. A time without its zone is refused.",
        parameters=(_ROOM,),
        body=Body(RoomBody),
        answers=(Answer(200, "The room, durable.", RoomAnswer),),
        refusals=(bad(), _STAFF, conflict("The room is over, or cancelled."), STORAGE),
    ),
    *(
        Operation(
            method="POST",
            path=f"/api/v1/rooms/{{id}}/{verb}",
            name=f"{verb}Room",
            tag=_TAG,
            summary=summary,
            parameters=(_ROOM,),
            answers=(Answer(200, "The room, durable.", RoomAnswer),),
            refusals=(bad(), _STAFF, _NO_ROOM, conflict("The room is over, or cancelled."), STORAGE),
        )
        for verb, summary in (("start", "The class begins"), ("end", "The class is over; twice is once"))
    ),
    Operation(
        method="GET",
        path="/api/v1/rooms/{id}/presence",
        name="listPresent",
        tag=_TAG,
        summary="Who is here now",
        parameters=(_ROOM, CURSOR),
        answers=(Answer(200, "A page of up to 100, by user id.", PresenceAnswer),),
        refusals=(bad(), forbidden("More are here than learners are shown."), _NO_ROOM, STORAGE),
    ),
    Operation(
        method="GET",
        path="/api/v1/rooms/{id}/timeline",
        name="readTimeline",
        tag=_TAG,
        summary="How many were there when",
        description="At most 100,000 points: a room that went on for weeks wants a longer `step`.",
        parameters=(
            _ROOM,
            Parameter("step", {"type": "integer", "minimum": 1, "maximum": 3600, "default": 60}, "Seconds a point."),
        ),
        answers=(Answer(200, "Points at the multiples of `step`.", TimelineAnswer),),
        refusals=(bad(), _STAFF, _NO_ROOM, STORAGE),
    ),
    Operation(
        method="GET",
        path="/api/v1/rooms/{id}/participants/{user_id}",
        name="readParticipant",
        tag=_TAG,
        summary="One person in one class, from all sources",
        parameters=(_ROOM, path_id("user_id", "Oneself, or for staff anybody.")),
        answers=(Answer(200, "Stays and figures; whole seconds.", ParticipantAnswer),),
        refusals=(bad(), forbidden("Others are for staff."), unknown("No such room, or never there."), STORAGE),
    ),
    Operation(
        method="GET",
        path="/api/v1/rooms/{id}/recordings",
        name="listRecordings",
        tag=_TAG,
        summary="The recordings of a class",
        parameters=(_ROOM,),
        answers=(Answer(200, "In the order in which they were told, up to 1,000.", RecordingsAnswer),),
        refusals=(bad(), forbidden("For staff and for who attended."), _NO_ROOM, STORAGE),
    ),
    _file(
        "readRecording",
        "/api/v1/recordings/{id}/file",
        "The file of a recording, or a range of it",
        "video/mp4",
        "No such recording, or none that the bearer may see.",
    ),
    _file(
        "readThumbnail",
        "/api/v1/recordings/{id}/thumbnail",
        "The picture of a recording",
        "image/jpeg",
        "No such recording, or it has no picture; `message` says why.",
    ),
)
