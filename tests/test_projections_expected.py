"""What somebody told us of a transaction, and what its thread tells: folded in any order, said once or often."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener import acts
from listener.log import event
from listener.providers import evrotrust
from listener.providers.evrotrust import Kept, Member, Signing
from projections import facts, packages, timeline
from projections.facts import Expected, Fact
from projections.packages import Document, Signer, State

ID: Final = "123456789012"
KEY: Final = ("here", ID)
SECOND: Final = 1_000_000
TOLD: Final = Expected("1F40", "group", "2026", "order-17", 5 * SECOND)


def expected(position: int, told: Expected, reason: str | None = None) -> Fact:
    """The fact that a decision means."""
    draft = acts.expectation("here", "evrotrust", ID, told, "ana", reason)
    (fact,) = acts.interpret(event.seal(draft, bytes(16), position, position * SECOND))
    return fact


def called_back(position: int, status: int, path: str = "/document/ready") -> Fact:
    """The fact that a callback means."""
    content = msgspec.json.encode({"transactionID": ID, "status": status})
    draft = event.Draft(event.CALLBACK, "here", "evrotrust", content, "[]", "POST", f"/callbacks/here{path}")
    (fact,) = evrotrust.interpret(event.seal(draft, bytes(16), position, position * SECOND))
    return fact


def answered(position: int, *signings: Signing, place: str = "/document/group/status") -> Fact:
    """The fact that an answer of the API means, with what it says of the thread."""
    content = msgspec.json.encode(Kept("2", thread=signings))
    path = f"{place}?transactionID={ID}&threadID=1F40"
    headers = event.written([(":status", "200")])
    draft = event.Draft(event.OBSERVATION, "here", "evrotrust", content, headers, "POST", path)
    (fact,) = evrotrust.interpret(event.seal(draft, bytes(16), position, position * SECOND))
    return fact


def group(subject: str, status: str, **members: str) -> Signing:
    """What one signer has to sign, and how far it is."""
    return Signing(Member(subject, status), tuple(Member(name, each) for name, each in members.items()))


def fold(found: Sequence[Fact]) -> State:
    """The state after these facts; its row always gives it back."""
    state = packages.initial(KEY)
    for fact in found:
        assert list(packages.keys(fact)) == [KEY]
        state = packages.apply(state, KEY, fact)
    assert packages.load(packages.row(KEY, state)) == state
    return state


def column(state: State, name: str) -> Any:
    """What its row says there."""
    return dict(zip(packages.TABLE.columns.keys(), packages.row(KEY, state), strict=True))[name]


def test_what_is_expected_is_there_before_the_first_callback() -> None:
    """In progress, under the provider that it is expected of, and found by what it is called."""
    state = fold([expected(7, TOLD)])
    assert (state.provider, state.standing.stage, state.standing.confirmed) == ("evrotrust", facts.IN_PROGRESS, "no")
    assert (state.expected, state.kind) == (TOLD, "group")
    assert [column(state, name) for name in ("expected", "reference", "deadline")] == [7, "order-17", 5 * SECOND]


def test_what_nobody_expected_is_like_any_other() -> None:
    """But that no column says anything of it."""
    state = fold([called_back(7, 2)])
    assert (state.expected, state.standing.stage) == (None, facts.COMPLETED)
    assert {column(state, name) for name in ("expected", "reference", "deadline")} == {None}


def test_said_again_the_later_word_stands_as_a_whole() -> None:
    """Whatever it leaves out is gone; the order in which they are heard of does not matter."""
    later = Expected(reference="order-18")
    for found in ([expected(7, TOLD), expected(9, later)], [expected(9, later), expected(7, TOLD)]):
        assert fold(found).expected == later


def test_to_expect_it_says_nothing_of_where_it_stands() -> None:
    """Neither before nor behind a callback."""
    assert fold([called_back(7, 3), expected(8, TOLD)]).standing == fold([called_back(7, 3)]).standing


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/document/ready", "document"),
        ("/document/group/ready", "group"),
        ("/document/offline/ready", "otp"),
        ("/document/group/offline/ready", "otp-group"),
        ("/document/hash/offline/ready", "otp-hash"),
        ("/document/hash/group/offline/ready", "otp-hash-group"),
        ("//document/group//ready/", "group"),
        ("/elsewhere", None),
    ],
)
def test_the_path_of_a_callback_tells_the_kind(path: str, kind: str | None) -> None:
    """As far as it is known, and never more than a guess."""
    assert fold([called_back(7, 2, path)]).kind == kind
    assert kind is None or kind in evrotrust.KINDS


def test_whoever_knows_more_tells_the_kind() -> None:
    """First who was told, then a callback, then where the API was asked for it."""
    answer = answered(8, place="/document/status")
    assert fold([answer]).kind == "document"
    assert fold([answer, called_back(7, 2, "/document/offline/ready")]).kind == "otp"
    assert fold([called_back(7, 2, "/document/offline/ready"), answer]).kind == "otp"
    assert fold([called_back(7, 2), expected(9, TOLD), answer]).kind == "group"
    assert fold([called_back(7, 2), expected(9, Expected(reference="r"))]).kind == "document"


def test_a_thread_has_a_signer_for_each_transaction() -> None:
    """Who has signed what; nobody tells their names."""
    state = fold([answered(7, group(ID, "2", a="2", b="3"), group("9", "1", c="1"), group("8", "3"))])
    assert state.signers == {
        ID: Signer(completed=True, documents=("a",)),
        "9": Signer(),
        "8": Signer(declined=True),
    }


def test_a_group_may_be_signed_while_one_of_its_documents_is_rejected() -> None:
    """Each of its own documents is told apart; those of others are not its documents."""
    state = fold([answered(7, group(ID, "2", a="2", b="3", c="1"), group("9", "1", d="1"))])
    assert state.standing.stage == facts.COMPLETED
    assert state.documents == {"a": Document(signed=True), "b": Document(declined=True), "c": Document()}


def test_a_document_signed_by_several_has_signers_and_no_parts() -> None:
    """One transaction for each of them, in one thread."""
    state = fold([answered(7, Signing(documents=(Member(ID, "2"),)), Signing(documents=(Member("9", "1"),)))])
    assert (state.signers, state.documents) == ({ID: Signer(None, True, (ID,)), "9": Signer()}, {})
    assert fold([answered(7, Signing())]).signers == {}


FACTS: Final = st.lists(
    st.one_of(
        st.builds(
            lambda kind: lambda position: expected(position, Expected(kind=kind)), st.sampled_from([None, "otp"])
        ),
        st.builds(lambda status: lambda position: called_back(position, status), st.sampled_from([1, 2, 3, 99])),
        st.builds(
            lambda one, other: lambda position: answered(position, group(ID, one, a=one, b=other), group("9", other)),
            st.sampled_from(["1", "2", "3"]),
            st.sampled_from(["1", "2", "3"]),
        ),
    ),
    max_size=6,
).map(lambda makers: [make(position) for position, make in enumerate(makers, start=1)])


def without_steps(state: State) -> State:
    """What is expected and what a thread tells; where it stands is another test's."""
    return msgspec.structs.replace(state, course=packages.State().course, told=None)


@given(found=FACTS, data=st.data())
def test_neither_order_nor_repetition_changes_it(found: list[Fact], data: st.DataObject) -> None:
    """Sets, maxima and "once so, always so": nothing counts."""
    repeated = data.draw(st.lists(st.sampled_from(found), max_size=3)) if found else []
    shuffled = data.draw(st.permutations([*found, *repeated]))
    assert without_steps(fold(shuffled)) == without_steps(fold(found))


def test_an_expectation_is_told_on_the_timeline() -> None:
    """With what it is called, and why it was said."""
    told = [
        timeline.apply(timeline.initial(KEY), KEY, fact).text
        for fact in (expected(7, TOLD, "by hand"), expected(8, Expected()))
    ]
    assert told == ["expected: order-17 group by hand", "expected: no more is known"]
