"""Which event made a field of a subject what it is."""

import difflib
from collections.abc import Iterable, Iterator
from typing import Any, Final

from listener import errors, times
from listener.desk.pages import Line
from listener.desk.past import Moment, Past
from listener.desk.reading import Reading
from listener.log.event import Event

_LISTS: Final = {"signers": "id", "documents": "id", "artifacts": "name"}  # and what tells their members apart


def explain(at: Reading, source: str, subject: str, field: str, when: Moment) -> Line | None:
    """The field as it stood, and the event from which on it was so; None if nothing was known of the subject.

    Raises NotFoundError for a field that the subject does not have, with those that were perhaps meant.
    """
    folding = Past(at, [(source, subject)], when)
    value, by, told, fields = None, None, None, dict[str, Any]()
    for found in folding.turns():
        shown = folding.shown(source, subject)
        fields = fields_of(shown) if shown else {}
        if fields.get(field) != value:
            value, by, told = fields.get(field), found, folding.told(source, subject, found.position)
    if not fields:
        return None
    if field not in fields:
        raise errors.NotFoundError(f"{subject} in {source} has no field {field!r}; {_instead(field, fields)}")
    return {"field": field, "value": value, **_event(by, told)}


def _instead(field: str, fields: Iterable[str]) -> str:
    near = difflib.get_close_matches(field, fields)
    if near:
        return f"near it: {', '.join(near)}"
    plain = [name for name in fields if "." not in name]
    lists = ", ".join(_LISTS)
    return f"it has: {', '.join(plain)}; and of its {lists} what 'signlog status SOURCE ID --json' shows"


def _event(by: Event | None, told: tuple[str, str] | None) -> Line:
    """Null throughout where nothing ever set the field."""
    name, text = told or (None, None)
    return {
        "position": by.position if by else None,
        "kind": by.kind if by else None,
        "name": name,
        "text": text,
        "recorded_at": times.written(by.recorded_at) if by else None,
    }


def fields_of(shown: Line) -> dict[str, Any]:
    """Every field by its name; of the members of lists by their ids: `signers.ID.completed`."""
    return dict(_fields(shown))


def _fields(shown: Line) -> Iterator[tuple[str, Any]]:
    for name, value in shown.items():
        if name not in _LISTS:
            yield name, value
            continue
        for member in value:
            told_by = member[_LISTS[name]]
            yield from ((f"{name}.{told_by}.{of}", known) for of, known in member.items() if of != _LISTS[name])
