"""How fast the log is verified, beside a bare scan with one SHA-256 a row; what the tree and a proof cost."""

import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from listener.audit.verify import verify
from listener.log.append import append
from listener.log.event import CALLBACK, Draft
from listener.log.migrate import migrate
from listener.log.sqlite import Sqlite
from listener.log.tree import Tree
from scripts.benches.door import FOLDER
from scripts.benches.load import KEY, request

EVENTS = 200_000
ROUNDS = 5
PROOFS = 1000
_AT_ONCE = 64  # as the door commits under load


def run() -> None:
    """Print the figures, in CPU seconds: rounds in turn, the middle one of each."""
    Path(FOLDER).mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        database, tree = _filled(Path(folder)), Tree(Path(folder))
        print(f"tree, worked out        {EVENTS / _seconds(lambda: tree.catch_up(database)):>9,.0f} events/s")
        print(f"  its file              {tree.path.stat().st_size / EVENTS:>9.0f} bytes an event")
        print(f"  a proof of inclusion  {_proof_seconds(tree) * 1e6:>9.0f} µs of {EVENTS:,} events")
        rounds = [
            (_seconds(lambda: _scan(database.path)), _seconds(lambda: verify(database, tree))) for _ in range(ROUNDS)
        ]
        print(f"bare scan               {EVENTS / statistics.median(scan for scan, _ in rounds):>9,.0f} events/s")
        print(f"verify                  {EVENTS / statistics.median(whole for _, whole in rounds):>9,.0f} events/s")
        ratio = statistics.median(scan / whole for scan, whole in rounds)
        print(f"verify / bare scan      {ratio:>9.2f}  (promised: 0.25)")
        tree.close()
        database.close()


def _filled(folder: Path) -> Sqlite:
    """A log of EVENTS callbacks of OneSpan."""
    database = Sqlite(folder)
    migrate(database)
    draft = _callback()
    for start in range(0, EVENTS, _AT_ONCE):
        with database.writing() as connection:
            append(connection, [draft] * min(_AT_ONCE, EVENTS - start))
        if start % (_AT_ONCE * 100) == 0:
            database.checkpoint()
    database.checkpoint(truncate=True)
    return database


def _callback() -> Draft:
    head, _, body = request("/callbacks/onespan").partition(b"\r\n\r\n")
    fields = [line.split(": ", 1) for line in head.decode().replace(KEY, "redacted").split("\r\n")[1:]]
    headers = str(fields).replace("'", '"')
    return Draft(CALLBACK, "onespan", "onespan", body, headers, "POST", "/callbacks/onespan", "127.0.0.1", "127.0.0.1")


def _seconds(work: Callable[[], Any]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _scan(path: Path) -> None:
    """Read every row with the driver alone, and hash its body."""
    import pysqlite3

    connection = pysqlite3.connect(path)
    for row in connection.execute("SELECT * FROM events ORDER BY position"):
        hashlib.sha256(row[13]).digest()
    connection.close()


def _proof_seconds(tree: Tree) -> float:
    with tree.reading() as stored:
        positions = range(1, EVENTS + 1, EVENTS // PROOFS)
        return _seconds(lambda: [stored.inclusion(position, EVENTS) for position in positions]) / len(positions)
