"""Several machines on one log: each with a folder of its own, `signlog serve` on it, and a hand on its worker."""

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from listener import bookkeeping, fingerprint, leases
from listener.leases import Workers
from listener.log import reader
from listener.log.postgres import Postgres
from listener.shelf import shelf
from listener.views import Views
from listener.worker import generations
from tests import postgres
from tests.rig import tables, until
from tests.serving import Serving
from tests.survival import Account, Promises

_TOP = 'database_url = "{url}"\ndocuments = "{folder}/documents"\ncheckpoint_key = "{folder}/checkpoint.key"\n'


class Machine(Serving):
    """One of them. Documents and the key lie where all of them find them."""

    def __init__(self, folder: Path, name: str, url: str, account: Account) -> None:
        own = folder / name
        own.mkdir()
        super().__init__(own, account.url, _TOP.format(url=url, folder=folder))

    @property
    def worker(self) -> int:
        """The process id of its worker."""
        return self.running()["worker"]

    def is_named(self, holder: str | None) -> bool:
        """Whether the holder of a lease is its worker."""
        return holder is not None and holder.split(":")[-2] == str(self.children().get("worker"))


class Machines:
    """So many of them, and what must be true of their log."""

    def __init__(self, folder: Path, url: str, count: int = 2) -> None:
        self.folder = folder
        self.account = Account()
        self.account.start()
        self.url = url
        self.all = [Machine(folder, name, url, self.account) for name in "abc"[:count]]
        self.database = Postgres(url)
        self.promises = Promises(self.database, self.account)
        until(lambda: self.workers().leads is not None and len(self.workers().stand_by) == count - 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for machine in self.all:
            machine.__exit__()
        self.database.close()
        self.account.close()

    def workers(self) -> Workers:
        """Who leads, and who stands by."""
        with self.database.reading() as connection:
            return leases.workers(connection)

    def leads(self, machine: Machine) -> bool:
        """Whether its worker leads."""
        return machine.is_named(self.workers().leads)

    def stands_by(self, machine: Machine) -> bool:
        """Whether its worker lives, and does not lead."""
        return any(map(machine.is_named, self.workers().stand_by))

    def leader(self) -> tuple[Machine, Machine]:
        """The machine whose worker leads, and another one."""
        until(lambda: any(map(self.leads, self.all)))
        first = next(filter(self.leads, self.all))
        return first, next(machine for machine in self.all if machine is not first)

    def taken_over(self, by: Machine) -> float:
        """Wait until another worker leads, and has folded all there is; how many seconds that took."""
        began = time.monotonic()
        until(lambda: self.leads(by) and self.caught_up(), pause=0.05)
        return time.monotonic() - began

    def live(self) -> Views:
        """What is shown."""
        with self.database.reading() as log:
            return shelf(self.database).generation(generations.live(log) or 0)

    def caught_up(self) -> bool:
        """Whether it has folded everything."""
        with self.database.reading() as log, self.live().reading() as views:
            return bookkeeping.checkpoint(views).position == reader.head(log)

    def assert_folded_once(self) -> None:
        """What is shown is what one projector makes of the log in peace, in the first generation."""
        until(self.caught_up)
        live = self.live()
        assert live.generation == 1, "it was built anew"
        with shelf(self.database).scratch() as alone:
            with self.database.reading() as log:
                alone.create(reader.log_id(log), bookkeeping.FIRST)
            _fold(self.database, alone)
            assert tables(live) == tables(alone), "live views are not a fold of the log"

    def assert_stored_once(self, fetched_once: bool) -> None:
        """Each document of what was completed; where nobody died or froze, each was asked for once."""
        # A claim of who was frozen is free after 26 s, and what it had begun is fetched behind that.
        until(self.promises.all_stored, pause=0.1, patience=180)
        self.promises.assert_documents(self.folder / "documents")
        fetched = Counter((subject, name) for subject, name, _ in self.account.fetched)
        assert not fetched_once or set(fetched.values()) <= {1}, fetched


def _fold(database: Postgres, views: Views) -> None:
    from listener.worker.catching_up import fold_next

    while fold_next(database, views, fingerprint.fingerprint())[0]:
        pass


@contextlib.contextmanager
def machines(folder: Path, count: int = 2) -> Iterator[Machines]:
    """On a log in a server, which the folder names."""
    url = postgres.url(folder)
    assert url is not None
    with Machines(folder, url, count) as found:
        try:
            yield found
        except BaseException:
            for machine in found.all:
                print(machine.said()[-5000:])
            raise


def freeze(pid: int) -> None:
    """As a machine does that has no time for it."""
    os.kill(pid, signal.SIGSTOP)


def thaw(pid: int) -> None:
    """Let it go on."""
    os.kill(pid, signal.SIGCONT)


def post(machine: Machine, bodies: Sequence[bytes]) -> None:
    """Callbacks that are all taken."""
    for body in bodies:
        assert machine.post(body) == 200
