"""Finding events: whatever is asked, the pages together hold what a look at every event would find."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event as listen

from listener import bootstrap, decisions, fingerprint
from listener.desk import events, faults, search
from listener.desk.events import Filter
from listener.desk.pages import Line
from listener.desk.reading import reading
from listener.desk.search import Search, Span
from listener.interpreter import Interpreter
from listener.log import event, reader
from listener.log.database import Database
from listener.log.event import Draft
from listener.shelf import shelf
from listener.worker.projector import Projector
from projections import course
from tests import rig
from tests.site import DASHED, ID, Site, callback

SMALL = {"LOOK_AT": 13, "_READ": 4, "_BODIES": 3}
SUBJECTS = (rig.ID, "flooded", "later", "nobody")
NAMES = ("PACKAGE_COMPLETE", "PACKAGE_ACTIVATE", "document/ready", "retry", "in force", "accept", "stored", "NOTHING")
TEXTS = ("PACKAGE_", "Грешен", "flooded", "no such text", '"', "")


def fold(database: Database) -> None:
    """Let the views catch up."""
    projector = Projector(database, shelf(database), fingerprint.fingerprint())
    projector.catch_up()
    projector.close()


@pytest.fixture(scope="module", params=["not folded", "half folded", "folded", "folded, without what was skipped"])
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A log with a bit of everything, of which the views have folded a part; a fault, and facts that wait behind it."""
    found = rig.settings(tmp_path_factory.mktemp("asked"), sources={})
    with pytest.MonkeyPatch.context() as patched, bootstrap.log(found) as database:
        patched.setattr(course, "MOST_STEPS", 5)
        rig.add(database, rig.in_force(*rig.BOTH), *rig.history()[:60])
        if request.param != "not folded":
            fold(database)
        rig.add(database, *rig.history()[60:])
        if request.param.startswith("folded"):
            fold(database)
        while request.param.endswith("skipped") and (left := faults_of(database)):
            decisions.skip(database, left, "somebody", "why")
            fold(database)
        yield database


def faults_of(database: Database) -> list[int]:
    """The positions of those that are there."""
    with reading(database) as at:
        return [fault["position"] for fault in faults.several(at)]


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a short log has many."""
    for name, size in SMALL.items():
        monkeypatch.setattr(search, name, size)


def fitting(database: Database, wanted: Filter, span: Span) -> list[Line]:
    """What fits, event by event."""
    found = [known for known in reader.every(database) if span.first <= known.position <= span.last]
    lines = [events.line(known, Interpreter(), wanted) for known in (found[::-1] if span.newest_first else found)]
    return [line for line in lines if line is not None]


FILTERS = st.builds(
    Filter,
    source=st.sampled_from((None, None, rig.SOURCE, "evrotrust", "signlog", "nobody")),
    subject=st.sampled_from((None, None, *SUBJECTS)),
    name=st.sampled_from((None, None, *NAMES)),
    kind=st.sampled_from((None, None, *event.KINDS)),
    contains=st.sampled_from((None, None, None, *TEXTS)),
)
SPANS = st.builds(Span, first=st.integers(1, 40), last=st.integers(30, 150), newest_first=st.booleans())


@settings(deadline=None)
@given(wanted=FILTERS, span=SPANS)
def test_pages_hold_what_fits(asked: Database, wanted: Filter, span: Span) -> None:
    """All of it, once, in order; whether the views know of it, or only the log does."""
    assert list(Search(asked, wanted).every(span)) == fitting(asked, wanted, span)


@settings(deadline=None)
@given(wanted=FILTERS, count=st.integers(1, 9))
def test_the_newest_are_the_last_that_fit(asked: Database, wanted: Filter, count: int) -> None:
    """No more than asked for, in the order of the log."""
    whole = Span(1, events.head(asked))
    newest = Search(asked, wanted).newest(whole, count)
    assert newest == fitting(asked, wanted, whole)[-count:]


def test_the_log_has_what_the_filters_ask_for(asked: Database) -> None:
    """Else the tests above would prove little."""
    whole = Span(1, events.head(asked))
    fewer = [name for name in NAMES if not fitting(asked, Filter(name=name), whole)]
    assert fewer == ["accept", "NOTHING"]
    assert all(fitting(asked, Filter(subject=subject), whole) for subject in SUBJECTS[:-1])
    assert all(fitting(asked, Filter(contains=text), whole) for text in TEXTS if text != "no such text")


def test_a_page_looks_at_no_more_than_its_part(asked: Database) -> None:
    """Though nothing fits; it says where to go on."""
    for wanted in (Filter(source="nobody"), Filter(contains="no such text"), Filter(name="NOTHING")):
        lines, left = Search(asked, wanted).page(Span(1, 100), 50)
        assert lines == []
        assert left is not None
        assert left.first <= 1 + SMALL["LOOK_AT"]


@pytest.mark.parametrize("asked", ["folded"], indirect=True)
def test_a_subject_is_found_through_indexes(asked: Database) -> None:
    """In whichever source, however much is told of others, or waits; and of itself: nothing is sorted."""
    with reading(asked) as at:
        explained = at.views.engine.connect()
        found: list[str] = []

        def explain(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
            rows = explained.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            found.extend(row.detail for row in rows)

        listen.listen(at.views, "before_cursor_execute", explain)
        with explained:
            search._of_subject(at, rig.ID, Span(1, 100))
    assert {how for how in found if " faults " not in how} == {  # of these there are few
        "SEARCH timeline USING COVERING INDEX timeline_subject (subject=? AND source>?)",
        "SEARCH timeline USING COVERING INDEX timeline_subject (subject=? AND source=? AND position>? AND position<?)",
        "SEARCH parked USING COVERING INDEX sqlite_autoindex_parked_1 (subject=? AND source>?)",
    }


def test_a_text_is_looked_for_in_so_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large bodies make small pages; each goes on behind the one before."""
    monkeypatch.setattr(search, "_READ_BYTES", 5000)
    site = Site(tmp_path)
    site.append(*[Draft(event.CALLBACK, "onespan", "onespan", b"x" * 2000) for _ in range(7)], callback("NEEDLE"))
    with site.opened() as database:
        found = Search(database, Filter(contains="NEEDLE"))
        lines, left = found.page(Span(2, 9), 50)
        assert (lines, left) == ([], Span(5, 9))
        assert [line["position"] for line in found.every(Span(1, 9))] == [9]


@pytest.mark.parametrize("body", ["Грешен \\ документ".encode(), b"\\u0413\\u0440\\u0435\\u0448\\u0435\\u043d"])
def test_a_text_is_found_as_it_is_or_as_json_escapes_it(tmp_path: Path, body: bytes) -> None:
    """Who looks for a word need not know how the provider wrote it."""
    site = Site(tmp_path)
    site.append(Draft(event.CALLBACK, "onespan", "onespan", body))
    with site.opened() as database:
        assert len(list(Search(database, Filter(contains="Грешен")).every(Span(1, 2)))) == 1
        assert list(Search(database, Filter(contains="грешен")).every(Span(1, 2))) == []


def test_an_event_that_says_several_things_is_shown_as_what_fits(tmp_path: Path) -> None:
    """A decision on documents of two subjects is about either."""
    with rig.Log(tmp_path) as log:
        (position,) = rig.add(log.database, *rig.history()[-7:-6])
        for subject in (rig.ID, "flooded"):
            found = Search(log.database, Filter(subject=subject))
            lines = list(found.every(Span(1, position)))
            assert [(line["position"], line["subject"]) for line in lines] == [(position, subject)]


# An event as it is shown


def lines_of(site: Site) -> list[Line]:
    """Every event of a log behind the first."""
    with site.opened() as database:
        return list(Search(database, Filter()).every(Span(2, events.head(database))))


def test_an_unreadable_event_is_told_all_the_same(tmp_path: Path) -> None:
    """What it says is unknown; everything else is not."""
    site = Site(tmp_path)
    nonsense = Draft(event.CALLBACK, "onespan", "onespan", b"nonsense")
    outcome = Draft(event.OUTCOME, "onespan", "onespan", b"nonsense")
    unknown = Draft(event.CALLBACK, "gone", "a provider of old", b"{}")
    site.append(nonsense, outcome, unknown)
    assert [(line["kind"], line["name"], line["subject"]) for line in lines_of(site)] == [
        ("callback", None, None),
        ("outcome", None, None),
        ("callback", None, None),
    ]


def test_an_act_that_speaks_of_no_subject_has_its_name(tmp_path: Path) -> None:
    """What was declared to be in force, for example."""
    site = Site(tmp_path)
    site.append()
    with site.opened() as database:
        (line,) = Search(database, Filter()).every(Span(1, 1))
    assert (line["name"], line["subject"]) == ("in force", None)


def test_an_erased_event_has_no_body_and_no_headers(tmp_path: Path) -> None:
    """Only its place, its leaf, and that it was."""
    site = Site(tmp_path)
    site.append(callback("PACKAGE_CREATE"), callback("PACKAGE_CREATE", DASHED))
    with site.opened() as database:
        with database.writing() as connection:
            connection.exec_driver_sql("INSERT INTO erasures VALUES (2, 1)")
            blank = "UPDATE events SET body = NULL, headers = NULL, salt = NULL WHERE position = 2"
            connection.exec_driver_sql(blank)
        with database.reading() as connection:
            found = reader.one(connection, 2)
        assert found is not None
        told = events.whole(found)
        assert list(Search(database, Filter(contains=ID)).every(Span(1, 3))) == []
    assert (told["name"], told["subject"], told["size"], told["body"]) == (None, None, 0, "")
    assert (told["headers"], told["salt"]) == (None, None)
    assert len(told["leaf"]) == 64
