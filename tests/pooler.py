"""A pooler in front of PostgreSQL that gives each transaction another connection, and forgets nothing of sessions.

What it speaks: https://www.postgresql.org/docs/current/protocol-flow.html. A client's transaction is over when the
server says that it is ready and idle; the next one goes to the connection that was used longest ago, where whatever the
session before left is still there, and what the client prepared elsewhere is not.
"""

import contextlib
import queue
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Final

from sqlalchemy import make_url

CONNECTIONS: Final = 3
_SSL, _CANCEL = 80877103, 80877102
_IDLE: Final = b"I"


class Wire:
    """One side of a conversation, read message by message."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def first(self) -> tuple[int, bytes]:
        """What a client begins with: a number, and what comes behind it."""
        (length,) = struct.unpack("!i", self._read(4))
        body = self._read(length - 4)
        return struct.unpack("!i", body[:4])[0], body[4:]

    def message(self) -> tuple[bytes, bytes]:
        """The next message: its letter and its body."""
        head = self._read(5)
        return head[:1], self._read(struct.unpack("!i", head[1:])[0] - 4)

    def send(self, letter: bytes, body: bytes) -> None:
        """Send a message."""
        self.sock.sendall(letter + struct.pack("!i", len(body) + 4) + body)

    def _read(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            part = self.sock.recv(size - len(found))
            if not part:
                raise ConnectionError
            found += part
        return found


class Pooler:
    """Listens on a port of this machine, in front of one database."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._free: queue.Queue[Wire] = queue.Queue()
        self.used: list[int] = []  # which connection each transaction had
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._listener]
        self._greeting: list[tuple[bytes, bytes]] = []
        for _ in range(CONNECTIONS):
            self._free.put(self._connect())
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """What `database_url` is to be."""
        port = self._listener.getsockname()[1]
        return f"postgresql+psycopg://{self._url.username}@127.0.0.1:{port}/{self._url.database}?sslmode=disable"

    def close(self) -> None:
        """Hang up, everywhere."""
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _connect(self) -> Wire:
        """A connection to the server, up to the point where it is ready."""
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(f"{self._url.query['host']}/.s.PGSQL.5432")
        self._open.append(sock)
        said = b"".join(
            f"{name}\0{value}\0".encode()
            for name, value in (("user", self._url.username), ("database", self._url.database))
        )
        sock.sendall(struct.pack("!ii", len(said) + 9, 196608) + said + b"\0")
        wire, self._greeting = Wire(sock), []
        while not self._greeting or self._greeting[-1][0] != b"Z":
            self._greeting.append(wire.message())
        return wire

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open.append(sock)
                threading.Thread(target=self._serve, args=(Wire(sock),), daemon=True).start()

    def _serve(self, client: Wire) -> None:
        with contextlib.suppress(ConnectionError, OSError):
            if client.first()[0] in (_SSL, _CANCEL):
                return
            for letter, body in self._greeting:
                client.send(letter, body)
            while True:
                self._transaction(client, *client.message())

    def _transaction(self, client: Wire, letter: bytes, body: bytes) -> None:
        """Everything from a client's message to the moment when the server is idle again."""
        if letter == b"X":
            raise ConnectionError
        server = self._free.get()
        self.used.append(id(server))
        try:
            while True:
                server.send(letter, body)
                if letter in (b"Q", b"S") and self._answered(client, server, letter) == _IDLE:
                    return
                letter, body = client.message()
        finally:
            self._free.put(server)

    def _answered(self, client: Wire, server: Wire, asked: bytes) -> bytes:
        """Pass on what the server says until it is ready; in what state."""
        while True:
            letter, body = server.message()
            client.send(letter, body)
            if letter == b"G":
                self._copied(client, server, (b"c", b"f") if asked == b"Q" else (b"S",))
            if letter == b"Z":
                return body

    def _copied(self, client: Wire, server: Wire, ends: tuple[bytes, ...]) -> None:
        """Pass on what is copied into a table, up to the message that ends it."""
        letter = b""
        while letter not in ends:
            letter, body = client.message()
            server.send(letter, body)


@contextlib.contextmanager
def pooled(url: str) -> Iterator[Pooler]:
    """One that hangs up at the end."""
    pooler = Pooler(url)
    try:
        yield pooler
    finally:
        pooler.close()
