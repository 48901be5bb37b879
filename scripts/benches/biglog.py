"""A log of a million events with its views, made once and kept: what questions are measured on."""

import hashlib
import itertools
import random
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec

from listener import acts, bootstrap, declaration, fingerprint
from listener.acts import Act, Artifact
from listener.demo import play
from listener.demo.steps import Step
from listener.log import event, reader
from listener.log.database import Database, marks
from listener.log.event import Draft, seal
from listener.settings import Settings, Source
from listener.shelf import shelf
from listener.worker.projector import Projector
from projections import facts

EVENTS: Final = 1_000_000
SOURCES: Final = {"onespan": Source(provider="onespan"), "evrotrust": Source(provider="evrotrust")}
RARE: Final = "onespan_sandbox"  # a source with a few events in the whole log
PAPER: Final = b"%PDF-1.7\n" + b"signed " * 30_000 + b"\n%%EOF\n"  # each of its documents; none is on disk
DOCUMENTS: Final = ("documents.zip", "evidence.pdf")
_SHA256: Final = hashlib.sha256(PAPER).hexdigest()
_AT_ONCE: Final = 200  # signings of ten subjects that go on at the same time
_BETWEEN: Final = 31_000_000  # microseconds from one event to the next: a million take a year
_ROWS: Final = 2000


def settings(folder: Path) -> Settings:
    """Both providers, and a source that is hardly used."""
    return Settings(data=str(folder), disk_reserve=0, sources={**SOURCES, RARE: Source(provider="onespan")})


def made(folder: Path, events: int = EVENTS) -> Settings:
    """The log in `folder`; made, and folded, unless it is there."""
    found = settings(folder)
    with bootstrap.log(found) as database:
        declaration.declare(database, found)
        with database.reading() as connection:
            head = reader.head(connection)
        if head < events:
            _fill(database, events - head)
        _fold(database, folder)
    return found


def _fill(database: Database, count: int) -> None:
    drafts = itertools.islice(_drafts(), count)
    while page := list(itertools.islice(drafts, _ROWS)):
        with database.writing() as connection:
            head, log_id = reader.head(connection), reader.log_id(connection)
            began = int(play.START.timestamp()) * 1_000_000
            sealed = [seal(draft, log_id, at, began + at * _BETWEEN) for at, draft in enumerate(page, head + 1)]
            connection.exec_driver_sql(f"INSERT INTO events VALUES {marks(connection, len(sealed[0]))}", sealed)
        database.checkpoint()


def _fold(database: Database, folder: Path) -> None:
    projector, started, folded = Projector(database, shelf(database), fingerprint.fingerprint()), time.monotonic(), 0
    while taken := projector.fold_some():
        folded += taken
        if folded % 50_000 < taken:
            print(f"folded {folded}, {folded / (time.monotonic() - started):.0f}/s", file=sys.stderr)
    projector.beat()
    projector.close()


def _drafts() -> Iterator[Draft]:
    """Signings of ten subjects each, many at the same time; what the worker did; now and then something odd."""
    dice = random.Random(1)  # noqa: S311  to be repeated, not to be secret
    for first in itertools.count(0, _AT_ONCE):
        scripts = [_lived(seed) for seed in range(first, first + _AT_ONCE)]
        for step in itertools.chain.from_iterable(itertools.zip_longest(*scripts)):
            if step is not None:
                yield step
            if dice.random() < 0.0001:
                yield _odd(dice)


def _lived(seed: int) -> list[Draft]:
    """What the log holds of a script: its callbacks, and behind each completion an answer and two outcomes."""
    start = play.START + timedelta(microseconds=_BETWEEN) * 60 * seed
    return [draft for step in play.script(seed, start) for draft in _with_what_follows(step)]


def _with_what_follows(step: Step) -> Iterator[Draft]:
    source, path = step.provider, f"/callbacks/{step.provider}{step.path}"
    address = "192.0.2.1"
    headers = '[["content-type","application/json"],["authorization","redacted"]]'
    yield Draft(event.CALLBACK, source, source, step.body, headers, "POST", path, address, address, "key:0123456789ab")
    if b'"PACKAGE_COMPLETE"' not in step.body:
        return
    subject = msgspec.json.decode(step.body)["packageId"]
    answer = msgspec.json.encode({"status": "COMPLETED", "id": subject, "signers": [], "documents": []})
    yield Draft(event.OBSERVATION, source, source, answer, '[[":status","200"]]', "GET", f"/api/packages/{subject}")
    for name in DOCUMENTS:
        path = f"{source}/{subject}/{name}"
        stored = Act(facts.STORED, attempt=1, sha256=_SHA256, size=len(PAPER), path=path)
        yield acts.outcome(Artifact(source, subject, name), source, stored)


def _odd(dice: random.Random) -> Draft:
    """Something rare: nobody can read it, it comes to a hardly used source, or somebody decided it."""
    body = b'{"name":"PACKAGE_ATTACHMENT","packageId":"sandbox","message":"needle in a haystack"}'
    return dice.choice(
        (
            Draft(event.CALLBACK, "onespan", "onespan", b"\xff unreadable", "[]", "POST", "/callbacks/onespan"),
            Draft(event.CALLBACK, RARE, "onespan", body, "[]", "POST", f"/callbacks/{RARE}"),
            Draft(event.IMPORT, RARE, "onespan", body, "[]", "POST", f"/callbacks/{RARE}"),
            acts.decision(Act(acts.ACCEPTED, source=RARE, reason="seen"), "somebody", acts.QUARANTINE_PATH),
        )
    )
