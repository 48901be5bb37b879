"""The timeline: every fact is told once, in words, and what says the same is known as the same."""

from typing import Any, Final

import msgspec
import pytest

from projections import facts, timeline
from projections.facts import Answer, Fact, Named

NOON: Final = 1_795_348_800_000_000
STAGES: Final = {"DRAFT", "IN_PROGRESS", "COMPLETED", "DECLINED", "EXPIRED", "ENDED_IN_FAILURE", "GONE"}
WHATS: Final = sorted(
    value
    for name, value in vars(facts).items()
    if name.isupper() and isinstance(value, str) and name not in {*STAGES, "OTHER"} and value not in facts.FOUND
)


def fact(what: str = facts.STATUS, **fields: Any) -> Fact:
    """A fact about the package p=, at position 7 unless it says otherwise."""
    given = {"position": 7, "recorded_at": NOON, "source": "here", "provider": "onespan", "subject": "p=", "name": "N"}
    return Fact(**{**given, "what": what, **fields})


def told(of: Fact) -> tuple[Any, ...]:
    """The row it becomes."""
    (key,) = timeline.keys(of)
    state = timeline.apply(timeline.initial(key), key, of)
    row = timeline.row(key, state)
    assert len(row) == len(timeline.TABLE.columns)
    assert timeline.load(row) == state
    return row


def text(of: Fact) -> str:
    """How it is told."""
    return timeline.load(told(of)).text


def sense(of: Fact) -> timeline.State | None:
    """What two facts share that say the same; None for what is always news."""
    return timeline.load(told(of)).sense


# Words


@pytest.mark.parametrize(
    ("of", "text"),
    [
        (fact(status="SENT", stage="in_progress"), "in progress (SENT)"),
        (fact(status="DRAFT", stage="draft"), "draft"),
        (fact(status="COMPLETED", stage="completed"), "completed"),
        (fact(status="ARCHIVED", stage="completed"), "completed (ARCHIVED)"),
        (fact(status="DECLINED", stage="declined", message="too long"), "declined: too long"),
        (fact(status="2", stage="completed", message="signed"), "completed (2): signed"),
        (fact(status="5", stage="failed"), "failed (5)"),
        (fact(facts.RESTORED, status="COMPLETED", stage="completed"), "restored"),
        (fact(facts.TRASHED), "moved to the trash"),
        (fact(facts.DELETED, stage="deleted"), "deleted"),
        (fact(facts.TEMPLATE), "template created"),
        (fact(facts.READY_TO_COMPLETE), "signed by all; waits for the sender to complete it"),
        (fact(facts.DOCUMENT_SIGNED, signer="ana", document="lease"), "ana signed lease"),
        (fact(facts.DOCUMENT_SIGNED), "somebody signed a document"),
        (fact(facts.CONSENTED, signer="ana"), "ana consented to sign electronically"),
        (fact(facts.DOCUMENT_VIEWED, signer="ana", document="lease"), "ana opened lease"),
        (fact(facts.SIGNER_COMPLETED, signer="ana"), "ana finished signing"),
        (fact(facts.SIGNER_LOCKED, signer="ana"), "ana was locked out"),
        (fact(facts.SIGNER_REASSIGNED, signer="ana", message="role-2"), "ana passed the role to role-2"),
        (fact(facts.ATTACHMENT_UPLOADED, signer="ana", message="passport.pdf"), "ana uploaded passport.pdf"),
        (fact(facts.IDENTITY_CHECK_FAILED, signer="ana"), "ana failed the identity check"),
        (fact(facts.MAIL_BOUNCED, message="OOTO"), "an invitation mail bounced: OOTO"),
        (fact(facts.MAIL_BOUNCED), "an invitation mail bounced: no more is known"),
        (fact(facts.HELP_REQUESTED, signer="ana", message="page 3?"), "ana asked for help: page 3?"),
        (fact(facts.STORED, artifact="evidence.pdf"), "evidence.pdf stored"),
        (fact(facts.FAILED, artifact="evidence.pdf", message="HTTP 500"), "evidence.pdf not fetched: HTTP 500"),
        (fact(facts.ABANDONED, artifact="evidence.pdf", message="HTTP 404"), "evidence.pdf abandoned: HTTP 404"),
        (fact(facts.RETRY, artifact="evidence.pdf", message="new key"), "evidence.pdf to be tried again: new key"),
        (fact(facts.OBSERVED, status="SENT", stage="in_progress"), "the provider's API says: in progress (SENT)"),
        (fact(facts.OBSERVED, message="HTTP 404"), "the provider's API says: HTTP 404"),
        (fact(facts.OBSERVED), "the provider's API says: no status"),
        (fact(facts.OTHER, name="PACKAGE_FRAMED"), "PACKAGE_FRAMED"),
        (fact(facts.OTHER, name=""), "an event without a name"),
    ],
)
def test_a_fact_is_told_in_words(of: Fact, text: str) -> None:
    """As a person would say it."""
    assert timeline.load(told(of)).text == text


@pytest.mark.parametrize("what", WHATS)
def test_every_kind_of_fact_has_words(what: str) -> None:
    """A new kind of fact without words would be a fault of every event that says it."""
    assert text(fact(what, status="SENT", stage="in_progress")) != "N"
    assert len(WHATS) > 20


def test_a_kind_without_words_goes_by_its_name() -> None:
    """Negative control; and what newer code folded can still be shown."""
    assert text(fact("evaporated")) == "N"


@pytest.mark.parametrize("hostile", ["{signer}", "{0.__class__}", "{", "%s", "\x00"])
def test_what_people_wrote_is_not_taken_for_a_template(hostile: str) -> None:
    """Braces in a message, a document's id or a name stay braces."""
    assert text(fact(facts.MAIL_BOUNCED, message=hostile)).endswith(f": {hostile}")
    assert text(fact(facts.DOCUMENT_SIGNED, signer=hostile, document=hostile)) == f"{hostile} signed {hostile}"
    assert text(fact(facts.OTHER, name=hostile)) == hostile


# Rows


def test_every_fact_is_a_row_of_its_own() -> None:
    """By position; a decision about several artifacts of one subject has one for each."""
    assert list(timeline.keys(fact())) == [(7, "here", "p=", "")]
    assert list(timeline.keys(fact(facts.RETRY, artifact="evidence.pdf"))) == [(7, "here", "p=", "evidence.pdf")]
    assert timeline.keys(fact()) != timeline.keys(fact(position=8))


def test_a_row_holds_both_clocks_as_they_are() -> None:
    """Theirs too when it cannot be right: it is only shown."""
    row = told(fact(occurred_at=NOON * 2, name="PACKAGE_CREATE"))
    assert row[4:6] == (facts.STATUS, "PACKAGE_CREATE")
    loaded = timeline.load(row)
    assert (loaded.recorded_at, loaded.occurred_at) == (NOON, NOON * 2)


# What says the same


def test_a_repeated_callback_says_the_same() -> None:
    """Heard at another position and another time."""
    first = fact(status="COMPLETED", stage="completed", occurred_at=NOON)
    assert sense(first) == sense(msgspec.structs.replace(first, position=8, recorded_at=NOON + 1))


@pytest.mark.parametrize(
    "other",
    [
        {"what": facts.TRASHED},
        {"name": "M"},
        {"occurred_at": NOON + 1},
        {"status": "DECLINED"},
        {"signer": "boris"},
        {"document": "annex"},
        {"message": "b"},
        {"answer": Answer(200)},
    ],
)
def test_what_differs_does_not_say_the_same(other: dict[str, Any]) -> None:
    """Two signatures of one millisecond are two."""
    first = fact(status="COMPLETED", occurred_at=NOON, signer="ana", document="lease", message="a")
    assert sense(first) != sense(msgspec.structs.replace(first, **other))


def test_an_equal_answer_says_the_same() -> None:
    """Asked again, the API said nothing new; with another document it did."""
    lease, annex = Named("1", "Lease"), Named("2", "Annex")
    first = fact(facts.OBSERVED, status="SENT", stage="in_progress", answer=Answer(200, False, (), (lease,)))
    again = msgspec.structs.replace(first, position=9)
    more = msgspec.structs.replace(first, position=9, answer=Answer(200, False, (), (lease, annex)))
    assert sense(first) == sense(again) != sense(more)


@pytest.mark.parametrize("what", [facts.FAILED, facts.ABANDONED, facts.RETRY, facts.STORED])
def test_what_we_did_is_always_news(what: str) -> None:
    """Two failures with one reason are two attempts, not one told again."""
    assert sense(fact(what, artifact="evidence.pdf", message="HTTP 500")) is None


def test_names_stand_instead_of_ids() -> None:
    """Where they are known."""
    state = timeline.load(told(fact(facts.DOCUMENT_SIGNED, signer="ana", document="lease")))
    assert state.named({"ana": "Ana Dimova"}).text == "Ana Dimova signed lease"
    assert state.named({}) == state
