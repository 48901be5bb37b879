"""HTTP/1.1 for strangers: uvicorn's own protocol, with a limit to everything a client can make us keep or wait for."""

import asyncio
from collections import deque
from typing import Any, TypeAlias

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

Waiting: TypeAlias = "dict[BoundedProtocol, float]"

# Where trailers go. uvicorn would append them to the headers of a request that is already being answered.
NOWHERE: deque[tuple[bytes, bytes]] = deque(maxlen=0)


class Lobby(ServerState):
    """What the connections of one server share: who keeps us waiting, longest first, and until which loop time."""

    def __init__(self) -> None:
        super().__init__()
        self.idle: Waiting = {}  # between requests, in an unfinished head, or answered for good
        self.sending: Waiting = {}  # in an unfinished body
        self.stalled: Waiting = {}  # not reading what we answer

    @property
    def queues(self) -> tuple[Waiting, Waiting, Waiting]:
        return self.idle, self.sending, self.stalled

    def make_room(self) -> bool:
        """Drop who has idled longest, or else who takes longest to send a body; False if all wait for an answer.

        A real callback's body is here within a second. Whoever sends slower may be holding connections on purpose.
        """
        longest = next(iter(self.idle or self.sending), None)
        if longest is not None:
            longest.drop()
        return longest is not None

    def drop_late(self, now: float) -> None:
        """Drop every connection whose time is over; `now` is the loop's time in seconds."""
        for queue in self.queues:
            for connection in [connection for connection, due in queue.items() if due <= now]:
                connection.drop()


class BoundedProtocol(HttpToolsProtocol):
    """One connection. The server that owns the lobby calls `drop_late` every second: there are no timers in here."""

    CONNECTIONS = 1000
    HEAD_BYTES = 32 * 1024
    HEADERS = 256  # 32 KiB of `a:b` would be 6500 of them, and nearly a megabyte of tuples
    QUEUED = 8  # pipelined requests behind the one that is being answered
    HEAD_SECONDS = 10.0
    BODY_SECONDS = 30.0
    STALL_SECONDS = 30.0  # to take what was written at once
    LINGER_SECONDS = 2.0
    STOP_SECONDS = 10.0  # shorter than the server's grace, after which uvicorn cancels tasks with a traceback each

    def __init__(
        self,
        config: Config,
        server_state: Lobby,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.lobby = server_state
        self.headers = []
        self.answering: RequestResponseCycle | None = None
        self.barren = 0  # bytes fed since the parser last got anywhere: a head, a piece of body, a message
        self.deaf = False  # nothing more is read; the connection ends when the answers due are out

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        if len(self.connections) > self.CONNECTIONS and not self.lobby.make_room():
            self._turn_away()
        else:
            self._wait(self.lobby.idle, self.HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """uvicorn tells only the newest request; an older one of a pipeline would write to a closed transport."""
        self._forget()
        if self.answering is not None:
            self.answering.disconnected = True
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn's closes: who half-closes would get no answer
        """Keep the connection, for the answer, while a whole request waits for it."""
        waits = self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete
        if waits:
            self.cycle.keep_alive = False
        return waits

    def data_received(self, data: bytes) -> None:
        """Feed the parser no more than the allowance: it collects an unfinished header by itself, however long."""
        while data and not self.deaf:
            room = self.HEAD_BYTES - self.barren
            if room <= 0:
                self.refuse(400 if self in self.lobby.sending else 431)
                return
            self.barren += min(room, len(data))
            data = self._feed(data[:room]) + data[room:]

    def _feed(self, piece: bytes) -> bytes:
        """Parse; returns what the parser left over because it took it for another protocol."""
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade()
            rest: bytes = piece[upgrade.args[0] :]
            return rest
        except httptools.HttpParserError:
            self.refuse(431 if self._crowded else 400)
        else:
            if self._crowded:
                self.refuse(431)
        return b""

    @property
    def _crowded(self) -> bool:
        return len(self.headers) > self.HEADERS

    def _decline_upgrade(self) -> None:
        """Parse the head once more without its `Upgrade`: at that word llhttp stops, and the body would be lost."""
        headers, parser = self.headers, self.parser
        lines = [b"%b %b HTTP/%b" % (parser.get_method(), self.url, parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as in uvicorn
        self._feed(b"\r\n".join([*lines, b"", b""]))
        self.scope["headers"] = headers

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.barren = self.barren or 1  # a head that begins behind the end of a body has begun, too
        if self.cycle is not None and self in self.lobby.idle:
            self._wait(self.lobby.idle, self.HEAD_SECONDS)

    def on_headers_complete(self) -> None:
        """What is raised here reaches `_feed` as a parser error, like uvicorn's own complaints about the target."""
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise ValueError("not a proxy")
            return
        if self._crowded or len(self.pipeline) >= self.QUEUED:
            raise ValueError("too many headers or pipelined requests")
        super().on_headers_complete()
        self.headers = NOWHERE  # type: ignore[assignment]
        self.barren = 0
        self.lobby.idle.pop(self, None)
        self._wait(self.lobby.sending, self.BODY_SECONDS)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self.answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        self.barren = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        self.barren = 0
        self.lobby.sending.pop(self, None)

    def on_response_complete(self) -> None:
        """Instead of uvicorn's, which sets a timer per response and drains an unread body without end."""
        self.lobby.total_requests += 1
        if self.transport.is_closing():
            self._wait(self.lobby.idle, self.LINGER_SECONDS)
        elif self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self.deaf or self in self.lobby.sending:
            self._hang_up()
        else:
            self.flow.resume_reading()
            self._wait(self.lobby.idle, self.HEAD_SECONDS if self.barren else self.timeout_keep_alive)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait(self.lobby.stalled, self.STALL_SECONDS)

    def resume_writing(self) -> None:
        self.lobby.stalled.pop(self, None)
        super().resume_writing()

    def shutdown(self) -> None:
        """The server stops: a request at work may finish, the rest of a body must hurry, all else is closed."""
        super().shutdown()
        latest = self.loop.time() + self.STOP_SECONDS
        for queue in self.lobby.queues:
            if self in queue:
                queue[self] = min(queue[self], latest)

    def refuse(self, status: int) -> None:
        """Read no more, and answer `status` at once, or nothing if earlier requests are still owed their answers."""
        self.deaf = True
        self.logger.info("refused a request with %d", status)
        if self in self.lobby.sending:
            if not self.pipeline and not self.cycle.response_started:
                self._answer(status)
            self.transport.close()
        elif self.cycle is None or self.cycle.response_complete:
            self._answer(status)
            self._hang_up()

    def drop(self) -> None:
        """End the connection now; what was not sent yet is lost."""
        self._forget()
        self.transport.abort()

    def _turn_away(self) -> None:
        """Say 503 without hearing the request."""
        self.deaf = True
        self._answer(503, (b"retry-after", b"1"))
        self.transport.close()
        self._wait(self.lobby.stalled, self.LINGER_SECONDS)  # not `idle`: who is turned away makes no room

    def _hang_up(self) -> None:
        """Say goodbye and let a client that is still sending find its answer: closing at once would reset it away."""
        self.deaf = True
        self.lobby.sending.pop(self, None)
        self.flow.resume_reading()
        self.transport.write_eof()
        self._wait(self.lobby.idle, self.LINGER_SECONDS)

    def _answer(self, status: int, *headers: tuple[bytes, bytes]) -> None:
        own = [(b"content-length", b"0"), (b"connection", b"close"), *headers]
        lines = [b"%b: %b\r\n" % header for header in self.lobby.default_headers + own]
        self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n"]))

    def _wait(self, queue: Waiting, seconds: float) -> None:
        queue[self] = self.loop.time() + seconds  # in its old place, if it waits already: a first byte gains none

    def _forget(self) -> None:
        self.connections.discard(self)
        for queue in self.lobby.queues:
            queue.pop(self, None)
