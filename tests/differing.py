"""What two generations of the views say differently, worked out from their rows without the code that compares them."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import select

from listener import bookkeeping, times
from listener.acts import Subject
from listener.views import Views
from projections import artifacts, packages, timeline

COUNTED = ("status", "stage", "confirmed", "trashed")
_REFUSED = ("declined", "failed")


class Said(NamedTuple):
    """What a generation says: fields of packages, documents, rows of the timeline, faults."""

    fields: Mapping[Subject, Mapping[str, Any]]
    documents: Mapping[tuple[str, str, str], artifacts.State]
    told: Mapping[Subject, set[Any]]
    faults: set[tuple[int, str, str | None]]


def said(generation: Views, until: int) -> Said:
    """All of it, but for facts behind a position; what was held behind it is as if nobody had."""
    with generation.reading() as connection:
        fields = {(row.source, row.id): _fields(row) for row in connection.execute(select(packages.TABLE))}
        documents = {tuple(row[:3]): _unheld(row, until) for row in connection.execute(select(artifacts.TABLE))}
        told: dict[Subject, set[Any]] = {}
        for row in connection.execute(select(timeline.TABLE).where(timeline.TABLE.c.position <= until)):
            told.setdefault((row.source, row.subject), set()).add(tuple(row))
        faults = {(row.position, row.source, row.subject) for row in connection.execute(select(bookkeeping.faults))}
    return Said(fields, documents, told, faults)


def _fields(row: Any) -> Mapping[str, Any]:
    state = packages.load(row)
    reason = state.told.text if state.told and row.stage in _REFUSED else None
    known = {name: getattr(row, name) for name in (*COUNTED, "provider")}
    return {
        **known,
        "reason": reason,
        "occurred_at": times.written(state.occurred_at),
        "missed": row.missed is not None,
        "signers": _as_json(state.signers),
        "documents": _as_json(state.documents),
    }


def _as_json(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def _unheld(row: Any, until: int) -> artifacts.State:
    state = artifacts.load(row)
    return msgspec.structs.replace(state, held=False) if row.last_position > until else state


def changes(before: Said, after: Said) -> dict[tuple[str, str, str], tuple[Any, Any]]:
    """Source, id and field → before and after, of all subjects but those that were added; positions of the timeline."""
    subjects = {*before.fields, *after.fields, *before.told, *after.told, *_subjects(before), *_subjects(after)}
    found = {}
    for subject in subjects:
        if subject in after.fields and subject not in before.fields:
            continue
        one, other = _whole(before, subject), _whole(after, subject)
        for field in {*one, *other}:
            if one.get(field) != other.get(field):
                found[*subject, field] = one.get(field), other.get(field)
        lost, new = (_positions(a.told, b.told, subject) for a, b in ((before, after), (after, before)))
        if lost or new:
            found[*subject, "timeline"] = lost, new
    return found


def _subjects(found: Said) -> set[Subject]:
    return {(source, subject) for source, subject, _ in found.documents}


def _whole(found: Said, subject: Subject) -> dict[str, Any]:
    documents = {f"artifacts.{key[2]}": state.state for key, state in found.documents.items() if key[:2] == subject}
    return {**found.fields.get(subject, {}), **documents}


def _positions(one: Mapping[Subject, set[Any]], other: Mapping[Subject, set[Any]], subject: Subject) -> list[int]:
    return sorted(row[0] for row in one.get(subject, set()) - other.get(subject, set()))


def summary(before: Said, after: Said) -> dict[str, int]:
    """How many packages were added, removed, changed and not."""
    both = before.fields.keys() & after.fields.keys()
    changed = {key[:2] for key in changes(before, after)} & both
    added, removed = (len(a.fields.keys() - b.fields.keys()) for a, b in ((after, before), (before, after)))
    return {"added": added, "removed": removed, "changed": len(changed), "unchanged": len(both) - len(changed)}


def transitions(before: Said, after: Said) -> Counter[tuple[str, Any, Any]]:
    """How many subjects went from one value of a field to another."""
    found = Counter[tuple[str, Any, Any]]()
    for (*_, field), change in changes(before, after).items():
        if field in COUNTED or field.startswith("artifacts."):
            found["artifact" if field.startswith("artifacts.") else field, *change] += 1
    return found


def newly(before: Said, after: Said) -> tuple[set[Any], set[Any]]:
    """The documents that only the later one goes and fetches, and those that only the earlier one ever wanted."""
    none = artifacts.State()
    pairs = {
        key: (before.documents.get(key, none), after.documents.get(key, none))
        for key in {*before.documents, *after.documents}
    }
    wanted = {
        key for key, (was, now) in pairs.items() if now.state in artifacts.OPEN and was.state not in artifacts.OPEN
    }
    lost = {key for key, (was, now) in pairs.items() if was.wanted_at is not None and now.wanted_at is None}
    return wanted, lost


def worked_out(before: Said, after: Said) -> dict[str, Any]:
    """What a plan must say of the two."""
    found, (wanted, unwanted) = changes(before, after), newly(before, after)
    added = after.fields.keys() - before.fields.keys()
    return {
        "changes": found,
        "summary": summary(before, after),
        "transitions": transitions(before, after),
        "documents": (wanted, unwanted, 0),
        "faults": (after.faults, after.faults - before.faults),
        "different": bool(found or added or wanted or unwanted or before.faults ^ after.faults),
    }


def told_by(report: Mapping[str, Any]) -> dict[str, Any]:
    """What it says, in the same shape."""
    documents = report["artifacts"]
    faults = {(one["position"], one["source"], one["subject"]): one["new"] for one in report["faults"]}
    counted = {(one["field"], one["before"], one["after"]): one["count"] for one in report["transitions"]}
    return {
        "changes": {(one["source"], one["id"], one["field"]): _positions_only(one) for one in report["changes"]},
        "summary": report["summary"],
        "transitions": Counter(counted),
        "documents": (*(_keys(documents[how]) for how in ("wanted", "unwanted")), documents["repeated"]),
        "faults": (set(faults), {fault for fault, new in faults.items() if new}),
        "different": report["different"],
    }


def _keys(named: list[Mapping[str, str]]) -> set[tuple[str, str, str]]:
    return {(one["source"], one["subject"], one["name"]) for one in named}


def _positions_only(change: Mapping[str, Any]) -> tuple[Any, Any]:
    if change["field"] != "timeline":
        return change["before"], change["after"]
    before, after = ([int(text.split()[0]) for text in change[side]] for side in ("before", "after"))
    return before, after
