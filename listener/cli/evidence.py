"""signlog evidence."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from listener import errors
from listener.cli import options, output
from listener.cli.options import Config, Json

if TYPE_CHECKING:
    from listener.evidence.making import Made


def evidence(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The source.")],
    id: Annotated[str, typer.Argument(metavar="ID", help="The package or transaction.")],
    file: Annotated[Path, typer.Option("--output", metavar="FILE", help="The zip; it must not be there yet.")],
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="FILE", help="Prove it under this signed head, which was kept elsewhere."),
    ] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Make a zip that tells and proves what is known of a package.

    A package or a transaction. The zip stands alone: a page to read and print, the events as they were stored,
    documents, proofs, and a program that checks it all.

    Example: signlog evidence onespan 'LWsUTvGgE4WpOvaQPT16idnxNj8=' --output evidence.zip
    """
    options.no_option(source)
    with options.opened(config) as (found, database):
        from listener import bootstrap, bootstrap_documents, logs
        from listener.evidence.making import Evidence

        logs.configure()
        with bootstrap.signer(found, database) as signer:
            papers = bootstrap_documents.cabinet(found)
            making = Evidence(database, found.folder, papers, found.disk_reserve, signer)
            made = making.make(source, id, file, _kept(checkpoint))
        if json:
            output.json_value(_shape(made))
        else:
            output.line(f"Written: {made.file}, {made.events} events, {made.documents} documents")
        _warn(made)
    if made.missing:
        raise typer.Exit(options.NO)


def _kept(checkpoint: Path | None) -> str | None:
    """The head in a file."""
    from listener.signing import witness

    found = witness.kept(checkpoint)
    if checkpoint is not None and found is None:
        raise errors.NotFoundError(f"there is no signed head in {checkpoint}")
    return found


def _shape(made: "Made") -> dict[str, Any]:
    return {
        "file": str(made.file),
        "events": made.events,
        "documents": made.documents,
        "missing": [paper.stored.path for paper in made.missing],
        "not_covered": made.uncovered,
    }


def _warn(made: "Made") -> None:
    """What the evidence says itself, too."""
    for paper in made.missing:
        output.note(f"The document {paper.stored.path} is not in it: {paper.why}.")
    if made.uncovered:
        output.note(f"No signed head covers {len(made.uncovered)} of the events yet. {made.why or ''}")
