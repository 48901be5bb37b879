"""Whether the tables, indexes and triggers of the log are those that the migrations make."""

from typing import Final

from sqlalchemy import Connection

from listener.audit import findings
from listener.audit.findings import Findings
from listener.log import catalog
from listener.log.catalog import Made

_HANGING: Final = ("index", "trigger", "view", "rule")  # what changes how our tables behave; other tables do not


def check(connection: Connection, wanted: Made, found: Findings) -> None:
    """Compare them word for word with `migrate.fresh`. Tables of others are not ours: a backup tool has some."""
    there = catalog.made(connection)
    for (kind, name), sql in wanted.items():
        if (kind, name) not in there:
            found.problem(findings.GUARDS, None, f"the {kind} {name} is gone")
        elif _words(there[kind, name]) != _words(sql):
            found.problem(findings.GUARDS, None, f"the {kind} {name} is another one than the migrations make")
    for kind, name in there.keys() - wanted.keys():
        if kind in _HANGING:
            found.problem(findings.GUARDS, None, f"there is a {kind} {name} that no migration makes")


def _words(sql: str) -> list[str]:
    return sql.split()
