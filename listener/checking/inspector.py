"""Who has signatures checked, in a process of its own, and says what was found."""

import importlib.util
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

import msgspec

from listener import confined, errors, parent
from listener.checking.job import TOO_MUCH_MEMORY, Job
from listener.confined import Process
from projections import facts
from projections.facts import Paper, Verdict

SECONDS: Final = 120.0  # by the clock; the process itself may take half of it
INSTALL: Final = "pyhanko is not installed; pip install 'signlog[pdf]'"
_OFF: Final = "check_signatures = false"
_COMMAND: Final = parent.command("listener.checking")
_MOST_BYTES: Final = 8 * 1024**2  # of what is found: as many papers as there may be, with as many signatures
_TRIES: Final = 2  # the machine may have been short of memory
_paper = msgspec.json.Decoder(Paper).decode


class Look(NamedTuple):
    """What was found in an artifact; and, if so, why that says more of the machine than of the artifact.

    `short`: of time or memory, or whoever looked was killed. Another time the same bytes may be found sound.
    """

    verdict: Verdict
    short: str | None = None


class Inspector(NamedTuple):
    """What is checked of a source: which artifacts hold PDFs, which of them are due a signature, and whom to trust."""

    holds: frozenset[str]
    due: frozenset[str]
    roots: tuple[bytes, ...] = ()
    on: bool = True

    def looks_at(self, name: str) -> bool:
        """Whether an artifact holds PDFs of the provider's making."""
        return _is_one_of(name, self.holds)

    def look(self, name: str, document: Path, scratch: Path, stopping: threading.Event) -> Look | None:
        """What is found in a stored artifact, and what that is worth; None if it holds no PDF of the provider's making.

        Raises Unusable if we are to stop, OSError if there is no room for another process.
        """
        if not self.looks_at(name):
            return None
        due, lacking = _is_one_of(name, self.due), self._lacking()
        if lacking is not None:
            return Look(Verdict(facts.UNCHECKED, due, lacking))
        job = Job(str(document), str(scratch), self.roots)
        for _ in range(_TRIES):
            with tempfile.TemporaryFile(dir=scratch) as made:
                end = _check(job, made, stopping)
                found = tuple(_papers(made))
            if not end.odd:
                break
        hungry = any(paper.reason == TOO_MUCH_MEMORY for paper in found)
        short = end.reason if end.short else TOO_MUCH_MEMORY if hungry else None
        return Look(_verdict(found, due, end.reason), short)

    def _lacking(self) -> str | None:
        """Why nobody looks."""
        if not self.on:
            return _OFF
        return INSTALL if missing() else None


def missing() -> bool:
    """Whether signatures cannot be checked because what checks them is not installed."""
    return importlib.util.find_spec("pyhanko") is None


def _is_one_of(name: str, kinds: frozenset[str]) -> bool:
    return any(name == kind or ("*" in kind and facts.which(kind, name) is not None) for kind in kinds)


class _End(NamedTuple):
    """Why not all was found, if so; whether the machine was short; and so oddly that it is tried again at once."""

    reason: str | None
    short: bool = False
    odd: bool = False


def _check(job: Job, made: IO[bytes], stopping: threading.Event) -> _End:
    ends = time.monotonic() + SECONDS
    with confined.started(_COMMAND, job, made) as process:
        for _ in confined.waiting(process):
            if stopping.is_set():
                raise errors.Unusable("interrupted: signlog stops")
            if time.monotonic() > ends:
                return _End(f"the check took more than {SECONDS:g} s", short=True)
        return _ended(process)


def _ended(process: Process) -> _End:
    if process.returncode == 0:
        return _End(None)
    if process.returncode in (confined.HOPELESS, confined.SHORT):
        return _End(confined.said(process), short=process.returncode == confined.SHORT)
    if process.returncode == -signal.SIGXCPU:
        return _End("the check took more than its time", short=True)
    said = f"the check ended with {process.returncode}: {confined.said(process)}".rstrip(": ")
    return _End(said, short=True, odd=True)


def _papers(made: IO[bytes]) -> Iterator[Paper]:
    """What was written of them; the last line may be half of one."""
    made.seek(0)
    for line in made.read(_MOST_BYTES).splitlines(keepends=True):
        if line.endswith(b"\n"):
            yield _paper(line)


def _verdict(papers: tuple[Paper, ...], due: bool, reason: str | None) -> Verdict:
    found = {paper.found for paper in papers} | ({facts.UNREADABLE} if reason else set())
    if not found:
        return Verdict(facts.UNCHECKED, reason="it holds no PDF")
    return Verdict(min(found, key=facts.FOUND.index), due, reason, papers)
