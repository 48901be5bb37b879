"""signlog downloads check."""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from listener import errors
from listener.cli import options, output, progress
from listener.cli.options import Config, Json

if TYPE_CHECKING:
    from listener.worker.checks import Checked, Checks, Which

_COLUMNS = ("source", "subject", "name", "before", "found", "text")


class _Count:
    """How many were looked at, and of how many that is something else than before, or in doubt; and how many not."""

    def __init__(self) -> None:
        self.checked = self.differ = self.doubtful = self.problems = 0

    def add(self, one: "Checked") -> None:
        """One more."""
        self.checked += one.problem is None
        self.differ += one.position is not None
        self.doubtful += one.now is not None and one.now.doubtful
        self.problems += one.problem is not None


def check(
    source: Annotated[str | None, typer.Argument(metavar="SOURCE", help="Of this source …")] = None,
    id: Annotated[str | None, typer.Argument(metavar="ID", help="… of this package or transaction …")] = None,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="… this document.")] = None,
    all: Annotated[bool, typer.Option("--all", help="Everything that is stored.")] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Check the signatures of stored documents again.

    For those that were stored before somebody said whom to trust, or before there was anything to check them with.
    What is found now counts, and is kept in the log where it is something else than before. The exit status is 1
    when a document is not signed as it should be, is not what was stored, or could not be judged.

    Example: signlog downloads check --all
    """
    options.no_option(source)
    with options.opened(config) as (found, database):
        from listener import bootstrap_checking
        from listener.worker.checks import Which

        options.one_or_all(source, all)
        if source is not None and source not in found.sources:
            raise errors.NotFoundError(f"there is no source {source}; configured: {', '.join(found.sources) or 'none'}")
        count = _Count()
        with bootstrap_checking.checks(found, database) as checks:
            telling = map(_line, _telling(checks, Which(source, id, name), count))
            if json:
                output.json_lines(telling, at_once=True)
            shown, more = list(islice(telling, output.ON_A_SCREEN)), sum(1 for _ in telling)
        if source is not None and not (count.checked or count.problems):
            raise errors.NotFoundError("nothing to check: no such document is stored, or it holds no PDF")
        if not json:
            _show(shown, more, count)
        if count.doubtful or count.problems:
            raise typer.Exit(options.NO)


def _telling(checks: "Checks", which: "Which", count: _Count) -> "Iterator[Checked]":
    """Those of which there is something to tell."""
    with progress.bar("Checking signatures") as tell:
        whole = checks.count(which)
        for one in checks.run(which):
            tell(1, whole)
            if one is not None:
                count.add(one)
                if one.position is not None or one.problem is not None:
                    yield one


def _show(rows: list[dict[str, Any]], more: int, count: _Count) -> None:
    counts = {"checked": count.checked, "differ": count.differ, "in doubt": count.doubtful}
    output.fields({**counts, "not judged": count.problems or None})
    if rows:
        output.line()
        output.table(rows, _COLUMNS)
    if more:
        output.note(f"… and {more} more; 'signlog events --name checked' lists what was found.")


def _line(one: "Checked") -> dict[str, Any]:
    """A document of which there is something new to tell."""
    return {
        "source": one.artifact.source,
        "subject": one.artifact.subject,
        "name": one.artifact.name,
        "before": one.before.found if one.before else None,
        "found": one.now.found if one.now else None,
        "doubtful": one.now.doubtful if one.now else None,
        "text": one.now.text if one.now else one.problem,
        "position": one.position,
        "problem": one.problem,
    }
