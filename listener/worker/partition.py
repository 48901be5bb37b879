"""One partition of the subjects: what is said of them is folded in order, with all their states in memory."""

from collections.abc import Sequence

from sqlalchemy import Connection, Engine

from listener import rows
from listener.log import reader
from listener.projection import MADE_ONCE, PROJECTIONS
from listener.worker import faults, part, piece, revisiting, spill
from listener.worker.fold import Faulty, Fold
from listener.worker.spill import Chunk
from projections.facts import Fact


class Partition:
    """Takes chunk after chunk; its states, faults and corrections go to a part of a generation."""

    def __init__(self, log: Engine, made: Connection, fingerprint: str, number: int, of: int) -> None:
        self._log = log
        self._part = made
        self._fingerprint = fingerprint
        self._number = number
        self._of = of
        self._fold = Fold()
        self._had_faults = False

    def take(self, chunk: Chunk) -> None:
        """Fold what comes next."""
        fold = self._fold
        if chunk.made:
            self._withdraw(chunk.facts, fold.take_lasting(chunk.facts))
        else:
            fold.take_facts(chunk.facts)
        fold.faults += chunk.faults
        if fold.faults or fold.parked:
            faults.note(self._part, fold, self._fingerprint)
            self._had_faults = True
        if chunk.decides and self._had_faults:
            self._obey(chunk.stretch.until)
        self._correct()

    def _withdraw(self, facts: Sequence[Fact], taken: Sequence[bool]) -> None:
        """Take back the rows that were made of facts which must wait; an earlier fact may have made one of that key."""
        if all(taken):
            return
        for number, projection in enumerate(MADE_ONCE):
            made = [(projection.keys(fact)[0], fact, took) for fact, took in zip(facts, taken, strict=True)]
            waits: part.Corrected = {key: None for key, _, took in made if not took}
            stays = {key: piece.row(projection, fact) for key, fact, took in made if took and key in waits}
            part.correct(self._part, number, {**waits, **stays})

    def _obey(self, position: int) -> None:
        """Do what a decision says about the faults of these subjects; they are noted."""
        with self._log.begin() as log:
            [decided] = reader.contents_at(log, [position])
            revisiting.obey(log, self._part, self._fold, decided, self._fingerprint, self._has)

    def _has(self, fault: Faulty) -> bool:
        """Whether it is one of this partition: the part has those of others, too."""
        return spill.partition(fault.source, fault.subject, self._of) == self._number

    def _correct(self) -> None:
        """Note the rows of MADE_ONCE that were folded here: no others were made of their facts, or they had to wait."""
        for number, index in enumerate(map(PROJECTIONS.index, MADE_ONCE)):
            changed = self._fold.changed[index]
            part.correct(self._part, number, {key: MADE_ONCE[number].row(key, changed[key]) for key in changed})
            changed.clear()
            self._fold.states[index].clear()

    def finish(self) -> None:
        """Write the states down, in the order of their keys."""
        for projection, changed in zip(PROJECTIONS, self._fold.changed, strict=True):
            rows.save(self._part, projection, {key: changed[key] for key in sorted(changed)})
