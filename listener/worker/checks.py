"""Checks documents that are stored once more, and appends what is found where that is something else than before."""

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, func, select, tuple_

from listener import acts, erased, errors
from listener.acts import Act, Artifact
from listener.checking.inspector import Inspector, Look
from listener.log import event, reader
from listener.log.append import append
from listener.log.database import Database
from listener.worker.live import Live
from listener.worker.store import Store
from projections import artifacts, facts
from projections.facts import Stored, Verdict

_PAGE: Final = 100
_TABLE: Final = artifacts.TABLE
_KEY: Final = (_TABLE.c.source, _TABLE.c.subject, _TABLE.c.name)


class Which(NamedTuple):
    """Documents of one source, of one of its subjects, one document; or all."""

    source: str | None = None
    subject: str | None = None
    name: str | None = None


class Inspected(NamedTuple):
    """A configured source: its provider, and who checks what it stored."""

    provider: str
    inspector: Inspector


class Checked(NamedTuple):
    """A document that was looked at: what the log said of it and what is found now; or why it could not be.

    `position` is that of the event that tells of it; None where there is nothing new to tell.
    """

    artifact: Artifact
    before: Verdict | None
    now: Verdict | None
    position: int | None = None
    problem: str | None = None


class Checks:
    """Goes through what the views say is stored of the configured sources."""

    def __init__(self, database: Database, live: Live, store: Store, sources: Mapping[str, Inspected]) -> None:
        self._database = database
        self._live = live
        self._store = store
        self._sources = sources

    def count(self, which: Which) -> int:
        """How many documents there may be to look at."""
        with self._live.views().reading() as connection:
            return connection.scalar(_stored(select(func.count()), which)) or 0

    def run(self, which: Which) -> Iterator[Checked | None]:
        """Each of them, in the order of their names; None for one that holds nothing to check. Raises DiskReserve."""
        after: tuple[str, ...] | None = None
        while page := self._page(which, after):
            for artifact, stored in page:
                yield self._check(artifact, stored)
            after = tuple(getattr(page[-1][0], name) for name in Artifact.__struct_fields__)

    def _page(self, which: Which, after: tuple[str, ...] | None) -> list[tuple[Artifact, Stored | None]]:
        query = _stored(select(_TABLE), which).order_by(*_KEY).limit(_PAGE)
        if after is not None:
            query = query.where(tuple_(*_KEY) > tuple_(*after))
        with self._live.views().reading() as connection:
            return [(Artifact(*row[:3]), artifacts.load(row).stored) for row in connection.execute(query)]

    def _check(self, artifact: Artifact, stored: Stored | None) -> Checked | None:
        known = self._sources.get(artifact.source)
        if stored is None or known is None or not known.inspector.looks_at(artifact.name):
            return None
        with self._database.reading() as connection:
            before = _told(connection, artifact, stored)
        problem = self._amiss(artifact, stored)
        if problem is not None:
            return Checked(artifact, before, None, problem=problem)
        try:
            look = self._look(artifact, stored, known.inspector)
        except OSError as error:  # no room for another process, or for what lies between
            return Checked(artifact, before, None, problem=f"not judged this time: {error}")
        if look is None:
            return None
        if look.short is not None:  # what somebody found when there was enough of everything stands
            return Checked(artifact, before, None, problem=f"not judged this time: {look.short}")
        found = look.verdict
        position = None if found == before else self._tell(artifact, known.provider, stored, found)
        return Checked(artifact, before, found, position)

    def _look(self, artifact: Artifact, stored: Stored, inspector: Inspector) -> Look | None:
        self._store.assert_room(stored.size)
        with self._store.lying(stored) as lies:
            return inspector.look(artifact.name, lies, self._store.scratch, threading.Event())

    def _amiss(self, artifact: Artifact, stored: Stored) -> str | None:
        """Why what lies there is not what was stored, if so: then nothing is said of it."""
        try:
            lies = self._store.adopt(artifact)
        except errors.Unusable as error:
            return str(error)
        if lies is None:
            return "it is not there any more"
        return None if lies.sha256 == stored.sha256 else "it is another document than the one that was stored"

    def _tell(self, artifact: Artifact, provider: str, stored: Stored, found: Verdict) -> int | None:
        """Append what was found, unless the log says so by now, or it was erased; the position."""
        act = Act(facts.CHECKED, sha256=stored.sha256, size=stored.size, path=stored.path, verdict=found)
        with self._database.writing() as connection:
            if erased.when(connection, artifact.source, artifact.subject) is not None:
                return None
            if _told(connection, artifact, stored) == found:
                return None
            return append(connection, [acts.outcome(artifact, provider, act)])[0].position


def _stored(query: Select[Any], which: Which) -> Select[Any]:
    """What nobody wants any more may lie there, too."""
    named = [column == value for column, value in zip(_KEY, which, strict=True) if value is not None]
    return query.where(_TABLE.c.state.in_((artifacts.STORED, artifacts.UNWANTED)), *named)


def _told(log: Connection, artifact: Artifact, stored: Stored) -> Verdict | None:
    """The newest verdict on what is stored. Of the log: the views may not have folded it yet."""
    for outcome in reader.acts(log, event.OUTCOME, acts.path(artifact)):
        with contextlib.suppress(errors.Fault):
            act = acts.read(outcome)
            if act.action in (facts.STORED, facts.CHECKED) and act.sha256 == stored.sha256:
                return act.verdict
    return None
