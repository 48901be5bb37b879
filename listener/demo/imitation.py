"""A provider's API imitated at the wire: a real HTTP server on loopback, whose state and faults are in our hands."""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from listener.demo.faults import Faults
from listener.demo.wire import Answer, Asked, Wire

THREAD = "imitation"
UNKNOWN = "unknown"
GOODBYE = 5  # seconds for the last answers


@dataclass(frozen=True)
class Call:
    """One call of the imitated API: its name for faults and counting, its route, and what answers it."""

    name: str
    method: str
    path: str
    answer: Callable[[Asked], Answer]


class Imitation:
    """A server on 127.0.0.1 that answers `calls()` and remembers what it was asked.

    Use it as a context manager, or call `start` and `close`; started again, it comes back on the same port. State may
    be changed from any thread while it runs; hold `lock` for a change of more than one step. With a `certificate`, a
    file with key and certificate, it serves over TLS.
    """

    base = ""  # what the provider's documented address has after the host

    def __init__(self, port: int = 0) -> None:
        self.lock = threading.RLock()
        self.faults = Faults([call.name for call in self.calls()] + [UNKNOWN])
        self.certificate: Path | None = None
        self._port = port
        self._asked: list[Asked] = []
        self._running: tuple[uvicorn.Server, threading.Thread] | None = None

    def calls(self) -> Sequence[Call]:
        """Return the calls that this API has."""
        raise NotImplementedError

    def refuse(self, asked: Asked) -> Answer | None:
        """Return the answer to a client that did not prove who it is, None when it did."""
        return None

    def unknown(self, asked: Asked) -> Answer:
        """Answer an address that this API does not have."""
        return Answer(404, b"Not Found")

    @property
    def url(self) -> str:
        """The address to configure as the provider's API; known once started."""
        return f"http{'s' if self.certificate else ''}://127.0.0.1:{self._port}{self.base}"

    @property
    def requests(self) -> tuple[Asked, ...]:
        """What was asked so far, in order; a snapshot. A request is in it before its answer is on the wire."""
        return tuple(self._asked)

    def count(self, call: str) -> int:
        """Return how often `call` was asked, faults included."""
        return sum(asked.call == call for asked in self.requests)

    def start(self) -> Self:
        """Listen and serve; raises OSError when the port is taken."""
        listening = socket.create_server(("127.0.0.1", self._port))
        self._port = listening.getsockname()[1]
        server = _Server(_config(self._app(), self.certificate))
        thread = threading.Thread(target=_serve, args=(server, listening), name=f"{THREAD}-{self._port}", daemon=True)
        self._running = (server, thread)
        _hush()
        thread.start()
        return self

    def close(self) -> None:
        """Stop serving; connections that hang are cut. Does nothing when it is not running."""
        if self._running is not None:
            server, thread = self._running
            server.should_exit = True
            thread.join()
            self._running = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def respond(self, call: Call, asked: Asked) -> Answer:
        """Return the honest answer to one request."""
        with self.lock:
            return self.refuse(asked) or call.answer(asked)

    def remember(self, asked: Asked) -> None:
        """Add one request to `requests`."""
        self._asked.append(asked)

    def stopping(self) -> bool:
        """Say whether the server is about to stop."""
        return self._running is None or self._running[0].should_exit

    def _app(self) -> Starlette:
        routes = [Route(call.path, _Exchange(self, call), methods=[call.method]) for call in self.calls()]
        anything = _Exchange(self, Call(UNKNOWN, "", "", self.unknown))
        return Starlette(routes=[*routes, Route("/{rest:path}", anything)])


class _Exchange:
    """One call as an ASGI application: read, answer, remember, send."""

    def __init__(self, imitation: Imitation, call: Call) -> None:
        self._imitation = imitation
        self._call = call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = await _asked(self._call.name, Request(scope, receive))
        fault = self._imitation.faults.take(self._call.name)
        answer = fault.answer(lambda: self._imitation.respond(self._call, asked))
        self._imitation.remember(replace(asked, status=None if fault.silent else answer.status))
        await fault.send(answer, Wire(receive, send, scope["state"]["transport"], self._imitation.stopping))


async def _asked(call: str, request: Request) -> Asked:
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Asked(
        call=call,
        method=request.method,
        path=request.scope["raw_path"].decode("ascii"),
        query=request.scope["query_string"].decode("latin-1"),
        headers=headers,
        body=await request.body(),
        params=dict(request.query_params),
        ids=request.path_params,
    )


class _Protocol(HttpToolsProtocol):
    """uvicorn's HTTP, with the transport in reach of the application, so that a fault can break what ASGI forbids."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.access_log = False

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"]["transport"] = self.transport


class _Server(uvicorn.Server):
    """uvicorn's server, which starts and stops in milliseconds: its own loop and goodbye sleep 0.1 s at a time."""

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            await asyncio.sleep(0.01)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        # A client that reads nothing keeps its connection; after a while it is cut with the loop.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE):
                while self.server_state.connections or self.server_state.tasks:
                    await asyncio.sleep(0.005)


def _config(app: Starlette, certificate: Path | None) -> uvicorn.Config:
    # No log_level and no access_log=False: both would reach into loggers that the door in the same process also uses.
    return uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        server_header=False,
        ssl_certfile=certificate and str(certificate),
    )


def _serve(server: uvicorn.Server, listening: socket.socket) -> None:
    # Outside the main thread uvicorn leaves the process's signal handlers alone (Server.capture_signals).
    asyncio.run(server.serve(sockets=[listening]))


def _hush() -> None:
    # The same function each time: a logger takes a filter only once.
    logging.getLogger("uvicorn.error").addFilter(_worth_saying)


def _worth_saying(record: logging.LogRecord) -> bool:
    return record.levelno > logging.INFO or not str(record.threadName).startswith(THREAD)
