"""Where a package stands: what each name means, and that neither order of arrival nor repetition changes the end.

The properties generate a package's life as the provider would live it, and expect where that life ended; the fold only
sees the callbacks, late, crossed and repeated. Each property is also shown a fold with one wrong belief, and must
notice.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import hypothesis
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listener.log import event
from listener.providers import evrotrust, onespan
from projections import course, facts, packages
from projections.course import CONTRADICTED, NO, YES
from projections.facts import Fact
from projections.packages import Document, Signer, State
from tests.lives import ID, LATE, MINUTE, MS, NEXT, STAGES, START, End, Life, after, arrivals, body, lives

# Callbacks and answers, as the log would give them


def heard(content: bytes, position: int, recorded_at: int) -> Fact:
    """The fact that a callback means."""
    draft = event.Draft(event.CALLBACK, "here", "onespan", content, "[]", "POST", "/callbacks/here")
    (fact,) = onespan.interpret(event.seal(draft, bytes(16), position, recorded_at))
    return fact


def answered(position: int, asked_at: int, status: str | None, code: int = 200, **fields: Any) -> Fact:
    """The fact that an answer of the API means."""
    content = json.dumps({"status": status, **fields} if status else {}).encode()
    headers = event.written([(":status", str(code))])
    path = "/api/packages/LWsUTvGgE4WpOvaQPT16idnxNj8%3D"
    draft = event.Draft(event.OBSERVATION, "here", "onespan", content, headers, "GET", path)
    (fact,) = onespan.interpret(event.seal(draft, bytes(16), position, asked_at))
    return fact


def coded(code: str, position: int, recorded_at: int, path: str = "/document/ready", **fields: Any) -> Fact:
    """The fact that a callback of Evrotrust's means."""
    content = json.dumps({"transactionID": ID, "status": code, **fields}).encode()
    draft = event.Draft(event.CALLBACK, "here", "evrotrust", content, "[]", "POST", path)
    (fact,) = evrotrust.interpret(event.seal(draft, bytes(16), position, recorded_at))
    return fact


def fold(found: Sequence[Fact]) -> State:
    """The state after these facts; its row always gives it back."""
    state, key = packages.initial(("here", ID)), ("here", ID)
    for fact in found:
        assert list(packages.keys(fact)) == [key]
        state = packages.apply(state, key, fact)
    row = packages.row(key, state)
    assert len(row) == len(packages.TABLE.columns)
    assert packages.load(row) == state
    return state


def told(*names: str) -> list[Fact]:
    """One callback after the other, a minute apart, each heard at once."""
    return [heard(body(name, START + at * MINUTE), at + 1, START + at * MINUTE) for at, name in enumerate(names)]


def end(found: Sequence[Fact]) -> End:
    """Where the fold says it stands."""
    standing = fold(found).standing
    return End(standing.status, standing.stage, standing.trashed, standing.confirmed)


# What each name and each code means


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("PACKAGE_CREATE", "DRAFT"),
        ("PACKAGE_ACTIVATE", "SENT"),
        ("PACKAGE_DEACTIVATE", "DRAFT"),
        ("PACKAGE_READY_FOR_COMPLETE", "SENT"),
        ("PACKAGE_READY_FOR_COMPLETION", "SENT"),
        ("PACKAGE_COMPLETE", "COMPLETED"),
        ("PACKAGE_DECLINE", "DECLINED"),
        ("PACKAGE_OPT_OUT", "OPTED_OUT"),
        ("PACKAGE_EXPIRE", "EXPIRED"),
        ("PACKAGE_ARCHIVE", "ARCHIVED"),
        ("PACKAGE_ATTACHMENT", "SENT"),
        ("DOCUMENT_SIGNED", "SENT"),
        ("DOCUMENT_VIEWED", "SENT"),
        ("SIGNER_COMPLETE", "SENT"),
        ("SIGNER_LOCKED", "SENT"),
        ("ROLE_REASSIGN", "SENT"),
        ("KBA_FAILURE", "SENT"),
        ("EMAIL_BOUNCE", "SENT"),
        ("COBROWSE_REQUEST", "SENT"),
        ("PACKAGE_RESTORE", ""),
        ("PACKAGE_FRAMED", ""),
        ("", ""),
    ],
)
def test_what_a_name_says_of_a_package_alone(name: str, status: str) -> None:
    """The provider's status, verbatim; what only happens to a sent package tells that it was sent."""
    assert end(told(name)) == End(status, STAGES[status])


def test_trash_and_deletion_say_nothing_of_the_status() -> None:
    """One is a flag, the other a stage."""
    assert end(told("PACKAGE_TRASH")) == End("", "in_progress", trashed=True)
    assert end(told("PACKAGE_DELETE")) == End("", "deleted")
    assert end(told("PACKAGE_COMPLETE", "PACKAGE_DELETE")) == End("COMPLETED", "deleted")


@pytest.mark.parametrize(
    ("code", "stage"),
    [
        *(("1", "in_progress"), ("99", "in_progress"), ("2", "completed"), ("3", "declined"), ("4", "expired")),
        *(("5", "failed"), ("6", "failed"), ("7", "failed"), ("8", "failed"), ("9", "in_progress")),
    ],
)
def test_what_a_code_says_of_a_transaction(code: str, stage: str) -> None:
    """The code, verbatim and as text."""
    assert end([coded(code, 1, START)]) == End(code, stage)


def test_a_template_makes_no_package() -> None:
    """Its id is no package's; any other name makes one."""
    assert packages.keys(heard(body("TEMPLATE_CREATE", START), 1, START)) == ()
    assert packages.keys(heard(body("PACKAGE_CREATE", START), 1, START)) == (("here", ID),)


@pytest.mark.parametrize("what", [facts.STORED, facts.FAILED, facts.ABANDONED, facts.RETRY, facts.OTHER])
def test_our_own_acts_say_nothing_of_a_package(what: str) -> None:
    """Not even one of an unknown kind, written by a newer version."""
    assert packages.keys(Fact(1, START, "here", "onespan", ID, what, what, artifact="evidence.pdf")) == ()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["CREATE", "ACTIVATE", "COMPLETE", "ARCHIVE"], End("ARCHIVED", "completed")),
        (["COMPLETE", "ARCHIVE", "RESTORE"], End("COMPLETED", "completed")),
        (["COMPLETE", "ARCHIVE", "TRASH", "RESTORE"], End("ARCHIVED", "completed")),
        (["COMPLETE", "ARCHIVE", "TRASH", "RESTORE", "RESTORE"], End("COMPLETED", "completed")),
        (["ACTIVATE", "TRASH"], End("SENT", "in_progress", trashed=True)),
        (["ACTIVATE", "TRASH", "RESTORE"], End("SENT", "in_progress")),
        (["ACTIVATE", "RESTORE"], End("SENT", "in_progress")),
        (["ACTIVATE", "EXPIRE", "ACTIVATE"], End("SENT", "in_progress")),
        (["ACTIVATE", "EXPIRE", "DEACTIVATE", "ACTIVATE", "COMPLETE"], End("COMPLETED", "completed")),
        (["ACTIVATE", "DELETE", "ACTIVATE"], End("SENT", "in_progress")),
        (["COMPLETE", "DEACTIVATE"], End("DRAFT", "draft")),
    ],
)
def test_lives_that_go_back(names: list[str], expected: End) -> None:
    """Archive, trash, deletion and expiry can all be taken back; in reverse order of arrival too."""
    found = told(*(f"PACKAGE_{name}" for name in names))
    backwards = [
        msgspec.structs.replace(fact, position=position, recorded_at=LATE + position)
        for position, fact in enumerate(reversed(found), 1)
    ]
    assert end(found) == end(backwards) == expected


def test_whatever_is_heard_before_the_creation_is_in_progress() -> None:
    """A signature tells that the package was sent; the creation, heard later, tells where it began."""
    signed = heard(body("DOCUMENT_SIGNED", START + MINUTE, sessionUser="ana", documentId="lease"), 1, LATE)
    created = heard(body("PACKAGE_CREATE", START), 2, LATE)
    sent = heard(body("PACKAGE_ACTIVATE", START + MS), 3, LATE)
    assert end([signed]) == End("SENT", "in_progress")
    assert end([signed, created, sent]) == End("SENT", "in_progress")


class Case(NamedTuple):
    """What the fold sees, and where the life ended."""

    seen: list[Fact]
    end: End


Belief = Callable[[Sequence[Fact]], Sequence[Fact]]


def notices(cases: st.SearchStrategy[Case], belief: Belief) -> bool:
    """Whether some life ends elsewhere for a fold that first believes something wrong of what it sees."""
    quick = settings(max_examples=1000, database=None, derandomize=True, phases=[hypothesis.Phase.generate])
    try:
        hypothesis.find(cases, lambda case: end(belief(case.seen)) != case.end, settings=quick)
    except hypothesis.errors.NoSuchExample:
        return False
    return True


def nothing_wrong(seen: Sequence[Fact]) -> Sequence[Fact]:
    """The fold as it is."""
    return seen


def order_of_arrival(seen: Sequence[Fact]) -> Sequence[Fact]:
    """Believes that things happen when they are heard."""
    return [msgspec.structs.replace(fact, occurred_at=fact.recorded_at) for fact in seen]


def only_the_latest(seen: Sequence[Fact]) -> Sequence[Fact]:
    """Believes that the newest status is all there is to know: a register, not a set."""
    steps = [fact for fact in seen if fact.status is not None or fact.stage is not None]
    newest = max(steps, key=lambda fact: (fact.clock or 0, fact.rank), default=None)
    return [fact for fact in seen if fact not in steps or fact == newest]


def each_repetition_is_news(seen: Sequence[Fact]) -> Sequence[Fact]:
    """Believes that what is heard again has happened again."""
    known: set[tuple[str, int | None]] = set()
    believed = []
    for fact in seen:
        again = (fact.name, fact.occurred_at) in known
        known.add((fact.name, fact.occurred_at))
        believed.append(msgspec.structs.replace(fact, occurred_at=fact.recorded_at) if again else fact)
    return believed


# With clocks


@st.composite
def shuffled(draw: st.DrawFn) -> Case:
    """A life, heard when it was over, in any order and repeatedly."""
    life = draw(lives())
    return Case(draw(mixed(life)), life.end)


@st.composite
def mixed(draw: st.DrawFn, life: Life) -> list[Fact]:
    """A life's callbacks, heard when it was over."""
    order = draw(arrivals(len(life.said)))
    return [heard(life.said[which][1], at, LATE + at) for at, which in enumerate(order, 1)]


@settings(max_examples=200, deadline=None)
@given(life=lives(), data=st.data())
def test_neither_order_nor_repetition_changes_the_end(life: Life, data: st.DataObject) -> None:
    """Where the package stands, who signed, and which documents are known."""
    seen = data.draw(mixed(life))
    state = fold(seen)
    assert end(seen) == life.end
    assert state.signers == life.signers
    assert state.documents == life.documents
    assert state.occurred_at == max(at for at, _ in life.said)
    assert (state.first_position, state.last_position) == (1, len(seen))
    assert state.recorded_at == seen[-1].recorded_at


@pytest.mark.parametrize("belief", [order_of_arrival, only_the_latest, each_repetition_is_news])
def test_a_fold_that_depends_on_order_or_repetition_is_noticed(belief: Belief) -> None:
    """Negative control: each wrong belief leads some life to a wrong end."""
    assert notices(shuffled(), belief)


@given(st.data())
def test_the_rank_orders_what_happened_in_one_millisecond(data: st.DataObject) -> None:
    """A package that is created sent: both callbacks carry the same time, in either order of arrival."""
    names = ["PACKAGE_CREATE", "PACKAGE_ACTIVATE", "PACKAGE_COMPLETE", "PACKAGE_ARCHIVE"]
    order = data.draw(st.permutations(names))
    found = [heard(body(name, START), at, LATE + at) for at, name in enumerate(order, 1)]
    assert end(found) == End("ARCHIVED", "completed")


# Without clocks


@st.composite
def without_clocks(draw: st.DrawFn) -> Case:
    """A life that only went forward, told without any clock (as OneSpan did in 2017), in any order and repeatedly."""
    names = ["PACKAGE_CREATE", "PACKAGE_ACTIVATE"]
    ended = draw(st.sampled_from([None, *sorted(NEXT["SENT"].keys() - {"PACKAGE_DEACTIVATE"})]))
    names += [ended] if ended else []
    names += draw(st.sampled_from([[], ["PACKAGE_ARCHIVE"]])) if ended == "PACKAGE_COMPLETE" else []
    names += draw(st.sampled_from([[], ["PACKAGE_TRASH"], ["PACKAGE_TRASH", "PACKAGE_RESTORE"]]))
    names += draw(st.sampled_from([[], ["PACKAGE_DELETE"]]))
    stands = End("DRAFT", "draft")
    for name in names[1:]:
        stands = after(stands, name)
    order = draw(arrivals(len(names)))
    seen = [heard(body(names[which]), at, LATE + at) for at, which in enumerate(order, 1)]
    return Case(seen, stands)


@settings(deadline=None)
@given(case=without_clocks())
def test_without_clocks_the_furthest_step_stands(case: Case) -> None:
    """Only the ranks order, so nothing goes back."""
    assert end(case.seen) == case.end


def test_a_fold_that_goes_back_without_clocks_is_noticed() -> None:
    """Negative control: the order of arrival is no substitute for a clock."""
    assert notices(without_clocks(), order_of_arrival)


@st.composite
def replayed_by_hand(draw: st.DrawFn) -> Case:
    """A life, and some of its callbacks told again without the clock, as hand replays are."""
    life = draw(lives())
    again = draw(st.lists(st.sampled_from(life.said), min_size=1, max_size=4))
    unclocked = [json.dumps({**json.loads(content), "createdDate": None}).encode() for _, content in again]
    bodies = draw(st.permutations([*(content for _, content in life.said), *unclocked]))
    seen = [heard(content, at, LATE + at) for at, content in enumerate(bodies, 1)]
    ends = {REACHED.get(json.loads(content)["name"], "") for content in unclocked}
    doubted = any(another_end(life.end, status) for status in ends)
    return Case(seen, life.end._replace(confirmed=CONTRADICTED if doubted else NO))


REACHED: Final = {
    name: status for moves in NEXT.values() for name, status in moves.items() if name != "PACKAGE_RESTORE"
}


def another_end(stands: End, status: str) -> bool:
    """Whether this is an end, and another one than where it stands."""
    stages = {stands.stage, STAGES[status]}
    return status != stands.status and stages <= facts.TERMINAL and stages != {"completed"}


@settings(max_examples=200, deadline=None)
@given(case=replayed_by_hand())
def test_without_a_clock_nothing_overrides_what_has_one(case: Case) -> None:
    """What is told again without its clock takes nothing back; another end than where it stands is a contradiction."""
    assert end(case.seen) == case.end


def latest_without_clock(seen: Sequence[Fact]) -> Sequence[Fact]:
    """Believes that what has no clock happens when it is heard."""
    return [fact if fact.occurred_at else msgspec.structs.replace(fact, occurred_at=fact.recorded_at) for fact in seen]


def test_a_fold_that_lets_it_override_is_noticed() -> None:
    """Negative control."""
    assert notices(replayed_by_hand(), latest_without_clock)


@pytest.mark.parametrize(
    ("clocked", "without", "expected"),
    [
        (["CREATE", "ACTIVATE"], "COMPLETE", End("COMPLETED", "completed")),
        (["CREATE", "ACTIVATE"], "TRASH", End("SENT", "in_progress", trashed=True)),
        (["ACTIVATE", "TRASH"], "COMPLETE", End("COMPLETED", "completed", trashed=True)),
        (["ACTIVATE", "TRASH"], "RESTORE", End("SENT", "in_progress")),
        (["COMPLETE", "ARCHIVE"], "RESTORE", End("COMPLETED", "completed")),
        (["ACTIVATE", "TRASH", "RESTORE"], "TRASH", End("SENT", "in_progress")),
        (["ACTIVATE", "EXPIRE", "ACTIVATE"], "EXPIRE", End("SENT", "in_progress")),
        (["ACTIVATE", "EXPIRE", "ACTIVATE"], "COMPLETE", End("COMPLETED", "completed")),
        (["ACTIVATE", "COMPLETE"], "DEACTIVATE", End("COMPLETED", "completed")),
        (["ACTIVATE", "COMPLETE"], "DECLINE", End("COMPLETED", "completed", confirmed=CONTRADICTED)),
        (["ACTIVATE", "DECLINE"], "COMPLETE", End("COMPLETED", "completed", confirmed=CONTRADICTED)),
    ],
)
def test_without_a_clock_it_goes_forward_or_not_at_all(clocked: list[str], without: str, expected: End) -> None:
    """A lost callback, told by hand, counts if it goes further than everything with a clock; heard first or last."""
    found = told(*(f"PACKAGE_{name}" for name in clocked))
    by_hand = body(f"PACKAGE_{without}")
    assert end([*found, heard(by_hand, 9, LATE)]) == expected
    later = [msgspec.structs.replace(fact, position=fact.position + 1) for fact in found]
    assert end([heard(by_hand, 1, START - MINUTE), *later]) == expected


# Evrotrust has no clocks at all

CODES: Final = ("1", "2", "3", "4", "5", "6", "7", "8", "99", "9", "10", "signed")
ENDS: Final = {"2": "completed", "3": "declined", "4": "expired", **dict.fromkeys("5678", "failed")}


@settings(deadline=None)
@given(st.lists(st.sampled_from(CODES), min_size=1, max_size=6), st.data())
def test_codes_end_where_they_end_in_any_order(codes: list[str], data: st.DataObject) -> None:
    """An end stays; two different ends contradict each other; which codes came, not when, decides."""
    ended = set(codes) & ENDS.keys()
    again = data.draw(st.permutations([*codes, *data.draw(st.lists(st.sampled_from(codes), max_size=3))]))
    first, second = (end([coded(code, at, START + at) for at, code in enumerate(some, 1)]) for some in (codes, again))
    assert first == second
    assert first.confirmed == (CONTRADICTED if len(ended) > 1 else NO)
    assert first.status in (ended or codes)
    assert first.stage == ENDS.get(first.status, "in_progress")


def test_of_two_unknown_codes_not_the_order_of_arrival_decides() -> None:
    """They share a rank, so something of their own must: the text of the code."""
    assert end([coded("9", 1, START), coded("10", 2, LATE)]) == end([coded("10", 1, START), coded("9", 2, LATE)])
    assert end([coded("9", 1, START), coded("1", 2, LATE)]) == End("1", "in_progress")


def test_a_later_pending_does_not_undo_an_end() -> None:
    """Callbacks are tried three times; a late one is no news. The other way round it is."""
    assert end([coded("2", 1, START), coded("1", 2, LATE)]) == End("2", "completed")
    assert end([coded("1", 1, START), coded("2", 2, LATE)]) == End("2", "completed")


# The provider's API


@st.composite
def conversations(draw: st.DrawFn) -> Case:
    """A life as it is heard: each callback after some delay, some again later; now and then we ask, and the API knows.

    The API knows nothing of a deleted package.
    """
    life = draw(lives())
    delay = st.sampled_from([0, 1, 5, 60_000, 600_000]).map(lambda milliseconds: milliseconds * MS)
    again = draw(st.lists(st.sampled_from(life.said), max_size=3))
    stream = [(at + draw(delay), content) for at, content in (*life.said, *again)]
    last = life.said[-1][0]
    times = st.sampled_from([at for at, _ in life.said]) | st.integers(START, last + 10 * MINUTE)
    asked = [(at, life.at(at)) for at in draw(st.lists(times, max_size=3))]
    order: list[tuple[int, bytes | End]] = sorted([*stream, *asked], key=lambda one: one[0])
    seen = [_said(what, position, at) for position, (at, what) in enumerate(order, 1)]
    known = max((at for at, stood in asked if stood.stage != "deleted"), default=0)
    changed = max((since for since, stood in life.stood if stood[:2] != life.at(since - 1)[:2]), default=0)
    return Case(seen, life.end._replace(confirmed=YES if known and known >= changed else NO))


def _said(what: bytes | End, position: int, at: int) -> Fact:
    if isinstance(what, bytes):
        return heard(what, position, at)
    if what.stage == "deleted":
        return answered(position, at, None, code=404)
    return answered(position, at, what.status, trashed=what.trashed)


@settings(max_examples=200, deadline=None)
@given(case=conversations())
def test_an_answer_stands_at_its_time_whenever_callbacks_arrive(case: Case) -> None:
    """Stragglers from before do not shake it; what happened since goes beyond it, unconfirmed."""
    assert end(case.seen) == case.end


def answers_stand_last(seen: Sequence[Fact]) -> Sequence[Fact]:
    """Believes that what the API said once is so for ever."""
    return [msgspec.structs.replace(fact, recorded_at=LATE) if fact.observed else fact for fact in seen]


def answers_stand_first(seen: Sequence[Fact]) -> Sequence[Fact]:
    """Believes callbacks more than answers."""
    return [msgspec.structs.replace(fact, recorded_at=0) if fact.observed else fact for fact in seen]


def answers_do_not_count(seen: Sequence[Fact]) -> Sequence[Fact]:
    """Believes callbacks only."""
    return [fact for fact in seen if not fact.observed]


@pytest.mark.parametrize(
    "belief", [answers_stand_last, answers_stand_first, answers_do_not_count, order_of_arrival, each_repetition_is_news]
)
def test_a_fold_that_misplaces_answers_is_noticed(belief: Belief) -> None:
    """Negative control."""
    assert notices(conversations(), belief)


def test_an_answer_wins_a_tie() -> None:
    """Asked in the microsecond of the callback, the API says how it is; a microsecond earlier it could not know."""
    complete = heard(body("PACKAGE_COMPLETE", START), 1, START)
    assert end([complete, answered(2, START, "SENT")]) == End("SENT", "in_progress", confirmed=CONTRADICTED)
    late = heard(body("PACKAGE_COMPLETE", START), 2, START + MINUTE)
    assert end([answered(1, START - 1, "SENT"), late]) == End("COMPLETED", "completed")


def test_an_answer_confirms_contradicts_and_confirms_again() -> None:
    """A premature COMPLETE is contradicted, for as long as the API says so."""
    complete = heard(body("PACKAGE_COMPLETE", START), 1, START)
    sent, still = answered(2, START + MINUTE, "SENT"), answered(3, START + 2 * MINUTE, "SENT", trashed=False)
    assert end([complete, sent]).confirmed == CONTRADICTED
    assert end([complete, sent, still]).confirmed == CONTRADICTED
    done = answered(4, START + 3 * MINUTE, "COMPLETED")
    assert end([complete, sent, still, done]) == End("COMPLETED", "completed", confirmed=YES)


def test_a_claim_made_before_does_not_stand_above_an_answer_by_a_clock_ahead_of_ours() -> None:
    """A callback dated some minutes ahead was heard before we asked, so the answer is the newer word."""
    complete = heard(body("PACKAGE_COMPLETE", START + 5 * MINUTE), 1, START)
    denied = answered(2, START + MINUTE, "SENT")
    assert end([complete, denied]) == End("SENT", "in_progress", confirmed=CONTRADICTED)
    after_it = heard(body("PACKAGE_COMPLETE", START + 7 * MINUTE), 3, START + 2 * MINUTE)
    assert end([complete, denied, after_it]) == End("COMPLETED", "completed")


def test_two_ends_stay_contradicted_until_the_api_is_asked_or_it_is_reopened() -> None:
    """Archiving does not settle which end it was."""
    found = told("PACKAGE_DECLINE", "PACKAGE_COMPLETE", "PACKAGE_ARCHIVE")
    assert end(found[:1]).confirmed == NO
    assert end(found[:2]) == End("COMPLETED", "completed", confirmed=CONTRADICTED)
    assert end(found) == End("ARCHIVED", "completed", confirmed=CONTRADICTED)
    assert end([*found, answered(4, LATE, "ARCHIVED")]) == End("ARCHIVED", "completed", confirmed=YES)
    reopened = heard(body("PACKAGE_DEACTIVATE", LATE), 4, LATE)
    assert end([*found, reopened]) == End("DRAFT", "draft")


@pytest.mark.parametrize("first", ["COMPLETE", "DECLINE", "OPT_OUT", "EXPIRE"])
@pytest.mark.parametrize("second", ["COMPLETE", "DECLINE", "OPT_OUT", "EXPIRE"])
def test_two_different_ends_contradict_each_other(first: str, second: str) -> None:
    """In any order of arrival; the same end twice does not."""
    found = told(f"PACKAGE_{first}", f"PACKAGE_{second}")
    assert end(found).confirmed == end(found[::-1]).confirmed == (CONTRADICTED if first != second else NO)


def test_an_answer_without_a_status_confirms_nothing() -> None:
    """404 after a deletion is no status; the rest stands as it stood."""
    found = told("PACKAGE_COMPLETE", "PACKAGE_DELETE")
    assert end([*found, answered(3, LATE, None, code=404)]) == End("COMPLETED", "deleted")


def test_an_answer_that_says_nothing_of_the_trash_leaves_it() -> None:
    """Only what it says counts, for callbacks without a clock too."""
    by_hand = heard(body("PACKAGE_TRASH"), 1, START)
    assert end([by_hand, answered(2, LATE, "SENT")]).trashed
    assert not end([by_hand, answered(2, LATE, "SENT", trashed=False)]).trashed


# Answers and callbacks without a clock


def test_without_a_clock_a_callback_stands_before_the_next_answer() -> None:
    """The provider was asked after it had sent it, so its answer is the newer word."""
    found = [coded("1", 1, START), coded("2", 2, START + 1)]
    denied = msgspec.structs.replace(answered(3, START + 2, "1"), rank=20)
    assert end([*found, denied]) == End("1", "in_progress", confirmed=CONTRADICTED)


def test_without_a_clock_what_is_told_again_after_an_answer_counts_again() -> None:
    """A forged "signed", denied by the API, must not make the real one a repetition."""
    denied = msgspec.structs.replace(answered(2, START + 1, "1"), rank=20)
    found = [coded("2", 1, START), denied]
    assert end(found) == End("1", "in_progress", confirmed=CONTRADICTED)
    assert end([*found, coded("2", 3, START + 2)]) == End("2", "completed")
    assert end([*found, coded("2", 3, START + 2), coded("2", 4, START + 3)]) == End("2", "completed")


def test_without_a_clock_another_end_after_an_answer_is_a_contradiction() -> None:
    """It does not go further, but somebody should ask again."""
    signed = msgspec.structs.replace(answered(1, START, "2"), rank=60, stage=facts.COMPLETED)
    assert end([signed, coded("3", 2, START + 1)]) == End("2", "completed", confirmed=CONTRADICTED)
    assert end([signed, coded("2", 2, START + 1)]) == End("2", "completed", confirmed=YES)


# Clocks that cannot be right


@st.composite
def with_a_clock_in_the_future(draw: st.DrawFn) -> Case:
    """A life heard at once, and one callback dated far ahead of its hearing, which is heard again at the end."""
    life = draw(lives())
    at = draw(st.sampled_from(life.said))[0] + draw(st.sampled_from([0, 1, 500]))
    name = draw(st.sampled_from(["PACKAGE_ACTIVATE", "PACKAGE_EXPIRE", "PACKAGE_TRASH"]))
    ahead = draw(st.integers(11, 10_000_000)) * MINUTE

    def stream(clock: int) -> list[Fact]:
        said = sorted([*life.said, (at, body(name, clock)), (LATE, body(name, clock))], key=lambda one: one[0])
        return [heard(content, position, when) for position, (when, content) in enumerate(said, 1)]

    return Case(stream(at + ahead), end(stream(at)))


@settings(deadline=None)
@given(case=with_a_clock_in_the_future())
def test_a_clock_far_ahead_of_ours_counts_as_first_heard(case: Case) -> None:
    """Neither does it hide all that follows, nor does a repetition move it."""
    assert end(case.seen) == case.end


def test_a_fold_that_believes_any_clock_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    monkeypatch.setattr(facts, "CLOCK_TOLERANCE", 2**62)
    assert notices(with_a_clock_in_the_future(), nothing_wrong)


def test_up_to_ten_minutes_ahead_a_clock_is_believed() -> None:
    """Clocks differ; one microsecond more is an anomaly."""
    believed = heard(body("PACKAGE_CREATE", START + 10 * MINUTE), 1, START)
    anomaly = heard(body("PACKAGE_CREATE", START + 10 * MINUTE + 1), 1, START)
    assert believed.clock == START + 10 * MINUTE
    assert anomaly.clock == START
    assert fold([anomaly]).occurred_at == START


# What else a package's row knows


def test_the_reason_is_the_apis_or_the_latest() -> None:
    """An authenticated answer outranks a callback; of two callbacks the later one tells."""
    early = heard(body("PACKAGE_DECLINE", START, message="too long"), 1, START)
    later = heard(body("PACKAGE_DECLINE", START + MS, message="too dear"), 2, START + MS)
    for found in ([early, later], [later, early]):
        reason = fold(found).reason
        assert reason is not None
        assert reason.text == "too dear"
        reason = fold([answered(3, START, "DECLINED", reason="wrong name"), *found]).reason
        assert reason is not None
        assert reason.text == "wrong name"


@pytest.mark.parametrize("name", ["EMAIL_BOUNCE", "PACKAGE_COMPLETE", "PACKAGE_ATTACHMENT", "PACKAGE_EXPIRE"])
def test_only_a_refusal_or_failure_has_a_reason(name: str) -> None:
    """The message of anything else is none."""
    assert fold([heard(body(name, START, message="x"), 1, START)]).reason is None


def test_a_reason_that_was_taken_back_explains_nothing() -> None:
    """A package that was sent again and completed shows no old decline; the timeline does."""
    declined = heard(body("PACKAGE_DECLINE", START, message="too long"), 1, START)
    again = heard(body("PACKAGE_ACTIVATE", START + MS), 2, START + MS)
    assert fold([declined]).reason is not None
    assert fold([declined, again]).reason is None
    assert fold([again, declined]).reason is None


def test_a_failure_has_a_reason_even_if_only_the_code_says_it() -> None:
    """For Evrotrust's codes it is what the code means; a rejection needs the person's own words."""
    reasons = {code: fold([coded(code, 1, START)]).reason for code in ENDS}
    assert {code for code, reason in reasons.items() if reason is not None} == {"6", "7", "8"}
    said = fold([coded("3", 1, START), coded("3", 2, START, rejectReason="already paid")]).reason
    assert said is not None
    assert said.text == "already paid"


def test_an_answer_names_signers_and_documents() -> None:
    """Names come from the API, deeds from callbacks; neither hides the other, in any order."""
    signed = heard(body("DOCUMENT_SIGNED", START, sessionUser="ana", documentId="lease"), 1, START)
    listed = [{"id": "lease", "name": "Lease"}, {"id": "annex", "name": "Annex"}]
    answer = answered(2, LATE, "SENT", documents=listed, signers=[{"id": "ana", "name": "Ana Petrova"}])
    for found in ([signed, answer], [answer, signed]):
        state = fold(found)
        assert state.signers == {"ana": Signer("Ana Petrova", False, ("lease",))}
        assert state.documents == {"lease": Document("Lease", False, True), "annex": Document("Annex")}


def test_who_only_sends_is_no_signer() -> None:
    """The sessionUser of a bounced mail or of a completion may be the sender."""
    found = [heard(body(name, START, sessionUser="sender"), 1, START) for name in ("EMAIL_BOUNCE", "PACKAGE_COMPLETE")]
    assert all(fold([fact]).signers == {} for fact in found)
    assert fold([heard(body("SIGNER_LOCKED", START, sessionUser="ana"), 1, START)]).signers == {"ana": Signer()}


def test_an_answer_is_kept_short() -> None:
    """The steps are folded again and again; lists of documents do not belong there."""
    listed = [{"id": str(number), "name": "x" * 100} for number in range(100)]
    state = fold([answered(1, START, "SENT", documents=listed, trashed=True)])
    assert len(msgspec.json.encode(state.course.steps)) < 500
    assert state.standing.trashed
    assert len(state.documents) == 100


# Floods


def test_more_steps_than_any_life_has_are_a_fault() -> None:
    """Folding them again and again would stop the worker; repetitions and everything else still pass."""
    moves = [heard(body("PACKAGE_ACTIVATE", START + at), at, LATE) for at in range(1, course.MOST_STEPS + 1)]
    key = ("here", ID)
    repeated = packages.apply(fold(moves), key, heard(body("PACKAGE_ACTIVATE", START + 7), 9_000, LATE))
    assert len(repeated.course.steps) == course.MOST_STEPS
    signed = heard(body("DOCUMENT_SIGNED", LATE, sessionUser="ana", documentId="lease"), 9_001, LATE)
    assert packages.apply(repeated, key, signed).documents == {"lease": Document(signed=True)}
    with pytest.raises(ValueError, match="more than 1000 changes"):
        packages.apply(repeated, key, heard(body("PACKAGE_ACTIVATE", LATE), 9_002, LATE))


def test_any_number_of_repetitions_takes_two_steps_at_most() -> None:
    """Without a clock the first and the last are kept, with one the first."""
    assert len(fold([coded("2", at, START + at) for at in range(1, 50)]).course.steps) == 2
    assert len(fold([heard(body("PACKAGE_COMPLETE", START), at, START + at) for at in range(1, 50)]).course.steps) == 1
