"""Parts are put in, in their order, whoever is ready first; and what goes wrong there is not kept quiet."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import DBAPIError

from listener import bookkeeping
from listener.worker import gathering, part
from listener.worker.share import FOLD, READ, SAMPLE, Job, Order
from projections import timeline
from tests.rig import Log, until


@pytest.fixture
def generation(each_engine: Path) -> Iterator[Connection]:
    """Tables without indexes."""
    with Log(each_engine) as log, log.shelf.generation(7).building(b"l" * 16, bookkeeping.REPLAYED) as connection:
        yield connection


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Two sections and two partitions."""
    (tmp_path / "workshop").mkdir()
    return Job("nowhere", str(tmp_path / "workshop"), 4, 2, 2, 1, 0, "code")


def make(job: Job, order: Order, position: int) -> None:
    """A part, with a row of the timeline."""
    with part.writing(job.made(order)) as made:
        made.add(timeline.TABLE, [(position, "onespan", "a", "", "status", "NAME", b"")])


def positions(generation: Connection) -> list[int]:
    """As they lie there."""
    return list(generation.scalars(timeline.TABLE.select().with_only_columns(timeline.TABLE.c.position)))


def test_parts_are_put_in_as_soon_as_all_before_them_are_there(generation: Connection, job: Job) -> None:
    """In the order of the sections, then of the partitions; each is removed then."""
    orders = job.orders
    for number, order in enumerate(orders):
        make(job, order, number)
    with gathering.gathering(generation, job) as made:
        made(Order(SAMPLE, 0))
        made(orders[1])
        made(orders[3])
        assert all(job.made(order).exists() for order in orders)
        made(orders[0])
        until(lambda: not job.made(orders[1]).exists())
        assert job.made(orders[3]).exists()
        made(orders[2])
    assert positions(generation) == [0, 1, 2, 3]
    assert not any(job.made(order).exists() for order in orders)


def test_what_is_whole_has_its_indexes(generation: Connection, job: Job) -> None:
    """When the last section is in, nothing is added to what needs no state."""
    assert orders_of(job) == [(READ, 0), (READ, 1), (FOLD, 0), (FOLD, 1)]
    for number, order in enumerate(job.orders[:2]):
        make(job, order, number)
    with gathering.gathering(generation, job) as made:
        made(job.orders[0])
        made(job.orders[1])
    assert [index["name"] for index in inspect(generation).get_indexes("timeline")] == ["timeline_subject"]
    assert inspect(generation).get_indexes("packages") == []


def orders_of(job: Job) -> list[tuple[str, int]]:
    """In which its parts are put in."""
    return [(order.what, order.number) for order in job.orders]


def test_what_cannot_be_put_in_is_said(each_engine: Path, job: Job) -> None:
    """At the next part, or at the end: nobody takes such a generation for whole."""
    for order in job.orders[:2]:
        make(job, order, 1)  # the same row twice
    with pytest.raises(DBAPIError, match=r"(?i)unique"):
        gather(each_engine, job, job.orders[:2])


def gather(folder: Path, job: Job, orders: Sequence[Order]) -> None:
    """Put the parts of these orders into a generation."""
    with (
        Log(folder) as log,
        log.shelf.generation(7).building(b"l" * 16, bookkeeping.REPLAYED) as generation,
        gathering.gathering(generation, job) as made,
    ):
        for order in orders:
            made(order)


def test_who_fails_meanwhile_is_not_waited_for(
    generation: Connection, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not begun is not done any more."""
    begun, go_on = threading.Event(), threading.Event()

    def put_in(_generation: Connection, path: Path) -> None:
        begun.set()
        assert go_on.wait(30)
        path.unlink()

    monkeypatch.setattr(part, "put_in", put_in)
    for number, order in enumerate(job.orders):
        make(job, order, number)
    with pytest.raises(KeyError):
        fail(generation, job, begun, go_on)
    assert [job.made(order).exists() for order in job.orders] == [False, True, True, True]


def fail(generation: Connection, job: Job, begun: threading.Event, go_on: threading.Event) -> None:
    """Fail while the first part is put in, and others wait."""
    with gathering.gathering(generation, job) as made:
        for order in job.orders:
            made(order)
        assert begun.wait(30)
        threading.Timer(0.2, go_on.set).start()  # when we wait for it to end
        raise KeyError


def test_behind_a_part_that_cannot_be_put_in_no_other_is(each_engine: Path, job: Job) -> None:
    """Nobody will look at it: whoever waits for the end is told at once."""
    for number, order in enumerate(job.orders):
        make(job, order, number)
    job.made(job.orders[0]).write_bytes(b"what is no part")
    with pytest.raises(Exception, match=r"(?i)trunc|invalid|expected"):
        gather(each_engine, job, job.orders)
    assert job.made(job.orders[3]).exists()
