"""Which documents are wanted of the provider, and what became of each."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Column, Index, LargeBinary, MetaData, Table

from projections import facts
from projections.columns import Number, Words
from projections.facts import ALONE, Answer, Beside, Fact, Key, Named, Stored, Verdict

WANTED: Final = "wanted"
HELD: Final = "held"  # only a replay wants it, and nobody has released it
STORED: Final = "stored"
FAILED: Final = "failed"
ABANDONED: Final = "abandoned"
LISTED: Final = "listed"  # stands for all of its kind, and which there are is known
UNWANTED: Final = "unwanted"  # stored or tried for an earlier handler; nobody wants it now
OPEN: Final = frozenset({WANTED, FAILED})  # what the worker goes and fetches

TABLE: Final = Table(
    "artifacts",
    MetaData(),
    Column("source", Words, primary_key=True),
    Column("subject", Words, primary_key=True),
    Column("name", Words, primary_key=True),
    Column("state", Words, nullable=False),
    Column("next_at", Number),
    Column("wanted_at", Number),
    Column("last_position", Number, nullable=False),
    Column("found", Words),
    Column("doubtful", Number, nullable=False),
    Column("decided", Number, nullable=False),  # whether a person abandoned it: then nobody need look
    Column("fold", LargeBinary, nullable=False),
)
Index("artifacts_due", TABLE.c.state, TABLE.c.next_at)
Index("artifacts_state", TABLE.c.state, TABLE.c.last_position)
Index("artifacts_last", TABLE.c.last_position)
DOUBTFUL: Final = TABLE.c.doubtful == 1
_FOUND: Final = TABLE.c.found.is_not(None)
Index("artifacts_found", TABLE.c.found, sqlite_where=_FOUND, postgresql_where=_FOUND)
Index("artifacts_doubtful", TABLE.c.last_position, sqlite_where=DOUBTFUL, postgresql_where=DOUBTFUL)
ONCE: Final = False

# Of these there may be several, or none: wanted as a whole, until an answer of the provider's API says which there are.
EACH: Final[Mapping[str, Callable[[Answer], Sequence[Named]]]] = {
    "document-*.pdf": lambda answer: answer.documents,
    "attachments-*.zip": lambda answer: answer.attachments,
}

_HOLDS: Final = frozenset({facts.HELD, facts.RELEASED})
_TRIES: Final = frozenset({facts.FAILED, facts.ABANDONED, facts.LISTED})  # what a try comes to, if not to a document
_ACTS: Final = _HOLDS | _TRIES | {facts.STORED, facts.CHECKED, facts.RETRY, facts.ABANDON}
_GIVEN_UP: Final = frozenset({facts.ABANDONED, facts.ABANDON})  # by us, after so many tries, or by a person


class State(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One artifact. `attempts` and `next_at` (microseconds, ours; None: not by the clock) stood in the outcome.

    `acted` is the position of our last act, `judged` of the newest verdict behind the one it was stored with.
    """

    wanted_at: int | None = None
    act: str | None = None
    attempts: int = 0
    next_at: int | None = None
    error: str | None = None
    stored: Stored | None = None
    held: bool = False
    last_position: int = 0
    acted: int = 0
    judged: int = 0

    @property
    def verdict(self) -> Verdict | None:
        """What was last found of its signatures, once it is stored."""
        return self.stored.verdict if self.stored is not None else None

    @property
    def state(self) -> str:
        """The word for it."""
        if self.wanted_at is None:
            return UNWANTED
        if self.stored is not None:
            return STORED
        if self.act in _GIVEN_UP:
            return ABANDONED
        if self.act == facts.LISTED:
            return LISTED
        if self.held:
            return HELD
        return FAILED if self.act == facts.FAILED else WANTED


def keys(fact: Fact) -> Sequence[Key]:
    """Our own acts name their artifact; a completion wants all that was in force for its source.

    A callback wants a kind as a whole; an answer of the API settles that, and wants each that there is of it.
    """
    if fact.what in _ACTS:
        return ((fact.source, fact.subject, fact.artifact or ""),)
    if not fact.wants:
        return ()
    return [(fact.source, fact.subject, name) for wanted in fact.wants for name in _names(wanted, fact.answer)]


def _names(wanted: str, answer: Answer | None) -> Sequence[str]:
    if wanted not in EACH or answer is None:
        return (wanted,)
    return [wanted, *(facts.one_of(wanted, known.id) for known in EACH[wanted](answer) if known.id)]


def initial(_key: Key) -> State:
    """Before anybody wanted it."""
    return State()


def apply(state: State, key: Key, fact: Fact, beside: Beside = ALONE) -> State:
    """Take one fact in. Wants come in any order; our own acts come in the order we did them."""
    answered = fact.observed and key[-1] in EACH
    moved = _act(state, fact) if fact.what in _ACTS else _want(state, fact, answered)
    kind = _kind(key, beside) if fact.answer is not None else None
    if kind is not None and _is_abandoned_with(kind, moved, fact):
        moved = State(moved.wanted_at, facts.ABANDON, error=kind.error, held=moved.held, acted=kind.acted)
    return msgspec.structs.replace(moved, last_position=max(state.last_position, fact.position))


def _act(state: State, fact: Fact) -> State:
    if fact.what in _HOLDS:
        return msgspec.structs.replace(state, held=fact.what == facts.HELD)
    if fact.what == facts.CHECKED:
        return _judge(state, fact)
    overruled = state.act == facts.ABANDON and fact.what in _TRIES  # a try that was under way when a person decided
    if overruled or fact.position < state.acted:  # or it could be read only now: we have done more since
        return msgspec.structs.replace(state, stored=state.stored or fact.stored)
    return State(
        wanted_at=state.wanted_at,
        act=fact.what,
        attempts=fact.attempt,
        next_at=fact.next_at,
        error=fact.message if fact.what in _GIVEN_UP | {facts.FAILED} else None,
        stored=state.stored or fact.stored,
        held=state.held,
        acted=fact.position,
        judged=state.judged,
    )


def _judge(state: State, fact: Fact) -> State:
    """The newest verdict counts, if it is about what is stored."""
    same = state.stored is not None and fact.stored is not None and state.stored.sha256 == fact.stored.sha256
    if not same or fact.position < state.judged:
        return state
    return msgspec.structs.replace(state, stored=fact.stored, judged=fact.position)


def _want(state: State, fact: Fact, answered: bool) -> State:
    wanted_at = min(state.wanted_at or fact.recorded_at, fact.recorded_at)
    if answered and state.act != facts.ABANDON:
        return State(wanted_at=wanted_at, act=facts.LISTED, held=state.held)
    if _is_news(state, fact):
        return State(wanted_at=wanted_at, held=state.held, acted=state.acted)
    return msgspec.structs.replace(state, wanted_at=wanted_at)


def _kind(key: Key, beside: Beside) -> State | None:
    """Where the kind stands that an artifact is one of, if it is."""
    source, subject, name = key
    kind = next((kind for kind in EACH if facts.which(kind, str(name)) is not None), None)
    return beside.get((source, subject, kind)) if kind is not None else None


def _is_abandoned_with(kind: State, state: State, fact: Fact) -> bool:
    """Whether a person gave the kind up before this listed one of it, which nobody has done anything about since."""
    return kind.act == facts.ABANDON and fact.position > kind.acted > state.acted and state.stored is None


def _is_news(state: State, fact: Fact) -> bool:
    """Whether a completion behind our last act begins the attempts anew: the one before may have been premature.

    What we gave up comes alive again, whoever says that it is complete; what a person gave up does not. What waits for
    its next try becomes due by a callback, but not by an answer of the API: each try asks for one, and two artifacts
    could chase each other. What waits for a person (a refused key: there is no next time) goes on waiting. An old one
    that could be read only now stands in front of our act.
    """
    if state.stored is not None or fact.position < state.acted:
        return False
    waits = state.act == facts.FAILED and state.next_at is not None
    return state.act == facts.ABANDONED or (waits and not fact.observed)


def row(key: Key, state: State) -> tuple[Any, ...]:
    """The state as a row of TABLE."""
    verdict = state.verdict
    found, doubtful = (verdict.found, int(verdict.doubtful)) if verdict else (None, 0)
    return (
        *(*key, state.state, state.next_at, state.wanted_at, state.last_position),
        *(found, doubtful, int(state.act == facts.ABANDON), _encode(state)),
    )


def load(row: Sequence[Any]) -> State:
    """The state that `row` was made of."""
    return _decode(row[-1])


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(State).decode
