"""What was refused is kept for a person to look at, and no flood pushes it out."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from listener.log.append import now
from listener.quarantine import Kept, Quarantine, Refused, block
from tests.logbook import PATIENCE, ended, spawned, until

KEY, PATH = "wrong callback key", "unknown source"
ALICE, BOB = "192.0.2.1", "198.51.100.1"
HOSTILE = "\x00\x1f\x7f\x80ÿ\u2028😀'\"\\"


@contextmanager
def opened(folder: Path, most_bytes: int = 1_000_000, most_rows: int = 1000) -> Iterator[Quarantine]:
    """A quarantine that is closed at the end."""
    quarantine = Quarantine(folder, most_bytes, most_rows)
    try:
        yield quarantine
    finally:
        quarantine.close()


def refused(body: bytes = b"{}", reason: str = KEY, client: str = ALICE, genuine: bool = False) -> Refused:
    """A callback at which the door shook its head."""
    return Refused("onespan", 401, reason, client, client, genuine, "key:0123", "/callbacks/onespan", "[]", body, True)


def bodies(quarantine: Quarantine) -> list[bytes]:
    """What is kept, oldest first."""
    return [kept.body for kept in quarantine.rows()]


def those_of(quarantine: Quarantine, client: str) -> list[int]:
    """The numbers of a client's rows."""
    return [kept.id for kept in quarantine.rows() if kept.client == client]


# Keeping


def test_what_is_kept_is_found_again(tmp_path: Path) -> None:
    """Every field, byte for byte, the hostile ones too; with a number and a time."""
    one = Refused(HOSTILE, 404, HOSTILE, HOSTILE, HOSTILE, True, HOSTILE, HOSTILE, HOSTILE, bytes(range(256)), False)
    with opened(tmp_path) as quarantine:
        before = now()
        number = quarantine.keep(one)
        kept = quarantine.one(number)
        assert isinstance(kept, Kept)
        fields = kept._asdict()
        assert {name: fields[name] for name in Refused._fields} == one._asdict()
        assert kept.id == number
        assert before <= kept.received_at <= now()
        assert (kept.genuine, kept.whole) == (True, False)
        assert quarantine.rows() == [kept]


def test_what_was_never_kept_is_not_found(tmp_path: Path) -> None:
    """An empty quarantine has no rows, none of any number, and nothing to drop."""
    with opened(tmp_path) as quarantine:
        assert quarantine.rows() == []
        assert quarantine.one(1) is None
        assert not quarantine.drop(1)
        assert quarantine.count() == (0, 0)


def test_the_newest_are_listed_oldest_first(tmp_path: Path) -> None:
    """A limit cuts at the old end."""
    with opened(tmp_path) as quarantine:
        for body in (b"a", b"b", b"c"):
            quarantine.keep(refused(body))
        assert bodies(quarantine) == [b"a", b"b", b"c"]
        assert [kept.body for kept in quarantine.rows(2)] == [b"b", b"c"]
        assert [kept.body for kept in quarantine.rows(9)] == [b"a", b"b", b"c"]


def test_genuine_ones_are_counted_apart(tmp_path: Path) -> None:
    """A number and not a yes: three look genuine, of five."""
    with opened(tmp_path) as quarantine:
        for genuine in (True, False, True, True, False):
            quarantine.keep(refused(genuine=genuine))
        assert quarantine.count() == (5, 3)
        assert [type(number) for number in quarantine.count()] == [int, int]


def test_a_dropped_row_is_gone(tmp_path: Path) -> None:
    """Only that one, and only once."""
    with opened(tmp_path) as quarantine:
        numbers = [quarantine.keep(refused(body)) for body in (b"a", b"b", b"c")]
        assert quarantine.drop(numbers[1])
        assert not quarantine.drop(numbers[1])
        assert bodies(quarantine) == [b"a", b"c"]
        assert quarantine.one(numbers[1]) is None


def test_it_survives_a_restart(tmp_path: Path) -> None:
    """Rows and numbers go on where they ended."""
    with opened(tmp_path) as quarantine:
        first = quarantine.keep(refused(b"a"))
    with opened(tmp_path) as quarantine:
        assert quarantine.keep(refused(b"b")) > first
        assert bodies(quarantine) == [b"a", b"b"]


def test_a_number_is_never_given_twice(tmp_path: Path) -> None:
    """Not after the newest row was dropped, nor after a restart: somebody may have written it down."""
    seen = set()
    for _ in range(3):
        with opened(tmp_path) as quarantine:
            for _ in range(2):
                number = quarantine.keep(refused())
                assert number not in seen
                seen.add(number)
                assert quarantine.drop(number)


READ = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM quarantine').fetchone())"


def test_what_is_kept_is_seen_by_others(tmp_path: Path) -> None:
    """Committed before `keep` returns: another process, with another SQLite, finds it."""
    with opened(tmp_path) as quarantine:
        for number in (1, 2):
            quarantine.keep(refused())
            command = [sys.executable, "-c", READ, str(tmp_path / "quarantine.db")]
            run = subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
            assert int(run.stdout) == number


# Bounds


def test_it_is_bounded_in_rows(tmp_path: Path) -> None:
    """However small they are; the newest is always there."""
    with opened(tmp_path, most_rows=50) as quarantine:
        for number in range(200):
            kept = quarantine.keep(refused(b"%d" % number))
            assert quarantine.one(kept) is not None
            assert quarantine.count()[0] <= 50
        assert quarantine.count()[0] > 40
        assert bodies(quarantine)[-1] == b"199"


def test_it_is_bounded_in_bytes(tmp_path: Path) -> None:
    """However few they are; there is always room for the next one."""
    with opened(tmp_path, most_bytes=100_000) as quarantine:
        for number in range(40):
            kept = quarantine.keep(refused(bytes(1000 * (number % 20))))
            assert quarantine.one(kept) is not None
            assert sum(map(len, bodies(quarantine))) <= 100_000
        assert quarantine.count()[0] > 4


def test_it_keeps_all_while_there_is_room(tmp_path: Path) -> None:
    """The counter-example: below both bounds nothing goes."""
    with opened(tmp_path, most_bytes=100_000, most_rows=40) as quarantine:
        numbers = [quarantine.keep(refused(bytes(1000))) for _ in range(40)]
        assert [kept.id for kept in quarantine.rows()] == numbers


def test_headers_and_path_count_as_well(tmp_path: Path) -> None:
    """Empty bodies with long heads do not slip through the bound."""
    with opened(tmp_path, most_bytes=100_000) as quarantine:
        for _ in range(40):
            quarantine.keep(refused(b"")._replace(headers="h" * 10_000, path="p" * 10_000))
        assert quarantine.count()[0] <= 5


def test_the_oldest_go_first(tmp_path: Path) -> None:
    """What is left is the newest, without a hole; no more goes than makes room for a twentieth."""
    with opened(tmp_path, most_bytes=20_000, most_rows=20) as quarantine:
        numbers = [quarantine.keep(refused()) for _ in range(21)]
        assert those_of(quarantine, ALICE) == numbers[2:]


@pytest.mark.parametrize("size", [10, 3000], ids=["many small rows", "big bodies"])
@pytest.mark.parametrize(("reason", "client"), [(KEY, BOB), (PATH, ALICE), (PATH, BOB)])
def test_a_flood_makes_room_for_itself(tmp_path: Path, size: int, reason: str, client: str) -> None:
    """From one block, or for one reason: nobody else's rows go, even if they are few and big and came first."""
    with opened(tmp_path, most_bytes=200_000, most_rows=100) as quarantine:
        kept = [quarantine.keep(refused(bytes(15_000))) for _ in range(4)]
        for _ in range(150):
            quarantine.keep(refused(bytes(size), reason, client))
        assert [row.id for row in quarantine.rows() if len(row.body) == 15_000] == kept
        assert quarantine.count()[0] > 30


def test_neighbours_flood_as_one(tmp_path: Path) -> None:
    """An attacker has more than one address; those of one block are one group, and smaller than nobody."""
    with opened(tmp_path, most_rows=50) as quarantine:
        kept = [quarantine.keep(refused()) for _ in range(15)]
        for number in range(100):
            quarantine.keep(refused(client=f"203.0.113.{number}"))
        assert those_of(quarantine, ALICE) == kept


def test_a_flood_from_everywhere_leaves_the_newest(tmp_path: Path) -> None:
    """Many blocks with a row each: no group is larger, so the oldest of all go, and no more than needed."""
    with opened(tmp_path, most_rows=200) as quarantine:
        numbers = [quarantine.keep(refused(client=f"10.0.{number}.1")) for number in range(201)]
        kept = [row.id for row in quarantine.rows()]
        assert 185 < len(kept) <= 191
        assert kept == numbers[-len(kept) :]


def test_two_equal_groups_shrink_alike(tmp_path: Path) -> None:
    """The largest first, and then in turn."""
    with opened(tmp_path, most_rows=100) as quarantine:
        for number in range(250):
            quarantine.keep(refused(client=(ALICE, BOB)[number % 2]))
        counts = [len(those_of(quarantine, client)) for client in (ALICE, BOB)]
        assert abs(counts[0] - counts[1]) <= 2
        assert sum(counts) > 90


def test_genuine_ones_only_make_room_for_their_like(tmp_path: Path) -> None:
    """A flood of others does not touch them, not even one for the same reason from the same address."""
    with opened(tmp_path, most_rows=50) as quarantine:
        kept = [quarantine.keep(refused(genuine=True)) for _ in range(50)]
        for _ in range(100):
            quarantine.keep(refused())
        assert [row.id for row in quarantine.rows() if row.genuine] == kept
        assert quarantine.count()[0] <= 100


def test_genuine_ones_do_make_room_for_their_like(tmp_path: Path) -> None:
    """They are bounded too, and push out none of the others."""
    with opened(tmp_path, most_rows=50) as quarantine:
        kept = [quarantine.keep(refused()) for _ in range(50)]
        for _ in range(100):
            quarantine.keep(refused(genuine=True))
        assert [row.id for row in quarantine.rows() if not row.genuine] == kept
        total, genuine = quarantine.count()
        assert total - genuine == 50
        assert 40 < genuine <= 50


# The file


def on_disk(folder: Path) -> int:
    """The size of everything that belongs to the quarantine, in bytes."""
    return sum(path.stat().st_size for path in folder.glob("quarantine.db*"))


def test_the_file_shrinks_when_rows_are_dropped(tmp_path: Path) -> None:
    """What a person threw away takes no room any more."""
    with opened(tmp_path) as quarantine:
        numbers = [quarantine.keep(refused(bytes(50_000))) for _ in range(15)]
    full = on_disk(tmp_path)
    assert full > 750_000
    with opened(tmp_path) as quarantine:
        for number in numbers[1:]:
            quarantine.drop(number)
    assert on_disk(tmp_path) < full // 5


def test_the_file_does_not_grow_with_the_flood(tmp_path: Path) -> None:
    """Ten times its bound has gone through, and it is no bigger than after the first, without a restart."""
    with opened(tmp_path, most_bytes=1_000_000) as quarantine:
        for _ in range(200):
            quarantine.keep(refused(bytes(50_000)))
        assert (tmp_path / "quarantine.db").stat().st_size < 1_500_000
        assert on_disk(tmp_path) < 8_000_000
    assert on_disk(tmp_path) < 1_500_000


def test_dropped_bytes_are_nowhere(tmp_path: Path) -> None:
    """They may be anybody's; none of them is left in a free page."""
    marker = b"nobody's business " * 100
    with opened(tmp_path) as quarantine:
        number = quarantine.keep(refused(marker))
        quarantine.keep(refused(b"stays"))
    assert marker in (tmp_path / "quarantine.db").read_bytes()
    with opened(tmp_path) as quarantine:
        quarantine.drop(number)
    content = (tmp_path / "quarantine.db").read_bytes()
    assert b"nobody's business" not in content
    assert b"stays" in content


# Several at once


def test_every_row_is_read_once(tmp_path: Path) -> None:
    """Oldest first, over the ends of pages, though rows are dropped on the way."""
    with opened(tmp_path) as quarantine:
        numbers = [quarantine.keep(refused(b"%d" % number)) for number in range(120)]
        seen = []
        for kept in quarantine.every():
            seen.append(kept.id)
            quarantine.drop(kept.id)
        assert seen == numbers
        assert list(quarantine.every()) == []


def test_a_compact_file_has_no_trace_of_what_was_dropped(tmp_path: Path) -> None:
    """However often SQLite moved rows around it; what is kept is kept."""
    with opened(tmp_path) as quarantine:
        numbers = [quarantine.keep(refused(b"<%d>" % number * (number % 90 + 1))) for number in range(400)]
        for number in numbers[::2]:
            quarantine.drop(number)
        assert quarantine.compact()
        content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert [b"<%d>" % number in content for number in range(400)] == [False, True] * 200
        assert len(quarantine.rows()) == 200


def keep_when_told(folder: Path, client: str) -> None:
    """For another process: wait for the others, then open it and keep fifty, dropping every fifth."""
    (folder / f"ready {client}").touch()
    until((folder / "go").exists)
    with opened(folder) as quarantine:
        for number in range(50):
            kept = quarantine.keep(refused(b"%d" % number, client=client))
            if number % 5 == 0:
                assert quarantine.drop(kept)


def test_several_processes_keep_at_once(tmp_path: Path) -> None:
    """A door and commands, on a file that is not there yet: nothing is lost, and nobody is locked out."""
    clients = [ALICE, BOB, "203.0.113.1"]
    processes = [spawned(keep_when_told, tmp_path, client) for client in clients]
    until(lambda: len(list(tmp_path.glob("ready *"))) == len(processes))
    (tmp_path / "go").touch()
    assert [ended(process) for process in processes] == [0] * len(processes)
    with opened(tmp_path) as quarantine:
        rows = quarantine.rows()
        assert len({row.id for row in rows}) == 3 * 40
        for client in clients:
            assert [int(row.body) for row in rows if row.client == client] == [n for n in range(50) if n % 5]


def test_its_pragmas_are_on(tmp_path: Path) -> None:
    """Durable before the answer, and a file that can shrink."""
    with opened(tmp_path) as quarantine, quarantine._engine.connect() as ours:
        assert ours.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
    with sqlite3.connect(tmp_path / "quarantine.db") as connection:
        for name, value in (("journal_mode", "wal"), ("auto_vacuum", 1)):
            assert connection.execute(f"PRAGMA {name}").fetchone() == (value,)
    connection.close()


# Neighbourhoods


@pytest.mark.parametrize(
    ("client", "found"),
    [
        ("192.0.2.1", "192.0.2.0/24"),
        ("192.0.2.255", "192.0.2.0/24"),
        ("192.0.3.1", "192.0.3.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("2001:DB8:1:FFFF::", "2001:db8:1::/48"),
        ("2001:db8:2::", "2001:db8:2::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("", ""),
        ("unix:", "unix:"),
        ("192.0.2", "192.0.2"),
    ],
)
def test_a_block_is_the_neighbourhood_of_an_address(client: str, found: str) -> None:
    """A /24, or a /48 of IPv6; what is no address is its own."""
    assert block(client) == found
