"""A folder with a configuration, a log and views, and the real program run on it."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from listener import acts, bootstrap, declaration, fingerprint, settings
from listener.acts import Act, Artifact
from listener.desk.reading import Reading, reading
from listener.log import event
from listener.log.append import append
from listener.log.database import Database
from listener.log.event import Draft
from listener.quarantine import Quarantine, Refused
from listener.shelf import shelf
from listener.worker.projector import Projector
from projections import facts
from tests import forks, postgres

ID = "LWsUTvGgE4WpOvaQPT16idnxNj8="
DASHED = "-fSCSHWC_bokW1tQhlPlutb2WOs="
ONESPAN = '[sources.onespan]\ncallback_keys = ["a-callback-key"]\n'
PATIENCE = 30.0
SIGNLOG = str(Path(sys.executable).with_name("signlog"))


class Done(NamedTuple):
    """A command that has ended: its exit status and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON value on standard output."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON Lines on standard output."""
        return [json.loads(line) for line in self.out.splitlines()]


class Site:
    """A working directory as an operator has one: `signlog.toml`, and `signlog-data` once there is a log."""

    def __init__(self, folder: Path, config: str = ONESPAN) -> None:
        self.folder = folder
        self.data = folder / "signlog-data"
        self.configure(config)

    def configure(self, config: str) -> None:
        """Write the configuration; a port of 0 is any that is free."""
        url = postgres.url(self.folder)
        where = "" if url is None else f'database_url = "{url}"\n'
        (self.folder / "signlog.toml").write_text(f"{where}{config}\n[door]\nport = 0\n", encoding="utf-8")

    @property
    def settings(self) -> settings.Settings:
        """The configuration as the program reads it, but for its working directory."""
        return settings.load(self.folder / "signlog.toml", {"SIGNLOG_DATA": str(self.data)})

    def append(self, *drafts: Draft) -> list[int]:
        """Append events behind a declaration of what is in force; their positions."""
        with bootstrap.log(self.settings) as database:
            declaration.declare(database, self.settings)
            with database.writing() as connection:
                return [appended.position for appended in append(connection, drafts)]

    def fold(self) -> None:
        """Do what the worker does with events, once."""
        with bootstrap.log(self.settings) as database:
            projector = Projector(database, shelf(database), fingerprint.fingerprint())
            projector.catch_up()
            projector.beat()
            projector.close()

    def filled(self, *drafts: Draft) -> "Site":
        """Append and fold."""
        self.append(*drafts)
        self.fold()
        return self

    def refuse(self, body: bytes = b"{}", **fields: Any) -> int:
        """Put a callback into quarantine; its number."""
        self.append()
        known = {"source": "onespan", "status": 401, "reason": "wrong callback key", "peer": "192.0.2.7"}
        known |= {"client": "192.0.2.7", "genuine": True, "shown": "", "path": "/callbacks/onespan"}
        refused = Refused(**{**known, "headers": "[]", "body": body, "whole": True, **fields})
        quarantine = Quarantine(self.data)
        try:
            return quarantine.keep(refused)
        finally:
            quarantine.close()

    @contextlib.contextmanager
    def opened(self) -> Iterator[Database]:
        """The log, as commands open it."""
        with bootstrap.existing_log(self.settings) as database:
            yield database

    @contextlib.contextmanager
    def looked_at(self) -> Iterator[Reading]:
        """Log and views, as the desk reads them."""
        with self.opened() as database, reading(database) as at:
            yield at

    def run(self, *arguments: str, env: Mapping[str, str] | None = None, given: bytes = b"") -> Done:
        """Run the program here, in a process of its own, with so much `given` on standard input."""
        return Done(*forks.run(arguments, self.folder, {**environment(), **(env or {})}, given))

    def start(self, *arguments: str, **options: Any) -> "subprocess.Popen[bytes]":
        """Start the program here as a shell would."""
        piped = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([SIGNLOG, *arguments], cwd=self.folder, **{"env": environment(), **piped, **options})


def environment() -> dict[str, str]:
    """Ours, without settings of signlog and without the size of a terminal."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("SIGNLOG_", "COLUMNS"))}


def callback(
    name: str, subject: str = ID, at: str | None = "2026-11-20T09:00:00.000Z", source: str = "onespan", **fields: Any
) -> Draft:
    """A callback of OneSpan as the door appends it."""
    body = json.dumps({"name": name, "packageId": subject, "createdDate": at, **fields}, ensure_ascii=False).encode()
    headers = '[["content-type","application/json"]]'
    return Draft(
        event.CALLBACK, source, "onespan", body, headers, "POST", f"/callbacks/{source}", "192.0.2.1", "192.0.2.1"
    )


def observation(body: Mapping[str, Any], subject: str = ID, source: str = "onespan") -> Draft:
    """An answer of OneSpan's API as the worker appends it."""
    content = json.dumps(body).encode()
    return Draft(
        event.OBSERVATION, source, "onespan", content, '[[":status","200"]]', "GET", f"/api/packages/{subject}"
    )


def outcome(name: str, act: Act, subject: str = ID, source: str = "onespan") -> Draft:
    """What the worker appends about a document."""
    return acts.outcome(Artifact(source, subject, name), "onespan", act)


def stored(name: str = "evidence.pdf", subject: str = ID, source: str = "onespan") -> Draft:
    """A document that was fetched."""
    path = f"{source}/{subject}/{name}"
    return outcome(name, Act(facts.STORED, attempt=1, sha256="ab" * 32, size=1234, path=path), subject, source)


def failed(name: str = "evidence.pdf", subject: str = ID, **fields: Any) -> Draft:
    """A document that was not."""
    return outcome(name, Act(facts.FAILED, **{"attempt": 1, "reason": "HTTP 500", "next_at": 0, **fields}), subject)


def abandoned(name: str = "evidence.pdf", subject: str = ID) -> Draft:
    """A document that was given up."""
    return outcome(name, Act(facts.ABANDONED, attempt=8, reason="HTTP 404, after 8 tries"), subject)


def until(condition: Callable[[], Any], said: Callable[[], str] = lambda: "") -> Any:
    """Wait for something that happens in another process."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain {said()}"
        time.sleep(0.02)
    return found


def shapes(values: Sequence[Mapping[str, Any]]) -> set[frozenset[str]]:
    """The sets of keys that objects have."""
    return {frozenset(value) for value in values}
