"""`signlog serve` as a user starts it: a process of its own with its children, and a client that posts to it."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from tests import postgres
from tests.rig import until

ROOT = Path(__file__).parents[1]
KEY = "callback-key"
PARTS = ("door", "worker")
# The real server, under load and killed: what is about signatures says so, for each check is a process.
_CONFIG = """\
data = "{folder}/data"
disk_reserve = 0
check_signatures = false
door.port = {port}
[sources.onespan]
callback_keys = ["{key}"]
"""
_ACCESS = 'api_url = "{url}"\napi_key = "demonstration"\n'


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    return port


def alive(pid: int) -> bool:
    """Whether the process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Serving:
    """The server on a folder. What it says goes to `complaints`. `top` is the configuration of where the log lies."""

    def __init__(self, folder: Path, url: str | None = None, top: str | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self.config = folder / "signlog.toml"
        access = _ACCESS.format(url=url) if url else ""
        there = postgres.url(folder) if top is None else None
        where = f'database_url = "{there}"\n' if there else ""
        self.config.write_text((top or where) + _CONFIG.format(folder=folder, port=self.port, key=KEY) + access)
        self.complaints = folder / "stderr"
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def start(self, *arguments: str) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "listener", "serve", "--config", str(self.config), *arguments]
        with self.complaints.open("ab") as out:
            self.process = subprocess.Popen(command, cwd=ROOT, stderr=out, stdout=out, start_new_session=True)
        until(lambda: self.healthy() or self.process.poll() is not None)
        assert self.process.poll() is None, self.said()

    def said(self) -> str:
        """Everything on standard error and output so far."""
        return self.complaints.read_text(errors="replace")

    def children(self) -> Mapping[str, int]:
        """The process ids of door and worker, as far as they run."""
        pid = self.process.pid
        try:
            listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:
            return {}
        return {part: int(child) for child in listed for part in PARTS if part in _arguments(int(child))}

    def running(self) -> Mapping[str, int]:
        """Both, once both run."""
        until(lambda: len(self.children()) == len(PARTS))
        return self.children()

    def works(self) -> None:
        """Wait until the worker is past its start: it makes the views after it heard of signals, under its lock."""
        until((self.folder / "data/signlog-views-1.db").exists)

    def kill(self, part: str) -> int:
        """SIGKILL a part; returns the process id that it had."""
        pid = self.running()[part]
        os.kill(pid, signal.SIGKILL)
        return pid

    def restarted(self, part: str, old: int) -> int:
        """Wait until another process has taken its place; its id."""
        until(lambda: self.children().get(part, old) != old)
        return self.children()[part]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end, and wait for it; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)

    def gone(self, pids: Mapping[str, int]) -> None:
        """Wait until none of these processes runs."""
        until(lambda: not any(map(alive, pids.values())))

    def healthy(self) -> bool:
        """Whether the door says that it is well."""
        try:
            return self.ask("GET", "/healthz") == 200
        except (OSError, http.client.HTTPException):
            return False

    def post(self, content: bytes, key: str = KEY) -> int:
        """Send a callback on a connection of its own; the status."""
        return self.ask("POST", "/callbacks/onespan", content, key)

    def ask(self, method: str, path: str, content: bytes = b"", key: str = KEY) -> int:
        """Ask the door, patiently; the status."""
        with self.connection() as connection:
            connection.request(method, path, content, {"Authorization": f"Basic {key}"})
            return connection.getresponse().status

    @contextlib.contextmanager
    def connection(self, patience: float = 30) -> Iterator[http.client.HTTPConnection]:
        """One connection to the door."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=patience)
        try:
            yield connection
        finally:
            connection.close()


def _arguments(pid: int) -> str:
    try:
        found = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return " ".join(argument.decode().removeprefix("--") for argument in found if argument.startswith(b"--"))
