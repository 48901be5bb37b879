"""Draining the spool: what waits there is appended, in order, and each callback once."""

from collections.abc import Iterator, Sequence
from typing import Final

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DataError

from listener import errors
from listener.log import clock, heads, reader
from listener.log.append import BULK_ROWS, append
from listener.log.database import Database
from listener.log.migrate import migrate, revision
from listener.log.reader import Tip
from listener.log.spool import Segment, Spool
from listener.log.spooled import Spooled, line, read

_log = structlog.get_logger()

_BATCH_BYTES: Final = 4 * 1024 * 1024
_CLOCKS: Final = 60_000_000  # microseconds that clocks may differ by
_PAGE: Final = 5000  # hashes that are looked at in one transaction


class Drain:
    """Moves segments into the log. Their callbacks keep the time at which they were spooled."""

    def __init__(self, database: Database, spool: Spool) -> None:
        self._database = database
        self._spool = spool

    def run(self) -> Tip:
        """Append all that waits now; where the log ends then. Raises what the database does.

        The log may lie elsewhere than before: in a server that took over, or that has another version of us.
        """
        self._assert_same_log()
        migrate(self._database)
        self._database.assert_suitable()
        self._database.probe()
        goal = self._spool.kept
        while self._spool.removed < goal and (segment := self._spool.oldest()) is not None:
            self._segment(segment)
        with self._database.reading() as connection:
            return reader.tip(connection)

    def _assert_same_log(self) -> None:
        """Raise UnsuitableDatabase where no log is, as while one is restored, and if what waits is another one's.

        Else it would be appended to a log that nobody asks for, and be gone from here.
        """
        with self._database.reading() as connection:
            known = heads.epochs(connection) if revision(connection) is not None else []
            tip = reader.tip(connection) if known else Tip()
        if not known:
            raise errors.UnsuitableDatabase(f"there is no log in {self._database.name}; is it being restored?")
        self._spool.belong(known[0].id, tip)

    def _segment(self, segment: Segment) -> None:
        records, damaged = read(segment.content())
        for piece in damaged:
            _log.error("spool_damaged", segment=segment.path.name, bytes=len(piece))
            self._spool.set_aside(piece)
        if records:
            appended = self._append_all(records)
            _log.warning("spool_drained", appended=appended, stood_already=len(records) - appended)
        self._spool.remove(segment)

    def _append_all(self, records: Sequence[Spooled]) -> int:
        """How many of them the log did not have."""
        known = Known(records)
        known.catch_up(self._database)
        return sum(self._append(batch, known) for batch in _batches(records))

    def _append(self, records: Sequence[Spooled], known: "Known") -> int:
        """Append these. One that the database refuses for what it is must not keep all others waiting."""
        try:
            with self._database.writing() as connection:
                known.look(connection)
                return len(append(connection, [record.draft for record in records if not known.has(record)]))
        except DataError as error:
            if len(records) > 1:
                return sum(self._append([record], known) for record in records)
            _log.error("spool_refused", error=repr(error.orig))
            self._spool.set_aside(line(records[0]).removesuffix(b"\n"))
            return 0


class Known:
    """Which of these the log has already. A commit may have gone through whose answer nobody heard.

    Whoever holds the append lock sees all that will ever have been committed before: what is still under way elsewhere
    has not got the lock, or has ended.
    """

    def __init__(self, records: Sequence[Spooled]) -> None:
        self._wanted = {record.content for record in records}
        self._found: set[bytes] = set()
        self._after = min(record.head for record in records)
        self._newest = max((record.tip for record in records), key=lambda tip: tip.position)
        self._since = min(record.draft.spooled_at or 0 for record in records) - _CLOCKS

    def catch_up(self, database: Database) -> None:
        """Look at what is there by now, in short transactions: it may be much, and nobody should wait for the lock.

        If the log was cut (restored, or a server that lacks the newest), however much came since, we may have begun to
        drain into it, and were killed: then what came since the first of these was spooled counts.
        """
        with database.reading() as connection:
            if not reader.goes_on(connection, self._newest):
                self._after = min(self._after, clock.reached(connection, self._since - 1))
        while True:
            with database.reading() as connection:
                if self._page(connection) < _PAGE:
                    return

    def look(self, connection: Connection) -> None:
        """Look at what was appended since, under the lock."""
        while self._page(connection) == _PAGE:
            pass

    def _page(self, connection: Connection) -> int:
        page = reader.hashes(connection, self._after, _PAGE)
        self._found |= self._wanted.intersection(content for _, content in page)
        if page:
            self._after = page[-1][0]
        return len(page)

    def has(self, record: Spooled) -> bool:
        """Whether it stands there."""
        return record.content in self._found


def _batches(records: Sequence[Spooled]) -> Iterator[list[Spooled]]:
    """So few at a time that nobody waits long for the lock."""
    batch, size = list[Spooled](), 0
    for record in records:
        batch.append(record)
        size += len(record.draft.body) + len(record.draft.headers)
        if len(batch) == BULK_ROWS or size > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
