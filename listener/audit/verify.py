"""Whether the log still is what was written: every event, the tree, every signed head, and what guards them."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from listener import errors
from listener.audit import documents, epochs, events, findings, guards, heads, scan
from listener.audit.beside import Beside
from listener.audit.events import Events
from listener.audit.findings import Finding, Findings
from listener.audit.heads import Heads, Outside
from listener.audit.scan import Page
from listener.cabinet import Cabinet
from listener.log import migrate, reader
from listener.log.database import Readable
from listener.log.event import OUTCOME, Event
from listener.log.merkle import Frontier
from listener.log.tree import Tree

Told = Callable[[int, int], None]  # how many events were looked at since, of how many in all


class Report(NamedTuple):
    """How much was looked at, the root over it, what is wrong, and what somebody may want to know."""

    events: int
    heads: int
    documents: int
    root: bytes
    problems: Sequence[Finding]
    notes: Sequence[Finding]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify(
    database: Readable,
    tree: Tree | None = None,
    outside: Sequence[Outside] = (),
    papers: Cabinet | None = None,
    told: Told = lambda _more, _whole: None,
) -> Report:
    """Look at everything up to the head as it is now; with `papers`, also at the documents that lie there.

    Raises StoreAway if they lie in object storage that does not answer.
    """
    found, frontier, looked, wanted = Findings(), Frontier(), 0, migrate.fresh(database)
    with database.reading() as connection:
        until, known = reader.head(connection), heads.context(connection)
        guards.check(connection, wanted, found)
        epochs.check(connection, known.epochs, until, found)
        heads.missing(connection, known.last, found)
        events.nowhere(connection, until, found)
    sealed, signed = Events(database, known.epochs, found), Heads(database, known, outside, found)
    beside = Beside(database, tree, found)
    signed.take(frontier)
    for page in _pages(database, until, found):
        beside.take(_grown(frontier, sealed.take(page), signed))
        looked += 0 if papers is None else _documents(papers, page, found)
        told(len(page.rows), until)
    signed.rest(frontier)
    beside.rest()
    return Report(frontier.size, signed.checked, looked, frontier.root(), found.problems, found.notes)


def _pages(database: Readable, until: int, found: Findings) -> Iterator[Page]:
    try:
        yield from scan.pages(database, until)
    except errors.LogError as error:
        found.problem(findings.READING, None, str(error))


def _grown(frontier: Frontier, leaves: Sequence[bytes], signed: Heads) -> list[bytes]:
    """Take in leaves, and stop wherever somebody signed; the nodes that became complete."""
    made = list[bytes]()
    for leaf in leaves:
        made += frontier.push(leaf)
        if frontier.size == signed.next:
            signed.take(frontier)
    return made


def _documents(papers: Cabinet, page: Page, found: Findings) -> int:
    """Check what the events of a page say is stored; how many documents that is."""
    outcomes = [Event._make(row) for row in page.rows if OUTCOME in row]
    told = [document for document in map(documents.told, outcomes) if document is not None]
    for document in told:
        documents.check(papers, document, found)
    return len(told)
