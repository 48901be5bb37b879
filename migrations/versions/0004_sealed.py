"""A log that was copied elsewhere, and goes on there."""

import sqlalchemy as sa
from alembic import op

from migrations import dialect
from migrations.dialect import NUMBER

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table, and let nothing be appended once there is a row in it."""
    op.create_table(
        "sealed",
        sa.Column("position", NUMBER, primary_key=True, autoincrement=False),
        sqlite_strict=True,
    )
    sealed = f"EXISTS (SELECT 1 FROM {dialect.named('sealed')})"
    dialect.only_grows("sealed", sealed, "a log is sealed once")
    dialect.refuse("events", "insert", sealed, "this log is sealed, and goes on elsewhere", guard="sealed")
