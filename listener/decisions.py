"""What a person decides, appended to the log: who, why, and about what exactly."""

from collections.abc import Sequence

from listener import acts
from listener.acts import Act, Artifact
from listener.log import event
from listener.log.append import append
from listener.log.database import Database
from listener.log.event import Draft
from listener.quarantine import Kept, Quarantine
from listener.settings import Source
from projections import facts

_AT_ONCE = 500  # artifacts that one decision lists


def retry(database: Database, artifacts: Sequence[Artifact], operator: str, reason: str) -> list[int]:
    """Try these again; the positions of the decisions. They list each artifact, never "all"."""
    pages = [tuple(artifacts[start : start + _AT_ONCE]) for start in range(0, len(artifacts), _AT_ONCE)]
    drafts = [
        acts.decision(Act(facts.RETRY, artifacts=page, reason=reason), operator, acts.RETRY_PATH) for page in pages
    ]
    with database.writing() as connection:
        return [appended.position for appended in append(connection, drafts)]


def accept(
    database: Database, quarantine: Quarantine, kept: Kept, source: str, known: Source, operator: str, reason: str
) -> int:
    """Vouch for a callback that was refused; its position. The decision that says why stands in front of it.

    Killed between append and drop, it is accepted twice: a callback may be in the log twice, but never lost.
    """
    act = Act(acts.ACCEPTED, source=source, reason=f"quarantine {kept.id}: {reason}")
    draft = Draft(
        event.IMPORT,
        source,
        known.provider,
        kept.body,
        kept.headers,
        "POST",
        kept.path,
        kept.peer,
        kept.client,
        f"operator:{operator}",
    )
    with database.writing() as connection:
        appended = append(connection, [acts.decision(act, operator, acts.QUARANTINE_PATH), draft])
    quarantine.drop(kept.id)
    return appended[-1].position
