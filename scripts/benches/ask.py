"""How long a question takes in a log of a million events, in process: about one subject, and a page of every list."""

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from listener import bootstrap
from listener.desk import as_of, downloads, explain, faults, status
from listener.desk.events import Filter
from listener.desk.reading import Reading, reading
from listener.desk.search import Search, Span
from listener.log import event
from listener.log.database import Database
from scripts.benches import biglog
from scripts.benches.door import FOLDER

ROUNDS: Final = 9
PAGE: Final = 50
OF_ONE_MS: Final = 30.0
OF_A_PAGE_MS: Final = 100.0

Question = tuple[str, Callable[[], object]]


def run() -> None:
    """Print medians in milliseconds. The log is made once, which takes minutes, and kept."""
    settings = biglog.made(Path(FOLDER) / "ask")
    with bootstrap.existing_log(settings) as database:
        asking = Asking(database)
        of_one = _measure("one subject", asking.of_one())
        of_a_page = _measure("a page", asking.of_a_page())
    print(f"slowest question about one subject  {of_one:6.1f} ms  (promised: {OF_ONE_MS:.0f})")
    print(f"slowest page                        {of_a_page:6.1f} ms  (promised: {OF_A_PAGE_MS:.0f})")


def _measure(title: str, questions: Iterator[Question]) -> float:
    worst = 0.0
    for name, question in questions:
        took = sorted(_timed(question) for _ in range(ROUNDS))
        worst = max(worst, statistics.median(took))
        print(f"{title:<12} {name:<44} median {statistics.median(took):7.2f} ms, slowest {took[-1]:7.2f} ms")
    return worst


def _timed(question: Callable[[], object]) -> float:
    started = time.perf_counter()
    question()
    return (time.perf_counter() - started) * 1e3


class Asking:
    """A log, and a subject in the midst of it that has lived a whole life."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with reading(self._database) as at:
            self._head = at.log.exec_driver_sql("SELECT max(position) FROM events").scalar_one()
            middle = "SELECT source, id, last_position FROM packages WHERE stage = 'completed' AND source = 'onespan' "
            middle += f"AND last_position > {self._head // 2} ORDER BY last_position LIMIT 1"
            self._source, self._subject, self._last = at.views.exec_driver_sql(middle).one()

    def _at(self, question: Callable[..., object], *arguments: object) -> Callable[[], object]:
        """The question with everything that it needs: the views' file is opened anew."""

        def asked() -> object:
            with reading(self._database) as at:
                return question(at, *arguments)

        return asked

    def of_one(self) -> Iterator[Question]:
        """About one subject."""
        one = (self._source, self._subject)
        yield "status", self._at(status.one, *one)
        yield "timeline", self._at(status.history, *one)
        yield "status --as-of POSITION", self._at(_stood, *one, str(self._last - 1), None)
        yield "status --as-of TIME", self._at(_stood, *one, "2027-06-01", None)
        yield "status --as-of-provider", self._at(_stood, *one, None, "2027-06-01")
        yield "explain stage", self._at(_explained, *one, "stage")
        yield "explain artifacts.evidence.pdf.state", self._at(_explained, *one, "artifacts.evidence.pdf.state")
        yield "events --subject", self._found(Filter(subject=self._subject))

    def of_a_page(self) -> Iterator[Question]:
        """Each list, with each of its filters: what is common, what is rare, what is not there."""
        for wanted in self._filters():
            given = " ".join(f"{name}={value}" for name, value in wanted._asdict().items() if value)
            yield f"events {given}", self._found(wanted)
            yield f"events {given}, forward", self._found(wanted, newest_first=False)
        for source in (None, "onespan", biglog.RARE, "nobody"):
            for stage in (None, "completed", "declined", "deleted"):
                subjects = status.Filter(source, stage)
                yield f"status {source} {stage}", self._at(status.page, subjects, PAGE)
                yield f"status {source} {stage} --as-of", self._at(_stood_all, subjects, "2027-06-01")
            for state in (None, *downloads.STATES):
                yield f"downloads {source} {state}", self._at(downloads.page, downloads.Filter(source, state), PAGE)
        yield "faults", self._at(faults.several, 0, PAGE)

    def _filters(self) -> Iterator[Filter]:
        yield from (Filter(), Filter(subject=self._subject), Filter(subject=self._subject, name="SIGNER_COMPLETE"))
        yield from (Filter(name=name) for name in ("PACKAGE_COMPLETE", "SIGNER_APPLAUDED", "accept", "NOTHING"))
        yield from (Filter(kind=kind) for kind in event.KINDS)
        yield from (Filter(source=source) for source in ("onespan", biglog.RARE, "nobody"))
        yield from (Filter(contains=text) for text in ("PACKAGE", "needle", "no such text"))

    def _found(self, wanted: Filter, newest_first: bool = True) -> Callable[[], object]:
        whole = Span(1, self._head, newest_first)
        return lambda: Search(self._database, wanted).page(whole, PAGE)


def _stood(at: Reading, source: str, subject: str, known: str | None, so: str | None) -> object:
    return as_of.one(at, source, subject, as_of.moment(at, known, so))


def _stood_all(at: Reading, wanted: status.Filter, known: str) -> object:
    return as_of.page(at, wanted, as_of.moment(at, known), PAGE)


def _explained(at: Reading, source: str, subject: str, field: str) -> object:
    return explain.explain(at, source, subject, field, as_of.moment(at))
