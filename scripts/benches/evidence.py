"""How long evidence takes in a log of a million events, until the zip was checked; and how long its own check takes."""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from listener import bootstrap
from listener.cabinet import Folder
from listener.desk.reading import reading
from listener.evidence.making import Evidence, Made
from listener.evidence.verify import Check, Zip
from listener.log.database import Database
from listener.settings import Settings
from scripts.benches import biglog
from scripts.benches.door import FOLDER

ROUNDS: Final = 9
PROMISED: Final = 2.0  # seconds


def run() -> None:
    """Print seconds. The log is the one of `ask`; its tree is there, as the worker has made it."""
    settings = biglog.made(Path(FOLDER) / "ask")
    with bootstrap.existing_log(settings) as database, bootstrap.signer(settings, database) as signer:
        signer.sign()
        source, subject = _one(database, settings)
        making = Evidence(database, settings.folder, Folder(settings.documents_folder), 0, signer)
        with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
            files = (Path(folder, f"{number}.zip") for number in itertools.count())
            made = making.make(source, subject, next(files))
            _measure("evidence", lambda: making.make(source, subject, next(files)))
            _measure("verify.py on it", lambda: Check(Zip(str(made.file))))
            print(_said(made))
    print(f"promised: {PROMISED:.0f} s")


def _one(database: Database, settings: Settings) -> tuple[str, str]:
    """A package in the midst of the log that has lived a whole life, with its documents."""
    with reading(database) as at:
        query = "SELECT source, id FROM packages WHERE stage = 'completed' AND source = 'onespan' AND last_position > "
        query += f"{biglog.EVENTS // 2} ORDER BY last_position LIMIT 1"
        source, subject = at.views.exec_driver_sql(query).one()
    folder = settings.documents_folder / source / subject
    folder.mkdir(parents=True, exist_ok=True)
    for name in biglog.DOCUMENTS:
        (folder / name).write_bytes(biglog.PAPER)
    return source, subject


def _measure(title: str, work: Callable[[], object]) -> None:
    took = sorted(_seconds(work) for _ in range(ROUNDS))
    print(f"{title:<16} median {statistics.median(took):6.3f} s, slowest {took[-1]:6.3f} s")


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _said(made: Made) -> str:
    return f"{made.events} events, {made.documents} documents, {made.file.stat().st_size:,} bytes"
