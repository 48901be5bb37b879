"""A log with a worker and commands on it, as on a server; and a ledger of which code folded what into which views."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from listener import api, bookkeeping, bootstrap, bootstrap_working, errors, fingerprint
from listener.api import Access
from listener.bookkeeping import Checkpoint
from listener.checking.inspector import Inspector
from listener.log import reader
from listener.log.event import Draft, Event
from listener.views import Views
from listener.worker import due, generations
from listener.worker import plan as plans
from listener.worker.claims import Claims
from listener.worker.due import Account, Wish
from listener.worker.projector import Projector
from listener.worker.replay import Replay
from tests import differing
from tests.codes import RIGHT, wearing, worn
from tests.histories import Quick
from tests.rig import SOURCE, Log, add, tables
from tests.straight import Straight, Try

ACCESS = Access("https://nobody.example", key="a-test-key")
ACCOUNT = Account("onespan", api.named("onespan").connect(ACCESS), ACCESS, {}, Inspector(frozenset(), frozenset()))


class Ledger:
    """`deployed` is the code that lies on disk, which commands run; `running` the one that the worker began with."""

    Claims: type[Claims] = Claims
    Log: Callable[[Path], Log] = Quick

    def __init__(self, folder: Path) -> None:
        self.log = type(self).Log(folder)
        self.deployed = self.running = RIGHT
        self.folded: dict[int, list[str]] = {}  # generation → the code that folded each event
        self.tries: dict[int, list[Try]] = {}  # … and when it tried faults again
        self._worker = ExitStack()
        self._number = itertools.count(1)
        self.projector: Projector | None = None
        self.start()

    def close(self) -> None:
        """Let go of everything."""
        self.crash()
        self.log.stack.close()

    @contextlib.contextmanager
    def wearing(self, code: str) -> Iterator[None]:
        """With code of that name, as if its bytes were other ones."""
        bytes_of_it = (fingerprint, "fingerprint", lambda: code), (fingerprint, "code", lambda: "")
        with wearing(code), worn(*bytes_of_it):
            yield

    def start(self) -> None:
        """Start a worker with the code that is deployed."""
        self.running = self.deployed
        with self.wearing(self.running):
            parts = bootstrap_working.leading(self.log.settings, self.log.database)
            self.projector, _ = self._worker.enter_context(parts)
            self.claims = self.Claims(self.log.database, f"worker {next(self._number)}")
        self.folded.setdefault(self.live, [])

    def crash(self) -> None:
        """End it as a kill does: nothing is closed, only the lock is free."""
        self.projector = None
        self._worker.close()

    def add(self, *drafts: Draft) -> list[int]:
        """Append these."""
        return add(self.log.database, *drafts)

    def fold(self) -> int:
        """Let the worker fold some events, or try a fault again. What was purged under it, it lets go."""
        assert self.projector is not None
        shown = self.projector.views.generation
        with self.wearing(self.running):
            try:
                folded = self.projector.fold_some()
            except errors.ViewsError as error:
                assert shown not in self.folded
                self.projector.mend(error)
                folded = 1
        self._account(shown, folded)
        return folded

    def _account(self, shown: int, folded: int) -> None:
        """New events are taken in when no fault is left that this code has not tried."""
        assert self.projector is not None
        if folded and shown == self.projector.views.generation:
            outdated = self.straight(shown).outdated(self.running)
            if self.checkpoint(shown).position == len(self.folded[shown]):
                self.tries.setdefault(shown, []).append((len(self.folded[shown]), self.running))
            else:
                assert outdated is None
        self.account(self.running)

    def is_tried(self) -> bool:
        """Whether the worker has tried again whatever its code has not."""
        return self.straight(self.live).outdated(self.running) is None

    def purge(self) -> None:
        """Only what is shown remains."""
        with self.commanded() as replay:
            assert replay.purge() == sorted(self.folded.keys() - {self.live})
        self.folded = {self.live: self.folded[self.live]}
        self.tries = {self.live: self.tries.get(self.live, [])}

    def begin(self, generation: int) -> None:
        """A generation that begins at the first event."""
        self.folded[generation] = []
        self.tries[generation] = []

    def folded_by(self, generation: int) -> set[str]:
        """The code that folded any part of it."""
        return {*self.folded.get(generation, ()), *(code for _, code in self.tries.get(generation, ()))}

    def due(self, generation: int, at: int) -> list[Wish]:
        """What a worker finds due in views that it takes for live; `at` in microseconds."""
        with self.file(generation) as found, worn((due, "now", lambda: at)):
            return [wish for wishes in due.due(found, SOURCE, ACCOUNT).values() for wish in wishes]

    @contextlib.contextmanager
    def commanded(self) -> Iterator[Replay]:
        """What commands do, with the code that is deployed."""
        with self.wearing(self.deployed):
            yield bootstrap.replay(self.log.settings, self.log.database)

    def account(self, code: str) -> None:
        """Write down that this code folded whatever was folded since the last time."""
        for generation, codes in self.folded.items():
            codes.extend([code] * (self.checkpoint(generation).position - len(codes)))

    @property
    def live(self) -> int:
        """The generation that is shown."""
        with self.log.database.reading() as connection:
            return generations.live(connection) or 0

    @property
    def events(self) -> Sequence[Event]:
        """All that was appended."""
        return self.log.events()

    @property
    def head(self) -> int:
        """The newest position."""
        with self.log.database.reading() as connection:
            return reader.head(connection)

    def file(self, generation: int) -> "closing[Views]":
        """The views of that number."""
        return closing(self.log.shelf.generation(generation))

    def checkpoint(self, generation: int) -> Checkpoint:
        """How far it is."""
        with self.file(generation) as found, found.reading() as connection:
            return bookkeeping.checkpoint(connection)

    def said(self, generation: int) -> differing.Said:
        """All that it says."""
        with self.file(generation) as found:
            return differing.said(found, self.head)

    def straight(self, generation: int) -> Straight:
        """What it must say."""
        return Straight(self.events, self.folded[generation], self.tries.get(generation, ()))

    def assert_true(self, generation: int) -> None:
        """It says what the plainest fold says, with the same code for each event; and stands where that leaves off."""
        codes = self.folded[generation]
        stands = self.checkpoint(generation)
        assert stands.position == len(codes) <= self.head
        assert stands.leaf == (self.events[len(codes) - 1].leaf if codes else b"")
        with self.file(generation) as found:
            assert tables(found)[:-1] == self.straight(generation).tables

    @contextlib.contextmanager
    def refuses(self) -> Iterator[None]:
        """A block in which a replay must be refused, and nothing be appended or shown."""
        before = self.live, self.head
        try:
            yield
        except errors.ReplayRefused:
            assert (self.live, self.head) == before
        else:
            raise AssertionError("it was not refused")


def reported(replay: Replay) -> dict[str, Any]:
    """The plan that waits, as scripts get it."""
    found = replay.planned()
    assert found is not None
    with closing(found[1]) as kept, kept.reading() as connection:
        report = plans.report(found[0], connection)
        named = {how: list(report["artifacts"][how]) for how in ("wanted", "unwanted")}
        return {**report, "changes": list(report["changes"]), "artifacts": {**report["artifacts"], **named}}
