"""Whatever happens to a log, its views, replays and downloads, in whatever order: nothing is lost, nothing twice."""

import contextlib
import inspect
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RULE_MARKER,
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from listener import acts, decisions, errors, rows
from listener.acts import Act, Artifact
from listener.log import event
from listener.log.append import now
from listener.log.event import Draft
from listener.worker import building, going_live, intake
from listener.worker.claims import Claims
from listener.worker.downloads import Wish
from listener.worker.replay import Replay
from projections import artifacts, facts
from tests import differing
from tests.codes import CODES, MARKED, RIGHT, Patch, worn
from tests.histories import LONG_AGO, MEMORY
from tests.ledger import Ledger, reported
from tests.lives import MINUTE
from tests.lives import body as told
from tests.rig import BOTH, SOURCE, body, callback
from tests.straight import Straight, documents
from tests.test_replay_properties import hasty
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
FOR_EVER = 2**62


class Planned(NamedTuple):
    """A plan that waits in its generation. `unseen`: it has faults that the live generation has not."""

    digest: str
    code: str
    live: int
    wanted: frozenset[Artifact]
    faults: frozenset[tuple[int, str | None]]
    unseen: bool


class Claimed(NamedTuple):
    """A document that a worker has gone to fetch."""

    claims: Claims
    wish: Wish
    fence: int


class Machine(RuleBasedStateMachine):
    """All that can happen, and what must be so after each of it."""

    patches: tuple[Patch, ...] = ()
    wishes: Bundle[Wish] = Bundle("wishes")
    fetching: Bundle[Claimed] = Bundle("fetching")

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.stack.enter_context(worn(*CODES["counting"], *self.patches))
        self.ledger = Ledger(Path(self.stack.enter_context(TemporaryDirectory(dir=MEMORY))))
        self.plans: dict[int, Planned] = {}
        self.way_back: int | None = None
        self.leased: dict[Artifact, int] = {}
        self.held: set[Artifact] = set()
        self.stored: set[Artifact] = set()
        self.lived: Counter[str] = Counter()
        self.seen: dict[int, int] = {}  # generation → how far it was looked at

    def teardown(self) -> None:
        """Whatever happened, at last everything is fetched that somebody wants and nobody holds."""
        try:
            self.assert_nothing_is_left_behind()
        finally:
            self.ledger.close()
            self.stack.close()

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

    @precondition(works)
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

    # Commands

    @rule()
    def is_planned(self) -> None:
        """What the plan says is what the tables say; these are those of the plainest fold."""
        ledger, new = self.ledger, self.ledger.live + 1
        with ledger.commanded() as replay:
            plan, report = replay.plan(), reported(replay)
        ledger.folded[new] = []
        ledger.account(ledger.deployed)
        ledger.assert_true(new)
        assert differing.told_by(report) == differing.worked_out(ledger.said(new - 1), ledger.said(new))
        wanted = frozenset(Artifact(**one) for one in report["artifacts"]["wanted"])
        faults = frozenset((fault.position, fault.subject) for fault in plan.faults)
        unseen = any(fault.new for fault in plan.faults)
        self.plans[new] = Planned(plan.digest, ledger.deployed, new - 1, wanted, faults, unseen)

    @rule(piece=FEW)
    def is_planned_in_vain(self, piece: int) -> None:
        """Broken off: whatever was in the place of the next generation is gone."""
        ledger, new = self.ledger, self.ledger.live + 1
        goal = len(ledger.folded[new - 1])
        if goal:
            with ledger.commanded() as replay, worn((building, "PIECE", 1)), pytest.raises(Interrupted):
                replay.plan(interrupt(min(piece, goal)))
            ledger.folded.pop(new, None)
            self.plans.pop(new, None)

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
        assert held == {known for known in plan.wanted if states[_key(known)].state in artifacts.OPEN}
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
        """Whether code, live views and faults are those that were planned."""
        ledger = self.ledger
        if (plan.code, plan.live) != (ledger.deployed, ledger.live) or not self.worker_agrees():
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
        """If the views came from a replay, and with the code that folded those before."""
        ledger, live, previous = self.ledger, self.ledger.live, self.way_back
        with ledger.commanded() as replay:
            codes = ledger.folded[previous] if previous is not None else []
            if previous is None or codes[-1:] not in ([], [ledger.deployed]) or not self.worker_agrees():
                with ledger.refuses():
                    replay.roll_back("somebody")
                return
            assert replay.roll_back("somebody") == previous
        ledger.account(ledger.deployed)
        assert self.assert_went_live(previous, live) == set()
        self.way_back = None

    @rule()
    def is_purged(self) -> None:
        """Only what is shown remains."""
        ledger = self.ledger
        with ledger.commanded() as replay:
            assert replay.purge() == sorted(ledger.folded.keys() - {ledger.live})
        ledger.folded = {ledger.live: ledger.folded[ledger.live]}
        self.plans.clear()
        self.way_back = None

    # Downloads

    @precondition(works)
    @rule(target=wishes)
    def looks_what_is_due(self) -> Any:
        """As a worker does; it may be some time before it acts on it."""
        projector = self.ledger.projector
        assert projector is not None
        generation = projector.views.generation
        return multiple(*self.ledger.due(generation, now()) if generation in self.ledger.folded else ())

    @precondition(works)
    @rule(wish=wishes, target=fetching)
    def goes_to_fetch(self, wish: Wish) -> Any:
        """Nothing that is stored, held, or being fetched already."""
        fence = self.ledger.claims.take(wish.artifact, wish.generation, wish.folded)
        if fence is None:
            return multiple()
        assert wish.artifact not in self.stored, "fetched twice"
        assert wish.artifact not in self.leased, "claimed twice"
        assert wish.artifact not in self.held, "fetched though it is held"
        assert wish.generation == self.ledger.live, "fetched for views that are not shown"
        self.leased[wish.artifact] = fence
        return Claimed(self.ledger.claims, wish, fence)

    @rule(claimed=consumes(fetching), how=st.sampled_from(("stored", "failed", "later", "abandoned", "interrupted")))
    def comes_back(self, claimed: Claimed, how: str) -> None:
        """With the document or without; what a killed worker says does not count any more."""
        artifact, attempt = claimed.wish.artifact, claimed.wish.attempts + 1
        outcomes = {
            "stored": Act(facts.STORED, attempt=attempt, sha256="00", size=1, path="x"),
            "failed": Act(facts.FAILED, attempt=attempt, next_at=now()),
            "later": Act(facts.FAILED, attempt=attempt, next_at=FOR_EVER - 1),
            "abandoned": Act(facts.ABANDONED, attempt=attempt),
        }
        outcome = acts.outcome(artifact, "onespan", outcomes[how]) if how in outcomes else None
        if self.leased.get(artifact) != claimed.fence:
            with pytest.raises(errors.Superseded):
                claimed.claims.settle(artifact, claimed.fence, outcome)
            return
        claimed.claims.settle(artifact, claimed.fence, outcome)
        del self.leased[artifact]
        self.stored |= {artifact} if how == "stored" else set()

    @precondition(lambda self: self.held)
    @rule(number=FEW)
    def is_released(self, number: int) -> None:
        """Some of what is held."""
        released = sorted(self.held)[:number]
        decisions.release(self.ledger.log.database, released, "somebody", "a test")
        self.held.difference_update(released)

    @rule(subject=SUBJECTS, name=st.sampled_from(BOTH))
    def is_tried_again(self, subject: str, name: str) -> None:
        """Somebody says so."""
        decisions.retry(self.ledger.log.database, [Artifact(SOURCE, subject, name)], "somebody", "a test")

    # What must be so

    @invariant()
    def views_are_true(self) -> None:
        """Whatever was folded so far, by whomever: the rows, faults and what waits of the plainest fold."""
        for generation, codes in self.ledger.folded.items():
            if self.seen.get(generation) != len(codes):
                self.ledger.assert_true(generation)
                self.seen[generation] = len(codes)

    @invariant()
    def nothing_held_or_stored_is_due(self) -> None:
        """Once the views have heard of it."""
        if len(self.ledger.folded[self.ledger.live]) == self.ledger.head:
            due = {wish.artifact for wish in self.ledger.due(self.ledger.live, now())}
            assert not due & (self.held | self.stored)

    def assert_nothing_is_left_behind(self) -> None:
        """A new worker fetches everything that is open, but for subjects with a fault."""
        self.starts()
        while self.ledger.fold() or self.fetches():
            pass
        straight = self.ledger.straight(self.ledger.live)
        stopped = {fault[1:] for fault in straight.faults}
        left = {key for key, state in documents(straight).items() if state.state in artifacts.OPEN}
        assert {key for key in left if key[:2] not in stopped} == set()
        self.seen.clear()
        self.views_are_true()

    def fetches(self) -> int:
        """Everything that will ever be due; how many."""
        wishes = self.ledger.due(self.ledger.live, FOR_EVER)
        for wish in wishes:
            self.comes_back(self.goes_to_fetch(wish), "stored")
        return len(wishes)


def _die() -> None:
    raise Interrupted


def _key(known: Artifact) -> tuple[str, str, str]:
    return known.source, known.subject, known.name


TestMachine = Machine.TestCase
TestMachine.settings = hypothesis.settings(max_examples=20, stateful_step_count=30, deadline=None)


class Blind(Claims):
    """Neither looks which generation is live, nor what was done since."""

    def take(self, artifact: Artifact, generation: int, folded: int) -> int | None:
        """The fence."""
        with self._database.writing() as connection:
            return self._lease(connection, artifact)


class Broken(NamedTuple):
    """A wrong part, and with which rules it shows."""

    patches: tuple[Patch, ...]
    rules: frozenset[str]


BROKEN = {
    "a claim that does not look": Broken(
        ((Ledger, "Claims", Blind),), frozenset({"looks_what_is_due", "goes_to_fetch", "comes_back"})
    ),
    "a flip that does not look at the head": Broken(
        (
            (Replay, "_catch_up", lambda _replay, _generation: None),
            (going_live, "at_head", lambda _log, _generation: True),
        ),
        frozenset({"is_planned", "goes_on", "is_applied"}),
    ),
    "holds that are forgotten": Broken(
        ((going_live, "_holds", lambda _held, _operator: []),), frozenset({"is_mended"})
    ),
    "rows that are committed too early": Broken(
        ((rows, "save", hasty),), frozenset({"goes_on", "is_killed_at", "starts"})
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_machine_with_a_broken_part_fails(name: str) -> None:
    """One wrong rule, and some sequence shows it."""
    kept = BROKEN[name].rules
    rules = {name: known for name, known in vars(Machine).items() if hasattr(known, RULE_MARKER)}
    methods = {name: inspect.unwrap(rules[name]) for name in rules.keys() - kept}
    machine = type("BrokenMachine", (Machine,), {"patches": BROKEN[name].patches, **methods})
    quick = hypothesis.settings(
        max_examples=100,
        stateful_step_count=15,
        database=None,
        derandomize=True,
        deadline=None,
        report_multiple_bugs=False,
        phases=[hypothesis.Phase.generate],
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=quick)
