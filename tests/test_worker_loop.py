"""The worker's process goes on by itself, whatever happens to the views, until it is told to stop; and it is alone."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy

from listener import bookkeeping, bootstrap, errors
from listener.demo.onespan import OneSpan
from listener.only import OnlyOne
from listener.worker import loop
from listener.worker.loop import Every
from listener.worker.notary import Notary
from listener.worker.projector import Projector
from tests.rig import BOTH, ID, Worker, add, callback, completed, in_file, tables, until


def run(worker: Worker, stop: threading.Event) -> None:
    """The loop, as `signlog serve --worker` runs it."""

    @contextmanager
    def lead() -> Iterator[Projector]:
        with (
            bootstrap.signer(worker.settings, worker.database) as signer,
            closing(Notary(signer)) as notary,
            closing(worker.projector),
        ):
            notary.start()
            yield worker.projector

    loop.run(worker.parts.lease, lead, worker.downloads, worker.parts.live, stop)


def name_key(worker: Worker) -> None:
    """Sign once, so that no decision about the key comes in between later."""
    with bootstrap.signer(worker.settings, worker.database) as signer:
        signer.sign()
    worker.projector.catch_up()


@contextmanager
def running(worker: Worker) -> Iterator[threading.Thread]:
    """The loop in a thread, told to stop in the end."""
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(worker, stop))
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


class SetAfter(threading.Event):
    """Told to stop when it has looked so many times: once before it leads, then once a turn."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    def is_set(self) -> bool:
        self.looks -= 1
        return self.looks < 0


def position(worker: Worker) -> int:
    """How far the live views are."""
    try:
        with worker.projector.views.reading() as connection:
            return bookkeeping.checkpoint(connection).position
    except errors.ViewsError:
        return -1


def beat(worker: Worker) -> int | None:
    """When the worker said that it lives."""
    with worker.projector.views.reading() as connection:
        return connection.scalar(sqlalchemy.select(bookkeeping.heartbeat.c.at))


def test_what_comes_in_is_folded_and_fetched(tmp_path: Path) -> None:
    """From the callback to the document, without any further word, and then again."""
    with OneSpan() as server, Worker(tmp_path, server.url) as worker, running(worker):
        completed(server, ID, "another")
        add(worker.database, callback("PACKAGE_COMPLETE"))
        until(lambda: len(worker.stored()) == 2)
        add(worker.database, callback("PACKAGE_COMPLETE", "another"))
        until(lambda: len(worker.stored()) == 4)
        until(lambda: position(worker) == len(worker.events()))
        assert set(worker.stored()) == {(subject, name) for subject in (ID, "another") for name in BOTH}


def test_a_heart_beats_when_there_is_nothing_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Again and again, and the checkpoint stays."""
    monkeypatch.setattr(loop, "BEAT_SECONDS", 0.05)
    with Worker(tmp_path) as worker:
        name_key(worker)
        with running(worker):
            until(lambda: beat(worker))
            first, stood = beat(worker), position(worker)
            until(lambda: beat(worker) != first)
            assert position(worker) == stood


def test_a_heart_beats_while_much_is_folded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rebuild is not death: the beat comes between two batches."""
    monkeypatch.setattr("listener.worker.intake.BATCH", 1)
    with Worker(tmp_path) as worker:
        add(worker.database, *(callback("PACKAGE_CREATE", str(number)) for number in range(20)))
        run(worker, SetAfter(1 + 5))
        assert beat(worker)
        assert 0 < position(worker) < 21


def destroy(path: Path) -> None:
    path.unlink()


def spoil(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"garbage" * 3000)


@pytest.mark.parametrize("harm", [destroy, spoil])
def test_views_that_break_while_it_runs_are_folded_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: object
) -> None:
    """The same process goes on, in the next generation, with everything that was there, and what comes later."""
    monkeypatch.setattr(loop, "MENDED_SECONDS", 0.01)
    with Worker(tmp_path) as worker:
        name_key(worker)
        worker.add(*(callback("PACKAGE_CREATE", str(number)) for number in range(50)))
        before, events = tables(worker.projector.views), len(worker.events())
        broken = worker.projector.views
        broken.close()
        harm(in_file(broken).path)  # type: ignore[operator]
        with running(worker) as thread:
            # One event more: it says that they went live.
            until(lambda: worker.projector.views.generation == 3 and position(worker) == events + 1)
            assert tables(worker.projector.views)[:-1] == before[:-1]
            add(worker.database, callback("PACKAGE_CREATE", "later"))
            until(lambda: position(worker) == events + 2)
            assert thread.is_alive()
        assert not broken.exists()


def test_nothing_is_fetched_again_for_new_views(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the log says is stored, the next generation finds stored."""
    monkeypatch.setattr(loop, "MENDED_SECONDS", 0.01)
    with OneSpan() as server, Worker(tmp_path, server.url) as worker:
        completed(server)
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(worker.stored)
        asked = server.requests
        in_file(worker.projector.views).path.unlink()
        with running(worker):
            until(lambda: worker.projector.views.generation == 3 and position(worker) == len(worker.events()))
            add(worker.database, callback("PACKAGE_COMPLETE"))
            until(lambda: position(worker) == len(worker.events()))
        assert server.requests == asked


def test_it_stops_amid_a_rebuild(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop comes between two batches, and the next start goes on from there."""
    monkeypatch.setattr("listener.worker.intake.BATCH", 1)
    with Worker(tmp_path) as worker:
        add(worker.database, *(callback("PACKAGE_CREATE", str(number)) for number in range(20)))
        run(worker, SetAfter(1 + 5))
        assert position(worker) == 5
        worker.restart()
        assert position(worker) == 5
        run(worker, SetAfter(1 + 5))
        assert position(worker) == 10


def test_an_error_that_is_not_the_views_ends_it(tmp_path: Path) -> None:
    """Then the supervisor starts another; downloads and views are let go."""
    with Worker(tmp_path) as worker:
        with worker.database.writing() as connection:
            connection.exec_driver_sql("DROP TABLE live")
        with pytest.raises(sqlalchemy.exc.OperationalError):
            run(worker, threading.Event())


def test_one_worker_on_a_folder(tmp_path: Path) -> None:
    """A second is refused with a word that a person understands; when the first is gone, the next may start."""
    with OnlyOne(tmp_path):
        with pytest.raises(errors.ConfigurationError, match="already runs"), OnlyOne(tmp_path):
            pass
        (tmp_path / "other").mkdir()
        with OnlyOne(tmp_path / "other"):
            pass
    with OnlyOne(tmp_path):
        pass


def test_every_so_often() -> None:
    """True at once, then not until the time has passed."""
    seldom, always = Every(3600), Every(0)
    assert (seldom.due(), seldom.due(), seldom.due()) == (True, False, False)
    assert (always.due(), always.due()) == (True, True)
