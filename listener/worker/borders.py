"""Where one partition of the subjects ends and the next begins, drawn so that of each about as much is said."""

import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import Engine

from listener import errors
from listener.acts import Subject
from listener.interpreter import Interpreter
from listener.log import reader
from listener.worker.piece import Stretch

_EACH: Final = 40  # samples of a partition: the largest of thousands is then less than twice as large as it should be
_AT_ONCE: Final = 5  # events in memory: each may be as long as the door lets in
_UNREADABLE: Final = 0  # the partition of what nobody can tell of whom it speaks

_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.Decoder(list[Subject]).decode


def sample(log: Engine, stretch: Stretch, partitions: int, about: Callable[[Stretch], None]) -> list[Subject]:
    """Of whom some events of a stretch speak, enough for so many partitions. `about` hears of each before it is read.

    Nobody can foresee which: whoever chooses ids cannot choose a partition for them.
    """
    positions = range(stretch.after + 1, stretch.until + 1)
    drawn = sorted(random.SystemRandom().sample(positions, min(len(positions), _EACH * partitions)))
    found, interpreter = list[Subject](), Interpreter()
    for start in range(0, len(drawn), _AT_ONCE):
        with log.begin() as connection:
            events = reader.contents_at(connection, drawn[start : start + _AT_ONCE])
        for event in events:
            about(Stretch(event.position - 1, event.position))
            try:
                found += [(fact.source, fact.subject) for fact in interpreter.facts(event)]
            except errors.Fault:  # of whom it speaks, nobody knows
                continue
    return found


def draw(samples: Sequence[Subject], partitions: int) -> list[Subject]:
    """The first subject of each partition but the first one."""
    ordered = sorted(samples)
    return [ordered[len(ordered) * number // partitions] for number in range(1, partitions) if ordered]


def partition(borders: Sequence[Subject], source: str, subject: str | None) -> int:
    """Which partition a subject belongs to. All of one come before all of the next, in the order of keys."""
    return _UNREADABLE if subject is None else bisect_right(borders, (source, subject))


def write(path: Path, subjects: Sequence[Subject]) -> None:
    """Leave some for another process."""
    path.write_bytes(_encode(subjects))


def read(path: Path) -> list[Subject]:
    """What another process left."""
    return _decode(path.read_bytes())
