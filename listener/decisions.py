"""What a person decides, appended to the log: who, why, and about what exactly."""

from collections.abc import Sequence

from listener import acts
from listener.acts import Act, Artifact
from listener.log import event
from listener.log.append import BULK_ROWS, append
from listener.log.database import Database
from listener.log.event import Draft
from listener.quarantine import Kept, Quarantine
from listener.settings import Source
from projections import facts
from projections.facts import Expected

_AT_ONCE = 500  # artifacts or events that one decision lists


def retry(database: Database, artifacts: Sequence[Artifact], operator: str, reason: str) -> list[int]:
    """Try these again; the positions of the decisions. They list each artifact, never "all"."""
    return _decide(database, facts.RETRY, acts.RETRY_PATH, artifacts, operator, reason)


def abandon(database: Database, artifacts: Sequence[Artifact], operator: str, reason: str) -> list[int]:
    """Never fetch these, until somebody says to try again; the positions of the decisions, which list each."""
    return _decide(database, facts.ABANDON, acts.ABANDONED_PATH, artifacts, operator, reason)


def release(database: Database, artifacts: Sequence[Artifact], operator: str, reason: str) -> list[int]:
    """Let go what a replay held; the positions of the decisions, which list each artifact."""
    return _decide(database, facts.RELEASED, acts.HELD_PATH, artifacts, operator, reason)


def expect(
    database: Database, source: str, provider: str, subject: str, expected: Expected, operator: str, reason: str | None
) -> int:
    """Say what is known of a subject that no callback tells; the position of the decision."""
    (position,) = _append(database, [acts.expectation(source, provider, subject, expected, operator, reason)])
    return position


def retry_faults(database: Database, positions: Sequence[int], operator: str, reason: str | None) -> list[int]:
    """Try these events again, which could not be taken in; the positions of the decisions."""
    return _about_faults(database, facts.RETRY, positions, operator, reason)


def skip(database: Database, positions: Sequence[int], operator: str, reason: str) -> list[int]:
    """Leave these events out for good, which could not be taken in; the positions of the decisions."""
    return _about_faults(database, acts.SKIP, positions, operator, reason)


def _about_faults(
    database: Database, action: str, positions: Sequence[int], operator: str, reason: str | None
) -> list[int]:
    pages = [tuple(positions[start : start + _AT_ONCE]) for start in range(0, len(positions), _AT_ONCE)]
    decided = [Act(action, positions=page, reason=reason) for page in pages]
    return _append(database, [acts.decision(act, operator, acts.FAULTS_PATH) for act in decided])


def _decide(
    database: Database, action: str, filed: str, artifacts: Sequence[Artifact], operator: str, reason: str
) -> list[int]:
    pages = [tuple(artifacts[start : start + _AT_ONCE]) for start in range(0, len(artifacts), _AT_ONCE)]
    drafts = [acts.decision(Act(action, artifacts=page, reason=reason), operator, filed) for page in pages]
    return _append(database, drafts)


def _append(database: Database, drafts: Sequence[Draft]) -> list[int]:
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


def take_in(database: Database, drafts: Sequence[Draft], act: Act, operator: str) -> list[int]:
    """Import callbacks; their positions. In front of each hundred stands the decision that says who, why and whence."""
    positions: list[int] = []
    for start in range(0, len(drafts), BULK_ROWS - 1):
        page = drafts[start : start + BULK_ROWS - 1]
        with database.writing() as connection:
            appended = append(connection, [acts.decision(act, operator, acts.IMPORT_PATH), *page])
        positions += [one.position for one in appended[1:]]
    return positions
