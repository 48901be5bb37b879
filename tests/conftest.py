"""What tests of several files share: the engines that a log may lie in."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres
from tests.postgres import Server


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
