"""Our ends of the connections to a server: nobody else wakes a thread whose server was frozen, or is gone."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from typing import Any, Final
from weakref import WeakSet

from sqlalchemy import Engine, event

_AGAIN_SECONDS: Final = 0.2  # whoever was cut may connect anew


class Ends:
    """Those of an engine. They can be cut from any thread; behind a pooler, too."""

    def __init__(self, engine: Engine) -> None:
        self._connections: WeakSet[Any] = WeakSet()
        event.listen(engine, "connect", lambda connection, _record: self._connections.add(connection))

    def cut(self) -> None:
        """Whoever waits for the server hears that it is gone."""
        for connection in tuple(self._connections):
            with contextlib.suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as found:
                found.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Cut them when the block takes longer, until it ends."""
        over = threading.Event()

        def watch() -> None:
            ended = over.wait(seconds)
            while not ended:
                self.cut()
                ended = over.wait(_AGAIN_SECONDS)

        thread = threading.Thread(target=watch, name="deadline", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
