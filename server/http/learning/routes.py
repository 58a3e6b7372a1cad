"""The routes of the learners' dashboards."""

from __future__ import annotations

from server.http.learning.oneclass import OneClass
from server.http.learning.pages import Ground, Pages
from server.http.ports import ClassStore
from server.http.shell import Handler


def routes(ground: Ground, store: ClassStore) -> list[tuple[str, str, Handler]]:
    """Method, path, handler."""
    pages, one_class = Pages(ground), OneClass(ground, store)
    return [
        ("GET", "/api/v1/learning/activities", pages.activities),
        ("GET", "/api/v1/learning/times", pages.times),
        ("GET", "/api/v1/liveclass/attendance", pages.attendance),
        ("GET", "/api/v1/liveclass/attendance-overview", pages.overview),
        ("GET", "/api/v1/liveclass/attendance/details", pages.details),
        ("GET", "/api/v1/liveclass/attendance-overview/{date:[^/]+}", pages.day),
        ("GET", "/api/v1/liveclass/details", one_class.details),
        ("GET", "/api/v1/liveclass/interaction", one_class.interaction),
        ("PUT", "/api/v1/liveclass/{id:[^/]+}/rating", one_class.rate),
    ]
