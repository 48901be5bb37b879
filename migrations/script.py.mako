"""${message}."""

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Only forward: the log is never taken back to an older shape."""
    ${upgrades if upgrades else "pass"}
