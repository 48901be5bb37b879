"""A bar where somebody looks on, and nothing where nobody does."""

import contextlib
import sys
from collections.abc import Callable, Iterator

Told = Callable[[int, int], None]  # how much more was done, of how much in all


@contextlib.contextmanager
def bar(doing: str) -> Iterator[Told]:
    """On standard error, if that is a terminal; it leaves no trace."""
    if not sys.stderr.isatty():
        yield lambda _more, _whole: None
        return
    from rich import progress
    from rich.console import Console

    shown = progress.Progress(
        doing,
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with shown:
        task = shown.add_task("")
        yield lambda more, whole: shown.update(task, advance=more, total=whole)
