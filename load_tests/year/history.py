"""`python -m load_tests history`: write the year as NDJSON."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from load_tests.year.platform import DAY_MS, Platform, Size
from load_tests.year.telling import lines

TOLD_EVERY = 500_000


def main(arguments: Sequence[str]) -> int:
    """Write it; progress goes to standard error."""
    options = _options(arguments)
    size = Size(options.learners, options.classes, options.lessons, options.segments).share(options.share)
    return write(size, options.seed, last_midnight_ms(options.end_s), options.output)


def write(size: Size, seed: int, end_ms: int, output: str) -> int:
    """Write a platform's year to a file, or to standard output where that is `-`; the exit code. Raises OSError."""
    if output == "-":
        return _write(Platform(size, seed, end_ms), seed, sys.stdout)
    # Opened first: what cannot be written is not worth a minute of thought.
    with Path(output).open("w", encoding="utf-8") as file:
        return _write(Platform(size, seed, end_ms), seed, file)


def last_midnight_ms(end_s: float | None = None) -> int:
    """Where the year ends, Unix ms: the UTC day of `end_s`, or today's, has just begun."""
    return int((time.time() if end_s is None else end_s) * 1000) // DAY_MS * DAY_MS


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    whole = Size()
    parser = argparse.ArgumentParser(prog="python -m load_tests history", description=__doc__)
    parser.add_argument("-o", "--output", default="-", metavar="FILE", help="default: standard output")
    parser.add_argument("--share", type=float, default=1.0, help="part of the whole platform; 0.1 is a tenth")
    parser.add_argument("--learners", type=int, default=whole.learners)
    parser.add_argument("--classes", type=int, default=whole.classes)
    parser.add_argument("--lessons", type=int, default=whole.lessons)
    parser.add_argument("--segments", type=int, default=whole.segments, help="about so many")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--end-s", type=float, metavar="UNIX", help="the year ends before this day; default: today")
    return parser.parse_args(arguments)


def _write(platform: Platform, seed: int, file: IO[str]) -> int:
    count = 0
    for line in lines(platform, seed):
        file.write(line + "\n")
        count += 1
        if count % TOLD_EVERY == 0:
            sys.stderr.write(f"{count:,} lines\n")
    sys.stderr.write(f"{count:,} lines in all\n")
    return 0
