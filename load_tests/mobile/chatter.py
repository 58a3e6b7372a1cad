"""What apps tell beside playing: what a finger did, what nobody did, and what nobody can read."""

from __future__ import annotations

from random import Random

from protocol import mobile
from protocol.mobile import Message, message


def activity(random: Random, at: int) -> Message:
    """Something that a finger did."""
    return message(
        at,
        random.choice(
            [
                mobile.Click("Play", random.randrange(1170), random.randrange(2532)),
                mobile.ViewComponent("Lesson", "Player", random.random() < 0.5),
                mobile.OlderViewComponent("Lesson", "Player"),
                mobile.Input("***", masked=True, label="search"),
                mobile.Swipe("list", 4, 900, "up"),
            ]
        ),
    )


def noise(random: Random, at: int) -> Message:
    """What nobody did: figures, logs, calls."""
    return message(
        at,
        random.choice(
            [
                mobile.Performance("memoryUsage", random.randrange(2**40)),
                mobile.Log("info", "l\0g"),
                mobile.NetworkCall("request", "GET", "/api", "{}", "[]", 200, random.randrange(900)),
                mobile.OlderNetworkCall(31, "{}", "b", "/api", success=True, method="GET", status=200),
                mobile.GraphQL("query", "Me", "{}", "{}", random.randrange(900)),
                mobile.PerformanceAggregated(at, at + 2000, *range(12)),
            ]
        ),
    )


def bad(random: Random, at: int) -> Message:
    """A network call with its status in four raw bytes; the other bodies that nobody can read; a type nobody knows."""
    strings = b"".join(bytes([len(each)]) + each for each in (b"request", b"GET", b"/api", b"[]", b"{}"))
    return random.choice(
        [
            Message(105, at, None, strings + (200).to_bytes(4, "big") + bytes([random.randrange(128)])),
            Message(94, at, None, b"\x02\xc3\x28"),
            Message(100, at, None, b"\x05Tap"),
            Message(89, at, None, b"\x05query" + random.randbytes(3)),
        ]
    )
