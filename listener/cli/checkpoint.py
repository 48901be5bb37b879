"""signlog checkpoint."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from listener import errors
from listener.cli import options, output
from listener.cli.options import Config, Json

if TYPE_CHECKING:
    from listener.log.database import Database
    from listener.log.heads import Head
    from listener.log.note import PublicKey


def checkpoint(
    key: Annotated[bool, typer.Option("--key", help="Print the public key that heads are signed with.")] = False,
    rotate: Annotated[bool, typer.Option("--rotate", help="Make another key, and sign a head with both.")] = False,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why another key; it is kept in the log.")
    ] = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Sign the head of the log as it is now, and print the note.

    Keep it where nobody who can write to this machine can change it: it shows whether the log was rewritten.

    Example: signlog checkpoint
    """
    if key and rotate:
        raise typer.BadParameter("--key or --rotate")
    if rotate != bool(reason and reason.strip()):
        raise typer.BadParameter("--rotate and --reason go together; the reason is kept in the log")
    with options.opened(config) as (found, database):
        from listener import bootstrap, logs

        logs.configure()
        if key:
            _print_key(_named(database), json)
            return
        with bootstrap.signer(found, database) as signer:
            _print(signer.rotate(options.operator(), reason) if reason else signer.sign(), json)


def _named(database: "Database") -> "PublicKey":
    from listener.signing import decided

    with database.reading() as connection:
        named = decided.named(connection)
    if not named:
        raise errors.NotFoundError("nothing was signed yet; 'signlog serve' does it, and 'signlog checkpoint'")
    return named[-1].key


def _print_key(key: "PublicKey", json: bool) -> None:
    """As verifiers of signed notes take it, and as openssl does, which skips the first line."""
    if json:
        output.json_value({"key": str(key), "pem": key.pem})
    else:
        output.line(str(key))
        output.raw_text(key.pem)


def _print(head: "Head", json: bool) -> None:
    from listener.log import note

    if json:
        signed = note.read(head.note).head
        shape: dict[str, Any] = {"size": head.size, "root": signed.root.hex(), "note": head.note}
        output.json_value(shape)
    else:
        output.raw_text(head.note)
