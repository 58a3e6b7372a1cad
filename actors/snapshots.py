"""Snapshots as bytes: one format byte, then msgpack of the machine's state, compressed where that pays."""

from __future__ import annotations

from typing import Final

import msgspec
import zstandard

from actors import packing
from actors.actor import Actor
from actors.machines.state import RoomState
from actors.machines.watch import NEVER, WatchSession, WatchState
from actors.ports import Snapshot, StoreRefused

PLAIN: Final = b"\x01"
ZSTD: Final = b"\x02"
COMPRESS_OVER: Final = 1_024
UNPACKED_MAX: Final = 512 * 1024 * 1024

encode = msgspec.msgpack.Encoder().encode
_decode_room = msgspec.msgpack.Decoder(RoomState).decode
_decode_watch = msgspec.msgpack.Decoder(WatchState).decode


def take(actor: Actor, *, keep: bool = False) -> Snapshot:
    """The actor's snapshot as it stands; `keep` one that is over too, awake, so that whoever takes over ends it."""
    machine = actor.machine
    state = machine.state if keep else machine.snapshot()
    wake_at = None if machine.wake_at >= NEVER or state is None else machine.wake_at
    if keep and is_over(machine):
        wake_at = 0
    body = None if state is None else _pack(encode(state))
    return Snapshot(actor.kind, actor.key, actor.partition, actor.version, body, wake_at)


def _pack(data: bytes) -> bytes:
    if len(data) <= COMPRESS_OVER:
        return PLAIN + data
    return ZSTD + zstandard.ZstdCompressor(level=1).compress(data)


def unpacked(body: bytes) -> bytes:
    """The msgpack of a snapshot's body. Raises `StoreRefused`, `zstandard.ZstdError`."""
    if body[:1] == PLAIN:
        return body[1:]
    if body[:1] == ZSTD:
        return packing.unpacked(zstandard.ZstdDecompressor(), memoryview(body)[1:], UNPACKED_MAX)
    message = f"snapshot format {body[:1]!r} is not known to this version"
    raise StoreRefused(message)


def room_state(body: bytes) -> RoomState:
    """A room's state out of its snapshot. Raises `StoreRefused` for one that this version cannot read."""
    try:
        return _decode_room(unpacked(body))
    except (msgspec.MsgspecError, zstandard.ZstdError) as error:
        raise StoreRefused(f"a room's snapshot cannot be read: {error}") from error


def watch_state(body: bytes) -> WatchState:
    """A watch session's state out of its snapshot. Raises as `room_state` does."""
    try:
        return _decode_watch(unpacked(body))
    except (msgspec.MsgspecError, zstandard.ZstdError) as error:
        raise StoreRefused(f"a session's snapshot cannot be read: {error}") from error


def is_over(machine: object) -> bool:
    """Whether the actor will never take another input."""
    return isinstance(machine, WatchSession) and machine.ended
