"""What was found when the signatures in a document were checked, as the outcome that stored it tells."""

from collections.abc import Iterator
from typing import Any, Final

from listener.evidence.markup import NOTHING, Markup, joined, moment, table, tag
from listener.times import written

_FOUND: Final = {
    "invalid": "At least one signature is broken: the document is not what was signed.",
    "unreadable": "The signatures could not be judged.",
    "unsigned": "There is no signature in it.",
    "untrusted": "The signatures are right in themselves; nobody whom we trust vouches for the signer.",
    "unchecked": "The signatures were not checked.",
    "valid": "The signatures are valid.",
}
_DUE: Final = {True: "There should be one.", False: "None was due."}
_HEADS: Final = ("signed by", "at", "as it was signed", "covers the whole file", "signer trusted")


def shown(verdict: dict[str, Any] | None, checked: int | None = None) -> Markup:
    """The newest verdict: of the day on which the document was stored, or of the event that `checked` it again.

    Whatever an outcome says, it is told as text.
    """
    when = "when it was stored" if checked is None else f"checked again by event {checked}"
    if verdict is None:
        return tag("p", tag("b", f"Signatures, {when}: "), "no verdict on them was recorded.")
    found = str(verdict.get("found"))
    due = _DUE[verdict.get("due") is True] if found == "unsigned" else ""
    said = joined(filter(None, (_FOUND.get(found, found), due, verdict.get("reason"))), " ")
    papers = [one for one in _list(verdict.get("papers")) if isinstance(one, dict)]
    return joined(
        (
            tag("p", tag("b", f"Signatures, {when}: "), said),
            *(each for paper in papers for each in _paper(paper)),
        )
    )


def _paper(paper: dict[str, Any]) -> Iterator[Markup]:
    said = joined(filter(None, (paper.get("found"), paper.get("reason"))), ": ")
    if paper.get("name"):
        yield tag("p", tag("span", paper["name"]), " – ", said, class_="paper")
    signatures = [one for one in _list(paper.get("signatures")) if isinstance(one, dict)]
    if signatures:
        yield table(_HEADS, map(_signature, signatures))


def _signature(one: dict[str, Any]) -> tuple[object, ...]:
    at = one.get("signed_at")
    time = written(at) if isinstance(at, int) else None
    trusted = _yes(one["trusted"]) if isinstance(one.get("trusted"), bool) else "nobody judged"
    signer = joined(filter(None, (one.get("signer"), one.get("problem"))), "; ")
    return (
        signer,
        moment(time) if time else NOTHING,
        _yes(one.get("intact")),
        _yes(one.get("whole")),
        trusted,
    )


def _yes(value: Any) -> str:
    return "yes" if value is True else "no"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
