"""What a replay promises, whatever the log holds; each promise is also shown code that breaks it, and must notice."""

import contextlib
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given

from listener import rows
from listener.interpreter import Interpreter
from listener.log.event import Draft
from listener.projection import PROJECTIONS
from listener.views_file import FileViews
from listener.worker import generations, intake
from listener.worker.fold import Fold
from projections import packages
from projections.course import Course
from projections.facts import ALONE, Beside, Fact, Key
from projections.packages import State
from tests.codes import CODES, RIGHT, Apply, Patch, wearing, worn
from tests.histories import MEMORY, History, log_of
from tests.promises import CASES, broken, in_pieces_of, many, often, shown
from tests.rig import Log, fresh, tables
from tests.test_worker_fold import events
from tests.test_worker_projector import Listening
from tests.test_worker_replay import Interrupted, fold, interrupt, replay

# Live = replay


def live_is_replayed(history: History, size: int) -> bool:
    """Folded as it came, and folded anew: the same rows, faults, and what waits behind them."""
    with log_of(*history.drafts) as log:
        with worn((intake, "BATCH", size)):
            fold(log, RIGHT)
        plan = replay(log).plan()
        return not plan.different and shown(log, plan.generation) == shown(log)


@often
@given(CASES)
def test_live_views_are_those_of_a_replay(case: tuple[History, int]) -> None:
    """Of any log, in any batches."""
    assert live_is_replayed(*case)


def test_views_that_forget_what_is_in_force_are_noticed() -> None:
    """A projector to which only its own batch is known."""
    assert broken(live_is_replayed, (generations, "in_force", lambda _log, _position: None))


# Twice = once


def twice_is_once(history: History, _size: int) -> bool:
    """A second replay of the same log comes out the same; and so does one of what a replay made."""
    with log_of(*history.drafts) as log:
        fold(log, "another")
        first, tables_of_first = replay(log).plan(), shown(log, 2)
        again = replay(log).plan()
        same = (again, shown(log, 2)) == (first, tables_of_first)
        replay(log).apply(again.digest, "somebody")
        fold(log, RIGHT)
        after = replay(log).plan()
        return same and not after.different and shown(log, 3) == shown(log, 2)


@often
@given(CASES)
def test_a_second_replay_comes_out_as_the_first(case: tuple[History, int]) -> None:
    """The digest and every row."""
    assert twice_is_once(*case)


def remembering() -> Patch:
    """A handler that knows more than its state: what it took in before, in another fold."""
    known = Counter[int]()

    def apply(state: State, key: Key, fact: Fact, _beside: Beside = ALONE, real: Apply = packages.apply) -> State:
        known[fact.position] += 1
        return msgspec.structs.replace(real(state, key, fact), provider=f"seen {known[fact.position]} times")

    return packages, "apply", apply


def test_a_handler_that_remembers_is_noticed() -> None:
    """It is not a function of state and fact."""
    assert broken(twice_is_once, remembering())
    assert broken(live_is_replayed, remembering())


# In any order, any number of times


def ends(drafts: Sequence[Draft], history: History) -> dict[Key, Any]:
    """What all that was told of the lives comes to, wherever in the log it stands."""
    memory = Fold()
    memory.take(events(drafts), Interpreter())
    states = memory.states[PROJECTIONS.index(packages)]
    return {key: _unplaced(states[key]) for key in history.lives}


def _unplaced(state: State) -> Any:
    return state.provider, state.standing, state.signers, state.documents, state.reason, state.occurred_at


def order_changes_nothing(history: History, size: int) -> bool:
    """As it came, and as it might have come."""
    drafts = list(history.drafts)
    random.Random(size).shuffle(drafts)  # noqa: S311  not a secret
    return ends(drafts, history) == ends(history.drafts, history)


def repetition_changes_nothing(history: History, _size: int) -> bool:
    """Once, and all of it twice."""
    return ends(history.drafts * 2, history) == ends(history.drafts, history)


@many
@given(CASES)
def test_the_order_of_arrival_changes_no_package(case: tuple[History, int]) -> None:
    """Nor who signed what, nor why it was declined."""
    assert order_changes_nothing(*case)


@many
@given(CASES)
def test_what_is_told_twice_changes_no_package(case: tuple[History, int]) -> None:
    """A provider that got no answer says it again."""
    assert repetition_changes_nothing(*case)


def test_registers_and_counters_are_noticed() -> None:
    """Instead of sets."""
    assert broken(order_changes_nothing, *CODES["register"])
    assert broken(repetition_changes_nothing, *CODES["counting"])


# In any pieces


def size_changes_nothing(history: History, size: int) -> bool:
    """Batches, pieces, and states in memory: many at once or few."""
    with log_of(*history.drafts) as log:
        fold(log, RIGHT)
        replay(log).plan()
        whole = shown(log)
        with in_pieces_of(size), TemporaryDirectory(dir=MEMORY) as folder:
            replay(log).plan()
            projector = fresh(log.database, Path(folder), RIGHT)
            projector.catch_up()
            projector.close()
            return whole == shown(log, 2) == tables(projector.views)


@often
@given(CASES)
def test_any_size_of_pieces_leads_to_the_same_tables(case: tuple[History, int]) -> None:
    """Live and in a replay."""
    assert size_changes_nothing(*case)


def lossy(key: Key, state: State, real: Callable[..., tuple[Any, ...]] = packages.row) -> tuple[Any, ...]:
    """A row from which its state does not come back whole."""
    return real(key, msgspec.structs.replace(state, course=Course(standing=state.standing)))


def test_a_state_that_depends_on_batches_is_noticed() -> None:
    """Whatever is in memory is whole, and what was written down is not."""
    assert broken(size_changes_nothing, (packages, "row", lossy))


# Interrupted


def interruption_changes_nothing(history: History, size: int) -> bool:
    """Live: every batch fails once behind its rows, before the checkpoint moves, and is another projector's then."""
    with wearing("counting"), log_of(*history.drafts) as log, TemporaryDirectory(dir=MEMORY) as folder:
        fold(log, RIGHT)
        with worn((intake, "BATCH", size)):
            while _interrupted(log, Path(folder)):
                pass
        return tables(FileViews(Path(folder), 1)) == shown(log)


def _interrupted(log: Log, folder: Path) -> int:
    """Fold a batch at the second attempt; how many events it had."""
    broken_off = fresh(log.database, folder, RIGHT)
    listening = Listening("before_cursor_execute", "UPDATE checkpoint", _break_off)
    try:
        with contextlib.suppress(Interrupted):
            broken_off.fold_some()
    finally:
        listening.end()
        broken_off.close()
    with closing(fresh(log.database, folder, RIGHT)) as projector:
        return projector.fold_some()


def _break_off() -> None:
    raise Interrupted


@often
@given(CASES)
def test_interrupted_at_every_batch_live_views_are_the_same(case: tuple[History, int]) -> None:
    """Each fact was taken in once: the code counts."""
    assert interruption_changes_nothing(*case)


def hasty(connection: Any, projection: Any, states: Any, real: Any = rows.save) -> None:
    """Rows that are committed before the checkpoint that accounts for them."""
    real(connection, projection, states)
    connection.exec_driver_sql("COMMIT")
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def test_rows_that_are_committed_too_early_are_noticed() -> None:
    """They are folded twice."""
    assert broken(interruption_changes_nothing, (rows, "save", hasty))


def plans_broken_off_change_nothing(history: History, size: int) -> bool:
    """A replay that was broken off behind each piece in turn, and then made."""
    with log_of(*history.drafts) as log:
        fold(log, "another")
        whole, once = replay(log).plan(), shown(log, 2)
        with in_pieces_of(size + 3):
            for piece in range(1, -(-len(log.events()) // (size + 3)) + 1):
                with pytest.raises(Interrupted):
                    replay(log).plan(interrupt(piece))
            return (replay(log).plan(), shown(log, 2)) == (whole, once)


@often
@given(CASES)
def test_broken_off_behind_every_piece_a_plan_is_the_same(case: tuple[History, int]) -> None:
    """The digest and every row."""
    assert plans_broken_off_change_nothing(*case)


def test_a_replay_that_finds_what_another_left_is_noticed() -> None:
    """Whether in a file or, as here, in the handler."""
    assert broken(plans_broken_off_change_nothing, remembering())
