"""Where subjects stand, from the live views."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple

from sqlalchemy import select

from listener import times
from listener.desk import downloads
from listener.desk.pages import Line, Moved, Page, every
from listener.desk.reading import Reading
from listener.log import schema
from projections import packages, timeline

_packages = packages.TABLE
_timeline = timeline.TABLE

_PAGE: Final = 200


class Filter(NamedTuple):
    """Which subjects."""

    source: str | None = None
    stage: str | None = None


def one(at: Reading, source: str, subject: str) -> Line | None:
    """A subject with its documents, or None if nothing is known of it."""
    row = at.views.execute(
        select(_packages).where(_packages.c.source == source, _packages.c.id == subject)
    ).one_or_none()
    found = downloads.of(at, [(source, subject)])
    return None if row is None else shown(source, subject, packages.load(row), found.get((source, subject), ()))


def page(at: Reading, wanted: Filter, count: int, before: int | None = None) -> Page:
    """Subjects, those first that last moved."""
    of_stage = () if wanted.stage is None else (_packages.c.stage == wanted.stage,)
    rows, more = Moved(_packages, of_stage, wanted.source).page(at.views, before, count)
    found = downloads.of(at, [(row.source, row.id) for row in rows])
    lines = [shown(row.source, row.id, packages.load(row), found.get((row.source, row.id), ())) for row in rows]
    return Page(lines, more)


def several(at: Reading, wanted: Filter, limit: int | None = None, before: int | None = None) -> list[Line]:
    """All of them, or the first of them. In one transaction: whoever moves meanwhile would else be passed over."""
    count = _PAGE if limit is None else min(limit, _PAGE)
    return list(islice(every(lambda before: page(at, wanted, count, before), before), limit))


def history(at: Reading, source: str, subject: str) -> list[Line]:
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
) -> Line:
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


def _paged(keys: Sequence[int]) -> Iterator[Sequence[int]]:
    return (keys[start : start + _PAGE] for start in range(0, len(keys), _PAGE))


def shown(source: str, subject: str, state: packages.State, kept: Sequence[Line]) -> Line:
    """A subject and its documents, as everybody is shown them."""
    standing = state.standing
    return {
        "source": source,
        "id": subject,
        "provider": state.provider,
        "status": standing.status,
        "stage": standing.stage,
        "confirmed": standing.confirmed,
        "trashed": standing.trashed,
        "reason": state.reason.text if state.reason else None,
        "signers": [
            {"id": key, "name": known.name, "completed": known.completed, "documents": list(known.documents)}
            for key, known in sorted(state.signers.items())
        ],
        "documents": [
            {"id": key, "name": known.name, "viewed": known.viewed, "signed": known.signed}
            for key, known in sorted(state.documents.items())
        ],
        "artifacts": list(kept),
        "first_position": state.first_position,
        "last_position": state.last_position,
        "occurred_at": times.written(state.occurred_at),
        "recorded_at": times.written(state.recorded_at),
    }
