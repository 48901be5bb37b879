"""The log in a file: what it insists on, its lock, and the write-ahead log that must stay short."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.exc import DatabaseError, OperationalError

from listener import errors
from listener.log import reader
from listener.log.database import Database
from listener.log.sqlite import OLDEST_USABLE, AppendLock, Sqlite, sqlite_engine, wal_reset_is_fixed
from tests import logbook
from tests.logbook import add, aside, bodies, is_waited_for, locked, opened, until

PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 2,
    "wal_autocheckpoint": 0,
    "secure_delete": 1,
    "recursive_triggers": 1,
}


# Letting go


def test_who_only_looks_waits_for_nobody(tmp_path: Path) -> None:
    """Not even at the end."""
    with opened(tmp_path) as database:
        add(database, b"one")
    looking = Sqlite(tmp_path)
    with locked(tmp_path):
        assert bodies(looking) == [b"one"]
        looking.close()


# What durability needs


def test_a_log_of_ours_is_suitable(tmp_path: Path) -> None:
    """As it is opened, it passes."""
    with opened(tmp_path) as database:
        database.assert_suitable()


def test_every_connection_has_the_pragmas(tmp_path: Path) -> None:
    """Not only the first one: pragmas belong to a connection, and a pool makes new ones."""
    with opened(tmp_path) as database, contextlib.ExitStack() as stack:
        for connection in [stack.enter_context(database.reading()) for _ in range(7)]:
            for name, value in PRAGMAS.items():
                assert connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() == value


@pytest.mark.parametrize(
    ("name", "off"),
    [
        ("synchronous", "NORMAL"),
        ("synchronous", "OFF"),
        ("wal_autocheckpoint", "1000"),
        ("secure_delete", "OFF"),
        ("journal_mode", "DELETE"),
        ("journal_size_limit", "-1"),
        ("recursive_triggers", "OFF"),
    ],
)
def test_a_pragma_that_is_off_is_noticed(tmp_path: Path, name: str, off: str) -> None:
    """The refusal names the file, the pragma, what it is and what it must be."""
    with opened(tmp_path) as database:
        with contextlib.closing(database.engine.raw_connection()) as connection:
            connection.cursor().execute(f"PRAGMA {name} = {off}")
        with pytest.raises(errors.UnsuitableDatabase, match=f"signlog.db: PRAGMA {name} is .*, and must be "):
            database.assert_suitable()


def test_an_sqlite_without_strict_tables_is_refused(tmp_path: Path) -> None:
    """It says which version there is, and what to install."""
    with opened(tmp_path) as database:
        database.assert_suitable(OLDEST_USABLE)
        with pytest.raises(errors.UnsuitableDatabase, match=r"SQLite 3\.36\.0 is too old; install"):
            database.assert_suitable((3, 36, 0))


@pytest.mark.parametrize("version", [(3, 44, 6), (3, 44, 7), (3, 50, 7), (3, 50, 9), (3, 51, 3), (3, 53, 4), (4, 0, 0)])
def test_a_fixed_sqlite_is_known(version: tuple[int, ...]) -> None:
    """3.51.3 and later, and what was mended in the lines of 3.44 and 3.50."""
    assert wal_reset_is_fixed(version)


@pytest.mark.parametrize(
    "version", [(3, 40, 1), (3, 43, 9), (3, 44, 5), (3, 45, 0), (3, 49, 9), (3, 50, 6), (3, 51, 0), (3, 51, 2)]
)
def test_an_sqlite_with_the_wal_reset_bug_is_known(version: tuple[int, ...]) -> None:
    """Everything before, and between the mended lines."""
    assert not wal_reset_is_fixed(version)


def test_the_installed_sqlite_is_fixed() -> None:
    """On Linux the pysqlite3 wheel sees to it, whatever the system brings."""
    if sys.platform == "linux":
        assert wal_reset_is_fixed()


WITHOUT_THE_WHEEL = """
import sys
sys.modules["pysqlite3"] = None
from pathlib import Path
from listener.log import sqlite
from tests import logbook
assert sqlite.sqlite.__name__ == "sqlite3"
with logbook.opened(Path(sys.argv[1])) as log:
    log.assert_suitable()
    logbook.add(log, b"one")
    assert log.checkpoint(truncate=True)
    logbook.add(log, b"two")
"""


@pytest.mark.skipif(sqlite3.sqlite_version_info < OLDEST_USABLE, reason="the system's SQLite has no STRICT tables")
def test_the_systems_sqlite_serves_too(tmp_path: Path) -> None:
    """Where there is no wheel, the standard library's SQLite writes the same file."""
    command = [sys.executable, "-c", WITHOUT_THE_WHEEL, str(tmp_path)]
    subprocess.run(command, check=True, cwd=logbook.ROOT, timeout=logbook.PATIENCE)
    with opened(tmp_path) as database:
        assert bodies(database) == [b"one", b"two"]


# One writer at a time


def test_the_lock_lets_one_in_at_a_time(tmp_path: Path) -> None:
    """Threads of one process, through one lock: nobody enters before the other has left."""
    lock, inside, most = AppendLock(tmp_path / "lock"), [0], [0]

    def work() -> None:
        for _ in range(200):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                os.sched_yield()
                inside[0] -= 1

    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(aside(work))
    assert most == [1]
    lock.close()


def test_a_write_shuts_out_even_those_who_do_not_know_the_lock(tmp_path: Path) -> None:
    """It begins IMMEDIATE: another tool cannot write in between, from the first statement on. A reader keeps nobody."""
    with opened(tmp_path) as database, contextlib.ExitStack() as stack:
        stranger = sqlite_engine(database.path, {"busy_timeout": 0}).execution_options(writing=True)
        stack.callback(stranger.dispose)
        other = stack.enter_context(stranger.connect())
        with database.writing(), pytest.raises(OperationalError, match="database is locked"):
            other.begin()
        with database.reading() as connection, other.begin():
            assert reader.head(connection) == 0


def test_two_can_open_a_new_file_at_once(tmp_path: Path) -> None:
    """Whoever comes second waits while the first writes; SQLite would say "database is locked" without waiting."""
    modes: list[str] = []
    with contextlib.ExitStack() as stack:
        first = sqlite_engine(tmp_path / "signlog.db", {}).execution_options(writing=True)
        stack.callback(first.dispose)
        with first.begin():
            second = stack.enter_context(aside(lambda: modes.append(mode(tmp_path))))
            second.join(0.1)
            assert second.is_alive()
        until(lambda: modes == ["wal"])


def mode(folder: Path) -> str:
    """How a log keeps its journal, opened just for that."""
    with contextlib.closing(Sqlite(folder)) as database, database.reading() as connection:
        found: str = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
        return found


def no_database(folder: Path) -> None:
    """Another file where the log should be."""
    (folder / "signlog.db").write_bytes(b"something else " * 1000)


def no_room_for_the_log(folder: Path) -> None:
    """A folder where the write-ahead log should be."""
    (folder / "signlog.db-wal").mkdir()


@pytest.mark.parametrize("spoil", [no_database, no_room_for_the_log])
def test_what_is_no_lock_is_not_waited_for(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    """Any other error comes at once, and as it is."""
    spoil(tmp_path)
    problems: list[str] = []
    with aside(lambda: problems.append(problem(tmp_path))) as opening:
        opening.join(5)  # half of the busy timeout
        assert not opening.is_alive()
    assert "locked" not in problems[0]


def problem(folder: Path) -> str:
    """What is wrong with a log that cannot be opened."""
    with pytest.raises(DatabaseError) as caught:
        mode(folder)
    return str(caught.value)


# The write-ahead log

MEGABYTE = 1024 * 1024


def in_the_file(folder: Path) -> int:
    """How many events the file holds by itself, without its write-ahead log."""
    shutil.copy(folder / "signlog.db", folder / "alone.db")
    with contextlib.closing(sqlite3.connect(folder / "alone.db")) as connection:
        found: int = connection.execute("SELECT count(*) FROM events").fetchone()[0]
        return found


def test_a_checkpoint_moves_the_write_ahead_log_into_the_file(tmp_path: Path) -> None:
    """Before it, the events are beside the file; after it, inside."""
    with opened(tmp_path) as database:
        assert database.checkpoint()
        add(database, b"one", b"two")
        assert in_the_file(tmp_path) == 0
        assert database.checkpoint()
        assert in_the_file(tmp_path) == 2


def test_nobody_checkpoints_by_the_way(tmp_path: Path) -> None:
    """However much is appended, no commit moves it: that is what `checkpoint` is for."""
    with opened(tmp_path) as database:
        database.checkpoint(truncate=True)
        for _ in range(8):
            add(database, bytes(MEGABYTE))
        assert database.wal_bytes() > 8 * MEGABYTE
        assert in_the_file(tmp_path) == 0


def test_what_was_moved_is_written_over(tmp_path: Path) -> None:
    """With a checkpoint between the appends, the write-ahead log does not grow."""
    with opened(tmp_path) as database:
        database.checkpoint(truncate=True)
        for _ in range(8):
            add(database, bytes(MEGABYTE))
            assert database.checkpoint()
        assert database.wal_bytes() < 2 * MEGABYTE


def test_a_checkpoint_waits_for_the_lock(tmp_path: Path) -> None:
    """Beside a commit it could lose what was acknowledged, where SQLite has the WAL-reset bug."""
    with opened(tmp_path) as database, contextlib.ExitStack() as stack:
        add(database, b"one")
        database.checkpoint()
        add(database, b"two")
        with locked(tmp_path):
            stack.enter_context(aside(database.checkpoint))
            until(lambda: is_waited_for(tmp_path))
            assert in_the_file(tmp_path) == 1
        until(lambda: in_the_file(tmp_path) == 2)


@pytest.mark.parametrize("truncate", [False, True])
def test_a_checkpoint_does_not_wait_for_a_reader(tmp_path: Path, truncate: bool) -> None:
    """It says that not all of it went, and lets the next one append; when the reader is gone, all of it goes."""
    with opened(tmp_path) as database:
        with database.reading() as connection:
            reader.head(connection)
            add(database, b"one")
            with aside(lambda: database.checkpoint(truncate)) as checkpoint:
                checkpoint.join(5)  # half of the busy timeout
                assert not checkpoint.is_alive()
            add(database, b"two")
            assert not database.checkpoint(truncate)
        assert database.checkpoint(truncate)
        assert in_the_file(tmp_path) == 2
        assert timeouts(database) == {10_000}  # whoever uses its connection next waits for others as before


def timeouts(database: Database) -> set[int]:
    """How long the connections of the pool wait for a lock, in milliseconds."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(database.reading()) for _ in range(5)]
        return {connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() for connection in connections}


def test_a_truncated_write_ahead_log_is_empty(tmp_path: Path) -> None:
    """An erasure is done only then; a plain checkpoint leaves the bytes where they were."""
    with opened(tmp_path) as database:
        add(database, b"one")
        assert database.checkpoint()
        assert database.wal_bytes() > 0
        assert database.checkpoint(truncate=True)
        assert database.wal_bytes() == 0


def test_erased_bytes_are_nowhere(tmp_path: Path) -> None:
    """Neither in a free page of the file nor in the write-ahead log, once that is truncated."""
    secret = os.urandom(3000)
    with opened(tmp_path) as database:
        add(database, secret)
        assert database.checkpoint(truncate=True)
        assert secret[-1000:] in on_disk(tmp_path)
        with database.writing() as connection:
            connection.exec_driver_sql("INSERT INTO erasures VALUES (1, 1)")
            connection.exec_driver_sql("UPDATE events SET body = NULL, headers = NULL, salt = NULL WHERE position = 1")
        assert database.checkpoint(truncate=True)
        assert secret[-1000:] not in on_disk(tmp_path)


def on_disk(folder: Path) -> bytes:
    """Everything that is in the files of the log."""
    return b"".join(path.read_bytes() for path in folder.glob("signlog.db*"))


def test_the_last_to_leave_tidies_up_under_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where SQLite has the WAL-reset bug. Closing the last connection checkpoints too. A closed log is one file."""
    monkeypatch.setattr("listener.log.sqlite.wal_reset_is_fixed", lambda: False)
    with opened(tmp_path) as database:
        database.checkpoint()
    database = Sqlite(tmp_path)
    add(database, b"one")
    with contextlib.ExitStack() as stack:
        with locked(tmp_path):
            stack.enter_context(aside(database.close))
            until(lambda: is_waited_for(tmp_path))
            assert in_the_file(tmp_path) == 0
        until(lambda: not (tmp_path / "signlog.db-wal").exists())
        assert in_the_file(tmp_path) == 1
