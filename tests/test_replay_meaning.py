"""What a replay says of the difference, of one subject, and of every package: the same as is found without its code.

What a package should be is computed from the life that it was told of, never from what the log says of it.
"""

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import select

from listener.interpreter import Interpreter
from listener.log import reader
from listener.projection import PROJECTIONS
from listener.worker import difference
from listener.worker.fold import Fold
from projections import artifacts, packages
from projections.facts import Fact, Key
from tests import differing
from tests.codes import CODES, MARKED, RIGHT, wearing
from tests.histories import OTHER, History, histories, log_of
from tests.lives import End
from tests.promises import CASES, broken, in_pieces_of, often
from tests.rig import SOURCE, Log, callback
from tests.test_worker_replay import fold, replay, reported

# The difference


def difference_is_real(history: History, codes: tuple[str, str]) -> bool:
    """What the plan says between any two codes is what differs between the views before and after the apply."""
    before, after = codes
    with log_of(*history.drafts) as log:
        head = len(log.events())
        with wearing(before):
            fold(log, before)
        was = said(log, 1, head)
        with wearing(after):
            digest = replay(log, after).plan().digest
            report = reported(log, after)
            replay(log, after).apply(digest, "somebody", accept_faults=True)
            fold(log, after)
        return differing.told_by(report) == differing.worked_out(was, said(log, 2, head))


def said(log: Log, generation: int, until: int) -> differing.Said:
    """What a generation says of the events up to a position."""
    with closing(log.shelf.generation(generation)) as views:
        return differing.said(views, until)


MISREAD = History((callback("TEMPLATE_CREATE", "t"), callback("PACKAGE_CREATE", MARKED)), {})


@often
@given(histories(), st.tuples(st.sampled_from(sorted(CODES)), st.sampled_from(sorted(CODES))))
@example(MISREAD, ("late", "misled"))
def test_the_difference_of_a_plan_is_the_real_one(history: History, codes: tuple[str, str]) -> None:
    """Every field, subject, transition, document and fault; found without the code that compares."""
    assert difference_is_real(history, codes)


def nothing(*_: Any) -> Any:
    """No rows at all."""
    return select(packages.TABLE.c.source, packages.TABLE.c.id).where(packages.TABLE.c.source.is_(None))


@pytest.mark.parametrize("missed", ["_lacking_in", "_not_so_in"])
def test_a_difference_that_misses_something_is_noticed(missed: str) -> None:
    """What is removed, or what is otherwise."""
    codes = st.just((RIGHT, "misled"))
    assert broken(difference_is_real, (difference, missed, nothing), cases=st.tuples(histories(), codes))


# One subject


def one_is_a_slice_of_all(history: History, _size: int) -> bool:
    """The events folded for one subject alone, and the rows that a replay of all has of it."""
    with log_of(*history.drafts) as log:
        fold(log, RIGHT)
        with closing(log.shelf.generation(1)) as views, views.reading() as connection:
            return all(alone(log, subject) == rows_of(connection, subject) for subject in history.lives)


def alone(log: Log, subject: tuple[str, str]) -> list[list[Any]]:
    """The rows that a subject's events come to, if nobody else's are folded."""
    fold = Fold()
    fold.take(list(reader.every(log.database)), Interpreter(), subject)
    return [
        sorted(known.row(key, state) for key, state in states.items())
        for known, states in zip(PROJECTIONS, fold.states, strict=True)
    ]


def rows_of(connection: Any, subject: tuple[str, str]) -> list[list[Any]]:
    """Those that a generation has of it."""
    found = []
    for table in (known.TABLE for known in PROJECTIONS):
        named = table.c.id if "id" in table.c else table.c.subject
        query = select(table).where(table.c.source == subject[0], named == subject[1])
        found.append(sorted(map(tuple, connection.execute(query))))
    return found


@often
@given(CASES)
def test_one_subject_alone_is_a_slice_of_the_whole(case: tuple[History, int]) -> None:
    """Row for row, in every projection."""
    assert one_is_a_slice_of_all(*case)


def familiar(fact: Fact, real: Any = packages.keys) -> Sequence[Key]:
    """A handler that takes what is said of a package for its namesake in another source too."""
    return [(source, key[1]) for key in real(fact) for source in (SOURCE, OTHER)]


def test_a_handler_that_confuses_namesakes_is_noticed() -> None:
    """What it makes of one subject depends on another."""
    assert broken(one_is_a_slice_of_all, (packages, "keys", familiar))


# The life that was lived


def lives_end_as_lived(history: History, size: int) -> bool:
    """Live and replayed, every package stands where its life ended, with who signed what, and wants what it should."""
    with log_of(*history.drafts) as log, in_pieces_of(size):
        fold(log, RIGHT)
        replay(log).plan()
        return as_lived(log, history, 1) and as_lived(log, history, 2)


def as_lived(log: Log, history: History, generation: int) -> bool:
    """What the generator of the lives expects, and what the rows say."""
    with closing(log.shelf.generation(generation)) as views, views.reading() as connection:
        found = {(row.source, row.id): row for row in connection.execute(select(packages.TABLE))}
        documents = {tuple(row[:3]): artifacts.load(row) for row in connection.execute(select(artifacts.TABLE))}
    stand = all(
        _stands(found.get(subject)) == (*life.end, life.signers, life.documents)
        for subject, life in history.lives.items()
    )
    wanted = {key for key, state in documents.items() if state.wanted_at is not None and key[:2] in history.lives}
    return stand and wanted == history.wanted


def _stands(row: Any) -> tuple[Any, ...]:
    if row is None:
        return ()
    state = packages.load(row)
    return (*End(row.status, row.stage, row.trashed, row.confirmed), state.signers, state.documents)


@often
@given(CASES)
def test_packages_stand_where_their_lives_ended(case: tuple[History, int]) -> None:
    """In whatever order it was told, and whatever else the log holds."""
    assert lives_end_as_lived(*case)


@pytest.mark.parametrize("code", ["late", "hasty", "blind", "refusing", "register"])
def test_a_wrong_handler_is_noticed(code: str) -> None:
    """Though it is wrong in the same way, live and in a replay."""
    assert broken(lives_end_as_lived, *CODES[code])
