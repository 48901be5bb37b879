"""Reading ahead: a process of its own makes facts of events, while this one folds those that came before.

`python -m listener.worker.ahead UNTIL [AFTER UNTIL]` reads from its standard input where the log lies, and writes
pieces to its standard output, each behind its length; those of the second stretch have one event each. It is never far
ahead: the pipe is short, and whoever folds is slower.
"""

import contextlib
import gc
import itertools
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import IO, Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Engine

from listener import errors, parent
from listener.interpreter import Interpreter
from listener.log import address, reader
from listener.log.database import Database
from listener.projection import MADE_ONCE, Projection
from listener.worker import revisiting
from listener.worker.fold import Faulty
from projections.facts import Fact

EVENTS: Final = 2_000  # of a piece, or fewer …
FACTS: Final = 4_000  # … if these say so much: a decision may name hundreds of documents
WORTH_A_PROCESS: Final = 20_000  # events: fewer are read before another process has begun
_OBJECTS: Final = 200_000  # that may be made before cycles are looked for
_LENGTH: Final = struct.Struct("<I")

Row = tuple[Any, ...]


class Piece(msgspec.Struct, array_like=True, gc=False):
    """What some events say, and which could not be read. `last` is the position of the last of them.

    A decision about faults is the last of its piece: it `decides` what becomes of those before. `rows` has a row of
    each fact for each projection of MADE_ONCE; None if some cannot be made: whoever folds finds out why.
    """

    last: int
    events: int
    decides: bool
    facts: list[Fact]
    faults: list[Faulty]
    rows: list[list[Row]] | None

    def of(self, source: str, subject: str) -> "Piece":
        """Only what is said of one subject."""
        its = [fact.source == source and fact.subject == subject for fact in self.facts]
        rows = None if self.rows is None else [list(itertools.compress(made, its)) for made in self.rows]
        return msgspec.structs.replace(self, facts=list(itertools.compress(self.facts, its)), rows=rows)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Piece).decode


@contextlib.contextmanager
def seldom_collecting() -> Iterator[None]:
    """A block that makes much and leaves no cycles: to look for some again and again is not free."""
    before = gc.get_threshold()
    gc.set_threshold(_OBJECTS)
    try:
        yield
    finally:
        gc.set_threshold(*before)


class Stretch(NamedTuple):
    """The events behind a position, up to another."""

    after: int
    until: int


def size(after: int, alone: Stretch | None) -> int:
    """How many events the piece behind a position may have: one, where each is to be taken in alone."""
    return 1 if alone is not None and alone.after <= after < alone.until else EVENTS


def pieces(database: Database, until: int, alone: Stretch | None = None) -> Iterator[Piece]:
    """What all events up to a position say, in order. Raises Died if the other process ends before its time."""
    if until < WORTH_A_PROCESS:
        return _here(database.engine, until, alone)
    return _there(database.address, until, alone)


def _here(log: Engine, until: int, alone: Stretch | None) -> Iterator[Piece]:
    after, interpreter = 0, Interpreter()
    while after < until:
        with log.begin() as connection:  # a short transaction: a long one would make the write-ahead log grow
            piece = _read(connection, Stretch(after, until), size(after, alone), interpreter)
        if piece is None:
            return
        yield piece
        after = piece.last


def _there(log: str, until: int, alone: Stretch | None) -> Iterator[Piece]:
    command = [*parent.command("listener.worker.ahead"), *map(str, (until, *(alone or ())))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as process:  # noqa: S603  ourselves
        assert process.stdout is not None  # noqa: S101  it was asked for
        assert process.stdin is not None  # noqa: S101  it was, too
        try:
            process.stdin.write(log.encode())  # everybody may read the arguments of a process
            process.stdin.close()
            last = 0
            while last < until:
                piece = _receive(process.stdout)
                yield piece
                last = piece.last
        finally:
            process.kill()


def _receive(stream: IO[bytes]) -> Piece:
    head = stream.read(_LENGTH.size)
    body = stream.read(_LENGTH.unpack(head)[0]) if len(head) == _LENGTH.size else b""
    try:
        return _decode(body)
    except msgspec.DecodeError:
        raise errors.Died("the process that reads the log ended before its time; see what it said above") from None


def _read(log: Connection, stretch: Stretch, most: int, interpreter: Interpreter) -> Piece | None:
    """The first piece of a stretch; None if there is none."""
    events = reader.contents(log, stretch.after, most, revisiting.stretch(log, *stretch))
    if not events:
        return None
    found: list[Fact] = []
    faults: list[Faulty] = []
    for number, event in enumerate(events, 1):
        try:
            found += interpreter.facts(event)
        except errors.Fault as fault:
            faults.append(Faulty(event.position, event.source, None, str(fault)))
        if len(found) >= FACTS:
            events = events[:number]
            break
    return Piece(events[-1].position, len(events), revisiting.decides(events[-1]), found, faults, _rows(found))


def _rows(found: Sequence[Fact]) -> list[list[Row]] | None:
    try:
        return [[_row(known, fact) for fact in found] for known in MADE_ONCE]
    except Exception:  # a projection's bug: it shows again where the fact is folded, and stops its subject
        return None


def _row(projection: Projection, fact: Fact) -> Row:
    [key] = projection.keys(fact)
    return projection.row(key, projection.apply(projection.initial(key), key, fact))


def _main(log: str, until: int, *alone: int) -> None:
    """Until all was sent, or nobody listens any more."""
    with contextlib.suppress(BrokenPipeError), seldom_collecting(), open(1, "wb", closefd=False) as pipe:
        for piece in _here(address.reading(log), until, Stretch(*alone) if alone else None):
            body = _encode(piece)
            pipe.write(_LENGTH.pack(len(body)) + body)
            pipe.flush()


if __name__ == "__main__":
    _main(sys.stdin.read(), *map(int, sys.argv[1:]))
