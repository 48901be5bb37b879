"""A partition folds what is shared out to it, and says which rows that were made before are none."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from listener import bookkeeping
from listener.log.sqlite import scratch, sqlite_engine
from listener.worker import part
from listener.worker.partition import Partition
from listener.worker.piece import Stretch
from listener.worker.spill import Chunk
from projections import facts, packages, timeline
from projections.facts import ALONE, Beside, Fact, Key

BAD = "bad"


@pytest.fixture(autouse=True)
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A projection that cannot take some facts in."""
    right = packages.apply

    def badly(state: Any, key: Key, fact: Fact, beside: Beside = ALONE) -> Any:
        if fact.name == BAD:
            raise ValueError("a bug")
        return right(state, key, fact, beside)

    monkeypatch.setattr(packages, "apply", badly)


def fact(position: int, name: str) -> Fact:
    """Something that happened to the one package."""
    return Fact(position, position, "onespan", "onespan", "a", facts.STATUS, name, status="SENT")


def chunk(*said: Fact) -> Chunk:
    """What came with rows that were made before."""
    return Chunk(Stretch(said[0].position - 1, said[-1].position), False, said, (), True)


@pytest.fixture
def generation(tmp_path: Path) -> Iterator[Connection]:
    """An empty one, into which parts are put."""
    engine = sqlite_engine(tmp_path / "whole.db", {})
    with engine.begin() as connection:
        for table in part._TABLES:
            table.create(connection)
        yield connection
    engine.dispose()


def told(folder: Path, generation: Connection, *chunks: Chunk, rows: Any) -> list[tuple[int, str]]:
    """Position and name of what the timeline tells in the end; `rows` were made of the facts when they were read."""
    engine = sqlite_engine(folder / "log.db", {})
    with part.writing(folder / "part") as made, scratch() as noted:
        for table in (bookkeeping.faults, bookkeeping.parked):
            table.create(noted)
        made.add(timeline.TABLE, list(rows))
        partition = Partition(engine, noted, made, "code")
        for each in chunks:
            partition.take(each)
        partition.finish()
        assert noted.execute(select(bookkeeping.faults)).all() == []
    part.put_in(generation, folder / "part")
    return [tuple(row) for row in generation.execute(select(timeline.TABLE.c.position, timeline.TABLE.c.name))]


def row(said: Fact) -> tuple[Any, ...]:
    """As it is made when the fact is read."""
    [key] = timeline.keys(said)
    return timeline.row(key, timeline.apply(timeline.initial(key), key, said))


def test_what_must_wait_has_no_row(tmp_path: Path, generation: Connection) -> None:
    """The fact that stopped its subject, and all behind it; what came before stays."""
    said = [fact(1, "first"), fact(2, BAD), fact(3, "late")]
    assert told(tmp_path, generation, chunk(*said), rows=map(row, said)) == [(1, "first")]


def test_of_two_facts_with_one_key_the_one_that_was_taken_in_has_the_row(
    tmp_path: Path, generation: Connection
) -> None:
    """An event may say two things of a subject; the row of the second stood in the place of the first."""
    first, second = fact(1, "first"), fact(1, BAD)
    assert timeline.keys(first) == timeline.keys(second)
    assert told(tmp_path, generation, chunk(first, second), rows=[row(second)]) == [(1, "first")]
