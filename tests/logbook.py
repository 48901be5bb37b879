"""A log to test with, other processes that use it, and a hand on its lock."""

import asyncio
import fcntl
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import psycopg

from listener.confined import NICER
from listener.log import reader
from listener.log.append import append, insert
from listener.log.database import Database
from listener.log.event import CALLBACK, Draft, Event, seal
from listener.log.migrate import migrate
from listener.log.postgres import LOCK, SCHEME, Postgres
from listener.log.sqlite import Sqlite
from tests import postgres

ROOT = Path(__file__).parents[1]
_WAITERS = (
    "SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = database "
    "WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()"
)
Where = Path | Database  # the folder of a log, or the log
PATIENCE = 30.0  # seconds until a test gives up, not until it goes on

_spawn = multiprocessing.get_context("spawn")  # nothing of the test's threads, files and locks is in the child


@contextmanager
def opened(folder: Path) -> Iterator[Sqlite]:
    """The log of a folder, made if it is not there."""
    database = Sqlite(folder)
    try:
        migrate(database)
        yield database
    finally:
        database.close()


@contextmanager
def either(folder: Path) -> Iterator[Database]:
    """The log of a folder that may lie in a server, made if it is not there."""
    database = connected(folder)
    try:
        migrate(database)
        yield database
    finally:
        database.close()


def connected(folder: Path) -> Database:
    """The database of a folder's log, as it is."""
    url = postgres.url(folder)
    return Sqlite(folder) if url is None else Postgres(url)


def callback(body: bytes = b"{}") -> Draft:
    """What the door appends."""
    return Draft(CALLBACK, "onespan", "onespan", body)


def add(database: Database, *bodies: bytes) -> list[Event]:
    """Append callbacks in a transaction of their own."""
    with database.writing() as connection:
        return append(connection, [callback(body) for body in bodies])


def bodies(database: Database) -> list[bytes | None]:
    """What the log holds, in order."""
    return [event.body for event in reader.every(database)]


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another thread or process does."""
    give_up_at = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up_at, "it did not happen"
        time.sleep(0.005)


def add_as_before(database: Database, *drafts: Draft) -> None:
    """Append to a log that was not migrated since its first version, as that version did."""
    with database.writing() as connection:
        log_id = reader.log_id(connection)
        insert(connection, [seal(draft, log_id, position, 1) for position, draft in enumerate(drafts, 1)])


def nicer() -> int:
    """The niceness of a process that gives way to us; nobody is nicer than 19, and we may be just that."""
    return min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICER)


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for something that another thread or process does, while the event loop goes on."""
    give_up_at = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up_at, "it did not happen"
        await asyncio.sleep(0.005)


@contextmanager
def locked(where: Where) -> Iterator[None]:
    """Hold the append lock as another process would: through a file or a connection that nobody else opened."""
    address = _address(where)
    if isinstance(address, str):
        with psycopg.connect(address) as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            yield
        return
    folder = address
    descriptor = os.open(folder / "signlog.lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _address(where: Where) -> Path | str:
    """The folder of a log, or its server."""
    if isinstance(where, Path):
        url = postgres.url(where)
        return where if url is None else postgres.plain(url)
    return postgres.plain(where.address) if where.address.startswith(SCHEME) else Path(where.address).parent


def another(database: Database) -> Database:
    """The same log, opened once more."""
    address = database.address
    return Postgres(address) if address.startswith(SCHEME) else Sqlite(Path(address).parent)


def is_waited_for(where: Where) -> bool:
    """Whether somebody stands in front of the append lock, as the kernel or the server sees it.

    proc_locks(5): "->" is a waiter.
    """
    folder = _address(where)
    if isinstance(folder, str):
        with psycopg.connect(folder) as connection:
            return bool(connection.execute(_WAITERS).fetchone())
    inode = f":{(folder / 'signlog.lock').stat().st_ino} "
    return any("-> FLOCK" in line and inode in line for line in Path("/proc/locks").read_text().splitlines())


@contextmanager
def aside(work: Callable[[], object]) -> Iterator[threading.Thread]:
    """A thread that does it, and has done it when the block ends."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield thread
    finally:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def spawned(work: Callable[..., object], *arguments: object) -> BaseProcess:
    """A process that does it, and ends with 0 if nothing went wrong."""
    process = _spawn.Process(target=work, args=arguments, daemon=True)
    process.start()
    return process


def ended(process: BaseProcess) -> int | None:
    """Wait for its end; its exit code."""
    process.join(PATIENCE)
    return process.exitcode


def open_when_told(folder: Path, number: int) -> None:
    """For another process: wait for the others, then open the log and append to it."""
    (folder / f"ready {number}").touch()
    until((folder / "go").exists)
    with either(folder) as database:
        database.assert_suitable()
        add(database, b"%d" % number)


def hold(folder: Path) -> None:
    """For another process: take the append lock and keep it until killed."""
    with locked(folder):
        (folder / "held").touch()
        time.sleep(3600)


def hold_there(address: str) -> None:
    """For another process: the same of a log in a server."""
    with psycopg.connect(address) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        time.sleep(3600)


def _is_held(address: str) -> bool:
    with psycopg.connect(address) as connection:
        found = connection.execute("SELECT NOT pg_try_advisory_xact_lock(%s)", (LOCK,)).fetchone()
    return bool(found and found[0])


@contextmanager
def held_by_another(where: Where) -> Iterator[BaseProcess]:
    """A real process that holds the append lock until it is killed."""
    address = _address(where)
    process = spawned(hold_there if isinstance(address, str) else hold, address)
    try:
        until(lambda: _is_held(address) if isinstance(address, str) else (address / "held").exists())
        yield process
    finally:
        process.kill()
        ended(process)
