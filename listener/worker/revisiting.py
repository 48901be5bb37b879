"""Going back to events that could not be taken in: somebody decided it, or the code changed."""

from typing import Final

from sqlalchemy import Connection

from listener import acts, erased, errors
from listener.acts import Act, Subject
from listener.interpreter import Interpreter
from listener.log import event, reader
from listener.log.event import Readable
from listener.worker import faults, generations
from listener.worker.fold import Faulty, Fold
from projections import facts

_NEVER: Final = 2**63  # behind every position


def stretch(log: Connection, after: int, until: int | None = None) -> int | None:
    """The end of what may be folded at once: the next decision about faults, which is obeyed where it stands."""
    decided = reader.next_act(log, event.DECISION, acts.FAULTS_PATH, after)
    return decided if decided is not None and (until is None or decided < until) else until


def decides(found: Readable) -> bool:
    """Whether an event is a decision about faults."""
    return found.path == acts.FAULTS_PATH and found.kind == event.DECISION


def obey(log: Connection, generation: Connection, fold: Fold, found: Readable, fingerprint: str) -> list[Faulty]:
    """Do what a decision says about the faults that it names; those that are left.

    `fold` has taken in everything up to the decision, and its faults are noted. What is named and is no fault here is
    passed over: other code may have had faults that this code has not.
    """
    act = _decision(found)
    left: list[Faulty] = []
    named = (position for position in act.positions if 0 < position < found.position)
    for fault in faults.at(generation, named):
        if act.action == facts.RETRY:
            faults.count(generation, fault, fingerprint)
        if act.action in (facts.RETRY, acts.SKIP):
            left += revisit(log, generation, fold, fault, fingerprint, skip=act.action == acts.SKIP)
    return left


def _decision(found: Readable) -> Act:
    try:
        return acts.read(found)
    except errors.Fault:  # it is a fault by itself
        return Act()


def revisit(
    log: Connection, generation: Connection, fold: Fold, fault: Faulty, fingerprint: str, skip: bool = False
) -> list[Faulty]:
    """Try a fault again or skip it, and take in what waits behind it; the faults that come of it.

    The attempt was counted before. Only the subject that it stopped is concerned; of an event that nobody could
    read, whoever it speaks of.
    """
    past = _Past(log)
    if fault.subject is not None:
        _go_on(past, generation, fold, fault, skip)
    elif not skip:
        past.take(fold, [fault.position])
    if not any(again[:3] == fault[:3] for again in fold.faults):
        faults.forget(generation, fault)
    return list(faults.note(generation, fold, fingerprint))


def _go_on(past: "_Past", generation: Connection, fold: Fold, fault: Faulty, skip: bool) -> None:
    """Take in what waits, in order and in pages, as far as there is no other fault."""
    assert fault.subject is not None  # noqa: S101  a fault of nobody stops nobody
    subject = (fault.source, fault.subject)
    fold.stopped.discard(subject)
    if not skip:
        faults.wait(generation, subject, fault.position)
    while subject not in fold.stopped and (page := faults.waiting(generation, subject)):
        faults.let_go(generation, subject, page[-1])  # the fold has those that go on waiting
        past.take(fold, page, subject)


class _Past:
    """Takes in events of long ago, each with what was in force where it stands."""

    def __init__(self, log: Connection) -> None:
        self._log = log
        self._interpreter = Interpreter()
        self._until = 0  # the next declaration

    def take(self, fold: Fold, positions: list[int], only: Subject | None = None) -> None:
        """Take these in, of everybody or `only` of one subject."""
        for found in reader.contents_at(self._log, positions):
            fold.take([found], self._reading(found.position), only)

    def _reading(self, position: int) -> Interpreter:
        if position > self._until:
            self._interpreter = self._standing(position - 1)
            declared = reader.next_act(self._log, event.DECISION, acts.IN_FORCE_PATH, position - 1)
            self._until = declared or _NEVER
        return self._interpreter

    def _standing(self, position: int) -> Interpreter:
        return Interpreter(generations.in_force(self._log, position), lambda: erased.subjects(self._log, position))
