"""Archives from strangers: what is an archive of pictures is read, all else refused before it costs anything."""

import gzip
import io
import tarfile
import tracemalloc
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tests.machines.profiles  # noqa: F401 - loads the profile
from server.mobile.images_archive import (
    ENTRIES_MAX,
    PIECE_BYTES,
    UNPACKED_MAX,
    BadArchive,
    Limits,
    TooMuch,
    Unpacked,
    members,
)
from tests.edge.mobile_images.pictures import JPEG, Member, frames, packed, tar

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
SMALL = Limits(unpacked=100_000, entries=3)


def read(archive: bytes, limits: Limits | None = None) -> list[tuple[str, bytes]]:
    limits = limits or Limits()
    unpacked = Unpacked(memoryview(archive), limits.unpacked)
    return [(name, b"".join(pieces)) for name, pieces in members(unpacked, limits)]


def skim(archive: bytes) -> None:
    for _, pieces in members(Unpacked(memoryview(archive), UNPACKED_MAX), Limits()):
        for _piece in pieces:
            pass


@pytest.mark.parametrize("kind", FORMATS)
def test_files_come_out_as_they_went_in(kind):
    long = "a/" * 70 + "long_17.jpeg"
    archive = packed(Member("1_1_2.jpeg", JPEG), Member(long, JPEG * 1000), Member("empty"), kind=kind)

    assert read(archive) == [("1_1_2.jpeg", JPEG), (long, JPEG * 1000), ("empty", b"")]


@pytest.mark.parametrize("kind", FORMATS)
def test_directories_are_passed_over(kind):
    folder = Member("shots/", more={"type": tarfile.DIRTYPE})

    assert read(packed(folder, Member("shots/1_1_2.jpeg", JPEG), kind=kind)) == [("shots/1_1_2.jpeg", JPEG)]


def test_an_archive_may_end_without_its_zeros():
    assert read(gzip.compress(tar([Member("a", JPEG)])[: 512 * 2])) == [("a", JPEG)]


def test_an_archive_may_be_empty():
    assert read(packed()) == []


@pytest.mark.parametrize(
    "kind", [tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"S", b"K", b"Z"]
)
def test_what_is_no_file_is_refused(kind):
    with pytest.raises(BadArchive, match="link, a device"):
        read(packed(Member("fine", JPEG), Member("odd", more={"type": kind, "linkname": "/etc/passwd"})))


@pytest.mark.parametrize("name", ["/etc/passwd", "\\windows\\a.png", "C:\\a.png", "c:/a.png", "//a"])
@pytest.mark.parametrize("kind", FORMATS)
def test_an_absolute_path_is_refused(name, kind):
    with pytest.raises(BadArchive, match="absolute"):
        read(packed(Member("fine", JPEG), Member(name, JPEG), kind=kind))


def test_an_absolute_path_in_an_extended_header_is_refused():
    archive = packed(Member("fine", JPEG, {"pax_headers": {"path": "/etc/passwd"}}), kind=tarfile.PAX_FORMAT)

    with pytest.raises(BadArchive, match="absolute"):
        read(archive)


def test_a_sparse_file_is_refused():
    sparse = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "99999999999"}

    with pytest.raises(BadArchive, match="sparse"):
        read(packed(Member("a", JPEG, {"pax_headers": sparse}), kind=tarfile.PAX_FORMAT))


@pytest.mark.slow
@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_header_of_any_size_is_refused_unread(kind):
    huge = Member("n" * 30_000_000, JPEG)
    archive = packed(huge, kind=kind)

    tracemalloc.start()
    with pytest.raises(BadArchive, match="16384"):
        read(archive)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize(
    "records", [b"x", b"5 a=b", b"99 path=a\n", b"0 a=b\n", b"-5 a=b\n", b"6 ab\n", b"9999999 a=b"]
)
def test_a_broken_extended_header_is_refused(records):
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, len(records)
    archive = gzip.compress(header.tobuf() + records.ljust(512, b"\0") + tar([Member("a", JPEG)]))

    with pytest.raises(BadArchive, match="broken"):
        read(archive)


@pytest.mark.parametrize("size", ["-1", "1e9", "9" * 20, "", "٣"])
def test_a_size_that_is_no_number_is_refused(size):
    with pytest.raises(BadArchive, match="size"):
        read(packed(Member("a", JPEG, {"pax_headers": {"size": size}}), kind=tarfile.PAX_FORMAT))


def test_a_size_below_zero_is_refused():
    header = tarfile.TarInfo("a").tobuf(tarfile.GNU_FORMAT)
    negative = header[:124] + b"\xff" * 12 + header[136:148] + b" " * 8 + header[156:]
    block = negative[:148] + b"%06o\0 " % sum(negative) + negative[156:]

    with pytest.raises(BadArchive, match="below zero"):
        read(gzip.compress(block + bytes(1024)))


# -- bombs ------------------------------------------------------------------------------------------------------------


def bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    zeros = bytes(1024 * 1024)
    return b"".join(packer.compress(zeros) for _ in range(size // len(zeros))) + packer.flush()


@pytest.mark.slow
def test_zeros_without_end_are_refused_in_little_memory():
    header = tarfile.TarInfo("a")
    header.size = 8 * 1024**3
    packer = zlib.compressobj(9, wbits=31)
    archive = packer.compress(header.tobuf()) + b"".join(packer.compress(bytes(1 << 20)) for _ in range(80))

    tracemalloc.start()
    with pytest.raises(TooMuch, match=str(UNPACKED_MAX)):
        skim(archive)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


def test_zeros_behind_the_end_are_bounded_too():
    with pytest.raises(TooMuch):
        read(bomb(2_000_000), SMALL)


def test_as_much_as_may_be_is_read_and_a_byte_more_is_refused():
    archive = tar([Member("a", bytes(50_000))])

    assert read(gzip.compress(archive), Limits(len(archive)))
    with pytest.raises(TooMuch, match=str(len(archive) - 1)):
        read(gzip.compress(archive), Limits(len(archive) - 1))


def test_as_many_entries_as_may_be_are_read_and_one_more_is_refused():
    each = [Member(f"{n}", JPEG) for n in range(3)]

    assert len(read(packed(*each), SMALL)) == 3
    with pytest.raises(TooMuch, match="3 entries"):
        read(packed(*each, Member("d/", more={"type": tarfile.DIRTYPE})), SMALL)


@pytest.mark.slow
def test_ten_thousand_entries_are_refused():
    with pytest.raises(TooMuch, match=str(ENTRIES_MAX)):
        read(packed(*(Member(f"{n}") for n in range(10_000))))


def test_headers_that_extend_nothing_are_counted():
    header = tarfile.TarInfo("g")
    header.type = tarfile.XGLTYPE
    with pytest.raises(TooMuch, match="3 entries"):
        read(gzip.compress(header.tobuf() * 13), SMALL)


def test_a_packed_archive_in_an_archive_is_just_a_file():
    inner = frames(2)

    assert read(packed(Member("inner.tar.gz", inner))) == [("inner.tar.gz", inner)]


# -- broken -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [0, 1, 9, 30, -1, -8])
def test_an_archive_that_is_cut_short_is_refused(cut):
    with pytest.raises(BadArchive):
        read(frames(3, size=5000)[:cut])


@pytest.mark.parametrize("behind", [b"\0", b"garbage", frames(1)])
def test_what_stands_behind_an_archive_is_refused(behind):
    with pytest.raises(BadArchive, match="behind"):
        read(frames(1) + behind)


@pytest.mark.parametrize("short", [-1, 0, 1])
def test_what_stands_behind_an_archive_is_seen_wherever_it_ends(short):
    plain = frames(2)
    room = PIECE_BYTES - len(plain) - 1 + short
    named = plain[:3] + b"\x08" + plain[4:10] + b"n" * room + b"\0" + plain[10:]

    assert len(named) == PIECE_BYTES + short
    assert len(read(named)) == 2
    with pytest.raises(BadArchive, match="behind"):
        read(named + b"x")


def test_what_stands_behind_the_tar_within_is_refused():
    with pytest.raises(BadArchive, match="behind its end"):
        read(gzip.compress(tar([Member("a", JPEG)]) + b"garbage"))


@pytest.mark.parametrize(
    "data",
    [b"", b"no", JPEG * 100, zlib.compress(b"x" * 100), gzip.compress(b"x" * 2000)],
    ids=["nothing", "a word", "a picture", "zlib", "gzip of no tar"],
)
def test_what_is_no_archive_is_refused(data):
    with pytest.raises(BadArchive):
        read(data)


def test_a_file_that_ends_before_its_size_is_refused():
    header = tarfile.TarInfo("a")
    header.size = 5000

    with pytest.raises(BadArchive, match="short"):
        read(gzip.compress(header.tobuf() + bytes(1024)))


@given(st.binary(max_size=3000), st.booleans())
def test_garbage_raises_nothing_else(data, zipped):
    with suppress(BadArchive, TooMuch):
        read(gzip.compress(data) if zipped else data)


@given(st.data())
def test_a_spoilt_archive_raises_nothing_else(data):
    kind = data.draw(st.sampled_from(FORMATS))
    spoilt = bytearray(tar([Member("n/" * 60 + "n", JPEG), Member("b", JPEG, {"linkname": "x"})], kind))
    for _ in range(data.draw(st.integers(1, 4))):
        spoilt[data.draw(st.integers(0, len(spoilt) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read(gzip.compress(spoilt))
    except (BadArchive, TooMuch):
        return
    assert all(isinstance(name, str) for name, _ in found)


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=300)


@given(st.lists(st.tuples(NAMES, st.binary(max_size=2000)), max_size=5), st.sampled_from(FORMATS[1:]))
def test_it_reads_what_the_library_reads(members_, kind):
    archive = tar([Member(f"to{name}y", data) for name, data in members_], kind)
    with tarfile.open(fileobj=io.BytesIO(archive)) as library:
        expected = [(each.name, library.extractfile(each).read()) for each in library]  # type: ignore[union-attr]

    assert read(gzip.compress(archive)) == expected
