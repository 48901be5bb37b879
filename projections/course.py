"""The course a subject took: the steps we were told of, as a set, and where they lead whatever order they came in."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from projections import facts
from projections.facts import Fact

NO: Final = "no"
YES: Final = "yes"
CONTRADICTED: Final = "contradicted"

MOST_STEPS: Final = 1000  # a real life cycle has about ten; more is a flood, and folding it again and again is not free
_TRASH: Final = frozenset({facts.TRASHED, facts.RESTORED})  # in or out: the status stays, mostly
STEPS: Final = frozenset({facts.STATUS, facts.RESTORED, facts.TRASHED, facts.DELETED, facts.OBSERVED})
_NEVER: Final = 2**63  # behind every time

Place = tuple[int, int, str, str]  # clock, rank, name, status


class Step(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What of a fact says where a subject stands. `trashed` is the word of an answer of the API."""

    what: str
    name: str
    position: int
    recorded_at: int
    occurred_at: int | None
    rank: int
    status: str | None
    stage: str | None
    only_from: str | None
    trashed: bool | None

    @property
    def clock(self) -> int | None:
        """As that of its fact."""
        return facts.believed(self.occurred_at, self.recorded_at)

    @property
    def heard(self) -> tuple[int, int]:
        """As that of its fact."""
        return self.recorded_at, self.position

    @property
    def observed(self) -> bool:
        """As that of its fact."""
        return self.what == facts.OBSERVED


class Standing(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the steps add up to. The ranks say how far status and trash came: without a clock there is no way back."""

    status: str = ""
    stage: str = facts.IN_PROGRESS
    trashed: bool = False
    confirmed: str = NO
    rank: int = -1
    trash_rank: int = -1


class Course(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The steps in the order we heard of them, and where they lead.

    `implied` is what the status must be while no step is known: a document is signed only when it was sent. `last` is
    the place of the step that happened last, as long as every step is a callback whose clock is believed.
    """

    steps: tuple[Step, ...] = ()
    implied: str = ""
    standing: Standing = Standing()
    last: Place | None = None


def take(course: Course, fact: Fact) -> Course:
    """Take one fact in. Raises ValueError for one step too many."""
    if fact.what not in STEPS:
        return _imply(course, fact.status or "")
    if fact.what == facts.OBSERVED and fact.status is None:
        return course
    step = _step(fact)
    place = _place(step)
    steps = course.steps
    if place is None or (steps and (course.last is None or place <= course.last or step.heard <= steps[-1].heard)):
        return _course(_with(steps, step), course.implied)
    # It happened after all others: one more move of the same fold leads where all of them would.
    _assert_few(len(steps) + 1)
    return Course((*steps, step), course.implied, _advance(course.standing, step), place)


def _imply(course: Course, status: str) -> Course:
    if status <= course.implied:
        return course
    if course.steps and all(step.status and step.what == facts.STATUS for step in course.steps):
        return Course(course.steps, status, course.standing, course.last)  # no step leaves the status to be implied
    return _course(course.steps, status)


def _course(steps: tuple[Step, ...], implied: str) -> Course:
    places = [_place(step) for step in steps]
    known = [place for place in places if place is not None]
    last = max(known, default=None) if len(known) == len(places) else None
    return Course(steps, implied, stand(steps, implied), last)


def _step(fact: Fact) -> Step:
    return Step(
        fact.what,
        fact.name,
        fact.position,
        fact.recorded_at,
        fact.occurred_at,
        fact.rank,
        fact.status,
        fact.stage,
        fact.only_from,
        fact.answer.trashed if fact.answer else None,
    )


def _place(step: Step) -> Place | None:
    """Where a callback whose clock is believed stands among its like; only repetitions share a place."""
    at = step.occurred_at
    if at is None or at > step.recorded_at + facts.CLOCK_TOLERANCE or step.what == facts.OBSERVED:
        return None
    return at, step.rank, step.name, step.status or ""


def _with(steps: tuple[Step, ...], new: Step) -> tuple[Step, ...]:
    sense = _sense(new)
    same = [step for step in steps if _sense(step) == sense]
    kept = {*steps}.difference(same) | _first_and_last([*same, new])
    _assert_few(len(kept))
    return tuple(sorted(kept, key=lambda step: step.heard))


def _assert_few(steps: int) -> None:
    if steps > MOST_STEPS:
        raise ValueError(f"more than {MOST_STEPS} changes of status for one subject")


def _sense(step: Step) -> tuple[Any, ...]:
    """What a step says, wherever it stands in the log: a repeated callback says nothing new, an answer always does."""
    return (step.what, step.name, step.occurred_at, step.status, step.heard if step.observed else None)


def _first_and_last(same: Sequence[Step]) -> set[Step]:
    """Of a repeated callback the first; the last too if it has no clock: an answer in between may have denied it."""
    first = min(same, key=lambda step: step.heard)
    last = max(same, key=lambda step: step.heard)
    return {first} if first.occurred_at is not None else {first, last}


def in_order(steps: Sequence[Step]) -> list[Step]:
    """The steps as they happened, as far as anybody can know.

    A callback stands at its clock. An answer of the API stands when it was asked, and behind callbacks heard before
    whose clock is a little ahead of ours. A callback without a clock stands before the next answer, if there is one,
    else behind everything; there only the ranks order.
    """
    asked = _asked(steps)

    def place(step: Step) -> tuple[Any, ...]:
        at = step.clock
        if at is None:
            at = next((time for heard, time in asked if heard >= step.heard), _NEVER)
        if step.observed:
            return (at, True, step.heard)
        return (at, False, step.clock is None, step.rank, step.name, step.status or "", step.position)

    return sorted(steps, key=place)


def _asked(steps: Iterable[Step]) -> list[tuple[tuple[int, int], int]]:
    """Of each answer of the API, when we heard it and where it stands."""
    answers = [step for step in steps if step.observed]
    if not answers:
        return []
    ahead = [(step.heard, step.clock) for step in steps if step.clock is not None and step.clock > step.recorded_at]
    return [
        (answer.heard, max([answer.recorded_at, *(clock for heard, clock in ahead if heard < answer.heard)]))
        for answer in sorted(answers, key=lambda step: step.heard)
    ]


def missed(course: Course) -> int | None:
    """When the API first told of the completion that stands, if no callback has (microseconds, ours); else None."""
    if course.standing.stage != facts.COMPLETED or course.standing.confirmed != YES:
        return None
    if told_by_callback(course):
        return None
    return min(step.recorded_at for step in course.steps if step.observed and step.stage == facts.COMPLETED)


def told_by_callback(course: Course) -> bool:
    """Whether a callback told of a completion."""
    return any(map(tells_of_completion, course.steps))


def tells_of_completion(told: Step | Fact) -> bool:
    """Whether it is a callback's word. What is restored may have been complete or not: that tells nothing."""
    return told.what == facts.STATUS and told.stage == facts.COMPLETED


def stand(steps: Sequence[Step], implied: str = "") -> Standing:
    """Fold the steps. Without any, whatever happens to a package happens while it is in progress."""
    standing = claim = Standing(status=implied)  # what is so, and what the callbacks alone say
    for step in in_order(steps):
        if step.observed:
            standing = _observe(standing, claim, step)
        else:
            standing, claim = _advance(standing, step), _advance(claim, step)
    return standing


def _advance(standing: Standing, step: Step) -> Standing:
    """What a callback makes of it."""
    if step.what not in _TRASH:
        return _move(standing, step)
    if step.clock is None and step.rank <= standing.trash_rank:
        return standing
    if step.what == facts.RESTORED and not standing.trashed and standing.status == step.only_from:
        standing = _move(standing, step)
    trash_rank = max(standing.trash_rank, step.rank)
    return msgspec.structs.replace(standing, trashed=step.what == facts.TRASHED, trash_rank=trash_rank)


def _move(standing: Standing, step: Step) -> Standing:
    """Another status or stage. A callback without a clock may contradict what stands, but does not take it back."""
    status, stage = step.status or standing.status, step.stage or standing.stage
    two_ends = _two_ends(standing, status, stage)
    if step.rank <= standing.rank and step.clock is None:
        return msgspec.structs.replace(standing, confirmed=CONTRADICTED) if two_ends else standing
    unchanged = status == standing.status and stage == standing.stage
    confirmed = CONTRADICTED if two_ends else standing.confirmed if unchanged else NO
    return Standing(status, stage, standing.trashed, confirmed, max(standing.rank, step.rank), standing.trash_rank)


def _observe(standing: Standing, claim: Standing, step: Step) -> Standing:
    """An authenticated answer stands, and settles what the callbacks claim: an end that it does not know is none."""
    status, stage = step.status or "", step.stage or facts.IN_PROGRESS
    trashed = standing.trashed if step.trashed is None else step.trashed
    denied = claim.stage in facts.TERMINAL and _differ(claim, status, stage)
    return Standing(status, stage, trashed, CONTRADICTED if denied else YES, step.rank)


def _two_ends(standing: Standing, status: str, stage: str) -> bool:
    """Whether one end follows another, or did before: nobody but the API can tell which of them is true."""
    if standing.stage not in facts.TERMINAL or stage not in facts.TERMINAL:
        return False
    return standing.confirmed == CONTRADICTED or _differ(standing, status, stage)


def _differ(standing: Standing, status: str, stage: str) -> bool:
    """Whether the status is another one; archived is what completed has become."""
    return standing.status != status and not standing.stage == stage == facts.COMPLETED
