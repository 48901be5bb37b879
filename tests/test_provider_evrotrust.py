"""Evrotrust: codes without a clock, from callbacks without a credential, under paths that say what became ready."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.log import event
from listener.providers import evrotrust
from projections import facts
from projections.facts import Fact

ENDS = ("2", "3", "4", "5", "6", "7", "8")
UNDER_WAY = ("1", "99")


def read(fields: dict[str, object], path: str | None = "/callbacks/evrotrust/document/ready") -> Fact:
    """The fact that a callback with these fields means."""
    body = json.dumps({"transactionID": "123456789012", **fields}).encode()
    draft = event.Draft(event.CALLBACK, "evrotrust", "evrotrust", body, "[]", "POST", path)
    (fact,) = evrotrust.interpret(event.seal(draft, bytes(16), 7, 1))
    return fact


def test_an_end_ranks_above_everything_that_is_under_way() -> None:
    """Without clocks only the rank keeps a late "pending" from undoing "signed"."""
    lowest_end = min(read({"status": code}).rank for code in ENDS)
    assert all(read({"status": code}).rank < lowest_end for code in UNDER_WAY)
    assert all(read({"status": code}).stage in facts.TERMINAL for code in ENDS)
    assert all(read({"status": code}).stage == facts.IN_PROGRESS for code in UNDER_WAY)


def test_no_two_codes_share_a_rank() -> None:
    """Else the order of arrival would decide between them."""
    ranks = [read({"status": code}).rank for code in (*ENDS, *UNDER_WAY)]
    assert len(set(ranks)) == len(ranks)


@given(status=st.integers(9, 98) | st.integers(100) | st.integers(max_value=0) | st.sampled_from(["signed", "II"]))
def test_a_code_that_nobody_knows_is_no_end(status: int | str) -> None:
    """Codes were added before: the status is kept as it came, below all known ones."""
    fact = read({"status": str(status)})
    assert (fact.what, fact.status, fact.stage) == (facts.STATUS, str(status), facts.IN_PROGRESS)
    assert fact.rank < min(read({"status": code}).rank for code in (*ENDS, *UNDER_WAY))


@pytest.mark.parametrize("status", [2, "2", 2.0, " 2 "])
def test_the_type_of_a_code_does_not_matter(status: object) -> None:
    """The vendor's own pages disagree on it."""
    assert read({"status": status}) == read({"status": 2})
    assert read({"status": 3}) != read({"status": 2})


def test_the_providers_own_words_come_before_ours() -> None:
    """The reason given for a rejection, then the error of an automated signature, then what the code says."""
    both = {"status": 8, "rejectReason": "wrong person", "automatedSignError": "no certificate"}
    assert read(both).message == "wrong person"
    assert read({**both, "rejectReason": None}).message == "no certificate"
    assert read({"status": 8}).message == "face recognition failed"
    assert read({"status": 3}).message is None


def test_the_name_is_the_path_below_our_address() -> None:
    """Slashes that a configured address doubles change nothing; a path that we do not know is kept."""
    same = ["/document/ready", "//document/ready", "/callbacks/a/document/ready/", "/x/document//ready?a=/document/b"]
    assert {read({"status": 2}, path).name for path in same} == {"document/ready"}
    assert read({"status": 2}, "/callbacks/a/document/group/offline/ready").name == "document/group/offline/ready"
    assert read({"status": 2}, "/callbacks/documents/ready").name == "callback"
    assert read({"status": 2}, None).name == "callback"


def test_no_credential_is_shown() -> None:
    """An authorization header on such a callback proves nothing."""
    assert not evrotrust.SENDS_KEY
    assert evrotrust.presented([(b"authorization", b"Basic key")]) is None
