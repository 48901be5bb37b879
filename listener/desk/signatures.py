"""What was found of the signatures of all documents, and which of them a person should look at."""

from sqlalchemy import func, select

from listener.acts import Subject
from listener.desk.reading import Reading
from projections import artifacts, facts

_c = artifacts.TABLE.c


def counts(at: Reading) -> dict[str, int]:
    """How many documents there are of each verdict. What holds no PDF, or was stored long ago, has none."""
    query = select(_c.found, func.count()).where(_c.found.is_not(None)).group_by(_c.found)
    known: dict[str, int] = {row.found: row[1] for row in at.views.execute(query)}
    return {found: known.get(found, 0) for found in facts.FOUND}


def doubtful(at: Reading) -> list[Subject]:
    """Subjects of which a document has no valid signature where it is due one, or a broken one; newest first."""
    looked_at = select(_c.source, _c.subject).where(artifacts.DOUBTFUL, _c.found != facts.UNCHECKED)
    return list(dict.fromkeys((row.source, row.subject) for row in at.views.execute(looked_at.order_by(_NEWEST))))


def unchecked(at: Reading) -> dict[str, int]:
    """How many documents are due a signature that nobody looked for, by source."""
    query = select(_c.source, func.count()).where(artifacts.DOUBTFUL, _c.found == facts.UNCHECKED)
    return {row.source: row[1] for row in at.views.execute(query.group_by(_c.source).order_by(_c.source))}


_NEWEST = _c.last_position.desc()
