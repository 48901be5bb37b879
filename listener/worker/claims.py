"""Who fetches which artifact. A claim lies beside the log, so that no replay and no second worker fetches twice."""

from collections.abc import Set
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, select

from listener import acts, erased, errors, leases
from listener.acts import Artifact
from listener.log import event, reader, schema
from listener.log.append import append
from listener.log.database import Database, is_postgres
from listener.log.event import Draft
from listener.worker import generations
from projections import facts

LEASE: Final = 15 * 60 * 1_000_000  # microseconds; longer than a fetch may take
GONE: Final = 20  # seconds; whoever was not heard of for so long after his lease ended, fetches nothing any more
_TABLE: Final = schema.claims
_FREE: Final = {"holder": None, "leased_until": 0}


class Claims:
    """Leases with fences. `holder` names the process that asks.

    Where documents are `shared` between workers, each has a lease in the log's database while it lives, and the claims
    of those who have none are free.
    """

    def __init__(self, database: Database, holder: str, shared: bool = False) -> None:
        self._database = database
        self._holder = holder
        self._shared = shared

    def taken(self, source: str) -> Set[str]:
        """The subjects of which a document is claimed now, by whomever."""
        with self._database.reading() as connection:
            claimed = select(_TABLE.c.subject).where(_TABLE.c.source == source, stands(connection, self._shared))
            return frozenset(connection.scalars(claimed))

    def take(self, artifact: Artifact, generation: int, folded: int) -> int | None:
        """Claim it; the fence, or None if it is not ours to fetch.

        `generation` and `folded` say on which views the wish is founded. A wish of views that are not live, that have
        not seen our last act on it, what was held when they went live or what was abandoned since, or that the log
        says is stored, is an old opinion; and of what was erased nothing is fetched again.

        Whoever others take for dead, as after an hour without the server, claims nothing before they hear of him.
        """
        with self._database.writing() as connection:
            if not self._is_heard_of(connection):
                return None
            if generations.live(connection) != generation or _settled(connection, artifact, folded):
                return None
            return self._lease(connection, artifact)

    def _lease(self, connection: Connection, artifact: Artifact) -> int | None:
        if connection.execute(_TABLE.select().where(_is(artifact), stands(connection, self._shared))).one_or_none():
            return None
        found = connection.execute(_TABLE.select().where(_is(artifact))).one_or_none()
        fence = 1 if found is None else found.fence + 1
        lease = {"fence": fence, "holder": self._holder, "leased_until": leases.clock(connection) + LEASE}
        if found is None:
            connection.execute(_TABLE.insert().values(_key(artifact) | lease))
        else:
            connection.execute(_TABLE.update().where(_is(artifact)).values(lease))
        return fence

    def _is_heard_of(self, connection: Connection) -> bool:
        """Whether a claim of ours would stand."""
        if not self._shared:
            return True
        ours = leases.heard_of(GONE, schema.leases.c.fence).where(schema.leases.c.holder == self._holder)
        return connection.execute(ours).first() is not None

    def settle(self, artifact: Artifact, fence: int, outcome: Draft | None) -> None:
        """Append the outcome and free the claim, in one transaction. Raises Superseded if the fence moved."""
        with self._database.writing() as connection:
            ours = _is(artifact) & (_TABLE.c.fence == fence) & (_TABLE.c.holder == self._holder)
            freed = connection.execute(_TABLE.update().where(ours).values(_FREE))
            if freed.rowcount != 1:
                raise errors.Superseded(f"another worker claimed {artifact}")
            if outcome is not None:
                append(connection, [outcome])


def forget(database: Database) -> None:
    """Free every claim. Only for who holds a lock that proves that whoever held them is dead."""
    with database.writing() as connection:
        connection.execute(_TABLE.update().where(_TABLE.c.holder.is_not(None)).values(_FREE))


def stands(connection: Connection, shared: bool) -> ColumnElement[bool]:
    """Whether a claim does: not for ever, and not if whoever made it is gone."""
    held = _TABLE.c.holder.is_not(None) & (_TABLE.c.leased_until > leases.clock(connection))
    if shared:
        held &= _TABLE.c.holder.in_(leases.heard_of(GONE, schema.leases.c.holder))
    return held


def release(connection: Connection, source: str, subject: str) -> str | None:
    """Free what does not stand of the claims on a subject: who made them settles nothing. Whose claim stands."""
    of_it = (_TABLE.c.source == source) & (_TABLE.c.subject == subject)
    holding = stands(connection, is_postgres(connection))
    connection.execute(_TABLE.update().where(of_it, ~holding).values(_FREE))
    return connection.scalar(select(_TABLE.c.holder).where(of_it, holding).limit(1))


def _key(artifact: Artifact) -> dict[str, str]:
    return {"source": artifact.source, "subject": artifact.subject, "name": artifact.name}


def _is(artifact: Artifact) -> ColumnElement[bool]:
    return and_(*(_TABLE.c[column] == value for column, value in _key(artifact).items()))


def _settled(connection: Connection, artifact: Artifact, folded: int) -> bool:
    if erased.when(connection, artifact.source, artifact.subject) is not None:
        return True
    for filed in (acts.LIVE_PATH, acts.ABANDONED_PATH):
        decided = reader.acts(connection, event.DECISION, filed, last=1)
        if decided and decided[0].position > folded:
            return True
    outcomes = reader.acts(connection, event.OUTCOME, acts.path(artifact))
    if outcomes and outcomes[0].position > folded:
        return True
    return any(acts.read(outcome).action == facts.STORED for outcome in outcomes)
