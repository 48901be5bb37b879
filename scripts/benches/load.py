"""A client that keeps some connections busy: `python -m scripts.benches.load PORT SECONDS PATH`; prints JSON."""

import asyncio
import json
import sys
import time
from typing import Final, cast

import uvloop

CONNECTIONS: Final = 64
BODY_BYTES: Final = 260
KEY: Final = "benchmark-callback-key"


def request(path: str) -> bytes:
    """A callback as OneSpan sends it, padded to BODY_BYTES."""
    body = (
        b'{"@class":"com.silanis.esl.packages.event.ESLProcessEvent","name":"DOCUMENT_SIGNED",'
        b'"sessionUser":"30ba8506-9819-46aa-a22d-c0114ba34cd0","packageId":"LWsUTvGgE4WpOvaQPT16idnxNj8=",'
        b'"message":null,"documentId":"d1","createdDate":"2020-08-21T14:12:34.544Z"'
    )
    return post(path, body + b" " * (BODY_BYTES - len(body) - 1) + b"}")


def post(path: str, body: bytes) -> bytes:
    """The bytes of the request that brings this body."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {KEY}\r\n"
        "Content-Type: application/json; charset=utf-8\r\nAccept-Encoding: gzip,deflate\r\nUser-Agent: \r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection(asyncio.Protocol):
    """Sends, waits for the answer, notes how long it took, sends again."""

    def __init__(self, payload: bytes, until: float, latencies: list[float], statuses: dict[bytes, int]) -> None:
        self._payload = payload
        self._until = until
        self._latencies = latencies
        self._statuses = statuses
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._latencies.append(time.perf_counter() - self._sent)
        status = data[9:12]
        self._statuses[status] = self._statuses.get(status, 0) + 1
        if time.perf_counter() < self._until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._payload)


async def load(port: int, seconds: float, path: str) -> dict[str, object]:
    """Answers per second, percentiles in milliseconds, and how often each status came."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    statuses: dict[bytes, int] = {}
    started = time.perf_counter()
    payload = request(path)
    connections = [
        (
            await loop.create_connection(
                lambda: Connection(payload, started + seconds, latencies, statuses), "127.0.0.1", port
            )
        )[1]
        for _ in range(CONNECTIONS)
    ]
    await asyncio.gather(*(connection.done for connection in connections))
    took = time.perf_counter() - started
    latencies.sort()
    return {
        "per_second": len(latencies) / took,
        "median_ms": latencies[len(latencies) // 2] * 1e3,
        "p99_ms": latencies[int(len(latencies) * 0.99)] * 1e3,
        "worst_ms": latencies[-1] * 1e3,
        "statuses": {status.decode(): count for status, count in statuses.items()},
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(load(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]))))
