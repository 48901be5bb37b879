"""signlog events, signlog show."""

import sys
import time
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from listener import errors
from listener.cli import options, output
from listener.cli.options import Config, Json

if TYPE_CHECKING:
    from listener.desk.events import Filter
    from listener.log.database import Database

_COLUMNS = ("position", "recorded_at", "kind", "source", "name", "subject", "size")
_ON_A_SCREEN = 50
_FOLLOW_SECONDS = 0.2


def events(
    source: Annotated[str | None, typer.Option(help="Only of this source.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only about this package or transaction.")] = None,
    name: Annotated[str | None, typer.Option(help="Only with this name, such as PACKAGE_COMPLETE.")] = None,
    kind: Annotated[str | None, typer.Option(help="callback, import, observation, outcome or decision.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Recorded at or after: a time, a day, or an age such as 2h.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Recorded before.")] = None,
    after: Annotated[int | None, typer.Option(help="Behind this position.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on as new ones arrive.")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """List events: without --after the newest, in order. JSON Lines with --json.

    Example: signlog events --source onespan --since 2h
    """
    with options.opened(config) as (_, database):
        from listener import times
        from listener.desk.events import Filter
        from listener.log.event import KINDS

        if kind is not None and kind not in KINDS:
            raise errors.ConfigurationError(f"--kind {kind}: there is no such kind; write one of: {', '.join(KINDS)}")
        wanted = Filter(
            source, subject, name, kind, times.read(since) if since else None, times.read(until) if until else None
        )
        if limit is None and not json and after is None:
            limit = _ON_A_SCREEN
        found = _listed(database, wanted, after, limit, follow)
        if json:
            output.json_lines(found)
        elif follow:
            for line in found:
                output.line("  ".join(str(line[column]) for column in _COLUMNS))
        else:
            output.table(list(found), _COLUMNS)


def _listed(
    database: "Database", wanted: "Filter", after: int | None, limit: int | None, follow: bool
) -> Iterator[dict[str, Any]]:
    from listener.desk import events as desk

    newest = limit is not None and after is None
    found = iter(desk.newest(database, wanted, limit or 0)) if newest else desk.every(database, wanted, after or 0)
    seen = after or 0
    for line in found if newest else islice(found, limit):
        seen = line["position"]
        yield line
    while follow:
        time.sleep(_FOLLOW_SECONDS)
        for line in desk.every(database, wanted, seen):
            seen = line["position"]
            yield line


def show(
    position: Annotated[int, typer.Argument(help="Its place in the log.")],
    raw: Annotated[bool, typer.Option("--raw", help="Exactly the body's bytes, and nothing else.")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Show one event whole.

    Example: signlog show 17 --raw
    """
    with options.opened(config) as (_, database):
        from listener.desk import events as desk
        from listener.log import reader

        with database.reading() as connection:
            found = reader.one(connection, position)
        if found is None:
            raise errors.NotFoundError(f"there is no event {position}")
        if raw:
            sys.stdout.buffer.write(found.body or b"")
            return
        whole = desk.whole(found)
        if json:
            output.json_value(whole)
            return
        body = whole.pop("body", None) or whole.pop("body_base64", None)
        headers = whole.pop("headers") or []
        output.fields(whole)
        for header, value in headers:
            output.line(f"    {header}: {value}")
        if body:
            output.line()
            output.line(body)
