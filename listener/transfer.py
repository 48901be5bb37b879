"""Moves a log into another database while it is appended to, and seals the one that it leaves."""

from typing import Final, NamedTuple

from sqlalchemy import Connection, Table, select
from sqlalchemy.exc import DBAPIError

from listener import acts, errors
from listener.acts import Act
from listener.audit import scan
from listener.audit.events import Events
from listener.audit.findings import Findings
from listener.audit.scan import Page
from listener.audit.verify import Told
from listener.log import erase, heads, migrate, reader, schema
from listener.log.append import append, insert
from listener.log.database import Database
from listener.log.merkle import Frontier
from listener.log.postgres import Postgres
from listener.signing.signer import Signer

_ROWS_AT_ONCE: Final = 500
_FEW: Final = 200  # events: what may be copied while nobody appends
LOCKED_SECONDS: Final = 4.0  # that the target may take meanwhile: a door waits for 5, then it spools
_BESIDE: Final = (schema.heads, schema.live, schema.claims, schema.log)  # the id comes last: then it is a log


class Moved(NamedTuple):
    """How many events went over, the last of which sealed the log, and the root over them."""

    events: int
    root: bytes


class Transfer:
    """From `source` to `target`. What was copied is read back and compared; stopped, it goes on where it was."""

    def __init__(self, source: Database, target: Postgres, signer: Signer) -> None:
        self._source = source
        self._target = target
        self._signer = signer
        self._found = Findings()
        self._frontier = Frontier()

    def make(self, operator: str, told: Told) -> Moved:
        """Copy everything, and seal the source, so that it takes nothing more. Raises CopyRefused, SigningStopped.

        Who appends need not wait while it is copied: what comes then is copied, too. Everybody waits only for the last
        few events, which are copied under the append lock, and for the decision behind them that ends the log. If the
        target is too slow for them, the lock is let go of, and nothing is sealed. Whether it was or not: typed again,
        it goes on where it was.
        """
        self._target.assert_suitable()
        self._signer.sign()  # whoever cannot sign the last head should hear so before
        migrate.make_tables(self._target)
        self._assert_ours()
        with self._source.reading() as log:
            self._checked = Events(self._source, heads.epochs(log), self._found)
        self._copy(told)
        self._erase()
        while not self._seal(operator):
            self._copy(told)
        self._copy(told)  # the decision
        self._signer.sign()
        return self._finish()

    def _assert_ours(self) -> None:
        """Raise CopyRefused unless the target is empty, or has a part of this log, and nothing else."""
        with self._source.reading() as here, self._target.reading() as there:
            position = reader.head(there)
            known = heads.epochs(there)
            if known and (known != heads.epochs(here) or not reader.sealed(here)):
                raise errors.CopyRefused(f"there is another log in {self._target.name}; name an empty database")
            if position and reader.leaf(there, position) != reader.leaf(here, position):
                raise errors.CopyRefused(
                    f"{self._target.name} holds other events than this log, or has gone on; name an empty database"
                )

    def _copy(self, told: Told) -> None:
        """Copy all that is there, and again what came meanwhile, until that is little."""
        copied: int | None = None
        while copied is None or self._head() - copied > _FEW:
            copied = self._head()
            self._copy_to(copied, told)

    def _copy_to(self, until: int, told: Told) -> None:
        """Read back what was copied before, then copy page by page, and read back each."""
        self._read_back(until, told)
        for page in scan.pages(self._source, until, self._frontier.size):
            self._put(page)
            self._read_back(until, told)

    def _read_back(self, until: int, told: Told) -> None:
        with self._target.reading() as there:
            done = reader.head(there)
        for page in scan.pages(self._target, done, self._frontier.size):
            self._take(page)
            told(len(page.rows), until)

    def _head(self) -> int:
        with self._source.reading() as here:
            return reader.head(here)

    def _seal(self, operator: str) -> bool:
        """Append what ends the log; False if too much came to copy it meanwhile.

        Until this transaction is through, nobody has appended behind what was copied.
        """
        if self._is_sealed():
            return True
        with self._source.writing() as here:
            head = reader.head(here)
            if head - self._frontier.size > _FEW:
                return False
            self._copy_in_time(head)
            act = Act(acts.SEALED, reason=f"it goes on in {self._target.name}")
            (decision,) = append(here, [acts.decision(act, operator, acts.SEALED_PATH)])
            here.execute(schema.sealed.insert().values(position=decision.position))
        return True

    def _copy_in_time(self, until: int) -> None:
        """Copy the rest, while everybody waits. Raises CopyRefused if the target takes too long."""
        try:
            with self._target.ends.within(LOCKED_SECONDS):
                self._copy_rest(until)
                self._assert_ours()  # with events, and without an id, nobody can make it a log of its own from here on
        except DBAPIError as error:
            said = str(error.orig).partition("\n")[0]
            raise errors.CopyRefused(
                f"{self._target.name} did not take the last events within {LOCKED_SECONDS:g} s, so nothing is sealed "
                f"({said}); type the same again, and it goes on where it was"
            ) from error

    def _copy_rest(self, until: int) -> None:
        for page in scan.pages(self._source, until, self._frontier.size):
            self._put(page)
        for page in scan.pages(self._target, until, self._frontier.size):
            self._take(page)

    def _put(self, page: Page) -> None:
        with self._target.writing() as there:
            if page.erased:
                rows = [{"position": position, "decided": decided} for position, decided in page.erased.items()]
                there.execute(schema.erasures.insert(), rows)
            insert(there, page.rows)

    def _take(self, page: Page) -> None:
        """Compare what was read back with its hashes, and with its place in the log."""
        for leaf in self._checked.take(page):
            self._frontier.push(leaf)
        if self._found.problems:
            first = self._found.problems[0]
            raise errors.CopyRefused(
                f"event {first.position} is not what was written: {first.said}; see 'signlog verify'"
            )

    def _erase(self) -> None:
        """Erase there what was erased here between two tries; while this one lasts, nobody erases."""
        with self._source.reading() as here, self._target.writing() as there:
            known = set(there.scalars(select(schema.erasures.c.position)))
            for position, decided in here.execute(select(schema.erasures)):
                if position not in known:
                    erase.erase(there, [position], decided)

    def _finish(self) -> Moved:
        """Compare the root, then copy what belongs to the log beside its events: from here on the target is a log."""
        moved = Moved(self._frontier.size, self._frontier.root())
        with self._signer.tree.reading() as stored:
            if stored.root(moved.events) != moved.root:
                raise errors.CopyRefused("the copy has another root than the log; see 'signlog verify'")
        with self._source.reading() as here, self._target.writing() as there:
            if not heads.epochs(there):
                for table in _BESIDE:
                    _copy_table(here, there, table)
        self._target.leave_no_trace()  # of what was erased, or of tries that broke off
        return moved

    def _is_sealed(self) -> bool:
        with self._source.reading() as here:
            return reader.sealed(here) is not None


def _copy_table(here: Connection, there: Connection, table: Table) -> None:
    found = here.execute(select(table).order_by(*table.primary_key))
    for rows in found.mappings().partitions(_ROWS_AT_ONCE):
        there.execute(table.insert(), [dict(row) for row in rows])
