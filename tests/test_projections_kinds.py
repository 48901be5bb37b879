"""A kind of documents that a person abandons: what the provider lists of it later is abandoned with it."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from projections import artifacts, facts
from projections.artifacts import ABANDONED, FAILED, STORED, WANTED, State
from projections.facts import Fact
from tests.test_projections_artifacts import HOUR, KEY, NOON, PAPER, act, answered, of_kind, want

ONE: Final = ("here", "p=", "document-d1.pdf")
Rows = dict[Any, State]


class Touched(Rows):
    """Rows of which a fold must not ask for any other: those may be there in one fold, and not in the next."""

    def get(self, key: Any, default: Any = None) -> Any:
        """The state of one that is touched."""
        assert key in self, f"{key} is none of the rows that the fact touches"
        return super().get(key, default)


def rows(*found: Fact) -> Rows:
    """All rows after these facts, each fact folded with where the rows that it touches stood before it."""
    states: Rows = {}
    for fact in found:
        before = Touched({key: states.get(key, State()) for key in artifacts.keys(fact)})
        states |= {key: artifacts.apply(state, key, fact, before) for key, state in before.items()}
    return states


def of_one(position: int, what: str, **fields: Any) -> Fact:
    """What we did about the one that is listed."""
    return msgspec.structs.replace(act(position, what, **fields), artifact=ONE[-1])


def test_what_is_listed_of_an_abandoned_kind_is_abandoned() -> None:
    """With the reason, as if somebody had named it; of another kind, or of none, everything is wanted as ever."""
    kind_abandoned = of_kind(2, facts.ABANDON, message="nobody needs them")
    found = rows(want(1), kind_abandoned, answered(3, "d1", attachments=["Signer1"]), answered(4, "d1"), want(5))
    assert (found[ONE].state, found[ONE].error) == (ABANDONED, "nobody needs them")
    assert artifacts.row(ONE, found[ONE])[artifacts.TABLE.columns.keys().index("decided")] == 1
    assert found["here", "p=", "attachments-Signer1.zip"].state == found[KEY].state == WANTED
    assert rows(want(1), answered(3, "d1"))[ONE].state == WANTED


def test_whoever_takes_one_of_them_up_again_has_decided_otherwise() -> None:
    """For this one; and who takes up the kind, for all that is listed from then on."""
    before = [want(1), of_kind(2, facts.ABANDON), answered(3, "d1")]
    assert rows(*before, of_one(4, facts.RETRY), answered(5, "d1"))[ONE].state == WANTED
    tried = [of_one(4, facts.RETRY), of_one(5, facts.FAILED, next_at=NOON + HOUR)]
    assert rows(*before, *tried, answered(6, "d1"))[ONE].state == FAILED
    again = rows(*before, of_kind(4, facts.RETRY), answered(5, "d2"))
    assert (again["here", "p=", "document-d2.pdf"].state, again[ONE].state) == (WANTED, ABANDONED)


def test_what_came_of_an_abandoned_kind_is_kept() -> None:
    """It was stored before, or it was under way."""
    before = [want(1), answered(2, "d1")]
    kept = of_one(3, facts.STORED, stored=PAPER)
    for facts_in_order in (
        [kept, of_kind(4, facts.ABANDON)],
        [of_kind(3, facts.ABANDON), of_one(4, facts.STORED, stored=PAPER)],
    ):
        assert rows(*before, *facts_in_order, answered(5, "d1"))[ONE].state == STORED


def test_an_answer_from_before_that_could_be_read_only_now_wants_what_it_wanted() -> None:
    """It stands in front of the decision, as if it had never been a fault; the next answer settles it."""
    decided = of_kind(5, facts.ABANDON)
    late, in_order = rows(want(1), decided, answered(4, "d1")), rows(want(1), answered(4, "d1"), decided)
    assert late[ONE] == in_order[ONE]
    assert late[ONE].state == WANTED
    assert rows(want(1), decided, answered(4, "d1"), answered(6, "d1"))[ONE].state == ABANDONED


TOLD: Final = st.tuples(st.booleans(), st.integers(-250, 90))  # an answer or a callback; where from the last act on
DONE: Final = st.sampled_from(
    [
        *(lambda at, what=what: of_kind(at, what) for what in (facts.ABANDON, facts.RETRY)),
        *(lambda at, what=what: of_one(at, what) for what in (facts.ABANDON, facts.RETRY, facts.ABANDONED)),
        lambda at: of_one(at, facts.FAILED, next_at=NOON + HOUR),
        lambda at: of_one(at, facts.STORED, stored=PAPER),
    ]
)
CASES: Final = st.lists(st.tuples(st.lists(TOLD, max_size=3), DONE), max_size=5)


def told_in_turn(
    case: Sequence[tuple[list[tuple[bool, int]], Callable[[int], Fact]]], *, backwards: bool
) -> list[Fact]:
    """Acts a hundred positions apart, and between them what is told, some of it long before; or backwards, twice."""
    found: list[Fact] = []
    for number, (told, done) in enumerate(case, 1):
        wants = [
            (answered(place, "d1") if by_api else want(place))
            for by_api, after in told
            if (place := max(1, 100 * number + after))
        ]
        found += [*(2 * wants[::-1] if backwards else wants), done(100 * number + 95)]
    return found


@settings(deadline=None)
@given(case=CASES)
def test_what_is_listed_comes_in_any_order(case: Any) -> None:
    """Whatever was decided about the kind or the one: neither order nor repetition of what is told changes anything."""
    end = [answered(1000, "d1"), want(1001)]
    forwards, backwards = (rows(*told_in_turn(case, backwards=turn), *end) for turn in (False, True))
    assert forwards == backwards
