"""Bytes to facts, with what was in force where the event stands."""

import functools
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from listener import acts, errors, provider
from listener.acts import InForce, Subject
from listener.log import event
from listener.log.event import Readable
from projections import facts
from projections.facts import Fact

# Of an id, as it stands in keys of rows: an index of PostgreSQL's holds 2,704 bytes of one, and a letter may take four.
MOST_LETTERS: Final = 300

_SAY_WHERE_IT_STANDS: Final = (facts.STATUS, facts.OBSERVED)
_OURS: Final = frozenset({event.OUTCOME, event.DECISION})


class Interpreter:
    """Reads events in the order of the log. `in_force` is the declaration before the first of them.

    `erased` gives the subjects that were erased before; it is asked once, and only if something completes.
    """

    def __init__(self, in_force: InForce | None = None, erased: Callable[[], frozenset[Subject]] = frozenset) -> None:
        self.in_force = in_force
        self._erased_before = functools.cache(erased)
        self._erased_since = set[Subject]()

    def facts(self, found: Readable) -> list[Fact]:
        """What the event says; nothing if it was erased. Raises Fault if it cannot be read."""
        if found.body is None:
            return []
        if found.kind not in _OURS:
            return self._told(found)
        if found.kind == event.DECISION and found.path == acts.IN_FORCE_PATH:
            self.in_force = acts.read_in_force(found)
            return []
        said = acts.interpret(found)
        for fact in said:
            _assert_short(fact)
        self._erased_since.update((fact.source, fact.subject) for fact in said if fact.what == facts.ERASED)
        return said

    def _told(self, found: Readable) -> list[Fact]:
        """What its provider says."""
        told = []
        for fact in _interpret(found):  # a loop: a comprehension would be a function more for each event
            _assert_short(fact)
            told.append(self._wanting(fact) if fact.stage == facts.COMPLETED else fact)
        return told

    def _wanting(self, fact: Fact) -> Fact:
        """A completion carries which artifacts were wanted of its source when it was recorded."""
        if self.in_force is None or fact.what not in _SAY_WHERE_IT_STANDS or self._is_erased(fact):
            return fact
        return msgspec.structs.replace(fact, wants=self.in_force.wants(fact.source))

    def _is_erased(self, fact: Fact) -> bool:
        """Of who was erased nothing is fetched again, whatever comes late."""
        subject = (fact.source, fact.subject)
        return subject in self._erased_since or subject in self._erased_before()


def _assert_short(fact: Fact) -> None:
    """Raises Fault for an id that cannot be part of a key."""
    names_more = fact.artifact is not None or fact.expected is not None or fact.answer is not None  # few do
    if len(fact.subject) > MOST_LETTERS or (names_more and any(len(known) > MOST_LETTERS for known in _others(fact))):
        raise errors.Fault(f"an id has more than {MOST_LETTERS} letters")


def _others(fact: Fact) -> Iterator[str]:
    """Other ids than its subject's."""
    if fact.artifact is not None:
        yield fact.artifact
    if fact.expected is not None and fact.expected.reference is not None:
        yield fact.expected.reference
    if fact.answer is not None:
        yield from (known.id for known in (*fact.answer.documents, *fact.answer.attachments))


def _interpret(found: Readable) -> list[Fact]:
    try:
        return provider.named(found.provider).interpret(found)
    except errors.Fault:
        raise
    except Exception as error:  # a provider's bug must not stop everybody else's events
        raise errors.Fault(f"{type(error).__name__}: {error}") from error
