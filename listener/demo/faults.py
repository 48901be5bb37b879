"""The ways in which an imitation can misbehave on purpose, and the queue that says when.

Status        another status code, with headers such as Retry-After
Page          an HTML page where a document was expected, with 200
Truncated     the promised length, part of the body, then the connection closes
WrongLength   the whole body under a Content-Length that is too small or too large
Dropped       the connection is cut without an answer
Slow          the body comes in pieces, with a pause before each
Hung          nothing comes, until the client gives up
"""

import math
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from listener.demo.wire import Answer, Wire

ANY = "*"


@dataclass(frozen=True)
class Fault:
    """No fault at all: answers honestly. Each kind overrides the step that it spoils."""

    silent: ClassVar[bool] = False  # true when the client never sees a status

    def answer(self, honest: Callable[[], Answer]) -> Answer:
        """Return what to answer; `honest` does what was asked."""
        return honest()

    async def send(self, answer: Answer, wire: Wire) -> None:
        """Put the answer on the wire."""
        await wire.head(answer, len(answer.body))
        await wire.body(answer.body)


@dataclass(frozen=True)
class Status(Fault):
    """Answer `code`, and do not do what was asked."""

    code: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"

    def answer(self, honest: Callable[[], Answer]) -> Answer:
        return Answer(self.code, self.body, self.content_type, self.headers)


@dataclass(frozen=True)
class Page(Fault):
    """Answer an HTML page, as the firewall or the cache in front of an API does."""

    code: int = 200
    html: bytes = b"<!DOCTYPE html><html><head><title>Attention required</title></head><body>Try later.</body></html>"

    def answer(self, honest: Callable[[], Answer]) -> Answer:
        return Answer(self.code, self.html, "text/html; charset=utf-8")


@dataclass(frozen=True)
class Truncated(Fault):
    """Promise everything, send the first `keep` bytes (half when None), then close."""

    keep: int | None = None

    async def send(self, answer: Answer, wire: Wire) -> None:
        await wire.head(answer, len(answer.body), close=True)
        await wire.close(answer.body[: len(answer.body) // 2 if self.keep is None else self.keep])


@dataclass(frozen=True)
class WrongLength(Fault):
    """Send everything under a Content-Length that is off by `by` bytes, then close.

    With a negative `by` the client sees a clean answer that is too short: HTTP reports nothing, only the file can tell.
    """

    by: int = -1

    async def send(self, answer: Answer, wire: Wire) -> None:
        await wire.head(answer, max(0, len(answer.body) + self.by), close=True)
        await wire.close(answer.body)


@dataclass(frozen=True)
class Dropped(Fault):
    """Do what was asked, and cut the connection instead of answering."""

    silent: ClassVar[bool] = True

    async def send(self, answer: Answer, wire: Wire) -> None:
        await wire.drop()


@dataclass(frozen=True)
class Slow(Fault):
    """Send the body in `pieces` pieces, `delay` seconds before each; the head goes out at once."""

    delay: float = 0.1
    pieces: int = 4

    async def send(self, answer: Answer, wire: Wire) -> None:
        await wire.head(answer, len(answer.body))
        size = max(1, math.ceil(len(answer.body) / self.pieces))
        for start in range(0, len(answer.body), size):
            if not await wire.pause(self.delay):
                return await wire.drop()
            await wire.body(answer.body[start : start + size], more=True)
        return await wire.body(b"")


@dataclass(frozen=True)
class Hung(Fault):
    """Take the request and never answer; ends when the client goes, the imitation stops, or `seconds` have passed."""

    seconds: float = math.inf
    silent: ClassVar[bool] = True

    async def send(self, answer: Answer, wire: Wire) -> None:
        await wire.pause(self.seconds)
        await wire.drop()


class Faults:
    """What goes wrong next, by call name, or ANY for every call: queued faults first, then the standing one."""

    def __init__(self, calls: Collection[str]) -> None:
        self._calls = frozenset(calls) | {ANY}
        self._queued: dict[str, deque[Fault]] = {}
        self._standing: dict[str, Fault] = {}
        self._lock = threading.Lock()

    def add(self, call: str, *faults: Fault) -> None:
        """Queue `faults` for the next calls of this name, one each; raises KeyError for a name that does not exist."""
        with self._lock:
            self._queued.setdefault(self._known(call), deque()).extend(faults)

    def stand(self, call: str, fault: Fault) -> None:
        """Let every call of this name meet `fault`, until cleared; raises KeyError for a name that does not exist."""
        with self._lock:
            self._standing[self._known(call)] = fault

    def clear(self, call: str | None = None) -> None:
        """Forget the faults of one call, or all."""
        with self._lock:
            for name in self._calls if call is None else {self._known(call)}:
                self._queued.pop(name, None)
                self._standing.pop(name, None)

    def take(self, call: str) -> Fault:
        """Return the fault that this call meets now; an honest one when there is none."""
        with self._lock:
            for name in (call, ANY):
                if self._queued.get(name):
                    return self._queued[name].popleft()
            return self._standing.get(call) or self._standing.get(ANY) or Fault()

    def _known(self, call: str) -> str:
        if call not in self._calls:
            raise KeyError(f"no call named {call!r}; there are {', '.join(sorted(self._calls))}")
        return call
