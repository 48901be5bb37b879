"""Whatever goes wrong at a provider, and whenever the worker dies; `scripts/matrix` does all of it."""

import random
from pathlib import Path

import pytest

from listener import acts
from listener.acts import Act
from projections import facts
from tests import matrix
from tests.crash import Crashes
from tests.matrix import Case
from tests.rig import BOTH, ZIP, Worker, artifact, callback

LASTING, OVER = Case("500", "fetched", over=False), Case("500", "fetched", over=True)


def test_every_document_ends_stored_once_or_with_a_reason(tmp_path: Path) -> None:
    """Ten of all combinations, others each time."""
    with Crashes() as crashes:
        matrix.some(10, random.SystemRandom().randrange(10**6), tmp_path, crashes, print)


def test_there_are_all_troubles() -> None:
    """Each met where it can be met, over and lasting."""
    assert len(matrix.CASES) == len(set(matrix.CASES)) == 2 * (3 + 2 * (len(matrix.TROUBLES) - 3)) == 54


def ended_with(tmp_path: Path, *told: Act) -> Worker:
    """A worker that did this about the first document, and stored the second."""
    worker = Worker(tmp_path)
    stored = [acts.outcome(artifact(name=name), "onespan", _stored(name)) for name in BOTH if name != ZIP]
    worker.add(callback("PACKAGE_COMPLETE"), *stored, *(acts.outcome(artifact(), "onespan", act) for act in told))
    return worker


def _stored(name: str, attempt: int = 1) -> Act:
    return Act(facts.STORED, attempt=attempt, sha256="00", size=1, path=name)


def test_what_ended_well_is_let_through(tmp_path: Path) -> None:
    """Else what follows would prove nothing."""
    with ended_with(tmp_path, _stored(ZIP)) as worker:
        matrix.assert_ended(worker, OVER)


@pytest.mark.parametrize(
    ("told", "case", "said"),
    [
        ((_stored(ZIP), _stored(ZIP, 2)), OVER, "stored twice"),
        ((Act(facts.FAILED, attempt=1, next_at=1, reason="HTTP 500"), _stored(ZIP)), OVER, "told twice"),
        ((Act(facts.FAILED, attempt=1, next_at=1, reason="HTTP 500"),), OVER, "nothing happens"),
        ((), OVER, "nothing happens"),
        ((Act(facts.ABANDONED, attempt=1),), OVER, "None"),
        ((Act(facts.ABANDONED, attempt=1, reason="oddly"),), OVER, "oddly"),
        ((_stored(ZIP),), LASTING, "in spite of 500"),
    ],
    ids=str,
)
def test_what_ended_badly_is_noticed(tmp_path: Path, told: tuple[Act, ...], case: Case, said: str) -> None:
    """Stored twice, told twice, waiting for nothing, without a reason, or where that cannot be."""
    with ended_with(tmp_path, *told) as worker, pytest.raises(AssertionError, match=said):
        matrix.assert_ended(worker, case)
