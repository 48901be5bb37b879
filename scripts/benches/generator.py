"""Callbacks of a busy OneSpan account, made up: of the same seed the same ones, in the same order, without end."""

import heapq
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final, NamedTuple

from listener.demo import onespan
from listener.log import event
from listener.log.event import Draft, written
from scripts.benches.life import Happening, Life

SOURCE: Final = "onespan"
_BEGINS: Final = datetime(2019, 1, 1, tzinfo=UTC)  # eight million callbacks before today: none is ahead of our clock
_BETWEEN: Final = 185.0  # seconds from package to package: a million callbacks a year
_LATE: Final = 0.05
_TWICE: Final = 0.01
_UNREADABLE: Final = 0.0001
_NOT_JSON: Final = (b"", b"<html><body>502 Bad Gateway</body></html>", b"[]", b'{"name":"PACKAGE_COMPLETE"}')
_HOST: Final = "callbacks.example.test"


class Arrival(NamedTuple):
    """A body on its way. The number keeps what arrives at one moment in order."""

    at: datetime
    number: int
    body: bytes


def drafts(seed: int) -> Iterator[Draft]:
    """The callbacks as the door would write them down, as they arrive; take as many as you want."""
    random = Random(seed)  # noqa: S311  to be repeated, not to be secret
    under_way: list[Arrival] = []
    numbers = itertools.count()
    created = _BEGINS
    while True:
        life = Life(random, created)
        for happening in life.happenings:
            for at, body in _sent(random, life.package, happening):
                heapq.heappush(under_way, Arrival(at, next(numbers), body))
        created += timedelta(seconds=random.expovariate(1 / _BETWEEN))
        while under_way and under_way[0].at < created:
            yield _draft(heapq.heappop(under_way).body)


def _sent(random: Random, package: str, happening: Happening) -> Iterator[tuple[datetime, bytes]]:
    """When each copy of a callback arrives, and its body: mostly one, at once."""
    at, name, user, document, message = happening
    body = onespan.callback(name, package, session_user=user, document_id=document, message=message, created=at)
    if random.random() < _UNREADABLE:
        body = random.choice((*_NOT_JSON, body[:-20]))
    arrives = at + timedelta(seconds=random.expovariate(1 / 600.0) if random.random() < _LATE else 0.2)
    yield arrives, body
    if random.random() < _TWICE:
        yield arrives + timedelta(seconds=random.expovariate(1 / 3600.0)), body


def _draft(body: bytes) -> Draft:
    headers = (
        ("host", _HOST),
        ("authorization", "redacted"),
        ("content-type", "application/json; charset=utf-8"),
        ("accept-encoding", "gzip,deflate"),
        ("user-agent", ""),
        ("content-length", str(len(body))),
    )
    return Draft(
        event.CALLBACK,
        SOURCE,
        "onespan",
        body,
        written(headers),
        "POST",
        f"/callbacks/{SOURCE}",
        "127.0.0.1",
        "203.0.113.7",
        "key:0123456789ab",
    )
