"""Keeping the write-ahead log short: checkpoints between batches, so that no commit does it."""

from typing import Final

import structlog

from listener.log.database import Database

_log = structlog.get_logger()

CHECKPOINT_BYTES: Final = 2 * 1024 * 1024  # small steps: a checkpoint makes the batch behind it wait
_COMMIT_BYTES: Final = 8192  # pages that a commit writes again beside its rows


class Checkpoints:
    """When there should be one: after so much of our own, or when others wrote. Made by whoever writes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._since = 0
        self._written_at = 0

    def wrote(self, size: int) -> None:
        """Note a commit of so many bytes, and checkpoint if it is time."""
        self._since += size + _COMMIT_BYTES
        if self._since >= CHECKPOINT_BYTES:
            self._since = 0
            self.make()

    def is_due(self) -> bool:
        """Whether others wrote so much since the last time that this was asked."""
        written_at = self._database.wal_written_at()
        if self._database.wal_bytes() <= CHECKPOINT_BYTES or written_at == self._written_at:
            return False
        self._written_at = written_at
        return True

    def make(self) -> None:
        """One, as far as readers let us."""
        try:
            self._database.checkpoint()
        except Exception as error:
            _log.error("checkpoint_failed", error=repr(error))
