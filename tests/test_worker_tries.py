"""No event kills the worker for ever: what it died of three times is left out, and nothing else is."""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from listener import bookkeeping, decisions
from listener.only import OnlyOne
from listener.views import Views
from listener.worker import generations, intake, rebuilding
from listener.worker.projector import Projector
from listener.worker.replay import Replay
from listener.worker.tries import MOST_DEATHS
from projections import timeline
from tests.broken import handlers
from tests.rig import Log, add, callback, tables
from tests.test_worker_projector import Listening

ROOT = Path(__file__).parents[1]
KILLED = -signal.SIGKILL


class Lives:
    """The process that forks a worker for each life."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.stdin: IO[str] = process.stdin
        self.stdout: IO[str] = process.stdout

    def live(self, log: Log, code: str = "code", batch: int = 500, **bugs: Sequence[Any]) -> int:
        """One life with code that has these bugs; how it ended."""
        self.stdin.write(json.dumps([log.database.address, code, batch, bugs]) + "\n")
        self.stdin.flush()
        return int(self.stdout.readline())

    def several(self, log: Log, number: int, code: str = "code", batch: int = 500, **bugs: Sequence[Any]) -> list[int]:
        """As many lives, one after the other."""
        return [self.live(log, code, batch, **bugs) for _ in range(number)]


@pytest.fixture(scope="module")
def lives() -> Iterator[Lives]:
    """One for all tests."""
    command = [sys.executable, "-m", "tests.mortal"]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Lives(process)
        process.stdin.close()  # type: ignore[union-attr]  # it was asked for


@pytest.fixture
def log(each_engine: Path) -> Iterator[Log]:
    """One of either kind."""
    with filled(each_engine) as found:
        yield found


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[Log]:
    """What is in force, then ten events about a and b in turns: b has the even positions, a the odd."""
    with Log(folder) as found:
        names = ("PACKAGE_CREATE", "PACKAGE_ACTIVATE", "PACKAGE_COMPLETE", "PACKAGE_TRASH", "PACKAGE_RESTORE")
        add(found.database, *(callback(name, subject) for name in names for subject in "ba"))
        yield found


def live(log: Log) -> Views:
    """What is shown."""
    return log.shelf.generation(1)


def faulty(log: Log) -> list[tuple[int, str | None, int, str]]:
    """Position, subject, attempts and the code that tried last."""
    with live(log).reading() as connection:
        rows = connection.execute(select(bookkeeping.faults).order_by(bookkeeping.faults.c.position)).all()
    return [(row.position, row.subject, row.attempts, row.tried_with) for row in rows]


def waiting(log: Log) -> list[tuple[str, int]]:
    """Subject and position of whatever waits."""
    with live(log).reading() as connection:
        return sorted((row.subject, row.position) for row in connection.execute(select(bookkeeping.parked)))


def told(log: Log, subject: str) -> list[int]:
    """The positions of what was taken in of a subject."""
    query = select(timeline.TABLE.c.position).filter_by(subject=subject).order_by(timeline.TABLE.c.position)
    with live(log).reading() as connection:
        return list(connection.scalars(query))


def position(log: Log) -> int:
    """How far the views are."""
    with live(log).reading() as connection:
        return bookkeeping.checkpoint(connection).position


def fold(log: Log, code: str = "code") -> list[dict[str, Any]]:
    """A life that ends well; what it logged."""
    with capture_logs() as said:
        found = Projector(log.database, log.shelf, code)
        found.catch_up()
        found.close()
    return [dict(line) for line in said]


# What kills the worker


@pytest.mark.parametrize("batch", [1, 3, 500])
def test_what_kills_three_times_is_left_out_and_its_subject_waits(log: Log, lives: Lives, batch: int) -> None:
    """Everybody else goes on; the fault says how often it was tried."""
    ends = lives.several(log, MOST_DEATHS + 1, batch=batch, deadly=[(5, "a")])
    assert ends == [KILLED] * MOST_DEATHS + [0]
    assert faulty(log) == [(5, "a", 3, "code")]
    assert (told(log, "a"), waiting(log)) == ([3], [("a", 7), ("a", 9), ("a", 11)])
    assert (told(log, "b"), position(log)) == ([2, 4, 6, 8, 10], 11)
    with live(log).reading() as connection:
        assert connection.scalar(select(bookkeeping.faults.c.error)) == "the worker died 3 times while taking it in"


def test_what_kills_before_anybody_knows_of_whom_it_speaks_stops_nobody(log: Log, lives: Lives) -> None:
    """There is nobody who could wait for it."""
    assert lives.several(log, 4, deadly_to_read=[5]) == [KILLED] * 3 + [0]
    assert faulty(log) == [(5, None, 3, "code")]
    assert (told(log, "a"), waiting(log)) == ([3, 7, 9, 11], [])


def test_each_is_counted_for_itself(log: Log, lives: Lives) -> None:
    """The death of the whole batch counts for all of it, later ones for the one that was tried alone."""
    assert lives.several(log, 6, deadly=[(5, "a")], deadly_to_read=[8]) == [KILLED] * 5 + [0]
    assert faulty(log) == [(5, "a", 3, "code"), (8, None, 3, "code")]
    assert told(log, "b") == [2, 4, 6, 10]


def test_what_kills_less_often_is_taken_in(log: Log, lives: Lives) -> None:
    """Twice by one event, once by another of the same batch, once more by one behind it: none is left out."""
    assert lives.several(log, 2, deadly=[(5, "a")]) == [KILLED] * 2
    assert lives.live(log, deadly=[(7, "a")]) == KILLED
    add(log.database, callback("PACKAGE_CREATE", "c"))
    assert lives.live(log, deadly_to_read=[12]) == KILLED
    assert "died_taking_in" in [line["event"] for line in fold(log)]
    assert (faulty(log), told(log, "a"), told(log, "c")) == ([], [3, 5, 7, 9, 11], [12])


def test_an_error_that_ends_the_worker_counts_as_a_death(log: Log, lives: Lives) -> None:
    """A state that no table can keep would end every worker."""
    assert lives.several(log, 4, unkeepable=[(5, "a")]) == [1, 1, 1, 0]
    assert faulty(log) == [(5, "a", 3, "code")]


def test_with_other_code_it_is_counted_anew(log: Log, lives: Lives) -> None:
    """What killed the old code is tried with the new one, and three times, if need be."""
    assert lives.several(log, 3, deadly=[(5, "a")]) == [KILLED] * 3
    assert lives.live(log, "new") == 0
    assert (faulty(log), told(log, "a")) == ([], [3, 5, 7, 9, 11])


def test_new_code_that_dies_of_it_tries_it_once_at_its_start(log: Log, lives: Lives) -> None:
    """The attempt is counted before it is made; the next life knows of it."""
    lives.several(log, 4, deadly=[(5, "a")])
    add(log.database, callback("PACKAGE_CREATE", "c"))
    assert lives.several(log, 2, "new", deadly=[(5, "a")]) == [KILLED, 0]
    assert (faulty(log), told(log, "c")) == ([(5, "a", 4, "new")], [12])
    assert lives.several(log, 2, "newer") == [0, 0]
    assert (faulty(log), waiting(log), told(log, "a")) == ([], [], [3, 5, 7, 9, 11])


def test_a_decision_to_try_what_kills_is_left_out_itself(log: Log, lives: Lives) -> None:
    """The fault stays as it was, and the worker goes on."""
    lives.several(log, 4, deadly=[(5, "a")])
    [decided] = decisions.retry_faults(log.database, [5], "somebody", None)
    add(log.database, callback("PACKAGE_CREATE", "c"))
    assert lives.several(log, 4, deadly=[(5, "a")]) == [KILLED] * 3 + [0]
    assert faulty(log) == [(5, "a", 3, "code"), (decided, None, 3, "code")]
    assert told(log, "c") == [13]


def test_what_kills_can_be_skipped(log: Log, lives: Lives) -> None:
    """Without being tried again, and what waited is taken in."""
    lives.several(log, 4, deadly=[(5, "a")])
    decisions.skip(log.database, [5], "somebody", "because")
    assert lives.live(log, deadly=[(5, "a")]) == 0
    assert (faulty(log), told(log, "a")) == ([], [3, 7, 9, 11])


# What does not


def alone(log: Log, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many events are taken in at once by a life that ends well."""
    sizes: list[int] = []
    real = intake.take_in

    def take_in(log: Any, generation: Any, events: Sequence[Any], fingerprint: str) -> Any:
        sizes.append(len(events))
        return real(log, generation, events, fingerprint)

    monkeypatch.setattr(intake, "take_in", take_in)
    fold(log)
    return sizes


def test_after_a_death_one_is_tried_at_a_time_up_to_the_end_of_that_batch(
    log: Log, lives: Lives, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And then as many as ever."""
    assert lives.live(log, deadly=[(5, "a")]) == KILLED
    add(log.database, *(callback("PACKAGE_CREATE", "c") for _ in range(20)))
    assert alone(log, monkeypatch) == [1] * 11 + [20]


def test_who_is_stopped_amid_them_leaves_the_rest_to_be_tried_alone(
    log: Log, lives: Lives, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It died of none of those, and they are suspect still."""
    assert lives.live(log, deadly=[(5, "a")]) == KILLED
    found = Projector(log.database, log.shelf, "code")
    assert [found.fold_some() for _ in range(3)] == [1, 1, 1]
    found.close()
    assert alone(log, monkeypatch) == [1] * 8
    assert faulty(log) == []


def test_nobody_who_ends_well_or_is_killed_between_batches_leaves_a_mark(
    log: Log, lives: Lives, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many lives, a few events each: none is suspect."""
    for _ in range(5):
        assert lives.live(log, batch=2) == 0
        add(log.database, *(callback("PACKAGE_CREATE", "c") for _ in range(3)))
    assert alone(log, monkeypatch) == [3]
    assert faulty(log) == []


def test_a_full_disk_is_no_poison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is met, in one life or in many."""
    with filled(tmp_path) as log:
        for _ in range(5):
            found = Projector(log.database, log.shelf, "code")
            with found.views.writing() as connection:
                pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
                connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            add(log.database, *(callback("PACKAGE_DECLINE", message="x" * 5000) for _ in range(5)))
            for _ in range(5):
                with pytest.raises(OperationalError, match="full"):
                    found.catch_up()
            found.close()
        assert alone(log, monkeypatch) == [36]
        assert faulty(log) == []


def test_one_who_looks_at_the_mark_of_one_who_lives_leaves_nothing_out(log: Log) -> None:
    """Two at once are safe: the second takes the first for dead, and tries alone what both then have."""
    first = Projector(log.database, log.shelf, "code")
    first.fold_some()
    add(log.database, callback("PACKAGE_CREATE", "c"), callback("PACKAGE_CREATE", "d"))
    with first.views.writing() as connection:
        connection.execute(bookkeeping.trying.update().values(after=11, until=13))
    second = Projector(log.database, log.shelf, "code")
    assert [second.fold_some(), first.fold_some(), second.fold_some()] == [1, 1, 0]
    assert (faulty(log), position(log)) == ([], 13)
    first.close()
    second.close()


# Views that are built anew


def reshaped(log: Log, generation: int = 1) -> None:
    """The tables of another version: they are built anew at the next start."""
    with log.shelf.generation(generation).writing() as connection:
        connection.exec_driver_sql("UPDATE checkpoint SET shape = 'of another version'")


def there(log: Log) -> tuple[list[int], list[int]]:
    """The generations that are there, whole and half."""
    return sorted(log.shelf.numbers()), sorted(log.shelf.halves())


def test_what_kills_whoever_builds_views_anew_is_left_out_too(log: Log, lives: Lives) -> None:
    """The first death costs half a generation; then each try is written down, and the rest is as ever."""
    assert lives.live(log) == 0
    reshaped(log)
    ends = lives.several(log, MOST_DEATHS + 2, deadly=[(5, "a")])
    assert ends == [KILLED] * (MOST_DEATHS + 1) + [0]
    assert there(log) == ([1, 3], [])
    found = log.shelf.generation(3)
    with found.reading() as connection:
        [fault] = connection.execute(select(bookkeeping.faults)).all()
        assert (fault.position, fault.subject, fault.attempts) == (5, "a", 3)
        assert bookkeeping.checkpoint(connection).position >= 11
    found.close()


def test_deaths_leave_no_heap_of_views(log: Log, lives: Lives) -> None:
    """However often whoever builds them dies."""
    assert lives.live(log) == 0
    reshaped(log)
    for number in range(2, 8):
        assert lives.live(log, deadly=[(number, "ab"[number % 2 == 0])]) == KILLED
    assert there(log) == ([1, 3], [])
    assert lives.live(log) == 0
    assert there(log) == ([1, 3], [])


def test_what_was_built_and_not_shown_is_gone_on_with(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same code, for the same log; other code begins anew."""

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    fold(log)
    reshaped(log)
    for code, number in (("code", 3), ("code", 3), ("new", 4)):
        with monkeypatch.context() as patched:
            patched.setattr(rebuilding, "go_live", die)
            with pytest.raises(KeyboardInterrupt):
                fold(log, code)
        assert there(log)[0][-1] == number
    fold(log, "new")
    with log.database.reading() as connection:
        assert generations.live(connection) == 4


# What is tried again with new code


def segments(log: Log) -> list[tuple[int, str]]:
    """From which position which code folded."""
    with live(log).reading() as connection:
        rows = connection.execute(select(bookkeeping.segments).order_by(bookkeeping.segments.c.number))
        return [(row.after, row.fingerprint) for row in rows]


def test_new_code_tries_every_fault_again_before_it_folds_what_is_new(log: Log) -> None:
    """Those that it mends are none any more, and what waited is taken in; the others count one more attempt."""
    with handlers({(3, "a"), (6, "b"), (9, "a")}, unreadable={4}):
        fold(log)
    assert [fault[0] for fault in faulty(log)] == [3, 4, 6]
    add(log.database, callback("PACKAGE_CREATE", "a"))
    with handlers({(6, "b"), (9, "a")}):
        said = fold(log, "new")
    assert faulty(log) == [(6, "b", 2, "new"), (9, "a", 1, "new")]
    assert (told(log, "a"), told(log, "b"), waiting(log)) == (
        [3, 5, 7],
        [2, 4],
        [("a", 11), ("a", 12), ("b", 8), ("b", 10)],
    )
    assert [(line["position"], line["attempts"]) for line in said if line["event"] == "fault"] == [(9, 1), (6, 2)]
    assert segments(log) == [(0, "code"), (11, "new")]


def test_a_plan_is_bound_to_the_code_that_tried_again(log: Log) -> None:
    """Though nothing new was folded: what is compared has changed."""
    with handlers({(3, "a")}):
        fold(log)
    fold(log, "new")
    folder = log.settings.folder
    plan = Replay(log.database, log.shelf, "newest", OnlyOne(folder), OnlyOne(folder, "replay")).plan()
    assert plan.binding.segments == ((0, "code"), (11, "new"))


def test_the_same_code_tries_nothing_twice(log: Log) -> None:
    """Nor does one that has come before: only what was tried last counts."""
    with handlers({(3, "a")}):
        for code in ("code", "code", "new", "new", "code"):
            fold(log, code)
    assert faulty(log) == [(3, "a", 3, "code")]
    assert segments(log) == [(0, "code"), (11, "new"), (11, "code")]


def test_without_faults_new_code_begins_with_what_is_new(log: Log) -> None:
    """No segment, no attempt: nothing was folded with it."""
    fold(log)
    before = tables(live(log))
    fold(log, "new")
    assert (tables(live(log)), segments(log)) == (before, [(0, "code")])


def test_an_attempt_that_a_full_disk_ended_is_none(log: Log) -> None:
    """It is made again by the next life."""
    with handlers({(3, "a")}):
        fold(log)

    def fail() -> None:
        raise OSError("disk")

    for _ in range(5):
        listening = Listening("before_cursor_execute", "INSERT INTO timeline", fail)
        with pytest.raises(OSError, match="disk"):
            fold(log, "new")
        listening.end()
        assert faulty(log) == [(3, "a", 1, "")]
    fold(log, "new")
    assert (faulty(log), told(log, "a")) == ([], [3, 5, 7, 9, 11])
