"""What two generations of the views say differently: subject by subject, in the words that people are shown."""

import heapq
import itertools
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    FromClause,
    MetaData,
    Select,
    Table,
    and_,
    func,
    or_,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from listener import errors, times
from listener.acts import Subject
from listener.log.database import is_postgres
from listener.projection import PROJECTIONS
from listener.views import beside
from projections import artifacts, packages, timeline
from projections.columns import Words

ADDED: Final = "added"
REMOVED: Final = "removed"
CHANGED: Final = "changed"
UNCHANGED: Final = "unchanged"
ELSEWHERE: Final = "elsewhere"  # told of, but no package in either generation: a template, say

WANTED: Final = "wanted"  # what a difference does to a document
UNWANTED: Final = "unwanted"
REPEATED: Final = "repeated"
_PAGE: Final = 1000
_PACKAGES, _TIMELINE, _ARTIFACTS = (PROJECTIONS.index(module) for module in (packages, timeline, artifacts))

_AFTER: Final[list[FromClause]] = [module.TABLE for module in PROJECTIONS]
# Under names of their own: SQLAlchemy 2.1 mixes up two tables of one name in "is distinct from" on SQLite.
_BEFORE: Final = [beside(table).alias(f"before_{table.name}") for table in (module.TABLE for module in PROJECTIONS)]
_differing: Final = Table(
    "differing",
    MetaData(),
    Column("source", Words, primary_key=True),
    Column("subject", Words, primary_key=True),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DROP",  # a session may go on with somebody else
)

Rows = tuple[list[tuple[Any, ...]], ...]  # of one subject, a list for each projection
Fields = Mapping[str, Any]


class Change(NamedTuple):
    """A field of a subject, and what the two generations say of it, as JSON values."""

    field: str
    before: Any
    after: Any


class Difference(NamedTuple):
    """One subject of both generations. `documents` are pairs of WANTED, UNWANTED or REPEATED and a name."""

    source: str
    id: str
    how: str
    changes: Sequence[Change]
    documents: Sequence[tuple[str, str]]


def differences(both: Connection) -> Iterator[Difference]:
    """Every subject that they say anything different of, sorted; a few rows at a time, however many there are.

    `both` is a connection of `Views.beside`. Raises ViewsError for a row that this code cannot read.
    """
    _find(both)
    for (source, subject), old, new in _side_by_side(_subjects(both, _BEFORE), _subjects(both, _AFTER)):
        try:
            yield _difference(source, subject, old, new)
        except msgspec.MsgspecError as error:
            raise errors.ViewsError(f"a row of {subject} in {source} cannot be read: {error}") from error


def difference(both: Connection, source: str, subject: str) -> Difference | None:
    """What they say differently of one subject; None if neither says anything of it."""
    _begin(both)
    both.execute(_differing.insert().values((source, subject)))
    old, new = (next(_subjects(both, tables), None) for tables in (_BEFORE, _AFTER))
    if old is None and new is None:
        return None
    nothing: Rows = tuple([] for _ in PROJECTIONS)
    return _difference(source, subject, old[1] if old else nothing, new[1] if new else nothing)


def packages_after(both: Connection) -> int:
    """How many packages the new generation knows."""
    return _count(both, _AFTER[_PACKAGES])


def _find(both: Connection) -> None:
    """Gather the subjects of all rows that only one generation has, or has otherwise.

    The database compares: to carry every row of both into Python took longer than to build one.
    """
    _begin(both)
    found = 0  # only subjects that are new to it are counted
    for before, after in zip(_BEFORE, _AFTER, strict=True):
        found += _add(both, _not_so_in(before, after))
        # Where every row has its equal and there are as many, there is nothing more to look for.
        if found or _count(both, before) != _count(both, after):
            found += _add(both, _lacking_in(after, before))


def _begin(both: Connection) -> None:
    _differing.drop(both, checkfirst=True)
    _differing.create(both)


def _add(both: Connection, subjects: Select[Any]) -> int:
    # With EXCEPT, SQLite would read the tables in the order of their subjects, which lie all over the file.
    insert = postgresql.insert if is_postgres(both) else sqlite.insert
    new = insert(_differing).from_select(["source", "subject"], subjects)
    return both.execute(new.on_conflict_do_nothing()).rowcount


def _count(both: Connection, table: FromClause) -> int:
    return both.scalar(select(func.count()).select_from(table)) or 0


def _not_so_in(other: FromClause, one: FromClause) -> Select[Any]:
    """The subjects of the rows that another table lacks, or has otherwise."""
    differ = [column.is_distinct_from(other.c[column.name]) for column in one.c if not column.primary_key]
    lacking = other.c.source.is_(None)
    return select(one.c.source, _subject(one)).outerjoin(other, _same_key(one, other)).where(or_(lacking, *differ))


def _lacking_in(other: FromClause, one: FromClause) -> Select[Any]:
    """The subjects of the rows that another table lacks."""
    lacking = other.c.source.is_(None)
    return select(one.c.source, _subject(one)).outerjoin(other, _same_key(one, other)).where(lacking)


def _same_key(one: FromClause, other: FromClause) -> ColumnElement[bool]:
    return and_(*(column == other.c[column.name] for column in one.primary_key))


def _subject(table: FromClause) -> ColumnElement[str]:
    """The column that names the subject: packages are subjects."""
    return table.c.id if "id" in table.c else table.c.subject


def _difference(source: str, subject: str, old: Rows, new: Rows) -> Difference:
    changes = [
        *_changed(_package(old[_PACKAGES]), _package(new[_PACKAGES])),
        *_changed(_artifacts(old[_ARTIFACTS]), _artifacts(new[_ARTIFACTS])),
        *_told(old[_TIMELINE], new[_TIMELINE]),
    ]
    documents = list(_documents(old[_ARTIFACTS], new[_ARTIFACTS]))
    return Difference(source, subject, _how(old[_PACKAGES], new[_PACKAGES], changes), changes, documents)


def _how(old: Sequence[Any], new: Sequence[Any], changes: Sequence[Change]) -> str:
    if not old and new:
        return ADDED
    if old and not new:
        return REMOVED
    if not new:
        return ELSEWHERE
    return CHANGED if changes else UNCHANGED


def _changed(old: Fields, new: Fields) -> Iterator[Change]:
    for field in {**old, **new}:
        if old.get(field) != new.get(field):
            yield Change(field, old.get(field), new.get(field))


def _package(rows: Sequence[Sequence[Any]]) -> Fields:
    """What `signlog status` shows of it."""
    if not rows:
        return {}
    state = packages.load(rows[0])
    standing = state.standing
    return {
        "status": standing.status,
        "stage": standing.stage,
        "confirmed": standing.confirmed,
        "trashed": standing.trashed,
        "reason": state.reason.text if state.reason else None,
        "provider": state.provider,
        "occurred_at": times.written(state.occurred_at),
        "signers": msgspec.to_builtins(state.signers),
        "documents": msgspec.to_builtins(state.documents),
        "kind": state.kind,
        "expected": msgspec.to_builtins(state.expected),
        "missed": state.missed is not None,
    }


def _artifacts(rows: Sequence[Sequence[Any]]) -> Fields:
    return {f"artifacts.{row[2]}": artifacts.load(row).state for row in rows}


def _told(old: Sequence[tuple[Any, ...]], new: Sequence[tuple[Any, ...]]) -> Iterator[Change]:
    """The facts that only one of them tells, or tells otherwise."""
    if old != new:
        before, after = set(old), set(new)
        yield Change("timeline", _texts(before - after), _texts(after - before))


def _texts(rows: set[tuple[Any, ...]]) -> list[str]:
    return [timeline_text(row) for row in sorted(rows, key=itemgetter(0, 3))]


def timeline_text(row: Sequence[Any]) -> str:
    """A fact in a line: where it stands, when it happened, what it is and how it is told."""
    state = timeline.load(row)
    return f"{row[0]} {times.written(state.occurred_at) or '-'} {state.what}: {state.text}"


def _documents(old: Sequence[Sequence[Any]], new: Sequence[Sequence[Any]]) -> Iterator[tuple[str, str]]:
    before = {row[2]: artifacts.load(row) for row in old}
    after = {row[2]: artifacts.load(row) for row in new}
    for name in sorted({*before, *after}):
        was, is_ = before.get(name, artifacts.State()), after.get(name, artifacts.State())
        if is_.state in artifacts.OPEN and was.state not in artifacts.OPEN:
            yield WANTED, name
            if was.stored is not None:
                yield REPEATED, name
        elif was.wanted_at is not None and is_.wanted_at is None:
            yield UNWANTED, name


def _subjects(both: Connection, tables: Sequence[FromClause]) -> Iterator[tuple[Subject, Rows]]:
    """Their rows of all projections, gathered by subject, sorted as Python and SQLite both do: by code point."""
    streams = [_stream(both, index, table) for index, table in enumerate(tables)]
    for subject, group in itertools.groupby(heapq.merge(*streams, key=itemgetter(0)), key=itemgetter(0)):
        rows: Rows = tuple([] for _ in tables)
        for _, index, row in group:
            rows[index].append(row)
        yield subject, rows


def _stream(both: Connection, index: int, table: FromClause) -> Iterator[tuple[Subject, int, tuple[Any, ...]]]:
    """The rows of the subjects that differ; the subject stands in front of each."""
    whose = and_(table.c.source == _differing.c.source, _subject(table) == _differing.c.subject)
    query = select(_differing, table).join(table, whose).order_by(*_differing.c, *table.primary_key)
    for source, subject, *row in both.execute(query.execution_options(yield_per=_PAGE)):
        yield (source, subject), index, tuple(row)


def _side_by_side(
    before: Iterator[tuple[Subject, Rows]], after: Iterator[tuple[Subject, Rows]]
) -> Iterator[tuple[Subject, Rows, Rows]]:
    """A merge of both: whoever lacks a subject has no rows of it."""
    nothing: Rows = tuple([] for _ in PROJECTIONS)
    old, new = next(before, None), next(after, None)
    while old is not None or new is not None:
        if new is None or (old is not None and old[0] < new[0]):
            assert old is not None  # noqa: S101  or the loop had ended
            yield old[0], old[1], nothing
            old = next(before, None)
        elif old is None or new[0] < old[0]:
            yield new[0], nothing, new[1]
            new = next(after, None)
        else:
            yield old[0], old[1], new[1]
            old, new = next(before, None), next(after, None)
