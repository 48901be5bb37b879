"""A worker put together as `signlog serve` does it, on a folder of its own, and a hand on every part of it."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import msgspec
from sqlalchemy import select

from listener import acts, bookkeeping, bootstrap, bootstrap_working, declaration
from listener.acts import Act, Artifact, InForce, SourceInForce
from listener.bookkeeping import FIRST
from listener.demo import onespan, play
from listener.demo.onespan import OneSpan
from listener.demo.packages import Package
from listener.log import event, reader
from listener.log.append import append
from listener.log.database import Database
from listener.log.event import Draft, Event
from listener.log.postgres import SCHEME, Postgres
from listener.log.sqlite import Sqlite
from listener.projection import PROJECTIONS
from listener.quarantine import Quarantine
from listener.settings import Settings, Source
from listener.shelf import shelf
from listener.views import Views
from listener.views_file import FileShelf, FileViews
from listener.worker import generations
from listener.worker.downloads import Downloads
from listener.worker.projector import Projector
from projections import artifacts, facts
from tests import postgres

PATIENCE = 60.0  # seconds until a test gives up, not until it goes on
SOURCE = "onespan"
ID = "LWsUTvGgE4WpOvaQPT16idnxNj8="
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ZIP, EVIDENCE = "documents.zip", "evidence.pdf"
BOTH = (ZIP, EVIDENCE)


def settings(folder: Path, url: str | None = None, **changes: Any) -> Settings:
    """One OneSpan source, whose API is asked if there is a `url`."""
    access = {"api_url": url, "api_key": changes.pop("api_key", "demonstration")} if url else {}
    source = Source(provider="onespan", callback_keys=("callback-key",), **access)
    sources = changes.pop("sources", {SOURCE: source})
    known = {"data": str(folder / "data"), "disk_reserve": 0, "database_url": postgres.url(folder), "sources": sources}
    known["check_signatures"] = False  # a process for each document takes its time: what is about signatures says so
    return Settings(**{**known, **changes})


def callback(name: str, package: str = ID, source: str = SOURCE, **fields: Any) -> Draft:
    """What the door appends for a callback of OneSpan."""
    told = {"session_user": "8QS1yr3q8DEZ", "created": NOON, **fields}
    return body(onespan.callback(name, package, **told), source)


def body(content: bytes, source: str = SOURCE) -> Draft:
    """A callback that says anything at all."""
    return Draft(event.CALLBACK, source, "onespan", content, method="POST", path=f"/callbacks/{source}")


def add(database: Database, *drafts: Draft) -> list[int]:
    """Append these in one transaction; their positions."""
    with database.writing() as connection:
        return [appended.position for appended in append(connection, drafts)]


def until(condition: Callable[[], object], pause: float = 0.005, patience: float = PATIENCE) -> None:
    """Wait for something that another thread or process does."""
    give_up_at = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < give_up_at, "waited in vain"
        time.sleep(pause)


def tables(views: Views) -> list[list[str]]:
    """All rows of all projections, and how far they are: what two equal generations share."""
    with views.reading() as connection:
        faults = bookkeeping.faults.c
        queries = [select(table) for table in (*(known.TABLE for known in PROJECTIONS), bookkeeping.parked)]
        queries += [
            select(faults.position, faults.source, faults.subject, faults.error)
        ]  # not how often they were tried
        # As tuples: a row of SQLAlchemy shows no more of a long value than its ends.
        whole = [[tuple(row) for row in connection.execute(query)] for query in queries]
        return [sorted(map(repr, rows)) for rows in (*whole, [tuple(bookkeeping.checkpoint(connection)[:3])])]


def opened(address: str) -> Database:
    """A log, as another process finds it."""
    return Postgres(address) if address.startswith(SCHEME) else Sqlite(Path(address).parent)


def in_file(views: Views) -> FileViews:
    """These views, for who meddles with their file."""
    assert isinstance(views, FileViews)
    return views


def fresh(database: Database, folder: Path, code: str) -> Projector:
    """A projector with views in another folder than the log's, which begin with nothing."""
    folder.mkdir(exist_ok=True)
    with database.reading() as connection:
        views = FileShelf(folder).generation(generations.live(connection) or 1)
        if not views.exists():
            views.create(reader.log_id(connection), FIRST)
    return Projector(database, FileShelf(folder), code)


class Log:
    """A log in a folder, with what is in force declared, as after the start of `signlog serve`."""

    def __init__(self, folder: Path, url: str | None = None, **changes: Any) -> None:
        self.folder = folder
        self.settings = settings(folder, url, **changes)
        self.stack = ExitStack()
        self.database = self.stack.enter_context(bootstrap.log(self.settings))
        declaration.declare(self.database, self.settings)
        self.shelf = shelf(self.database)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def events(self, kind: str | None = None) -> list[Event]:
        """What was appended so far."""
        return [found for found in reader.every(self.database) if kind in (None, found.kind)]

    def outcomes(self, action: str | None = None) -> list[Act]:
        """What we did about artifacts, in order."""
        told = [acts.read(found) for found in self.events(event.OUTCOME)]
        return [act for act in told if action in (None, act.action)]

    def stored(self) -> list[tuple[str, str]]:
        """Subject and name of each `stored` that the log holds, sorted; a key that is there twice was stored twice."""
        return sorted((act.subject or "", act.name or "") for act in self.outcomes(facts.STORED))

    def quarantine(self) -> Quarantine:
        """What was refused: nothing, here."""
        found = Quarantine(self.settings.folder)
        self.stack.callback(found.close)
        return found


class Worker(Log):
    """A log, and the worker's parts, driven by hand: `turn` by `turn`, or until something is so."""

    projector: Projector
    downloads: Downloads

    def __init__(self, folder: Path, url: str | None = None, **changes: Any) -> None:
        super().__init__(folder, url, **changes)
        self.running = ExitStack()
        self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        super().__exit__()

    def start(self) -> None:
        """As a worker starts."""
        self.parts = self.running.enter_context(bootstrap_working.worker(self.settings, self.database))
        until(self.parts.lease.take)
        self.downloads, self.projector = self.parts.downloads, bootstrap_working.projector(self.settings, self.parts)

    def stop(self) -> None:
        """As a worker ends."""
        if self.projector is not None:
            self.downloads.close()
            self.projector.close()
            self.running.close()

    def restart(self) -> None:
        """A new worker on the same folder."""
        self.stop()
        self.start()

    def add(self, *drafts: Draft) -> list[int]:
        """Append, and fold what there is."""
        positions = add(self.database, *drafts)
        self.projector.catch_up()
        return positions

    def turn(self) -> bool:
        """Fold, and start what is due."""
        self.projector.catch_up()
        self.downloads.tick(self.projector.views)
        return True

    def run(self, condition: Callable[[], object]) -> None:
        """Take turns until it is so, then let what is under way end; what is due after that is not begun."""
        until(lambda: self.turn() and condition(), pause=0.01)
        until(self.idle)
        self.projector.catch_up()

    def rest(self) -> None:
        """Until nothing is due and nothing under way."""
        until(lambda: self.turn() and self.idle() and self.projector.catch_up() == 0, pause=0.01)

    def idle(self) -> bool:
        """Whether nothing is under way."""
        return all(future.done() for future in self.downloads._busy.values())

    def artifacts(self) -> Mapping[tuple[str, str], artifacts.State]:
        """What the views say of each document, by subject and name."""
        with self.projector.views.reading() as connection:
            rows = connection.execute(artifacts.TABLE.select()).all()
        return {(row.subject, row.name): artifacts.load(row) for row in rows}

    def states(self) -> dict[str, int]:
        """How many documents are in each state."""
        found = [state.state for state in self.artifacts().values()]
        return {word: found.count(word) for word in sorted(set(found))}


def completed(server: OneSpan, *ids: str) -> list[Package]:
    """Packages at the provider that are signed by all."""
    packages = [Package(known) for known in ids or (ID,)]
    for package in packages:
        package.finish(NOON)
        server.add(package)
    return packages


def artifact(subject: str = ID, name: str = ZIP) -> Artifact:
    """One document of the source that these tests have."""
    return Artifact(SOURCE, subject, name)


def history() -> list[Draft]:
    """What happens to a log: signings at both providers, answers, acts and decisions of ours, and what nobody can read.

    One subject is told of more often than a state may grow, if `course.MOST_STEPS` is small: a fault, and what
    comes after it.
    """
    told = [
        Draft(event.CALLBACK, step.provider, step.provider, step.body, path=f"/callbacks/{step.provider}{step.path}")
        for step in play.script(1)
    ]
    unreadable = [body(content) for content in (b"", b"\xff\x00", b"[]", b"{}", b'{"name":"PACKAGE_CREATE"')]
    return [
        *told[:20],
        *unreadable,
        *told[20:],
        *(callback("PACKAGE_ACTIVATE", "flooded", created=NOON.replace(minute=minute)) for minute in range(10)),
        callback("PACKAGE_COMPLETE"),
        failed(reason="HTTP 500", next_at=1),
        failed(attempt=2, reason="HTTP 401"),
        acts.decision(Act(facts.RETRY, artifacts=(artifact(), artifact("flooded"))), "somebody", acts.RETRY_PATH),
        acts.outcome(artifact(), "onespan", Act(facts.STORED, attempt=1, sha256="00", size=1, path="x")),
        Draft(event.OUTCOME, SOURCE, "onespan", b"unreadable", path=acts.path(artifact())),
        in_force(EVIDENCE),
        callback("PACKAGE_COMPLETE", "later"),
        callback("PACKAGE_COMPLETE", "flooded"),
        callback("PACKAGE_COMPLETE", created=None),
    ]


def in_force(*wanted: str, code: str = "0") -> Draft:
    """A declaration of which documents are wanted of the source, and of the fingerprint of the code."""
    return acts.in_force(InForce(acts.IN_FORCE, "0", code, "0", {SOURCE: SourceInForce("onespan", wanted)}))


def failed(name: str = ZIP, **fields: Any) -> Draft:
    """An outcome, as the log keeps it."""
    return acts.outcome(artifact(name=name), "onespan", Act(facts.FAILED, **{"attempt": 1, **fields}))


def holds(folder: Path, words: Iterable[str]) -> list[str]:
    """Which of the words stand in any file below a folder, whatever the file is; or in a row of the server."""
    content = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    url = postgres.url(folder.parent)
    content += b"" if url is None else postgres.content(url)
    return [word for word in words if word.encode() in content or msgspec.json.encode(word)[1:-1] in content]


def paths(folder: Path) -> Sequence[str]:
    """All files below a folder, sorted."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
