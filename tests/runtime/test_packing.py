"""What is unpacked has a bound, whether or not it says how large it is."""

from __future__ import annotations

import pytest
import zstandard

from actors import packing, snapshots

CONTENT = bytes(10_000)


@pytest.mark.parametrize("tells_its_size", [False, True])
def test_one_byte_too_many_is_refused(*, tells_its_size: bool):
    packed = zstandard.ZstdCompressor(write_content_size=tells_its_size).compress(CONTENT)
    decompressor = zstandard.ZstdDecompressor()

    assert packing.unpacked(decompressor, packed, len(CONTENT)) == CONTENT
    with pytest.raises(zstandard.ZstdError):
        packing.unpacked(decompressor, packed, len(CONTENT) - 1)


def test_a_snapshot_that_unpacks_to_more_than_its_bound_is_unreadable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(snapshots, "UNPACKED_MAX", 9_999)

    with pytest.raises(zstandard.ZstdError, match="more than 9999"):
        snapshots.unpacked(snapshots.ZSTD + zstandard.compress(CONTENT))
