"""The real server under load, killed at random: `python -m tests.survival ROUNDS [SEED]`, or `scripts/survive ROUNDS`.

What must hold afterwards: every callback that was answered with 200 is in the log, exactly as it was sent; positions
are dense, and every event is sealed; every package that was completed has its documents, stored once, as the provider
made them; and no document was asked for after it was stored.
"""

import contextlib
import hashlib
import http.client
import itertools
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Self

from sqlalchemy import select
from structlog.testing import capture_logs

from listener import acts, bookkeeping
from listener.demo import faults, onespan, papers
from listener.demo.onespan import OneSpan
from listener.demo.packages import Package
from listener.demo.wire import Asked
from listener.log import event, reader
from listener.log.database import Database
from listener.log.event import Event, content_hash, entry_of, leaf_hash
from listener.log.sqlite import Sqlite
from listener.views_file import FileViews
from projections import facts
from tests.rig import BOTH, EVIDENCE, NOON, ZIP, paths, tables, until
from tests.rig import fresh as begun
from tests.serving import KEY, Serving

CLIENTS: Final = 4
COMPLETIONS: Final = 2  # by each client in each round
AT_A_TIME: Final = 4  # documents that one worker may be fetching when it dies
CALLS: Final = {"documents.zip": ZIP, "evidence": EVIDENCE}
VICTIMS: Final = ("door", "worker", "all", "supervisor", "stopped")


class Account(OneSpan):
    """An imitated account that knows when it was asked for a document."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[tuple[str, str, float]] = []

    def remember(self, asked: Asked) -> None:
        super().remember(asked)
        if asked.call in CALLS:
            self.fetched.append((asked.ids["id"], CALLS[asked.call], time.time()))


class Client(threading.Thread):
    """A sender of callbacks: one connection after the other, and each callback once."""

    numbers = itertools.count()

    def __init__(self, server: Serving, account: Account, stop: threading.Event) -> None:
        super().__init__()
        self.server = server
        self.account = account
        self.stop = stop
        self.answered: list[bytes] = []
        self.completed: list[str] = []
        self.unanswered = 0
        self.refused: Counter[int] = Counter()

    def run(self) -> None:
        """Send until told to stop, on a new connection whenever the last one broke."""
        bodies = self.bodies()
        while not self.stop.is_set():
            with (
                self.server.connection(patience=10) as connection,
                contextlib.suppress(OSError, http.client.HTTPException),
            ):
                connection.connect()
                while not self.stop.is_set():
                    self.send(connection, next(bodies))
            time.sleep(0.01)

    def send(self, connection: http.client.HTTPConnection, content: bytes) -> None:
        """One callback; without an answer nobody knows whether it was stored."""
        self.unanswered += 1
        connection.request("POST", "/callbacks/onespan", content, {"Authorization": f"Basic {KEY}"})
        answer = connection.getresponse()
        answer.read()
        self.unanswered -= 1
        if answer.status != 200:
            self.refused[answer.status] += 1
            return
        self.answered.append(content)
        if b"PACKAGE_COMPLETE" in content:
            self.completed.append(content.split(b'"packageId":"')[1].split(b'"')[0].decode())

    def bodies(self) -> Iterator[bytes]:
        """Callbacks that are all different: of signings, a few of which complete, and what is no JSON at all."""
        for number in self.numbers:
            yield self.callback("DOCUMENT_VIEWED", f"busy-{number % 50}", number)
            yield (
                b"\xff\x00 not JSON %d" % number
                if number % 50 == 0
                else b' {"packageId" : 5, "name":"\xc3\xa9 %d"}\r\n' % number
            )
            if len(self.completed) < COMPLETIONS:
                package = self.account.add(Package(f"-{number}%Package="))
                package.finish(NOON)
                yield self.callback("PACKAGE_COMPLETE", package.id, number)

    def callback(self, name: str, package: str, number: int) -> bytes:
        """One of OneSpan's, with a number that no other has."""
        return onespan.callback(name, package, session_user="8QS1yr3q8DEZ", message=f"number {number}", created=NOON)


class Promises:
    """What the log and the account hold, and what must be true of them."""

    def __init__(self, database: Database, account: Account) -> None:
        self.database = database
        self.account = account
        self.events: list[Event] = []
        self.completed: set[str] = set()

    def read(self) -> None:
        """What is new in the log: where it must stand, and sealed."""
        with self.database.reading() as connection:
            log_id = reader.log_id(connection)
        for found in reader.every(self.database, len(self.events)):
            assert found.position == len(self.events) + 1, "a gap in the log"
            assert found.content == content_hash(found.salt or b"", found.headers or "", found.body or b""), "changed"
            assert found.leaf == leaf_hash(entry_of(found, log_id)), "sealed for another place"
            self.events.append(found)

    def assert_kept(self, answered: Sequence[bytes]) -> None:
        """Every callback that was answered with 200 is there as it was sent."""
        self.read()
        kept = Counter(found.body for found in self.events if found.kind == event.CALLBACK)
        missing = [content for content in answered if not kept[content]]
        assert missing == [], f"{len(missing)} answered with 200 and not in the log"

    def outcomes(self) -> list[tuple[Event, acts.Act]]:
        """Everything we did about documents."""
        return [(found, acts.read(found)) for found in self.events if found.kind == event.OUTCOME]

    def stored(self) -> dict[tuple[str, str], tuple[Event, acts.Act]]:
        """Each document's one outcome."""
        told = [(found, act) for found, act in self.outcomes() if act.action == facts.STORED]
        keys = {(act.subject or "", act.name or ""): (found, act) for found, act in told}
        assert len(keys) == len(told), "a document was stored twice"
        return keys

    def all_stored(self) -> bool:
        """Whether every package whose completion was answered with 200 has its documents."""
        self.read()
        return {(package, name) for package in self.completed for name in BOTH} <= self.stored().keys()

    def assert_documents(self, folder: Path) -> None:
        """On disk as the provider made them and as the log says, and nothing else."""
        for (subject, name), (_, act) in self.stored().items():
            package = self.account.packages[subject]
            content = (folder / (act.path or "")).read_bytes()
            assert content == (papers.documents(package) if name == ZIP else papers.evidence(package))
            assert (act.sha256, act.size) == (hashlib.sha256(content).hexdigest(), len(content))
        assert paths(folder) == sorted(act.path or "" for _, act in self.stored().values())

    def assert_explained(self, deaths: int) -> str:
        """Every fetch: by what was stored of it, or by a worker that died before it could say so. None came later."""
        stored = self.stored()
        for subject, name, at in self.account.fetched:
            found, _ = stored[subject, name]
            assert at * 1_000_000 < found.recorded_at, f"{name} of {subject} was fetched after it was stored"
        others = [act for _, act in self.outcomes() if act.action != facts.STORED]
        assert others == [], "the provider was well, and something failed"
        adopted = sum(act.reason is not None for _, act in stored.values())
        cut = len(self.account.fetched) - (len(stored) - adopted)
        assert adopted <= cut <= AT_A_TIME * deaths, f"{cut} fetches that nothing explains"
        return (
            f"{len(self.events)} events; {len(stored)} documents stored, each once, {adopted} of them adopted; "
            f"{len(self.account.fetched)} fetches, {cut} cut short by {deaths} deaths of a worker"
        )


class Survival:
    """A server that is killed round by round."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311  the same seed, the same order of deaths
        self.account = Account()
        self.account.start()
        self.account.faults.stand("documents.zip", faults.Slow(0.01, 3))
        self.server = Serving(folder, self.account.url)
        self.data = folder / "data"
        self.database = Sqlite(self.data)
        self.promises = Promises(self.database, self.account)
        self.deaths = 0  # of workers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.__exit__()
        self.database.close()
        self.account.close()

    def round(self, victim: str) -> str:
        """Send, kill, go on sending, and compare what was answered with what is in the log; a line about it."""
        stop = threading.Event()
        clients = [Client(self.server, self.account, stop) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        after = self.random.uniform(0.1, 0.8)
        time.sleep(after)
        self.strike(victim)
        time.sleep(0.2)
        stop.set()
        for client in clients:
            client.join()
        return f"{victim:<10} after {after:.2f} s: {self.compare(clients)}"

    def strike(self, victim: str) -> None:
        """Kill it, or ask it to stop, and have it running again."""
        pids = self.server.running()
        self.deaths += victim != "door"
        if victim in ("door", "worker"):
            self.server.restarted(victim, self.server.kill(victim))
            return
        if victim == "stopped":
            assert self.server.stop() == 0
        else:
            kill = os.killpg if victim == "all" else os.kill
            kill(self.server.process.pid, signal.SIGKILL)
            self.server.process.wait()
        self.server.gone(pids)
        self.server.start()

    def compare(self, clients: Sequence[Client]) -> str:
        """What the clients were told, and what the log says; in words."""
        answered = [content for client in clients for content in client.answered]
        refused = sum((client.refused for client in clients), Counter[int]())
        assert set(refused) <= {503}, refused
        self.promises.assert_kept(answered)
        self.promises.completed.update(package for client in clients for package in client.completed)
        return (
            f"{len(answered)} answered with 200, {refused[503]} with 503, "
            f"{sum(client.unanswered for client in clients)} not at all; 0 missing; "
            f"{len(self.promises.events)} events, {len(self.promises.stored())} documents"
        )

    def finish(self) -> str:
        """Wait for the last document, tell of completions again, and look at every document and every fetch."""
        until(self.promises.all_stored, pause=0.1)
        for package in sorted(self.promises.completed)[:5]:
            content = onespan.callback("PACKAGE_COMPLETE", package, session_user="again", created=NOON)
            assert self.server.post(content) == 200
        self.strike("stopped")
        until(self.caught_up)
        time.sleep(0.6)  # twice as long as it takes to see what is due: whoever would fetch again, would by now
        assert self.server.stop() == 0
        self.promises.read()
        self.promises.assert_documents(self.data / "documents")
        self.assert_views()
        return self.promises.assert_explained(self.deaths)

    def caught_up(self) -> bool:
        """Whether the live views have folded everything."""
        self.promises.read()
        with self.live().reading() as connection:
            return bookkeeping.checkpoint(connection).position == len(self.promises.events)

    def live(self) -> FileViews:
        """The only generation that there was."""
        return FileViews(self.data, 1)

    def assert_views(self) -> None:
        """The views that lived through it are those of a projector that folds the log in peace."""
        fresh = begun(self.database, self.data / "fresh", "code")
        with capture_logs():
            fresh.catch_up()
        with self.live().reading() as connection:
            codes = connection.scalars(select(bookkeeping.segments.c.fingerprint)).all()
        assert len(codes) == 1, "the code was changed while this ran"
        assert tables(self.live()) == tables(fresh.views), "live views are not a fold of the log"
        fresh.close()


def survive(folder: Path, rounds: int, seed: int, say: Callable[[str], None] = print) -> None:
    """So many rounds, each kind of death as often as the others. Raises AssertionError for a broken promise."""
    say(f"seed {seed}")
    with Survival(folder, seed) as survival:
        kinds = itertools.chain.from_iterable(survival.random.sample(VICTIMS, len(VICTIMS)) for _ in itertools.count())
        try:
            for number, victim in enumerate(itertools.islice(kinds, rounds), start=1):
                say(f"round {number:>3}: {survival.round(victim)}")
            say(survival.finish())
        except BaseException:
            say(survival.server.said()[-5000:])
            raise


def main() -> None:
    """Rounds and seed from the command line."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(10**6)
    with tempfile.TemporaryDirectory(prefix="survive-") as folder:
        survive(Path(folder), rounds, seed, lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
