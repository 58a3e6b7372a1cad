"""A request becomes one file and a list, or a refusal: names are safe, bytes are where the list says."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.machines.profiles  # noqa: F401 - loads the profile
from server.mobile.images_archive import Limits
from server.mobile.images_unpacking import MOMENT_MAX, Refused, media_of, moment_of, read, safe_name, write
from tests.edge.mobile_images.pictures import BOUNDARY, JPEG, PNG, WEBP, Member, form, packed, part


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("5f3c", "5f3c"),
        ("1700000000000_1_1700000000001.jpeg", "1700000000000_1_1700000000001.jpeg"),
        ("a/b/c.png", "c.png"),
        ("..\\..\\c.png", "c.png"),
        ("_", "_"),
        ("a/", ""),
        ("", ""),
    ],
)
def test_a_name_that_is_safe_stays(name, safe):
    assert safe_name(name) == safe


@pytest.mark.parametrize("name", ["..", ".", ".hidden", "-rf", "a b", 'a"b', "a\r\nb", "ক", "\udcff", "x" * 129, "a\0"])
def test_a_name_that_is_not_becomes_one_that_is(name):
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*-[0-9a-f]{16}", safe_name(name))


TEXTS = st.text(st.characters(exclude_characters="/\\"), min_size=1, max_size=140)


@given(st.lists(TEXTS, max_size=9))
def test_other_names_stay_other_names_and_all_are_safe(names):
    safe = [safe_name(name) for name in names]

    assert len(set(safe)) == len(set(names))
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", name) for name in safe)


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("1_1_1700000000001.jpeg", 1_700_000_000_001),
        ("x_0.png", 0),
        (f"x_{MOMENT_MAX}.jpg", MOMENT_MAX),
        (f"x_{MOMENT_MAX + 1}.jpg", None),
        ("x_9999999999999999.jpg", None),
        ("1700000000001.jpeg", None),
        ("x_-1.jpeg", None),
        ("x_\u0667.jpeg", None),
        ("x_1", None),
    ],
)
def test_the_moment_of_a_frame_stands_in_its_name(name, at):
    assert moment_of(name) == at


@pytest.mark.parametrize(
    ("head", "media"),
    [
        (PNG, "image/png"),
        (JPEG, "image/jpeg"),
        (WEBP, "image/webp"),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"GIF89a", None),
        (b"\x89PNG", None),
        (b"\xff\xd8", None),
        (b"", None),
    ],
)
def test_what_an_image_is_its_bytes_say(head, media):
    assert media_of(head) == media


@pytest.mark.parametrize("last", [[], [("b", JPEG)]])
def test_an_image_that_comes_twice_takes_its_place_once(last):
    shots = [("a", PNG + b"1"), ("a", PNG + b"1"), *last]
    file = io.BytesIO()

    images = write(read(form(*(part("image", data, name) for name, data in shots)), BOUNDARY), file, Limits())

    assert file.getvalue() == PNG + b"1" + b"".join(data for _, data in last)
    assert [one.hash for one in images] == ["a", *(name for name, _ in last)]


PICTURES = st.sampled_from([PNG, JPEG, WEBP, PNG + b"more", b"GIF89a", b""])
NAMES = st.sampled_from(["a", "b", "a/b", "c d", "", "x_1.jpeg"])


@given(
    st.lists(st.tuples(NAMES, PICTURES), max_size=5),
    st.none() | st.lists(st.tuples(NAMES.filter(bool), PICTURES), max_size=5),
    st.integers(0, 120),
    st.integers(0, 6),
)
def test_all_bytes_are_where_the_list_says_or_nothing_is_taken(shots, archive, unpacked, entries):
    parts = [part("image", data, name) for name, data in shots]
    if archive is not None:
        parts.append(part("batch", packed(*(Member(name, data) for name, data in archive))))
    file = io.BytesIO()
    try:
        images = write(read(form(*parts), BOUNDARY), file, Limits(unpacked=unpacked * 100, entries=entries))
    except Refused:
        return

    sent = {safe_name(name): data for name, data in [*shots, *(archive or [])]}
    whole = file.getvalue()
    assert {one.hash: whole[one.start : one.start + one.size] for one in images} == sent
    assert len(whole) == sum(one.size for one in images)
    assert len(images) <= entries


@given(st.binary(max_size=300), st.integers(0, 300), st.integers(0, 255))
def test_a_spoilt_form_is_refused_or_read_and_nothing_else(noise, place, value):
    spoilt = bytearray(form(part("image", PNG + noise, "a"), part("batch", packed(Member("x_1.jpeg", JPEG)))))
    spoilt[place % len(spoilt)] = value
    try:
        images = write(read(bytes(spoilt), BOUNDARY), io.BytesIO(), Limits())
    except Refused:
        return
    assert images
