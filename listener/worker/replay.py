"""A new generation of the views beside the live one: built, compared, and shown only when somebody says so."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from sqlalchemy import Connection

from listener import acts, bookkeeping, errors, views
from listener.acts import Act, Artifact
from listener.bookkeeping import Checkpoint
from listener.lease import Lease
from listener.log.database import Database
from listener.shelf import Shelf
from listener.views import Views
from listener.worker import conditions, generations
from listener.worker import plan as plans
from listener.worker.building import build
from listener.worker.catching_up import fold_next
from listener.worker.difference import ELSEWHERE, WANTED, Difference, difference, differences, packages_after
from listener.worker.going_live import go_live
from listener.worker.intake import catch_up
from listener.worker.plan import Binding, Fault, Plan
from listener.worker.trace import TRYING, Trace

Progress = Callable[[int, int], None]  # so many more events folded, of how many in all


class Replay:
    """Plans, applies and takes back. `fingerprint` is that of our code, `worker` the lock of whoever folds live.

    `folder` keeps a trace of who dies; `only_one` is the lock of a replay; `disk_reserve`, in bytes, is left free.
    """

    def __init__(
        self,
        database: Database,
        shelf: Shelf,
        folder: Path,
        fingerprint: str,
        worker: Lease,
        only_one: Lease,
        disk_reserve: int = 0,
    ) -> None:
        self._database = database
        self._shelf = shelf
        self._folder = folder
        self._fingerprint = fingerprint
        self._worker = worker
        self._only_one = only_one
        self._disk_reserve = disk_reserve

    def plan(self, told: Progress = lambda _done, _all: None) -> Plan:
        """Build the next generation and compare. Nothing live changes; a plan that was there is thrown away.

        Raises ReplayRefused while the views are not fit to be compared with, DiskReserve where the disk is too full,
        Died if an event is the death of whoever takes it in, as soon as that is known.
        """
        with self._alone():
            live = self._live()
            new = self._generation(live.generation + 1)
            try:
                with self._trace() as trace:
                    return self._planned(live, new, told, trace)
            except BaseException:
                new.discard()  # half a generation is of no use to anybody
                raise
            finally:
                new.close()
                live.close()

    def of_subject(
        self, source: str, id: str, told: Progress = lambda _done, _all: None
    ) -> tuple[Difference, Sequence[Fault]]:
        """What this code makes of one subject, compared with what is shown of it, and what it cannot take in.

        Nothing live changes, and there is no plan to apply: a part of the views cannot go live alone. Raises as `plan`,
        and NotFoundError if nothing is known of it either way.
        """
        live = self._live()
        with contextlib.closing(live), self._shelf.scratch() as new:
            goal = _position(live)
            tell = self._told(goal, told)
            build(self._database, new, bookkeeping.REPLAYED, self._fingerprint, goal, tell, (source, id))
            with new.beside(live) as both:
                self._bound(both, bookkeeping.checkpoint(both, views.beside), live.generation)
                found = difference(both, source, id)
                faults = [fault for fault in plans.faults(both)[0] if _may_be_of(fault, source, id)]
        if found is None and not faults:
            raise errors.NotFoundError(f"nothing is known of {id} in {source}; 'signlog status' lists what is")
        return found or Difference(source, id, ELSEWHERE, (), ()), faults

    def last_words(self) -> str | None:
        """What the last plan died of, if it did and nobody has planned since; for a person."""
        return self._trace().last_words

    def _trace(self) -> Trace:
        return Trace(self._folder / TRYING, self._fingerprint)

    def _planned(self, live: Views, new: Views, told: Progress, trace: Trace) -> Plan:
        self._assert_room()
        code, goal = self._fingerprint, _position(live)
        tell = self._told(goal, told)
        build(self._database, new, bookkeeping.REPLAYED, code, goal, tell, alone=trace.alone, about=trace.about)
        with live.read_ahead(), new.beside(live) as both:
            # From its first look on the live generation stands still for us, and for nobody else.
            checkpoint = bookkeeping.checkpoint(both, views.beside)
            binding = self._bound(both, checkpoint, live.generation)
            draft = plans.Draft(both)
            for found in differences(both):
                draft.take(found)
            return draft.finish(new.generation, binding, packages_after(both), *plans.faults(both))

    def _bound(self, both: Connection, checkpoint: Checkpoint, live: int) -> Binding:
        """Catch up with what is compared, and say what that is."""
        with self._database.reading() as log:
            if generations.live(log) != live:
                raise errors.ReplayRefused("another generation went live meanwhile; plan again")
            catch_up(log, both, self._fingerprint, checkpoint.position)
            return plans.bind(log, checkpoint, live, both, self._fingerprint)

    def _told(self, goal: int, told: Progress) -> Callable[[int], None]:
        """Tell of progress, and see that the disk does not fill up meanwhile."""

        def tell(events: int) -> None:
            self._assert_room()
            told(events, goal)

        return tell

    def _assert_room(self) -> None:
        self._shelf.assert_room(self._disk_reserve)

    def _catch_up(self, generation: Views) -> None:
        """Fold what came since, up to the head."""
        while fold_next(self._database, generation, self._fingerprint)[0]:
            self._assert_room()

    def _live(self) -> Views:
        """The live generation, if it is one that this code can compare with."""
        with self._database.reading() as connection:
            number = generations.live(connection)
        if number is None:
            raise errors.ReplayRefused("nothing was folded yet; the worker does it: run 'signlog serve'")
        live = self._generation(number)
        try:
            conditions.assert_comparable(self._database, live)
        except BaseException:
            live.close()
            raise
        return live

    def _generation(self, number: int) -> Views:
        return self._shelf.generation(number)

    def planned(self) -> tuple[Plan, Views] | None:
        """The plan that waits to be applied, and the generation that keeps it; None without one. Close the views."""
        with self._database.reading() as connection:
            live = generations.live(connection)
        if live is None:
            return None
        new = self._generation(live + 1)
        found = plans.read(new)
        if found is None:
            new.close()
            return None
        return found, new

    def apply(self, digest: str, operator: str, accept_faults: bool = False) -> int:
        """Show what was planned; how many documents are held. Raises ReplayRefused if it is not what would happen."""
        with self._alone():
            found = self.planned()
            if found is None:
                raise errors.ReplayRefused("there is no plan to apply; make one: 'signlog replay --plan'")
            plan, new = found
            try:
                conditions.assert_current(self._database, plan, digest, self._fingerprint, accept_faults)
                conditions.assert_unspoilt(new, self._fingerprint)
                conditions.assert_worker_agrees(self._database, self._worker, self._fingerprint)
                self._catch_up(new)  # before the append lock is held
                if not accept_faults:
                    conditions.assert_no_more_faults(plan, new)
                with new.reading() as connection:
                    wanted = frozenset(plans.documents(connection, WANTED))
                held = self._go_live(new, plan.binding.live, wanted, digest, operator)
            finally:
                new.close()
        return held

    def _go_live(self, new: Views, live: int, wanted: Iterable[Artifact], digest: str | None, operator: str) -> int:
        went_live = Act(acts.LIVE, generation=new.generation, previous=live, digest=digest)
        return go_live(self._database, new, self._catch_up, wanted, went_live, operator)

    def roll_back(self, operator: str) -> int:
        """Show the generation that the last replay replaced; its number.

        Raises ReplayRefused if there is none, or if other code than this folded it: it would be spoilt at once.
        """
        with self._alone():
            live, previous = conditions.way_back(self._database)
            old = self._generation(previous)
            try:
                conditions.assert_kept(old)
                conditions.assert_comparable(self._database, old)
                conditions.assert_folded_by(old, self._fingerprint)
                conditions.assert_worker_agrees(self._database, self._worker, self._fingerprint)
                self._go_live(old, live, (), None, operator)
            finally:
                old.close()
        return previous

    def purge(self) -> list[int]:
        """Remove every generation but the live one, and with them plans and the way back; their numbers."""
        with self._alone(), self._database.writing() as connection:
            return generations.discard_others(connection, self._shelf)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(self._only_one)
            except errors.ConfigurationError:
                raise errors.ReplayRefused("another replay is under way; wait until it is done") from None
            yield


def _position(generation: Views) -> int:
    with generation.reading() as connection:
        return bookkeeping.checkpoint(connection).position


def _may_be_of(fault: Fault, source: str, subject: str) -> bool:
    """Of an event that nobody could read, nobody can tell; only one that is new may be due to this code."""
    return fault.source == source and (fault.subject == subject or (fault.subject is None and fault.new))
