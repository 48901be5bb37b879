"""A log with a worker and commands on it, as on a server; and a ledger of which code folded what into which views."""

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from listener import bootstrap, errors, fingerprint, views
from listener.acts import Artifact
from listener.log import reader
from listener.log.event import Draft, Event
from listener.views import Checkpoint, Views
from listener.worker import generations
from listener.worker import plan as plans
from listener.worker.claims import Claims
from listener.worker.downloads import Wish, _due_query
from listener.worker.projector import Projector
from listener.worker.replay import Replay
from projections import artifacts
from tests import differing
from tests.codes import RIGHT, wearing, worn
from tests.histories import Quick
from tests.rig import SOURCE, add, tables
from tests.straight import Straight


class Ledger:
    """`deployed` is the code that lies on disk, which commands run; `running` the one that the worker began with."""

    Claims: type[Claims] = Claims

    def __init__(self, folder: Path) -> None:
        self.log = Quick(folder)
        self.deployed = self.running = RIGHT
        self.folded: dict[int, list[str]] = {}  # generation → the code that folded each event
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
            parts = bootstrap.worker(self.log.settings, self.log.database)
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
        """Let the worker fold some events. What was purged under it, it lets go, as its loop does."""
        assert self.projector is not None
        with self.wearing(self.running):
            try:
                return self.projector.fold_some()
            except errors.ViewsError as error:
                assert self.projector.views.generation not in self.folded
                self.projector.mend(error)
                return 1
            finally:
                self.account(self.running)

    def due(self, generation: int, at: int) -> list[Wish]:
        """What a worker finds due in views that it takes for live, as `Downloads` does; `at` in microseconds."""
        with self.file(generation) as found, found.reading() as connection:
            folded = views.checkpoint(connection).position
            rows = connection.execute(_due_query(SOURCE, at)).all()
        return [
            Wish(Artifact(row.source, row.subject, row.name), artifacts.load(row).attempts, generation, folded)
            for row in rows
        ]

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
        return closing(Views(self.log.settings.folder, generation))

    def checkpoint(self, generation: int) -> Checkpoint:
        """How far it is."""
        with self.file(generation) as found, found.reading() as connection:
            return views.checkpoint(connection)

    def said(self, generation: int) -> differing.Said:
        """All that it says."""
        with self.file(generation) as found:
            return differing.said(found, self.head)

    def straight(self, generation: int) -> Straight:
        """What it must say."""
        return Straight(self.events, self.folded[generation])

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
        return plans.report(found[0], connection)
