"""The page that a person reads: everything that the evidence says, for the screen and for paper, without a script."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from listener import errors, provider
from listener.evidence import proving, standing, verdicts
from listener.evidence.case import Case
from listener.evidence.covering import Covered
from listener.evidence.markup import LINE, NOTHING, Markup, joined, moment, table, tag
from listener.evidence.papers import Paper
from listener.times import written

if TYPE_CHECKING:
    from listener.evidence.making import Row

_STYLE: Final = Path(__file__).with_name("style.css")
# Nothing is loaded and nothing runs, even if something in here were no text after all.
_META: Final = Markup(
    '<meta charset="utf-8">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
)


def page(found: Case, covered: Covered, rows: Sequence["Row"], papers: Sequence[Paper]) -> bytes:
    """A whole file, in UTF-8."""
    title = f"Evidence: {found.id} in {found.source}"
    parts = (
        _top(found),
        standing.section(found, covered, rows, papers),
        _documents(papers),
        _timeline(found),
        _events(rows),
        _code(found),
        proving.section(covered, rows),
    )
    head = joined((_META, tag("title", title), tag("style", Markup(_STYLE.read_text(encoding="utf-8")))), "\n")
    body = joined(parts, "\n")
    return f'<!doctype html>\n<html lang="en">\n<head>\n{head}\n</head>\n<body>\n{body}\n</body>\n</html>\n'.encode()


def _noun(found: Case) -> str:
    try:
        return provider.named(found.known["provider"]).NOUN if found.known else "subject"
    except errors.Fault:
        return "subject"


def _top(found: Case) -> Markup:
    known, at = found.known, found.going_by
    said = "Nothing is known of it any more." if known is None else known["stage"].replace("_", " ")
    as_of = f"As of event {at['position']} of the log, recorded {moment(at['recorded_at'])} UTC"
    return tag(
        "header",
        tag("p", "Evidence", class_="kicker"),
        tag("h1", f"{_noun(found).capitalize()} ", tag("bdi", found.id, class_="id")),
        tag("p", tag("strong", said), f" · source {found.source} · {as_of}", class_="lead"),
    )


def _documents(papers: Sequence[Paper]) -> Markup:
    if not papers:
        return Markup()
    return tag("section", tag("h2", "Documents"), joined(_document(paper) for paper in papers))


def _document(paper: Paper) -> Markup:
    name = tag("a", paper.name, href=paper.file) if paper.file else tag("span", paper.name)
    place = f" It is the file {paper.file}." if paper.file else f" It is not in here: {paper.why}."
    return tag(
        "article",
        tag("h3", name),
        tag("p", f"{paper.stored.size:,} bytes, stored by event {paper.stored.position}.{place}"),
        tag("p", "SHA-256 ", tag("code", paper.stored.sha256)),
        verdicts.shown(paper.verdict, paper.checked),
    )


def _timeline(found: Case) -> Markup:
    rows = (
        (
            moment(fact["occurred_at"]) if fact["occurred_at"] else NOTHING,
            moment(fact["recorded_at"]),
            fact["text"] + (f" (again, as at {fact['same_as']})" if fact["same_as"] is not None else ""),
            link(fact["position"]),
        )
        for fact in found.history
    )
    heads = ("by the provider’s clock", "by our clock", "what happened", "event")
    return tag("section", tag("h2", "Timeline"), tag("p", "All times are UTC."), table(heads, rows, "timeline"))


def _events(rows: Sequence["Row"]) -> Markup:
    lead = (
        "What was received, asked, done and decided, in the order of the log. Each event is a file with its columns, "
        "its place in the tree and, unless it was erased, its headers and its body as they were stored, byte for byte. "
        "Decisions without which they cannot be judged are here, too, marked as such."
    )
    heads = ("event", "recorded", "kind", "what, from where", "files")
    return tag("section", tag("h2", "Events"), tag("p", lead), table(heads, map(_event, rows), "events"))


def _event(row: "Row") -> tuple[object, ...]:
    one = row.event
    came = joined(filter(None, (one.client, one.credential)), ", ")
    what = joined(
        (tag("code", f"{one.method or ''} {one.path or ''}".strip() or one.source), LINE if came else "", came)
    )
    number = tag("span", one.position, id=f"event-{one.position}")
    marks = [mark for mark, is_so in (("bears on them", not row.about), ("not covered", not row.covered)) if is_so]
    if one.body is None:
        content: object = tag("b", "erased")
    else:
        content = joined(
            (
                tag("a", "headers", href=f"{row.stem}-headers.txt"),
                ", ",
                tag("a", f"body, {row.size:,} bytes", href=f"{row.stem}-body.txt"),
            )
        )
    columns = tag("a", f"{row.stem.removeprefix('events/')}.json", href=f"{row.stem}.json")
    kind = joined((one.kind, *(tag("small", mark) for mark in marks)), " ")
    return number, moment(written(one.recorded_at) or ""), kind, what, joined((columns, ", ", content))


def _code(found: Case) -> Markup:
    now, then = found.going_by["code_now"], found.going_by["code_then"]
    said = (
        "State and timeline were worked out from the events above by signlog ",
        *(now["version"], ", whose interpreting code has the fingerprint ", tag("code", now["fingerprint"]), "."),
    )
    return tag("section", tag("h2", "Which code says so"), tag("p", *said), tag("p", *_code_then(now, then)))


def _code_then(now: dict[str, Any], then: dict[str, Any] | None) -> tuple[object, ...]:
    """What was in force at the last of the events, and where it is kept."""
    if then is None:
        return ("No code had been declared to be in force.",)
    kept = (
        "Event ",
        link(then["position"]),
        " holds it whole: the field ",
        tag("code", "code"),
        " of its body is base64 ",
    )
    how = (*kept, "of xz of a JSON object of paths and texts.")
    if then["fingerprint"] == now["fingerprint"]:
        return ("It is the code that was in force then. ", *how)
    other = ("Another one was in force then, of signlog ", then["version"], ", ", tag("code", then["fingerprint"]))
    return (*other, "; it may have shown something else. ", *how)


def link(position: int) -> Markup:
    """To an event further down."""
    return tag("a", position, href=f"#event-{position}")
