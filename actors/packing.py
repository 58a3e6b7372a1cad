"""What was packed with zstd, within a bound.

`max_output_size` bounds a frame only where it does not say its size; ours do.
"""

from __future__ import annotations

import zstandard


def unpacked(decompressor: zstandard.ZstdDecompressor, packed: bytes | memoryview, most: int) -> bytes:
    """The bytes, at most `most`. Raises `zstandard.ZstdError`."""
    said = zstandard.frame_content_size(packed)
    if said > most:
        message = f"unpacks to {said} bytes, more than {most}"
        raise zstandard.ZstdError(message)
    return decompressor.decompress(packed, max_output_size=most)
