"""What folds go by: declared in the log by whoever folds; a door adds what nobody has declared, and changes nothing."""

from collections.abc import Callable

import msgspec
from sqlalchemy import Connection

from listener import __version__, acts, fingerprint, sources
from listener.acts import InForce, SourceInForce
from listener.log import event, reader
from listener.log.append import append
from listener.log.database import Database
from listener.settings import Settings


def declare(database: Database, settings: Settings) -> None:
    """Append what is in force, if it differs from what was: folds read it there, never from the configuration."""
    ours = _ours(settings)
    _append(database, lambda _: ours)


def declare_new(database: Database, settings: Settings) -> None:
    """Append the sources of which nothing is in force yet; all of ours in a new log.

    What comes of a source before it is declared would want nothing. But of what is declared already, whoever folds has
    the say: doors that disagree would take turns, and each callback would mean what the last one that started says.
    """
    ours = _ours(settings)

    def joined(known: InForce | None) -> InForce:
        return ours if known is None else msgspec.structs.replace(known, sources={**ours.sources, **known.sources})

    _append(database, joined)


def _append(database: Database, declared: Callable[[InForce | None], InForce]) -> None:
    with database.reading() as log:
        known = _known(log)
    if declared(known) == known:
        return
    with database.writing() as log:
        known = _known(log)
        if declared(known) != known:
            append(log, [acts.in_force(declared(known))])


def notes(log: Connection, settings: Settings) -> list[str]:
    """How this machine's code and settings differ from what is in force, and what to do about it."""
    known = _known(log)
    if known is None:
        return []
    ours, found = _sources(settings), list[str]()
    names = sorted(name for name in {*ours, *known.sources} if ours.get(name) != known.sources.get(name))
    if names:
        found.append(
            f"of {', '.join(names)} something else is in force than this machine's configuration says; "
            "give all machines the same signlog.toml, and restart 'signlog serve' where the worker leads"
        )
    if known.fingerprint != fingerprint.fingerprint():
        found.append(
            f"other code than this machine's is in force (of version {known.version}); install the same version on all "
            "machines, and restart 'signlog serve' where the worker leads"
        )
    return found


def _known(log: Connection) -> InForce | None:
    return acts.newest_in_force(reader.acts(log, event.DECISION, acts.IN_FORCE_PATH, last=20))


def _ours(settings: Settings) -> InForce:
    return InForce(acts.IN_FORCE, __version__, fingerprint.fingerprint(), fingerprint.code(), _sources(settings))


def _sources(settings: Settings) -> dict[str, SourceInForce]:
    return {
        name: SourceInForce(source.provider, sources.wanted_artifacts(name, source))
        for name, source in settings.sources.items()
    }
