"""Whether the tables, indexes and triggers of the log are those that the migrations make."""

from typing import Final

from sqlalchemy import Connection

from listener.audit import findings
from listener.audit.findings import Findings
from listener.log import migrate

_HANGING: Final = ("index", "trigger", "view")  # what changes how our tables behave; other tables do not


def check(connection: Connection, found: Findings) -> None:
    """Compare them word for word; tables of others (a backup tool has some) are none of ours."""
    wanted, there = migrate.fresh(), migrate.made(connection)
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
