"""What people and scripts are told, as far as commands do not show it by themselves."""

from pathlib import Path

import pytest
from sqlalchemy import event as sqlalchemy_event

from listener import errors
from listener.desk import quarantine, status
from listener.quarantine import Kept
from tests.site import DASHED, ID, Site, callback, observation, stored

# Subjects


def test_documents_stand_with_their_own_subject(tmp_path: Path) -> None:
    """However many there are, and though ids differ in case only."""
    site = Site(tmp_path)
    ids = [f"{ID}{number}" for number in range(230)] + ["a", "A"]
    site.filled(*[callback("PACKAGE_COMPLETE", subject) for subject in ids], stored("evidence.pdf", "a"))
    with site.looked_at() as at:
        found = {one["id"]: one["artifacts"] for one in status.several(at, status.Filter())}
    assert found.keys() == set(ids)
    assert all([one["name"] for one in kept] == ["documents.zip", "evidence.pdf"] for kept in found.values())
    assert [one["state"] for one in found["a"]] == ["wanted", "stored"]
    assert [one["state"] for one in found["A"]] == ["wanted", "wanted"]


def test_a_list_is_read_in_a_few_queries(tmp_path: Path) -> None:
    """Not in one for each of its lines."""
    site = Site(tmp_path).filled(*[callback("PACKAGE_COMPLETE", str(number)) for number in range(150)])
    asked = []
    with site.looked_at() as at:
        sqlalchemy_event.listen(at.views.engine, "before_cursor_execute", lambda *_: asked.append(1))
        assert len(status.several(at, status.Filter())) == 150
    assert len(asked) == 5


def test_one_is_told_as_it_is_in_the_list(tmp_path: Path) -> None:
    """The same keys and the same values."""
    site = Site(tmp_path).filled(callback("PACKAGE_COMPLETE"), stored())
    with site.looked_at() as at:
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
    with site.looked_at() as at:
        texts = [fact["text"] for fact in status.history(at, "onespan", ID)]
    assert texts[:2] == ["Ana signed Lease", "s2 signed 2"]
    assert texts[3:] == ["declined: page 1 s1", "Ana uploaded 1"]


def test_a_fact_that_was_heard_three_times(tmp_path: Path) -> None:
    """Each repetition names the first; another signer's is none."""
    once, other = (callback("SIGNER_COMPLETE", sessionUser=who) for who in ("a", "b"))
    site = Site(tmp_path).filled(once, other, once, once, callback("SIGNER_COMPLETE", DASHED, sessionUser="a"))
    with site.looked_at() as at:
        told = [(fact["position"], fact["same_as"]) for fact in status.history(at, "onespan", ID)]
    assert told == [(2, None), (3, None), (4, 2), (5, 2)]


def test_a_long_history_is_told_whole(tmp_path: Path) -> None:
    """With the kind of each event, page by page."""
    site = Site(tmp_path).filled(*[callback("DOCUMENT_VIEWED", documentId=str(number)) for number in range(450)])
    with site.looked_at() as at:
        assert [fact["kind"] for fact in status.history(at, "onespan", ID)] == ["callback"] * 450
        assert status.history(at, "onespan", "nobody") == []


# Reading


def test_nothing_is_read_where_nothing_was_folded(tmp_path: Path) -> None:
    """Neither before the first worker, nor when its views were thrown away."""
    site = Site(tmp_path)
    site.append()
    with pytest.raises(errors.ViewsError, match="nothing was folded yet"), site.looked_at():
        pass
    site.fold()
    for path in site.data.glob("signlog-views-*"):
        path.unlink()
    with pytest.raises(errors.ViewsError, match=r"signlog-views-1.db is not there yet"), site.looked_at():
        pass


def test_reading_changes_nothing(tmp_path: Path) -> None:
    """It makes no file but those that SQLite keeps beside one."""
    site = Site(tmp_path).filled(callback("PACKAGE_CREATE"))
    before = {path.name for path in site.data.iterdir()}
    with site.looked_at() as at:
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
