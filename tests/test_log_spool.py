"""The spool's files: what was kept is read again as it was, or somebody hears that it cannot be."""

import contextlib
import os
import resource
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener import errors
from listener.log import spool
from listener.log.event import CALLBACK, Draft
from listener.log.reader import Tip
from listener.log.spool import DAMAGED, LOG, Spool, segments, standing
from listener.log.spooled import Spooled, line, parse, read
from tests import logbook

HEADERS = '[["a","\xe9\x00"]]'
FULL = Draft(
    CALLBACK, "source", "provider", b"\x00\xff\n", HEADERS, "POST", "/p", "::1", "192.0.2.1", "key:0", 5, b"s" * 16
)


def spooled(body: bytes, head: int = 7) -> Spooled:
    """A callback as it is spooled."""
    return Spooled(head, FULL._replace(body=body))


def numbered(count: int) -> list[Spooled]:
    """Different ones."""
    return [spooled(b"%d" % number) for number in range(count)]


def written(*records: Spooled) -> bytes:
    """A segment."""
    return b"".join(map(line, records))


@contextlib.contextmanager
def opened(folder: Path, most_bytes: int = 10**6) -> Iterator[Spool]:
    """The spool of a folder, as a door has it."""
    found = Spool(folder / "spool", most_bytes)
    try:
        yield found
    finally:
        found.close()


def waiting(found: Spool) -> list[Spooled]:
    """Everything that it holds, drained."""
    records = list[Spooled]()
    while (segment := found.oldest()) is not None:
        some, damaged = read(segment.content())
        assert damaged == []
        records += some
        found.remove(segment)
    return records


# A segment


@given(st.lists(st.tuples(st.binary(max_size=300), st.text(st.characters(exclude_categories=["Cs"])))))
def test_what_is_written_is_read(contents: list[tuple[bytes, str]]) -> None:
    """Any bytes, any letters, with salt and time."""
    records = [Spooled(3, FULL._replace(body=body, headers=headers)) for body, headers in contents]
    assert read(written(*records)) == (records, [])


def test_a_torn_tail_is_no_damage() -> None:
    """Cut at any byte: what is whole is there, and what is not was promised to nobody."""
    records = numbered(3)
    content = written(*records)
    ends = [len(written(*records[: n + 1])) for n in range(3)]
    for cut in range(len(content) + 1):
        whole = sum(end - 1 <= cut for end in ends)  # without its newline it is whole as well
        assert read(content[:cut]) == (records[:whole], [])


def test_any_flipped_bit_is_noticed() -> None:
    """No record is ever read as another one, and one that was promised is not passed over in silence."""
    assert flipped_in_silence() == 0


def test_without_the_checksum_it_would_not_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above is able to fail."""
    monkeypatch.setattr(zlib, "crc32", lambda _content: 0)
    assert flipped_in_silence() > 0


def flipped_in_silence() -> int:
    """Of all single bits, how many change what is read of three records, and no piece says so."""
    records = numbered(3)
    content = written(*records)
    silent = 0
    for bit in range(len(content) * 8):
        broken = bytearray(content)
        broken[bit // 8] ^= 1 << bit % 8
        found, damaged = read(bytes(broken))
        silent += (found != records and not damaged) or any(each not in records for each in found)
    return silent


def test_damage_costs_one_record() -> None:
    """The others are read."""
    records = numbered(3)
    content = written(records[0]) + line(records[1]).replace(b"provider", b"provided") + written(records[2])
    found, (piece,) = read(content)
    assert found == [records[0], records[2]]
    assert b"provided" in piece


@pytest.mark.parametrize("piece", [b"", b"x" * 17, b"x" * 40, b"00000002 00000000 {}", b"\x00" * 40])
def test_what_is_no_line_is_none(piece: bytes) -> None:
    """Whatever it is instead."""
    assert parse(piece) is None


def test_a_line_of_another_shape_is_damage() -> None:
    """Though its checksum is right: somebody else wrote it."""
    text = b'{"head": 1}'
    length = b"%08x" % len(text)
    assert parse(b"%s %08x %s" % (length, zlib.crc32(length + text), text)) is None


# The folder


def test_what_was_kept_is_there_in_order(tmp_path: Path) -> None:
    """For this door, and for the next one."""
    records = numbered(4)
    with opened(tmp_path) as found:
        found.keep(records[:2])
        found.keep(records[2:3])
    with opened(tmp_path) as found:
        found.keep(records[3:])
        assert waiting(found) == records
        assert found.waiting == 0
    assert segments(tmp_path / "spool") == []


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    """Neither folder nor file: there are bodies in it."""
    with opened(tmp_path) as found:
        found.keep(numbered(1))
        found.set_aside(b"x")
    for path in (tmp_path / "spool").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "spool").stat().st_mode) == 0o700


def test_the_bound_is_kept(tmp_path: Path) -> None:
    """Who does not fit is refused and leaves nothing; who fits is kept; drained, there is room again."""
    records = numbered(2)
    with opened(tmp_path, len(written(*records))) as found:
        found.keep(records)
        with pytest.raises(errors.Overloaded, match="already"):
            found.keep(records[:1])
        assert waiting(found) == records
        found.keep(records[:1])
    with opened(tmp_path, len(written(*records))) as found:
        with pytest.raises(errors.Overloaded):
            found.keep(records)
        assert waiting(found) == records[:1]


def test_segments_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long one is followed by another; while one is drained, others may be written."""
    monkeypatch.setattr(spool, "SEGMENT_BYTES", 1000)
    records = numbered(20)
    with opened(tmp_path) as found:
        for record in records[:19]:
            found.keep([record])
        assert len(segments(tmp_path / "spool")) == 3
        first = found.oldest()
        found.keep(records[19:])
        assert found.oldest() is first
        assert waiting(found) == records


def test_two_doors_may_have_one_folder(tmp_path: Path) -> None:
    """Each drains its own; what one that died left behind, the next one to start does."""
    one, other, third = ([spooled(body)] for body in (b"one", b"other", b"third"))
    with opened(tmp_path) as found, opened(tmp_path) as beside:
        found.keep(one)
        beside.keep(other)
        assert waiting(beside) == other
        beside.keep(third)
        beside.close()
        assert waiting(found) == one
        with opened(tmp_path) as late:
            assert waiting(late) == third


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    """Told, and taken back; what comes when there is room again stands behind what was whole."""
    assert logbook.ended(logbook.spawned(fill_the_disk, tmp_path)) == 0


def fill_the_disk(folder: Path) -> None:
    """For another process, which may write files of 4 KiB for a while."""
    records = numbered(2)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(folder) as found:
        found.keep(records[:1])
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        with pytest.raises(OSError, match="File too large"):
            found.keep([spooled(bytes(10_000))])
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        found.keep(records[1:])
        assert waiting(found) == records


def test_who_only_looks_sees_what_waits(tmp_path: Path) -> None:
    """How many, since when, and what was set aside; nothing where there is no folder."""
    assert standing(tmp_path / "spool") == (0, None, 0)
    with opened(tmp_path) as found:
        found.keep(numbered(3))
        found.set_aside(b"unreadable")
        os.write(os.open(segments(tmp_path / "spool")[0], os.O_WRONLY | os.O_APPEND), b"torn")
        assert standing(tmp_path / "spool") == (3, 5, 1)
    assert (tmp_path / "spool" / DAMAGED).read_bytes() == b"unreadable\n"


# Which log it belongs to


def test_where_the_log_ended_is_kept(tmp_path: Path) -> None:
    """For the next door, as it was noted last; of another log nothing is known."""
    with opened(tmp_path) as found:
        found.note(Tip(3, b"leaf"))
        assert found.tip == Tip()  # of which log?
        found.belong(b"one", Tip(3, b"leaf"))
        found.note(Tip(4, b"next"))
        found.note(Tip(9))
        found.keep([spooled(b"x")])
        assert found.tip == Tip(4, b"next")
    with opened(tmp_path) as found:
        assert found.tip == Tip(4, b"next")
        found.belong(b"one", Tip(2, b"cut"))
        with pytest.raises(errors.UnsuitableDatabase, match="what waits in"):
            found.belong(b"two", Tip())
        waiting(found)
        found.belong(b"two", Tip())
        assert found.tip == Tip()


@pytest.mark.parametrize("content", [b"", b"0123", b"[1, [2]]", b'["0123", [1, "!"]]', b"\xff"])
def test_a_note_that_nobody_can_read_says_nothing(tmp_path: Path, content: bytes) -> None:
    """Then all of the log is looked at."""
    with opened(tmp_path) as found:
        (tmp_path / "spool" / LOG).write_bytes(content)
        assert found.tip == Tip()
        found.belong(b"one", Tip(3, b"leaf"))
        assert found.tip == Tip(3, b"leaf")
