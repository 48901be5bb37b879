"""A subject as evidence tells of it: where it stands, what happened, and which events say so."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, select

from listener import acts, concerning, errors, fingerprint, holds
from listener.desk import as_of, status
from listener.desk.pages import Line
from listener.desk.past import Past
from listener.desk.reading import Reading
from listener.holds import Hold
from listener.log import event, reader, schema
from listener.log.event import DECISION, Event
from listener.signing import decided

_DECLARATIONS: Final = 20  # to look through for the one that an answer goes by; each holds the code
_AT_ONCE: Final = 500
_VOUCHING: Final = (acts.QUARANTINE_PATH, acts.IMPORT_PATH)
_events: Final = schema.events.c
_erasures: Final = schema.erasures.c
_IMPORTED: Final = _events.kind == event.IMPORT


class Case(NamedTuple):
    """A subject, folded with the code as it is now. `known` is None where nothing is known of it any more.

    `about` are the positions of events that speak of it, `bearing` those of decisions that bear on what they say: which
    code was in force, who vouched for an import, who erased, which key signs.
    """

    source: str
    id: str
    known: Line | None
    history: list[Line]
    going_by: Line
    hold: Hold | None
    about: list[int]
    bearing: list[int]

    def with_key(self, position: int | None) -> "Case":
        """With the decision that names the key which signs, if there is one."""
        return self if position is None else self._replace(bearing=sorted({*self.bearing, position}))

    @property
    def positions(self) -> list[int]:
        """Of all events that belong to the evidence, in order."""
        return sorted({*self.about, *self.bearing})


def case(at: Reading, source: str, subject: str) -> Case:
    """As far as the views have folded. Raises NotFoundError for a subject of which nothing was ever heard."""
    when = as_of.moment(at)
    folded = Past(at, [(source, subject)], when).whole()
    known = folded.shown(source, subject)
    history = status.told(at, folded.history(source, subject), known)
    going_by = {**as_of.told(at, when), "faults": folded.faults(source, subject)}
    about = _about(at, source, subject, when.position)
    if not about:
        raise errors.NotFoundError(f"nothing is known of {subject} in {source}; 'signlog status' lists what is")
    bearing = sorted({*_bearing(at.log, about)} - {*about})
    return Case(source, subject, known, history, going_by, holds.on(at.log, source, subject), about, bearing)


def _about(at: Reading, source: str, subject: str, until: int) -> list[int]:
    """What the views know, and what is blank since: of that only the decision knows."""
    found = set(concerning.positions(at.log, at.views, [(source, subject)], until))
    for erasing in reader.acts(at.log, DECISION, acts.about(acts.ERASED_PATH, source, subject), until=until):
        found.update((erasing.position, *acts.read(erasing).positions))
    return sorted(found)


def _bearing(log: Connection, about: Sequence[int]) -> Iterator[int]:
    """Positions of decisions without which the events cannot be judged."""
    yield from _declarations(log, about)
    for start in range(0, len(about), _AT_ONCE):
        page = about[start : start + _AT_ONCE]
        yield from log.scalars(select(_erasures.decided).where(_erasures.position.in_(page)).distinct())
        for imported in log.scalars(select(_events.position).where(_IMPORTED, _events.position.in_(page))):
            yield from _vouching(log, imported)
    for decision in reader.acts(log, DECISION, acts.FAULTS_PATH, after=about[0]):
        with contextlib.suppress(errors.Fault):
            if {*acts.read(decision).positions} & {*about}:
                yield decision.position
    yield from (one.position for one in reader.acts(log, DECISION, decided.RESTORED_PATH))


def _declarations(log: Connection, about: Sequence[int]) -> Iterator[int]:
    """What was in force from in front of the first event on; and where the code that answers now was declared."""
    within = reader.acts(log, DECISION, acts.IN_FORCE_PATH, until=about[-1], after=about[0])
    before = reader.acts(log, DECISION, acts.IN_FORCE_PATH, until=about[0], last=1)
    yield from (declared.position for declared in (*before, *within))
    ours = fingerprint.fingerprint()
    for declared in reader.acts(log, DECISION, acts.IN_FORCE_PATH, last=_DECLARATIONS):
        known = acts.newest_in_force([declared])
        if known is not None and known.fingerprint == ours:
            yield declared.position
            return


def _vouching(log: Connection, position: int) -> list[int]:
    """The decision in front of an import says who vouched for it, and why."""
    found: list[Event] = []
    for filed in _VOUCHING:
        found += reader.acts(log, DECISION, filed, until=position, last=1)
    return sorted(decision.position for decision in found)[-1:]
