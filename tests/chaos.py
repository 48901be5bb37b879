"""Two machines on a PostgreSQL that is stopped under load: `scripts/chaos OUTAGES`, or `python -m tests.chaos OUTAGES`.

Both have a door and a worker. What must hold afterwards: every callback that was answered with 200 is in the log, once,
as it was sent; positions are dense; every document of what was completed is stored, once; and what is shown is what one
projector makes of the log, though the worker that led was frozen, replaced and thawed in between.
"""

import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from listener.log import event, spool
from tests import postgres
from tests.machines import Machines, freeze, machines, thaw
from tests.postgres import Server
from tests.rig import until
from tests.survival import Client

CLIENTS: Final = 2  # of a door
HOW: Final = (signal.SIGINT, signal.SIGQUIT)  # fast, and immediate


class Chaos:
    """Two machines, and the server that their log lies in."""

    def __init__(self, found: Machines, server: Server, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311  the same seed, the same outages
        self.found = found
        self.server = server
        self.answered: list[bytes] = []

    def outage(self, how: signal.Signals) -> str:
        """Send, stop the server, start it, go on sending; a line about it."""
        return self._under_load(how.name, lambda: self._stop_and_start(how))

    def frozen(self) -> str:
        """The same, and the worker that leads stands still until another one does."""
        first, second = self.found.leader()
        pid, seconds = first.worker, 0.0
        freeze(pid)
        try:
            line = self._under_load("frozen", lambda: until(lambda: self.found.leads(second)))
            seconds = self.found.taken_over(second)
        finally:
            thaw(pid)
        until(lambda: self.found.stands_by(first))
        return f"{line}; all is folded {seconds:.1f} s after the last one"

    def _stop_and_start(self, how: signal.Signals) -> None:
        self.server.stop(how)
        time.sleep(self.random.uniform(0.1, 2.0))
        self.server.start()

    def _under_load(self, name: str, strike: Callable[[], None]) -> str:
        stop = threading.Event()
        clients = [Client(door, self.found.account, stop) for door in self.found.all for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            time.sleep(self.random.uniform(0.2, 1.0))
            strike()
            time.sleep(self.random.uniform(0.2, 1.0))
        finally:
            stop.set()
            for client in clients:
                client.join()
        return f"{name:<8} {self.compare(clients)}"

    def compare(self, clients: Sequence[Client]) -> str:
        """What clients were told, and what the log says; in words."""
        told = [content for client in clients for content in client.answered]
        refused = sum((client.refused for client in clients), Counter[int]())
        assert set(refused) <= {503}, refused
        self.answered += told
        until(lambda: not any(spool.standing(door.folder / "data/spool").callbacks for door in self.found.all))
        self.assert_kept_once()
        self.found.promises.completed.update(package for client in clients for package in client.completed)
        return f"{len(told)} answered with 200, {refused[503]} with 503; 0 missing, 0 twice"

    def assert_kept_once(self) -> None:
        """Every callback that was answered with 200."""
        self.found.promises.assert_kept(self.answered)
        kept = Counter(found.body for found in self.found.promises.events if found.kind == event.CALLBACK)
        twice = [content for content in self.answered if kept[content] > 1]
        assert twice == [], f"{len(twice)} are in the log more than once"

    def finish(self) -> str:
        """Wait for the last document, and look at everything."""
        self.found.assert_stored_once(fetched_once=False)
        self.found.assert_folded_once()
        stored, fetched = len(self.found.promises.stored()), len(self.found.account.fetched)
        return f"{len(self.found.promises.events)} events; {stored} documents stored, each once, in {fetched} fetches"


def chaos(folder: Path, outages: int, seed: int, say: Callable[[str], None] = print) -> None:
    """So many outages, fast and immediate in turn, and a worker that freezes behind the first of them."""
    say(f"seed {seed}")
    with postgres.server() as server:
        postgres.mark(folder, server)
        with machines(folder) as found:
            under = Chaos(found, server, seed)
            for number in range(outages):
                say(under.outage(HOW[number % len(HOW)]))
                if number == 0:
                    say(under.frozen())
            say(under.finish())


def main() -> None:
    """Outages and seed from the command line."""
    outages = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(10**6)
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        chaos(Path(folder), outages, seed, lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
