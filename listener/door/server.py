"""The process that serves an app on a socket until it is told to stop, and then returns like any other function."""

import asyncio
import gc
import resource
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from listener import parent
from listener.door.protocol import BoundedProtocol, Lobby

# Longer than proxies keep an idle connection (nginx, AWS: 60 s): who closes first may meet the next callback halfway.
KEEP_ALIVE_SECONDS = 75


class Server(uvicorn.Server):
    """uvicorn's server with a lobby, its sweeper, and signals that end the serving but not the process."""

    SWEEP_SECONDS = 1.0

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None] | None = None) -> None:
        super().__init__(config)
        self.server_state = self.lobby = Lobby()
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # what lives as long as the process need not be walked again: p99 fell from 26 to 7.5 ms
        gc.set_threshold(20_000, 20, 20)  # a request leaves few cycles behind; looking for them cost a tenth
        self.sweep()
        if self.ready is not None:
            self.ready()

    def sweep(self) -> None:
        """Close who is late, now and every second from now on."""
        loop = asyncio.get_running_loop()
        self.lobby.drop_late(loop.time())
        loop.call_later(self.SWEEP_SECONDS, self.sweep)

    def stop(self) -> None:
        """Ask for a graceful stop; from any thread."""
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Unlike uvicorn's, remembers no signal: it would be raised again, past the caller's `finally`."""
        self.force_exit |= self.should_exit and sig == signal.SIGINT
        self.stop()


def serve(
    app: ASGIApp, sock: socket.socket, ready: Callable[[], None] | None = None, parent_fd: int | None = None
) -> None:
    """Serve `app` on the bound `sock` until SIGTERM, SIGINT, or the end of the pipe `parent_fd`; closes `sock`.

    `ready` is called once connections are accepted. Requests that came whole are answered before this returns, and the
    app's lifespan has shut down; only a second SIGINT cuts that short. Raises SystemExit if the lifespan cannot start.
    """
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        proxy_headers=False,
        access_log=False,
        server_header=False,
        log_config=None,
        log_level="warning",
        backlog=2048,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=15,
    )
    server = Server(config, ready)
    if parent_fd is not None:
        parent.alive(parent_fd, server.stop)
    _allow_descriptors(BoundedProtocol.CONNECTIONS + 256)
    server.run(sockets=[sock])


def _allow_descriptors(wanted: int) -> None:
    """Raise the soft limit on open files to `wanted`, as far as the hard limit lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
