"""Ids that route themselves."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.machines.profiles  # noqa: F401 - loads the profile
from protocol.ids import PARTITIONS_MAX, partition_of, session_id, session_partition

MS = st.integers(0, 2**48 - 1)
PARTITION = st.integers(0, PARTITIONS_MAX - 1)
RANDOM = st.integers(0, 2**80)


@given(MS, PARTITION, RANDOM)
def test_a_session_id_is_a_uuid_of_version_7_that_tells_its_partition(unix_ms: int, partition: int, random: int):
    value = session_id(unix_ms, partition, random)
    parsed = UUID(value)

    assert (parsed.version, parsed.variant) == (7, "specified in RFC 4122")
    assert parsed.int >> 80 == unix_ms
    assert session_partition(value) == partition
    assert str(parsed) == value


@given(MS, MS, PARTITION, RANDOM)
def test_session_ids_sort_by_time(first: int, second: int, partition: int, random: int):
    ids = [session_id(ms, partition, random) for ms in (first, second)]
    assert first == second or (ids[0] < ids[1]) == (first < second)


@given(st.text(max_size=40))
def test_other_text_is_no_session_id(text: str):
    found = session_partition(text)
    assert found is None or (UUID(text).version == 7 and str(UUID(text)) == text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s1",
        "{0195b2f0-1234-7abc-8def-0123456789ab}",
        "0195B2F0-1234-7ABC-8DEF-0123456789AB",
        "0195b2f0-1234-4abc-8def-0123456789ab",
        "0195b2f012347abc8def0123456789ab",
        "urn:uuid:0195b2f0-1234-7abc-8def-0123456789ab",
        "0195b2f0-1234-7abc-0def-0123456789ab",
    ],
)
def test_only_the_canonical_form_is_one(text: str):
    assert session_partition(text) is None


@given(st.text(alphabet=st.characters(), max_size=128), st.integers(1, PARTITIONS_MAX))
def test_every_key_has_a_partition(key: str, partitions: int):
    assert 0 <= partition_of(key, partitions) < partitions


def test_a_key_lives_in_the_same_partition_on_every_node_for_ever():
    assert [partition_of(key, 64) for key in ("15", "algebra", "বীজগণিত")] == [35, 41, 6]
