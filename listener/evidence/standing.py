"""Where a subject stands, and how much of that is confirmed: the beginning of the page."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from listener.evidence import proving
from listener.evidence.case import Case
from listener.evidence.covering import Covered
from listener.evidence.markup import NOTHING, Markup, joined, moment, table, tag
from listener.evidence.papers import Paper
from projections import course, facts

if TYPE_CHECKING:
    from listener.evidence.making import Row

_CONFIRMED: Final = {
    course.YES: "The provider’s API, asked with our own credentials, says the same.",
    course.NO: "Only callbacks say so. A callback shows a shared key or an address, not who sent it; no answer of the "
    "provider’s API has confirmed it.",
    course.CONTRADICTED: "What we were told contradicts itself: two ends, or a callback that the provider’s API does "
    "not agree with.",
}


def section(found: Case, covered: Covered, rows: Sequence["Row"], papers: Sequence[Paper]) -> Markup:
    """The sentences that a reader must have seen, the fields, and who signs what."""
    said = joined((tag("li", each) for each in _said(found, covered, rows, papers)), "\n")
    parts = [tag("h2", "What is known, and what is confirmed"), tag("ul", said, class_="said")]
    if found.known is not None:
        fields = [
            (tag("dt", name), tag("dd", value)) for name, value in _fields(found.known) if value not in (None, "")
        ]
        parts.append(tag("dl", *(joined(pair) for pair in fields)))
        parts += _people(found.known)
    return tag("section", joined(parts, "\n"))


def _said(found: Case, covered: Covered, rows: Sequence["Row"], papers: Sequence[Paper]) -> Iterator[object]:
    """What a reader must know before anything else, good or bad."""
    erasing = [fact for fact in found.history if fact["what"] == facts.ERASED]
    blank = sum(row.event.body is None for row in rows)
    if found.known is not None:
        yield joined((tag("b", f"Confirmed: {found.known['confirmed']}. "), _CONFIRMED[found.known["confirmed"]]))
        if found.known["missed"]:
            yield joined((tag("b", "Missed. "), "No callback told of the completion; only the provider’s API did."))
    for fact in erasing:
        why = fact["text"].removeprefix("erased: ")
        yield joined((tag("b", "Erased. "), f"Event {fact['position']} says why: {why}"))
    if blank:
        yield f"{_count(blank, 'event')} of it were erased: their content is gone, their places and seals are not."
    if found.hold is not None:
        yield joined((tag("b", "On legal hold. "), f"Since event {found.hold.position}: {found.hold.reason}"))
    for fault in found.going_by["faults"][:1]:
        yield joined(
            (
                tag("b", "Incomplete. "),
                f"Event {fault['position']} could not be taken in ({fault['error']}). "
                "Nothing behind it is counted here, though it is listed below.",
            )
        )
    yield _about_papers(papers, blank)
    yield proving.cover(covered, rows)


def _about_papers(papers: Sequence[Paper], blank: int) -> object:
    if not papers and blank:
        return "Which documents of it were stored, nothing in here tells any more."
    inside = sum(paper.file is not None for paper in papers)
    if not papers:
        return "No document of it was stored."
    if inside == len(papers):
        return f"{_count(inside, 'document')} in here, each with the SHA-256 that was logged when it was fetched."
    return joined(
        (
            tag("b", "Documents are missing. "),
            f"{len(papers)} were stored, {inside} of them are in here; why, is told below.",
        )
    )


def _fields(known: dict[str, Any]) -> Iterator[tuple[str, object]]:
    yield "provider", known["provider"]
    yield "status, in the provider’s word", known["status"]
    yield "kind", known["kind"]
    yield "in the trash", "yes" if known["trashed"] else None
    yield "reason", known["reason"]
    yield "our reference", known["reference"]
    yield "thread", known["thread"]
    yield "deadline", moment(known["deadline"]) if known["deadline"] else None
    yield (
        "expected",
        {False: "no: nobody said that there would be such a one", True: "yes", None: None}[known["expected"]],
    )
    yield "last heard of", f"event {known['last_position']}, {moment(known['recorded_at'])}"


def _people(known: dict[str, Any]) -> Iterator[Markup]:
    names = {each["id"]: each["name"] or each["id"] for each in known["documents"]}
    if known["signers"]:
        yield table(
            ("signer", "finished signing", "signed", "declined"),
            (
                (
                    _named(one),
                    _yes(one["completed"]),
                    ", ".join(names.get(id_, id_) for id_ in one["documents"]) or NOTHING,
                    _yes(one["declined"]),
                )
                for one in known["signers"]
            ),
        )
    if known["documents"]:
        yield table(
            ("to be signed", "opened", "signed", "declined"),
            (
                (_named(one), _yes(one["viewed"]), _yes(one["signed"]), _yes(one["declined"]))
                for one in known["documents"]
            ),
        )


def _named(one: dict[str, Any]) -> Markup:
    if not one["name"]:
        return tag("bdi", one["id"], class_="id")
    return joined((one["name"], " ", tag("bdi", one["id"], class_="id small")))


def _yes(value: bool) -> object:
    return "yes" if value else NOTHING


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
