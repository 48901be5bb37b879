"""The command line. Each group of commands is a file; what is heavy is imported when a command runs."""

import os
import sys
from typing import Annotated

import typer

from listener import __version__
from listener.cli import (
    backup,
    checkpoint,
    copy_to,
    demo,
    downloads,
    erase,
    events,
    evidence,
    expect,
    faults,
    health,
    import_,
    quarantine,
    reconcile,
    register,
    replay,
    serve,
    status,
    timeline,
    verify,
)
from listener.cli.options import ID_FRIENDLY

app = typer.Typer(
    name="signlog",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"signlog {__version__}")
        raise typer.Exit


@app.callback()
def signlog(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """Keeps every callback of your e-signature providers, and fetches each signed document once.

    Example: signlog demo
    """


app.command("serve")(serve.serve)
app.command("demo")(demo.demo)
app.command("events")(events.events)
app.command("show")(events.show)
app.command("status", context_settings=ID_FRIENDLY)(status.status)
app.command("timeline", context_settings=ID_FRIENDLY)(timeline.timeline)
app.command("explain", context_settings=ID_FRIENDLY)(timeline.explain)
app.command("expect", context_settings=ID_FRIENDLY)(expect.expect)
app.command("health")(health.health)
app.command("import")(import_.import_)
app.command("reconcile")(reconcile.reconcile)
app.command("register")(register.register)
app.command("replay")(replay.replay)
app.command("erase", context_settings=ID_FRIENDLY)(erase.erase)
app.command("hold", context_settings=ID_FRIENDLY)(erase.hold)
app.command("verify")(verify.verify)
app.command("checkpoint")(checkpoint.checkpoint)
app.command("evidence", context_settings=ID_FRIENDLY)(evidence.evidence)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("copy-to")(copy_to.copy_to)
app.add_typer(downloads.app, name="downloads")
app.add_typer(faults.app, name="faults")
app.add_typer(quarantine.app, name="quarantine")


def main() -> None:
    """Run, and leave quietly when the reader of our output went away (`signlog events | head`)."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal that has no letter for it shows "?"
    try:
        try:
            app(prog_name="signlog")
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered would be written, and fail, once more at the interpreter's end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
