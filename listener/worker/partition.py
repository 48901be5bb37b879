"""One partition of the subjects: what is said of them is folded in order, with all their states in memory."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, Engine, select

from listener import bookkeeping
from listener.log import reader
from listener.projection import MADE_ONCE, PROJECTIONS
from listener.worker import faults, revisiting
from listener.worker.fold import Fold
from listener.worker.part import Corrected, Part
from listener.worker.piece import rows_of
from listener.worker.spill import Chunk
from projections.facts import Fact

_AT_ONCE: Final = 1_000  # faults in memory


class Partition:
    """Takes chunk after chunk; its states, faults and corrections go to a part of a generation.

    `noted` is a database with the tables for faults, which are empty, and are so again when the partition is finished.
    """

    def __init__(self, log: Engine, noted: Connection, made: Part, fingerprint: str) -> None:
        self._log = log
        self._noted = noted
        self._part = made
        self._fingerprint = fingerprint
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
            faults.note(self._noted, fold, self._fingerprint)
            self._had_faults = True
        if chunk.decides and self._had_faults:
            self._obey(chunk.stretch.until)
        self._correct()

    def _withdraw(self, facts: Sequence[Fact], taken: Sequence[bool]) -> None:
        """Take back the rows that were made of facts which must wait; an earlier fact may have made one of that key."""
        if all(taken):
            return
        for projection in MADE_ONCE:
            row = rows_of(projection)
            made = [(projection.keys(fact)[0], fact, took) for fact, took in zip(facts, taken, strict=True)]
            waits: Corrected = {key: None for key, _, took in made if not took}
            stays: Corrected = {key: row(fact) for key, fact, took in made if took and key in waits}
            self._part.correct(projection.TABLE, {**waits, **stays})

    def _obey(self, position: int) -> None:
        """Do what a decision says about the faults of these subjects; they are noted."""
        with self._log.begin() as log:
            [decided] = reader.contents_at(log, [position])
            revisiting.obey(log, self._noted, self._fold, decided, self._fingerprint)

    def _correct(self) -> None:
        """Note the rows of MADE_ONCE that were folded here: no others were made of their facts, or they had to wait."""
        for projection in MADE_ONCE:
            index = PROJECTIONS.index(projection)
            changed = self._fold.changed[index]
            self._part.correct(projection.TABLE, {key: projection.row(key, changed[key]) for key in changed})
            changed.clear()
            self._fold.states[index].clear()

    def finish(self) -> None:
        """Write the states down, in the order of their keys, and the faults."""
        for projection, changed in zip(PROJECTIONS, self._fold.changed, strict=True):
            if not projection.ONCE:
                self._part.save(projection, [(key, changed[key]) for key in sorted(changed)])
        for table in (bookkeeping.faults, bookkeeping.parked) if self._had_faults else ():
            for page in self._noted.execute(select(table).execution_options(yield_per=_AT_ONCE)).partitions():
                self._part.add(table, [tuple(row) for row in page])
            self._noted.execute(table.delete())
