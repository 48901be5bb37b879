"""signlog events, signlog show."""

import itertools
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from listener import errors
from listener.cli import options, output
from listener.cli.options import Before, Config, Csv, Json
from listener.cli.table import cell

if TYPE_CHECKING:
    from listener.desk.search import Search, Span
    from listener.log.database import Database

_COLUMNS = ("position", "recorded_at", "name", "subject", "source", "kind")
_SHEET = (
    *("position", "recorded_at", "kind", "source", "path", "peer", "client", "credential", "name", "subject"),
    *("occurred_at", "size", "body", "body_base64"),
)
_FOLLOWED = (8, 27, 22, 28, 9, 0)  # widths: nobody knows how wide what comes will be
_FOLLOW_SECONDS = 0.2


Kind = Annotated[str | None, typer.Option(metavar="KIND", help="callback, import, observation, outcome or decision.")]
Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="Recorded then or later: a time, a day, or an age such as 2h.")
]


def events(
    source: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this source.")] = None,
    subject: Annotated[str | None, typer.Option(metavar="ID", help="Only about this package or transaction.")] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Only this name, such as PACKAGE_COMPLETE.")] = None,
    kind: Kind = None,
    contains: Annotated[str | None, typer.Option(metavar="TEXT", help="Only with this text in the body.")] = None,
    since: Since = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Recorded before.")] = None,
    after: Annotated[int | None, typer.Option(metavar="POSITION", min=0, help="Behind this position.")] = None,
    before: Before = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="At most so many.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on as new ones arrive; Ctrl-C ends it.")] = False,
    json: Json = False,
    csv: Csv = False,
    config: Config = None,
) -> None:
    """List what the log holds: the newest, oldest first.

    With --after, the next ones behind a position. With --json, JSON Lines: all of them, unless there is a --limit.

    Example: signlog events --source onespan --since 2h
    """
    options.one_form(json, csv)
    if follow and (until is not None or before is not None):
        raise typer.BadParameter("--follow goes on; it has no --until and no --before")
    with options.opened(config) as (_, database):
        from listener.desk.events import Filter
        from listener.desk.search import Search

        search = Search(database, Filter(source, subject, name, _known(kind), contains))
        span = _part(database, since, until, after, before)
        count = limit if limit is not None or json or csv else output.ON_A_SCREEN
        found = _lines(search, span, count, newest=after is None)
        if follow:
            _print(itertools.chain(found, _following(database, search, span)), json, csv, at_once=True)
        elif json or csv:
            _print(found, json, csv)
        else:
            _tell(list(found), limit is None, after is not None)


def _known(kind: str | None) -> str | None:
    from listener.log.event import KINDS

    if kind is not None and kind not in KINDS:
        raise errors.ConfigurationError(f"--kind: there is no such kind; write one of: {', '.join(KINDS)}")
    return kind


def _part(database: "Database", since: str | None, until: str | None, after: int | None, before: int | None) -> "Span":
    """The positions that these leave. Times part the log where our clock first passed them."""
    from listener import times
    from listener.desk.search import Span
    from listener.log import clock, reader

    with database.reading() as connection:
        last = reader.head(connection)
        first = 1 if since is None else clock.reached(connection, times.read(since) - 1) + 1
        if until is not None:
            last = clock.reached(connection, times.read(until) - 1)
    return Span(max(first, (after or 0) + 1), last if before is None else min(last, before - 1))


def _lines(search: "Search", span: "Span", count: int | None, newest: bool) -> Iterator[dict[str, Any]]:
    if count is not None and newest:
        return iter(search.newest(span, count))
    return itertools.islice(search.every(span), count)


def _following(database: "Database", search: "Search", span: "Span") -> Iterator[dict[str, Any]]:
    """What is appended from now on, for ever."""
    from listener.desk.events import head

    while True:
        time.sleep(_FOLLOW_SECONDS)
        span = span._replace(first=max(span.first, span.last + 1), last=head(database))
        yield from search.every(span)


def _print(found: Iterator[dict[str, Any]], json: bool, csv: bool, at_once: bool = False) -> None:
    if json:
        output.json_lines(found, at_once)
    elif csv:
        output.sheet(found, _SHEET, at_once)
    else:
        for line in found:
            cells = [cell(line[column]) for column in _COLUMNS]
            output.line("  ".join(f"{text:<{width}}" for text, width in zip(cells, _FOLLOWED, strict=True)), at_once)


def _tell(found: list[dict[str, Any]], cut: bool, forward: bool) -> None:
    output.table(found, _COLUMNS, "No such event. Without options, 'signlog events' lists the newest.")
    if cut and len(found) == output.ON_A_SCREEN:
        where = f"--after {found[-1]['position']}" if forward else f"--before {found[0]['position']}"
        output.note(f"There may be more; go on with {where}, or ask for all of them with --json.")


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
