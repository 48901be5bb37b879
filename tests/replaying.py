"""What can happen to a log, to the worker on it and to its replays: the rules, and what must be so after each."""

import contextlib
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
)

from listener import acts
from listener.acts import Artifact
from listener.log import event
from listener.log.event import Draft
from listener.worker import intake, piece, tries
from projections import artifacts
from tests import differing
from tests.codes import CODES, MARKED, RIGHT, Patch, worn
from tests.histories import LONG_AGO, MEMORY
from tests.ledger import Ledger, reported
from tests.lives import MINUTE
from tests.lives import body as told
from tests.rig import body, callback
from tests.straight import Straight, documents
from tests.test_worker_projector import STEPS, Listening
from tests.test_worker_replay import Interrupted, interrupt

NAMES = ("a", "b", MARKED)
SUBJECTS = st.sampled_from(NAMES)
LIFE = ("PACKAGE_CREATE", "PACKAGE_ACTIVATE", "DOCUMENT_SIGNED", "PACKAGE_COMPLETE")
STEPS_OF_LIFE = st.integers(0, len(LIFE) - 1)
NOISE = st.sampled_from((body(b"\xff"), callback("TEMPLATE_CREATE", "t"), callback("PACKAGE_FRAMED", "a")))
DEPLOYED = st.sampled_from((RIGHT, "late", "fragile", "hasty", "misled", "blind"))
LIVED = st.sampled_from((0, 1, 2, 3, 4, 4, 4))
FEW = st.integers(1, 6)

IMMORTAL: Patch = (tries, "MOST_DEATHS", 1000)  # no event is to blame for a kill here


class Planned(NamedTuple):
    """A plan that waits in its generation. `unseen`: it has faults that the live generation has not."""

    digest: str
    code: str
    live: int
    wanted: frozenset[Artifact]
    faults: frozenset[tuple[int, str | None]]
    unseen: bool


class Replaying(RuleBasedStateMachine):
    """A maintainer's days. `patches` is what is wrong with signlog itself: nothing, but in negative controls."""

    patches: tuple[Patch, ...] = ()
    where: str | None = MEMORY

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.stack.enter_context(worn(*CODES["counting"], IMMORTAL, *self.patches))
        self.ledger = Ledger(Path(self.stack.enter_context(TemporaryDirectory(dir=self.where))))
        self.plans: dict[int, Planned] = {}
        self.planned_at: tuple[int, int, str] | None = None
        self.way_back: int | None = None
        self.leased: dict[Artifact, int] = {}
        self.held: set[Artifact] = set()
        self.lived: Counter[str] = Counter()

    # What comes

    @initialize(lengths=st.tuples(*[LIVED] * len(NAMES)), code=DEPLOYED)
    def begins(self, lengths: tuple[int, ...], code: str) -> None:
        """In the middle: much was told, and folded with code that may be wrong."""
        self.is_deployed(code)
        self.starts()
        for subject, length in zip(NAMES, lengths, strict=True):
            for _ in range(length):
                self.goes_on(subject)
        while self.ledger.fold():
            pass

    @rule(subject=SUBJECTS)
    def goes_on(self, subject: str) -> None:
        """The next callback of a life."""
        self.hears(subject, min(self.lived[subject], len(LIFE) - 1))
        self.lived[subject] += 1

    @rule(subject=SUBJECTS, step=STEPS_OF_LIFE)
    def hears(self, subject: str, step: int) -> None:
        """Any callback of a life: too early, too late, again."""
        content = told(LIFE[step], LONG_AGO + step * MINUTE, subject, sessionUser="ana", documentId="lease")
        self.ledger.add(body(content))

    @rule(draft=NOISE)
    def hears_something_else(self, draft: Draft) -> None:
        """What nobody can read, or what makes no package."""
        self.ledger.add(draft)

    # The worker

    def works(self) -> bool:
        """Whether one runs."""
        return self.ledger.projector is not None

    @precondition(works)
    @rule(batch=FEW)
    def folds(self, batch: int) -> None:
        """A batch."""
        with worn((intake, "BATCH", batch)):
            self.ledger.fold()

    @precondition(lambda self: self.works() and self.ledger.is_tried())
    @rule(batch=FEW, step=st.sampled_from(STEPS))
    def is_killed_at(self, batch: int, step: tuple[str, str]) -> None:
        """In the middle of a batch, if it comes there."""
        listening = Listening(*step, _die)
        try:
            with worn((intake, "BATCH", batch)), contextlib.suppress(Interrupted):
                self.ledger.fold()
        finally:
            listening.end()
        self.is_killed()

    @precondition(works)
    @rule()
    def is_killed(self) -> None:
        """Between two batches, or while it fetches."""
        self.ledger.crash()

    @rule()
    def starts(self) -> None:
        """A worker, with the code that is deployed; one that runs ends first."""
        self.ledger.crash()
        self.ledger.start()
        self.leased.clear()

    @rule(code=DEPLOYED)
    def is_deployed(self, code: str) -> None:
        """Other code: commands run it at once, the worker when it starts."""
        self.ledger.deployed = code

    @rule(code=DEPLOYED)
    def is_served(self, code: str) -> None:
        """Other code, for commands and worker alike."""
        self.is_deployed(code)
        self.starts()

    # Commands

    def has_news(self) -> bool:
        """Whether a plan could be another one than the last."""
        return self.planned_at != (self.ledger.live, self.ledger.head, self.ledger.deployed)

    @precondition(has_news)
    @rule()
    def is_planned(self) -> None:
        """What the plan says is what the tables say; these are those of the plainest fold."""
        ledger, new = self.ledger, self.ledger.live + 1
        with ledger.commanded() as replay:
            plan, report = replay.plan(), reported(replay)
        ledger.begin(new)
        ledger.account(ledger.deployed)
        ledger.assert_true(new)
        assert differing.told_by(report) == differing.worked_out(ledger.said(new - 1), ledger.said(new))
        wanted = frozenset(Artifact(**one) for one in report["artifacts"]["wanted"])
        faults = frozenset((fault.position, fault.subject) for fault in plan.faults)
        unseen = any(fault.new for fault in plan.faults)
        self.planned_at = ledger.live, ledger.head, ledger.deployed
        self.plans[new] = Planned(plan.digest, ledger.deployed, new - 1, wanted, faults, unseen)

    @rule(after=FEW)
    def is_planned_in_vain(self, after: int) -> None:
        """Broken off: whatever was in the place of the next generation is gone."""
        ledger, new = self.ledger, self.ledger.live + 1
        goal = len(ledger.folded[new - 1])
        if goal:
            with ledger.commanded() as replay, worn((piece, "EVENTS", 1)), pytest.raises(Interrupted):
                replay.plan(interrupt(min(after, goal)))
            ledger.folded.pop(new, None)
            self.plans.pop(new, None)
            self.planned_at = None

    @rule(accept_faults=st.booleans())
    def is_applied(self, accept_faults: bool) -> None:
        """Exactly if nothing speaks against it."""
        ledger, new = self.ledger, self.ledger.live + 1
        plan = self.plans.get(new)
        with ledger.commanded() as replay:
            if plan is None or not self.may_be_applied(plan, accept_faults):
                with ledger.refuses():
                    replay.apply(plan.digest if plan else "0" * 64, "somebody", accept_faults)
                return ledger.account(ledger.deployed)
            number = replay.apply(plan.digest, "somebody", accept_faults)
        ledger.account(ledger.deployed)
        held, states = self.assert_went_live(new, new - 1), documents(ledger.straight(new))
        assert held == {known for known in plan.wanted if states[key(known)].state in artifacts.OPEN}
        assert len(held) == number
        self.held |= held
        self.way_back = new - 1
        return None

    @rule(code=DEPLOYED)
    def is_mended(self, code: str) -> None:
        """What a maintainer does, from the code to the apply."""
        self.is_deployed(code)
        self.starts()
        self.is_planned()
        self.is_applied(True)

    def may_be_applied(self, plan: Planned, accept_faults: bool) -> bool:
        """Whether code, live views and faults are those that were planned, and nobody has folded on in it."""
        ledger = self.ledger
        if (plan.code, plan.live) != (ledger.deployed, ledger.live) or not self.worker_agrees():
            return False
        if ledger.folded_by(ledger.live + 1) - {plan.code}:
            return False
        codes = ledger.folded[ledger.live + 1]
        whole = Straight(ledger.events, [*codes, *[plan.code] * (ledger.head - len(codes))])
        since = {(position, subject) for position, _, subject in whole.faults} - plan.faults
        return accept_faults or not (plan.unseen or since)

    def worker_agrees(self) -> bool:
        """Whether a worker of other code would spoil what goes live."""
        return not self.works() or self.ledger.running == self.ledger.deployed

    def assert_went_live(self, new: int, previous: int) -> set[Artifact]:
        """It has folded everything before its decision, and none is behind it; which documents are held."""
        went, *held = [found for found in self.ledger.events[::-1] if found.kind == event.DECISION]
        held = held[: went.position - 1 - len(self.ledger.folded[new])]
        act = acts.read(went)
        assert (act.action, act.generation, act.previous) == (acts.LIVE, new, previous)
        assert went.position == self.ledger.head == len(self.ledger.folded[new]) + len(held) + 1
        assert self.ledger.live == new
        assert {found.path for found in held} <= {acts.HELD_PATH}
        return {known for found in held for known in acts.read(found).artifacts}

    @rule()
    def is_rolled_back(self) -> None:
        """If the views came from a replay, and with code that folded some of those before."""
        ledger, live, previous = self.ledger, self.ledger.live, self.way_back
        with ledger.commanded() as replay:
            codes = ledger.folded_by(previous or 0)
            if previous is None or (codes and ledger.deployed not in codes) or not self.worker_agrees():
                with ledger.refuses():
                    replay.roll_back("somebody")
                return
            assert replay.roll_back("somebody") == previous
        ledger.account(ledger.deployed)
        assert self.assert_went_live(previous, live) == set()
        self.way_back = None

    @precondition(lambda self: self.way_back is not None)
    @rule()
    def is_taken_back(self) -> None:
        """What a maintainer does who finds the repair worse than the bug."""
        self.is_deployed(self.ledger.folded[self.way_back or 0][0])
        self.starts()
        self.is_rolled_back()
        assert self.way_back is None

    @rule()
    def is_purged(self) -> None:
        """Only what is shown remains."""
        self.ledger.purge()
        self.plans.clear()
        self.planned_at = None
        self.way_back = None


def _die() -> None:
    raise Interrupted


def key(known: Artifact) -> tuple[str, str, str]:
    return known.source, known.subject, known.name
