"""What a document waits for, and what to type: in the same words for one of them as for all."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import func, select, tuple_

from listener import api, bookkeeping, sources
from listener.acts import Artifact, Subject
from listener.desk.pages import Line
from listener.desk.reading import Reading
from listener.settings import Settings
from projections import artifacts

_TABLE: Final = artifacts.TABLE
_KEY: Final = (_TABLE.c.source, _TABLE.c.subject, _TABLE.c.name)
_AT_ONCE: Final = 200  # keys in one query


def told(at: Reading, settings: Settings, lines: Sequence[Line]) -> list[Line]:
    """These documents and what each `waits_for`; None where only the worker's turn is to come, or nothing is."""
    beside = _Beside.of(at, settings, [_of(line) for line in lines if line["state"] in artifacts.OPEN])
    return [{**line, "waits_for": _waits_for(line, settings, beside)} for line in lines]


def lacking(source: str, name: str, settings: Settings) -> str | None:
    """Why a document is not fetched, or not made of another one, if so; and what to do about it."""
    configured = settings.sources.get(source)
    if configured is None:
        return (
            f"sources.{source} is not configured any more; configure it again, "
            f"or type: signlog downloads abandon {source} --reason …"
        )
    speaker, access = api.named(configured.provider), configured.access
    lacks = speaker.missing(access)
    if lacks is not None:
        return (
            f"set sources.{source}.{lacks} and restart; or sources.{source}.artifacts = [], for what completes from "
            f"then on, and for what is wanted by now type: signlog downloads abandon {source} --reason …"
        )
    recipe = speaker.RECIPES.get(name)
    if recipe is not None and not recipe.possible(access):
        fewer = f'sources.{source}.artifacts = ["{recipe.of}"]'
        return (
            f"set sources.{source}.{recipe.needs} and restart; or {fewer}, for what completes from then on, and for "
            f"each that is wanted by now type: signlog downloads abandon {source} ID {name} --reason …"
        )
    return None


def mending(source: str, settings: Settings) -> str:
    """What to do where the provider refuses the key of a configured source."""
    access = settings.sources[source].access
    key = "client_secret" if access.client_id else "api_key or vendor_number" if access.vendor_number else "api_key"
    return (
        f"mend sources.{source}.{key} and restart; "
        f"if it was mended at the provider, type: signlog downloads retry {source} --reason …"
    )


def either(artifact: Artifact, of: str) -> str:
    """What to do where the one that it is made of was abandoned: try that one again, or give this one up, too."""
    return (
        f"type: signlog downloads retry {_typed(_other(artifact, of))} --reason …, "
        f"or: signlog downloads abandon {_typed(artifact)} --reason …"
    )


class _Beside(NamedTuple):
    """What stands beside some documents: faults of their subjects, and the state of what they are made of."""

    faults: Mapping[Subject, int]
    states: Mapping[Artifact, str]

    @classmethod
    def of(cls, at: Reading, settings: Settings, wanted: Iterable[Artifact]) -> "_Beside":
        made_of = {other for artifact in wanted if (other := _made_of(artifact, settings)) is not None}
        return cls(_faults(at), _states(at, sorted(made_of)))


def _waits_for(line: Line, settings: Settings, beside: _Beside) -> str | None:
    artifact = _of(line)
    if line["state"] == artifacts.HELD:
        return f"a person: only a replay wants it; type: signlog downloads release {_typed(artifact)} --reason …"
    if line["state"] not in artifacts.OPEN:
        return None
    return _in_the_way(artifact, settings, beside) or _next_try(line, settings)


def _in_the_way(artifact: Artifact, settings: Settings, beside: _Beside) -> str | None:
    """Why it would not be tried now, whenever its time comes."""
    fault = beside.faults.get((artifact.source, artifact.subject))
    if fault is not None:
        return f"an event that could not be taken in: 'signlog faults show {fault}'"
    other = _made_of(artifact, settings)
    state = beside.states.get(other) if other is not None else None
    if other is not None and state == artifacts.ABANDONED:
        return f"{other.name}, which was abandoned; {either(artifact, other.name)}"
    lacks = lacking(artifact.source, artifact.name, settings)
    if lacks is not None:
        return f"a person: {lacks}"
    return f"{other.name}, which it is made of" if other is not None and state != artifacts.STORED else None


def _next_try(line: Line, settings: Settings) -> str | None:
    if line["state"] != artifacts.FAILED:
        return None
    if line["next_at"] is None:
        return f"a person: the provider refuses the API key; {mending(line['source'], settings)}"
    return f"its next try, not before {line['next_at']}"


def _of(line: Line) -> Artifact:
    return Artifact(line["source"], line["subject"], line["name"])


def _typed(artifact: Artifact) -> str:
    """As arguments of a command."""
    return f"{artifact.source} {shlex.quote(artifact.subject)} {shlex.quote(artifact.name)}"


def _made_of(artifact: Artifact, settings: Settings) -> Artifact | None:
    recipe = sources.recipes(settings, artifact.source).get(artifact.name)
    return _other(artifact, recipe.of) if recipe is not None else None


def _other(artifact: Artifact, name: str) -> Artifact:
    """Another one of the same subject."""
    return Artifact(artifact.source, artifact.subject, name)


def _faults(at: Reading) -> Mapping[Subject, int]:
    """The first event of each subject that could not be taken in: nothing of it is fetched."""
    found = bookkeeping.faults.c
    query = select(found.source, found.subject, func.min(found.position)).where(found.subject.is_not(None))
    rows = at.views.execute(query.group_by(found.source, found.subject))
    return {(source, subject): position for source, subject, position in rows}


def _states(at: Reading, wanted: Sequence[Artifact]) -> Mapping[Artifact, str]:
    found: dict[Artifact, str] = {}
    keys = [(one.source, one.subject, one.name) for one in wanted]
    for start in range(0, len(keys), _AT_ONCE):
        these = tuple_(*_KEY).in_(keys[start : start + _AT_ONCE])
        found |= {Artifact(*key): state for *key, state in at.views.execute(select(*_KEY, _TABLE.c.state).where(these))}
    return found
