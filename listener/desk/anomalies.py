"""Subjects that something is strange about: how many, and where to look first."""

import shlex
from collections.abc import Iterator
from typing import Final, NamedTuple

from sqlalchemy import select

from listener.acts import Subject
from listener.desk import signatures, status
from listener.desk.reading import Reading
from listener.log.append import now
from projections import course, packages

_SECOND: Final = 1_000_000
UNDER_WAY: Final = 15 * 60 * _SECOND  # a callback may come so much later than the API tells of a completion
MISSED_LATELY: Final = 7 * 86400 * _SECOND  # then it is no news

_c: Final = packages.TABLE.c


class Anomalies(NamedTuple):
    """Callbacks and API disagree; signatures are missing or broken; the deadline has passed; nobody called back.

    Each may be so of the same subject. Of the last, when the API told of its completion.
    """

    contradicted: list[Subject]
    doubtful: list[Subject]
    late: list[Subject]
    missed: dict[Subject, int]

    @classmethod
    def of(cls, at: Reading) -> "Anomalies":
        """All of them."""
        missed = {subject: told for subject, told in status.missed(at) if told < now() - UNDER_WAY}
        return cls(_contradicted(at), signatures.doubtful(at), status.overdue(at), missed)

    @property
    def subjects(self) -> int:
        """How many there are."""
        return len({*self.contradicted, *self.doubtful, *self.late, *self.missed})

    def alarms(self) -> Iterator[str]:
        """One for each kind of them. A completion that was missed long ago is no news."""
        if self.contradicted:
            yield (
                f"subjects of which callbacks and API say different things: {len(self.contradicted)}; "
                f"the first: 'signlog timeline {_typed(self.contradicted[0])}'"
            )
        if self.doubtful:
            yield (
                f"subjects whose documents are not signed as they should be: {len(self.doubtful)}; they are kept as "
                f"they came. The first: 'signlog status {_typed(self.doubtful[0])}'"
            )
        if self.late:
            yield (
                f"subjects that should have ended by now: {len(self.late)}; "
                f"the first: 'signlog status {_typed(self.late[0])}'"
            )
        lately = [subject for subject, told in self.missed.items() if told > now() - MISSED_LATELY]
        if lately:
            yield (
                f"completions of the last week that only the provider's API told of: {len(lately)}; the last: "
                f"'signlog status {_typed(lately[0])}'. Find out where its callback went: 'signlog quarantine', "
                "the address at the provider; a mail of the provider may have it: 'signlog import'"
            )


def _contradicted(at: Reading) -> list[Subject]:
    query = select(_c.source, _c.id).where(_c.confirmed == course.CONTRADICTED).order_by(_c.last_position.desc())
    return [(row.source, row.id) for row in at.views.execute(query)]


def _typed(subject: Subject) -> str:
    """As arguments of a command."""
    source, name = subject
    return f"{source} {shlex.quote(name)}"
