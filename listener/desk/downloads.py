"""Signed documents and what became of them, from the live views."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, select, tuple_

from listener import sources, times
from listener.acts import Artifact, Subject
from listener.desk.pages import Line, Moved, Page, every
from listener.desk.reading import Reading
from listener.settings import Settings
from projections import artifacts
from projections.facts import Paper, Verdict, which

STATES: Final = (
    artifacts.WANTED,
    artifacts.HELD,
    artifacts.STORED,
    artifacts.FAILED,
    artifacts.ABANDONED,
    artifacts.LISTED,
    artifacts.UNWANTED,
)
_TABLE: Final = artifacts.TABLE
_PAGE: Final = 200  # keys in one query


class Named(NamedTuple):
    """What a decision is about: one document, all of a subject, of a source, or whatever there is."""

    source: str | None = None
    subject: str | None = None
    name: str | None = None


class Filter(NamedTuple):
    """Which documents."""

    source: str | None = None
    state: str | None = None


def page(at: Reading, wanted: Filter, count: int, before: int | None = None) -> Page:
    """Documents, those that last moved first."""
    of_state = () if wanted.state is None else (_TABLE.c.state == wanted.state,)
    rows, more = Moved(_TABLE, of_state, wanted.source).page(at.views, before, count)
    return Page([_shown(row) for row in rows], more)


def several(at: Reading, wanted: Filter, limit: int | None = None) -> list[Line]:
    """All of them, or the first of them. In one transaction: what moves meanwhile would else be passed over."""
    count = _PAGE if limit is None else min(limit, _PAGE)
    return list(islice(every(lambda before: page(at, wanted, count, before)), limit))


def of(at: Reading, subjects: Sequence[Subject]) -> Mapping[Subject, list[Line]]:
    """Those of some subjects, in the order in which they moved."""
    found: dict[Subject, list[Line]] = {}
    for start in range(0, len(subjects), _PAGE):
        of_them = tuple_(_TABLE.c.source, _TABLE.c.subject).in_(subjects[start : start + _PAGE])
        for row in at.views.execute(select(_TABLE).where(of_them).order_by(_TABLE.c.last_position, _TABLE.c.name)):
            found.setdefault((row.source, row.subject), []).append(shown(row.name, artifacts.load(row)))
    return found


def retryable(at: Reading, settings: Settings, named: Named) -> list[Artifact]:
    """Artifacts that failed or were abandoned, one by one: a decision lists what it is about."""
    return _in_states(at, (artifacts.FAILED, artifacts.ABANDONED), settings, named)


def abandonable(at: Reading, settings: Settings, named: Named) -> list[Artifact]:
    """Artifacts that are not stored, and of which no person has decided that they never will be, one by one."""
    states = (artifacts.WANTED, artifacts.HELD, artifacts.FAILED, artifacts.ABANDONED)
    return _in_states(at, states, settings, named, _TABLE.c.decided == 0)


def releasable(at: Reading, settings: Settings, named: Named) -> list[Artifact]:
    """Artifacts that a replay held, one by one."""
    return _in_states(at, (artifacts.HELD,), settings, named)


def _in_states(
    at: Reading, states: Iterable[str], settings: Settings, named: Named, *where: ColumnElement[bool]
) -> list[Artifact]:
    key = (_TABLE.c.source, _TABLE.c.subject, _TABLE.c.name)
    of = [column == value for column, value in zip(key, named[:2], strict=False) if value is not None]
    query = select(*key).where(_TABLE.c.state.in_(states), *where, *of)
    found = [Artifact(*row) for row in at.views.execute(query.order_by(_TABLE.c.last_position, *key))]
    return [one for one in found if named.name is None or _means(named.name, one, found, settings)]


def _means(name: str, other: Artifact, found: Sequence[Artifact], settings: Settings) -> bool:
    """Whether who names one document means another, too: those of a kind, and what can be made of that one alone.

    The latter only if the one that is named is `found` itself: of one that is stored the other can still be made.
    """
    if name == other.name or (name in artifacts.EACH and which(name, other.name) is not None):
        return True
    recipe = sources.recipes(settings, other.source).get(other.name)
    return recipe is not None and recipe.of == name and Artifact(other.source, other.subject, name) in found


def _shown(row: Any) -> Line:
    return {"source": row.source, "subject": row.subject, **shown(row.name, artifacts.load(row))}


def shown(name: str, state: artifacts.State) -> Line:
    """A document as its subject shows it."""
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
        "verdict": _verdict(state.verdict) if state.verdict else None,
    }


def _verdict(verdict: Verdict) -> Line:
    """What was found of a document's signatures."""
    return {
        "found": verdict.found,
        "due": verdict.due,
        "doubtful": verdict.doubtful,
        "text": verdict.text,
        "reason": verdict.reason,
        "papers": [_paper(paper) for paper in verdict.papers],
    }


def _paper(paper: Paper) -> Line:
    signatures = [
        {**msgspec.structs.asdict(known), "signed_at": times.written(known.signed_at)} for known in paper.signatures
    ]
    return {"name": paper.name, "found": paper.found, "reason": paper.reason, "signatures": signatures}
