"""Where a log lies, as one process of ours tells another: the path of a file, or the URL of a server."""

from pathlib import Path

from sqlalchemy import Engine

from listener.log.postgres import SCHEME, postgres_engine
from listener.log.sqlite import read_only


def reading(address: str) -> Engine:
    """The log's database for a process that only looks."""
    return postgres_engine(address) if address.startswith(SCHEME) else read_only(Path(address))
