"""A generation of the views in a file of its own, beside that of the log."""

import contextlib
import itertools
import shutil
import sqlite3 as system_sqlite  # sorts on disk; that of the driver sorts in memory, whatever the size
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, ExceptionContext, event

from listener import bookkeeping, errors, files
from listener.log.sqlite import sqlite_engine
from listener.reading_ahead import read_ahead
from listener.settling import remove, remove_folder, settling
from listener.views import BESIDE

# Larger than SQLite's own: a package's row has half a kilobyte, and whoever builds and compares reads all of them.
_PAGE: Final = {"page_size": 8_192}

# What is lost in a power cut is folded again; the log it is folded from is never at risk here.
_PRAGMAS: Final = {**_PAGE, "journal_mode": "wal", "synchronous": 1, "journal_size_limit": 64 * 1024 * 1024}

# Nobody looks at a generation while it is built, and half of one is of no use.
# The cache is also how much is sorted in memory at once, beside the reading.
_BUILDING: Final = {
    **_PAGE,
    "journal_mode": "off",
    "synchronous": 0,
    "locking_mode": "exclusive",
    "cache_size": -8_192,
}
_BUILDING_BESIDE: Final = {**_BUILDING, "locking_mode": "normal"}
_INDEXING: Final = {**_BUILDING, "threads": 1}  # at the end nobody else needs the processors

_CORRUPT, _NOT_A_DATABASE = 11, 26  # https://sqlite.org/rescode.html

_SCRATCH: Final = "replay-"  # how folders begin in which a generation is built that nobody will be shown
_LEFT_BEHIND: Final = (f"{_SCRATCH}*", ".restoring-*", "signlog-views-*.parts")  # by who was killed, or is too late


class FileViews:
    """A generation's file."""

    def __init__(self, folder: Path, generation: int) -> None:
        self.generation = generation
        self.path = folder / f"signlog-views-{generation}.db"
        self.name = str(self.path)
        self.half = self.path.with_suffix(".half")  # while it is built
        self._parts = self.path.with_suffix(".parts")  # what it is made of then
        self.damaged = self.path.with_suffix(".damaged")  # somebody could not read it: the worker will look into that
        self._engine = sqlite_engine(self.path, _PRAGMAS)
        event.listen(self._engine, "handle_error", self._tell_damage)
        self._writing = self._engine.execution_options(writing=True)
        self._opened: tuple[int, int] | None = None  # device and inode

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A write transaction, begun IMMEDIATE."""
        self._look_again()
        with self._writing.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read transaction."""
        self._assert_there()
        with self._engine.begin() as connection:
            yield connection

    def _assert_there(self) -> None:
        """SQLite would make an empty one."""
        if not self.exists():
            raise errors.ViewsError(f"{self.path} is not there yet; the worker makes it: run 'signlog serve'")
        self._look_again()

    def _look_again(self) -> None:
        """Somebody may have built it anew since: a connection of before has the file that was removed then."""
        with contextlib.suppress(FileNotFoundError):
            found = self.path.stat()
            if self._opened not in (None, (found.st_dev, found.st_ino)):
                self._engine.dispose()
            self._opened = found.st_dev, found.st_ino

    def _tell_damage(self, context: ExceptionContext) -> None:
        error = context.original_exception
        damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF in (_CORRUPT, _NOT_A_DATABASE)
        if damaged:
            with contextlib.suppress(OSError):
                self.damaged.touch()
        if damaged or str(error).startswith(("no such table", "no such column")):
            raise errors.ViewsError(f"{self.path} is damaged ({error}); the worker folds it anew") from error

    def assert_sound(self) -> None:
        """Look through the file, if somebody said that it is damaged."""
        if not self.damaged.exists():
            return
        self.damaged.unlink(missing_ok=True)
        self._engine.dispose()  # connections of before hold pages in memory
        with self.reading() as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if found != "ok":
            raise errors.ViewsError(f"{self.path} is damaged ({found}); the worker folds it anew")

    def create(self, log_id: bytes, origin: str) -> None:
        """Make the tables of an empty generation, unless they are there."""
        with self.writing() as connection:
            bookkeeping.create(connection, log_id, origin)

    @contextlib.contextmanager
    def workshop(self) -> Iterator[Path]:
        """Beside the file. Who is killed meanwhile leaves it behind, or half of the file."""
        self.discard()
        self.half.touch()
        self._parts.mkdir(mode=0o700)
        try:
            yield self._parts
        finally:
            remove_folder(self._parts)

    @contextlib.contextmanager
    def building(self, log_id: bytes, origin: str, other: "FileViews | None" = None) -> Iterator[Connection]:
        """Fill a file in one transaction that cannot be undone: it has no journal.

        It is whole and durable when the block ends; before that it has another name.
        """
        self._clear()
        engine = self._sorting(_BUILDING) if other is None else sqlite_engine(self.half, _BUILDING_BESIDE)
        try:
            with engine.connect() as connection:
                if other is not None:
                    _attach(connection, other)
                with connection.begin(), settling(self.half):
                    bookkeeping.make_tables(connection, log_id, origin)
                    yield connection
        finally:
            engine.dispose()
        with settling(self.half):
            self._index()
        files.sync(self.half)
        self.half.rename(self.path)
        files.sync_folder(self.path.parent)

    def _sorting(self, pragmas: Mapping[str, Any]) -> Engine:
        """For who sorts on disk what is built, in the same folder: nothing else need be writable, and it has a reserve.

        Two SQLite libraries in a process lose each other's locks on a file: nobody else may have this one open.
        """
        folder = str(self.path.parent).replace("'", "''")
        return sqlite_engine(self.half, {**pragmas, "temp_store_directory": f"'{folder}'"}, system_sqlite)

    def _index(self) -> None:
        engine = self._sorting(_INDEXING)
        try:
            with engine.begin() as connection:
                bookkeeping.make_indexes(connection)
        finally:
            engine.dispose()

    @contextlib.contextmanager
    def beside(self, other: "FileViews") -> Iterator[Connection]:
        """A transaction over both files."""
        self._look_again()
        other._assert_there()
        with self._engine.connect() as connection:
            _attach(connection, other)
            try:
                with connection.begin():
                    yield connection
            finally:
                connection.connection.execute(f"DETACH DATABASE {BESIDE}").close()

    def read_ahead(self) -> AbstractContextManager[None]:
        """A block in which all of the file is read."""
        return read_ahead(self.path)

    def exists(self) -> bool:
        """Whether the file is there."""
        return self.path.exists()

    def is_half(self) -> bool:
        """Whether it has the name that it has while it is built."""
        return self.half.exists()

    def discard(self) -> None:
        """Remove the file, what SQLite keeps beside it, half of one and its parts."""
        remove_folder(self._parts)
        self._clear()

    def _clear(self) -> None:
        for path in (self.half, self.damaged, *(Path(f"{self.path}{suffix}") for suffix in ("", "-wal", "-shm"))):
            remove(path)

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()


def _attach(connection: Connection, other: FileViews) -> None:
    """Before the transaction begins; with its locking mode, so that others go on reading and writing there."""
    connection.connection.execute(f"ATTACH DATABASE ? AS {BESIDE}", (str(other.path),)).close()


class FileShelf:
    """The files of all generations, in the folder of the log."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def generation(self, number: int) -> FileViews:
        """The file of that number."""
        return FileViews(self._folder, number)

    def numbers(self) -> set[int]:
        """By the names of the files."""
        return self._named("db")

    def halves(self) -> set[int]:
        """By the names that they, and their parts, have while they are built."""
        return self._named("half") | self._named("parts")

    def _named(self, suffix: str) -> set[int]:
        found = self._folder.glob(f"signlog-views-*.{suffix}*")
        stems = [path.stem.removeprefix("signlog-views-") for path in found]
        return {int(stem) for stem in stems if stem.isdecimal()}

    @contextlib.contextmanager
    def scratch(self) -> Iterator[FileViews]:
        """In a folder of its own."""
        with (
            tempfile.TemporaryDirectory(dir=self._folder, prefix=_SCRATCH) as folder,
            contextlib.closing(FileViews(Path(folder), 0)) as found,
        ):
            yield found

    def assert_room(self, reserve: int, generation: int | None = None) -> None:
        """Look at the disk of the folder."""
        size = 0 if generation is None else self.generation(generation).path.stat().st_size
        free = shutil.disk_usage(self._folder).free
        if free - size < reserve:
            raise errors.DiskReserve(
                f"{free} bytes are free in {self._folder}; {size} more would leave less than disk_reserve; make room"
            )

    def leave_no_trace(self) -> bool:
        """Remove the folders of those who were killed at a replay or a restore."""
        for left in itertools.chain.from_iterable(map(self._folder.glob, _LEFT_BEHIND)):
            shutil.rmtree(left, ignore_errors=True)
        return True
