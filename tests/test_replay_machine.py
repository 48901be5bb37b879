"""Whatever happens to a log, its views, replays and downloads, in whatever order: nothing is lost, nothing twice."""

import inspect
from pathlib import Path
from typing import Any, NamedTuple

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RULE_MARKER,
    Bundle,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from structlog.testing import capture_logs

from listener import acts, decisions, errors, rows
from listener.acts import Act, Artifact
from listener.log.append import now
from listener.worker import faults, going_live
from listener.worker.claims import Claims
from listener.worker.due import Wish
from listener.worker.replay import Replay
from projections import artifacts, facts
from tests.codes import Patch
from tests.ledger import Ledger
from tests.replaying import FEW, SUBJECTS, Replaying
from tests.rig import BOTH, SOURCE, Log
from tests.straight import documents
from tests.test_replay_properties import hasty

FOR_EVER = 2**62


class Claimed(NamedTuple):
    """A document that a worker has gone to fetch."""

    claims: Claims
    wish: Wish
    fence: int


class Machine(Replaying):
    """The maintainer's days, the worker's downloads, and what must always be so."""

    wishes: Bundle[Wish] = Bundle("wishes")
    fetching: Bundle[Claimed] = Bundle("fetching")

    def __init__(self) -> None:
        super().__init__()
        self.stored: set[Artifact] = set()
        self.seen: dict[int, int] = {}  # generation → how far it was looked at

    def teardown(self) -> None:
        """Whatever happened, at last everything is fetched that somebody wants and nobody holds."""
        try:
            self.assert_nothing_is_left_behind()
        finally:
            self.ledger.close()
            self.stack.close()

    @precondition(Replaying.works)
    @rule(target=wishes)
    def looks_what_is_due(self) -> Any:
        """As a worker does; it may be some time before it acts on it."""
        projector = self.ledger.projector
        assert projector is not None
        generation = projector.views.generation
        return multiple(*self.ledger.due(generation, now()) if generation in self.ledger.folded else ())

    @precondition(Replaying.works)
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


TestMachine = Machine.TestCase
TestMachine.settings = hypothesis.settings(max_examples=20, stateful_step_count=50, deadline=None)


def test_so_it_is_on_postgres(on_postgres: Path) -> None:
    """The same rules, with schemas and other locks; fewer lives, because each is slower."""
    there = {"where": str(on_postgres), "patches": ((Ledger, "Log", Log),)}
    machine = type("MachineOnPostgres", (Machine,), there)
    short = hypothesis.settings(
        max_examples=3,
        stateful_step_count=30,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    run_state_machine_as_test(machine, settings=short)


def test_views_that_are_purged_under_a_worker_are_no_damage(each_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on in those that are shown now, and says nothing of damage."""
    monkeypatch.setattr(Ledger, "Log", Log)
    ledger = Ledger(each_engine)
    ledger.fold()
    with ledger.commanded() as replay:
        replay.apply(replay.plan().digest, "somebody")
    ledger.begin(2)
    ledger.purge()
    assert ledger.projector is not None
    try:
        with capture_logs() as said:
            ledger.fold()
            ledger.fold()
        assert [line["event"] for line in said] == ["views_switched"]
        assert ledger.projector.views.generation == ledger.live == 2
    finally:
        ledger.close()


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
    "faults that mended code does not try": Broken(
        ((faults, "outdated", lambda _generation, _code: None),),
        frozenset({"is_served", "goes_on", "folds"}),
    ),
    "rows that are committed too early": Broken(
        ((rows, "save", hasty),), frozenset({"goes_on", "is_killed_at", "starts"})
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_machine_with_a_broken_part_fails(name: str) -> None:
    """One wrong rule, and some sequence shows it."""
    kept = BROKEN[name].rules
    rules = {name: known for name, known in inspect.getmembers(Machine) if hasattr(known, RULE_MARKER)}
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
