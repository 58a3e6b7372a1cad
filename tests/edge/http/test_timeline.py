"""The swept timeline beside the obvious one."""

from datetime import datetime

from hypothesis import example, given
from hypothesis import strategies as st

from actors.machines import ranges
from server.http.timeline import points_of, timeline

MOMENT = st.integers(min_value=0, max_value=12_000) | st.sampled_from([0, 999, 1_000, 1_001, 2_000, 3_000])


@st.composite
def people(draw) -> list[list[int]]:
    crowd: list[list[int]] = []
    for _ in range(draw(st.integers(min_value=0, max_value=5))):
        united: list[int] = []
        for _ in range(draw(st.integers(min_value=0, max_value=4))):
            low, high = sorted((draw(MOMENT), draw(MOMENT)))
            ranges.add(united, low, high)
        crowd.append(united)
    return crowd


def there(crowd: list[list[int]], begin: int, end: int, at: int) -> int:
    return sum(begin <= at < end and any(low <= at < high for low, high in ranges.pairs(one)) for one in crowd)


@given(people(), MOMENT, MOMENT, st.integers(min_value=1, max_value=4))
@example([[0, 1_000], [1_000, 2_000]], 0, 2_000, 1)
@example([[0, 1_000], [1_000, 2_000]], 0, 2_000, 2)
@example([], 500, 500, 1)
def test_it_counts_what_anybody_would(crowd: list[list[int]], one: int, other: int, step: int) -> None:
    begin, end = sorted((one, other))
    points = timeline(crowd, begin, end, step)

    moments = sorted({0, begin, end, *(edge for person in crowd for edge in person)})
    at = begin // (step * 1000) * step * 1000
    assert len(points) == points_of(begin, end, step)
    for point in points:
        inside = [at, *(moment for moment in moments if at <= moment < at + step * 1000)]
        counts = [there(crowd, begin, end, moment) for moment in inside]
        assert datetime.fromisoformat(point.at).timestamp() * 1000 == at
        assert (point.count, point.peak) == (counts[0], max(counts))
        at += step * 1000
    assert at >= end
    assert at - step * 1000 < max(end, begin + 1)
