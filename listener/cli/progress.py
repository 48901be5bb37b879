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
        progress.TextColumn("{task.fields[rate]}"),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with shown:
        task = shown.add_task("", rate="")

        def tell(more: int, whole: int) -> None:
            speed = shown.tasks[0].speed
            shown.update(task, advance=more, total=whole, rate=f"{speed:,.0f}/s" if speed else "")

        yield tell
