"""signlog import."""

import hashlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from listener import errors, times
from listener.cli import options, output
from listener.cli.options import Config, Json, Reason

if TYPE_CHECKING:
    from listener.acts import Act
    from listener.desk.known import Said
    from listener.log.database import Database
    from listener.reinjected import Callback
    from listener.settings import Settings

_COLUMNS = ("file", "where", "position", "same_as", "name", "subject", "occurred_at")


class _File(NamedTuple):
    """A file, and what is in it."""

    name: str
    content: bytes
    callbacks: "list[Callback]"

    def act(self, source: str, reason: str) -> "Act":
        """The decision to import it: which file it was, and why."""
        from listener import acts

        sha256 = hashlib.sha256(self.content).hexdigest()
        return acts.Act(
            acts.IMPORTED, source=source, reason=reason, path=self.name, sha256=sha256, size=len(self.content)
        )


def import_(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE…", help='JSON, JSON Lines or mails; "-": standard input.')
    ],
    source: Annotated[str, typer.Option("--source", metavar="NAME", help="The source that they belong to.")],
    reason: Reason,
    again: Annotated[bool, typer.Option("--again", help="Also what the log says already.")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Append callbacks that never arrived, from files or mails.

    They are appended as imports, with your name and reason. What the log says already is shown and left out.

    Example: signlog import failed-callback.eml --source onespan --reason 'the door was down'
    """
    with options.opened(config) as (found, database):
        from listener.desk import known

        if source not in found.sources:
            there = ", ".join(found.sources) or "none is configured"
            raise errors.ConfigurationError(f"--source: there is no source of that name; write one of: {there}")
        read = list(_read(files, found, source))
        facts = [callback.fact for file in read for callback in file.callbacks]
        said = known.first_said(database, facts)
        rows = [row for file in read for row in _take_in(database, file, said, source, reason, again)]
    if json:
        output.json_value(rows)
        return
    output.table(rows, _COLUMNS)
    left = sum(row["position"] is None for row in rows)
    if left:
        output.note(f"Left out, because the log says the same already: {left}; --again appends them all the same.")


def _read(names: Sequence[str], settings: "Settings", source: str) -> Iterator[_File]:
    """All files, before anything is appended: who mends one of them may give them all again."""
    from listener import reinjected

    room = reinjected.MOST_BYTES
    known = settings.sources[source].provider
    importer = reinjected.Importer(source, known, options.operator(), settings.max_body_bytes)
    for name in names:
        content = _content(name, room)
        room -= len(content)
        try:
            callbacks = importer.callbacks(content)
        except errors.Fault as fault:
            raise errors.Fault(f"{name}: {fault}; nothing was imported") from None
        yield _File(name, content, callbacks)


def _content(name: str, room: int) -> bytes:
    if name == "-":
        content = sys.stdin.buffer.read(room + 1)
    else:
        with Path(name).open("rb") as file:
            content = file.read(room + 1)
    if len(content) > room:
        raise errors.Fault(f"{name}: more than {room} bytes are left for it; nothing was imported. Give fewer at once")
    return content


def _take_in(
    database: "Database", file: _File, said: "dict[Said, int]", source: str, reason: str, again: bool
) -> Iterator[dict[str, Any]]:
    """Append what nobody said before, or all of it `again`; a row for each. What is appended is `said` from then on."""
    from listener import decisions
    from listener.desk import known

    seen, takes = set(said), []
    for callback in file.callbacks:
        takes.append(again or known.said(callback.fact) not in seen)
        seen.add(known.said(callback.fact))
    drafts = [callback.draft for callback, take in zip(file.callbacks, takes, strict=True) if take]
    appended = iter(decisions.take_in(database, drafts, file.act(source, reason), options.operator()))
    for callback, take in zip(file.callbacks, takes, strict=True):
        position = next(appended) if take else None
        first = said.get(known.said(callback.fact), position)
        if first is not None:
            said.setdefault(known.said(callback.fact), first)
        yield {
            "file": file.name,
            "where": callback.where,
            "position": position,
            "same_as": None if first == position else first,
            "name": callback.fact.name,
            "subject": callback.fact.subject,
            "occurred_at": times.written(callback.fact.occurred_at),
        }
