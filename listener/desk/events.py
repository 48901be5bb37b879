"""Events as people and scripts see them."""

import base64
import functools
import json
from typing import NamedTuple

import msgspec
from sqlalchemy import ColumnElement

from listener import acts, errors, times
from listener.desk.pages import Line
from listener.interpreter import Interpreter
from listener.log import event, reader, schema
from listener.log.database import Database
from listener.log.event import Event

_c = schema.events.c


class Filter(NamedTuple):
    """Which events; `contains` is a text in the body, as it stands there or as JSON escapes it."""

    source: str | None = None
    subject: str | None = None
    name: str | None = None
    kind: str | None = None
    contains: str | None = None

    def columns(self) -> list[ColumnElement[bool]]:
        """What the log itself can tell."""
        wanted = ((_c.source, self.source), (_c.kind, self.kind))
        return [column == value for column, value in wanted if value is not None]

    def takes(self, found: Event) -> bool:
        """Whether it fits, but for what it says."""
        return self.source in (None, found.source) and self.kind in (None, found.kind) and self.is_held_by(found.body)

    def is_held_by(self, body: bytes | None) -> bool:
        """Whether the body contains the text; one that was erased contains none."""
        if self.contains is None:
            return True
        return body is not None and any(text in body for text in _written(self.contains))


@functools.lru_cache
def _written(text: str) -> frozenset[bytes]:
    """A text as it may stand in a body."""
    return frozenset({text.encode(), json.dumps(text)[1:-1].encode(), msgspec.json.encode(text)[1:-1]})


class Meaning(NamedTuple):
    """What an event says: whom it is about, as far as it can be told, and when that happened."""

    name: str | None = None
    subject: str | None = None
    occurred_at: int | None = None


def head(database: Database) -> int:
    """The position of the newest event."""
    with database.reading() as connection:
        return reader.head(connection)


def line(found: Event, interpreter: Interpreter, wanted: Filter) -> Line | None:
    """An event as it is shown, None if it does not fit. Of several things that it says, the first that fits."""
    if not wanted.takes(found):
        return None
    for said in _meanings(found, interpreter):
        if wanted.subject in (None, said.subject) and wanted.name in (None, said.name):
            return shown(found, said)
    return None


def shown(found: Event, said: Meaning) -> Line:
    """An event with what it says: JSON as in the documentation, and `body_base64` where the body is no text."""
    body = found.body or b""
    return {
        "position": found.position,
        "recorded_at": times.written(found.recorded_at),
        "kind": found.kind,
        "source": found.source,
        "path": found.path,
        "peer": found.peer,
        "client": found.client,
        "credential": found.credential,
        "name": said.name,
        "subject": said.subject,
        "occurred_at": times.written(said.occurred_at),
        "size": len(body),
        **body_of(body),
    }


def whole(found: Event) -> Line:
    """One event with everything that is stored of it."""
    return {
        **shown(found, _meanings(found, Interpreter())[0]),
        "v": found.v,
        "provider": found.provider,
        "method": found.method,
        "spooled_at": times.written(found.spooled_at),
        "headers": None if found.headers is None else msgspec.json.decode(found.headers),
        "salt": None if found.salt is None else found.salt.hex(),
        "content": found.content.hex(),
        "leaf": found.leaf.hex(),
    }


def _meanings(found: Event, interpreter: Interpreter) -> list[Meaning]:
    """At least one, and be it that nobody can tell."""
    try:
        said = interpreter.facts(found)
        if said:
            return [Meaning(fact.name, fact.subject, fact.occurred_at) for fact in said]
        if found.kind in (event.OUTCOME, event.DECISION) and found.body is not None:
            return [Meaning(acts.read(found).action)]
    except errors.Fault:
        pass
    return [Meaning()]


def body_of(body: bytes) -> dict[str, str]:
    """A body in JSON: as text, or as base64 where it is none."""
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}
