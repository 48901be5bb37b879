"""Views that were lost are built anew, whoever else is building some."""

import contextlib
from pathlib import Path

import pytest

from listener import errors
from listener.views import Views
from listener.worker.projector import Projector
from tests.test_worker_replay import live, replay, told_wrong


def test_a_plan_in_the_making_and_a_rebuild_leave_each_other_alone(tmp_path: Path) -> None:
    """The views are lost in the middle of a plan: the plan is refused, and takes nothing with it."""
    with (
        told_wrong(tmp_path) as log,
        contextlib.closing(Projector(log.database, log.settings.folder, "wrong")) as worker,
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
        assert live(log).path.exists()
        assert not Views(log.settings.folder, 1).path.exists()
        worker.catch_up()
        assert replay(log).plan().generation == live(log).generation + 1
