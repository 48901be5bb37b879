"""Signed heads of the tree over the log: a table that only grows."""

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_IS_NEXT: Final = "NEW.number IS (SELECT coalesce(max(number), 0) FROM heads) + 1"


def upgrade() -> None:
    """Make the table and its guards: a head is the last one's number plus one, and stays as it is."""
    op.create_table(
        "heads",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("signed_at", sa.Integer, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("heads_size", "heads", ["size", "number"])
    for act, when in (("insert", f"NOT ({_IS_NEXT})"), ("update", "1"), ("delete", "1")):
        op.execute(
            f"CREATE TRIGGER heads_refuse_{act} BEFORE {act.upper()} ON heads WHEN {when} "
            "BEGIN SELECT RAISE(ABORT, 'append-only: heads only grows'); END"
        )
