"""The log: one append-only table of events, what guards it, and what is kept beside it."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_LAST: Final = "(SELECT coalesce(max(position), 0) FROM events)"
_KEPT: Final = (
    "position",
    "v",
    "recorded_at",
    "spooled_at",
    "kind",
    "source",
    "provider",
    "method",
    "path",
    "peer",
    "client",
    "credential",
    "content",
    "leaf",
)
_NOTHING_ELSE_CHANGES: Final = " AND ".join(f"NEW.{name} IS OLD.{name}" for name in _KEPT)
_IS_ERASURE: Final = f"""
    NEW.body IS NULL AND NEW.headers IS NULL AND NEW.salt IS NULL
    AND {_NOTHING_ELSE_CHANGES}
    AND EXISTS (SELECT 1 FROM erasures WHERE position = OLD.position)
"""


def upgrade() -> None:
    """Make the tables and their guards. STRICT: a column holds what it says, whoever writes."""
    op.create_table(
        "log",
        sa.Column("first_position", sa.Integer, primary_key=True),
        sa.Column("id", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.Integer, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "events",
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("v", sa.Integer, nullable=False),
        sa.Column("recorded_at", sa.Integer, nullable=False),
        sa.Column("spooled_at", sa.Integer),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("method", sa.Text),
        sa.Column("path", sa.Text),
        sa.Column("peer", sa.Text),
        sa.Column("client", sa.Text),
        sa.Column("headers", sa.Text),
        sa.Column("credential", sa.Text),
        sa.Column("body", sa.LargeBinary),
        sa.Column("salt", sa.LargeBinary),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("leaf", sa.LargeBinary, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("events_acts", "events", ["kind", "path"], sqlite_where=sa.text("kind <> 'callback'"))
    op.create_table(
        "erasures",
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("decided", sa.Integer, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "live",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("generation", sa.Integer, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "claims",
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("holder", sa.Text),
        sa.Column("leased_until", sa.Integer, nullable=False),
        sqlite_strict=True,
    )
    _guard()


def _guard() -> None:
    # The insert itself must refuse a taken position: INSERT OR REPLACE deletes without firing a DELETE trigger unless
    # the connection has set recursive_triggers, and whoever opens the file may not have.
    _refuse("events", "insert", f"NEW.position IS NOT {_LAST} + 1", "a position is the last plus one")
    _refuse("events", "update", f"NOT ({_IS_ERASURE})", "events are never changed")
    _refuse("events", "delete", "1", "events are never deleted")
    for table, key in (("erasures", "position"), ("log", "first_position")):
        _refuse(table, "insert", f"EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key})", f"{table} only grows")
        _refuse(table, "update", "1", f"{table} only grows")
        _refuse(table, "delete", "1", f"{table} only grows")


def _refuse(table: str, act: str, when: str, why: str) -> None:
    op.execute(
        f"CREATE TRIGGER {table}_refuse_{act} BEFORE {act.upper()} ON {table} WHEN {when} "
        f"BEGIN SELECT RAISE(ABORT, 'append-only: {why}'); END"
    )
