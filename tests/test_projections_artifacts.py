"""Which documents are wanted, what became of them, and when one that was given up comes alive again."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Final

import hypothesis
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projections import artifacts, facts
from projections.artifacts import ABANDONED, FAILED, STORED, UNWANTED, WANTED, State
from projections.facts import Answer, Fact, Named, Stored

KEY: Final = ("here", "p=", "evidence.pdf")
NOON: Final = 1_795_348_800_000_000
HOUR: Final = 3_600_000_000
PAPER: Final = Stored("ab" * 32, 9000, "here/p=/evidence.pdf")

Apply = Callable[[State, Any, Fact], State]


def want(position: int, what: str = facts.STATUS, recorded_at: int = 0) -> Fact:
    """A completion, told by a callback or by the API, while the artifact was in force."""
    return Fact(
        position,
        recorded_at or NOON + position,
        "here",
        "onespan",
        "p=",
        what,
        "PACKAGE_COMPLETE",
        status="COMPLETED",
        stage=facts.COMPLETED,
        wants=("documents.zip", "evidence.pdf"),
    )


def act(position: int, what: str, **fields: Any) -> Fact:
    """What we did, or what a person decided."""
    return Fact(position, NOON + position, "here", "onespan", "p=", what, what, artifact="evidence.pdf", **fields)


def failed(position: int, attempt: int = 1, next_at: int | None = NOON + HOUR) -> Fact:
    """A failure; without a next time it waits for a person."""
    return act(position, facts.FAILED, attempt=attempt, next_at=next_at, message="not complete yet")


def abandoned(position: int) -> Fact:
    """The last failure."""
    return act(position, facts.ABANDONED, attempt=79, message="HTTP 404, after 79 tries")


def stored(position: int) -> Fact:
    """The document lies on disk."""
    return act(position, facts.STORED, attempt=2, stored=PAPER)


def fold(*found: Fact, apply: Apply = artifacts.apply) -> State:
    """The state of one artifact after these facts; its row always gives it back."""
    state = artifacts.initial(KEY)
    for fact in found:
        assert KEY in artifacts.keys(fact)
        state = apply(state, KEY, fact)
    row = artifacts.row(KEY, state)
    assert len(row) == len(artifacts.TABLE.columns)
    assert row[:4] == (*KEY, state.state)
    assert artifacts.load(row) == state
    return state


# What a replay found


def held(position: int) -> Fact:
    """Only a replay wants it."""
    return act(position, facts.HELD, message="only a replay wants it")


def released(position: int) -> Fact:
    """Somebody let it go."""
    return act(position, facts.RELEASED, message="our bug")


@pytest.mark.parametrize("before", [[], [failed(2)], [failed(2, next_at=None)]])
def test_what_is_held_stays_so_until_it_is_released(before: list[Fact]) -> None:
    """Whatever completes or fails meanwhile; then it is where it was."""
    waiting = [want(1), *before, held(3)]
    assert fold(*waiting).state == "held"
    assert fold(*waiting, want(4), failed(5), want(6)).state == "held"
    assert fold(*waiting, released(4)).state == fold(want(1), *before).state


def test_what_is_held_may_be_stored_or_given_up_all_the_same() -> None:
    """A hold is about fetching, not about what has come."""
    assert fold(want(1), held(2), stored(3)).state == STORED
    assert fold(want(1), held(2), abandoned(3)).state == ABANDONED
    assert fold(want(1), held(2), abandoned(3), want(4)).state == "held"
    assert fold(held(2)).state == UNWANTED


# Which rows a fact touches


def test_a_completion_wants_each_artifact_in_force() -> None:
    """One row for each, by source, subject and name, never by position."""
    assert list(artifacts.keys(want(1))) == [("here", "p=", "documents.zip"), KEY]


def test_without_wants_nothing_is_wanted() -> None:
    """What was not in force when it was recorded is not wanted later."""
    assert list(artifacts.keys(msgspec.structs.replace(want(1), wants=()))) == []


@pytest.mark.parametrize("what", [facts.STORED, facts.FAILED, facts.ABANDONED, facts.RETRY])
def test_our_own_act_touches_its_artifact(what: str) -> None:
    """And no other."""
    assert list(artifacts.keys(act(1, what))) == [KEY]


def test_an_act_that_this_version_does_not_know_touches_nothing() -> None:
    """It must not be taken for a want."""
    assert list(artifacts.keys(act(1, facts.OTHER))) == []


# Kinds of which there may be several

KIND: Final = ("here", "p=", "document-*.pdf")
IDS: Final = st.text(max_size=12) | st.text("%2A*a", max_size=6)


def answered(position: int, *documents: str, attachments: Sequence[str] = ()) -> Fact:
    """An answer of the API: complete, with these documents, and attachments of these roles."""
    named, roles = (tuple(Named(known, "x") for known in each) for each in (documents, attachments))
    wants = ("evidence.pdf", "document-*.pdf", "attachments-*.zip")
    fact = msgspec.structs.replace(want(position, facts.OBSERVED), wants=wants)
    return msgspec.structs.replace(fact, answer=Answer(200, False, (), named, roles))


def kind(*found: Fact) -> State:
    """The state of a kind as a whole."""
    state = artifacts.initial(KIND)
    for fact in found:
        state = artifacts.apply(state, KIND, fact)
    assert artifacts.load(artifacts.row(KIND, state)) == state
    return state


def of_kind(position: int, what: str, **fields: Any) -> Fact:
    """What we did about the kind."""
    return msgspec.structs.replace(act(position, what, **fields), artifact=KIND[-1])


def test_a_callback_wants_a_kind_as_a_whole() -> None:
    """It says nothing of which there are."""
    fact = msgspec.structs.replace(want(1), wants=("document-*.pdf", "audit.json"))
    assert list(artifacts.keys(fact)) == [KIND, ("here", "p=", "audit.json")]
    assert kind(fact).state == WANTED


def test_an_answer_wants_each_that_there_is() -> None:
    """The documents, and the attachments of those who uploaded some; an id that is empty is none."""
    names = [key[-1] for key in artifacts.keys(answered(1, "d1", "", "d2", attachments=["Signer1"]))]
    assert names == [
        *("evidence.pdf", "document-*.pdf", "document-d1.pdf", "document-d2.pdf"),
        *("attachments-*.zip", "attachments-Signer1.zip"),
    ]
    assert [key[-1] for key in artifacts.keys(answered(1))] == ["evidence.pdf", "document-*.pdf", "attachments-*.zip"]


def test_a_kind_is_listed_by_an_answer_or_by_our_asking() -> None:
    """And nothing makes it due again but a person."""
    listed = of_kind(2, facts.LISTED, attempt=1)
    for found in ([want(1), answered(2)], [answered(1)], [want(1), listed], [want(1), listed, answered(3)]):
        assert kind(*found).state == kind(*found, want(9), answered(10)).state == artifacts.LISTED
    assert kind(want(1), listed, of_kind(3, facts.RETRY)).state == WANTED


def test_an_answer_settles_a_kind_whose_asking_failed() -> None:
    """Somebody else asked: no alarm is left. Wants and answers come in any order."""
    for before in (of_kind(2, facts.FAILED, next_at=NOON), of_kind(2, facts.FAILED), of_kind(2, facts.ABANDONED)):
        assert kind(want(1), before, answered(3), want(4)) == kind(want(1), before, want(4), answered(3))
        assert kind(want(1), before, answered(3)).state == artifacts.LISTED


def test_a_kind_that_a_replay_holds_is_held() -> None:
    """Nobody is asked on its behalf until it is released; what an answer says is known all the same."""
    assert kind(want(1), of_kind(2, facts.HELD)).state == "held"
    assert kind(want(1), of_kind(2, facts.HELD), answered(3)).state == artifacts.LISTED


@given(one=IDS, other=IDS)
def test_distinct_ids_have_distinct_artifacts(one: str, other: str) -> None:
    """And back: the id comes out as it went in. None of them is the kind itself, or of another kind."""
    for known in artifacts.EACH:
        assert (facts.one_of(known, one) == facts.one_of(known, other)) is (one == other)
        assert facts.which(known, facts.one_of(known, one)) == one
        assert facts.one_of(known, one) not in artifacts.EACH
        assert [facts.which(kind, facts.one_of(known, one)) for kind in artifacts.EACH if kind != known] == [None]


@pytest.mark.parametrize(
    "name", ["document-*.pdf", "documents.zip", "document-", "document.pdf", "", "x-document-a.pdf"]
)
def test_what_is_not_of_a_kind_belongs_to_no_id(name: str) -> None:
    """The kind itself neither."""
    assert facts.which("document-*.pdf", name) is None
    assert facts.which("document-*.pdf", "document-a.pdf") == "a"


# From wanted to stored


def test_it_is_wanted_then_failed_then_stored() -> None:
    """The state follows our acts in the order we did them, and carries what stood in them."""
    assert fold(want(1)).state == WANTED
    once = fold(want(1), failed(2))
    assert (once.state, once.attempts, once.next_at, once.error) == (FAILED, 1, NOON + HOUR, "not complete yet")
    done = fold(want(1), failed(2), stored(3))
    assert (done.state, done.attempts, done.next_at, done.error, done.stored) == (STORED, 2, None, None, PAPER)


def test_it_is_given_up() -> None:
    """With the reason, and without a next time."""
    state = fold(want(1), failed(2), abandoned(3))
    assert (state.state, state.next_at, state.error) == (ABANDONED, None, "HTTP 404, after 79 tries")


@pytest.mark.parametrize("before", [failed(2), failed(2, next_at=None), abandoned(2)])
def test_a_person_may_have_it_tried_again(before: Fact) -> None:
    """Afresh: the attempts begin anew, and it is due at once."""
    state = fold(want(1), before, act(3, facts.RETRY, message="the key was renewed"))
    assert (state.state, state.attempts, state.next_at, state.error) == (WANTED, 0, None, None)


def test_what_is_stored_stays_stored() -> None:
    """Neither a further completion nor a late failure takes it back: nothing is fetched twice."""
    for later in (want(3), want(3, facts.OBSERVED), failed(3), abandoned(3), act(3, facts.RETRY), stored(3)):
        state = fold(want(1), stored(2), later, want(4))
        assert (state.state, state.stored) == (STORED, PAPER)


@pytest.mark.parametrize("before", [stored(1), failed(1), abandoned(1)])
def test_what_nobody_wants_is_unwanted(before: Fact) -> None:
    """An earlier handler wanted it; it is not fetched again, and comes back if a completion wants it after all."""
    assert fold(before).state == UNWANTED
    assert fold(before, want(2)).state == (STORED if before.stored else WANTED)


# Alive again


@pytest.mark.parametrize("what", [facts.STATUS, facts.OBSERVED])
def test_what_was_given_up_comes_alive_with_a_completion(what: str) -> None:
    """A forged or premature COMPLETE used up all attempts; the real one, or the API, begins them anew."""
    state = fold(want(1), failed(2, attempt=78), abandoned(3), want(4, what))
    assert (state.state, state.attempts, state.next_at, state.error) == (WANTED, 0, None, None)


def test_what_waits_becomes_due_with_a_callback() -> None:
    """The provider said "not complete yet"; now it says that it is."""
    state = fold(want(1), failed(2, attempt=8), want(3))
    assert (state.state, state.attempts, state.next_at, state.error) == (WANTED, 0, None, None)


def test_what_waits_goes_on_waiting_in_spite_of_an_answer() -> None:
    """Each attempt asks the API: two artifacts whose answers woke each other up would never rest."""
    waiting = fold(want(1), failed(2, attempt=8))
    state = fold(want(1), failed(2, attempt=8), want(3, facts.OBSERVED))
    assert state == msgspec.structs.replace(waiting, last_position=3)


@pytest.mark.parametrize("what", [facts.STATUS, facts.OBSERVED])
def test_what_waits_for_a_person_goes_on_waiting(what: str) -> None:
    """A refused key is not mended by a callback, and the alarm must not go out."""
    state = fold(want(1), failed(2, next_at=None), want(3, what))
    assert (state.state, state.next_at, state.error) == (FAILED, None, "not complete yet")


@pytest.mark.parametrize("before", [failed(2), abandoned(2)])
def test_a_completion_before_our_last_act_is_no_news(before: Fact) -> None:
    """The attempt knew of it."""
    assert fold(want(1), want(1), before).state in (FAILED, ABANDONED)


def test_after_it_came_alive_the_attempts_count_from_one() -> None:
    """As if it had never been tried; and it can be given up again."""
    again = fold(want(1), abandoned(2), want(3), failed(4, attempt=1))
    assert (again.state, again.attempts) == (FAILED, 1)
    assert fold(want(1), abandoned(2), want(3), abandoned(4)).state == ABANDONED


# The order of wants

WANTS: Final = st.builds(
    want, st.integers(1, 100), st.sampled_from([facts.STATUS, facts.OBSERVED]), st.integers(NOON, NOON + HOUR)
)
ACTS: Final = st.sampled_from([failed, abandoned, stored, lambda position: failed(position, next_at=None)])
LIVES: Final = st.lists(st.tuples(st.lists(WANTS, max_size=3), ACTS), max_size=4)
Life = Sequence[tuple[list[Fact], Callable[[int], Fact]]]


def lived(life: Life, last: Sequence[Fact], *, backwards: bool) -> list[Fact]:
    """Wants and acts in turn; backwards, the wants between two acts come in reverse order, and twice."""
    turn = (lambda wants: 2 * wants[::-1]) if backwards else list
    found = [[*turn(wants), made(number)] for number, (wants, made) in enumerate(life, 101)]
    return [*itertools.chain.from_iterable(found), *turn(last)]


def in_any_order(life: Life, last: Sequence[Fact], apply: Apply = artifacts.apply) -> bool:
    """Whether the order and repetition of wants makes no difference."""
    forwards, backwards = (fold(*lived(life, last, backwards=turn), apply=apply) for turn in (False, True))
    return forwards == backwards


@settings(deadline=None)
@given(life=LIVES, last=st.lists(WANTS, max_size=3))
def test_wants_come_in_any_order(life: Life, last: list[Fact]) -> None:
    """Between two acts of ours neither order nor repetition of completions changes anything."""
    assert in_any_order(life, last)


@settings(deadline=None)
@given(life=LIVES, last=st.lists(WANTS, min_size=1, max_size=3))
def test_it_is_wanted_since_it_was_first_wanted(life: Life, last: list[Fact]) -> None:
    """Coming alive again does not make it younger; health shows how long somebody waits."""
    wants = [one for wants, _ in life for one in wants] + last
    state = fold(*lived(life, last, backwards=False))
    assert state.wanted_at == min(one.recorded_at for one in wants)
    assert state.last_position == max(fact.position for fact in lived(life, last, backwards=False))


def since_the_last(state: State, key: Any, fact: Fact) -> State:
    """A fold that takes the newest completion for the first."""
    moved = artifacts.apply(state, key, fact)
    return msgspec.structs.replace(moved, wanted_at=fact.recorded_at) if fact.wants else moved


def test_a_fold_that_depends_on_the_order_of_wants_is_noticed() -> None:
    """Negative control."""
    life, last = hypothesis.find(
        st.tuples(LIVES, st.lists(WANTS, max_size=3)),
        lambda case: not in_any_order(case[0], case[1], since_the_last),
        settings=settings(max_examples=1000, database=None, derandomize=True, phases=[hypothesis.Phase.generate]),
    )
    assert in_any_order(life, last)


def never_wakes(state: State, key: Any, fact: Fact) -> State:
    """A fold for which a completion is no news once something was done."""
    return state if state.act and fact.wants else artifacts.apply(state, key, fact)


def always_wakes(state: State, key: Any, fact: Fact) -> State:
    """A fold for which any completion begins anew."""
    fresh = State(wanted_at=state.wanted_at)
    return artifacts.apply(fresh if fact.wants else state, key, fact)


def test_a_fold_that_wakes_too_seldom_or_too_often_is_noticed() -> None:
    """Negative control: the cases above tell them from the fold as it is."""
    waits, answer, refused = failed(2, attempt=8), want(3, facts.OBSERVED), failed(2, next_at=None)
    woken = [fold(want(1), before, want(3)) for before in (waits, abandoned(2))]
    assert all(state.state == WANTED for state in woken)
    assert all(fold(want(1), before, want(3), apply=never_wakes).state != WANTED for before in (waits, abandoned(2)))
    for case in ((want(1), waits, answer), (want(1), refused, want(3)), (want(1), stored(2), want(3))):
        assert fold(*case).state != WANTED
        assert fold(*case, apply=always_wakes).state == WANTED
