"""A generation that processes build together is that of one alone, whatever the log holds; and if one dies."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from listener import bookkeeping, decisions, errors, parent
from listener.acts import Subject
from listener.views import Views
from listener.worker import building, crew, share
from listener.worker.building import build
from listener.worker.piece import Stretch
from listener.worker.share import SAID, Job, Order
from projections import course, packages
from tests.rig import NOON, SOURCE, Log, add, body, callback, tables, until

NAMES = ("PACKAGE_CREATE", "PACKAGE_ACTIVATE", "PACKAGE_COMPLETE")
ODD = "a\x00b\x01c\\é"
SUBJECTS = [ODD, *(f"package {number}" for number in range(40))]
FLOODED = "flooded"


@pytest.fixture
def log(each_engine: Path) -> Iterator[Log]:
    """Many packages, what nobody can read, one with more steps than are believed, and decisions about both."""
    with Log(each_engine) as found:
        flood = [NOON + timedelta(seconds=number) for number in range(course.MOST_STEPS + 20)]
        add(found.database, *(callback(name, subject) for name in NAMES[:2] for subject in SUBJECTS))
        add(found.database, *(callback("PACKAGE_TRASH", FLOODED, created=at) for at in flood))
        [unreadable, *_] = add(found.database, body(b"neither"), callback("PACKAGE_TRASH", FLOODED), body(b"nor"))
        positions = [position for position, _, _ in faulty(built(found, 5))]
        decisions.skip(found.database, positions[:1], "somebody", "a flood")
        decisions.retry_faults(found.database, [unreadable], "somebody", None)
        add(found.database, *(callback(NAMES[2], subject) for subject in SUBJECTS))
        yield found


def built(log: Log, number: int, only: Subject | None = None, alone: Stretch | None = None) -> Views:
    """What is made of the whole log."""
    found = log.shelf.generation(number)
    build(log.database, found, bookkeeping.REPLAYED, "code", len(log.events()), only=only, alone=alone)
    return found


def faulty(views: Views) -> list[tuple[int, str | None, int]]:
    """Position, subject and attempts of each fault, in order."""
    with views.reading() as connection:
        found = connection.execute(bookkeeping.faults.select()).all()
    return sorted((row.position, row.subject, row.attempts) for row in found)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """However short the log is, processes share the work, and the subjects are in many partitions."""
    monkeypatch.setattr(building, "WORTH_PROCESSES", 1)
    monkeypatch.setattr(building, "EVENTS", 100)


def test_processes_make_what_one_makes_alone(log: Log, request: pytest.FixtureRequest) -> None:
    """All tables, how often each fault was tried, and what waits behind it; of everybody, and of one."""
    everybody, flooded = built(log, 6), built(log, 7, (SOURCE, FLOODED))
    request.getfixturevalue("shared")
    assert tables(built(log, 8)) == tables(everybody)
    assert faulty(built(log, 8)) == faulty(everybody) != []
    assert tables(built(log, 8, (SOURCE, FLOODED))) == tables(flooded) != tables(everybody)
    assert tables(built(log, 8, alone=Stretch(3, 60))) == tables(everybody)
    with everybody.reading() as connection:
        assert set(connection.scalars(select(packages.TABLE.c.id))) == {*SUBJECTS, FLOODED}
    subjects = [subject for _, subject, _ in faulty(everybody)]
    assert subjects.count(None) == 2
    assert subjects.count(FLOODED) == 1


@pytest.mark.usefixtures("shared")
def test_every_event_is_told_of_once(log: Log) -> None:
    """However it is shared: half of it when it is read, half when it is folded."""
    told: list[int] = []
    until_now = len(log.events())
    build(log.database, log.shelf.generation(6), bookkeeping.REPLAYED, "code", until_now, told.append)
    assert sum(told) == until_now
    assert len([more for more in told if more]) > 4


def job(log: Log, folder: Path) -> Job:
    """All of the log, for one process."""
    return Job(log.database.address, str(folder), len(log.events()), 1, 1, 1, 0, "code")


def work(found: Job, count: Callable[[int], None]) -> None:
    """Let a process of its own do it."""
    with crew.hired(1) as hired:
        crew.work_there(hired, found, count, lambda _order: None)


def test_a_process_that_dies_is_told_of_with_its_events(log: Log, tmp_path: Path) -> None:
    """What it said last that it was about to take in."""
    folder = tmp_path / "workshop"
    folder.mkdir()
    with pytest.raises(errors.Died, match=r"events 1 to \d+ ended") as died:
        work(job(log, folder), lambda _done: kill_all(folder))
    assert (died.value.after, died.value.until > 0) == (0, True)


def test_who_is_killed_while_it_waits_blames_no_event(log: Log, tmp_path: Path) -> None:
    """Though it has orders by then: it has not said that it is about to take anything in."""
    with crew.hired(1) as hired:
        [idle] = hired
        idle.begin(job(log, tmp_path))
        idle.kill()
        idle.take(Order(share.READ, 0))
        with pytest.raises(errors.LogError) as failed:
            idle.hear(lambda _order: None)
    assert not isinstance(failed.value, errors.Died)


def kill_all(folder: Path) -> None:
    """Every process that shares a build in this folder."""
    for process in Path("/proc").glob("[0-9]*"):
        held = [link.resolve() for link in process.glob("fd/*")] if b"worker.share" in _command(process) else []
        if any(path.is_relative_to(folder) for path in held):
            subprocess.run(["kill", "-KILL", process.name], check=True)


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def test_a_process_that_fails_blames_no_event(log: Log, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """No room for its part, say: what it says of it is there to be read."""
    (tmp_path / "0.read").mkdir()
    with pytest.raises(errors.LogError, match="see what it said above") as failed:
        work(job(log, tmp_path), lambda _done: None)
    assert not isinstance(failed.value, errors.Died)
    assert "Is a directory" in capfd.readouterr().err


def test_who_is_not_listened_to_any_more_ends(log: Log, tmp_path: Path) -> None:
    """However its parent died: nothing is left that works for nobody."""
    folder = tmp_path / "workshop"
    folder.mkdir()
    command = parent.command("listener.worker.share")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in (job(log, folder), Order(share.SAMPLE, 0)):
            process.stdin.write(msgspec.json.encode(line) + b"\n")
        process.stdout.read(SAID.size)
        process.stdin.close()
        process.stdout.close()
        until(lambda: process.poll() is not None)
        assert process.returncode == 0


def test_what_is_folded_together_is_not_too_much(log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process says now and then where it is; and before each event that is to be taken in alone."""
    monkeypatch.setattr(share, "FACTS", 5)
    said: list[Stretch] = []
    found = msgspec.structs.replace(job(log, tmp_path), alone=Stretch(10, 13))
    crew.work_here(log.database.engine, found, lambda stretch, _done: said.append(stretch), lambda _order: None)
    folded = said[said.index(Stretch(10, 11), said.index(Stretch(10, 11)) + 1) :]  # the first time it is read
    assert folded[:3] == [Stretch(10, 11), Stretch(11, 12), Stretch(12, 13)]
    assert said[-2:] == [share.NOBODYS, share.NOTHING]


@pytest.mark.usefixtures("shared")
def test_who_is_interrupted_leaves_nobody_behind(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes end before what they work on is removed: else they would complain of that."""
    generation, alive = log.shelf.generation(6), list[int]()
    workshop = generation.workshop

    @contextlib.contextmanager
    def watched() -> Iterator[Path]:
        with workshop() as folder:
            try:
                yield folder
            finally:
                alive.append(len(children()))

    def interrupt(_done: int) -> None:
        alive.append(len(children()))
        raise KeyboardInterrupt

    monkeypatch.setattr(generation, "workshop", watched)
    with pytest.raises(KeyboardInterrupt):
        build(log.database, generation, bookkeeping.REPLAYED, "code", len(log.events()), interrupt)
    assert alive == [2, 0]


def children() -> list[str]:
    """Our processes that share a build."""
    found = Path("/proc/self/task").glob("*/children")
    ours = [pid for threads in found for pid in threads.read_text().split()]
    return [pid for pid in ours if b"worker.share" in _command(Path("/proc", pid))]
