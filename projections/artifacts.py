"""Which documents are wanted of the provider, and what became of each."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Column, Index, Integer, LargeBinary, MetaData, Table, Text

from projections import facts
from projections.facts import Fact, Key, Stored

WANTED: Final = "wanted"
STORED: Final = "stored"
FAILED: Final = "failed"
ABANDONED: Final = "abandoned"
UNWANTED: Final = "unwanted"  # stored for an earlier handler; nobody wants it now

TABLE: Final = Table(
    "artifacts",
    MetaData(),
    Column("source", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("next_at", Integer),
    Column("wanted_at", Integer),
    Column("last_position", Integer, nullable=False),
    Column("fold", LargeBinary, nullable=False),
)
Index("artifacts_due", TABLE.c.state, TABLE.c.next_at)

_ACTS: Final = frozenset({facts.STORED, facts.FAILED, facts.ABANDONED, facts.RETRY})


class State(msgspec.Struct, frozen=True):
    """One artifact. `attempts` and `next_at` (microseconds, ours; None: not by the clock) stood in the outcome."""

    wanted_at: int | None = None
    act: str | None = None
    attempts: int = 0
    next_at: int | None = None
    error: str | None = None
    stored: Stored | None = None
    last_position: int = 0

    @property
    def state(self) -> str:
        """The word for it."""
        if self.stored is not None:
            return UNWANTED if self.wanted_at is None else STORED
        return {facts.FAILED: FAILED, facts.ABANDONED: ABANDONED}.get(self.act or "", WANTED)


def keys(fact: Fact) -> Sequence[Key]:
    """Our own acts name their artifact; a completion wants all that was in force for its source."""
    if fact.artifact is not None:
        return ((fact.source, fact.subject, fact.artifact),)
    return [(fact.source, fact.subject, name) for name in fact.wants]


def initial(_key: Key) -> State:
    """Before anybody wanted it."""
    return State()


def apply(state: State, _key: Key, fact: Fact) -> State:
    """Take one fact in. Wants come in any order; our own acts come in the order we did them."""
    last_position = max(state.last_position, fact.position)
    if fact.what not in _ACTS:
        wanted_at = min(state.wanted_at or fact.recorded_at, fact.recorded_at)
        return msgspec.structs.replace(state, wanted_at=wanted_at, last_position=last_position)
    return State(
        wanted_at=state.wanted_at,
        act=fact.what,
        attempts=fact.attempt,
        next_at=fact.next_at,
        error=fact.message if fact.what in (facts.FAILED, facts.ABANDONED) else None,
        stored=state.stored or fact.stored,
        last_position=last_position,
    )


def row(key: Key, state: State) -> tuple[Any, ...]:
    """The state as a row of TABLE."""
    return (*key, state.state, state.next_at, state.wanted_at, state.last_position, msgspec.json.encode(state))


def load(row: Sequence[Any]) -> State:
    """The state that `row` was made of."""
    return _decode(row[-1])


_decode = msgspec.json.Decoder(State).decode
