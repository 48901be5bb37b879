"""A provider whose certificate is wrong is not asked: it may be somebody else, and would be shown our key."""

import socket
from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest

from listener import wire
from listener.demo.onespan import OneSpan
from listener.worker import schedule
from projections import facts
from tests.certificates import DAY, Authority, authority
from tests.rig import Worker, callback, completed

BAD = ["nobody vouches for it", "of another host", "over", "not yet good", "none"]


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """The authority that this machine trusts, instead of those of the world; and time passes at once."""
    found = authority(tmp_path)
    monkeypatch.setattr(certifi, "where", lambda: str(found.file))
    monkeypatch.setattr(schedule, "SECONDS", (0,) * len(schedule.SECONDS))
    monkeypatch.setattr(schedule, "HOURLY", 0)
    return found


@pytest.fixture
def server() -> Iterator[OneSpan]:
    """An account with a package that is complete; it starts when it has its certificate."""
    found = OneSpan()
    completed(found)
    yield found
    found.close()


def bad(what: str, trusted: Authority, folder: Path) -> Path | None:
    """A certificate that is wrong in one respect."""
    match what:
        case "nobody vouches for it":
            return authority(folder, "strangers").certificate(folder)
        case "of another host":
            return trusted.certificate(folder, "192.0.2.1")
        case "over":
            return trusted.certificate(folder, first=-3 * DAY, last=-DAY)
        case "not yet good":
            return trusted.certificate(folder, first=DAY, last=3 * DAY)
    return None


@pytest.mark.parametrize("what", BAD)
def test_a_bad_certificate_is_no_answer(tmp_path: Path, trusted: Authority, server: OneSpan, what: str) -> None:
    """Nothing is sent, each try is told, and when it is mended everything is stored, once."""
    server.certificate = bad(what, trusted, tmp_path)
    url = server.start().url.replace("http://", "https://")
    with Worker(tmp_path, url) as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: len(worker.outcomes(facts.FAILED)) >= 4)
        reasons = {act.reason or "" for act in worker.outcomes(facts.FAILED)}
        assert all(reason.startswith("no whole answer: ConnectError: ") and "SSL" in reason for reason in reasons)
        assert not [asked.path for asked in server.requests]
        server.close()
        server.certificate = trusted.certificate(tmp_path)
        server.start()
        worker.run(lambda: len(worker.stored()) == 2)
        assert {asked.headers["authorization"] for asked in server.requests} == {"Basic demonstration"}


def test_a_good_certificate_is_all_it_takes(tmp_path: Path, trusted: Authority, server: OneSpan) -> None:
    """Else the test above would prove nothing."""
    server.certificate = trusted.certificate(tmp_path)
    with Worker(tmp_path, server.start().url) as worker:
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: len(worker.stored()) == 2)
        assert worker.outcomes(facts.FAILED) == []


def test_who_accepts_and_says_nothing_is_left(
    tmp_path: Path, trusted: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of the handshake, too."""
    monkeypatch.setattr(wire, "SECONDS", 0.3)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        Worker(tmp_path, f"https://127.0.0.1:{silent.getsockname()[1]}") as worker,
    ):
        worker.add(callback("PACKAGE_COMPLETE"))
        worker.run(lambda: worker.outcomes(facts.FAILED))
        assert "ConnectTimeout" in (worker.outcomes(facts.FAILED)[0].reason or "")
