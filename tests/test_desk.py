"""What people and scripts are told, as far as commands do not show it by themselves."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event as sqlalchemy_event

from listener import bootstrap, errors
from listener.desk import events, quarantine, status
from listener.desk.reading import Reading, reading
from listener.log import event, reader
from listener.log.database import Database
from listener.log.event import Draft
from listener.quarantine import Kept
from tests.site import DASHED, ID, Site, callback, observation, stored


@contextlib.contextmanager
def opened(site: Site) -> Iterator[Database]:
    """The log of a site."""
    with bootstrap.existing_log(site.settings) as database:
        yield database


@contextlib.contextmanager
def looked_at(site: Site) -> Iterator[Reading]:
    """Log and views of a site."""
    with opened(site) as database, reading(database, site.data) as at:
        yield at


# Events


def test_the_newest_are_found_behind_any_number_that_do_not_fit(tmp_path: Path) -> None:
    """Page by page, and in the order of the log."""
    site = Site(tmp_path)
    site.append(callback("PACKAGE_CREATE"), callback("PACKAGE_TRASH"), *[callback("PACKAGE_CREATE", "other")] * 1100)
    with opened(site) as database:
        found = events.newest(database, events.Filter(subject=ID), 5)
        last = events.newest(database, events.Filter(), 2)
        assert events.head(database) == 1103
    assert [line["name"] for line in found] == ["PACKAGE_CREATE", "PACKAGE_TRASH"]
    assert [line["position"] for line in last] == [1102, 1103]


def test_the_newest_are_no_more_than_asked_for(tmp_path: Path) -> None:
    """Though a page holds more of them."""
    site = Site(tmp_path)
    site.append(*[callback("PACKAGE_CREATE")] * 10)
    with opened(site) as database:
        assert [line["position"] for line in events.newest(database, events.Filter(name="PACKAGE_CREATE"), 3)] == [
            9,
            10,
            11,
        ]


def test_every_event_is_told_once(tmp_path: Path) -> None:
    """From behind a position on, over the ends of pages."""
    site = Site(tmp_path)
    site.append(*[callback("PACKAGE_CREATE")] * 1200)
    with opened(site) as database:
        assert [line["position"] for line in events.every(database, events.Filter(), 100)] == list(range(101, 1202))


def test_an_unreadable_event_is_told_all_the_same(tmp_path: Path) -> None:
    """What it says is unknown; everything else is not."""
    site = Site(tmp_path)
    nonsense = Draft(event.CALLBACK, "onespan", "onespan", b"nonsense")
    outcome = Draft(event.OUTCOME, "onespan", "onespan", b"nonsense")
    unknown = Draft(event.CALLBACK, "gone", "a provider of old", b"{}")
    site.append(nonsense, outcome, unknown)
    with opened(site) as database:
        lines = list(events.every(database, events.Filter(), 1))
    assert [(line["kind"], line["name"], line["subject"]) for line in lines] == [
        ("callback", None, None),
        ("outcome", None, None),
        ("callback", None, None),
    ]


def test_an_act_that_speaks_of_no_subject_has_its_name(tmp_path: Path) -> None:
    """What was declared to be in force, for example."""
    site = Site(tmp_path)
    site.append()
    with opened(site) as database:
        (line,) = events.every(database, events.Filter())
    assert (line["name"], line["subject"]) == ("in force", None)


def test_an_erased_event_has_no_body_and_no_headers(tmp_path: Path) -> None:
    """Only its place, its leaf, and that it was."""
    site = Site(tmp_path)
    site.append(callback("PACKAGE_CREATE"))
    with opened(site) as database:
        with database.writing() as connection:
            connection.exec_driver_sql("INSERT INTO erasures VALUES (2, 1)")
            blank = "UPDATE events SET body = NULL, headers = NULL, salt = NULL WHERE position = 2"
            connection.exec_driver_sql(blank)
        with database.reading() as connection:
            found = reader.one(connection, 2)
    assert found is not None
    told = events.whole(found)
    assert (told["name"], told["subject"], told["size"], told["body"]) == (None, None, 0, "")
    assert (told["headers"], told["salt"]) == (None, None)
    assert len(told["leaf"]) == 64


# Subjects


def test_documents_stand_with_their_own_subject(tmp_path: Path) -> None:
    """However many there are, and though ids differ in case only."""
    site = Site(tmp_path)
    ids = [f"{ID}{number}" for number in range(230)] + ["a", "A"]
    site.filled(*[callback("PACKAGE_COMPLETE", subject) for subject in ids], stored("evidence.pdf", "a"))
    with looked_at(site) as at:
        found = {one["id"]: one["artifacts"] for one in status.several(at, status.Filter())}
    assert found.keys() == set(ids)
    assert all([one["name"] for one in kept] == ["documents.zip", "evidence.pdf"] for kept in found.values())
    assert [one["state"] for one in found["a"]] == ["wanted", "stored"]
    assert [one["state"] for one in found["A"]] == ["wanted", "wanted"]


def test_a_list_is_read_in_a_few_queries(tmp_path: Path) -> None:
    """Not in one for each of its lines."""
    site = Site(tmp_path).filled(*[callback("PACKAGE_COMPLETE", str(number)) for number in range(150)])
    asked = []
    with looked_at(site) as at:
        sqlalchemy_event.listen(at.views.engine, "before_cursor_execute", lambda *_: asked.append(1))
        assert len(status.several(at, status.Filter())) == 150
    assert len(asked) == 3  # the subjects, where somebody expects something, the documents


def test_one_is_told_as_it_is_in_the_list(tmp_path: Path) -> None:
    """The same keys and the same values."""
    site = Site(tmp_path).filled(callback("PACKAGE_COMPLETE"), stored())
    with looked_at(site) as at:
        assert [status.one(at, "onespan", ID)] == status.several(at, status.Filter())
        assert status.one(at, "onespan", "nobody") is None
        assert status.one(at, "other", ID) is None


def test_names_stand_only_where_the_text_names_somebody(tmp_path: Path) -> None:
    """What a person wrote is told as it was written, though a word in it is somebody's id."""
    answer = {"status": "SENT", "signers": [{"id": "s1", "name": "Ana"}], "documents": [{"id": "1", "name": "Lease"}]}
    site = Site(tmp_path).filled(
        callback("DOCUMENT_SIGNED", sessionUser="s1", documentId="1"),
        callback("DOCUMENT_SIGNED", sessionUser="s2", documentId="2"),
        observation(answer),
        callback("PACKAGE_DECLINE", message="page 1 s1", sessionUser="s1"),
        callback("PACKAGE_ATTACHMENT", message="1", sessionUser="s1"),
    )
    with looked_at(site) as at:
        texts = [fact["text"] for fact in status.history(at, "onespan", ID)]
    assert texts[:2] == ["Ana signed Lease", "s2 signed 2"]
    assert texts[3:] == ["declined: page 1 s1", "Ana uploaded 1"]


def test_a_fact_that_was_heard_three_times(tmp_path: Path) -> None:
    """Each repetition names the first; another signer's is none."""
    once, other = (callback("SIGNER_COMPLETE", sessionUser=who) for who in ("a", "b"))
    site = Site(tmp_path).filled(once, other, once, once, callback("SIGNER_COMPLETE", DASHED, sessionUser="a"))
    with looked_at(site) as at:
        told = [(fact["position"], fact["same_as"]) for fact in status.history(at, "onespan", ID)]
    assert told == [(2, None), (3, None), (4, 2), (5, 2)]


def test_a_long_history_is_told_whole(tmp_path: Path) -> None:
    """With the kind of each event, page by page."""
    site = Site(tmp_path).filled(*[callback("DOCUMENT_VIEWED", documentId=str(number)) for number in range(450)])
    with looked_at(site) as at:
        assert [fact["kind"] for fact in status.history(at, "onespan", ID)] == ["callback"] * 450
        assert status.history(at, "onespan", "nobody") == []


# Reading


def test_nothing_is_read_where_nothing_was_folded(tmp_path: Path) -> None:
    """Neither before the first worker, nor when its views were thrown away."""
    site = Site(tmp_path)
    site.append()
    with pytest.raises(errors.ViewsError, match="nothing was folded yet"), looked_at(site):
        pass
    site.fold()
    for path in site.data.glob("signlog-views-*"):
        path.unlink()
    with pytest.raises(errors.ViewsError, match=r"signlog-views-1.db is not there yet"), looked_at(site):
        pass


def test_reading_changes_nothing(tmp_path: Path) -> None:
    """It makes no file but those that SQLite keeps beside one."""
    site = Site(tmp_path).filled(callback("PACKAGE_CREATE"))
    before = {path.name for path in site.data.iterdir()}
    with looked_at(site) as at:
        status.several(at, status.Filter())
    assert {path.name for path in site.data.iterdir()} <= before | {"signlog-views-1.db-wal", "signlog-views-1.db-shm"}


# Quarantine


def kept(**fields: object) -> Kept:
    """A refused callback."""
    known = {"id": 1, "received_at": 0, "source": "onespan", "status": 401, "reason": "wrong callback key"}
    known |= {"peer": "192.0.2.1", "client": "192.0.2.1", "block": "", "genuine": True, "shown": "key:secret"}
    known |= {"path": "/callbacks/onespan", "headers": '[["a","b"]]', "body": b"{}", "whole": True, "size": 999}
    return Kept(**{**known, **fields})  # type: ignore[arg-type]


def test_the_size_of_a_refused_callback_is_that_of_its_body() -> None:
    """Not what it weighs in the file; and the HMAC of its credential is nobody's business."""
    assert quarantine.shown(kept())["size"] == 2
    assert "secret" not in str(quarantine.whole(kept()))


def test_a_refused_body_that_is_no_text() -> None:
    """As in events."""
    assert quarantine.whole(kept(body=b"\xff"))["body_base64"] == "/w=="
    assert quarantine.whole(kept())["body"] == "{}"
