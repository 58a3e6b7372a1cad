"""Rates: percent, half-up to two decimals, from exact numbers (learning-api.md, "Common rules")."""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction


def percent(part: int, whole: int) -> float:
    """`part` of `whole`, 0..100; 0.0 where there is no whole."""
    return (part * 20_000 + whole) // (2 * whole) / 100 if whole else 0.0


def rounded(share: Fraction) -> float:
    """A share 0..1 as percent; half a hundredth goes up."""
    return (share.numerator * 20_000 + share.denominator) // (2 * share.denominator) / 100


def mean(shares: Collection[Fraction]) -> Fraction:
    """0 where there are none."""
    return sum(shares, Fraction(0)) / len(shares) if shares else Fraction(0)
