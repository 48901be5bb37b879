"""A replay says beforehand exactly what it changes, changes nothing until it is told to, and then nothing else."""

import contextlib
import fcntl
import itertools
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from listener import acts, bookkeeping, decisions, errors
from listener.acts import InForce, SourceInForce
from listener.demo.onespan import OneSpan
from listener.log import event, reader
from listener.log.append import append
from listener.only import OnlyOne
from listener.providers import onespan
from listener.views import Views
from listener.views_file import FileViews
from listener.worker import generations, going_live, piece
from listener.worker.building import build
from listener.worker.catching_up import fold_next
from listener.worker.plan import Plan
from listener.worker.projector import Projector
from listener.worker.replay import Replay
from projections import artifacts, course, packages, timeline
from tests import ledger
from tests.broken import handlers
from tests.rig import (
    BOTH,
    ID,
    SOURCE,
    Log,
    Worker,
    add,
    artifact,
    callback,
    completed,
    history,
    in_force,
    tables,
)

WRONG = {"PACKAGE_COMPLETE": onespan._Meaning("status", 30, "SENT", "in_progress")}


@contextlib.contextmanager
def wrong_handler(meanings: Mapping[str, Any] = WRONG) -> Iterator[None]:
    """The code as it was before somebody mended it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(onespan, "_MEANINGS", {**onespan._MEANINGS, **meanings})
        yield


def fold(log: Log, code: str) -> None:
    """Bring the live views up to date, as a worker with this code does."""
    found = Projector(log.database, log.shelf, code)
    found.catch_up()
    found.close()


def locks(folder: Path) -> tuple[OnlyOne, OnlyOne]:
    """That of the worker, and that of a replay."""
    return OnlyOne(folder), OnlyOne(folder, "replay")


def replay(log: Log, code: str = "right") -> Replay:
    """What replays with this code."""
    return Replay(log.database, log.shelf, log.settings.folder, code, *locks(log.settings.folder))


def live(log: Log) -> Views:
    """The generation that is shown."""
    with log.database.reading() as connection:
        return log.shelf.generation(generations.live(connection) or 0)


def renumber(log: Log, old: int, new: int) -> None:
    """Give a generation another number."""
    if log.database.folder is not None:
        FileViews(log.database.folder, old).path.rename(FileViews(log.database.folder, new).path)
        return
    with log.database.writing() as connection:
        connection.exec_driver_sql(f"ALTER SCHEMA signlog_views_{old} RENAME TO signlog_views_{new}")


def shown(log: Log) -> list[list[str]]:
    """What the live views say."""
    return tables(live(log))


def reported(log: Log, code: str = "right") -> dict[str, Any]:
    """The plan that waits, as scripts get it."""
    return ledger.reported(replay(log, code))


def told_wrong(tmp_path: Path) -> Log:
    """A log that a wrong handler folded: three packages, of which two are completed and one only sent."""
    log = Log(tmp_path)
    add(log.database, *(callback("PACKAGE_ACTIVATE", subject) for subject in ("a", "b", "c")))
    with wrong_handler():
        add(log.database, callback("PACKAGE_COMPLETE", "a"), callback("PACKAGE_COMPLETE", "b"))
        fold(log, "wrong")
    return log


def states(log: Log) -> dict[str, str]:
    """Where every package stands."""
    with live(log).reading() as connection:
        return {row.id: row.stage for row in connection.execute(select(packages.TABLE))}


def documents(log: Log) -> dict[tuple[str, str], str]:
    """What became of every document."""
    with live(log).reading() as connection:
        return {(row.subject, row.name): row.state for row in connection.execute(select(artifacts.TABLE))}


def test_a_plan_says_what_a_mended_handler_changes(each_engine: Path) -> None:
    """Field by field, of the subjects it is about and no other; and the documents that only it wants."""
    with told_wrong(each_engine) as log:
        plan = replay(log).plan()
        report = reported(log)
        fields = {
            (change["id"], change["field"]): (change["before"], change["after"])
            for change in report["changes"]
            if change["field"] != "timeline"
        }
        assert fields == {
            (subject, field): change
            for subject in ("a", "b")
            for field, change in {
                "status": ("SENT", "COMPLETED"),
                "stage": ("in_progress", "completed"),
                **{f"artifacts.{name}": (None, "wanted") for name in BOTH},
            }.items()
        }
        assert report["summary"] == {"added": 0, "removed": 0, "changed": 2, "unchanged": 1}
        assert {(one["field"], one["before"], one["after"], one["count"]) for one in report["transitions"]} == {
            ("status", "SENT", "COMPLETED", 2),
            ("stage", "in_progress", "completed", 2),
            ("artifact", None, "wanted", 4),
        }
        assert [(one["subject"], one["name"]) for one in report["artifacts"]["wanted"]] == [
            (subject, name) for subject in ("a", "b") for name in sorted(BOTH)
        ]
        assert (report["artifacts"]["unwanted"], report["artifacts"]["repeated"], report["faults"]) == ([], 0, [])
        assert (report["digest"], report["different"], report["events"]) == (plan.digest, True, 6)


def test_a_plan_changes_nothing(each_engine: Path) -> None:
    """Neither the log, nor what is shown, nor what would be fetched."""
    with told_wrong(each_engine) as log:
        before, events = shown(log), log.events()
        replay(log).plan()
        assert (shown(log), log.events()) == (before, events)


def test_without_a_difference_a_plan_says_so(each_engine: Path) -> None:
    """Other code that means the same: nothing is added, removed or changed, with faults and all."""
    with Log(each_engine) as log:
        add(log.database, *history())
        fold(log, "old")
        plan = replay(log, "new").plan()
        assert (plan.different, plan.transitions, plan.documents) == (False, (), {})
        assert {plan.summary[how] for how in ("added", "removed", "changed")} == {0}
        assert [fault.new for fault in plan.faults] == [False] * 6


def test_what_is_folded_live_while_the_plan_is_made_is_no_difference(each_engine: Path) -> None:
    """Both generations are compared at one position, wherever the live one has come to meanwhile."""
    with Log(each_engine) as log:
        add(log.database, *history())
        fold(log, "old")

        before = log_head(log)

        def told(_more: int, _all: int) -> None:
            add(log.database, callback("PACKAGE_COMPLETE", f"new{log_head(log)}"))
            fold(log, "old")

        plan = replay(log).plan(told)
        assert (plan.different, plan.summary["added"], plan.summary["removed"]) == (False, 0, 0)
        assert plan.binding.position == log_head(log) > before


def test_subjects_are_added_and_removed(each_engine: Path) -> None:
    """A name that made a package and makes none now, and the other way round; only the removed are told of."""
    template = {"PACKAGE_CREATE": onespan._MEANINGS["TEMPLATE_CREATE"], "TEMPLATE_CREATE": WRONG["PACKAGE_COMPLETE"]}
    with Log(each_engine) as log:
        add(log.database, callback("PACKAGE_CREATE", "new"), callback("TEMPLATE_CREATE", "gone"))
        with wrong_handler(template):
            fold(log, "wrong")
        plan = replay(log).plan()
        changed = [change for change in reported(log)["changes"] if change["field"] == "stage"]
        assert plan.summary == {"added": 1, "removed": 1, "changed": 0, "unchanged": 0}
        assert changed == [{"source": SOURCE, "id": "gone", "field": "stage", "before": "in_progress", "after": None}]


def rows(log: Log) -> dict[tuple[Any, ...], Any]:
    """Every field that is shown of every subject, computed without the code that compares."""
    found: dict[tuple[Any, ...], Any] = {}
    with live(log).reading() as connection:
        for row in connection.execute(select(packages.TABLE)):
            found |= {(row.id, field): getattr(row, field) for field in ("status", "stage", "confirmed")}
        for row in connection.execute(select(artifacts.TABLE)):
            found[row.subject, f"artifacts.{row.name}"] = row.state
        for row in connection.execute(select(timeline.TABLE)):
            found[row.subject, row.position] = timeline.load(row).text
    return found


MEANINGS = [
    {"PACKAGE_COMPLETE": WRONG["PACKAGE_COMPLETE"]},
    {"PACKAGE_ACTIVATE": onespan._MEANINGS["PACKAGE_DECLINE"]},
    {"PACKAGE_CREATE": onespan._MEANINGS["TEMPLATE_CREATE"]},
    {"SIGNER_COMPLETE": onespan._UNKNOWN},
    dict.fromkeys(onespan._MEANINGS, onespan._MEANINGS["PACKAGE_COMPLETE"]),
]


@pytest.mark.parametrize("meanings", MEANINGS, ids=range(len(MEANINGS)))
def test_the_difference_of_the_plan_is_the_real_one(each_engine: Path, meanings: Mapping[str, Any]) -> None:
    """What differs between the views before and after the apply is what the plan had said; documents wait, held."""
    with Log(each_engine) as log:
        add(log.database, *history())
        with wrong_handler(meanings):
            fold(log, "wrong")
        before = rows(log)
        plan = replay(log).plan()
        report = reported(log)
        replay(log).apply(plan.digest, "somebody")
        fold(log, "right")
        after = rows(log)
        wanted = {(one["subject"], f"artifacts.{one['name']}") for one in report["artifacts"]["wanted"]}
        assert {key for key in wanted if after[key] != "held"} == set()
        fresh = {key for key in after if (key[0], "stage") in before or (key[0], "stage") not in after}
        changed = {
            (*key, before.get(key), after.get(key) if key not in wanted else "wanted")
            for key in {*before, *fresh}
            if before.get(key) != after.get(key) and not isinstance(key[1], int)
        }
        said = {
            (change["id"], change["field"], change["before"], change["after"])
            for change in report["changes"]
            if change["field"] in ("status", "stage", "confirmed") or change["field"].startswith("artifacts.")
        }
        assert said == changed


def test_planned_twice_the_same(each_engine: Path) -> None:
    """The same digest, the same tables; what lay in the place of the next generation is thrown away."""
    with told_wrong(each_engine) as log:
        first = replay(log).plan()
        once = tables(log.shelf.generation(2))
        assert replay(log).plan() == first
        assert tables(log.shelf.generation(2)) == once


def test_a_replay_is_what_live_would_have_been(each_engine: Path) -> None:
    """Every table of the new generation, faults and what waits behind them included."""
    with Log(each_engine) as log:
        add(log.database, *history())
        fold(log, "same")
        replay(log, "same").plan()
        assert tables(log.shelf.generation(2)) == shown(log)


class Interrupted(Exception):  # noqa: N818
    """Somebody pressed Ctrl-C."""


def interrupt(after: int) -> Callable[[int, int], None]:
    """Break off at the end of a batch."""
    counted = itertools.count(1)

    def told(_more: int, _all: int) -> None:
        if next(counted) == after:
            raise Interrupted

    return told


def test_interrupted_at_any_batch_a_plan_comes_out_the_same(each_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a generation is removed; the next plan is the one that would have been, and so are its tables."""
    monkeypatch.setattr(piece, "EVENTS", 7)
    with Log(each_engine) as log:
        add(log.database, *history())
        fold(log, "old")
        whole = replay(log).plan()
        once = tables(log.shelf.generation(2))
        for batch in range(1, 100):
            try:
                plan = replay(log).plan(interrupt(batch))
            except Interrupted:
                assert not log.shelf.generation(2).exists()
                assert replay(log).planned() is None
            else:
                break
        assert batch > -(-len(log.events()) // 7) + 1
        assert (plan, tables(log.shelf.generation(2))) == (whole, once)


def test_what_a_killed_plan_left_is_no_plan(each_engine: Path) -> None:
    """A generation without a plan in it is not applied, and does not end up in the next one."""
    with told_wrong(each_engine) as log:
        build(log.database, log.shelf.generation(2), bookkeeping.REPLAYED, "right", log_head(log))
        with pytest.raises(errors.ReplayRefused, match="no plan"):
            replay(log).apply("0" * 64, "somebody")
        assert replay(log).plan().summary["changed"] == 2


def test_a_replay_needs_no_network(each_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With sockets that cannot be made: plan, apply and roll back."""

    def refuse(*_: Any) -> None:
        raise AssertionError("a replay opened a socket")

    with told_wrong(each_engine) as log:
        monkeypatch.setattr(socket.socket, "__init__", refuse)
        with pytest.raises(AssertionError):
            socket.create_connection(("127.0.0.1", 9))
        replay(log).apply(replay(log).plan().digest, "somebody")
        replay(log, "wrong").roll_back("somebody")


def test_apply_shows_what_was_planned(each_engine: Path) -> None:
    """The projector notices by itself; the decision says which generation, after which, by whom and of what digest."""
    with told_wrong(each_engine) as log:
        worker = Projector(log.database, log.shelf, "right")
        plan = replay(log).plan()
        assert states(log) == {"a": "in_progress", "b": "in_progress", "c": "in_progress"}
        assert replay(log).apply(plan.digest, "somebody") == 4
        assert states(log) == {"a": "completed", "b": "completed", "c": "in_progress"}
        act = acts.read(log.events(event.DECISION)[-1])
        assert (act.action, act.generation, act.previous, act.digest, act.operator) == (
            "live", 2, 1, plan.digest, "somebody",
        )  # fmt: skip
        worker.catch_up()
        assert worker.views.generation == 2
        assert set(documents(log).values()) == {"held"}
        worker.close()


def test_events_that_came_since_are_folded_in_and_no_reason_to_refuse(each_engine: Path) -> None:
    """Whether the live views had folded them or not; a document that completes now is no find of the replay."""
    with told_wrong(each_engine) as log:
        plan = replay(log).plan()
        add(log.database, callback("PACKAGE_COMPLETE", "c"))
        fold(log, "wrong")
        add(log.database, callback("PACKAGE_COMPLETE", "d"))
        assert replay(log).apply(plan.digest, "somebody") == 4
        fold(log, "right")
        assert set(states(log).values()) == {"completed"}
        assert Counter(documents(log).values()) == {"held": 4, "wanted": 4}


def other_digest(log: Log, plan: Plan) -> None:
    replay(log).apply(plan.digest[::-1], "somebody")


def other_code(log: Log, plan: Plan) -> None:
    replay(log, "newer").apply(plan.digest, "somebody")


def planned_anew(log: Log, plan: Plan) -> None:
    add(log.database, callback("PACKAGE_COMPLETE", "a"))
    fold(log, "wrong")
    replay(log).plan()
    replay(log).apply(plan.digest, "somebody")


def applied_already(log: Log, plan: Plan) -> None:
    replay(log).apply(plan.digest, "somebody")
    replay(log).apply(plan.digest, "somebody")


def other_generation(log: Log, plan: Plan) -> None:
    with log.database.writing() as connection:
        generations.flip(connection, 7)
    renumber(log, 2, 8)
    replay(log).apply(plan.digest, "somebody")


def erased_since(log: Log, plan: Plan) -> None:
    with log.database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO erasures VALUES (2, 7)")
    replay(log).apply(plan.digest, "somebody")


def worker_of_other_code(log: Log, plan: Plan) -> None:
    with OnlyOne(log.settings.folder):
        replay(log).apply(plan.digest, "somebody")


def another_replay(log: Log, plan: Plan) -> None:
    file = os.open(log.settings.folder / "signlog-replay.lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        replay(log).apply(plan.digest, "somebody")
    finally:
        os.close(file)


def spoilt(log: Log, plan: Plan) -> None:
    """Applied, folded on by the code of before until it was taken back: a callback that only the mended one knows."""
    replay(log).apply(plan.digest, "somebody")
    with wrong_handler():
        add(log.database, callback("PACKAGE_COMPLETE", "c"))
        fold(log, "wrong")
        replay(log, "wrong").roll_back("somebody")
    replay(log).apply(plan.digest, "somebody")


def purged(log: Log, plan: Plan) -> None:
    replay(log).purge()
    replay(log).apply(plan.digest, "somebody")


REFUSED: list[tuple[Callable[[Log, Plan], None], str]] = [
    (other_digest, "the plan is not"),
    (other_code, "the code changed"),
    (planned_anew, "the plan is not"),
    (applied_already, "there is no plan"),
    (other_generation, "not those that were compared"),
    (erased_since, "erased since"),
    (worker_of_other_code, "restart 'signlog serve'"),
    (another_replay, "another replay is under way"),
    (spoilt, "other code has folded on in what was planned"),
    (purged, "there is no plan"),
]


@pytest.mark.parametrize(("attempt", "said"), REFUSED, ids=[attempt.__name__ for attempt, _ in REFUSED])
def test_what_would_not_happen_as_planned_is_refused(
    each_engine: Path, attempt: Callable[[Log, Plan], None], said: str
) -> None:
    """The sentence says why; whatever was live stays so."""
    with told_wrong(each_engine) as log:
        plan = replay(log).plan()
        with pytest.raises(errors.ReplayRefused, match=said):
            attempt(log, plan)
        with log.database.reading() as connection:
            expected = {"applied_already": 2, "other_generation": 7}
            assert generations.live(connection) == expected.get(attempt.__name__, 1)


def test_a_worker_that_runs_this_code_is_no_reason_to_refuse(each_engine: Path) -> None:
    """It declared the code at its start."""
    with told_wrong(each_engine) as log:
        declared = InForce(acts.IN_FORCE, "0", "right", "0", {SOURCE: SourceInForce("onespan", BOTH)})
        add(log.database, acts.in_force(declared))
        plan = replay(log).plan()
        with OnlyOne(log.settings.folder):
            assert replay(log).apply(plan.digest, "somebody") == 4


def test_new_faults_are_applied_only_when_acknowledged(each_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old ones need nobody's consent. The plan names position, subject and error of each."""
    with Log(each_engine) as log:
        flood = [event for event in history() if b"flooded" in event.body]
        add(log.database, *flood)
        fold(log, "old")
        monkeypatch.setattr(course, "MOST_STEPS", 5)
        plan = replay(log).plan()
        [fault] = plan.faults
        assert (fault.subject, fault.new, "5 changes" in fault.error, plan.different) == ("flooded", True, True, True)
        with pytest.raises(errors.ReplayRefused, match="--accept-faults"):
            replay(log).apply(plan.digest, "somebody")
        replay(log).apply(plan.digest, "somebody", accept_faults=True)
        again = replay(log).plan()
        assert [fault.new for fault in again.faults] == [False]
        replay(log).apply(again.digest, "somebody")


def test_a_fault_of_an_event_that_came_since_needs_consent_too(
    each_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has seen it in the plan."""
    with Log(each_engine) as log:
        flood = [event for event in history() if b"flooded" in event.body]
        add(log.database, *flood[:5])
        fold(log, "old")
        monkeypatch.setattr(course, "MOST_STEPS", 5)
        plan = replay(log).plan()
        add(log.database, *flood[5:10])
        for _ in range(2):
            with pytest.raises(errors.ReplayRefused, match="an event that came since"):
                replay(log).apply(plan.digest, "somebody")
        replay(log).apply(plan.digest, "somebody", accept_faults=True)


def test_rolled_back_the_previous_views_are_shown_again(each_engine: Path) -> None:
    """With what has happened since; as a decision; and the replay can be applied once more."""
    with told_wrong(each_engine) as log:
        plan = replay(log).plan()
        replay(log).apply(plan.digest, "somebody")
        with wrong_handler():
            add(log.database, callback("PACKAGE_ACTIVATE", "d"))
            assert replay(log, "wrong").roll_back("somebody") == 1
            fold(log, "wrong")
        assert set(states(log).values()) == {"in_progress"}
        assert "d" in states(log)
        assert [acts.read(found).generation for found in log.events(event.DECISION)][-2:] == [2, 1]
        replay(log).apply(plan.digest, "somebody")
        assert states(log)["a"] == "completed"


def test_the_way_back_is_open_though_the_mended_code_folded_the_last_of_it(each_engine: Path) -> None:
    """It does, between the restart of the worker and the apply; code that folded none of it is refused."""
    with told_wrong(each_engine) as log:
        add(log.database, callback("PACKAGE_ACTIVATE", "d"))
        fold(log, "right")
        replay(log).apply(replay(log).plan().digest, "somebody")
        with pytest.raises(errors.ReplayRefused, match="folded by other code than this; deploy that first"):
            replay(log, "newer").roll_back("somebody")
        assert replay(log, "wrong").roll_back("somebody") == 1


def test_there_is_no_way_back_without_a_replay_after_a_purge_or_with_other_code(each_engine: Path) -> None:
    """The sentence says which; nor is there one from a rollback."""
    with told_wrong(each_engine) as log:
        with pytest.raises(errors.ReplayRefused, match="did not come from a replay"):
            replay(log, "wrong").roll_back("somebody")
        plan = replay(log).plan()
        replay(log).apply(plan.digest, "somebody")
        with pytest.raises(errors.ReplayRefused, match="folded by other code than this; deploy that first"):
            replay(log).roll_back("somebody")
        replay(log, "wrong").roll_back("somebody")
        with pytest.raises(errors.ReplayRefused, match="did not come from a replay"):
            replay(log, "wrong").roll_back("somebody")
        replay(log).apply(plan.digest, "somebody")
        assert replay(log).purge() == [1]
        with pytest.raises(errors.ReplayRefused, match="purged"):
            replay(log, "wrong").roll_back("somebody")


def test_held_documents_are_fetched_when_released_and_nothing_twice(each_engine: Path) -> None:
    """What is stored stays stored through apply and rollback; what only the replay found waits for a person."""
    with OneSpan() as server, Worker(each_engine, server.url) as worker:
        completed(server, "before", ID)
        worker.add(callback("PACKAGE_COMPLETE", "before"))
        worker.run(lambda: len(worker.stored()) == 2)
        with wrong_handler():
            worker.add(callback("PACKAGE_COMPLETE"))
            worker.rest()
        known = worker.projector._fingerprint
        plan = replay(worker, known).plan()
        assert plan.documents == {"wanted": 2}
        assert replay(worker, known).apply(plan.digest, "somebody") == 2
        worker.rest()
        assert worker.states() == {"held": 2, "stored": 2}
        assert len(worker.stored()) == 2
        add(worker.database, callback("PACKAGE_COMPLETE"))
        worker.rest()
        assert worker.states() == {"held": 2, "stored": 2}
        decisions.release(worker.database, [artifact(name=name) for name in BOTH], "somebody", "it was our bug")
        worker.run(lambda: worker.states() == {"stored": 4})
        assert worker.stored() == sorted((subject, name) for subject in ("before", ID) for name in BOTH)
        again = replay(worker, known).plan()
        assert again.documents == {}
        replay(worker, known).apply(again.digest, "somebody")
        worker.rest()
        replay(worker, known).roll_back("somebody")
        worker.rest()
        assert len(worker.stored()) == len(worker.outcomes()) == 4


def test_a_wish_that_has_not_heard_what_is_held_is_not_granted(each_engine: Path) -> None:
    """Between the flip and the fold of its decisions nothing can be claimed; afterwards it is held."""
    with OneSpan() as server, Worker(each_engine, server.url) as worker:
        completed(server)
        with wrong_handler():
            worker.add(callback("PACKAGE_COMPLETE"))
        known = worker.projector._fingerprint
        replay(worker, known).apply(replay(worker, known).plan().digest, "somebody")
        flipped = live(worker)
        worker.downloads.tick(flipped)
        while not worker.idle():
            pass
        with flipped.reading() as connection:
            assert bookkeeping.checkpoint(connection).position < log_head(worker)
            assert set(connection.scalars(select(artifacts.TABLE.c.state))) == {"wanted"}
        assert worker.outcomes() == []
        worker.turn()
        assert worker.states() == {"held": 2}


def log_head(log: Log) -> int:
    """The newest position."""
    with log.database.reading() as connection:
        return reader.head(connection)


def test_documents_that_nobody_wants_any_more_are_marked_and_kept(each_engine: Path) -> None:
    """Their outcome stays; the plan lists them."""
    with Log(each_engine) as log:
        with wrong_handler({"PACKAGE_ACTIVATE": onespan._MEANINGS["PACKAGE_COMPLETE"]}):
            add(log.database, callback("PACKAGE_ACTIVATE"))
            fold(log, "wrong")
        stored = acts.Act("stored", attempt=1, sha256="00", size=1, path="x")
        add(log.database, acts.outcome(artifact(), "onespan", stored))
        with wrong_handler({"PACKAGE_ACTIVATE": onespan._MEANINGS["PACKAGE_COMPLETE"]}):
            fold(log, "wrong")
        plan = replay(log).plan()
        assert plan.documents == {"unwanted": 2}
        replay(log).apply(plan.digest, "somebody")
        assert documents(log) == {(ID, artifact().name): "unwanted"}


def test_what_is_wanted_is_read_in_the_log_and_not_held_when_live_wants_it_too(each_engine: Path) -> None:
    """A replay that agrees on the documents holds none of them."""
    with Log(each_engine) as log:
        add(log.database, in_force(BOTH[0]), callback("PACKAGE_COMPLETE"))
        fold(log, "old")
        plan = replay(log).plan()
        assert replay(log).apply(plan.digest, "somebody") == 0
        fold(log, "right")
        assert documents(log) == {(ID, BOTH[0]): "wanted"}


def test_one_subject_alone_tells_of_what_this_code_cannot_take_in(each_engine: Path) -> None:
    """Else a handler that fails would look like one that makes less of it. Other subjects' faults are not told."""
    with told_wrong(each_engine) as log:
        broken = next(found.position for found in log.events() if b"COMPLETE" in (found.body or b""))
        with handlers(broken=[(broken, "a")]):
            faults = replay(log).of_subject(SOURCE, "a")[1]
            assert [(fault.position, fault.subject, fault.new) for fault in faults] == [(broken, "a", True)]
            assert replay(log).of_subject(SOURCE, "b")[1] == []
        with pytest.raises(errors.NotFoundError, match="nothing is known of z"):
            replay(log).of_subject(SOURCE, "z")


class Racing(Replay):
    """A replay, and what others do between its looks at the head."""

    def __init__(self, log: Log, meanwhile: Sequence[Callable[[], object]]) -> None:
        folder = log.settings.folder
        super().__init__(log.database, log.shelf, folder, "right", *locks(folder))
        self.meanwhile = iter(meanwhile)

    def _catch_up(self, generation: Views) -> None:
        super()._catch_up(generation)
        next(self.meanwhile, lambda: None)()


class Unlocked(Racing):
    """The negative control: it looks at the head, lets others run, and only then decides and flips."""

    def _go_live(self, new: Views, live: int, wanted: Any, digest: str | None, operator: str) -> int:
        self._catch_up(new)
        with self._database.writing() as connection:
            decided = acts.decision(acts.Act(acts.LIVE, generation=new.generation, previous=live), operator, "/live")
            self.gap = not going_live.at_head(connection, new)
            append(connection, [decided])
            generations.flip(connection, new.generation)
        return 0


def steps(log: Log, worker: Projector) -> dict[str, Callable[[], object]]:
    """What may happen at any moment: an event comes, the live views are folded."""
    return {
        "append": lambda: add(log.database, callback("PACKAGE_COMPLETE", f"new{log_head(log)}")),
        "fold": worker.fold_some,
        "nothing": lambda: None,
    }


INTERLEAVINGS = list(itertools.product(("append", "fold", "nothing"), repeat=3))


def raced(tmp_path: Path, kind: type[Racing], order: Sequence[str]) -> tuple[bool, Racing]:
    """Whether the new generation had folded all that stood before the decision that made it live."""
    with told_wrong(tmp_path) as log:
        worker = Projector(log.database, log.shelf, "wrong")
        plan = replay(log).plan()
        known = steps(log, worker)
        racing = kind(log, [known[name] for name in order])
        racing.apply(plan.digest, "somebody")
        [decided] = [found for found in log.events(event.DECISION) if found.path == acts.LIVE_PATH]
        before = [found for found in log.events(event.DECISION) if found.path == acts.HELD_PATH]
        with live(log).reading() as connection:
            whole = bookkeeping.checkpoint(connection).position == decided.position - 1 - len(before)
        worker.catch_up()
        assert worker.views.generation == 2
        worker.close()
        return whole, racing


@pytest.mark.parametrize("order", INTERLEAVINGS, ids="-".join)
def test_no_append_and_no_fold_falls_between_the_look_and_the_flip(tmp_path: Path, order: Sequence[str]) -> None:
    """Whatever comes in between, the generation that goes live has folded everything before its decision."""
    whole, _ = raced(tmp_path, Racing, order)
    assert whole


@pytest.mark.parametrize("order", [("nothing", "append", "fold"), ("append", "append", "append")], ids="-".join)
def test_nor_does_any_on_postgres(on_postgres: Path, order: Sequence[str]) -> None:
    """There the lock is another one."""
    whole, _ = raced(on_postgres, Racing, order)
    assert whole


def test_a_flip_that_does_not_look_under_the_lock_shows_views_that_lack_an_event(tmp_path: Path) -> None:
    """The negative control: of the same interleavings, those that append in the gap are caught, and no other."""
    torn = {}
    for number, order in enumerate(INTERLEAVINGS):
        folder = tmp_path / str(number)
        folder.mkdir()
        _, racing = raced(folder, Unlocked, order)
        torn[order] = racing.gap  # type: ignore[attr-defined]
    assert {order for order, gap in torn.items() if gap} == {order for order in INTERLEAVINGS if order[1] == "append"}


def test_a_fold_of_the_old_generation_that_is_under_way_is_no_harm(each_engine: Path) -> None:
    """It ends in the old file; the next round is in the new one."""
    with told_wrong(each_engine) as log:
        worker = Projector(log.database, log.shelf, "right")
        plan = replay(log).plan()
        replay(log).apply(plan.digest, "somebody")
        before = shown(log)
        fold_next(log.database, worker.views, "right")
        assert shown(log) == before
        worker.catch_up()
        assert worker.views.generation == 2
        worker.close()


def test_views_that_cannot_be_compared_are_no_ground_for_a_plan(tmp_path: Path) -> None:
    """None yet, of another shape, of another log, or on a disk that is full: each says what to do."""
    with Log(tmp_path) as log:
        with pytest.raises(errors.ReplayRefused, match="nothing was folded yet"):
            replay(log).plan()
        fold(log, "old")
        with pytest.raises(errors.DiskReserve):
            Replay(log.database, log.shelf, log.settings.folder, "right", *locks(log.settings.folder), 2**60).plan()
        with live(log).writing() as connection:
            connection.exec_driver_sql("UPDATE checkpoint SET leaf = x'00'")
        with pytest.raises(errors.ReplayRefused, match="another log"):
            replay(log).plan()
        with live(log).writing() as connection:
            connection.exec_driver_sql("UPDATE checkpoint SET shape = 'other'")
        with pytest.raises(errors.ReplayRefused, match="another shape"):
            replay(log).plan()
        assert not log.shelf.generation(2).exists()
