"""The log in a file: the one place that knows SQLite, its pragmas and its locks."""

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import sqlalchemy
from sqlalchemy import Connection, Engine, event

from listener import errors

try:  # a current SQLite, whatever the system brings
    import pysqlite3 as sqlite
except ImportError:  # no wheel for this platform
    import sqlite3 as sqlite

SQLITE_VERSION: Final[tuple[int, ...]] = sqlite.sqlite_version_info

# Before these, a commit during another connection's checkpoint can lose acknowledged rows (https://sqlite.org/wal.html,
# "the WAL-reset bug"). An older SQLite still serves, because every checkpoint runs under the append lock.
_WAL_RESET_FIXED: Final = {(3, 44): (3, 44, 6), (3, 50): (3, 50, 7)}
OLDEST_USABLE: Final = (3, 37, 0)  # STRICT tables

_PRAGMAS: Final = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL: an acknowledged event survives a power cut; NORMAL lost some in every run measured
    "wal_autocheckpoint": 0,  # checkpoints run under the append lock, never inside somebody's commit
    "secure_delete": 1,
    "journal_size_limit": 64 * 1024 * 1024,  # a log that a long reader made grow is cut back when it is done
    "recursive_triggers": 1,
}
_BUSY_MS: Final = 10_000


def wal_reset_is_fixed(version: tuple[int, ...] = SQLITE_VERSION) -> bool:
    """Whether this SQLite may checkpoint beside a commit without losing rows."""
    return version >= _WAL_RESET_FIXED.get((version[0], version[1]), (3, 51, 3))


def sqlite_engine(path: Path, pragmas: dict[str, Any], module: ModuleType = sqlite) -> Engine:
    """An engine whose transactions begin when we say so, with these pragmas on every connection."""
    # For every None and bytes the driver looks for somebody who adapts it: without one, that takes a microsecond.
    module.register_adapter(type(None), lambda none: none)
    module.register_adapter(bytes, bytes)
    engine = sqlalchemy.create_engine(
        f"sqlite:///{path}",
        module=module,
        connect_args={"timeout": _BUSY_MS / 1000},
        hide_parameters=True,  # an error is logged, and they hold bodies
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # pysqlite would begin by itself, and never IMMEDIATE
        for name, value in pragmas.items():
            _set(connection, module, name, value)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A read transaction that turns into a write fails with "database is locked", busy_timeout or not.
        how = "IMMEDIATE" if connection.get_execution_options().get("writing") else "DEFERRED"
        connection.exec_driver_sql(f"BEGIN {how}")

    return engine


def _set(connection: Any, module: ModuleType, name: str, value: Any) -> None:
    """Set a pragma, waiting as long as for any lock: SQLite itself does not when two switch a new file to WAL."""
    give_up_at = time.monotonic() + _BUSY_MS / 1000
    while True:
        try:
            connection.execute(f"PRAGMA {name} = {value}").close()
            return
        except module.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != module.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
            time.sleep(0.01)


def read_only(path: Path) -> Engine:
    """The log's database for a process that only looks."""
    return sqlite_engine(path, {"query_only": 1})


@contextlib.contextmanager
def scratch() -> Iterator[Connection]:
    """A transaction on an empty database in memory."""
    engine = sqlite_engine(Path(":memory:"), {})
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


class AppendLock:
    """One writer at a time over all processes: SQLite's own lock is unfair and starves the door under load.

    Not reentrant. The thread lock comes first because flock belongs to the open file, which the threads share.
    """

    def __init__(self, path: Path) -> None:
        self._threads = threading.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> None:
        self._threads.acquire()
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except BaseException:
            self._threads.release()
            raise

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._threads.release()

    def close(self) -> None:
        os.close(self._file)


class Sqlite:
    """`signlog.db` in a local folder, written only under the append lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "signlog.db"
        self.name = self.address = str(self.path)
        self._wal = folder / "signlog.db-wal"
        self.lock = AppendLock(folder / "signlog.lock")
        self.engine = sqlite_engine(self.path, _PRAGMAS)
        self._writing = self.engine.execution_options(writing=True)

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A write transaction: under the append lock, begun IMMEDIATE, durable when the block ends."""
        with self.lock, self._writing.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read transaction. Keep it short: a long one stops WAL checkpoints, and the WAL grows."""
        with self.engine.begin() as connection:
            yield connection

    def scratch(self) -> AbstractContextManager[Connection]:
        """An empty database in memory."""
        return scratch()

    def probe(self) -> None:
        """A durable write that changes nothing: it raises what an append would raise now."""
        with self.writing() as connection:
            connection.exec_driver_sql("PRAGMA user_version = 0")

    def interrupt(self, seconds: float) -> None:
        """Nothing: whoever waits for the lock has it when its holder lets go, or ends."""

    def wal_bytes(self) -> int:
        """The size of the write-ahead log on disk: it is written again from its start once all of it was moved."""
        try:
            return self._wal.stat().st_size
        except FileNotFoundError:
            return 0

    def wal_written_at(self) -> int:
        """When anybody last wrote to the write-ahead log: nanoseconds, only to be compared."""
        try:
            return self._wal.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def checkpoint(self, truncate: bool = False) -> bool:
        """Move the write-ahead log into the file, under the append lock; whether all of it went.

        Never waits for readers: whoever wants to append would wait with it.
        """
        mode = "TRUNCATE" if truncate else "PASSIVE"
        with self.lock, contextlib.closing(self.engine.raw_connection()) as connection:
            cursor = connection.cursor()
            cursor.execute("PRAGMA busy_timeout = 0")
            try:
                cursor.execute(f"PRAGMA wal_checkpoint({mode})")
                busy, in_wal, moved = cursor.fetchall()[0]
            finally:
                cursor.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
            return not busy and in_wal == moved

    def leave_no_trace(self) -> bool:
        """Empty the write-ahead log, where what was overwritten stands; False while somebody reads."""
        return self.checkpoint(truncate=True)

    def alarms(self) -> list[str]:
        """Whether SQLite has a bug that only our lock keeps away."""
        alarms = []
        if not wal_reset_is_fixed():
            version = ".".join(map(str, SQLITE_VERSION))
            alarms.append(
                f"SQLite {version} has the WAL-reset bug and serves only because of our lock; install pysqlite3"
            )
        return alarms

    def notes(self) -> list[str]:
        """Nothing."""
        return []

    def assert_suitable(self, version: tuple[int, ...] = SQLITE_VERSION) -> None:
        """Raise UnsuitableDatabase unless SQLite and every pragma are what durability needs."""
        if version < OLDEST_USABLE:
            found = ".".join(map(str, version))
            raise errors.UnsuitableDatabase(f"SQLite {found} is too old; install the pysqlite3 wheel or SQLite 3.51.3")
        with self.engine.connect() as connection:
            for name, wanted in _PRAGMAS.items():
                found = connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                if found != wanted:
                    raise errors.UnsuitableDatabase(f"{self.path}: PRAGMA {name} is {found!r}, and must be {wanted!r}")

    def close(self) -> None:
        """Let go of every connection. The last one to close checkpoints: under the lock, where SQLite has the bug.

        Then whoever only looks waits at his end for who holds it.
        """
        with contextlib.nullcontext() if wal_reset_is_fixed() else self.lock:
            self.engine.dispose()
        self.lock.close()


class Copy:
    """A log in a file of its own that nobody writes to: a backup."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine = sqlite_engine(path, {"query_only": 1})

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read transaction."""
        with self._engine.begin() as connection:
            yield connection

    def scratch(self) -> AbstractContextManager[Connection]:
        """An empty database in memory."""
        return scratch()

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()
