"""Live views are a fold of this very log: in any steps, killed anywhere, by several at once, after any loss."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from listener import acts, bookkeeping, errors, fingerprint, rows
from listener.acts import Act
from listener.bookkeeping import Checkpoint
from listener.desk import health
from listener.log import event, reader
from listener.log.sqlite import Sqlite
from listener.shelf import shelf
from listener.views import Views
from listener.views_file import FileShelf
from listener.worker import generations, intake, renewal
from listener.worker.projector import Projector
from projections import artifacts, course, packages, timeline
from tests.rig import BOTH, SOURCE, Log, add, callback, history, in_file, in_force, opened, tables, until
from tests.rig import fresh as beginning

ROOT = Path(__file__).parents[1]


def projector(log: Log, folder: Path | None = None, code: str = fingerprint.fingerprint()) -> Projector:
    """What keeps the views of this log, in its own folder or in another one."""
    return Projector(log.database, log.shelf, code) if folder is None else beginning(log.database, folder, code)


def shown(found: Projector) -> list[list[str]]:
    """Caught up, everything that it shows; then closed."""
    found.catch_up()
    try:
        return tables(found.views)
    finally:
        found.close()


def fresh(log: Log, tmp_path: Path) -> list[list[str]]:
    """What a projector shows that begins with nothing."""
    return shown(projector(log, tmp_path / "fresh"))


def checkpoint(found: Views) -> Checkpoint:
    """Where a generation stands."""
    with found.reading() as connection:
        return bookkeeping.checkpoint(connection)


def live(log: Log) -> int | None:
    """The generation that is shown."""
    with log.database.reading() as connection:
        return generations.live(connection)


def alarms(log: Log) -> list[str]:
    """What health says."""
    told: list[str] = health.health(log.database, log.settings, log.quarantine())["alarms"]
    return told


@pytest.fixture(autouse=True)
def small_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state of more than five steps is a fault, so that the history has one."""
    monkeypatch.setattr(course, "MOST_STEPS", 5)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Log]:
    """A log in which much has happened; every test folds it in a folder of its own."""
    with Log(tmp_path_factory.mktemp("told")) as log:
        add(log.database, *history())
        yield log


@pytest.fixture
def whole(told: Log, tmp_path: Path) -> list[list[str]]:
    """What the views of it are, folded at once."""
    return shown(projector(told, tmp_path / "whole"))


def test_catching_up_ends_at_the_head(told: Log, tmp_path: Path, whole: list[list[str]]) -> None:
    """It says how much it folded, then that there is nothing more; the checkpoint names the last event."""
    found = projector(told, tmp_path / "views")
    events = told.events()
    assert (found.catch_up(), found.catch_up(), found.fold_some()) == (len(events), 0, 0)
    assert checkpoint(found.views)[1:3] == (len(events), events[-1].leaf)
    assert all(whole)
    assert shown(found) == whole


@pytest.mark.parametrize("batch", [1, 2, 7, 50, 1000])
def test_in_batches_of_any_size_the_same(
    told: Log, tmp_path: Path, whole: list[list[str]], monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """Faults and what waits behind them included."""
    monkeypatch.setattr(intake, "BATCH", batch)
    assert shown(projector(told, tmp_path / "views")) == whole


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=20))
def test_interrupted_anywhere_the_same(
    told: Log, tmp_path: Path, whole: list[list[str]], steps: list[tuple[int, bool]]
) -> None:
    """Batches of all sizes, and a new projector wherever the old one ended."""
    folder = tmp_path / "views"
    shutil.rmtree(folder, ignore_errors=True)
    found = projector(told, folder)
    for batch, ends in steps:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(intake, "BATCH", batch)
            found.fold_some()
        if ends:
            found.close()
            found = projector(told, folder)
    assert shown(found) == whole


def test_interrupted_at_every_boundary_the_same(
    told: Log, tmp_path: Path, whole: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A projector for each batch, each of five events."""
    monkeypatch.setattr(intake, "BATCH", 5)
    while True:
        found = projector(told, tmp_path / "views")
        folded = found.fold_some()
        found.close()
        if not folded:
            break
    assert shown(projector(told, tmp_path / "views")) == whole


class Listening:
    """What the statements of all engines meet: something to do just before or after those that match."""

    def __init__(self, name: str, words: str, act: Callable[[], None]) -> None:
        self.name, self.words, self.act = name, words, act
        sqlalchemy.event.listen(Engine, name, self.heard)

    def heard(self, *arguments: Any) -> None:
        if self.name == "commit" or arguments[2].startswith(self.words):
            self.act()

    def end(self) -> None:
        sqlalchemy.event.remove(Engine, self.name, self.heard)


STEPS = [
    ("before_cursor_execute", "INSERT INTO packages"),
    ("after_cursor_execute", "INSERT INTO artifacts"),
    ("before_cursor_execute", "INSERT INTO faults"),
    ("before_cursor_execute", "UPDATE checkpoint"),
    ("after_cursor_execute", "UPDATE checkpoint"),
]


@pytest.mark.parametrize("step", STEPS)
def test_a_batch_that_fails_leaves_nothing(
    told: Log, tmp_path: Path, whole: list[list[str]], step: tuple[str, str]
) -> None:
    """Rows and checkpoint move together: an error at any step, and the batch was never there."""

    def fail() -> None:
        raise OSError("disk")

    found = projector(told, tmp_path / "views")
    before = tables(found.views)
    listening = Listening(*step, fail)
    try:
        with pytest.raises(OSError, match="disk"):
            found.fold_some()
    finally:
        listening.end()
    assert tables(found.views) == before
    assert shown(found) == whole


def die() -> None:
    """At once, as in a power cut."""
    os.kill(os.getpid(), signal.SIGKILL)


def killed(data: str, folder: str, batch: int, step: Sequence[str], times: int) -> None:
    """For another process: fold, and be killed when this step comes for the nth time."""
    course.MOST_STEPS, intake.BATCH = 5, batch  # type: ignore[misc]
    left = iter(range(times - 1))
    found = Projector(Sqlite(Path(data)), FileShelf(Path(folder)), "code")
    Listening(step[0], step[1], lambda: die() if next(left, None) is None else None)
    found.catch_up()


@contextlib.contextmanager
def child(call: str, *arguments: Any) -> "Iterator[subprocess.Popen[str]]":
    """Another Python that calls a function of this file; its files and locks are its own."""
    code = f"import json, sys; from tests.test_worker_projector import {call} as call; call(*json.loads(sys.argv[1]))"
    command = [sys.executable, "-c", code, json.dumps(arguments, default=str)]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(("step", "times"), [(STEPS[3], 2), (STEPS[4], 3), (("commit", ""), 12)])
def test_killed_between_rows_and_checkpoint_the_same(
    told: Log, tmp_path: Path, whole: list[list[str]], step: tuple[str, str], times: int
) -> None:
    """The next projector folds what the dead one had not committed, and no more."""
    projector(told, tmp_path / "views").close()
    with child("killed", told.settings.folder, tmp_path / "views", 20, step, times) as dead:
        dead.communicate(timeout=60)
    assert dead.returncode == -signal.SIGKILL
    found = projector(told, tmp_path / "views")
    assert 0 < checkpoint(found.views).position < len(told.events())
    assert shown(found) == whole


def race(address: str, head: int) -> None:
    """For another process: fold up to a position that is not there yet, and print where the checkpoint was moved."""
    course.MOST_STEPS, intake.BATCH = 5, 3  # type: ignore[misc]
    moved: list[int] = []
    real = bookkeeping.move

    def move(connection: Any, position: int, leaf: bytes) -> None:
        real(connection, position, leaf)
        moved.append(position)

    bookkeeping.move = move
    database = opened(address)
    found = Projector(database, shelf(database), "code")
    until(lambda: found.catch_up() is not None and checkpoint(found.views).position == head, pause=0)
    print(json.dumps(moved))


def test_several_at_once_are_as_good_as_one(each_engine: Path) -> None:
    """Three processes fold a log that grows meanwhile: no batch twice, none left out, the views as from one."""
    drafts = history()
    with Log(each_engine) as log:
        head = len(log.events()) + len(drafts)
        with contextlib.ExitStack() as stack:
            racing = [stack.enter_context(child("race", log.database.address, head)) for _ in range(3)]
            for start in range(0, len(drafts), 4):
                add(log.database, *drafts[start : start + 4])
            moved = [json.loads(racer.communicate(timeout=60)[0].splitlines()[-1]) for racer in racing]
        every = sorted(position for racer in moved for position in racer)
        assert len(every) == len(set(every))
        assert every[-1] == head
        assert shown(projector(log)) == fresh(log, each_engine)
        assert live(log) == 1


def test_a_batch_that_another_folded_is_let_go(told: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between reading and writing somebody else was there: the comparison in the write shuts the second out."""
    monkeypatch.setattr(intake, "BATCH", 10)
    first, second = projector(told, tmp_path / "views"), projector(told, tmp_path / "views")
    real = reader.contents

    def overtaken(*arguments: Any) -> Any:
        monkeypatch.setattr(reader, "contents", real)
        first.fold_some()
        return real(*arguments)

    monkeypatch.setattr(reader, "contents", overtaken)
    second.fold_some()
    assert checkpoint(second.views).position == 10
    second.fold_some()
    assert checkpoint(second.views).position == 20
    first.close()
    second.close()


def copied(log: Log, folder: Path) -> None:
    """A backup of a log, beside it."""
    folder.mkdir()
    log.database.leave_no_trace()
    shutil.copy(log.settings.folder / "signlog.db", folder)


def restored(log: Log, backup: Path) -> None:
    """Put the backup in the place of a log that nobody uses now."""
    for path in log.settings.folder.glob("signlog.db*"):
        path.unlink()
    shutil.copy(backup / "signlog.db", log.settings.folder)


def parted_log(folder: Path, how: str) -> None:
    """A folder whose views were folded from another log than the one that is there now."""
    with Log(folder) as log:
        add(log.database, *(callback("PACKAGE_CREATE", f"old {n}") for n in range(10)))
        copied(log, folder / "backup")
        add(log.database, callback("PACKAGE_CREATE", "lost"))
        shown(projector(log))
    if how == "other log":
        shutil.rmtree(folder / "backup")
        with Log(folder / "other") as other:
            add(other.database, *(callback("PACKAGE_CREATE", f"new {n}") for n in range(20)))
            copied(other, folder / "backup")
    restored(log, folder / "backup")
    if how == "other event":
        with Log(folder) as log:
            add(log.database, callback("PACKAGE_CREATE", "instead"), callback("PACKAGE_CREATE", "more"))


@pytest.mark.parametrize("how", ["shorter", "other event", "other log"])
def test_views_of_another_log_are_set_aside(tmp_path: Path, how: str) -> None:
    """A restored backup: the old generation stays as it is, the next is folded from this log, and health is red."""
    parted_log(tmp_path, how)
    with Log(tmp_path) as log:
        old = log.shelf.generation(1)
        before = tables(old)
        found = projector(log)
        found.catch_up()
        assert (live(log), found.views.generation) == (3, 3)
        assert checkpoint(found.views).origin == bookkeeping.PARTED
        assert "parted" in " ".join(alarms(log))
        assert shown(found) == fresh(log, tmp_path)
        assert tables(old) == before
        old.close()


@pytest.mark.parametrize("grown", [False, True])
def test_views_of_this_log_stay(tmp_path: Path, grown: bool) -> None:
    """A backup of the same moment, and a log that only grew, have not parted from their views."""
    with Log(tmp_path) as log:
        add(log.database, *history())
        shown(projector(log))
        copied(log, tmp_path / "backup")
    restored(log, tmp_path / "backup")
    with Log(tmp_path) as log:
        if grown:
            add(log.database, callback("PACKAGE_CREATE"))
        found = projector(log)
        found.catch_up()
        assert checkpoint(found.views)[1] == len(log.events())
        assert checkpoint(found.views).origin == bookkeeping.FIRST
        assert live(log) == 1
        assert "parted" not in " ".join(alarms(log))
        found.close()


def test_whoever_was_killed_before_the_first_tables_has_lost_nothing(tmp_path: Path) -> None:
    """SQLite makes an empty file first: it is filled, and no alarm tells of damage."""
    with Log(tmp_path) as log:
        in_file(log.shelf.generation(1)).path.touch()
        add(log.database, *history())
        with capture_logs() as said, contextlib.closing(Projector(log.database, log.shelf, "code")) as found:
            found.catch_up()
            assert found.views.generation == 1
        assert not [line for line in said if line["event"].startswith("views_")]


def test_what_is_no_database_in_the_place_of_the_first_is_set_aside(tmp_path: Path) -> None:
    """It is found out when it is read, as at any other time."""
    with Log(tmp_path) as log:
        in_file(log.shelf.generation(1)).path.write_bytes(b"no database at all" * 1000)
        add(log.database, *history())
        with capture_logs() as said, contextlib.closing(Projector(log.database, log.shelf, "code")) as found:
            found.catch_up()
            assert found.views.generation > 1
        assert "views_rebuilt" in [line["event"] for line in said]


def test_an_empty_view_of_another_log_has_parted_too(each_engine: Path) -> None:
    """Nothing was folded yet, and still it is not this log's."""
    with Log(each_engine) as log:
        log.shelf.generation(1).create(b"another log's id", bookkeeping.FIRST)
        found = projector(log)
        found.catch_up()
        assert (found.views.generation, checkpoint(found.views).origin) == (3, bookkeeping.PARTED)
        found.close()


def test_two_that_see_the_parting_make_one_generation(tmp_path: Path) -> None:
    """The second finds that the first was there, and goes on in its views instead of making them anew."""
    parted_log(tmp_path, "shorter")
    with Log(tmp_path) as log:
        first, second = projector(log), projector(log)
        first.catch_up()
        second.catch_up()
        assert (first.views.generation, second.views.generation, live(log)) == (3, 3, 3)
        add(log.database, callback("PACKAGE_CREATE", "after"))
        assert first.fold_some() + second.fold_some() == 1
        assert tables(first.views) == tables(second.views)
        first.close()
        second.close()


@pytest.mark.parametrize("beside", [True, False])
def test_lost_views_come_back(tmp_path: Path, beside: bool) -> None:
    """Whether SQLite's files beside them were lost as well or not."""
    with Log(tmp_path) as log:
        add(log.database, *history())
        found = projector(log)
        found.catch_up()
        before = tables(found.views)
        kept = {path: path.read_bytes() for path in log.settings.folder.glob("signlog-views-1.db-*")}
        found.close()
        found.views.discard()
        for path, content in kept.items() if not beside else ():
            path.write_bytes(content)
        with capture_logs() as said:
            again = projector(log)
        assert "views_rebuilding" in [line["event"] for line in said]
        assert (live(log), checkpoint(again.views).origin) == (3, bookkeeping.LOST)
        assert shown(again)[:-1] == before[:-1]


def wants(log: Log) -> set[str]:
    """The states of the documents in the live views."""
    with log.shelf.generation(live(log) or 0).reading() as connection:
        return set(connection.scalars(sqlalchemy.select(artifacts.TABLE.c.state)))


@pytest.mark.parametrize(("code", "state"), [(fingerprint.fingerprint(), "wanted"), ("nobody looked at it", "held")])
def test_what_comes_back_wants_only_what_somebody_approved(tmp_path: Path, code: str, state: str) -> None:
    """With other code than was in force, whatever is not stored waits for a person, listed in a decision."""
    with Log(tmp_path) as log:
        add(log.database, in_force(BOTH[0], code=fingerprint.fingerprint()), callback("PACKAGE_COMPLETE"))
        found = projector(log)
        found.catch_up()
        assert wants(log) == {"wanted"}
        found.close()
        found.views.discard()
        again = projector(log, code=code)
        again.catch_up()
        again.close()
        assert wants(log) == {state}
        went = [known.path for known in log.events(event.DECISION)][2:]
        assert went == (["/held", "/live"] if state == "held" else ["/live"])


@pytest.mark.parametrize(("reason", "state"), [(renewal.REASON, "held"), (None, "wanted")])
def test_who_had_something_erased_approved_no_code(tmp_path: Path, reason: str | None, state: str) -> None:
    """The views that were shown then are those of before; who applied a replay knew what the new code wants."""
    with Log(tmp_path) as log:
        add(log.database, in_force(BOTH[0], code="old"), callback("PACKAGE_COMPLETE"))
        found = projector(log, code="old")
        found.catch_up()
        found.close()
        shown = Act(acts.LIVE, generation=1, previous=1, reason=reason)
        add(log.database, in_force(BOTH[0], code="new"), acts.decision(shown, "somebody", acts.LIVE_PATH))
        found.views.discard()
        again = projector(log, code="new")
        again.catch_up()
        again.close()
        assert wants(log) == {state}


def test_what_somebody_approved_once_is_approved_when_views_are_lost_again(tmp_path: Path) -> None:
    """Views built anew are shown by decision: their code is approved from then on, what it held stays held."""
    with Log(tmp_path) as log:
        add(log.database, in_force(BOTH[0], code="new"), callback("PACKAGE_COMPLETE"))
        for _ in range(3):
            found = projector(log, code="new")
            found.catch_up()
            found.close()
            found.views.discard()
        add(log.database, callback("PACKAGE_COMPLETE", "later"))
        again = projector(log, code="new")
        again.catch_up()
        again.close()
        assert wants(log) == {"held", "wanted"}


def spoil_header(path: Path, _connection: Any) -> None:
    path.write_bytes(b"garbage" * 10_000)


def spoil_pages(path: Path, _connection: Any) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


def empty(path: Path, _connection: Any) -> None:
    path.write_bytes(b"")


def lacking(path: Path, _connection: Any) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE checkpoint")


@pytest.mark.parametrize("spoil", [spoil_header, spoil_pages, empty, lacking])
def test_damaged_views_come_back(tmp_path: Path, spoil: Callable[..., None]) -> None:
    """At the start: thrown away, folded anew as the next generation, and said aloud."""
    with Log(tmp_path) as log:
        add(log.database, *history())
        found = projector(log)
        found.catch_up()
        before = tables(found.views)
        found.close()
        for path in log.settings.folder.glob("signlog-views-1.db-*"):
            path.unlink()
        spoil(in_file(found.views).path, None)
        with capture_logs() as said:
            again = projector(log)
        assert shown(again)[:-1] == before[:-1]
        assert (live(log), again.views.generation) == (3, 3)
        assert not found.views.exists()
        assert "views_damaged" in [line["event"] for line in said]


def test_a_state_that_this_code_cannot_read_is_mended(each_engine: Path) -> None:
    """Other code wrote it: folding says so, and mending begins the next generation."""
    with Log(each_engine) as log:
        add(log.database, *history())
        found = projector(log)
        found.catch_up()
        with found.views.writing() as connection:
            connection.execute(packages.TABLE.update().values(fold=b"{}}"))
        add(log.database, history()[0])
        with pytest.raises(errors.ViewsError) as caught:
            found.catch_up()
        found.mend(caught.value)
        assert (found.views.generation, checkpoint(found.views).origin) == (3, bookkeeping.DAMAGED)
        assert shown(found) == fresh(log, each_engine)


def reshape_digest(connection: Any) -> None:
    connection.exec_driver_sql("UPDATE checkpoint SET shape = 'of another version'")


def reshape_tables(connection: Any) -> None:
    reshape_digest(connection)
    for statement in (
        "ALTER TABLE checkpoint DROP COLUMN origin",
        "ALTER TABLE packages RENAME COLUMN status TO standing",
        "DROP TABLE heartbeat",
    ):
        connection.exec_driver_sql(statement)


@pytest.mark.parametrize("reshape", [reshape_digest, reshape_tables])
def test_views_of_another_shape_are_set_aside(each_engine: Path, reshape: Callable[[Any], None]) -> None:
    """Nothing is folded into them, whatever their tables are; the next generation is, and theirs stays."""
    with Log(each_engine) as log:
        add(log.database, *history())
        found = projector(log)
        found.catch_up()
        before = tables(found.views)
        with found.views.writing() as connection:
            reshape(connection)
        found.close()
        again = projector(log)
        assert (again.views.generation, checkpoint(again.views).origin, live(log)) == (3, bookkeeping.RESHAPED, 3)
        assert shown(again)[:-1] == before[:-1]
        assert found.views.exists()
        assert "parted" not in " ".join(alarms(log))


def test_a_stale_file_in_the_place_of_the_next_generation_is_no_harm(tmp_path: Path) -> None:
    """A killed attempt, or a backup's pointer: what lies under the next number is not believed."""
    parted_log(tmp_path, "shorter")
    with Log(tmp_path) as log:
        stale = log.shelf.generation(2)
        with log.database.reading() as connection:
            stale.create(reader.log_id(connection), bookkeeping.FIRST)
        with stale.writing() as connection:
            rows.save(connection, packages, {(SOURCE, "never was"): packages.State()})
        stale.close()
        found = projector(log)
        assert "never was" not in str(shown(found))
        assert checkpoint(found.views).origin == bookkeeping.PARTED


def test_code_that_changed_begins_a_new_segment(each_engine: Path) -> None:
    """The same tables: the generation goes on, and says from where on which code folded."""
    with Log(each_engine) as log:
        for code, subject in (("a", "1"), ("a", "2"), ("b", "3"), ("b", "4"), ("a", "5")):
            add(log.database, callback("PACKAGE_CREATE", subject))
            found = projector(log, code=code)
            found.catch_up()
            with found.views.reading() as connection:
                segments = [tuple(row)[1:] for row in connection.execute(bookkeeping.segments.select())]
            found.close()
        assert segments == [(0, "a"), (3, "b"), (5, "a")]
        assert live(log) == 1


def test_a_fault_stays_over_restarts(each_engine: Path) -> None:
    """What waits behind it goes on waiting, in every later batch; others go on; health says what is wrong."""
    with Log(each_engine) as log:
        for minute in range(8):
            at = callback("PACKAGE_ACTIVATE", "a").body.replace(b"12:00", f"12:{minute:02}".encode())
            add(log.database, callback("PACKAGE_CREATE", f"b{minute}"), callback("", "")._replace(body=at))
            found = projector(log)
            found.catch_up()
            found.close()
        found = projector(log)
        with found.views.reading() as connection:
            [fault] = connection.execute(bookkeeping.faults.select()).all()
            waiting = connection.execute(bookkeeping.parked.select()).all()
            known = set(connection.scalars(sqlalchemy.select(packages.TABLE.c.id)))
            seen = connection.scalars(sqlalchemy.select(timeline.TABLE.c.position).filter_by(subject="a")).all()
        assert (fault.subject, "5 changes" in fault.error) == ("a", True)
        assert [row.position for row in waiting] == [fault.position + 2, fault.position + 4]
        assert known == {"a", *(f"b{minute}" for minute in range(8))}
        assert max(seen) < fault.position
        assert "could not be taken in" in " ".join(alarms(log))
        found.close()


def test_a_bug_for_many_subjects_stops_each_of_them(each_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision names several: what comes later waits for every one of them, not only for the first."""
    with Log(each_engine) as log:
        found = projector(log)
        with monkeypatch.context() as patched:
            patched.setattr(timeline, "apply", None)
            add(log.database, history()[-7])
            found.catch_up()
        add(log.database, callback("PACKAGE_COMPLETE", "flooded"), callback("PACKAGE_COMPLETE"))
        found.catch_up()
        with found.views.reading() as connection:
            assert len(connection.execute(bookkeeping.faults.select()).all()) == 2
            assert len(connection.execute(bookkeeping.parked.select()).all()) == 2
        found.close()


def test_a_beat_is_no_progress_and_progress_no_beat(told: Log, tmp_path: Path) -> None:
    """A projector that lives and folds nothing beats; one that folds has not thereby shown that the worker lives."""
    found = projector(told, tmp_path / "views")
    heartbeat = sqlalchemy.select(bookkeeping.heartbeat.c.at)
    found.catch_up()
    with found.views.reading() as connection:
        assert connection.scalar(heartbeat) is None
    before = checkpoint(found.views)
    found.beat()
    with found.views.reading() as connection:
        assert connection.scalar(heartbeat) is not None
        assert bookkeeping.checkpoint(connection) == before
    found.close()


def test_health_hears_the_heart_and_not_the_lag(each_engine: Path) -> None:
    """Caught up, and still red while no worker beats; green after a beat."""
    with Log(each_engine) as log:
        found = projector(log, code=fingerprint.fingerprint())
        found.catch_up()
        assert "worker does not run" in " ".join(alarms(log))
        found.beat()
        assert alarms(log) == []
        found.close()


def test_a_lock_that_is_not_given_is_no_damage(tmp_path: Path) -> None:
    """Somebody holds the views for too long: an error, and nothing is set aside."""
    with Log(tmp_path) as log:
        found, holder = projector(log), log.shelf.generation(1)
        with found.views.writing() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout = 0")
        with holder.writing(), pytest.raises(OperationalError, match="locked"):
            found.catch_up()
        assert found.catch_up() == 1
        assert live(log) == 1
        holder.close()
        found.close()
