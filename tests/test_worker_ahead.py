"""Reading ahead: what a piece carries besides facts, and what of it is one subject's."""

from pathlib import Path
from typing import Any

import pytest

from listener.projection import MADE_ONCE
from listener.worker import ahead
from listener.worker.ahead import Piece, Stretch
from projections import timeline
from tests.broken import handlers
from tests.rig import SOURCE, Log, add, callback


@pytest.fixture
def log(tmp_path: Path) -> Any:
    """Three callbacks about a and b."""
    with Log(tmp_path) as found:
        add(found.database, *(callback("PACKAGE_CREATE", subject) for subject in "aba"))
        yield found


def pieces(log: Log, alone: Stretch | None = None) -> list[Piece]:
    """All that there are."""
    return list(ahead.pieces(log.database, len(log.events()), alone))


def test_rows_that_are_made_once_come_with_their_facts(log: Log) -> None:
    """One for each fact, in order, as the fold would make them."""
    [piece] = pieces(log)
    assert piece.rows is not None
    assert piece.rows == [[ahead._row(timeline, fact) for fact in piece.facts]]
    assert [row[0] for row in piece.rows[0]] == [fact.position for fact in piece.facts] == [2, 3, 4]
    assert (timeline,) == MADE_ONCE


def test_without_one_of_them_none_comes(log: Log) -> None:
    """Whoever folds the facts finds out whose fault it is; a piece without that fact has its rows."""
    with handlers(broken=[(3, "b")]):
        assert [piece.rows is None for piece in pieces(log)] == [True]
        assert [piece.rows is None for piece in pieces(log, Stretch(0, 4))] == [False, False, True, False]


def test_of_one_subject_are_its_facts_and_their_rows(log: Log) -> None:
    """And nobody else's, though the piece is as long as it was."""
    [piece] = pieces(log)
    its = piece.of(SOURCE, "a")
    assert its.rows is not None
    assert [fact.position for fact in its.facts] == [row[0] for row in its.rows[0]] == [2, 4]
    assert (its.last, its.events) == (piece.last, piece.events)
    assert piece.of("another_source", "a").facts == []


def test_what_is_to_be_taken_in_alone_comes_alone(log: Log) -> None:
    """From a position to another; before and behind, many come at once."""
    assert [(piece.last, piece.events) for piece in pieces(log, Stretch(2, 3))] == [(4, 4)]
    assert [(piece.last, piece.events) for piece in pieces(log, Stretch(0, 2))] == [(1, 1), (2, 1), (4, 2)]


def test_a_piece_says_no_more_than_can_be_held(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event may say much; whoever folds holds all of a piece, and what is said behind its end comes next."""
    monkeypatch.setattr(ahead, "FACTS", 2)
    assert [(piece.last, piece.events, len(piece.facts)) for piece in pieces(log)] == [(3, 3, 2), (4, 1, 1)]
