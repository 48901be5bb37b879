"""A worker with somebody who asks its providers, turn by turn, and a log that heard of things long ago."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from listener import bootstrap_reconciling
from listener.agenda import OVERLAP, WORKER
from listener.log import event, reader
from listener.log.append import now
from listener.log.event import Draft, Event, seal
from listener.worker.findings import Findings
from listener.worker.reconcile import Order, Reconciler
from tests.rig import Worker

MINUTE = 60 * 1_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NOW = Order("command")


def moment(ago: int) -> datetime:
    """So many microseconds ago, as a provider's clock."""
    return datetime.now(UTC) - timedelta(microseconds=ago)


def hear(worker: Worker, *drafts: Draft, ago: int = HOUR) -> None:
    """Append as if it had been that long ago, and fold."""
    with worker.database.writing() as connection:
        for draft in drafts:
            sealed = seal(draft, reader.log_id(connection), reader.head(connection) + 1, now() - ago)
            connection.exec_driver_sql(f"INSERT INTO events VALUES ({', '.join('?' * len(sealed))})", tuple(sealed))
    worker.projector.catch_up()


def begun(worker: Worker, source: str, ago: int) -> None:
    """Let the worker have gone through the source, all that had moved until then."""
    with reconciler(worker) as found:
        found.agenda.begin(source, WORKER, now() - ago + OVERLAP, 0)
        found.agenda.finish(source, WORKER, now() - ago + OVERLAP)


def later(worker: Worker, by: int) -> None:
    """Let so much time have passed since anybody heard of anything, or asked."""
    times = ", ".join(f"{name} = {name} - :by" for name in ("heard_at", "asked_at", "next_at"))
    with reconciler(worker) as found, found.agenda._writing() as connection:
        connection.execute(text(f"UPDATE subjects SET {times}"), {"by": by})


@contextlib.contextmanager
def reconciler(worker: Worker) -> Iterator[Reconciler]:
    """As `signlog serve` and the command make it."""
    with bootstrap_reconciling.reconciler(worker.settings, worker.database) as found:
        yield found


def patient(_: float) -> bool:
    """Wait for nothing, and go on."""
    return False


def stopped_after(pauses: int) -> Callable[[float], bool]:
    """Stop when somebody has waited so often."""
    counted = itertools.count(1)
    return lambda _: next(counted) > pauses


def turn(worker: Worker, source: str, order: Order = Order(), pause: Callable[[float], bool] = patient) -> Findings:  # noqa: B008  a value
    """Go through a source, and fold what comes of it."""
    findings = Findings()
    with reconciler(worker) as found:
        found.run(source, order, findings, pause)
    worker.projector.catch_up()
    return findings


def counts(findings: Findings) -> tuple[int, int, int]:
    """Asked, agreed, differed."""
    return findings.asked, findings.agreed, findings.differed


def observations(worker: Worker) -> list[Event]:
    """What the log holds of answers."""
    return worker.events(event.OBSERVATION)
