"""A real server in a process of its own, an app that answers what it received, and a client that speaks raw bytes."""

import asyncio
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

from starlette.types import Receive, Scope, Send

from listener.door import server
from listener.door.protocol import BoundedProtocol

PATIENCE = 20.0  # seconds until a test gives up, not until it goes on


class Echo:
    """`/hold` is answered after SIGUSR1, `/early` before its body is read, `/big` with 32 MiB, all others at once."""

    def __init__(self, broken: bool) -> None:
        self.broken = broken
        self.holding = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self.live if scope["type"] == "lifespan" else self.answer)(scope, receive, send)

    async def live(self, _: Scope, receive: Receive, send: Send) -> None:
        if self.broken:
            raise RuntimeError("cannot start")
        self.released = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, self.released.set)
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("lifespan over", flush=True)
        await send({"type": "lifespan.shutdown.complete"})

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        length = 0 if scope["path"] == "/early" else await self.read(receive)
        if scope["path"] == "/hold":
            self.holding += 1
            await self.released.wait()
        body = bytes(1 << 25) if scope["path"] == "/big" else self.seen(scope, length)
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def read(self, receive: Receive) -> int:
        length, more = 0, True
        while more:
            message = await receive()
            length += len(message.get("body", b""))
            more = message.get("more_body", False)
        return length

    def seen(self, scope: Scope, length: int) -> bytes:
        seen = {key: scope[key] for key in ("method", "path", "http_version")}
        headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
        texts = {"headers": headers, "raw_path": scope["raw_path"].decode("latin-1")}
        counts = {"length": length, "holding": self.holding, "frozen": gc.get_freeze_count()}
        return json.dumps(seen | texts | counts).encode()


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def seen(self) -> dict[str, Any]:
        seen: dict[str, Any] = json.loads(self.body)
        return seen


class Client:
    """One connection; what it does not say, nobody says for it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=PATIENCE)
        self.incoming = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.incoming.close()
        self.socket.close()

    def send(self, *pieces: bytes) -> Self:
        self.socket.sendall(b"".join(pieces))
        return self

    def answer(self) -> Answer:
        """The next answer, also when it says only `100 Continue`."""
        status = int(self.incoming.readline().split()[1])
        lines = iter(lambda: self.incoming.readline().decode().strip(), "")
        headers = dict(line.split(": ", 1) for line in lines)
        return Answer(status, headers, self.incoming.read(int(headers.get("content-length", 0))))

    def ended(self, timeout: float = PATIENCE) -> bool:
        """Wait until the server ends the connection; False if it says something instead, or nothing in no time."""
        self.socket.settimeout(timeout)
        try:
            return self.incoming.read(1) == b""
        except ConnectionError:
            return True


class Door:
    """The server process. Unless a test did so itself, leaving it stops it and finds that it never complained."""

    said: str | None = None

    def __init__(
        self,
        *,
        before: Sequence[str] = (),
        pipe: int | None = None,
        keep_alive: int = 75,
        broken: bool = False,
        **limits: float,
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as bound:
            self.address: tuple[str, int] = bound.getsockname()
            fd = bound.fileno()
            settings = {"fd": fd, "pipe": pipe, "keep_alive": keep_alive, "broken": broken, "limits": limits}
            command = [*before, sys.executable, "-m", "tests.echo", json.dumps(settings)]
            self.process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[fd] if pipe is None else [fd, pipe],
                cwd=Path(__file__).parents[1],
                text=True,
            )
        if self.output.readline() != "ready\n":
            raise AssertionError(self.process.communicate())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        if self.said is None:
            self.process.terminate()
            outcome = self.finish()
            assert failed or outcome == (0, "")

    @property
    def output(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout

    def finish(self) -> tuple[int, str]:
        """Wait for the end of the process: its exit code and what it complained about. The rest is in `said`."""
        self.said, complaints = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, complaints

    def client(self) -> Client:
        return Client(self.address)

    def ask(self, request: bytes = b"GET / HTTP/1.1\r\n\r\n") -> Answer:
        """One request on a connection of its own."""
        with self.client() as client:
            return client.send(request).answer()

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def memory(self) -> int:
        """Resident bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let things happen that the server will find all at once."""
        self.process.send_signal(signal.SIGSTOP)
        yield
        self.process.send_signal(signal.SIGCONT)

    def release(self) -> None:
        """Let everyone have their answer whom `/hold` keeps waiting."""
        self.process.send_signal(signal.SIGUSR1)

    def refuses(self) -> bool:
        """Nobody listens any more: the stop has begun."""
        try:
            self.client().__exit__()
        except ConnectionError:
            return True
        return False


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that happens in another process."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def main() -> None:
    settings = json.loads(sys.argv[1])
    server.Server.SWEEP_SECONDS = 0.02
    server.KEEP_ALIVE_SECONDS = settings["keep_alive"]
    for name, limit in settings["limits"].items():
        assert hasattr(BoundedProtocol, name), name
        setattr(BoundedProtocol, name, limit)
    sock = socket.socket(fileno=settings["fd"])
    try:
        server.serve(Echo(settings["broken"]), sock, lambda: print("ready", flush=True), settings["pipe"])
    finally:
        print("finally", flush=True)


if __name__ == "__main__":
    main()
