"""Where subjects stand, from the live views."""

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from sqlalchemy import select, tuple_

from listener import times
from listener.acts import Artifact
from listener.desk.reading import Reading
from listener.log import schema
from listener.log.append import now
from projections import artifacts, facts, packages, timeline
from projections.facts import Expected

_packages = packages.TABLE
_artifacts = artifacts.TABLE
_timeline = timeline.TABLE

_PAGE: Final = 200  # keys in one query


Subject = tuple[str, str]
_Key = TypeVar("_Key")


class Filter(NamedTuple):
    """Which subjects."""

    source: str | None = None
    stage: str | None = None
    reference: str | None = None


def one(at: Reading, source: str, subject: str) -> dict[str, Any] | None:
    """A subject with its documents, or None if nothing is known of it."""
    query = select(_packages).where(_packages.c.source == source, _packages.c.id == subject)
    row = at.views.execute(query).one_or_none()
    return None if row is None else _shown(row, downloads(at, source, subject), _expecting(at))


def several(at: Reading, wanted: Filter, limit: int | None = None) -> list[dict[str, Any]]:
    """Subjects, the one that last moved first."""
    query = select(_packages).order_by(_packages.c.last_position.desc()).limit(limit)
    if wanted.source is not None:
        query = query.where(_packages.c.source == wanted.source)
    if wanted.stage is not None:
        query = query.where(_packages.c.stage == wanted.stage)
    if wanted.reference is not None:
        query = query.where(_packages.c.reference == wanted.reference)
    rows, expecting = at.views.execute(query).all(), _expecting(at)
    found = _downloads_of(at, [(row.source, row.id) for row in rows])
    return [_shown(row, found.get((row.source, row.id), []), expecting) for row in rows]


def overdue(at: Reading) -> list[Subject]:
    """Subjects whose deadline has passed by our clock, and which have not ended."""
    c = _packages.c
    query = select(c.source, c.id).where(c.deadline < now(), c.stage.not_in(facts.ENDED)).order_by(c.deadline)
    return [(row.source, row.id) for row in at.views.execute(query)]


def _expecting(at: Reading) -> Container[str]:
    """Sources of which somebody said what to expect: of these, everything else is unexpected."""
    return set(at.views.scalars(select(_packages.c.source).where(_packages.c.expected.is_not(None)).distinct()))


def downloads(at: Reading, source: str | None = None, subject: str | None = None) -> list[dict[str, Any]]:
    """Every artifact that is or was wanted."""
    query = select(_artifacts).order_by(_artifacts.c.last_position)
    if source is not None:
        query = query.where(_artifacts.c.source == source)
    if subject is not None:
        query = query.where(_artifacts.c.subject == subject)
    return [_artifact(row) for row in at.views.execute(query)]


def _downloads_of(at: Reading, subjects: Sequence[Subject]) -> Mapping[Subject, list[dict[str, Any]]]:
    found: dict[Subject, list[dict[str, Any]]] = {}
    for page in _paged(subjects):
        of_them = select(_artifacts).where(tuple_(_artifacts.c.source, _artifacts.c.subject).in_(page))
        for row in at.views.execute(of_them.order_by(_artifacts.c.last_position)):
            found.setdefault((row.source, row.subject), []).append(_artifact(row))
    return found


def history(at: Reading, source: str, subject: str) -> list[dict[str, Any]]:
    """A subject's facts in the order of the log; `same_as` is the position of the first that said the same.

    Callbacks name signers and documents by their ids; as far as the provider's API told us, names stand in the text.
    """
    query = select(_timeline).where(_timeline.c.source == source, _timeline.c.subject == subject)
    rows = at.views.execute(query.order_by(_timeline.c.position, _timeline.c.artifact)).all()
    kinds, names = _kinds(at, [row.position for row in rows]), _names(at, source, subject)
    firsts: dict[timeline.State, int] = {}
    return [_told(row.position, timeline.load(row), kinds, names, firsts) for row in rows]


def _told(
    position: int,
    state: timeline.State,
    kinds: Mapping[int, str],
    names: Mapping[str, str],
    firsts: dict[timeline.State, int],
) -> dict[str, Any]:
    """A fact in words. `firsts` remembers where each was told first."""
    first = position if state.sense is None else firsts.setdefault(state.sense, position)
    return {
        "position": position,
        "occurred_at": times.written(state.occurred_at),
        "recorded_at": times.written(state.recorded_at),
        "kind": kinds[position],
        "name": state.name,
        "what": state.what,
        "text": state.named(names).text,
        "same_as": first if first != position else None,
    }


def _kinds(at: Reading, positions: Sequence[int]) -> dict[int, str]:
    """The kinds of these events, from the log."""
    events = schema.events.c
    found: dict[int, str] = {}
    for page in _paged(positions):
        rows = at.log.execute(select(events.position, events.kind).where(events.position.in_(page)))
        found.update({row.position: row.kind for row in rows})
    return found


def _names(at: Reading, source: str, subject: str) -> dict[str, str]:
    found = one(at, source, subject)
    known = [*found["signers"], *found["documents"]] if found else []
    return {each["id"]: each["name"] for each in known if each["name"]}


def _paged(keys: Sequence[_Key]) -> Iterator[Sequence[_Key]]:
    return (keys[start : start + _PAGE] for start in range(0, len(keys), _PAGE))


def retryable(at: Reading, source: str | None, subject: str | None, name: str | None) -> list[Artifact]:
    """Artifacts that failed or were abandoned, one by one: a decision lists what it is about."""
    states = (artifacts.FAILED, artifacts.ABANDONED)
    return _named_so(at, states, source, subject, name)


def releasable(at: Reading, source: str | None, subject: str | None, name: str | None) -> list[Artifact]:
    """Artifacts that a replay held, one by one."""
    return _named_so(at, (artifacts.HELD,), source, subject, name)


def _named_so(
    at: Reading, states: Sequence[str], source: str | None, subject: str | None, name: str | None
) -> list[Artifact]:
    found = [known for known in downloads(at, source, subject) if known["state"] in states]
    return [
        Artifact(known["source"], known["subject"], known["name"])
        for known in found
        if name is None or known["name"] == name
    ]


def _shown(row: Any, found: Sequence[Mapping[str, Any]], expecting: Container[str]) -> dict[str, Any]:
    state = packages.load(row)
    told = state.expected or Expected()
    return {
        "source": row.source,
        "id": row.id,
        "provider": row.provider,
        "status": row.status,
        "stage": row.stage,
        "confirmed": row.confirmed,
        "trashed": bool(row.trashed),
        "reason": state.reason.text if state.reason else None,
        "kind": state.kind,
        "expected": state.expected is not None if row.source in expecting else None,
        "reference": told.reference,
        "thread": told.thread,
        "key": told.key,
        "deadline": times.written(told.deadline),
        "signers": [{"id": key, **msgspec.structs.asdict(known)} for key, known in sorted(state.signers.items())],
        "documents": [{"id": key, **msgspec.structs.asdict(known)} for key, known in sorted(state.documents.items())],
        "artifacts": [
            {key: value for key, value in known.items() if key not in ("source", "subject")} for known in found
        ],
        "first_position": row.first_position,
        "last_position": row.last_position,
        "occurred_at": times.written(state.occurred_at),
        "recorded_at": times.written(state.recorded_at),
    }


def _artifact(row: Any) -> dict[str, Any]:
    state = artifacts.load(row)
    stored = state.stored
    return {
        "source": row.source,
        "subject": row.subject,
        "name": row.name,
        "state": state.state,
        "sha256": stored.sha256 if stored else None,
        "size": stored.size if stored else None,
        "path": stored.path if stored else None,
        "attempts": state.attempts,
        "next_at": times.written(state.next_at),
        "error": state.error,
    }
