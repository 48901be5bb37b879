"""What a provider's API answered is kept once, reduced to what may be kept, and says whether to go on."""

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from listener import errors
from listener.api import Access, Api
from listener.apis import onespan
from listener.demo import bodies, faults
from listener.demo.onespan import OneSpan
from listener.demo.packages import TWO_SIGNERS, Package
from listener.desk import status
from listener.desk.reading import reading
from listener.log import event
from listener.log.event import Event
from listener.worker.observe import Observer
from tests.rig import ID, NOON, SOURCE, Worker, callback, completed

ALLOWED = {
    "id",
    "status",
    "trashed",
    "created",
    "updated",
    "completed",
    "due",
    "documents",
    "signers",
    "attachments",
    "reason",
    "answer",
}


@pytest.fixture
def server() -> Iterator[OneSpan]:
    """An account with one completed package."""
    with OneSpan() as found:
        completed(found)
        yield found


@contextlib.contextmanager
def api(server: OneSpan) -> Iterator[Api]:
    """Its API, with the right key."""
    found = onespan.connect(Access(server.url, server.api_key))
    yield found
    found.close()


def ask(worker: Worker, found: Api, source: str = SOURCE) -> None:
    """Ask about the package, with everything folded that there is."""
    worker.projector.catch_up()
    Observer(worker.database).ask("onespan", found, source, ID, worker.projector.views)


def observations(worker: Worker) -> list[Event]:
    """What the log holds of answers."""
    return worker.events(event.OBSERVATION)


def test_an_answer_is_an_event(tmp_path: Path, server: OneSpan) -> None:
    """It says what was asked, the status code, and of the answer what may be kept, with its size and hash."""
    with Worker(tmp_path) as worker, api(server) as found:
        ask(worker, found)
        [kept] = observations(worker)
    assert (kept.source, kept.provider, kept.method) == (SOURCE, "onespan", "GET")
    assert kept.path == f"/api/packages/{ID.replace('=', '%3D')}"
    assert kept.headers == '[[":status","200"]]'
    told = msgspec.json.decode(kept.body or b"")
    assert set(told) <= ALLOWED
    assert (told["id"], told["status"]) == (ID, "COMPLETED")
    assert [named["name"] for named in told["signers"]] == [signer.name for signer in TWO_SIGNERS]
    assert set(told["answer"]) == {"size", "sha256"}
    assert len(told["answer"]["sha256"]) == len(hashlib.sha256().hexdigest())


@pytest.mark.parametrize(("name", "word"), [("PACKAGE_DECLINE", "DECLINED"), ("PACKAGE_OPT_OUT", "OPTED_OUT")])
def test_who_refused_and_why_is_shown(tmp_path: Path, server: OneSpan, name: str, word: str) -> None:
    """With the names of signers and documents, which no callback tells; the reason is the one that the API gives."""
    package = server.packages[ID]
    ana = package.signers[0]
    package.refuse(ana, "The notice period is too long.", NOON, word)
    with Worker(tmp_path) as worker, api(server) as found:
        worker.add(callback(name, session_user=ana.id, message="too long"))
        assert shown(worker)["reason"] == "too long"
        with pytest.raises(errors.NotReady):
            ask(worker, found)
        worker.projector.catch_up()
        told = shown(worker)
    assert (told["status"], told["stage"], told["confirmed"]) == (word, "declined", "yes")
    assert told["reason"] == "The notice period is too long."
    assert {one["id"]: one["name"] for one in told["signers"]} == {one.id: one.name for one in package.signers}
    assert [one["name"] for one in told["documents"]] == [one.name for one in package.documents]


def shown(worker: Worker) -> dict[str, Any]:
    """What `signlog status` says of the package."""
    with reading(worker.database) as at:
        told = status.one(at, SOURCE, ID)
    assert told is not None
    return told


def test_what_is_private_is_never_kept(tmp_path: Path, server: OneSpan) -> None:
    """No value that the answer holds beside the allow-listed fields is anywhere in the log."""
    with Worker(tmp_path) as worker, api(server) as found:
        answered = found._wire.read("GET", f"/api/packages/{ID}")[1].decode()  # type: ignore[attr-defined]
        ask(worker, found)
        [kept] = observations(worker)
    for value in bodies.PRIVATE:
        assert value in answered
        assert value.encode() not in (kept.body or b"")
    assert b"example.test" not in (kept.body or b"")


@pytest.mark.parametrize("status", ["COMPLETED", "ARCHIVED"])
def test_what_is_complete_may_be_fetched(tmp_path: Path, server: OneSpan, status: str) -> None:
    """Both are an end with documents."""
    server.packages[ID].move(status, NOON)
    with Worker(tmp_path) as worker, api(server) as found:
        ask(worker, found)
        assert len(observations(worker)) == 1


@pytest.mark.parametrize("status", ["DRAFT", "SENT", "DECLINED", "OPTED_OUT", "EXPIRED", "INVENTED"])
def test_what_is_not_complete_may_not(tmp_path: Path, server: OneSpan, status: str) -> None:
    """The provider would serve documents all the same, without the pending signatures; the answer is kept."""
    server.packages[ID].move(status, NOON)
    with Worker(tmp_path) as worker, api(server) as found:
        with pytest.raises(errors.NotReady):
            ask(worker, found)
        assert len(observations(worker)) == 1


@pytest.mark.parametrize("code", [403, 404])
def test_that_it_is_not_there_is_an_answer(tmp_path: Path, server: OneSpan, code: int) -> None:
    """Kept as such, with nothing of the page that came with it."""
    server.faults.stand("package", faults.Status(code, body=b"<html>a page of some firewall</html>"))
    with Worker(tmp_path) as worker, api(server) as found:
        with pytest.raises(errors.NotAccessible, match=f"HTTP {code}"):
            ask(worker, found)
        [kept] = observations(worker)
    assert kept.headers == f'[[":status","{code}"]]'
    assert set(msgspec.json.decode(kept.body or b"")) == {"answer"}


@pytest.mark.parametrize(
    "fault",
    [faults.Status(500), faults.Status(401), faults.Dropped(), faults.Truncated(), faults.Page(), faults.Status(200)],
    ids=str,
)
def test_what_is_no_answer_is_no_event(tmp_path: Path, server: OneSpan, fault: faults.Fault) -> None:
    """Neither a refusal to serve nor half an answer nor a page is an observation."""
    server.faults.stand("package", fault)
    with Worker(tmp_path) as worker, api(server) as found:
        with pytest.raises(errors.ProviderError):
            ask(worker, found)
        assert observations(worker) == []


def test_an_equal_answer_is_kept_once(tmp_path: Path, server: OneSpan) -> None:
    """Asked again, with nothing said in between, the log knows it already; also over a restart, and of a 404."""
    with Worker(tmp_path) as worker, api(server) as found:
        for _ in range(3):
            ask(worker, found)
        worker.restart()
        ask(worker, found)
        assert len(observations(worker)) == 1
        server.faults.stand("package", faults.Status(404))
        for _ in range(2):
            with pytest.raises(errors.NotAccessible):
                ask(worker, found)
        assert len(observations(worker)) == 2


def test_an_equal_answer_behind_a_callback_is_kept(tmp_path: Path, server: OneSpan) -> None:
    """It is the newer word: it confirms what the callback claimed. A callback of another package changes nothing."""
    with Worker(tmp_path) as worker, api(server) as found:
        worker.add(callback("PACKAGE_COMPLETE"))
        ask(worker, found)
        worker.add(callback("PACKAGE_COMPLETE", "another"))
        ask(worker, found)
        assert len(observations(worker)) == 1
        worker.add(callback("PACKAGE_COMPLETE"))
        ask(worker, found)
        ask(worker, found)
        assert len(observations(worker)) == 2


def test_another_answer_is_kept(tmp_path: Path, server: OneSpan) -> None:
    """What changed at the provider is news without any callback; and what changes back is news again."""
    with Worker(tmp_path) as worker, api(server) as found:
        for status in ("COMPLETED", "ARCHIVED", "COMPLETED"):
            server.packages[ID].move(status, NOON)
            ask(worker, found)
        assert len(observations(worker)) == 3


def test_what_may_not_be_kept_is_no_difference(tmp_path: Path, server: OneSpan) -> None:
    """An answer that differs only in bytes that nobody keeps is equal."""
    with Worker(tmp_path) as worker, api(server) as found:
        ask(worker, found)
        server.packages[ID].name = "Renamed, and so longer"
        ask(worker, found)
        assert len(observations(worker)) == 1


def test_sources_answer_for_themselves(tmp_path: Path, server: OneSpan) -> None:
    """The same id at two sources is two packages."""
    with Worker(tmp_path) as worker, api(server) as found:
        ask(worker, found)
        ask(worker, found, "onespan_sandbox")
        ask(worker, found, "onespan_sandbox")
        assert [kept.source for kept in observations(worker)] == [SOURCE, "onespan_sandbox"]


def test_the_reason_of_a_refusal_is_kept(tmp_path: Path, server: OneSpan) -> None:
    """What the signer wrote is what an auditor asks for."""
    server.add(Package(ID)).refuse(TWO_SIGNERS[0], "Wrong address", NOON)
    with Worker(tmp_path) as worker, api(server) as found:
        with pytest.raises(errors.NotReady):
            ask(worker, found)
        assert msgspec.json.decode(observations(worker)[0].body or b"")["reason"] == "Wrong address"
