"""The writer beside its spool: what the database does not take in time is answered all the same, and appended once."""

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from listener import errors
from listener.log import reader
from listener.log.database import Database
from listener.log.drain import Known
from listener.log.reader import Tip
from listener.log.spool import Spool, segments, standing
from listener.log.spooled import Spooled
from listener.log.spooling import SPOOLED
from listener.log.writer import Writer
from tests import logbook, postgres
from tests.logbook import add, bodies, callback, either, eventually, held_by_another, is_waited_for, locked
from tests.test_log_writer import fail, mend

TINY = 20_000  # bytes
EMPTY = Tip()


@contextlib.asynccontextmanager
async def running(
    database: Database, folder: Path, tip: Tip | None = EMPTY, most_bytes: int = 10**6, stuck_seconds: float = 0.1
) -> AsyncIterator[Writer]:
    """A writer with a spool, which are closed at the end."""
    with contextlib.closing(Spool(folder / "spool", most_bytes)) as spool:
        writer = Writer(database, spool, tip, stuck_seconds=stuck_seconds)
        try:
            yield writer
        finally:
            await writer.close()


async def drained(folder: Path) -> None:
    """Wait until nothing is left in the spool."""
    await eventually(lambda: not segments(folder / "spool"))


def test_a_failing_database_is_no_reason_to_refuse(each_engine: Path) -> None:
    """Spooled, in order, and appended when it is mended, before anything that comes later; with both times."""

    async def scenario(database: Database) -> None:
        async with running(database, each_engine) as writer:
            assert await writer.submit(callback(b"before")) == 1
            fail(database)
            assert [await writer.submit(callback(body)) for body in (b"a", b"b")] == [SPOOLED] * 2
            assert writer.healthy
            mend(database)
            await drained(each_engine)
            await eventually(lambda: not writer._outage.away)
            assert await writer.submit(callback(b"after")) == 4
        assert bodies(database) == [b"before", b"a", b"b", b"after"]
        spooled_at = [event.spooled_at for event in reader.every(database)]
        assert [at is not None for at in spooled_at] == [False, True, True, False]

    with either(each_engine) as database:
        asyncio.run(scenario(database))


def test_a_lock_that_is_held_too_long_is_no_reason_either(each_engine: Path) -> None:
    """What was under way is in doubt: it goes through when the lock is free, and is there once."""

    async def scenario(database: Database) -> None:
        async with running(database, each_engine) as writer:
            with held_by_another(each_engine) as process:
                doubtful = writer.submit(callback(b"under way"))
                await eventually(lambda: is_waited_for(database))
                queued = writer.submit(callback(b"queued"))
                assert [await doubtful, await queued] == [SPOOLED] * 2
                assert await writer.submit(callback(b"behind")) == SPOOLED
                process.kill()
                await drained(each_engine)
        assert bodies(database) == [b"under way", b"queued", b"behind"]

    with either(each_engine) as database:
        asyncio.run(scenario(database))


def test_blindly_what_was_under_way_would_be_there_twice(each_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above is able to fail."""
    monkeypatch.setattr(Known, "has", lambda *_: False)

    async def scenario(database: Database) -> None:
        async with running(database, each_engine) as writer:
            with locked(database):
                assert await writer.submit(callback(b"under way")) == SPOOLED
            await drained(each_engine)
        assert bodies(database) == [b"under way", b"under way"]

    with either(each_engine) as database:
        asyncio.run(scenario(database))


def test_what_is_spooled_comes_before_what_is_not(each_engine: Path) -> None:
    """A door that died left something: the next one appends that first, though a callback comes at once."""

    async def scenario(database: Database) -> None:
        fail(database)
        async with running(database, each_engine) as writer:
            assert [await writer.submit(callback(b"%d" % number)) for number in range(150)] == [SPOOLED] * 150
        mend(database)
        async with running(database, each_engine) as writer:
            await writer.submit(callback(b"150"))
            await drained(each_engine)
        assert bodies(database) == [b"%d" % number for number in range(151)]

    with either(each_engine) as database:
        asyncio.run(scenario(database))


def test_under_load_it_comes_back(each_engine: Path) -> None:
    """Callbacks that never end do not keep it in the spool; each client's stand in the order of its answers."""
    clients, each = 8, 60

    async def send(writer: Writer, client: int) -> None:
        for number in range(each):
            await writer.submit(callback(b"%d %d" % (client, number)))

    async def scenario(database: Database) -> None:
        async with running(database, each_engine) as writer:
            fail(database)
            sending = [asyncio.create_task(send(writer, client)) for client in range(clients)]
            await eventually(lambda: standing(each_engine / "spool").callbacks > 50)
            mend(database)
            await asyncio.gather(*sending)
            await drained(each_engine)
        for client in range(clients):
            ours = [body for body in bodies(database) if body is not None and body.startswith(b"%d " % client)]
            assert ours == [b"%d %d" % (client, number) for number in range(each)]

    with either(each_engine) as database:
        asyncio.run(scenario(database))


def test_beyond_its_bound_it_refuses(each_engine: Path) -> None:
    """Told, unhealthy; and when there is room again, well by itself. What was promised is kept."""

    async def scenario(database: Database) -> None:
        async with running(database, each_engine, most_bytes=TINY) as writer:
            fail(database)
            assert await writer.submit(callback(bytes(9_000))) == SPOOLED
            with pytest.raises(errors.LogUnavailable, match=r"on fire.*not spooled: \d+ bytes wait in "):
                await writer.submit(callback(bytes(9_000)))
            assert not writer.healthy
            mend(database)
            await eventually(lambda: writer.healthy)
            await drained(each_engine)
            assert await writer.submit(callback(b"room")) == 2
        assert bodies(database) == [bytes(9_000), b"room"]

    with either(each_engine) as database:
        asyncio.run(scenario(database))


def test_a_writer_may_start_without_its_database(tmp_path: Path) -> None:
    """All is spooled, until the server is there; then it goes on behind what the log has."""

    async def scenario() -> None:
        with postgres.server() as server:
            postgres.mark(tmp_path, server)
            with either(tmp_path) as database:
                add(database, b"of before")
                server.stop()
                async with running(database, tmp_path, tip=None) as writer:
                    assert await writer.submit(callback(b"while it was away")) == SPOOLED
                    server.start()
                    await drained(tmp_path)
                    await eventually(lambda: not writer._outage.away)
                    assert await writer.submit(callback(b"afterwards")) == 3
                assert bodies(database) == [b"of before", b"while it was away", b"afterwards"]

    asyncio.run(scenario())


def test_who_goes_away_is_not_spooled(tmp_path: Path) -> None:
    """Nobody was promised anything; its bytes are given back."""

    async def scenario() -> None:
        with either(tmp_path) as database:
            async with running(database, tmp_path) as writer:
                with locked(database):
                    first = writer.submit(callback(b"first"))
                    writer.submit(callback(b"gone")).cancel()
                    assert await first == SPOOLED
                await drained(tmp_path)
                await eventually(lambda: writer._waiting_bytes == 0)
            assert bodies(database) == [b"first"]

    asyncio.run(scenario())


def test_a_stop_keeps_what_was_taken_in(tmp_path: Path) -> None:
    """While somebody else has the lock: in the spool, and the next writer appends it."""

    async def scenario() -> None:
        with either(tmp_path) as database:
            async with running(database, tmp_path) as writer:
                with locked(database):
                    future = writer.submit(callback(b"under way"))
                    closing = asyncio.create_task(writer.close())
                    assert await future == SPOOLED
                await closing
            async with running(database, tmp_path):
                await drained(tmp_path)
            assert bodies(database) == [b"under way"]

    asyncio.run(scenario())


def fill_the_disk(folder: Path) -> None:
    """For another process, which may write files of 256 KiB for a while."""

    async def scenario() -> None:
        with either(folder) as database:
            async with running(database, folder) as writer:
                _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
                resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024, hard))
                told = [await asyncio.gather(writer.submit(callback(body)), return_exceptions=True) for body in BODIES]
                resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
                await drained(folder)
                kept = [body for body, (answer,) in zip(BODIES, told, strict=True) if isinstance(answer, int)]
                assert any(answer == SPOOLED for (answer,) in told)
                assert len(kept) < len(BODIES)
                assert bodies(database) == kept

    asyncio.run(scenario())


BODIES = [b"%d" % number + bytes(40_000) for number in range(20)]


def test_a_database_that_is_full_is_no_reason_to_refuse(tmp_path: Path) -> None:
    """A commit that fails half way is in doubt; when the spool is full as well, the senders hear so."""
    assert logbook.ended(logbook.spawned(fill_the_disk, tmp_path)) == 0


def test_who_waits_behind_a_drain_that_is_stuck_is_there_once(each_engine: Path) -> None:
    """A callback comes first of all, behind what was left over; somebody has the lock; it is spooled meanwhile."""

    async def scenario(database: Database) -> None:
        with contextlib.closing(Spool(each_engine / "spool")) as spool:
            spool.keep([Spooled(0, callback(b"left over")._replace(salt=bytes(16), spooled_at=1))])
        async with running(database, each_engine) as writer:
            with locked(database):
                assert await writer.submit(callback(b"behind")) == SPOOLED
            await drained(each_engine)
        assert bodies(database) == [b"left over", b"behind"]

    with either(each_engine) as database:
        asyncio.run(scenario(database))
