"""signlog events, signlog show."""

import time
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from listener import errors
from listener.cli import options, output
from listener.cli.options import Config, Json
from listener.cli.table import cell

if TYPE_CHECKING:
    from listener.desk.events import Filter
    from listener.log.database import Database

_COLUMNS = ("position", "recorded_at", "name", "subject", "source", "kind")
_FOLLOWED = (8, 27, 22, 28, 9, 0)  # widths: nobody knows how wide what comes will be
_ON_A_SCREEN = 50
_FOLLOW_SECONDS = 0.2


def events(
    source: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this source.")] = None,
    subject: Annotated[str | None, typer.Option(metavar="ID", help="Only about this package or transaction.")] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Only this name, such as PACKAGE_COMPLETE.")] = None,
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help="callback, import, observation, outcome or decision.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Recorded then or later: a time, a day, or an age such as 2h.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Recorded before.")] = None,
    after: Annotated[int | None, typer.Option(metavar="POSITION", min=0, help="Behind this position.")] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="At most so many.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on as new ones arrive; Ctrl-C ends it.")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """List what the log holds: the newest, oldest first.

    With --after, the next ones behind a position. With --json, JSON Lines: all of them, unless there is a --limit.

    Example: signlog events --source onespan --since 2h
    """
    with options.opened(config) as (_, database):
        wanted = _wanted(source, subject, name, kind, since, until)
        if limit is None and not json and after is None:
            limit = _ON_A_SCREEN
        found = _listed(database, wanted, after, limit, follow)
        if json:
            output.json_lines(found, at_once=follow)
        elif follow:
            _follow(found)
        else:
            output.table(list(found), _COLUMNS, "No such event. Without options, 'signlog events' lists the newest.")


def _wanted(
    source: str | None, subject: str | None, name: str | None, kind: str | None, since: str | None, until: str | None
) -> "Filter":
    from listener import times
    from listener.desk.events import Filter
    from listener.log.event import KINDS

    if kind is not None and kind not in KINDS:
        raise errors.ConfigurationError(f"--kind: there is no such kind; write one of: {', '.join(KINDS)}")
    return Filter(
        source, subject, name, kind, times.read(since) if since else None, times.read(until) if until else None
    )


def _listed(
    database: "Database", wanted: "Filter", after: int | None, limit: int | None, follow: bool
) -> Iterator[dict[str, Any]]:
    from listener.desk import events as desk

    seen = desk.head(database) if follow else 0
    if limit is not None and after is None:
        found: Iterator[dict[str, Any]] = iter(desk.newest(database, wanted, limit))
    else:
        found = islice(desk.every(database, wanted, after or 0), limit)
    for line in found:
        seen = max(seen, line["position"])
        yield line
    while follow:
        time.sleep(_FOLLOW_SECONDS)
        head = desk.head(database)
        for line in desk.every(database, wanted, seen):
            head = max(head, line["position"])
            yield line
        seen = head


def _follow(found: Iterator[dict[str, Any]]) -> None:
    for line in found:
        cells = [cell(line[column]) for column in _COLUMNS]
        output.line("  ".join(f"{text:<{width}}" for text, width in zip(cells, _FOLLOWED, strict=True)), at_once=True)


def show(
    position: Annotated[int, typer.Argument(metavar="POSITION", min=1, help="Its place in the log.")],
    raw: Annotated[bool, typer.Option("--raw", help="Exactly the body's bytes, and nothing else.")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Show one event whole.

    Example: signlog show 17
    """
    with options.opened(config) as (_, database):
        from listener.desk import events as desk
        from listener.log import reader

        with database.reading() as connection:
            found = reader.one(connection, position)
        if found is None:
            raise errors.NotFoundError(f"there is no event {position}; the newest is {desk.head(database)}")
        if raw:
            output.raw(found.body or b"")
        elif json:
            output.json_value(desk.whole(found))
        else:
            output.whole(desk.whole(found), found.body or b"", f"signlog show {position} --raw")
