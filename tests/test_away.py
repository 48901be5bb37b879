"""The real door on a PostgreSQL that is stopped, killed and frozen under load: what was answered is there, once."""

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from listener.log import event, reader
from tests import postgres
from tests.logbook import connected
from tests.postgres import Server
from tests.rig import until
from tests.serving import KEY, ROOT, Serving

CLIENTS = 4
SOME = 30  # callbacks that are answered before the next thing happens


class Client(threading.Thread):
    """A sender whose callbacks are all different; it goes on with the next one when it has an answer, or none."""

    def __init__(self, server: Serving, name: str) -> None:
        super().__init__()
        self.server = server
        self.named = name
        self.stopping = threading.Event()
        self.answered: list[bytes] = []
        self.refused: Counter[int] = Counter()
        self.sent = 0

    def run(self) -> None:
        """Send until told to stop, on a new connection whenever the last one broke."""
        while not self.stopping.is_set():
            with (
                self.server.connection(patience=60) as connection,
                contextlib.suppress(OSError, http.client.HTTPException),
            ):
                while not self.stopping.is_set():
                    self.send(connection)
            self.stopping.wait(0.01)

    def send(self, connection: http.client.HTTPConnection) -> None:
        """One callback."""
        self.sent += 1
        body = f"{self.named} {self.sent}".encode()
        connection.request("POST", "/callbacks/onespan", body, {"Authorization": f"Basic {KEY}"})
        answer = connection.getresponse()
        answer.read()
        if answer.status == 200:
            self.answered.append(body)
        else:
            self.refused[answer.status] += 1


@contextlib.contextmanager
def load(server: Serving) -> Iterator[list[Client]]:
    """Senders, until the block ends."""
    clients = [Client(server, f"client-{number}") for number in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield clients
    finally:
        for client in clients:
            client.stopping.set()
        for client in clients:
            client.join(60)


def goes_on(clients: Sequence[Client]) -> None:
    """Wait until each has some more answers."""
    wanted = [len(client.answered) + SOME for client in clients]
    until(lambda: all(len(client.answered) >= least for client, least in zip(clients, wanted, strict=True)))


def drained(folder: Path) -> None:
    """Wait until the spool has been filled and emptied."""
    until(lambda: not list((folder / "data/spool").glob("*.spool")), pause=0.05)


def is_spooling(folder: Path) -> bool:
    """Whether anything waits."""
    return bool(list((folder / "data/spool").glob("*.spool")))


def stored(folder: Path) -> list[bytes]:
    """The bodies of all callbacks, in order."""
    with contextlib.closing(connected(folder)) as database:
        return [found.body or b"" for found in reader.every(database) if found.kind == event.CALLBACK]


def assert_kept(folder: Path, clients: Sequence[Client]) -> None:
    """All that was answered is there, nothing is there twice, and each client's stands in the order of its answers."""
    bodies = stored(folder)
    assert [body for body, times in Counter(bodies).items() if times > 1] == []
    places = {body: place for place, body in enumerate(bodies)}
    for client in clients:
        assert [body for body in client.answered if body not in places] == []
        ours = [places[body] for body in client.answered]
        assert ours == sorted(ours)
        assert client.refused == {}


@contextlib.contextmanager
def site(tmp_path: Path) -> Iterator[tuple[Server, Serving]]:
    """A server, and signlog on it."""
    with postgres.server() as found:
        postgres.mark(tmp_path, found)
        with Serving(tmp_path) as serving:
            yield found, serving


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
def test_a_database_that_is_stopped_costs_nothing(tmp_path: Path, how: signal.Signals) -> None:
    """Twice under load, and started again: not one 503."""
    with site(tmp_path) as (database, serving):
        with load(serving) as clients:
            for _ in range(2):
                goes_on(clients)
                database.stop(how)
                goes_on(clients)
                assert is_spooling(tmp_path)
                database.start()
                drained(tmp_path)
                goes_on(clients)
        drained(tmp_path)
        assert_kept(tmp_path, clients)


def test_a_database_that_is_frozen_costs_nothing(tmp_path: Path) -> None:
    """All of its processes stand still, with transactions under way; then they go on."""
    with site(tmp_path) as (database, serving):
        with load(serving) as clients:
            goes_on(clients)
            with frozen(database):
                goes_on(clients)
                assert is_spooling(tmp_path)
            drained(tmp_path)
            goes_on(clients)
        drained(tmp_path)
        assert_kept(tmp_path, clients)


def test_a_frozen_transaction_does_not_hold_up_the_door_for_ever(tmp_path: Path) -> None:
    """The process that served the door stands still, while the server lets others in: the door takes another one."""
    with site(tmp_path) as (database, serving):
        assert serving.post(b"one") == 200
        with frozen(database):
            assert serving.post(b"two") == 200
            os.kill(database.process.pid, signal.SIGCONT)  # what it starts from now on runs
            drained(tmp_path)
            assert serving.post(b"three") == 200
        assert stored(tmp_path) == [b"one", b"two", b"three"]


@contextlib.contextmanager
def frozen(database: Server) -> Iterator[None]:
    """All processes of the server stand still."""
    main = database.process.pid
    stopped = [main, *map(int, Path(f"/proc/{main}/task/{main}/children").read_text().split())]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def test_a_door_that_is_killed_meanwhile_loses_nothing(tmp_path: Path) -> None:
    """While the database is away, and while it comes back, again and again."""
    with site(tmp_path) as (database, serving):
        with load(serving) as clients:
            goes_on(clients)
            database.stop()
            for _ in range(3):
                goes_on(clients)
                serving.restarted("door", serving.kill("door"))
            goes_on(clients)
            database.start()
            serving.restarted("door", serving.kill("door"))
            goes_on(clients)
        drained(tmp_path)
        for client in clients:
            client.refused.clear()
        assert_kept(tmp_path, clients)


def test_it_starts_without_its_database(tmp_path: Path) -> None:
    """If a door was open there before: callbacks are taken, and appended when it is back."""
    with site(tmp_path) as (database, serving):
        assert serving.post(b"before") == 200
        serving.stop()
        database.stop()
        serving.start()
        assert serving.post(b"meanwhile") == 200
        assert is_spooling(tmp_path)
        database.start()
        drained(tmp_path)
        until(lambda: serving.post(b"after") == 200)
        drained(tmp_path)
        assert stored(tmp_path) == [b"before", b"meanwhile", b"after"]


def test_without_a_log_it_does_not_start(tmp_path: Path) -> None:
    """A wrong address must not look like a database that is away."""
    with postgres.server() as database:
        postgres.mark(tmp_path, database)
        serving = Unstarted(tmp_path)
        database.stop()
        command = [sys.executable, "-m", "listener", "serve", "--config", str(serving.config)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 1
        assert "the database cannot be used" in done.stderr
        database.start()


class Unstarted(Serving):
    """A server's folder and configuration."""

    def start(self, *arguments: str) -> None:
        """Not now."""
