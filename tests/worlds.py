"""A provider in trouble, and the folder of the workers that meet it; each provider has a world of its own."""

import contextlib
from collections.abc import Collection, Iterator, Mapping, Set
from pathlib import Path
from typing import ClassVar, Final

from listener.demo import faults, papers, pdf
from listener.demo.archive import archive
from listener.demo.evrotrust import Evrotrust
from listener.demo.imitation import Imitation
from listener.demo.onespan import OneSpan
from listener.demo.transactions import package, paper
from projections import artifacts, facts
from tests import evro, rig
from tests.certificates import authority
from tests.crash import NEVER, Crashes, ended, worker_of
from tests.endings import BEHIND, STORED, End, assert_ended
from tests.homes import InFolder
from tests.rig import Log, Worker, add
from tests.troubles import ASKED, EVROTRUST, FETCHED, MADE, ONESPAN, Case

UNSIGNED: Final = "unsigned"
FOUND: Final = "found in its place"


class World:
    """What both have in common. Each document is fetched by a call of its own, or made of another."""

    source: ClassVar[str]
    names: ClassVar[tuple[str, str]]
    calls: ClassVar[Mapping[str, Collection[str]]]  # place → which calls meet trouble there
    fetches: ClassVar[Mapping[str, str]]  # document → the call that fetches it
    papers: ClassVar[Collection[str]]  # documents whose signatures are judged

    def __init__(self, folder: Path, case: Case, server: Imitation) -> None:
        self.case = case
        self.server = server
        self.home = folder
        self.folder = folder / "log"
        self.signatures = case.trouble == UNSIGNED  # only there: a process for each document takes its time
        self.folder.mkdir(parents=True)

    def begin(self) -> None:
        """From here on it is so."""
        if self.case.fault is not None:
            for call in self.calls[self.case.place]:
                self.server.faults.stand(call, self.case.fault)
        elif self.case.trouble in ("refused", "bad TLS"):
            self.server.close()
            if self.case.trouble == "bad TLS":
                self.server.certificate = authority(self.home, "strangers").certificate(self.home)
                self.server.start()
        else:
            self.spoil()

    def spoil(self) -> None:
        """What is wrong, if it is neither an answer nor the way there."""
        raise NotImplementedError

    def mend(self, _folder: Path) -> None:
        """It is over, for a worker that lives there."""
        self.server.close()
        self.server.faults.clear()
        self.server.certificate = None
        self.server.start()

    def made(self, name: str, content: bytes) -> bool:
        """Whether that is the document as the provider made it."""
        raise NotImplementedError

    def ends(self) -> Mapping[str, End]:
        """Of each document, if it lasts."""
        raise NotImplementedError

    def ends_after(self, given_up: Set[str]) -> Mapping[str, End]:
        """Of each document, if it is over when these were given up: they stay so, with what is made of them."""
        lasting = self.ends()
        final = set() if self.is_asked_again(given_up) else given_up
        return {name: end if name in final or (final and end == BEHIND) else STORED for name, end in lasting.items()}

    def is_asked_again(self, given_up: Set[str]) -> bool:
        """Whether what was given up comes alive again, because the provider answers for the first time."""
        raise NotImplementedError

    def live(self, crashes: Crashes, last: int = NEVER) -> int:
        """The first worker's life; its exit code."""
        return crashes.work(self.folder, self.server, last, self.source, signatures=self.signatures, hurry=True)

    def live_again(self, folder: Path, over: bool) -> None:
        """The second worker's, to the end; and what must be so then. Raises AssertionError."""
        documents = str(folder / "data" / "documents")
        with worker_of(self.source, folder, documents, self.server.url, self.signatures) as worker:
            lay, fetched, told = placed(worker), self._fetched(), worker.outcomes()
            head = worker.events()[-1].position
            worker.run(lambda: ended(worker, head))
            again = {name for name, times in self._fetched().items() if times > fetched[name]}
            assert not again & lay, f"{again & lay} lay there, and was fetched again"
            for act in worker.outcomes()[len(told) :]:
                adopted = act.action == facts.STORED and act.reason == FOUND
                assert adopted == (act.name in lay), f"{act.name}: {act.reason}"
            given_up = {act.name or "" for act in told if act.action == facts.ABANDONED}
            assert_ended(worker, self.ends_after(given_up) if over else self.ends())
            self.assert_lies(worker)
            self.assert_judged(worker)

    def assert_lies(self, worker: Worker) -> None:
        """What is stored lies there as the provider made it, and nothing else does."""
        home, stored = InFolder(worker.settings.documents_folder), worker.outcomes(facts.STORED)
        for act in stored:
            assert self.made(act.name or "", home.read(act.path or "")), f"{act.name} is not what the provider made"
        assert home.paths() == sorted(act.path or "" for act in stored), f"there lies {home.paths()}"

    def assert_judged(self, worker: Worker) -> None:
        """What is not signed is known for that, and nothing else is."""
        for (_, name), state in worker.artifacts().items():
            found = state.verdict.found if state.verdict else None
            unsigned = state.stored is not None and self.case.trouble == UNSIGNED and name in self.papers
            assert (found == facts.UNSIGNED) == unsigned, f"{name}: {found}"

    def _fetched(self) -> dict[str, int]:
        """How often each document was asked for."""
        return {name: self.server.count(call) for name, call in self.fetches.items()}


class AtOneSpan(World):
    """A package with two documents; both are fetched after one question."""

    source, names = ONESPAN, rig.BOTH
    calls: ClassVar = {ASKED: ("package",), FETCHED: ("documents.zip", "evidence")}
    fetches: ClassVar = {rig.ZIP: "documents.zip", rig.EVIDENCE: "evidence"}
    papers: ClassVar = rig.BOTH

    def __init__(self, folder: Path, case: Case, server: OneSpan) -> None:
        super().__init__(folder, case, server)
        (self.package,) = rig.completed(server)
        with Log(self.folder, server.url) as log:
            add(log.database, rig.callback("PACKAGE_COMPLETE"))

    def spoil(self) -> None:
        """Somebody did not sign, and never does."""
        self.package.signatures.clear()

    def made(self, name: str, content: bytes) -> bool:
        """As they make it each time."""
        return content == (papers.documents if name == rig.ZIP else papers.evidence)(self.package)

    def ends(self) -> Mapping[str, End]:
        """The same of both; but one alarm is enough: with the same key nothing else is tried."""
        end, (first, second) = self.case.end, self.names
        return {first: end, second: BEHIND if end.state == artifacts.FAILED else end}

    def is_asked_again(self, given_up: Set[str]) -> bool:
        """For the other one, unless that was given up, too; and it is no answer if they said so before."""
        return self.case.place != FETCHED and len(given_up) < len(self.names)


class AtEvrotrust(World):
    """A transaction with one document, which is fetched, and one that is made of it."""

    source, names = EVROTRUST, evro.BOTH
    calls: ClassVar = {ASKED: ("document.status",), FETCHED: ("document.download",)}
    fetches: ClassVar = {evro.ENCRYPTED: "document.download"}
    papers: ClassVar = (evro.DOCUMENTS,)

    def __init__(self, folder: Path, case: Case, server: Evrotrust) -> None:
        super().__init__(folder, case, server)
        self.transaction = evro.signed(server)
        self.download = package(self.transaction)
        with Log(self.folder, sources={evro.SOURCE: evro.source(self.folder, server.url)}) as log:
            add(log.database, evro.callback())

    def spoil(self) -> None:
        """Of what is signed, or of how it is encrypted."""
        if self.case.trouble == UNSIGNED:
            self.transaction.content = pdf.document("contract.pdf", ["Nobody signed this."])
            self.download = package(self.transaction)
        elif self.case.trouble == "in the making":
            self.transaction.is_processing = True
        elif self.case.trouble == "another's key":
            (self.folder / evro.KEY).write_bytes(evro.pair("theirs").private)
        else:
            self.download = cut_inside(self.download)
            self.server.faults.stand("document.download", faults.Status(200, body=self.download))

    def mend(self, folder: Path) -> None:
        """Ours is the key that it was encrypted for."""
        super().mend(folder)
        self.transaction.is_processing = False
        (folder / evro.KEY).write_bytes(evro.pair().private)

    def made(self, name: str, content: bytes) -> bool:
        """The first one as it was handed out, the other one as it was signed."""
        if name == evro.ENCRYPTED:
            return content == self.download
        return evro.entries(content) == {"contract.pdf": paper(self.transaction)}

    def ends(self) -> Mapping[str, End]:
        """Nothing can be made of what is not there."""
        end = self.case.end
        if self.case.place == MADE:
            return {evro.ENCRYPTED: STORED, evro.DOCUMENTS: end}
        return {evro.ENCRYPTED: end, evro.DOCUMENTS: STORED if end == STORED else BEHIND}

    def is_asked_again(self, _given_up: Set[str]) -> bool:
        """Who makes one document of another asks nobody."""
        return False


def cut_inside(download: bytes) -> bytes:
    """A whole zip in which half of what is encrypted is missing."""
    entries = evro.entries(download)
    return archive({name: text[: len(text) // 2] if name.endswith(".enc") else text for name, text in entries.items()})


@contextlib.contextmanager
def world(folder: Path, case: Case) -> Iterator[World]:
    """One in which nothing is wrong yet."""
    if case.provider == ONESPAN:
        with OneSpan() as onespan:
            yield AtOneSpan(folder, case, onespan)
    else:
        with evro.account() as evrotrust:
            yield AtEvrotrust(folder, case, evrotrust)


def placed(worker: Worker) -> set[str]:
    """Which documents lie in their place."""
    return {Path(path).name for path in InFolder(worker.settings.documents_folder).paths() if ".incoming" not in path}
