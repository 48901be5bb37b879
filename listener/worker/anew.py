"""Some subjects folded anew, in memory, from what the log says of them: for the past, and for what an erasure left."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, select, tuple_

from listener import bookkeeping, concerning, skipped
from listener.acts import Subject
from listener.interpreter import Interpreter
from listener.log.event import Event
from listener.worker.fold import Faulty, Fold

_faults = bookkeeping.faults.c


class Anew:
    """Up to a position. Decisions to skip a fault are obeyed, and what this code failed at is not tried again."""

    def __init__(
        self, log: Connection, generation: Connection, subjects: Sequence[Subject], until: int, fingerprint: str
    ) -> None:
        self.fold = Fold()
        self._log = log
        self._positions = concerning.positions(log, generation, subjects, until)
        self._interpreter = Interpreter(concerning.before(log, self._positions))
        self._hopeless = _failed(generation, subjects, fingerprint)
        self._skipped = skipped.positions(log, until)

    def events(self) -> Iterator[Event]:
        """What is to be taken in, in order."""
        return concerning.events(self._log, self._positions)

    def take(self, found: Event, only: Subject | None = None) -> None:
        """Fold the next one, for everybody it speaks of or `only` for one."""
        if found.body is not None and found.position in self._hopeless:
            for fault in self._hopeless[found.position]:
                self.fold.leave_out(found, [(fault.source, fault.subject or "")], fault.error, fault.attempts)
        else:
            self.fold.take([found], self._interpreter, only)
        if any(fault.position == found.position for fault in self.fold.faults) and found.position in self._skipped:
            self._go_on(found.position)

    def _go_on(self, skipped: int) -> None:
        for fault in [fault for fault in self.fold.faults if fault.position == skipped]:
            self.fold.faults.remove(fault)
            self.fold.stopped.discard((fault.source, fault.subject or ""))


def _failed(generation: Connection, subjects: Sequence[Subject], fingerprint: str) -> dict[int, list[Faulty]]:
    """Their faults that were last tried with this code: to try them may be the death of whoever does it."""
    of_them = tuple_(_faults.source, _faults.subject).in_(subjects)
    query = select(*(_faults[name] for name in Faulty._fields)).where(of_them, _faults.tried_with == fingerprint)
    found: dict[int, list[Faulty]] = {}
    for row in generation.execute(query):
        found.setdefault(row.position, []).append(Faulty(*row))
    return found
