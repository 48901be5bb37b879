"""The log: one append-only table of events, what guards it, and what is kept beside it."""

from typing import Final

import sqlalchemy as sa
from alembic import op

from migrations import dialect
from migrations.dialect import NUMBER, WORDS

revision = "0001"
down_revision = None

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


def upgrade() -> None:
    """Make the tables and their guards. STRICT: a column holds what it says, whoever writes."""
    op.create_table(
        "log",
        sa.Column("first_position", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("id", sa.LargeBinary, nullable=False),
        sa.Column("created_at", NUMBER, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "events",
        sa.Column("position", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("v", NUMBER, nullable=False),
        sa.Column("recorded_at", NUMBER, nullable=False),
        sa.Column("spooled_at", NUMBER),
        sa.Column("kind", WORDS, nullable=False),
        sa.Column("source", WORDS, nullable=False),
        sa.Column("provider", WORDS, nullable=False),
        sa.Column("method", WORDS),
        sa.Column("path", WORDS),
        sa.Column("peer", WORDS),
        sa.Column("client", WORDS),
        sa.Column("headers", WORDS),
        sa.Column("credential", WORDS),
        sa.Column("body", sa.LargeBinary),
        sa.Column("salt", sa.LargeBinary),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("leaf", sa.LargeBinary, nullable=False),
        sqlite_strict=True,
    )
    acts = sa.text("kind <> 'callback'")
    op.create_index("events_acts", "events", ["kind", "path"], sqlite_where=acts, postgresql_where=acts)
    op.create_table(
        "erasures",
        sa.Column("position", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("decided", NUMBER, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "live",
        sa.Column("id", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("generation", NUMBER, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "claims",
        sa.Column("source", WORDS, primary_key=True),
        sa.Column("subject", WORDS, primary_key=True),
        sa.Column("name", WORDS, primary_key=True),
        sa.Column("fence", NUMBER, nullable=False),
        sa.Column("holder", WORDS),
        sa.Column("leased_until", NUMBER, nullable=False),
        sqlite_strict=True,
    )
    _guard()


def _guard() -> None:
    last = f"(SELECT coalesce(max(position), 0) FROM {dialect.named('events')})"
    # The insert itself must refuse a taken position: INSERT OR REPLACE deletes without firing a DELETE trigger unless
    # the connection has set recursive_triggers, and whoever opens the file may not have.
    dialect.refuse("events", "insert", f"{dialect.differ('NEW.position', last)} + 1", "a position is the last plus one")
    dialect.refuse("events", "update", f"NOT ({_is_erasure()})", "events are never changed")
    dialect.refuse("events", "delete", None, "events are never deleted")
    dialect.refuse_truncate("events", "events are never deleted")
    for table, key in (("erasures", "position"), ("log", "first_position")):
        there = f"EXISTS (SELECT 1 FROM {dialect.named(table)} WHERE {key} = NEW.{key})"
        dialect.only_grows(table, there, f"{table} only grows")


def _is_erasure() -> str:
    nothing_else_changes = " AND ".join(dialect.same(f"NEW.{name}", f"OLD.{name}") for name in _KEPT)
    return f"""
    NEW.body IS NULL AND NEW.headers IS NULL AND NEW.salt IS NULL
    AND {nothing_else_changes}
    AND EXISTS (SELECT 1 FROM {dialect.named("erasures")} WHERE position = OLD.position)
"""
