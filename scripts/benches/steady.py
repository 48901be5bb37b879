"""A client that sends at its own pace, answered or not: `python -m scripts.benches.steady PORT PER_SECOND`.

It sends until its standard input ends, then prints JSON.
"""

import asyncio
import json
import sys
import time
from collections import deque
from typing import Final, cast

import uvloop

from scripts.benches.generator import SOURCE, drafts
from scripts.benches.load import post

_CONNECTIONS: Final = 32
_WARM: Final = 200  # the first answers, which pay for imports and caches


class Steady:
    """Sends what is due on a connection that is free; what finds none waits, and its time runs."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.refused = 0
        self._free: deque[Connection] = deque()
        self._waiting: deque[tuple[float, bytes]] = deque()

    def send(self, payload: bytes) -> None:
        """Send it now, or as soon as a connection is free."""
        self._waiting.append((time.perf_counter(), payload))
        self._send_next()

    def free(self, connection: "Connection") -> None:
        """This connection has nothing to do."""
        self._free.append(connection)
        self._send_next()

    def answered(self, seconds: float, status: bytes) -> None:
        """One callback was answered, so long after it was due."""
        self.latencies.append(seconds)
        self.refused += status != b"200"

    def _send_next(self) -> None:
        if self._waiting and self._free:
            self._free.popleft().send(*self._waiting.popleft())


class Connection(asyncio.Protocol):
    """One callback at a time."""

    def __init__(self, steady: Steady) -> None:
        self._steady = steady

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._steady.free(self)

    def send(self, due: float, payload: bytes) -> None:
        """Send a callback that has been due since then."""
        self._due = due
        self._transport.write(payload)

    def data_received(self, data: bytes) -> None:
        self._steady.answered(time.perf_counter() - self._due, data[9:12])
        self._steady.free(self)


async def run(port: int, per_second: int) -> dict[str, float]:
    """How many were sent, how many of them not answered with 200; the worst and the 99.9th percentile in ms."""
    loop = asyncio.get_running_loop()
    steady = Steady()
    for _ in range(_CONNECTIONS):
        await loop.create_connection(lambda: Connection(steady), "127.0.0.1", port)
    sent = await _send(steady, per_second)
    await asyncio.sleep(1)
    latencies = sorted(steady.latencies[_WARM:])
    return {
        "sent": sent,
        "lost": sent - len(steady.latencies) + steady.refused,
        "worst_ms": latencies[-1] * 1e3,
        "p999_ms": latencies[int(len(latencies) * 0.999)] * 1e3,
    }


async def _send(steady: Steady, per_second: int) -> int:
    """Until standard input ends; how many were sent."""
    stop = asyncio.ensure_future(asyncio.to_thread(sys.stdin.buffer.read))
    began = time.perf_counter()
    for sent, draft in enumerate(drafts(seed=1)):
        await asyncio.sleep(began + sent / per_second - time.perf_counter())
        if stop.done():
            return sent
        steady.send(post(f"/callbacks/{SOURCE}", draft.body))
    raise AssertionError("drafts end")


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(int(sys.argv[1]), int(sys.argv[2])))))
