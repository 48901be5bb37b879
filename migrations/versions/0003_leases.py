"""Who does what only one may do, where several machines work on one log."""

import sqlalchemy as sa
from alembic import op

from migrations.dialect import NUMBER, WORDS

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "leases",
        sa.Column("name", WORDS, primary_key=True),
        sa.Column("holder", WORDS),
        sa.Column("fence", NUMBER, nullable=False),
        sa.Column("until", NUMBER, nullable=False),
        sqlite_strict=True,
    )
