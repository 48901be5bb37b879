"""Bytes to facts, with what was in force where the event stands."""

from typing import Final

import msgspec

from listener import acts, errors, provider
from listener.acts import InForce
from listener.log import event
from listener.log.event import Readable
from projections import facts
from projections.facts import Fact

_SAY_WHERE_IT_STANDS: Final = (facts.STATUS, facts.OBSERVED)


class Interpreter:
    """Reads events in the order of the log. `in_force` is the declaration before the first of them."""

    def __init__(self, in_force: InForce | None = None) -> None:
        self.in_force = in_force

    def facts(self, found: Readable) -> list[Fact]:
        """What the event says; nothing if it was erased. Raises Fault if it cannot be read."""
        if found.body is None:
            return []
        if found.kind not in (event.OUTCOME, event.DECISION):
            return [self._wanting(fact) if fact.stage == facts.COMPLETED else fact for fact in _interpret(found)]
        if found.path == acts.IN_FORCE_PATH:
            self.in_force = acts.read_in_force(found)
            return []
        return acts.interpret(found)

    def _wanting(self, fact: Fact) -> Fact:
        """A completion carries which artifacts were wanted of its source when it was recorded."""
        if self.in_force is None or fact.what not in _SAY_WHERE_IT_STANDS:
            return fact
        return msgspec.structs.replace(fact, wants=self.in_force.wants(fact.source))


def _interpret(found: Readable) -> list[Fact]:
    try:
        return provider.named(found.provider).interpret(found)
    except errors.Fault:
        raise
    except Exception as error:  # a provider's bug must not stop everybody else's events
        raise errors.Fault(f"{type(error).__name__}: {error}") from error
