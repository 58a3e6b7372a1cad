"""Encoded project ids, as SDKs are given them instead of a plain number (mobile-ingest.md, "`POST .../start`")."""

from __future__ import annotations

from typing import Final

_RANGE: Final = 2**52
_FACTOR: Final = 4_212_451_012_670_231
_INVERSE: Final = pow(_FACTOR, -1, _RANGE)


def decode_project(encoded: int) -> int | None:
    """The number of a project: `((q - 2^52) * 4212451012670231) mod 2^52`; None for q outside [2^52, 2^53)."""
    return (encoded - _RANGE) * _FACTOR % _RANGE if _RANGE <= encoded < 2 * _RANGE else None


def encode_project(number: int) -> int:
    """What `decode_project` makes this number of. Raises `ValueError` outside [0, 2^52)."""
    if not 0 <= number < _RANGE:
        raise ValueError(f"{number} is no number of a project")
    return _RANGE + number * _INVERSE % _RANGE
