"""What is due at a source: wanted or to be tried again, with what it is made of at hand, and what is known of it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, tuple_

from listener import bookkeeping, rows
from listener.acts import Artifact
from listener.api import Access, Api, Known, Lister, Recipe
from listener.checking.inspector import Inspector
from listener.log.append import now
from listener.views import Views
from projections import artifacts, packages

_ROWS: Final = 200
_TABLE: Final = artifacts.TABLE


class Account(NamedTuple):
    """A source whose API we may ask, the documents of it that are made of others, who checks them, and its lists."""

    provider: str
    api: Api
    access: Access
    recipes: Mapping[str, Recipe]
    inspector: Inspector
    lister: Lister | None = None


class Wish(NamedTuple):
    """An artifact that is due, how often it was tried, what is known of its subject, and the views that say so."""

    artifact: Artifact
    attempts: int
    known: Known
    generation: int
    folded: int


def due(live: Views, source: str, account: Account) -> Mapping[str, Sequence[Wish]]:
    """By subject, those that have waited longest first."""
    wishes: dict[str, list[Wish]] = defaultdict(list)
    with live.reading() as connection:
        folded = bookkeeping.checkpoint(connection).position
        found = connection.execute(_query(source, account, now())).all()
        subjects = rows.load(connection, packages, sorted({(source, row.subject) for row in found}))
    for row in found:
        artifact, attempts = Artifact(row.source, row.subject, row.name), artifacts.load(row).attempts
        known = told(subjects.get((source, row.subject)) or packages.State())
        wishes[row.subject].append(Wish(artifact, attempts, known, live.generation, folded))
    return wishes


def told(state: packages.State) -> Known:
    """What was told of a subject; a kind that only callbacks tell is a guess."""
    expected = state.expected
    if expected is None:
        return Known(state.kind)
    return Known(expected.kind or state.kind, expected.kind is not None, expected.thread, expected.key)


def _query(source: str, account: Account, at: int) -> Select[Any]:
    """Wanted, or failed and due again. A failure without a time waits for a person, or for a restart.

    Behind a fault nothing is due: what we did last may wait there, and would be done again and again.
    """
    failed = and_(_TABLE.c.state == artifacts.FAILED, or_(_TABLE.c.next_at.is_(None), _TABLE.c.next_at <= at))
    free = tuple_(_TABLE.c.source, _TABLE.c.subject).not_in(bookkeeping.STOPPED)
    found = select(_TABLE).where(_TABLE.c.source == source, or_(_TABLE.c.state == artifacts.WANTED, failed), free)
    found = found.where(*(_at_hand(name, recipe, account.access) for name, recipe in account.recipes.items()))
    return found.order_by(func.coalesce(_TABLE.c.next_at, _TABLE.c.wanted_at)).limit(_ROWS)


def _at_hand(name: str, recipe: Recipe, access: Access) -> ColumnElement[bool]:
    """What is made is due once what it is made of is stored: until then it waits, and is no failure."""
    if not recipe.possible(access):
        return _TABLE.c.name != name
    other = _TABLE.alias()
    same = and_(other.c.source == _TABLE.c.source, other.c.subject == _TABLE.c.subject, other.c.name == recipe.of)
    return or_(_TABLE.c.name != name, exists().where(same, other.c.state == artifacts.STORED))
