"""What was found of the signatures of all documents, and which of them a person should look at."""

from sqlalchemy import func, select

from listener.concerning import Subject
from listener.desk.reading import Reading
from projections import artifacts, facts

_TABLE = artifacts.TABLE


def counts(at: Reading) -> dict[str, int]:
    """How many documents there are of each verdict. What holds no PDF, or was stored long ago, has none."""
    query = select(_TABLE.c.found, func.count()).where(_TABLE.c.found.is_not(None)).group_by(_TABLE.c.found)
    known: dict[str, int] = {row.found: row[1] for row in at.views.execute(query)}
    return {found: known.get(found, 0) for found in facts.FOUND}


def doubtful(at: Reading) -> list[Subject]:
    """Subjects of which a document has no valid signature where it is due one, or a broken one; newest first."""
    query = select(_TABLE.c.source, _TABLE.c.subject).where(artifacts.DOUBTFUL).order_by(_TABLE.c.last_position.desc())
    return list(dict.fromkeys((row.source, row.subject) for row in at.views.execute(query)))
