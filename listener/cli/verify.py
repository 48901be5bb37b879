"""signlog verify."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from listener import errors
from listener.cli import options, output, progress
from listener.cli.options import Config, Json

if TYPE_CHECKING:
    from listener.audit.findings import Finding
    from listener.audit.heads import Outside
    from listener.audit.verify import Report
    from listener.settings import Settings

Checkpoint = Annotated[
    Path | None,
    typer.Option("--checkpoint", metavar="FILE", help="Also against a signed head that was kept elsewhere."),
]


def verify(
    checkpoint: Checkpoint = None,
    documents: Annotated[
        bool, typer.Option("--documents", help="Also read every stored document, and compare its hash.")
    ] = False,
    json: Json = False,
    config: Config = None,
) -> None:
    """Look whether the log still is what was written.

    Each event, the tree over them, each signed head. The exit status is 1 when something is wrong.

    Example: signlog verify --checkpoint head.txt --documents
    """
    with options.opened(config) as (found, database):
        from listener import bootstrap, bootstrap_documents
        from listener.audit import verify as audit

        outside = _outside(found, checkpoint)
        papers = bootstrap_documents.cabinet(found) if documents else None
        with bootstrap.tree(found) as tree, progress.bar("verifying") as told:
            report = audit.verify(database, tree, outside, papers, told)
        if json:
            output.json_value(_shape(report))
        else:
            _show(report)
    if not report.ok:
        raise typer.Exit(options.NO)


def _outside(found: "Settings", named: Path | None) -> "list[Outside]":
    """The heads that lie outside the log: the copy that is configured, and the one that was named."""
    from listener.audit.heads import Outside
    from listener.signing import witness

    if named is not None and witness.kept(named) is None:
        raise errors.NotFoundError(f"there is no signed head in {named}")
    heads = [(path, witness.kept(path)) for path in dict.fromkeys((found.copy_file, named))]
    return [Outside(f"the head in {path}", text) for path, text in heads if text is not None]


def _shape(report: "Report") -> dict[str, Any]:
    return {
        "ok": report.ok,
        "events": report.events,
        "root": report.root.hex(),
        "heads": report.heads,
        "documents": report.documents,
        "problems": [_row(one, "problem") for one in report.problems],
        "notes": [_row(one, "note") for one in report.notes],
    }


def _row(one: "Finding", called: str) -> dict[str, Any]:
    return {"position": one.position, "kind": one.kind, called: one.said, "more": one.more}


def _show(report: "Report") -> None:
    """What is wrong first, then what was looked at."""
    output.line("Nothing is wrong." if report.ok else f"Wrong ({len(report.problems)}):")
    for one in report.problems:
        output.line(f"! {_said(one)}")
    for one in report.notes:
        output.line(f"  {_said(one)}")
    output.line()
    output.fields(
        {
            "events": report.events,
            "root": report.root.hex(),
            "signed heads": report.heads,
            "documents": report.documents or None,
        }
    )


def _said(one: "Finding") -> str:
    where = "" if one.position is None else f"event {one.position}: "
    more = f" (and {one.more} more like it)" if one.more else ""
    return f"{where}{one.said}{more}"
