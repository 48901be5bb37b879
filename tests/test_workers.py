"""Several machines work on one log: one folds and signs for all, all fetch, and whoever dies or freezes is replaced."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

from listener.log import heads
from tests import postgres
from tests.broken import handlers
from tests.logbook import ended, spawned
from tests.machines import Machines, freeze, machines, post, thaw
from tests.rig import Log, Worker, add, callback, completed, tables, until
from tests.serving import ROOT


def bodies(*packages: str, name: str = "PACKAGE_COMPLETE") -> list[bytes]:
    """Callbacks of these packages."""
    return [callback(name, package).body for package in packages]


def packages(first: int, count: int) -> list[str]:
    """Ids of packages."""
    return [f"package-{number}" for number in range(first, first + count)]


def signed(found: Machines) -> int:
    """How many events there is a signed head over."""
    with found.database.reading() as log:
        newest = heads.newest(log)
    return newest.size if newest else 0


def test_documents_are_fetched_by_all_and_each_once(on_postgres: Path) -> None:
    """Two workers share what is wanted: none is fetched twice, and both fetch."""
    with machines(on_postgres) as found:
        wanted = packages(0, 30)
        completed(found.account, *wanted)
        post(found.all[0], bodies(*wanted))
        found.promises.completed = set(wanted)
        found.assert_stored_once(fetched_once=True)
        assert all("document_stored" in machine.said() for machine in found.all)
        found.assert_folded_once()


def test_a_machine_that_dies_is_replaced(on_postgres: Path) -> None:
    """With everything on it, at once; the other one folds, fetches and signs for all from then on."""
    with machines(on_postgres) as found:
        first, second = found.leader()
        until(lambda: signed(found))
        before, wanted = signed(found), packages(0, 5)
        completed(found.account, *wanted)
        post(first, bodies(*wanted))
        os.killpg(first.process.pid, signal.SIGKILL)
        post(second, bodies(*packages(5, 5), name="PACKAGE_CREATE"))
        print(f"taken over {found.taken_over(second):.1f} s after it was killed")
        found.promises.completed = set(wanted)
        found.assert_stored_once(fetched_once=False)
        found.assert_folded_once()
        until(lambda: signed(found) > before)


def test_a_worker_that_freezes_is_replaced_and_stands_by_when_it_thaws(on_postgres: Path) -> None:
    """Amid its work: what it had under way is folded by the other one, once, and nothing of its own comes late."""
    with machines(on_postgres) as found:
        first, second = found.leader()
        frozen = first.worker
        post(first, bodies(*packages(0, 100), name="PACKAGE_CREATE"))
        freeze(frozen)
        post(second, bodies(*packages(100, 20), name="PACKAGE_CREATE"))
        print(f"taken over {found.taken_over(second):.1f} s after it was frozen")
        thaw(frozen)
        until(lambda: "stepped_back" in first.said() and found.stands_by(first))
        post(first, bodies(*packages(120, 20), name="PACKAGE_CREATE"))
        found.assert_folded_once()
        assert found.leads(second)
        assert first.worker == frozen  # it was not started anew


def test_a_worker_that_ends_leaves_at_once_what_it_did(on_postgres: Path) -> None:
    """Nobody waits for its lease to end; what it reported stays what it was."""
    with machines(on_postgres) as found:
        first, second = found.leader()
        assert first.stop() == 0
        until(lambda: found.leads(second))
        assert found.workers().stand_by == []


def test_workers_that_were_forgotten_are_there_again(on_postgres: Path) -> None:
    """As after a day without the server: all live and one leads, and documents are fetched once."""
    with machines(on_postgres) as found:
        postgres.tell(found.url, "DELETE FROM leases")
        until(lambda: found.workers().leads is not None and len(found.workers().stand_by) == 1)
        wanted = packages(0, 5)
        completed(found.account, *wanted)
        post(found.all[0], bodies(*wanted))
        found.promises.completed = set(wanted)
        found.assert_stored_once(fetched_once=True)


def test_health_says_who_leads(on_postgres: Path) -> None:
    """On either machine."""
    with machines(on_postgres) as found:
        first, second = found.leader()
        for machine in found.all:
            until(lambda machine=machine: "last heard of" in typed(machine.config, "health"))  # type: ignore[misc]
            told = json.loads(typed(machine.config, "health", "--json"))["workers"]
            assert first.is_named(told["leads"])
            assert [second.is_named(each) for each in told["stand_by"]] == [True]
            shown = typed(machine.config, "health")
            assert f"leads       {told['leads']}" in shown
            assert f"stands by   {told['stand_by'][0]}" in shown


def typed(config: Path, *arguments: str) -> str:
    """What a command writes."""
    command = [sys.executable, "-m", "listener", *arguments, "--config", str(config)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False).stdout


def test_a_worker_without_the_key_signs_nothing(on_postgres: Path) -> None:
    """It folds and fetches when it is its turn, and says what is missing: the log names another key than it has."""
    with machines(on_postgres) as found:
        first, second = found.leader()
        until(lambda: "checkpoint_key_named" in first.said() + second.said())
        post(first, bodies("one"))
        (on_postgres / "checkpoint.key").unlink()
        assert first.stop() == 0
        found.taken_over(second)
        until(lambda: "no_head_is_signed" in second.said())
        assert "put the right one back" in second.said()


@contextmanager
def stopped(process: BaseProcess) -> Iterator[BaseProcess]:
    """A process that has frozen itself."""
    try:
        until(lambda: Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
        yield process
    finally:
        process.kill()
        process.join()


def fold_and_freeze(folder: Path, position: int, subject: str) -> None:
    """For another process: a worker that stands still amid the transaction in which it folds an event."""
    with handlers(freezing=[(position, subject)]), Worker(folder, data=str(folder / "other")) as worker:
        worker.projector.catch_up()


def test_a_fold_that_was_frozen_is_never_committed(on_postgres: Path) -> None:
    """Another one has taken over when it thaws: it ends, and each event is folded once."""
    with Log(on_postgres) as log:
        positions = add(log.database, *(callback("PACKAGE_CREATE", name) for name in packages(0, 20)))
        with (
            stopped(spawned(fold_and_freeze, on_postgres, positions[10], "package-10")) as other,
            Worker(on_postgres) as worker,
        ):
            worker.projector.catch_up()
            before = tables(worker.projector.views)
            assert other.pid is not None
            thaw(other.pid)
            assert ended(other) == 1
            assert tables(worker.projector.views) == before
            assert (worker.projector.views.generation, len(before[0])) == (1, 20)
