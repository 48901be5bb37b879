"""What a replay would change, as people read it: counts, the most telling examples, or one subject in full."""

import heapq
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from listener.cli import output

if TYPE_CHECKING:
    from listener.worker.difference import Change
    from listener.worker.plan import Fault, Plan

Named = tuple[str, str, "Change"]  # source and id, and what changes of it

_EXAMPLES = 10
_STANDING = ("stage", "status", "confirmed", "trashed")  # where the values say which kind of change it is
_ARTIFACT = "artifacts."


def show(plan: "Plan", changes: Iterable[Named]) -> None:
    """The plan as a whole: what is told of a subject alone is asked for with --subject."""
    output.fields(_summary(plan))
    if plan.transitions:
        output.line()
        rows = [
            {"field": known.field, "before": text(known.before), "after": text(known.after), "count": known.count}
            for known in plan.transitions[:_EXAMPLES]
        ]
        output.table(rows, ("field", "before", "after", "count"))
        _and_more(len(plan.transitions))
    if examples := telling(changes):
        output.line()
        _show_examples(examples)
    show_faults([fault for fault in plan.faults if fault.new])


def _summary(plan: "Plan") -> dict[str, Any]:
    of = plan.documents.get
    return {
        "events": plan.binding.position,
        "subjects": ", ".join(f"{count} {how}" for how, count in plan.summary.items()),
        "documents": f"{of('wanted', 0)} newly wanted, {of('unwanted', 0)} no longer, {of('repeated', 0)} repeated",
        "faults": f"{len(plan.faults)}, {sum(fault.new for fault in plan.faults)} of them new",
    }


def telling(changes: Iterable[Named], most: int = _EXAMPLES) -> list[Named]:
    """One example of each kind of change before a second one of any; how facts are told comes last."""
    ranked = ((*rank, number, named) for number, (rank, named) in enumerate(_ranked(changes)))
    return [named for *_, named in heapq.nsmallest(most, ranked)]


def _ranked(changes: Iterable[Named]) -> Iterator[tuple[tuple[bool, int], Named]]:
    seen: dict[tuple[str, ...], int] = {}
    for named in changes:
        change = named[-1]
        kind = _kind(change)
        seen[kind] = seen.get(kind, 0) + 1
        yield (change.field == "timeline", seen[kind]), named


def _kind(change: "Change") -> tuple[str, ...]:
    if change.field in _STANDING:
        return change.field, text(change.before), text(change.after)
    if change.field.startswith(_ARTIFACT):  # their names are as many as documents
        return _ARTIFACT, text(change.before), text(change.after)
    return (change.field,)


def _show_examples(examples: Sequence[Named]) -> None:
    whose: tuple[str, str] | None = None
    for *subject, change in examples:
        if whose != (whose := (subject[0], subject[1])):
            output.line(" ".join(subject))
        _show_change(change)


def _show_change(change: "Change") -> None:
    """On one line if it fits; else what was and what will be stand below each other."""
    before, after = text(change.before), text(change.after)
    if output.fits(line := f"  {change.field}: {before} → {after}"):
        output.line(line)
        return
    output.line(f"  {change.field}:")
    output.cut_line(f"    before  {before}")
    output.cut_line(f"    after   {after}")


def show_faults(faults: "Sequence[Fault]") -> None:
    """Events that this code could not take in."""
    if faults:
        output.line()
        rows = [{name: getattr(fault, name) for name in fault.__struct_fields__} for fault in faults[:_EXAMPLES]]
        output.table(rows, ("position", "source", "subject", "error"))
        _and_more(len(faults))


def _and_more(number: int) -> None:
    if number > _EXAMPLES:
        output.note(f"… and {number - _EXAMPLES} more; --json shows all.")


def whole(changes: Sequence["Change"], unchanged: str) -> None:
    """One subject in full."""
    if not changes:
        output.note(unchanged)
    for change in changes:
        output.fields({"field": change.field, "before": text(change.before), "after": text(change.after)})
        output.line()


def text(value: Any) -> str:
    """A value of a field as people read it."""
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
