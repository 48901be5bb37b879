"""What goes live holds what nobody approved, and the door does not wait while that is looked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event as happening

from listener import acts
from listener.acts import Act
from listener.bookkeeping import REPLAYED
from listener.log import event
from listener.views import Views
from listener.worker.building import build
from listener.worker.catching_up import fold_next
from listener.worker.going_live import go_live
from projections import facts
from tests.rig import Log, add, artifact, callback, in_file
from tests.test_worker_replay import fold

STORED = Act(facts.STORED, attempt=1, sha256="00", size=1, path="x")


def names(number: int) -> list[str]:
    """So many packages."""
    return [f"package{each}" for each in range(number)]


def shown(log: Log, subjects: list[str], meanwhile: Callable[[], object] = lambda: None) -> int:
    """Show generation 2, which wants a document of each; how often it was looked at after it last caught up.

    `meanwhile` happens once, behind the first look.
    """
    add(log.database, *(callback("PACKAGE_COMPLETE", subject) for subject in subjects))
    fold(log, "right")
    new = log.shelf.generation(2)
    build(log.database, new, REPLAYED, "right", len(log.events()))
    looked: list[str] = []
    happening.listen(in_file(new)._engine, "before_cursor_execute", lambda *told: looked.append(told[2]))
    once = iter([meanwhile])

    def catch_up(generation: Views) -> None:
        next(once, lambda: None)()
        while fold_next(log.database, generation, "right")[0]:
            pass
        looked.clear()

    wanted = [artifact(subject=subject) for subject in subjects]
    go_live(log.database, new, catch_up, wanted, Act(acts.LIVE, generation=2, previous=1), "somebody")
    new.close()
    return len(looked)


def held(log: Log) -> list[str]:
    """Of whom documents were held."""
    found = [acts.read(decided) for decided in log.events(event.DECISION)]
    return sorted(one.subject for act in found if act.action == facts.HELD for one in act.artifacts)


def test_while_others_wait_only_what_moved_since_is_looked_at(tmp_path: Path) -> None:
    """As much for a thousand documents as for one."""
    with Log(tmp_path / "one") as log:
        few = shown(log, names(1))
        assert held(log) == names(1)
    with Log(tmp_path / "many") as log:
        assert shown(log, names(1000)) == few
        assert held(log) == sorted(names(1000))


@pytest.mark.parametrize("subject", ["package0", "package2"])
def test_what_was_settled_since_the_first_look_is_not_held(tmp_path: Path, subject: str) -> None:
    """One document of three was stored meanwhile; of whom nothing was wanted nothing is held either."""
    with Log(tmp_path) as log:

        def stored() -> Any:
            add(log.database, acts.outcome(artifact(subject=subject), "onespan", STORED))
            add(log.database, callback("PACKAGE_COMPLETE", "nobody asked"))

        shown(log, names(3), stored)
        assert held(log) == [name for name in names(3) if name != subject]
