"""Events as people and scripts see them."""

import base64
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement

from listener import acts, errors, times
from listener.interpreter import Interpreter
from listener.log import event, reader, schema
from listener.log.database import Database
from listener.log.event import Event

_c = schema.events.c


class Filter(NamedTuple):
    """Which events; times in microseconds UTC."""

    source: str | None = None
    subject: str | None = None
    name: str | None = None
    kind: str | None = None
    since: int | None = None
    until: int | None = None

    def where(self) -> list[ColumnElement[bool]]:
        """What the log itself can tell."""
        wanted = [(_c.source, self.source), (_c.kind, self.kind)]
        conditions: list[ColumnElement[bool]] = [column == value for column, value in wanted if value is not None]
        if self.since is not None:
            conditions.append(_c.recorded_at >= self.since)
        if self.until is not None:
            conditions.append(_c.recorded_at < self.until)
        return conditions

    def fits(self, shown: dict[str, Any]) -> bool:
        """What only its meaning can tell."""
        return all(
            value is None or shown[key] == value for key, value in (("subject", self.subject), ("name", self.name))
        )


def head(database: Database) -> int:
    """The position of the newest event."""
    with database.reading() as connection:
        return reader.head(connection)


def every(database: Database, wanted: Filter, after: int = 0) -> Iterator[dict[str, Any]]:
    """All events behind a position that fit, in order."""
    interpreter = Interpreter()
    for found in reader.every(database, after, 500, *wanted.where()):
        line = shown(found, interpreter)
        if wanted.fits(line):
            yield line


def newest(database: Database, wanted: Filter, count: int) -> list[dict[str, Any]]:
    """The newest `count` events that fit, in order."""
    interpreter, lines, before = Interpreter(), list[dict[str, Any]](), None
    while len(lines) < count:
        with database.reading() as connection:
            page = reader.back(connection, before, 500, *wanted.where())
        lines += [line for line in (shown(found, interpreter) for found in page) if wanted.fits(line)]
        if len(page) < 500:
            break
        before = page[-1].position
    return lines[:count][::-1]


def shown(found: Event, interpreter: Interpreter) -> dict[str, Any]:
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
        **_meaning(found, interpreter),
        "size": len(body),
        **body_of(body),
    }


def whole(found: Event) -> dict[str, Any]:
    """One event with everything that is stored of it."""
    return {
        **shown(found, Interpreter()),
        "v": found.v,
        "provider": found.provider,
        "method": found.method,
        "spooled_at": times.written(found.spooled_at),
        "headers": None if found.headers is None else msgspec.json.decode(found.headers),
        "salt": None if found.salt is None else found.salt.hex(),
        "content": found.content.hex(),
        "leaf": found.leaf.hex(),
    }


def _meaning(found: Event, interpreter: Interpreter) -> dict[str, Any]:
    nothing: dict[str, Any] = {"name": None, "subject": None, "occurred_at": None}
    try:
        said = interpreter.facts(found)
        if said:
            return {"name": said[0].name, "subject": said[0].subject, "occurred_at": times.written(said[0].occurred_at)}
        if found.kind in (event.OUTCOME, event.DECISION) and found.body is not None:
            return {**nothing, "name": acts.read(found).action}
    except errors.Fault:
        pass
    return nothing


def body_of(body: bytes) -> dict[str, str]:
    """A body in JSON: as text, or as base64 where it is none."""
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}
