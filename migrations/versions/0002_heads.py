"""Signed heads of the tree over the log: a table that only grows."""

import sqlalchemy as sa
from alembic import op

from migrations import dialect
from migrations.dialect import NUMBER, WORDS

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table and its guards: a head is the last one's number plus one, and stays as it is."""
    op.create_table(
        "heads",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("size", NUMBER, nullable=False),
        sa.Column("signed_at", NUMBER, nullable=False),
        sa.Column("note", WORDS, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("heads_size", "heads", ["size", "number"])
    last = f"(SELECT coalesce(max(number), 0) FROM {dialect.named('heads')})"
    dialect.only_grows("heads", f"NOT ({dialect.same('NEW.number', last)} + 1)", "heads only grows")
