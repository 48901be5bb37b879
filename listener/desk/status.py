"""Where subjects stand, from the live views."""

from typing import Any, NamedTuple

from sqlalchemy import func, select

from listener import provider, times
from listener.acts import Artifact
from listener.desk.reading import Reading
from projections import artifacts, packages, timeline

_packages = packages.TABLE
_artifacts = artifacts.TABLE
_timeline = timeline.TABLE


class Filter(NamedTuple):
    """Which subjects."""

    source: str | None = None
    stage: str | None = None


def one(at: Reading, source: str, subject: str) -> dict[str, Any] | None:
    """A subject with its documents, or None if nothing is known of it."""
    query = select(_packages).where(_packages.c.source == source, _packages.c.id == subject)
    row = at.views.execute(query).one_or_none()
    return None if row is None else _shown(at, row)


def several(at: Reading, wanted: Filter, limit: int | None = None) -> list[dict[str, Any]]:
    """Subjects, the one that last moved first."""
    query = select(_packages).order_by(_packages.c.last_position.desc()).limit(limit)
    if wanted.source is not None:
        query = query.where(_packages.c.source == wanted.source)
    if wanted.stage is not None:
        query = query.where(_packages.c.stage == wanted.stage)
    return [_shown(at, row) for row in at.views.execute(query)]


def downloads(at: Reading, source: str | None = None, subject: str | None = None) -> list[dict[str, Any]]:
    """Every artifact that is or was wanted."""
    query = select(_artifacts).order_by(_artifacts.c.last_position)
    if source is not None:
        query = query.where(_artifacts.c.source == source)
    if subject is not None:
        query = query.where(_artifacts.c.subject == subject)
    rows = at.views.execute(query)
    return [{"source": row.source, "subject": row.subject, **_artifact(row.name, artifacts.load(row))} for row in rows]


def history(at: Reading, source: str, subject: str) -> list[dict[str, Any]]:
    """A subject's facts in the order of the log; `same_as` is the position of the first that said the same."""
    first = func.min(_timeline.c.position).over(partition_by=_timeline.c.sense)
    query = select(_timeline, first.label("first")).where(_timeline.c.source == source, _timeline.c.subject == subject)
    return [
        {
            "position": row.position,
            "occurred_at": times.written(row.occurred_at),
            "recorded_at": times.written(row.recorded_at),
            "name": row.name,
            "what": row.what,
            "text": row.text,
            "same_as": row.first if row.first != row.position else None,
        }
        for row in at.views.execute(query.order_by(_timeline.c.position, _timeline.c.artifact))
    ]


def retryable(at: Reading, source: str | None, subject: str | None, name: str | None) -> list[Artifact]:
    """Artifacts that failed or were abandoned, one by one: a decision lists what it is about."""
    states = (artifacts.FAILED, artifacts.ABANDONED)
    found = [known for known in downloads(at, source, subject) if known["state"] in states]
    return [
        Artifact(known["source"], known["subject"], known["name"])
        for known in found
        if name is None or known["name"] == name
    ]


def _shown(at: Reading, row: Any) -> dict[str, Any]:
    state = packages.load(row)
    found = downloads(at, row.source, row.id)
    return {
        "source": row.source,
        "id": row.id,
        "provider": row.provider,
        "status": row.status,
        "stage": row.stage,
        "confirmed": row.confirmed,
        "trashed": bool(row.trashed),
        "reason": state.reason.text if state.reason else None,
        "signers": [
            {"id": key, "name": known.name, "completed": known.completed, "documents": list(known.documents)}
            for key, known in sorted(state.signers.items())
        ],
        "documents": [
            {"id": key, "name": known.name, "viewed": known.viewed, "signed": known.signed}
            for key, known in sorted(state.documents.items())
        ],
        "artifacts": [
            {key: value for key, value in known.items() if key not in ("source", "subject")} for known in found
        ],
        "first_position": row.first_position,
        "last_position": row.last_position,
        "occurred_at": times.written(state.occurred_at),
        "recorded_at": times.written(state.recorded_at),
    }


def _artifact(name: str, state: artifacts.State) -> dict[str, Any]:
    stored = state.stored
    return {
        "name": name,
        "state": state.state,
        "sha256": stored.sha256 if stored else None,
        "size": stored.size if stored else None,
        "path": stored.path if stored else None,
        "attempts": state.attempts,
        "next_at": times.written(state.next_at),
        "error": state.error,
    }


def noun(name: str) -> str:
    """What is signed, in the provider's own word."""
    return provider.named(name).NOUN if name in provider.names() else "subject"
