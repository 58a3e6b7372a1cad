"""What a recording is: duration, tracks, and a picture of it; by ffprobe and ffmpeg (plugnmeet.md, flow 4).

Whatever is wrong with the file or the programs, the recording is kept: what could not be found out is None, and why
there is no thumbnail is said in a sentence.
"""

from __future__ import annotations

import asyncio
import math
import re
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Final, cast

import msgspec

from server.recordings.child import Outcome, ProgramTimeout, run
from storage.jobs import MediaTrack

TIMEOUT_S: Final = 60.0
WIDTH: Final = 640
AT_S: Final = 1.0
SHARE_OF_SHORT: Final = 0.1
"""Where the picture is taken in a file that is shorter than `AT_S`."""
TRACKS_MAX: Final = 32
WORDS: Final = 200
JPEG_BEGINS: Final = b"\xff\xd8\xff"

# A playlist or a script would have ffmpeg read other files of this machine.
_SAFE: Final = ["-protocol_whitelist", "file", "-format_whitelist"]
_FORMATS: Final = "mov,matroska,webm,ogg,mp3,wav,flac,aac,mpegts,mpeg,flv,avi,asf,h264"

_DURATION: Final = re.compile(rb"Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)")
_PLACES: Final = re.compile(r"\[[^]]* @ 0x[0-9a-f]+\] ?|(?:file:)?/\S+: ?")
_STREAM: Final = re.compile(rb"Stream #\d+:\d+[^:]*: (Video|Audio|Subtitle|Data): (\w+)([^\n]*)")


class Tools(msgspec.Struct, frozen=True):
    """Where the programs are; None where they are not."""

    ffmpeg: Path | None
    ffprobe: Path | None


class Media(msgspec.Struct, frozen=True):
    """What a file is. `picture`: it has video; `trouble` says why nothing could be found out."""

    duration_ms: int | None = None
    tracks: list[MediaTrack] = []
    picture: bool = False
    trouble: str | None = None


def find_tools() -> Tools:
    """The system's, else the ffmpeg that a wheel brings (`pip install imageio-ffmpeg`), which has no ffprobe."""
    ffmpeg, ffprobe = shutil.which("ffmpeg"), shutil.which("ffprobe")
    return Tools(Path(ffmpeg) if ffmpeg else _of_the_wheel(), Path(ffprobe) if ffprobe else None)


def _of_the_wheel() -> Path | None:
    try:
        find = cast("Callable[[], str]", import_module("imageio_ffmpeg").get_ffmpeg_exe)
        return Path(find())
    except (ImportError, AttributeError, RuntimeError, OSError):
        return None


async def look(tools: Tools, path: Path, timeout_s: float = TIMEOUT_S) -> Media:
    """Duration and tracks. Never raises for what is wrong with the file or the programs."""
    try:
        if tools.ffprobe is not None:
            return _probed(await run(tools.ffprobe, [*_SAFE, _FORMATS, *_PROBE, f"file:{path}"], timeout_s))
        if tools.ffmpeg is not None:
            arguments = ["-hide_banner", "-nostdin", *_SAFE, _FORMATS, "-i", f"file:{path}"]
            return _said(await run(tools.ffmpeg, arguments, timeout_s))
    except (ProgramTimeout, OSError) as error:
        return Media(trouble=_line(str(error)))
    return Media(trouble="ffmpeg is not installed")


async def take_picture(
    tools: Tools, path: Path, media: Media, target: Path, timeout_s: float = TIMEOUT_S
) -> str | None:
    """Write a thumbnail to `target`; returns why there is none, or None where there is."""
    if media.trouble is not None:
        return media.trouble
    if not media.picture:
        return "the recording has no video"
    if tools.ffmpeg is None:
        return "ffmpeg is not installed"
    trouble = "ffmpeg found no picture"
    # A file may claim to be longer than it is: its first picture is better than none.
    for moment_s in dict.fromkeys((moment(media.duration_ms), 0.0)):
        try:
            outcome = await run(tools.ffmpeg, _picture(path, target, moment_s), timeout_s)
        except (ProgramTimeout, OSError) as error:
            return _line(str(error))
        if await asyncio.to_thread(_is_jpeg, target, outcome.code):
            return None
        trouble = _line(outcome.errors.decode("utf-8", "replace")) or trouble
    return trouble


def moment(duration_ms: int | None) -> float:
    """Where the picture is taken, in seconds: at 1 s, at 10 % of the length of a file that is shorter."""
    if duration_ms is None or duration_ms >= AT_S * 1000:
        return AT_S
    return duration_ms / 1000 * SHARE_OF_SHORT


_PROBE: Final = [
    "-v",
    "error",
    "-print_format",
    "json",
    "-show_entries",
    "format=duration:stream=codec_type,codec_name:stream_disposition=attached_pic",
    "-i",
]


def _picture(path: Path, target: Path, moment_s: float) -> list[str]:
    return [
        "-v",
        "error",
        "-nostdin",
        "-y",
        "-threads",
        "2",
        *_SAFE,
        _FORMATS,
        "-ss",
        f"{moment_s:.3f}",
        "-i",
        f"file:{path}",
        "-map",
        "0:V:0",  # not a cover that is attached to audio
        "-frames:v",
        "1",
        "-vf",
        f"scale={WIDTH}:-2",
        "-pix_fmt",
        "yuvj420p",
        "-q:v",
        "4",
        "-f",
        "image2",
        "-update",
        "1",
        f"file:{target}",
    ]


class _Format(msgspec.Struct, frozen=True):
    duration: str | None = None


class _Stream(msgspec.Struct, frozen=True):
    codec_type: str = "unknown"
    codec_name: str = "unknown"
    disposition: dict[str, int] = {}


class _Probe(msgspec.Struct, frozen=True):
    format: _Format = _Format()
    streams: list[_Stream] = []


_DECODER: Final = msgspec.json.Decoder(_Probe)


def _probed(outcome: Outcome) -> Media:
    if outcome.code != 0:
        words = _line(outcome.errors.decode("utf-8", "replace"))
        return Media(trouble=words or f"ffprobe ended with {outcome.code}")
    try:
        found = _DECODER.decode(outcome.output)
    except (msgspec.DecodeError, ValueError):
        return Media(trouble="ffprobe said what is no JSON")
    return Media(
        duration_ms=_milliseconds(found.format.duration),
        tracks=[MediaTrack(_short(each.codec_type), _short(each.codec_name)) for each in found.streams[:TRACKS_MAX]],
        picture=any(each.codec_type == "video" and not each.disposition.get("attached_pic") for each in found.streams),
    )


def _said(outcome: Outcome) -> Media:
    """What `ffmpeg -i` says of a file; it always ends with an error, since it was given nothing to do."""
    streams = _STREAM.findall(outcome.errors)
    if not streams:
        return Media(trouble=_last_line(outcome.errors) or "ffmpeg found nothing in the file")
    length = _DURATION.search(outcome.errors)
    duration_ms = None
    if length is not None:
        duration_ms = round((int(length[1]) * 3600 + int(length[2]) * 60 + float(length[3])) * 1000)
    return Media(
        duration_ms=duration_ms,
        tracks=[MediaTrack(kind.decode().lower(), codec.decode()) for kind, codec, _ in streams[:TRACKS_MAX]],
        picture=any(kind == b"Video" and b"attached pic" not in rest for kind, _, rest in streams),
    )


def _milliseconds(text: str | None) -> int | None:
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return round(seconds * 1000) if math.isfinite(seconds) and 0 <= seconds < 1e9 else None  # noqa: PLR2004 - 30 years


def _is_jpeg(path: Path, code: int) -> bool:
    """Whether a picture was made; what is none is cleared away."""
    try:
        with path.open("rb") as file:
            made = code == 0 and file.read(len(JPEG_BEGINS)) == JPEG_BEGINS
        if not made:
            path.unlink()
    except OSError:
        return False
    return made


def _short(text: str) -> str:
    return text[:40]


def _line(words: str) -> str:
    """The first line, without where the file lies and what of ffmpeg says so."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return _PLACES.sub("", lines[0])[:WORDS] if lines else ""


def _last_line(words: bytes) -> str:
    lines = words.decode("utf-8", "replace").strip().splitlines()
    return _line(lines[-1]) if lines else ""
