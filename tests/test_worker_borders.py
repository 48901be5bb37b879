"""Borders between partitions: each subject is in one, all are of about the same size, and nobody can foresee them."""

from pathlib import Path
from typing import Any

import pytest

from listener.worker import borders
from listener.worker.piece import Stretch
from tests.rig import SOURCE, Log, add, body, callback

SUBJECTS = [f"package {number}" for number in range(50)]


@pytest.fixture
def log(each_engine: Path) -> Any:
    """Packages in the order of their ids, and behind them what nobody can read."""
    with Log(each_engine) as found:
        add(found.database, *(callback("PACKAGE_CREATE", subject) for subject in sorted(SUBJECTS)), body(b"neither"))
        yield found


def test_of_few_events_all_are_looked_at_each_by_itself(log: Log) -> None:
    """Whoever dies of one is known; what cannot be read speaks of nobody."""
    heard: list[Stretch] = []
    last = len(log.events())
    found = borders.sample(log.database.engine, Stretch(1, last), 2, heard.append)
    assert found == [(SOURCE, subject) for subject in sorted(SUBJECTS)]
    assert heard == [Stretch(position - 1, position) for position in range(2, last + 1)]
    assert borders.sample(log.database.engine, Stretch(0, 0), 2, heard.append) == []


def test_of_many_a_sample_is_drawn_and_another_one_each_time(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """From anywhere in the stretch, and no event twice."""
    monkeypatch.setattr(borders, "_EACH", 10)
    drawn = [borders.sample(log.database.engine, Stretch(1, 51), 2, lambda _stretch: None) for _ in range(8)]
    assert all(len(each) == len(set(each)) == 20 for each in drawn)
    assert len({tuple(each) for each in drawn}) > 1


def test_all_of_a_partition_come_before_all_of_the_next() -> None:
    """In the order of their keys; and of each, about as many were drawn."""
    subjects = [(SOURCE, name) for name in SUBJECTS]
    drawn = borders.draw(subjects, 5)
    assert len(drawn) == 4
    found = [borders.partition(drawn, *subject) for subject in sorted(subjects)]
    assert found == sorted(found)
    assert [found.count(number) for number in range(5)] == [10] * 5


def test_what_speaks_of_nobody_is_in_the_first() -> None:
    """However many there are."""
    assert borders.partition([(SOURCE, "b")], SOURCE, None) == 0
    assert borders.partition([], SOURCE, "a") == 0


@pytest.mark.parametrize("said", [[], [(SOURCE, "a")] * 3])
def test_there_are_no_more_partitions_than_there_should_be(said: list[tuple[str, str]]) -> None:
    """Nor does one that nothing is said of do any harm."""
    drawn = borders.draw(said, 3)
    assert {borders.partition(drawn, SOURCE, name) for name in "0ab"} <= {0, 1, 2}
