"""The real server survives whatever kills it; `scripts/survive` does the same for longer."""

import random
import time
from pathlib import Path

import pytest

from listener import acts
from listener.acts import Act
from listener.log.event import Draft
from projections import facts
from tests.rig import ID, ZIP, Log, add, artifact, body
from tests.survival import Account, Promises, survive

STORED = acts.outcome(artifact(), "onespan", Act(facts.STORED, attempt=1, sha256="00", size=1, path="x"))


def test_nothing_that_was_acknowledged_is_lost_and_nothing_is_fetched_twice(tmp_path: Path) -> None:
    """Door, worker, supervisor, all of them, at random moments under load, and a plain stop among them."""
    survive(tmp_path, rounds=10, seed=random.SystemRandom().randrange(10**6))


def promises(log: Log, *drafts: Draft) -> Promises:
    """What is looked at in the end, of a log that nobody killed."""
    add(log.database, *drafts)
    found = Promises(log.database, Account())
    found.read()
    return found


def test_a_lost_callback_would_be_noticed(tmp_path: Path) -> None:
    """One that was answered and is not there, or not as it was sent, or only in an event of our own."""
    with Log(tmp_path) as log:
        found = promises(log, body(b"kept"), STORED)
        found.assert_kept([b"kept", b"kept"])
        for content in (b"lost", b"kept ", STORED.body):
            with pytest.raises(AssertionError, match="1 answered with 200"):
                found.assert_kept([b"kept", content])


def test_a_document_stored_twice_would_be_noticed(tmp_path: Path) -> None:
    """Two outcomes for one key."""
    with Log(tmp_path) as log, pytest.raises(AssertionError, match="stored twice"):
        promises(log, STORED, STORED).stored()


def test_a_fetch_too_many_would_be_noticed(tmp_path: Path) -> None:
    """One that came after the outcome, and more than deaths explain."""
    with Log(tmp_path) as log:
        before = time.time() - 1
        found = promises(log, STORED)
        found.account.fetched = [(ID, ZIP, before)]
        assert "0 cut short" in found.assert_explained(0)
        found.account.fetched = [(ID, ZIP, before)] * 2
        assert "1 cut short" in found.assert_explained(1)
        with pytest.raises(AssertionError, match="nothing explains"):
            found.assert_explained(0)
        found.account.fetched = [(ID, ZIP, time.time() + 1)]
        with pytest.raises(AssertionError, match="after it was stored"):
            found.assert_explained(1)


def test_a_document_that_is_missing_would_be_noticed(tmp_path: Path) -> None:
    """A completion without documents is waited for, and a failure is no success."""
    with Log(tmp_path) as log:
        found = promises(log, STORED)
        assert found.all_stored()
        found.completed.add(ID)
        assert not found.all_stored()
        add(log.database, acts.outcome(artifact(), "onespan", Act(facts.FAILED)))
        found.read()
        with pytest.raises(AssertionError, match="something failed"):
            found.assert_explained(1)
