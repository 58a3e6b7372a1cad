"""Nobody has all places of the door of images."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from server.http.answers import Problem
from server.mobile.images_places import SESSION_PLACES, Places


def refused(places: Places, session: int, address: str) -> str | None:
    """Status and words of the refusal; None where there is a place."""
    try:
        with places.hold(session, address):
            return None
    except Problem as problem:
        return f"{problem.status}: {problem.message}"


def test_a_session_has_a_few_and_leaves_the_others_theirs():
    places = Places(64)
    with ExitStack() as held:
        for _ in range(SESSION_PLACES):
            held.enter_context(places.hold(1, "home"))
        assert (refused(places, 1, "elsewhere") or "").startswith("503: too many images of this session")
        assert refused(places, 2, "home") is None
    assert refused(places, 1, "home") is None


def test_an_address_with_many_sessions_has_half_of_them():
    places = Places(8)
    with ExitStack() as held:
        for session in range(4):
            held.enter_context(places.hold(session, "flood"))
        assert refused(places, 9, "flood") == "503: too many images are coming in: try again"
        for session in range(10, 14):
            held.enter_context(places.hold(session, "home"))
        assert refused(places, 20, "another") == "503: too many images are coming in: try again"
        assert places.taken == 8
    assert places.taken == 0


def test_a_place_is_free_again_however_its_holder_ends():
    places = Places(2)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), places.hold(1, "home"):
            _ = 1 / 0
    assert refused(places, 1, "home") is None
