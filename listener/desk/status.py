"""Where subjects stand, from the live views."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec
from sqlalchemy import select

from listener import acts, bookkeeping, times
from listener.acts import Subject
from listener.desk import downloads
from listener.desk.pages import Line, Moved, Page, every
from listener.desk.reading import Reading
from listener.log import event, reader, schema
from listener.log.append import now
from projections import facts, packages, timeline
from projections.facts import Expected

_packages = packages.TABLE
_timeline = timeline.TABLE

_PAGE: Final = 200


class Filter(NamedTuple):
    """Which subjects."""

    source: str | None = None
    stage: str | None = None
    reference: str | None = None

    def fits(self, shown: Line) -> bool:
        """Whether a subject is one of them."""
        wanted = ((self.source, shown["source"]), (self.stage, shown["stage"]), (self.reference, shown["reference"]))
        return all(value in (None, known) for value, known in wanted)


def one(at: Reading, source: str, subject: str) -> Line | None:
    """A subject with its documents, or None if nothing is known of it."""
    row = at.views.execute(
        select(_packages).where(_packages.c.source == source, _packages.c.id == subject)
    ).one_or_none()
    kept = downloads.of(at, [(source, subject)]).get((source, subject), ())
    return None if row is None else shown(source, subject, packages.load(row), kept, _expecting(at, [source]))


def page(at: Reading, wanted: Filter, count: int, before: int | None = None) -> Page:
    """Subjects, those first that last moved."""
    indexed = ((_packages.c.stage, wanted.stage), (_packages.c.reference, wanted.reference))
    conditions = tuple(column == value for column, value in indexed if value is not None)
    rows, more = Moved(_packages, conditions, wanted.source).page(at.views, before, count)
    kept, expecting = (
        downloads.of(at, [(row.source, row.id) for row in rows]),
        _expecting(at, {row.source for row in rows}),
    )
    lines = [
        shown(row.source, row.id, packages.load(row), kept.get((row.source, row.id), ()), expecting) for row in rows
    ]
    return Page(lines, more)


def overdue(at: Reading) -> list[Subject]:
    """Subjects whose deadline has passed by our clock, and which have not ended."""
    c = _packages.c
    query = select(c.source, c.id).where(c.deadline < now(), c.stage.not_in(facts.ENDED)).order_by(c.deadline)
    return [(row.source, row.id) for row in at.views.execute(query)]


def missed(at: Reading) -> list[tuple[Subject, int]]:
    """Completions that no callback told of, and when the API told of each; the newest first."""
    c = _packages.c
    query = select(c.source, c.id, c.missed).where(c.missed.is_not(None)).order_by(c.missed.desc())
    return [((row.source, row.id), row.missed) for row in at.views.execute(query)]


def _expecting(at: Reading, sources: Iterable[str]) -> set[str]:
    """Those of which somebody said what to expect: of these, everything else is unexpected.

    The log is asked, as far as the views know it: its index answers at once, however many subjects there are.
    """
    until = bookkeeping.checkpoint(at.views).position
    return {
        source
        for source in sources
        if reader.is_filed(at.log, event.DECISION, acts.EXPECTED_PATH + quote(source, safe=""), until)
    }


def several(at: Reading, wanted: Filter, limit: int | None = None, before: int | None = None) -> list[Line]:
    """All of them, or the first of them. In one transaction: whoever moves meanwhile would else be passed over."""
    count = _PAGE if limit is None else min(limit, _PAGE)
    return list(islice(every(lambda before: page(at, wanted, count, before), before), limit))


def history(at: Reading, source: str, subject: str) -> list[Line]:
    """A subject's facts in the order of the log, as the views have them."""
    query = select(_timeline).where(_timeline.c.source == source, _timeline.c.subject == subject)
    rows = at.views.execute(query.order_by(_timeline.c.position, _timeline.c.artifact))
    return told(at, [(row.position, timeline.load(row)) for row in rows], one(at, source, subject))


def told(at: Reading, states: Sequence[tuple[int, timeline.State]], found: Line | None) -> list[Line]:
    """Facts of a subject with their positions, in words; `same_as` is the position of the first that said the same.

    Callbacks name signers and documents by their ids; as far as the provider's API told us, names stand in the text.
    """
    known = [*found["signers"], *found["documents"]] if found else []
    names = {each["id"]: each["name"] for each in known if each["name"]}
    kinds, firsts = _kinds(at, [position for position, _ in states]), dict[timeline.State, int]()
    return [_told(position, state, kinds, names, firsts) for position, state in states]


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


def _paged(keys: Sequence[int]) -> Iterator[Sequence[int]]:
    return (keys[start : start + _PAGE] for start in range(0, len(keys), _PAGE))


def shown(source: str, subject: str, state: packages.State, kept: Sequence[Line], expecting: Container[str]) -> Line:
    """A subject and its documents, as everybody is shown them."""
    standing, told = state.standing, state.expected or Expected()
    return {
        "source": source,
        "id": subject,
        "provider": state.provider,
        "status": standing.status,
        "stage": standing.stage,
        "confirmed": standing.confirmed,
        "trashed": standing.trashed,
        "missed": state.missed is not None,
        "reason": state.reason.text if state.reason else None,
        "kind": state.kind,
        "expected": state.expected is not None if source in expecting else None,
        "reference": told.reference,
        "thread": told.thread,
        "key": told.key,
        "deadline": times.written(told.deadline),
        "signers": [{"id": key, **msgspec.structs.asdict(known)} for key, known in sorted(state.signers.items())],
        "documents": [{"id": key, **msgspec.structs.asdict(known)} for key, known in sorted(state.documents.items())],
        "artifacts": list(kept),
        "first_position": state.first_position,
        "last_position": state.last_position,
        "occurred_at": times.written(state.occurred_at),
        "recorded_at": times.written(state.recorded_at),
    }
