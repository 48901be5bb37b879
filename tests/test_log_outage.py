"""While the database is away it is asked now and then, and somebody knows where the log ended."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from listener.log import outage, reader
from listener.log.database import Database
from listener.log.outage import LONGEST_SECONDS, Outage
from listener.log.reader import Tip
from listener.log.spool import Spool, segments
from listener.log.spooled import read
from listener.log.spooling import SPOOLED
from listener.log.writer import Writer
from tests.logbook import callback, either, eventually
from tests.test_log_spooling import drained, running
from tests.test_log_writer import fail, mend


class Clock:
    """One that somebody turns."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def pauses(found: Outage, clock: Clock, count: int) -> list[float]:
    """How long it is left alone behind each answer."""
    waited = []
    for _ in range(count):
        found.asked_in_vain("no", 0)
        began = clock.seconds
        while not found.is_to_be_asked:
            clock.seconds += 0.5
        waited.append(clock.seconds - began)
    return waited


def test_whoever_refuses_is_asked_less_often() -> None:
    """Twice as long each time, up to a bound; when it was back, from the beginning."""
    clock = Clock()
    found = Outage(clock, away=False)
    assert found.is_to_be_asked
    found.begin("it failed")
    assert found.is_to_be_asked
    assert pauses(found, clock, 6) == [1, 2, 4, 8, LONGEST_SECONDS, LONGEST_SECONDS]
    found.asked_in_vain("no", 0)
    found.end(7)
    assert found.is_to_be_asked
    assert pauses(found, clock, 2) == [1, 2]


def test_it_is_away_until_it_ends() -> None:
    """With the first reason that was heard."""
    assert Outage(Clock(), away=True).why == "the database was away at the start"
    found = Outage(Clock(), away=False)
    found.begin("it failed")
    found.begin("it failed again")
    found.asked_in_vain("no", 0)
    assert (found.away, found.why) == (True, "it failed")
    found.end(7)
    assert not found.away


# A door that is away from its database


def test_a_database_that_refuses_is_left_alone_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not asked again each second, with all that waits read anew; when it is time, it is."""
    monkeypatch.setattr(outage, "FIRST_SECONDS", 3600.0)
    monkeypatch.setattr(outage, "LONGEST_SECONDS", 3600.0)

    async def scenario(database: Database) -> None:
        async with running(database, tmp_path) as writer:
            fail(database)
            assert await writer.submit(callback(b"x")) == SPOOLED
            await eventually(lambda: not writer._outage.is_to_be_asked)
            mend(database)
            writer._look()
            assert not writer._asked
            writer._outage._again_at = 0
            await drained(tmp_path)

    with either(tmp_path) as database:
        asyncio.run(scenario(database))


def heads(folder: Path) -> set[tuple[int, bytes]]:
    """Behind which events the log has what waits in a spool, if it has it."""
    records = [record for path in segments(folder / "spool") for record in read(path.read_bytes())[0]]
    return {record.tip for record in records}


def end(database: Database) -> Tip:
    """Where the log ends."""
    with database.reading() as connection:
        return reader.tip(connection)


def test_a_writer_that_starts_without_its_database_knows_where_the_log_ended(each_engine: Path) -> None:
    """When the door before stopped: what stands below need not be looked at, however long the log is."""

    async def scenario(database: Database) -> None:
        async with running(database, each_engine) as writer:
            await written(writer, b"0")
            fail(database)
            await written(writer, b"1")
            mend(database)
            await drained(each_engine)
            await eventually(lambda: not writer._outage.away)
            await written(writer, b"2")
        known = end(database)
        assert known.position == 3
        fail(database)
        async with running(database, each_engine, tip=None) as writer:
            assert await writer.submit(callback(b"3")) == SPOOLED
        assert heads(each_engine) == {known}

    with either(each_engine) as database:
        asyncio.run(scenario(database))


async def written(writer: Writer, body: bytes) -> None:
    """A callback, taken."""
    await writer.submit(callback(body))


def test_a_door_that_is_killed_has_noted_where_the_log_ended(
    each_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each so many events, and when it begins to spool."""
    monkeypatch.setattr("listener.log.committer.NOTED_EVENTS", 3)

    async def scenario(database: Database) -> None:
        with contextlib.closing(Spool(each_engine / "spool")) as noted:
            with database.reading() as connection:
                noted.belong(reader.log_id(connection), Tip())
            async with running(database, each_engine) as writer:
                await written(writer, b"1")
                await written(writer, b"2")
                assert noted.tip == Tip()
                await written(writer, b"3")
                await eventually(lambda: noted.tip == end(database))
                await written(writer, b"4")
                assert noted.tip.position == 3
                fail(database)
                await written(writer, b"5")
                assert noted.tip == end(database)

    with either(each_engine) as database:
        asyncio.run(scenario(database))
