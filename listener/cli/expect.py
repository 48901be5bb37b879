"""signlog expect."""

import shlex
from collections.abc import Mapping
from typing import Annotated

import typer

from listener import errors
from listener.cli import options, output
from listener.cli.options import Config, Json

_Kind = Annotated[
    str | None, typer.Option(metavar="KIND", help="How it is signed; of Evrotrust: document, group, otp, hash …")
]
_Thread = Annotated[str | None, typer.Option(metavar="THREAD", help="The thread that it came with.")]
_Key = Annotated[str | None, typer.Option(metavar="NAME", help="The private key to try first: its file, without .pem.")]
_Reference = Annotated[str | None, typer.Option(metavar="TEXT", help="What it is called at your side.")]
_Deadline = Annotated[
    str | None, typer.Option(metavar="TIME", help="When it must have ended: a time, a day, or +14d from now.")
]
_Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Why; it is kept in the log.")]


def expect(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The source.")],
    id: Annotated[str, typer.Argument(metavar="ID", help="The package or transaction.")],
    kind: _Kind = None,
    thread: _Thread = None,
    key: _Key = None,
    reference: _Reference = None,
    deadline: _Deadline = None,
    reason: _Reason = None,
    json: Json = False,
    config: Config = None,
) -> None:
    """Say what you started at a provider, because no callback does.

    It can be said before the first callback or after it. Said again, the later word stands as a whole.

    Example: signlog expect evrotrust 123456789012 --kind group --reference order-17 --deadline +14d
    """
    options.no_option(source)
    with options.opened(config) as (found, database):
        from listener import decisions, provider, times
        from listener.log.append import now
        from projections.facts import Expected

        if source not in found.sources:
            known = ", ".join(found.sources) or "none"
            raise errors.ConfigurationError(f"there is no source {source}; configured: {known}")
        name = found.sources[source].provider
        _check(id, name, kind, provider.named(name).KINDS)
        until = None if deadline is None else times.read(deadline)
        expected = Expected(thread or None, kind, key or None, reference or None, until)
        position = decisions.expect(database, source, name, id, expected, options.operator(), reason or None)
        if json:
            output.json_value({"position": position})
            return
        output.note(f"Noted at position {position}. Where it stands: signlog status {source} {shlex.quote(id)}")
        if until is not None and until < now():
            output.note(
                f"Its deadline, {times.written(until)}, has passed already; a time from now on has a plus: +14d."
            )


def _check(id: str, name: str, kind: str | None, kinds: Mapping[str, str]) -> None:
    if not id.strip():
        raise errors.ConfigurationError("the id is empty")
    if kind is not None and kind not in kinds:
        instead = f"write one of: {', '.join(kinds)}" if kinds else "leave it out"
        raise errors.ConfigurationError(f"--kind: {name} has no such kind; {instead}")
