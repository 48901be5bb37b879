"""Folding in memory: in any pieces the same, and what cannot be taken in stops its own subject and nobody else."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listener import rows
from listener.acts import Subject
from listener.interpreter import Interpreter
from listener.log import reader
from listener.log.event import Event, seal
from listener.projection import PROJECTIONS, Projection
from listener.worker.fold import Fold
from projections import artifacts, course, packages, timeline
from projections.facts import ALONE, Beside, Fact, Key
from tests.rig import BOTH, SOURCE, Worker, body, callback, history, in_force

PACKAGES, TIMELINE, ARTIFACTS = range(3)


def events(drafts: Iterable[Any]) -> list[Event]:
    """Drafts as a log would hold them, recorded a second apart."""
    return [
        seal(draft, bytes(16), number, 1_800_000_000_000_000 + number * 10**6) for number, draft in enumerate(drafts, 1)
    ]


def nothing(_projection: Projection, _keys: Sequence[Key]) -> Mapping[Key, Any]:
    """An empty generation."""
    return {}


def folded(found: Sequence[Event], parked: Iterable[Subject] = ()) -> Fold:
    """All of it at once, from nothing."""
    fold = Fold(nothing, parked)
    fold.take(found, Interpreter())
    return fold


HISTORY = events([in_force(*BOTH), *history()])


@pytest.fixture(autouse=True)
def small_states(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state of more than five steps is a fault, so that the history has one."""
    monkeypatch.setattr(course, "MOST_STEPS", 5)


def test_the_history_has_a_bit_of_everything() -> None:
    """Else the tests below would prove little: states of all kinds, faults with and without a subject, facts behind."""
    fold = folded(HISTORY)
    assert all(fold.states)
    assert {fault.subject is None for fault in fold.faults} == {True, False}
    assert fold.parked
    assert {known.state for known in fold.states[ARTIFACTS].values()} == {artifacts.WANTED, artifacts.STORED}


@settings(deadline=None)
@given(st.lists(st.integers(1, len(HISTORY)), max_size=12))
def test_in_pieces_the_same_as_at_once(cuts: list[int]) -> None:
    """Taken in one by one or all together, the states, faults and what waits are equal."""
    whole, parts, interpreter = folded(HISTORY), Fold(nothing), Interpreter()
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(HISTORY)], strict=True):
        parts.take(HISTORY[start:end], interpreter)
    assert (parts.states, parts.changed) == (whole.states, whole.changed)
    assert (sorted(parts.faults, key=repr), parts.parked) == (sorted(whole.faults, key=repr), whole.parked)


def test_what_cannot_be_interpreted_is_a_fault_of_nobody() -> None:
    """It is noted with its source, and its neighbours are taken in, before and behind."""
    fold = folded(events([callback("PACKAGE_CREATE", "a"), body(b"\xff"), callback("PACKAGE_ACTIVATE", "a")]))
    [fault] = fold.faults
    assert (fault.position, fault.source, fault.subject) == (2, SOURCE, None)
    assert "not JSON" in fault.error
    assert fold.states[PACKAGES][SOURCE, "a"].standing.status == "SENT"
    assert fold.parked == []


def test_a_provider_that_nobody_knows_is_a_fault() -> None:
    """History of another version, or of a provider whose file is gone."""
    [fault] = folded(events([body(b"{}")._replace(provider="docusign")])).faults
    assert "docusign" in fault.error


def broken(monkeypatch: pytest.MonkeyPatch, module: Any, subjects: set[str]) -> None:
    """Give a projection a bug that concerns some subjects."""
    real = module.apply

    def apply(state: Any, key: Key, fact: Fact, beside: Beside = ALONE) -> Any:
        if fact.subject in subjects:
            raise KeyError("a bug")
        return real(state, key, fact, beside)

    monkeypatch.setattr(module, "apply", apply)


@pytest.mark.parametrize("module", [packages, timeline, artifacts])
def test_a_projection_that_fails_leaves_no_half_taken_fact(monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
    """Whichever it is, the others do not take that fact either."""
    broken(monkeypatch, module, {"a"})
    drafts = [in_force(*BOTH), callback("PACKAGE_COMPLETE", "a"), callback("PACKAGE_COMPLETE", "b")]
    fold = folded(events(drafts))
    [fault] = fold.faults
    assert (fault.subject, fault.error) == ("a", "KeyError: 'a bug'")
    assert not [key for states in fold.states for key in states if "a" in key]
    assert (SOURCE, "b") in fold.states[PACKAGES]


def test_what_comes_behind_a_fault_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A subject's later facts are parked in order, in this piece and the next; nobody else's are."""
    broken(monkeypatch, packages, {"a"})
    pieces = events([callback("PACKAGE_CREATE", name) for name in "abaabab"])
    fold = Fold(nothing)
    for start in (0, 4):
        fold.take(pieces[start : start + 4], Interpreter())
    assert [fault.position for fault in fold.faults] == [1]
    assert fold.parked == [(SOURCE, "a", position) for position in (3, 4, 6)]
    assert {key[0] for key in fold.states[TIMELINE]} == {2, 5, 7}


def test_a_subject_that_waits_already_goes_on_waiting() -> None:
    """A fault of long ago holds its subject; the same name at another source is another subject."""
    found = events([callback("PACKAGE_CREATE", "a"), callback("PACKAGE_CREATE", "a", source="other_source")])
    fold = folded(found, [(SOURCE, "a")])
    assert fold.parked == [(SOURCE, "a", 1)]
    assert list(fold.states[PACKAGES]) == [("other_source", "a")]


def test_what_is_left_out_stops_those_it_speaks_of() -> None:
    """Each once; for those who are stopped already it waits; of nobody, it stops nobody."""
    first, second = events([callback("PACKAGE_CREATE", "a"), body(b"{}")])
    fold = Fold(nothing, [(SOURCE, "b")])
    fold.leave_out(first, [(SOURCE, "a"), (SOURCE, "b"), (SOURCE, "a")], "it died", 3)
    fold.leave_out(second, [], "it died", 3)
    assert [(fault.position, fault.subject, fault.attempts) for fault in fold.faults] == [(1, "a", 3), (2, None, 3)]
    assert (fold.parked, fold.stopped) == ([(SOURCE, "b", 1)], {(SOURCE, "a"), (SOURCE, "b")})
    assert not any(fold.states)


def test_states_are_loaded_once_and_only_those_that_are_touched() -> None:
    """What is in memory is newer than what lies on disk."""
    asked: list[tuple[str, Key]] = []

    def load(projection: Projection, keys: Sequence[Key]) -> Mapping[Key, Any]:
        asked.extend((projection.TABLE.name, key) for key in keys)
        return {}

    fold = Fold(load)
    for found in events([callback("PACKAGE_CREATE", name) for name in "aab"]):
        fold.take([found], Interpreter())
    assert [key for name, key in asked if name == "packages"] == [(SOURCE, "a"), (SOURCE, "b")]
    assert len(asked) == len(set(asked))


def test_what_was_loaded_is_built_upon() -> None:
    """The states of an earlier piece count, wherever they were in between."""
    first, second = events([callback("PACKAGE_CREATE", "a"), callback("SIGNER_COMPLETE", "a", created=None)])
    before = folded([first]).states
    fold = Fold(lambda projection, _keys: before[PROJECTIONS.index(projection)])
    fold.take([second], Interpreter())
    assert fold.states[PACKAGES] == folded([first, second]).states[PACKAGES]


def test_only_what_changed_is_to_be_saved() -> None:
    """States that were loaded for a fact that waits are left alone."""
    fold = folded(events([callback("PACKAGE_CREATE", "a"), callback("PACKAGE_CREATE", "b")]), [(SOURCE, "a")])
    assert fold.changed[PACKAGES].keys() == {(SOURCE, "b")}


def test_nothing_to_fold_is_no_problem() -> None:
    """No events, events that say nothing."""
    fold = folded([])
    assert fold.states == [{} for _ in PROJECTIONS]
    erased = HISTORY[0]._replace(body=None, headers=None, salt=None)
    assert folded([erased]).states == fold.states


def test_the_fold_of_memory_is_the_fold_of_the_views(tmp_path: Path) -> None:
    """A question about the past and the live views give the same answer."""
    with Worker(tmp_path) as worker:
        worker.add(*history())
        fold = folded(list(reader.every(worker.database)))
        with worker.projector.views.reading() as connection:
            for projection, states in zip(PROJECTIONS, fold.states, strict=True):
                assert rows.load(connection, projection, list(states)) == states
                found = connection.execute(projection.TABLE.select()).all()
                assert len(found) == len(states)
