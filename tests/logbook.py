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

from listener.log import reader
from listener.log.append import append
from listener.log.database import Database
from listener.log.event import CALLBACK, Draft, Event
from listener.log.migrate import migrate

ROOT = Path(__file__).parents[1]
PATIENCE = 30.0  # seconds until a test gives up, not until it goes on

_spawn = multiprocessing.get_context("spawn")  # nothing of the test's threads, files and locks is in the child


@contextmanager
def opened(folder: Path) -> Iterator[Database]:
    """The log of a folder, made if it is not there."""
    database = Database(folder)
    try:
        migrate(database)
        yield database
    finally:
        database.close()


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


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for something that another thread or process does, while the event loop goes on."""
    give_up_at = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up_at, "it did not happen"
        await asyncio.sleep(0.005)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the append lock as another process would: through a file that nobody else opened."""
    descriptor = os.open(folder / "signlog.lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_waited_for(folder: Path) -> bool:
    """Whether somebody stands in front of the append lock, as the kernel sees it (proc_locks(5): "->" is a waiter)."""
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
    with opened(folder) as database:
        database.assert_suitable()
        add(database, b"%d" % number)


def hold(folder: Path) -> None:
    """For another process: take the append lock and keep it until killed."""
    with locked(folder):
        (folder / "held").touch()
        time.sleep(3600)


@contextmanager
def held_by_another(folder: Path) -> Iterator[BaseProcess]:
    """A real process that holds the append lock until it is killed."""
    process = spawned(hold, folder)
    try:
        until((folder / "held").exists)
        yield process
    finally:
        process.kill()
        ended(process)
