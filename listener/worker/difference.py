"""What two generations of the views say differently: subject by subject, in the words that people are shown."""

import heapq
import itertools
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, select

from listener import errors, times
from listener.views import PROJECTIONS
from projections import artifacts, packages, timeline

ADDED: Final = "added"
REMOVED: Final = "removed"
CHANGED: Final = "changed"
UNCHANGED: Final = "unchanged"
ELSEWHERE: Final = "elsewhere"  # told of, but no package in either generation: a template, say

WANTED: Final = "wanted"  # what a difference does to a document
UNWANTED: Final = "unwanted"
REPEATED: Final = "repeated"
_OPEN: Final = frozenset({artifacts.WANTED, artifacts.FAILED})  # what the worker would go and fetch
_PAGE: Final = 1000
_PACKAGES, _TIMELINE, _ARTIFACTS = (PROJECTIONS.index(module) for module in (packages, timeline, artifacts))

Rows = tuple[list[tuple[Any, ...]], ...]  # of one subject, a list for each projection
Fields = Mapping[str, Any]


class Change(NamedTuple):
    """A field of a subject, and what the two generations say of it, as JSON values."""

    field: str
    before: Any
    after: Any


class Difference(NamedTuple):
    """One subject in both generations. `documents` are pairs of WANTED, UNWANTED or REPEATED and a name."""

    source: str
    id: str
    how: str
    changes: Sequence[Change]
    documents: Sequence[tuple[str, str]]


def differences(before: Connection, after: Connection) -> Iterator[Difference]:
    """Every subject of either generation, sorted; a few rows at a time, however many there are.

    Raises ViewsError for a row that this code cannot read.
    """
    for (source, subject), old, new in _side_by_side(_subjects(before), _subjects(after)):
        if old == new:
            how = UNCHANGED if new[_PACKAGES] else ELSEWHERE
            yield Difference(source, subject, how, (), ())
        else:
            try:
                yield _difference(source, subject, old, new)
            except msgspec.MsgspecError as error:
                raise errors.ViewsError(f"a row of {subject} in {source} cannot be read: {error}") from error


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
    if changes:
        return CHANGED
    return UNCHANGED if new else ELSEWHERE


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
    }


def _artifacts(rows: Sequence[Sequence[Any]]) -> Fields:
    return {f"artifacts.{row[2]}": artifacts.load(row).state for row in rows}


def _told(old: Sequence[tuple[Any, ...]], new: Sequence[tuple[Any, ...]]) -> Iterator[Change]:
    """The facts that only one of them tells, or tells otherwise."""
    if old != new:
        before, after = set(old), set(new)
        yield Change("timeline", _texts(before - after), _texts(after - before))


def _texts(rows: set[tuple[Any, ...]]) -> list[str]:
    return [timeline_text(row) for row in sorted(rows, key=itemgetter(2, 3))]


def timeline_text(row: Sequence[Any]) -> str:
    """A fact in a line: where it stands, when it happened, what it is and how it is told."""
    _source, _subject, position, _artifact, _recorded_at, occurred_at, what, _name, text, _sense = row
    return f"{position} {times.written(occurred_at) or '-'} {what}: {text}"


def _documents(old: Sequence[Sequence[Any]], new: Sequence[Sequence[Any]]) -> Iterator[tuple[str, str]]:
    before = {row[2]: artifacts.load(row) for row in old}
    after = {row[2]: artifacts.load(row) for row in new}
    for name in sorted({*before, *after}):
        was, is_ = before.get(name, artifacts.State()), after.get(name, artifacts.State())
        if is_.state in _OPEN and was.state not in _OPEN:
            yield WANTED, name
            if was.stored is not None:
                yield REPEATED, name
        elif was.wanted_at is not None and is_.wanted_at is None:
            yield UNWANTED, name


def _subjects(connection: Connection) -> Iterator[tuple[tuple[str, str], Rows]]:
    """All rows of all projections, gathered by subject, sorted as both Python and SQLite sort texts: by code point."""
    streams = [_stream(connection, index) for index in range(len(PROJECTIONS))]
    for subject, group in itertools.groupby(heapq.merge(*streams, key=itemgetter(0)), key=itemgetter(0)):
        rows: Rows = tuple([] for _ in PROJECTIONS)
        for _, index, row in group:
            rows[index].append(row)
        yield subject, rows


def _stream(connection: Connection, index: int) -> Iterator[tuple[tuple[str, str], int, tuple[Any, ...]]]:
    table = PROJECTIONS[index].TABLE
    query = select(table).order_by(*table.primary_key.columns).execution_options(yield_per=_PAGE)
    for row in connection.execute(query):
        yield (row[0], row[1]), index, tuple(row)


def _side_by_side(
    before: Iterator[tuple[tuple[str, str], Rows]], after: Iterator[tuple[tuple[str, str], Rows]]
) -> Iterator[tuple[tuple[str, str], Rows, Rows]]:
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
