"""The door's way into the log: one commit for many, and what a sender hears when it does not work."""

import asyncio
import contextlib
import itertools
import os
import resource
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import pytest

from listener import errors
from listener.log import reader
from listener.log.append import append
from listener.log.checkpoints import CHECKPOINT_BYTES
from listener.log.committer import BATCH_BYTES, BATCH_ROWS
from listener.log.database import Database
from listener.log.event import CALLBACK, Draft, Event
from listener.log.reader import Tip
from listener.log.spool import Spool
from listener.log.sqlite import Sqlite
from listener.log.writer import QUEUE_BYTES, STUCK_SECONDS, Writer
from tests import logbook, postgres
from tests.logbook import (
    PATIENCE,
    add,
    another,
    bodies,
    callback,
    either,
    eventually,
    held_by_another,
    is_waited_for,
    locked,
    opened,
)

Future = asyncio.Future[int]


def in_a_loop(scenario: Callable[[Database], Awaitable[None]]) -> Callable[[Path], None]:
    """A test that has a log and runs in an event loop, as the door does."""

    async def run(folder: Path) -> None:
        with either(folder) as database:
            await scenario(database)

    def test(each_engine: Path) -> None:
        asyncio.run(run(each_engine))

    test.__doc__ = scenario.__doc__
    return test


def in_a_file(scenario: Callable[[Sqlite], Awaitable[None]]) -> Callable[[Path], None]:
    """The same of what only SQLite has."""

    async def run(folder: Path) -> None:
        with opened(folder) as database:
            await scenario(database)

    def test(tmp_path: Path) -> None:
        asyncio.run(run(tmp_path))

    test.__doc__ = scenario.__doc__
    return test


@contextlib.asynccontextmanager
async def running(
    database: Database, queue_bytes: int = QUEUE_BYTES, stuck_seconds: float = STUCK_SECONDS
) -> AsyncIterator[Writer]:
    """A writer that is closed at the end, without room to spool: what the database does not take is not stored."""
    with without_room() as spool:
        writer = Writer(database, spool, Tip(), queue_bytes, stuck_seconds)
        try:
            yield writer
        finally:
            await writer.close()


@contextlib.contextmanager
def without_room() -> Iterator[Spool]:
    """A spool that takes nothing."""
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(Spool(Path(folder, "spool"), 0)) as spool:
        yield spool


async def in_flight(writer: Writer, database: Database, body: bytes) -> Future:
    """Submit while somebody holds the lock, and wait until the writer stands before it with just this."""
    future = writer.submit(callback(body))
    await eventually(lambda: is_waited_for(database))
    return future


def commits(database: Database) -> list[list[Event]]:
    """The events of each commit: they carry one time."""
    return [list(events) for _, events in itertools.groupby(reader.every(database), lambda event: event.recorded_at)]


async def all_hear(futures: Sequence[Future], why: str) -> None:
    """Every one of them is told that it is not stored."""
    for future in futures:
        with pytest.raises(errors.LogUnavailable, match=why):
            await asyncio.wait_for(future, PATIENCE)


# Group commit


@in_a_loop
async def test_a_position_is_told_once_it_is_stored(database: Database) -> None:
    """In the order of submission, dense from one, and readable at that moment."""
    async with running(database) as writer:
        assert [await writer.submit(callback(body)) for body in (b"a", b"b")] == [1, 2]
        assert bodies(database) == [b"a", b"b"]
        assert await asyncio.gather(*[writer.submit(callback(body)) for body in (b"c", b"d")]) == [3, 4]
        assert bodies(database) == [b"a", b"b", b"c", b"d"]


@in_a_loop
async def test_all_who_wait_go_into_one_commit(database: Database) -> None:
    """All that came during a commit cost one more, not one each."""
    async with running(database) as writer:
        with locked(database):
            first = await in_flight(writer, database, b"first")
            others = [writer.submit(callback()) for _ in range(BATCH_ROWS)]
        assert await asyncio.gather(first, *others) == list(range(1, BATCH_ROWS + 2))
    assert [len(events) for events in commits(database)] == [1, BATCH_ROWS]


@in_a_loop
async def test_nobody_waits_for_others_to_come(database: Database) -> None:
    """The counter-example: one after the other, each has a commit of its own."""
    async with running(database) as writer:
        for body in (b"a", b"b", b"c"):
            await writer.submit(callback(body))
    assert [len(events) for events in commits(database)] == [1, 1, 1]


@in_a_loop
async def test_a_commit_is_bounded_in_rows(database: Database) -> None:
    """Those at the end of a long queue do not make those at its head wait."""
    async with running(database) as writer:
        with locked(database):
            first = await in_flight(writer, database, b"first")
            others = [writer.submit(callback()) for _ in range(BATCH_ROWS + 10)]
        await asyncio.gather(first, *others)
    assert [len(events) for events in commits(database)] == [1, BATCH_ROWS, 10]


@in_a_loop
async def test_a_commit_is_bounded_in_bytes(database: Database) -> None:
    """Big ones go into several commits, in their order."""
    size, count = BATCH_BYTES // 3, 10
    async with running(database) as writer:
        with locked(database):
            first = await in_flight(writer, database, b"first")
            others = [writer.submit(callback(bytes(size))) for _ in range(count)]
        assert await asyncio.gather(first, *others) == list(range(1, count + 2))
    assert [len(events) for events in commits(database)] == [1, 3, 3, 3, 1]


@in_a_loop
async def test_the_head_is_read_inside_the_transaction(database: Database) -> None:
    """Somebody else appends while the writer stands before the lock: it goes on behind."""
    async with running(database) as writer:
        with contextlib.closing(another(database)) as other:
            with other.writing() as connection:
                future = await in_flight(writer, database, b"late")
                append(connection, [callback(b"early")])
            assert await future == 2
    assert bodies(database) == [b"early", b"late"]


# The queue


@in_a_loop
async def test_the_queue_is_bounded_in_bytes(database: Database) -> None:
    """Who would not fit is refused at once; all who were let in are stored; then there is room again."""
    async with running(database, queue_bytes=100_000) as writer:
        with locked(database):
            taken = [writer.submit(callback(bytes(10_000))) for _ in range(9)]
            with pytest.raises(errors.Overloaded, match="bytes wait to be stored"):
                writer.submit(callback(bytes(10_000)))
            taken.append(writer.submit(callback(b"a small one still fits")))
        assert await asyncio.gather(*taken) == list(range(1, 11))
        assert await writer.submit(callback(bytes(90_000))) == 11


@in_a_loop
async def test_headers_count_as_well(database: Database) -> None:
    """A queue of empty bodies is no empty queue."""
    async with running(database, queue_bytes=10_000) as writer:
        with pytest.raises(errors.Overloaded):
            writer.submit(callback()._replace(headers="x" * 10_000))
        assert await writer.submit(callback()._replace(headers="x" * 5_000)) == 1


@in_a_loop
async def test_who_went_away_is_skipped(database: Database) -> None:
    """Cancelled in the queue: not stored, and the others of its batch are."""
    async with running(database) as writer:
        with locked(database):
            first = await in_flight(writer, database, b"first")
            futures = [writer.submit(callback(body)) for body in (b"a", b"gone", b"b")]
            futures[1].cancel()
        assert [await future for future in (first, futures[0], futures[2])] == [1, 2, 3]
    assert bodies(database) == [b"first", b"a", b"b"]


@in_a_loop
async def test_who_goes_away_too_late_is_stored(database: Database) -> None:
    """Cancelled when the commit was under way: it is stored, and hurts nobody."""
    async with running(database) as writer:
        slow = Slow("[]")
        with locked(database):
            first = await in_flight(writer, database, b"first")
            second = writer.submit(callback(b"slow")._replace(headers=slow))
            third, fourth = (writer.submit(callback(body)) for body in (b"gone", b"stayed"))
        await eventually(slow.reached.is_set)
        third.cancel()
        slow.go.set()
        assert [await future for future in (first, second, fourth)] == [1, 2, 4]
        assert writer.healthy
    assert bodies(database) == [b"first", b"slow", b"gone", b"stayed"]


class Slow(str):
    """Headers that hold up the commit that they are in, until they are told to go on."""

    def __init__(self, _: str) -> None:
        self.reached, self.go = threading.Event(), threading.Event()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        self.reached.set()
        assert self.go.wait(PATIENCE)
        return super().encode(encoding, errors)


@in_a_loop
async def test_who_went_away_gives_its_bytes_back(database: Database) -> None:
    """A queue of cancelled events does not stay full."""
    async with running(database, queue_bytes=100_000) as writer:
        for _ in range(20):
            writer.submit(callback(bytes(90_000))).cancel()
            await writer.submit(callback())


# When the database fails

FAILING = "CREATE TRIGGER failing BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'the disk is on fire'); END"
FAILING_THERE = (
    "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'the disk is on fire'; END $$; "
    "CREATE TRIGGER failing BEFORE INSERT ON events EXECUTE FUNCTION fail()"
)
MENDED = "DROP TRIGGER failing"
MENDED_THERE = "DROP FUNCTION fail CASCADE"


def fail(database: Database) -> None:
    """Let every insert fail from now on."""
    execute(database, FAILING if isinstance(database, Sqlite) else FAILING_THERE)


def mend(database: Database) -> None:
    """And no more."""
    execute(database, MENDED if isinstance(database, Sqlite) else MENDED_THERE)


def execute(database: Database, statement: str) -> None:
    """Change the database behind the writer's back."""
    with database.writing() as connection:
        connection.exec_driver_sql(statement)


@in_a_loop
async def test_a_failing_database_is_told_to_the_whole_batch(database: Database) -> None:
    """Not stored, for all of them; the thread lives on, and is healthy again with the next commit."""
    async with running(database) as writer:
        for again in (b"one", b"two"):
            fail(database)
            with locked(database):
                first = await in_flight(writer, database, b"first")
                others = [writer.submit(callback()) for _ in range(5)]
            await all_hear([first, *others], "not stored: .*the disk is on fire")
            assert not writer.healthy
            mend(database)
            await eventually(lambda: writer.healthy)
            await writer.submit(callback(again))
    assert bodies(database) == [b"one", b"two"]


@in_a_file
async def test_however_sqlite_fails_the_batch_is_told(database: Sqlite) -> None:
    """Whether the statement ends, or the transaction, too."""
    async with running(database) as writer:
        for how in ("FAIL", "ROLLBACK"):
            execute(database, FAILING.replace("ABORT", how))
            await all_hear([writer.submit(callback())], "not stored: .*the disk is on fire")
            mend(database)
            await eventually(lambda: writer.healthy)
            await writer.submit(callback(how.encode()))
    assert bodies(database) == [b"FAIL", b"ROLLBACK"]


@in_a_loop
async def test_storing_nothing_is_no_sign_of_health(database: Database) -> None:
    """A batch of which everybody went away says nothing about the database."""
    async with running(database, queue_bytes=10_000) as writer:
        fail(database)
        with locked(database):
            first = await in_flight(writer, database, b"first")
            writer.submit(callback(bytes(6_000))).cancel()
        await all_hear([first], "not stored")
        await eventually(lambda: has_room(writer, 6_000))
        assert not writer.healthy


def has_room(writer: Writer, size: int) -> bool:
    """Whether the queue would take a body of that size."""
    try:
        return writer.submit(callback(bytes(size))).cancel()
    except errors.Overloaded:
        return False


@in_a_loop
async def test_a_failure_does_not_tell_what_was_to_be_stored(database: Database) -> None:
    """The message ends up in our logs, where no body and no header belongs."""
    async with running(database) as writer:
        fail(database)
        future = writer.submit(callback(b"private")._replace(headers='[["x","confidential"]]'))
        with pytest.raises(errors.LogUnavailable, match="on fire") as caught:
            await future
    assert "private" not in str(caught.value)
    assert "confidential" not in str(caught.value)


def fill_the_disk(folder: Path) -> None:
    """For another process, which may write files of 256 KiB for a while, and then of any size again."""

    async def scenario() -> None:
        with opened(folder) as database:
            async with running(database, stuck_seconds=0.5) as writer:
                _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
                resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024, hard))
                full = [writer.submit(callback(bytes(50_000))) for _ in range(10)]
                stored = [told for told in await asyncio.gather(*full, return_exceptions=True) if isinstance(told, int)]
                assert len(stored) < len(full)
                assert not writer.healthy
                resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # not even a page more
                await asyncio.sleep(2)  # two looks, and probes that fail
                assert not writer.healthy
                resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
                await eventually(lambda: writer.healthy)
                position = await writer.submit(callback(b"room again"))
                assert position == len(stored) + 1
            assert [event.position for event in reader.every(database)] == list(range(1, position + 1))

    asyncio.run(scenario())


def test_a_full_disk_is_survived(tmp_path: Path) -> None:
    """Not stored while there is no room; healthy by itself once there is, and then stored, dense."""
    assert logbook.ended(logbook.spawned(fill_the_disk, tmp_path)) == 0
    with opened(tmp_path) as database:
        assert bodies(database)[-1] == b"room again"


class Deadly(str):
    """Headers that end the thread that touches them: SystemExit is nobody's error to catch."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        raise SystemExit


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@in_a_loop
async def test_a_dead_thread_is_told(database: Database) -> None:
    """Unhealthy, and whoever waits or comes hears that nothing is stored; the lock is free for others."""
    async with running(database, stuck_seconds=0.1) as writer:
        assert writer.healthy
        doomed = writer.submit(Draft(CALLBACK, "s", "p", b"", headers=Deadly("[]")))
        await eventually(lambda: not writer.healthy)
        with pytest.raises(errors.LogUnavailable, match="does not run"):
            writer.submit(callback())
        await all_hear([doomed], "not stored within")
        assert [event.position for event in add(database, b"somebody else's")] == [1]


@in_a_loop
async def test_a_stuck_lock_is_told_and_got_over(database: Database) -> None:
    """Another process sits on the lock: not stored, unhealthy. When it is gone, healthy again without being asked.

    What was under way may be stored then, although its sender heard otherwise; what still waited is not.
    """
    async with running(database, stuck_seconds=0.1) as writer:
        await writer.submit(callback(b"before"))
        with held_by_another(database) as process:
            first = await in_flight(writer, database, b"under way")
            second = writer.submit(callback(b"waiting"))
            await all_hear([first, second], "not stored within 0.1 s")
            assert not writer.healthy
            process.kill()
            await eventually(lambda: writer.healthy)
        assert await writer.submit(callback(b"after")) == 3
    assert bodies(database) == [b"before", b"under way", b"after"]


@in_a_loop
async def test_a_short_wait_for_the_lock_is_nothing_to_tell(database: Database) -> None:
    """The counter-example: who gets the lock in time has stored it, and was healthy all along."""
    async with running(database) as writer:
        with locked(database):
            future = await in_flight(writer, database, b"patient")
            await asyncio.sleep(1.2)  # once around for whoever looks for stuck ones
            assert writer.healthy
        assert await future == 1


# The end


@in_a_loop
async def test_a_stop_drains(database: Database) -> None:
    """Everything that was submitted is stored and told, and nothing more is taken in; then the thread ends."""
    async with running(database) as writer:
        with locked(database):
            first = await in_flight(writer, database, b"first")
            others = [writer.submit(callback()) for _ in range(2 * BATCH_ROWS)]
            closing = asyncio.create_task(writer.close())
            await asyncio.sleep(0)
            assert not closing.done()
            with pytest.raises(errors.LogUnavailable, match="does not run"):
                writer.submit(callback())
        await closing
    assert [future.result() for future in (first, *others)] == list(range(1, 2 * BATCH_ROWS + 2))


@in_a_loop
async def test_a_closed_writer_takes_nothing(database: Database) -> None:
    """It is not healthy, says so to whoever comes, and can be closed again."""
    async with running(database) as writer:
        await writer.close()
        await writer.close()
        assert not writer.healthy
        with pytest.raises(errors.LogUnavailable, match="does not run"):
            writer.submit(callback())
    assert bodies(database) == []


# Durability

READ = """
import psycopg, sqlite3, sys
where, position = sys.argv[1:]
connect = psycopg.connect if where.startswith("postgresql:") else sqlite3.connect
body, = connect(where).execute(f"SELECT body FROM events WHERE position = {position}").fetchone()
sys.stdout.buffer.write(body)
"""


@in_a_loop
async def test_what_is_told_is_seen_by_others(database: Database) -> None:
    """Another process, with another SQLite, finds it the moment that the future is done."""
    async with running(database) as writer:
        for body in (b"one", b"two"):
            position = await writer.submit(callback(body))
            command = [sys.executable, "-c", READ, postgres.plain(database.address), str(position)]
            assert subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE).stdout == body


def store_until_killed(folder: Path) -> None:
    """For another process: write down every position that was told."""

    async def scenario() -> None:
        with either(folder) as database:
            async with running(database) as writer:
                with (folder / "told").open("w") as told:
                    while True:
                        for position in await asyncio.gather(*[writer.submit(callback(bytes(3000))) for _ in range(5)]):
                            os.write(told.fileno(), b"%d\n" % position)

    asyncio.run(scenario())


def test_what_is_told_survives_a_kill(each_engine: Path) -> None:
    """SIGKILL in the middle of it: whatever was told is there, dense, and the log goes on."""
    process = logbook.spawned(store_until_killed, each_engine)
    told = each_engine / "told"
    logbook.until(lambda: told.exists() and told.read_bytes().count(b"\n") > 100)
    process.kill()
    logbook.ended(process)
    last = int(told.read_bytes().split(b"\n")[-2])
    with either(each_engine) as database:
        positions = [event.position for event in reader.every(database)]
        assert last <= len(positions)
        assert positions == list(range(1, len(positions) + 1))
        assert add(database, b"next")[0].position == len(positions) + 1


@in_a_file
async def test_the_write_ahead_log_stays_short(database: Sqlite) -> None:
    """However much is appended without a pause, the writer moves it into the file in between."""
    bound, sizes = CHECKPOINT_BYTES + 2 * BATCH_BYTES, []
    async with running(database) as writer:
        for _ in range(3 * bound // (1024 * 1024)):
            await asyncio.gather(*[writer.submit(callback(bytes(128 * 1024))) for _ in range(8)])
            sizes.append(database.wal_bytes())
    assert max(sizes) < bound


@in_a_file
async def test_a_long_reader_is_got_over(database: Sqlite) -> None:
    """While it reads, the write-ahead log grows; when it is done, no more."""
    async with running(database) as writer:
        await writer.submit(callback())
        with database.reading() as connection:
            reader.head(connection)
            for _ in range(2 * CHECKPOINT_BYTES // (1024 * 1024)):
                await writer.submit(callback(bytes(1024 * 1024)))
            assert reader.head(connection) == 1
        grown = database.wal_bytes()
        assert grown > 2 * CHECKPOINT_BYTES
        for _ in range(5 * CHECKPOINT_BYTES // (1024 * 1024)):
            await writer.submit(callback(bytes(1024 * 1024)))
        assert database.wal_bytes() < grown + 2 * CHECKPOINT_BYTES


@in_a_file
async def test_what_others_write_is_checkpointed_too(database: Sqlite) -> None:
    """A worker that appends beside an idle door must not make the write-ahead log grow without end."""

    def moved(least: int) -> Callable[[], bool]:
        return lambda: database.path.stat().st_size > least

    async with running(database):
        for _ in range(2):
            least = database.path.stat().st_size + 2_000_000
            add(database, *[bytes(500_000) for _ in range(6)])
            await eventually(moved(least))
