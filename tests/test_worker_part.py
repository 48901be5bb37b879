"""A part holds rows of any table until they are put in: new ones, and what becomes of those that are there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from listener import bookkeeping
from listener.worker import part
from listener.worker.piece import Row
from projections import packages, timeline
from tests.rig import Log

MANY = 450  # more than are written at once


@pytest.fixture
def generation(each_engine: Path) -> Iterator[Connection]:
    """Empty tables."""
    with Log(each_engine) as log, log.shelf.generation(7).building(b"l" * 16, bookkeeping.REPLAYED) as connection:
        yield connection


def row(position: int, name: str = "NAME", said: bytes = b"\x00\xff") -> Row:
    """Of the timeline."""
    return (position + 2**40, "onespan", "ä\t\\N", "", "status", name, said)


def rows(generation: Connection) -> list[Any]:
    """All of the timeline, in order."""
    return [tuple(each) for each in generation.execute(select(timeline.TABLE).order_by(timeline.TABLE.c.position))]


def test_rows_arrive_as_they_left(generation: Connection, tmp_path: Path) -> None:
    """However many, whatever they hold."""
    added = [row(position) for position in range(MANY)]
    with part.writing(tmp_path / "one") as made:
        made.add(timeline.TABLE, added)
        made.add(timeline.TABLE, [])
        made.add(bookkeeping.faults, [(1, "onespan", None, "a bug", 1, "code")])
        made.save(packages, [(("onespan", f"p{number}"), packages.State()) for number in range(MANY)])
    part.put_in(generation, tmp_path / "one")
    assert rows(generation) == added
    assert generation.execute(select(bookkeeping.faults)).all() == [(1, "onespan", None, "a bug", 1, "code")]
    [loaded] = generation.execute(select(packages.TABLE).where(packages.TABLE.c.id == "p7"))
    assert packages.load(loaded) == packages.State()
    assert not (tmp_path / "one").exists()


def test_rows_that_are_there_are_corrected(generation: Connection, tmp_path: Path) -> None:
    """Some have another content, some are gone, and some were never there."""
    with part.writing(tmp_path / "one") as made:
        made.add(timeline.TABLE, [row(1), row(2), row(3)])
    with part.writing(tmp_path / "two") as made:
        made.correct(timeline.TABLE, {row(1)[:4]: None, row(2)[:4]: row(2, "OTHER"), row(9)[:4]: row(9)})
        made.correct(timeline.TABLE, {})
        made.correct(timeline.TABLE, {row(9)[:4]: None, row(8)[:4]: None})
    part.put_in(generation, tmp_path / "one")
    part.put_in(generation, tmp_path / "two")
    assert rows(generation) == [row(2, "OTHER"), row(3)]
