"""Who fetches which artifact. A claim lies beside the log, so that no replay and no second worker fetches twice."""

from typing import Final

from sqlalchemy import Connection

from listener import acts, errors
from listener.acts import Artifact
from listener.log import event, reader
from listener.log.append import append, now
from listener.log.database import Database
from listener.log.event import Draft
from listener.worker.projector import live_generation
from projections import facts

LEASE: Final = 15 * 60 * 1_000_000  # microseconds; longer than a fetch may take
_KEY: Final = "source = ? AND subject = ? AND name = ?"


class Claims:
    """Leases with fences. `holder` names the process that asks."""

    def __init__(self, database: Database, holder: str) -> None:
        self._database = database
        self._holder = holder

    def forget(self) -> None:
        """Free every claim. Only for who holds the worker's lock: whoever held them is dead."""
        with self._database.writing() as connection:
            connection.exec_driver_sql("UPDATE claims SET holder = NULL, leased_until = 0 WHERE holder IS NOT NULL")

    def take(self, artifact: Artifact, generation: int, folded: int) -> int | None:
        """Claim it; the fence, or None if it is not ours to fetch.

        `generation` and `folded` say on which views the wish is founded. A wish of views that are not live, that have
        not seen our last act on it, or that the log says is stored, is an old opinion.
        """
        with self._database.writing() as connection:
            if live_generation(connection) != generation or _settled(connection, artifact, folded):
                return None
            return self._lease(connection, artifact)

    def _lease(self, connection: Connection, artifact: Artifact) -> int | None:
        key = (artifact.source, artifact.subject, artifact.name)
        found = connection.exec_driver_sql(
            f"SELECT fence, holder, leased_until FROM claims WHERE {_KEY}", key
        ).one_or_none()
        if found is not None and found.holder is not None and found.leased_until > now():
            return None
        fence = (found.fence if found is not None else 0) + 1
        connection.exec_driver_sql(
            "INSERT OR REPLACE INTO claims VALUES (?, ?, ?, ?, ?, ?)",
            (*key, fence, self._holder, now() + LEASE),
        )
        return fence

    def settle(self, artifact: Artifact, fence: int, outcome: Draft | None) -> None:
        """Append the outcome and free the claim, in one transaction. Raises Superseded if the fence moved."""
        with self._database.writing() as connection:
            freed = connection.exec_driver_sql(
                f"UPDATE claims SET holder = NULL, leased_until = 0 WHERE {_KEY} AND fence = ? AND holder = ?",
                (artifact.source, artifact.subject, artifact.name, fence, self._holder),
            )
            if freed.rowcount != 1:
                raise errors.Superseded(f"another worker claimed {artifact}")
            if outcome is not None:
                append(connection, [outcome])


def _settled(connection: Connection, artifact: Artifact, folded: int) -> bool:
    outcomes = reader.acts(connection, event.OUTCOME, acts.path(artifact))
    if outcomes and outcomes[0].position > folded:
        return True
    return any(acts.read(outcome).action == facts.STORED for outcome in outcomes)
