"""What tests of several files share: the engines that a log may lie in, and where documents lie."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import homes, postgres
from tests.postgres import Server
from tests.s3 import Wire


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A server, started for the first test that wants one."""
    with postgres.server() as found:
        yield found


@pytest.fixture(params=["sqlite", "postgres"])
def each_engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder whose log is a file, and one whose log lies in a server: the same must be so of both."""
    if request.param == "sqlite":
        yield tmp_path
        return
    found = request.getfixturevalue("postgres_server")
    postgres.mark(tmp_path, found)
    yield tmp_path
    postgres.unmark(tmp_path, found)


@pytest.fixture
def on_postgres(tmp_path: Path, postgres_server: Server) -> Iterator[Path]:
    """A folder whose log lies in a server."""
    postgres.mark(tmp_path, postgres_server)
    yield tmp_path
    postgres.unmark(tmp_path, postgres_server)


@pytest.fixture
def empty_database(tmp_path: Path, postgres_server: Server) -> Iterator[str]:
    """The address of a database in which nothing is."""
    there = tmp_path / "there"
    there.mkdir()
    postgres.mark(there, postgres_server)
    found = postgres.url(there)
    assert found is not None
    yield found
    postgres.unmark(there, postgres_server)


@pytest.fixture(scope="module")
def s3_url() -> Iterator[str]:
    """A server of objects for all tests of a file; its environment is ours meanwhile."""
    with homes.served() as url:
        yield url


@pytest.fixture
def wire(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """The way to it."""
    with Wire(s3_url) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", wire.url)
        yield wire
