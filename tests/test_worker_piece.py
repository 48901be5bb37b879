"""A piece of the log: what it carries besides facts, what of it is one subject's, and how long it is."""

from pathlib import Path
from typing import Any

import pytest

from listener import acts
from listener.acts import Act
from listener.projection import MADE_ONCE
from listener.worker import piece
from listener.worker.piece import Piece, Stretch
from projections import facts, timeline
from projections.facts import Fact
from tests.broken import handlers
from tests.rig import SOURCE, Log, add, callback


@pytest.fixture
def log(tmp_path: Path) -> Any:
    """Three callbacks about a and b."""
    with Log(tmp_path) as found:
        add(found.database, *(callback("PACKAGE_CREATE", subject) for subject in "aba"))
        yield found


def pieces(log: Log, alone: Stretch | None = None, after: int = 0) -> list[Piece]:
    """All that there are."""
    return list(piece.pieces(log.database.engine, Stretch(after, len(log.events())), alone))


def stretches(log: Log, alone: Stretch | None = None, after: int = 0) -> list[Stretch]:
    """Between which events each is."""
    return [found.stretch for found in pieces(log, alone, after)]


def test_rows_that_are_made_once_come_with_their_facts(log: Log) -> None:
    """One for each fact, in order, as the fold would make them."""
    [found] = pieces(log)
    assert found.rows is not None
    assert found.rows == [[*map(piece.rows_of(timeline), found.facts)]]
    assert [row[0] for row in found.rows[0]] == [fact.position for fact in found.facts] == [2, 3, 4]
    assert (timeline,) == MADE_ONCE


def test_without_one_of_them_none_comes(log: Log) -> None:
    """Whoever folds the facts finds out whose fault it is; a piece without that fact has its rows."""
    with handlers(broken=[(3, "b")]):
        assert [found.rows is None for found in pieces(log)] == [True]
        assert [found.rows is None for found in pieces(log, Stretch(0, 4))] == [False, False, True, False]


def test_of_one_subject_are_its_facts_and_their_rows(log: Log) -> None:
    """And nobody else's, though the piece is as long as it was."""
    [found] = pieces(log)
    its = found.of(SOURCE, "a")
    assert its.rows is not None
    assert [fact.position for fact in its.facts] == [row[0] for row in its.rows[0]] == [2, 4]
    assert its.stretch == found.stretch
    assert found.of("another_source", "a").facts == []


def test_what_is_to_be_taken_in_alone_comes_alone(log: Log) -> None:
    """From a position to another; before and behind, many come at once."""
    assert stretches(log, Stretch(2, 3)) == [(0, 2), (2, 3), (3, 4)]
    assert stretches(log, Stretch(0, 2)) == [(0, 1), (1, 2), (2, 4)]
    assert stretches(log, Stretch(0, 2), after=1) == [(1, 2), (2, 4)]


def test_before_it_is_read_it_is_said_which_comes(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as that is known: it may turn out to be shorter."""
    heard: list[Stretch] = []
    monkeypatch.setattr(piece, "FACTS", 2)
    found = piece.pieces(log.database.engine, Stretch(0, 4), None, heard.append)
    assert [(each.stretch, heard[-1]) for each in found] == [((0, 3), (0, 4)), ((3, 4), (3, 4))]


def test_a_piece_says_no_more_than_can_be_held(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event may say much; whoever folds holds all of a piece, and what is said behind its end comes next."""
    monkeypatch.setattr(piece, "FACTS", 2)
    assert [(found.stretch, len(found.facts)) for found in pieces(log)] == [((0, 3), 2), ((3, 4), 1)]


def test_whoever_begins_in_the_middle_knows_what_was_decided_before(log: Log) -> None:
    """What is wanted of a completion, by what was in force; and of whom nothing is, since they were erased."""
    act = Act(facts.ERASED, source=SOURCE, subject="a", reason="because")
    add(log.database, acts.decision(act, "somebody", acts.about(acts.ERASED_PATH, SOURCE, "a")))
    middle = len(log.events())
    add(log.database, *(callback("PACKAGE_COMPLETE", subject) for subject in "ab"))
    [found] = pieces(log, after=middle)
    assert [(fact.subject, bool(fact.wants)) for fact in found.facts] == [("a", False), ("b", True)]
    assert [fact for one in pieces(log) for fact in one.facts if fact.position > middle] == found.facts


def test_of_two_rows_with_one_key_the_last_is_kept() -> None:
    """An event may say two things of one subject: it has one row, as it has where facts are folded one by one."""
    said = [Fact(1, 1, SOURCE, "onespan", "a", facts.STATUS, name) for name in ("first", "last")]
    rows = [*map(piece.rows_of(timeline), said)]
    assert piece.last_of_each(timeline, Piece(Stretch(0, 1), False, said, [], [rows]), rows) == rows[1:]
