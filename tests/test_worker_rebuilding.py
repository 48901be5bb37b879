"""Views that were lost are built anew, whoever else is building some."""

import contextlib
from pathlib import Path

import pytest

from listener import bookkeeping, errors
from listener.views import Views
from listener.worker.projector import Projector
from tests.rig import Log, in_file
from tests.test_worker_replay import fold, live, replay, told_wrong


def running(log: Log) -> "contextlib.closing[Projector]":
    """A worker with the code that folded what is there."""
    return contextlib.closing(Projector(log.database, log.shelf, "wrong"))


def test_a_plan_in_the_making_and_a_rebuild_leave_each_other_alone(each_engine: Path) -> None:
    """The views are lost in the middle of a plan: the plan is refused, and takes nothing with it."""
    with (
        told_wrong(each_engine) as log,
        running(log) as worker,
    ):
        rebuilt: list[int] = []

        def lost(_done: int, _all: int) -> None:
            if not rebuilt:
                live(log).discard()
                worker.mend(errors.ViewsError("they are not there"))
                rebuilt.append(worker.views.generation)

        with pytest.raises(errors.ViewsError, match="is not there"):
            replay(log).plan(lost)
        assert rebuilt == [live(log).generation]
        assert live(log).exists()
        assert not log.shelf.generation(1).exists()
        worker.catch_up()
        assert replay(log).plan().generation == live(log).generation + 1


def damage(views: Views) -> None:
    """The disk forgets how the file begins."""
    with in_file(views).path.open("r+b") as file:
        file.write(bytes(4096))


def test_damage_that_only_others_see_is_mended(tmp_path: Path) -> None:
    """The worker has read it before, and would go on for ever with what it holds in memory."""
    with (
        told_wrong(tmp_path) as log,
        running(log) as worker,
    ):
        worker.beat()
        damage(worker.views)
        worker.fold_some()
        worker.beat()
        with pytest.raises(errors.ViewsError, match="is damaged"):
            live(log).reading().__enter__()
        with pytest.raises(errors.ViewsError, match="is damaged") as caught:
            worker.beat()
        worker.mend(caught.value)
        worker.beat()
        with live(log).reading() as connection:
            assert bookkeeping.checkpoint(connection).position > 0
        assert not list(log.settings.folder.glob("*.damaged"))


def test_what_would_fill_the_disk_is_not_built(tmp_path: Path) -> None:
    """The door needs what is free: the worker says so and ends, and leaves nothing that looks as if it had died."""
    with told_wrong(tmp_path) as log:
        number = live(log).generation
        live(log).discard()
        with pytest.raises(errors.DiskReserve, match="would leave less than disk_reserve"):
            Projector(log.database, log.shelf, "wrong", 2**60)
        assert (log.shelf.halves(), log.shelf.numbers(), live(log).generation) == (set(), set(), number)
        with running(log) as worker:
            assert worker.views.generation > number


def test_a_false_alarm_costs_no_rebuild(tmp_path: Path) -> None:
    """Somebody may have read a file while it was replaced."""
    with (
        told_wrong(tmp_path) as log,
        running(log) as worker,
    ):
        in_file(worker.views).damaged.touch()
        worker.beat()
        assert not in_file(worker.views).damaged.exists()


def test_what_lost_views_left_behind_is_purged(tmp_path: Path) -> None:
    """SQLite keeps rows beside the file, too."""
    with told_wrong(tmp_path) as log:
        lost = in_file(live(log))
        left = lost.path.with_name(lost.path.name + "-wal")
        left.write_bytes(b"somebody signed")
        lost.path.unlink()
        fold(log, "wrong")
        assert replay(log).purge() == [lost.generation]
        assert not left.exists()
