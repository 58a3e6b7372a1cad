"""The room's own answers held against the truth: who was listed while the class went on, its timeline, its figures."""

from __future__ import annotations

from typing import Final

import msgspec

from load_tests.simulate.comparing import Difference, LearnerTruth, bounds_at, seconds_of
from load_tests.simulate.record import Class, Learner
from load_tests.simulate.truth import PRESENCE_BORDER_MS, SILENCE_INTERVALS, ClassTruth, Rules, least_and_most_seconds
from protocol.rest import RoomAnswer, TimelineAnswer

LISTED_MS: Final = 1500
"""Whoever came or went so near to a listing may or may not be on it: pages are read one after the other."""


class Listing(msgspec.Struct, frozen=True):
    """Who the server said was present, read between two moments (our clock, ms)."""

    begin: int
    end: int
    members: list[str]


def check_listing(record: Class, listing: Listing, rules: Rules) -> list[Difference]:
    """Nobody is missing who was connected, nobody is listed twice, or whom nothing could hold any more."""
    grace = round(rules.grace_s * 1000)
    if any(
        outage.begin - LISTED_MS <= listing.end and (not outage.end or outage.end + grace + LISTED_MS >= listing.begin)
        for outage in record.outages
    ):
        return []  # who is held after a restart is known when the grace is over
    found: list[Difference] = []
    listed = set(listing.members)
    if len(listed) != len(listing.members):
        twice = sorted(one for one in listed if listing.members.count(one) > 1)
        found.append(Difference(record.room, "presence members", "each once", f"twice: {twice}"))
    for user_id, learner in record.learners.items():
        surely, maybe = _held(learner, listing, grace)
        if surely and user_id not in listed:
            found.append(Difference(user_id, "presence listing", "present", "not listed"))
        if not maybe and user_id in listed:
            found.append(Difference(user_id, "presence listing", "gone or not come yet", "listed"))
    strangers = listed - set(record.learners)
    if strangers:
        found.append(Difference(record.room, "presence members", "learners of the class", str(sorted(strangers))))
    return found


def _held(learner: Learner, listing: Listing, grace: int) -> tuple[bool, bool]:
    surely = maybe = False
    for device in learner.devices:
        track = device.tracks.get("room")
        if track is None:
            continue
        for hold in track.holds:
            until = hold.until if hold.ending != "open" else 2**62
            after = grace if hold.ending in {"cut", "lost"} else 0
            surely |= hold.held + LISTED_MS <= listing.begin and until - LISTED_MS >= listing.end
            maybe |= hold.asked - LISTED_MS <= listing.end and until + after + LISTED_MS >= listing.begin
        silence = round(SILENCE_INTERVALS * track.interval_s * 1000)
        left = track.left_at if track.left_at is not None else 2**62
        for one in track.told:
            if one.by_http and one.at <= listing.end:
                maybe |= min(one.at + silence, left) + LISTED_MS >= listing.begin
    return surely, maybe


def check_room(
    record: Class, times: ClassTruth, known: dict[str, LearnerTruth], room: RoomAnswer, rules: Rules
) -> list[Difference]:
    """State, times and figures of the room after its end."""
    found: list[Difference] = []
    if room.state != "ended":
        found.append(Difference(record.room, "room state", "ended", room.state))
        return found
    for field, border, answer in (
        ("started_at", times.started, room.started_at),
        ("ended_at", times.end, room.ended_at),
    ):
        at = -1.0 if answer is None else seconds_of(answer) * 1000 - record.clock_offset_ms
        if not border.lo - PRESENCE_BORDER_MS <= at <= border.hi + PRESENCE_BORDER_MS:
            found.append(Difference(record.room, f"room {field}", f"{border.lo}..{border.hi}", f"{at:.0f} ({answer})"))
    minimum = rules.attended_min_s
    slack = 2 * PRESENCE_BORDER_MS / 1000
    lengths = [least_and_most_seconds(one.readings) for one in known.values() if one.readings]
    least = sum(1 for shortest, _ in lengths if shortest >= minimum + slack * 2)
    most = sum(1 for _, longest in lengths if longest >= minimum - slack * 2)
    if not least <= room.attended <= most:
        found.append(Difference(record.room, "room attended", f"{least}..{most}", str(room.attended)))
    if room.count != 0:
        found.append(Difference(record.room, "room count", "0 after the end", str(room.count)))
    if room.peak > len(record.learners):
        found.append(Difference(record.room, "room peak", f"<= {len(record.learners)}", str(room.peak)))
    return found


def check_timeline(
    record: Class, known: dict[str, LearnerTruth], times: ClassTruth, timeline: TimelineAnswer
) -> list[Difference]:
    """Learners present at each step's start."""
    found: list[Difference] = []
    if not timeline.points:
        found.append(Difference(record.room, "timeline", "points", "none"))
    for point in timeline.points:
        at = seconds_of(point.at) * 1000 - record.clock_offset_ms
        if at < times.begin.lo:  # the first step begins at the floor of the start
            continue
        least, most = bounds_at(known, at)
        if not least <= point.count <= most:
            found.append(Difference(record.room, f"timeline {point.at}", f"{least}..{most}", str(point.count)))
    return found
