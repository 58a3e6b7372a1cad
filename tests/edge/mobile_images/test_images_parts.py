"""Forms: every part as it was sent, and nothing but a refusal for what is no form."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.machines.profiles  # noqa: F401 - loads the profile
from server.mobile.images_parts import BadParts, TooManyParts, boundary_of, parts
from tests.edge.mobile_images.pictures import BOUNDARY, JPEG, form, part


def read(data: bytes, most: int = 600) -> list[tuple[str, str | None, bytes]]:
    return [(each.name, each.filename, bytes(each.body)) for each in parts(data, BOUNDARY, most=most)]


def test_fields_and_files_come_out_as_they_were_sent():
    data = form(part("projectKey", b"app"), part("image", JPEG, "a1b2"), part("empty", b"", "e"))

    assert read(data) == [("projectKey", None, b"app"), ("image", "a1b2", JPEG), ("empty", "e", b"")]


def test_what_stands_before_and_behind_means_nothing():
    assert read(b"hello\r\n" + form(part("a", b"1")) + b"bye") == [("a", None, b"1")]


def test_a_form_may_have_no_parts():
    assert read(form()) == []


def test_a_line_that_begins_like_a_boundary_is_part_of_the_body():
    body = f"x\r\n--{BOUNDARY}x\r\n--{BOUNDARY[:-1]}\r\n".encode()

    assert read(form(part("a", body))) == [("a", None, body)]


def test_spaces_behind_a_boundary_are_passed_over():
    data = form(part("a", b"1")).replace(f"{BOUNDARY}\r\n".encode(), f"{BOUNDARY} \t\r\n".encode())

    assert read(data) == [("a", None, b"1")]


def test_a_part_may_have_no_head():
    assert read(f"--{BOUNDARY}\r\n\r\nx\r\n--{BOUNDARY}--".encode()) == [("", None, b"x")]


@pytest.mark.parametrize(
    ("disposition", "name", "filename"),
    [
        ("form-data; name=batch; filename=a.gz", "batch", "a.gz"),
        ('form-data; name="a\\"b"; filename="c;d"', 'a"b', "c;d"),
        ("form-data; name=\"x\"; filename*=UTF-8''%E0%A6%95.png", "x", "ক.png"),
        ("form-data", "", None),
        ("", "", None),
        ('form-data; name="ক"', "ক", None),
    ],
)
def test_names_are_read_as_clients_write_them(disposition, name, filename):
    data = f"--{BOUNDARY}\r\ncontent-DISPOSITION:{disposition}\r\n\r\nx\r\n--{BOUNDARY}--".encode()

    assert read(data) == [(name, filename, b"x")]


@pytest.mark.parametrize("charset", ["idna", "punycode", "hex", "zlib", "utf-7", "unicode_escape", "undefined", "x"])
def test_a_name_in_an_odd_charset_is_read_or_refused(charset):
    head = f"Content-Disposition: form-data; name*={charset}''%ff+2AA-; filename*={charset}''%ff\\ud800"
    with suppress(BadParts):
        assert len(read(f"--{BOUNDARY}\r\n{head}\r\n\r\nx\r\n--{BOUNDARY}--".encode())) == 1


def test_as_many_parts_as_may_be_are_read_and_one_more_is_refused():
    each = [part("a", b"1")] * 3

    assert len(read(form(*each), most=3)) == 3
    with pytest.raises(TooManyParts):
        read(form(*each), most=2)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nothing",
        f"--{BOUNDARY}".encode(),
        f"--{BOUNDARY}\r\n".encode(),
        f"--{BOUNDARY}\r\nA: b\r\n\r\nx".encode(),
        part("a", b"1"),
        f"--{BOUNDARY}\r\nA: {'b' * 9000}\r\n\r\nx\r\n--{BOUNDARY}--".encode(),
        form(part("a", b"MQ==", more="Content-Transfer-Encoding: base64\r\n")),
    ],
)
def test_what_is_no_form_is_refused(data):
    with pytest.raises(BadParts):
        read(data)


@pytest.mark.parametrize(
    ("said", "boundary"),
    [
        (f"multipart/form-data; boundary={BOUNDARY}", BOUNDARY),
        ('Multipart/Form-Data; charset=utf-8; boundary="a b"', "a b"),
        ("application/json", None),
        ("multipart/mixed; boundary=a", None),
        ("", None),
    ],
)
def test_the_boundary_stands_in_the_type(said, boundary):
    assert boundary_of(said) == boundary


@pytest.mark.parametrize("said", ["", "; boundary=" + "x" * 71, '; boundary=""', "; boundary=ক"])
def test_a_form_without_a_boundary_is_refused(said):
    with pytest.raises(BadParts):
        boundary_of(f"multipart/form-data{said}")


@given(st.lists(st.binary(max_size=200), max_size=6))
def test_any_bytes_come_back(bodies):
    assert [body for _, _, body in read(form(*(part("a", body, "f") for body in bodies)))] == bodies


ODDS = [b"\r\n", b"--", BOUNDARY.encode(), b"\r", b"\n", b"-", b"a: b", b";", b'"', b" "]


@given(st.lists(st.sampled_from(ODDS), max_size=40))
def test_garbage_raises_nothing_else(pieces):
    data = b"".join(pieces)
    try:
        found = read(data)
    except BadParts:
        return
    assert all(body in data for _, _, body in found)
