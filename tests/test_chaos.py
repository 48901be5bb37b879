"""A database that goes away under load, and a worker that freezes; `scripts/chaos` does the same for longer."""

import random
from pathlib import Path

import pytest

from listener.log.event import Draft
from tests.chaos import Chaos, chaos
from tests.machines import Machines
from tests.rig import Log, add, body
from tests.survival import Account, Promises


def test_nothing_is_lost_when_the_server_goes_away(tmp_path: Path) -> None:
    """Three times under the load of two machines, whose leading worker is frozen and thawed in between."""
    said: list[str] = []
    chaos(tmp_path, outages=3, seed=random.SystemRandom().randrange(10**6), say=said.append)
    assert len(said) == 1 + 3 + 1 + 1


def under(log: Log, *drafts: Draft) -> Chaos:
    """What is looked at, of a log that nobody stopped."""
    add(log.database, *drafts)
    found = Machines.__new__(Machines)
    found.promises = Promises(log.database, Account())
    return Chaos(found, None, 0)  # type: ignore[arg-type]


def test_a_callback_that_is_there_twice_would_be_noticed(tmp_path: Path) -> None:
    """Or not at all."""
    with Log(tmp_path) as log:
        found = under(log, body(b"once"), body(b"twice"), body(b"twice"))
        found.answered = [b"once"]
        found.assert_kept_once()
        found.answered = [b"once", b"twice"]
        with pytest.raises(AssertionError, match="more than once"):
            found.assert_kept_once()
        found.answered = [b"once", b"never"]
        with pytest.raises(AssertionError, match="not in the log"):
            found.assert_kept_once()
