"""Documents that need a person: not fetched, given up, or due a signature that nobody has looked for."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import ColumnElement, and_, exists, false, func, or_, select

from listener import sources, times
from listener.acts import Artifact
from listener.checking import inspector
from listener.desk import signatures, waiting
from listener.desk.reading import Reading
from listener.log.append import now
from listener.settings import Settings
from projections import artifacts

WANTED_TOO_LONG: Final = 3600 * 1_000_000

_c: Final = artifacts.TABLE.c


def alarms(at: Reading, settings: Settings) -> list[str]:
    """What is in the way of documents, and of their signatures where somebody said that these are due."""
    asked = [told for source, told in _unchecked(at, settings) if _is_asked_for(source, settings)]
    in_the_way = (*_not_fetched(at, settings), *_refused(at, settings), *_given_up(at), *_in_vain(at, settings))
    return [*in_the_way, *asked]


def notes(at: Reading, settings: Settings) -> list[str]:
    """Signatures that nobody looked for, where nobody said that they are due."""
    return [told for source, told in _unchecked(at, settings) if not _is_asked_for(source, settings)]


def _not_fetched(at: Reading, settings: Settings) -> Iterator[str]:
    lacking, oldest = _unfinished(at, settings)
    for (source, lacks), number in lacking.items():
        yield f"{source}: documents wanted and not fetched: {number}; {lacks}"
    for source, (since, state) in oldest.items():
        if now() - since > WANTED_TOO_LONG:
            yield (
                f"{source}: a document is wanted since {times.written(since)}; "
                f"type: signlog downloads list --source {source} --state {state}"
            )


def _refused(at: Reading, settings: Settings) -> Iterator[str]:
    refused = select(_c.source).where(_c.state == artifacts.FAILED, _c.next_at.is_(None))
    for source in at.views.scalars(refused.distinct()):
        if source not in settings.sources:  # told among what nobody fetches any more
            continue
        yield f"{source}: the provider refuses the API key; {waiting.mending(source, settings)}"


def _given_up(at: Reading) -> Iterator[str]:
    """What a person abandoned is no news to anybody."""
    ours = select(func.count()).where(_c.state == artifacts.ABANDONED, _c.decided == 0)
    if number := at.views.scalar(ours):
        yield (
            f"documents given up: {number}; 'signlog downloads --state abandoned' says why, "
            "'signlog downloads retry --reason …' tries again, "
            "'signlog downloads abandon SOURCE ID --reason …' leaves it at that"
        )


def _in_vain(at: Reading, settings: Settings) -> Iterator[str]:
    """What can only be made of a document that was given up."""
    for source in settings.sources:
        for name, recipe in sources.recipes(settings, source).items():
            query = select(func.count(), func.min(_c.subject)).where(_waits_for(source, name, recipe.of))
            number, subject = at.views.execute(query.where(_c.state.in_(artifacts.OPEN))).one()
            if number:
                to_do = waiting.either(Artifact(source, subject, name), recipe.of)
                yield f"{source}: {name} waits for {recipe.of}, which was abandoned: {number}; {to_do}"


def _waits_for(source: str, name: str, of: str) -> ColumnElement[bool]:
    other = artifacts.TABLE.alias()
    its = (other.c.source == source, other.c.subject == _c.subject, other.c.name == of)
    given_up = exists().where(*its, other.c.state == artifacts.ABANDONED)
    return and_(_c.source == source, _c.name == name, given_up)


def _unfinished(at: Reading, settings: Settings) -> tuple[dict[tuple[str, str], int], dict[str, tuple[int, str]]]:
    """How many documents wait for what is not configured, by source; of the others, since when the oldest is wanted,
    and its state. What waits in vain is told apart.
    """
    in_vain = [
        _waits_for(source, name, recipe.of)
        for source in settings.sources
        for name, recipe in sources.recipes(settings, source).items()
    ]
    query = select(_c.source, _c.name, _c.state, func.count(), func.min(_c.wanted_at)).where(~or_(false(), *in_vain))
    lacking: dict[tuple[str, str], int] = {}
    oldest: dict[str, tuple[int, str]] = {}
    query = query.where(_c.state.in_(artifacts.OPEN)).group_by(_c.source, _c.name, _c.state)
    for source, name, state, number, since in at.views.execute(query):
        lacks = waiting.lacking(source, name, settings)
        if lacks is not None:
            lacking[source, lacks] = lacking.get((source, lacks), 0) + number
        elif since is not None:
            oldest[source] = min((since, state), oldest.get(source, (since, state)))
    return lacking, oldest


def _unchecked(at: Reading, settings: Settings) -> Iterator[tuple[str, str]]:
    """By source, how many documents are due a signature that nobody looked for, and what to do."""
    for source, number in signatures.unchecked(at).items():
        yield (
            source,
            f"{source}: documents due a signature that nobody looked for: {number}; {_to_do(source, settings)}",
        )


def _to_do(source: str, settings: Settings) -> str:
    then = f"type: signlog downloads check {source}"
    if source not in settings.sources:
        return f"sources.{source} is not configured any more; configure it again, and {then}"
    if not settings.check_signatures:
        none = f"where none is due, set sources.{source}.signed_artifacts = [] before that"
        return f"set check_signatures = true, restart, and {then}; {none}"
    return f"{inspector.INSTALL}, restart, and {then}" if inspector.missing() else then


def _is_asked_for(source: str, settings: Settings) -> bool:
    """Whether somebody said that signatures are due there, or whom to trust; else only we think so."""
    configured = settings.sources.get(source)
    return configured is not None and bool(configured.signed_artifacts or configured.trust_roots)
