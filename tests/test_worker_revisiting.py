"""A decision about faults is obeyed where it stands in the log: live, in a replay, and in pieces of any size."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from listener import acts, bookkeeping, decisions
from listener.acts import Act
from listener.log import event, reader
from listener.log.event import Content, Draft
from listener.only import OnlyOne
from listener.views import Views
from listener.worker import building, faults, intake, piece
from listener.worker.building import build
from listener.worker.plan import Plan
from listener.worker.projector import Projector
from listener.worker.replay import Replay
from projections import artifacts, facts, timeline
from tests.broken import handlers
from tests.rig import EVIDENCE, ZIP, Log, add, artifact, callback, in_force, tables

WHY = "because"


def fold(log: Log, code: str = "code") -> None:
    """Bring the live views up to date, as a worker with this code does."""
    found = Projector(log.database, log.shelf, code)
    found.catch_up()
    found.close()


def live(log: Log) -> Views:
    """What is shown."""
    return log.shelf.generation(1)


def shown(log: Log) -> list[list[str]]:
    """What the live views say."""
    return tables(live(log))


def replayed(log: Log, number: int = 7) -> list[list[str]]:
    """What a replay makes of the whole log."""
    found = log.shelf.generation(number)
    build(log.database, found, bookkeeping.REPLAYED, "code", len(log.events()), lambda _events: None)
    return tables(found)


def told(log: Log, subject: str) -> list[int]:
    """The positions of what was taken in of a subject."""
    query = select(timeline.TABLE.c.position).filter_by(subject=subject).order_by(timeline.TABLE.c.position)
    with live(log).reading() as connection:
        return list(connection.scalars(query))


def faulty(log: Log) -> list[tuple[int, str | None, int]]:
    """Position, subject and attempts of each fault."""
    with live(log).reading() as connection:
        return [(row.position, row.subject, row.attempts) for row in connection.execute(select(bookkeeping.faults))]


def waiting(log: Log) -> list[tuple[str, int]]:
    """Subject and position of whatever waits."""
    with live(log).reading() as connection:
        return sorted((row.subject, row.position) for row in connection.execute(select(bookkeeping.parked)))


def skip(log: Log, *positions: int) -> int:
    """Decide to leave events out, whether they are faults or not."""
    return decisions.skip(log.database, positions, "somebody", WHY)[0]


def retry(log: Log, *positions: int) -> int:
    """Decide to try events again."""
    return decisions.retry_faults(log.database, positions, "somebody", None)[0]


@pytest.fixture
def log(each_engine: Path) -> Iterator[Log]:
    """What is in force, then six events about a and b in turns: b has the even positions, a the odd."""
    with Log(each_engine) as found:
        names = ("PACKAGE_CREATE", "PACKAGE_ACTIVATE", "PACKAGE_COMPLETE")
        add(found.database, *(callback(name, subject) for name in names for subject in "ba"))
        yield found


def test_a_fault_that_is_skipped_is_left_out_and_what_waited_is_taken_in(log: Log) -> None:
    """In order; nothing of it touches another subject; a replay comes to the same."""
    with handlers({(3, "a")}):
        fold(log)
        assert (faulty(log), waiting(log), told(log, "b")) == ([(3, "a", 1)], [("a", 5), ("a", 7)], [2, 4, 6])
        skip(log, 3)
        fold(log)
        assert (faulty(log), waiting(log), told(log, "a"), told(log, "b")) == ([], [], [5, 7], [2, 4, 6])
        assert replayed(log) == shown(log)


def test_without_a_decision_it_waits_on(log: Log) -> None:
    """However often the worker starts with the same code."""
    with handlers({(3, "a")}):
        fold(log)
        fold(log)
        assert (faulty(log), waiting(log)) == ([(3, "a", 1)], [("a", 5), ("a", 7)])


def test_behind_a_skipped_fault_the_next_one_stops_the_subject(log: Log) -> None:
    """What waits behind that goes on waiting, and is not touched."""
    with handlers({(3, "a"), (5, "a")}):
        fold(log)
        skip(log, 3)
        fold(log)
        assert (faulty(log), waiting(log), told(log, "a")) == ([(5, "a", 1)], [("a", 7)], [])
        assert replayed(log) == shown(log)
        skip(log, 5)
        fold(log)
        assert (faulty(log), waiting(log), told(log, "a")) == ([], [], [7])
        assert replayed(log) == shown(log)


def test_what_is_no_fault_is_not_left_out(log: Log) -> None:
    """Not what waits, not what was taken in, not what is still to come, nothing that is no position at all."""
    with handlers({(3, "a")}):
        fold(log)
        before = shown(log)[:-1]
        skip(log, 1, 2, 5, 8, 9, 0, -1, 10**30)
        add(log.database, callback("PACKAGE_CREATE", "c"))
        skip(log, 10)
        fold(log)
        after = shown(log)[:-1]
        assert [set(old) <= set(new) for old, new in zip(before, after, strict=True)] == [True] * len(before)
        assert (faulty(log), waiting(log), told(log, "c")) == ([(3, "a", 1)], [("a", 5), ("a", 7)], [9])
        assert replayed(log) == shown(log)


def test_other_code_that_takes_it_in_has_nothing_to_leave_out(log: Log) -> None:
    """A later generation that meets the fault again parks, and lets go at the decision."""
    with handlers({(3, "a")}):
        fold(log)
        skip(log, 3)
        add(log.database, callback("PACKAGE_TRASH", "a"))
        fold(log)
        before = shown(log)
    with handlers():
        mended = replayed(log)
    assert (sum("'a'" in row for row in mended[1]), mended[3], mended[4]) == (4, [], [])
    with handlers({(3, "a")}):
        assert replayed(log) == before


def test_an_unreadable_event_is_acknowledged(log: Log) -> None:
    """It stopped nobody, so nothing comes of it but that it is no fault any more."""
    with handlers(unreadable={5}):
        fold(log)
        assert (faulty(log), told(log, "a")) == ([(5, None, 1)], [3, 7])
        skip(log, 5)
        fold(log)
        assert (faulty(log), told(log, "a")) == ([], [3, 7])
        assert replayed(log) == shown(log)


def test_a_fault_is_tried_again(log: Log) -> None:
    """With code that is still broken it counts one more attempt; with mended code it is taken in, in order."""
    with handlers({(3, "a")}):
        fold(log)
        retry(log, 3)
        fold(log)
        assert (faulty(log), waiting(log)) == ([(3, "a", 2)], [("a", 5), ("a", 7)])
        assert replayed(log) == shown(log)
        retry(log, 3)
    with handlers():
        fold(log)
        assert (faulty(log), waiting(log), told(log, "a")) == ([], [], [3, 5, 7])
        assert replayed(log) == shown(log)


def test_an_unreadable_event_is_tried_again(log: Log) -> None:
    """Still unreadable, or taken in like a callback that comes late."""
    with handlers(unreadable={5}):
        fold(log)
        retry(log, 5)
        fold(log)
        assert (faulty(log), told(log, "a")) == ([(5, None, 2)], [3, 7])
        retry(log, 5)
    with handlers():
        fold(log)
        assert (faulty(log), told(log, "a")) == ([], [3, 5, 7])
        assert replayed(log) == shown(log)


def test_what_becomes_readable_waits_with_its_subject(log: Log) -> None:
    """And is taken in before what waited already, where it belongs."""
    with handlers({(5, "a")}, unreadable={3}):
        fold(log)
        retry(log, 3)
    with handlers({(5, "a")}):
        fold(log)
        assert (faulty(log), waiting(log)) == ([(5, "a", 1)], [("a", 3), ("a", 7)])
        retry(log, 5)
        fold(log)
        assert (faulty(log), waiting(log), told(log, "a")) == ([(5, "a", 2)], [("a", 7)], [3])
        assert replayed(log) == shown(log)


def test_an_event_may_stop_several_subjects(log: Log) -> None:
    """Both are let go by one decision; whoever had taken it in is not told twice."""
    both = acts.decision(
        Act(facts.RETRY, artifacts=(artifact("a"), artifact("b"), artifact("c"))), "x", acts.RETRY_PATH
    )
    add(log.database, both, callback("PACKAGE_TRASH", "a"), callback("PACKAGE_TRASH", "b"))
    real = timeline.apply

    def fail(state: Any, key: Any, fact: Any, _beside: Any = None) -> Any:
        if fact.position == 8 and fact.subject in "ab":
            raise KeyError("a bug")
        return real(state, key, fact)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(timeline, "apply", fail)
        fold(log)
        assert (faulty(log), waiting(log)) == ([(8, "a", 1), (8, "b", 1)], [("a", 9), ("b", 10)])
        skip(log, 8)
        fold(log)
        assert (faulty(log), waiting(log), told(log, "a")[-1], told(log, "b")[-1]) == ([], [], 9, 10)
        assert told(log, "c") == [8]
        assert replayed(log) == shown(log)


def test_what_waited_for_one_is_not_taken_in_again_for_another(log: Log) -> None:
    """An event may speak of several: those who had taken it in, and are stopped since, do not wait for it."""
    [both] = add(log.database, acts.decision(Act(facts.RETRY, artifacts=tuple(map(artifact, "ab"))), "x", "/artifacts"))
    [later] = add(log.database, callback("PACKAGE_TRASH", "b"))
    with handlers({(3, "a"), (later, "b")}):
        fold(log)
        assert (told(log, "b"), waiting(log)) == ([2, 4, 6, both], [("a", 5), ("a", 7), ("a", both)])
        skip(log, 3)
        fold(log)
        assert (told(log, "a"), told(log, "b"), waiting(log)) == ([5, 7, both], [2, 4, 6, both], [])
        assert replayed(log) == shown(log)


def test_what_waited_is_read_with_what_was_in_force_then(log: Log) -> None:
    """Documents are wanted of a completion as of the time it was recorded, on both sides of a declaration."""
    early, late = add(log.database, callback("PACKAGE_CREATE", "early"), callback("PACKAGE_CREATE", "late"))
    add(log.database, callback("PACKAGE_COMPLETE", "early"), callback("PACKAGE_ACTIVATE", "late"), in_force(EVIDENCE))
    add(log.database, callback("PACKAGE_TRASH", "early"), callback("PACKAGE_COMPLETE", "late"), in_force())
    with handlers({(early, "early"), (late, "late")}):
        fold(log)
        skip(log, early, late)
        fold(log)
        with live(log).reading() as connection:
            wanted = {(row.subject, row.name) for row in connection.execute(select(artifacts.TABLE))}
        assert {one for one in wanted if one[0] in ("early", "late")} == {
            ("early", EVIDENCE),
            ("early", ZIP),
            ("late", EVIDENCE),
        }
        assert replayed(log) == shown(log)


@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 500])
def test_in_pieces_of_any_size_the_same(log: Log, monkeypatch: pytest.MonkeyPatch, size: int, lasting: bool) -> None:
    """A decision is obeyed before what comes behind it is folded, in batches and in what is read back."""
    monkeypatch.setattr(intake, "BATCH", size)
    monkeypatch.setattr(piece, "EVENTS", size)
    monkeypatch.setattr(faults, "_AT_ONCE", size)
    monkeypatch.setattr(building, "EVENTS", size)
    skip(log, 3)
    add(log.database, *(callback("PACKAGE_CREATE", subject) for subject in "abc"))
    skip(log, 9, 10)
    add(log.database, *(callback("PACKAGE_TRASH", subject) for subject in "abc"))
    with handlers({(3, "a"), (9, "a"), (9, "b"), (10, "b"), (13, "a")}, unreadable={6}, lasting=lasting):
        fold(log)
        assert (faulty(log), waiting(log)) == ([(6, None, 1), (13, "a", 1)], [])
        assert (told(log, "a"), told(log, "b"), told(log, "c")) == ([5, 7], [2, 4, 14], [11, 15])
        assert replayed(log) == shown(log)


def hostile() -> Sequence[Draft]:
    """Decisions about faults that no command of ours writes."""
    bodies = [
        b"",
        b"\xff",
        b"[]",
        b'{"action":"skip","positions":"3"}',
        b'{"action":"skip","positions":[[3]]}',
        b'{"action":"skip"}',
        b'{"action":"burn","positions":[3]}',
        b'{"positions":[3]}',
        b'{"action":"skip","positions":[' + b"1" * 5000 + b"]}",
    ]
    return [Draft(event.DECISION, acts.SIGNLOG, acts.SIGNLOG, body, path=acts.FAULTS_PATH) for body in bodies]


def test_a_decision_that_cannot_be_read_decides_nothing(log: Log) -> None:
    """It is a fault by itself, or says nothing; nobody waits for it. Nor does one that is no decision."""
    with handlers({(3, "a")}):
        fold(log)
        decided = add(log.database, *hostile())
        good = acts.decision(Act(acts.SKIP, positions=(3,)), "x", acts.FAULTS_PATH)
        add(log.database, good._replace(kind=event.OUTCOME), good._replace(path="/held"))
        fold(log)
        assert faulty(log)[0] == (3, "a", 1)
        assert {position for position, subject, _ in faulty(log)[1:] if subject is None} < set(decided)
        assert waiting(log) == [("a", 5), ("a", 7)]
        assert replayed(log) == shown(log)


def test_an_event_that_was_erased_is_no_fault_any_more(log: Log) -> None:
    """There is nothing in it that could fail."""
    with handlers({(3, "a")}):
        fold(log)
        with log.database.writing() as connection:
            connection.exec_driver_sql("INSERT INTO erasures VALUES (3, 8)")
            connection.exec_driver_sql("UPDATE events SET body = NULL, headers = NULL, salt = NULL WHERE position = 3")
        retry(log, 3)
        fold(log)
        assert (faulty(log), told(log, "a")) == ([], [5, 7])


def test_a_flood_is_not_carried_about(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the next event is a fault too, only so much of what waits behind it is read as is read at once."""
    monkeypatch.setattr(faults, "_AT_ONCE", 10)
    flood = add(log.database, *(callback("PACKAGE_TRASH", "a") for _ in range(100)))
    with handlers({(3, "a"), (5, "a")}):
        fold(log)
        skip(log, 3)
        read: list[int] = []
        real = reader.contents_at

        def contents_at(connection: Any, positions: Sequence[int]) -> list[Content]:
            read.append(len(positions))
            return real(connection, positions)

        monkeypatch.setattr(reader, "contents_at", contents_at)
        fold(log)
        assert read == [10]
        assert waiting(log) == [("a", 7), *(("a", position) for position in flood)]
        skip(log, 5)
        fold(log)
        assert (waiting(log), len(read)) == ([], 12)


def test_source_and_subject_name_one_subject(log: Log) -> None:
    """The same id at another source is stopped by itself, and is not let go."""
    elsewhere = callback("PACKAGE_CREATE", "a", source="other_source")
    add(log.database, elsewhere, callback("PACKAGE_TRASH", "a"), elsewhere)
    with handlers({(3, "a"), (8, "a")}):
        fold(log)
        skip(log, 3)
        fold(log)
        with live(log).reading() as connection:
            left = [(row.source, row.position) for row in connection.execute(select(bookkeeping.faults))]
            behind = [(row.source, row.position) for row in connection.execute(select(bookkeeping.parked))]
        assert (left, behind) == ([("other_source", 8)], [("other_source", 10)])
        assert told(log, "a") == [5, 7, 9]


# What a plan says of it


def planned(log: Log) -> Plan:
    """What a replay with code of another fingerprint would change."""
    folder = log.settings.folder
    return Replay(log.database, log.shelf, folder, "new", OnlyOne(folder), OnlyOne(folder, "replay")).plan()


def test_a_fault_that_is_skipped_is_no_fault_of_a_plan(log: Log) -> None:
    """The generation of the plan met it, and let go at the decision, like the live one: nothing to acknowledge."""
    with handlers({(3, "a"), (6, "b")}, unreadable={4}):
        fold(log)
        skip(log, 3, 4)
        fold(log)
        plan = planned(log)
        assert [(fault.position, fault.new) for fault in plan.faults] == [(6, False)]
        assert not plan.different


def test_without_the_decision_it_is_one(log: Log) -> None:
    """New where the live views had taken it in."""
    fold(log)
    with handlers({(3, "a")}, unreadable={4}):
        assert [(fault.position, fault.new) for fault in planned(log).faults] == [(3, True), (4, True)]
    with handlers({(3, "a")}, unreadable={4}):
        skip(log, 3)
        fold(log)
        assert planned(log).faults[0].position == 4


def test_a_decision_that_nobody_obeyed_yet_is_obeyed_by_both(log: Log) -> None:
    """The plan is about what the live views have folded; the one that is applied catches up with the rest."""
    folder = log.settings.folder
    with handlers({(3, "a")}):
        fold(log)
        skip(log, 3)
        plan = planned(log)
        assert [(fault.position, fault.new) for fault in plan.faults] == [(3, False)]
        Replay(log.database, log.shelf, folder, "new", OnlyOne(folder), OnlyOne(folder, "replay")).apply(
            plan.digest, "somebody"
        )
    with log.shelf.generation(2).reading() as connection:
        assert connection.execute(select(bookkeeping.faults)).all() == []
