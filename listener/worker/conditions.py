"""When a generation may be compared with, shown, or gone back to. Each refusal says what to type."""

from collections.abc import Set
from typing import Final

from sqlalchemy import Connection, func, select

from listener import acts, bookkeeping, errors
from listener.acts import Act
from listener.lease import Lease
from listener.log import event, reader, schema
from listener.log.database import Database
from listener.views import Views
from listener.worker import generations
from listener.worker.plan import Binding, Plan

AGAIN: Final = "'signlog replay --plan' shows what would happen now"


def assert_comparable(database: Database, generation: Views) -> None:
    """Raise ReplayRefused unless its tables are those of this code, and it was folded from this log."""
    with generation.reading() as connection:
        if bookkeeping.made_of(connection) != bookkeeping.shape():
            raise errors.ReplayRefused(
                f"the tables of {generation.name} have another shape than this code's; "
                "the worker folds them anew when it starts: run 'signlog serve'"
            )
        checkpoint = bookkeeping.checkpoint(connection)
    with database.reading() as log:
        if not generations.bound(log, checkpoint):
            raise errors.ReplayRefused(
                f"{generation.name} was folded from another log; the worker folds it anew: run 'signlog serve'"
            )


def assert_current(database: Database, plan: Plan, digest: str, fingerprint: str, accept_faults: bool) -> None:
    """Raise ReplayRefused unless the plan is the one that was meant, of this code, and of what is shown now."""
    if digest != plan.digest:
        raise errors.ReplayRefused(f"the plan is not {digest} but {plan.digest}; {AGAIN}")
    if plan.binding.fingerprint != fingerprint:
        raise errors.ReplayRefused(f"the code changed since that plan was made; {AGAIN}")
    with database.reading() as log:
        _assert_same_log(log, plan.binding)
    if not accept_faults and any(fault.new for fault in plan.faults):
        number = sum(fault.new for fault in plan.faults)
        raise errors.ReplayRefused(f"new faults: {number}; mend the code, or type: {_accepting(digest)}")


def _assert_same_log(log: Connection, binding: Binding) -> None:
    leaf = reader.leaf(log, binding.position)
    same_leaf = binding.position == 0 or (leaf is not None and leaf.hex() == binding.leaf)
    if generations.live(log) != binding.live or reader.log_id(log).hex() != binding.log or not same_leaf:
        raise errors.ReplayRefused(f"log or live views are not those that were compared; {AGAIN}")
    erased = schema.erasures.c
    since = select(func.count()).where(erased.position <= binding.position, erased.decided > binding.position)
    if log.scalar(since):
        raise errors.ReplayRefused(f"events were erased since that plan was made; {AGAIN}")


def assert_unspoilt(new: Views, fingerprint: str) -> None:
    """Raise ReplayRefused if it was shown once and taken back, and whatever code was deployed then folded on in it."""
    with new.reading() as connection:
        folded_by = bookkeeping.folded_by(connection)
    if folded_by - {fingerprint}:
        raise errors.ReplayRefused(f"other code has folded on in what was planned; {AGAIN}")


def assert_worker_agrees(database: Database, worker: Lease, fingerprint: str) -> None:
    """Raise ReplayRefused while a worker runs that was started with other code: it would fold on with that."""
    with database.reading() as log:
        if generations.declared_by(log, fingerprint):
            return
    try:
        with worker:
            return
    except errors.ConfigurationError:
        raise errors.ReplayRefused(
            "the running worker was started with other code than this; restart 'signlog serve', then type this again"
        ) from None


def assert_no_more_faults(plan: Plan, new: Views) -> None:
    """Raise ReplayRefused if what came since the plan could not be taken in."""
    planned: Set[tuple[int, str | None]] = {(fault.position, fault.subject) for fault in plan.faults}
    with new.reading() as connection:
        now = {(row.position, row.subject) for row in connection.execute(select(bookkeeping.faults))}
    if now - planned:
        position = min(position for position, _subject in now - planned)
        raise errors.ReplayRefused(
            f"an event that came since could not be taken in: {position}; {AGAIN}, or type: {_accepting(plan.digest)}"
        )


def way_back(database: Database) -> tuple[int, int]:
    """The live generation, and the one that it replaced. Raises ReplayRefused unless a replay made it live."""
    with database.reading() as log:
        live = generations.live(log)
        decided = reader.acts(log, event.DECISION, acts.LIVE_PATH, last=1)
    act = acts.read(decided[0]) if decided else Act()
    if live is None or act.generation != live or act.previous is None or act.digest is None:
        raise errors.ReplayRefused("the live views did not come from a replay: there is nothing to go back to")
    return live, act.previous


def assert_kept(old: Views) -> None:
    """Raise ReplayRefused if it was purged."""
    if not old.exists():
        raise errors.ReplayRefused(
            f"generation {old.generation} is not there any more (purged?); deploy the code of then, and plan a replay"
        )


def assert_folded_by(old: Views, fingerprint: str) -> None:
    """Raise ReplayRefused unless this code folded a part of it; mended code may have folded the last one."""
    with old.reading() as connection:
        folded_by = bookkeeping.folded_by(connection)
    if folded_by and fingerprint not in folded_by:
        raise errors.ReplayRefused(
            f"generation {old.generation} was folded by other code than this; deploy that first, "
            "then type: signlog replay --rollback"
        )


def _accepting(digest: str) -> str:
    return f"signlog replay --apply {digest} --accept-faults"
