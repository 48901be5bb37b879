"""What can go wrong at a provider × a worker killed at any step: `scripts/matrix [COUNT [SEED]]`.

Each trouble stands while a first worker lives, which is killed at one of its steps; the second one finds it over, or
lasting. Either way each document ends stored, exactly once, or with a clear and final reason.
"""

import functools
import itertools
import json
import random
import re
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from listener.demo import faults
from listener.demo.onespan import OneSpan
from projections import artifacts, facts
from tests.certificates import authority
from tests.crash import NEVER, Crashes, ended, hurried
from tests.homes import InFolder
from tests.rig import BOTH, ID, Worker, completed
from tests.test_worker_crashes import assert_lies, fetched, placed, wanted

CALLS: Final = {"asked": ("package",), "fetched": ("documents.zip", "evidence")}
_EVERYWHERE: Final = "on the way"


class Trouble(NamedTuple):
    """Something that is wrong with every answer, or with the way there; what is said of it if that lasts.

    Without a `reason` documents are stored in spite of it.
    """

    fault: faults.Fault | None
    reason: str | None


TROUBLES: Final[Mapping[str, Trouble]] = {
    "refused": Trouble(None, "ConnectError"),
    "bad TLS": Trouble(None, "ConnectError: .*SSL"),
    "unsigned": Trouble(None, None),
    "slow": Trouble(faults.Slow(0.02), None),
    "cut": Trouble(faults.Truncated(), "no whole answer|bytes came"),
    "too short": Trouble(faults.WrongLength(-7), "without its end|something that is no"),
    "too long": Trouble(faults.WrongLength(7), "no whole answer|bytes came"),
    "HTML": Trouble(faults.Page(), "something that is no|not a (zip|pdf)"),
    "401": Trouble(faults.Status(401), "HTTP 401: the provider refused the API key"),
    "403": Trouble(faults.Status(403), "HTTP 403"),
    "404": Trouble(faults.Status(404), "HTTP 404"),
    "429": Trouble(faults.Status(429), "HTTP 429"),
    "429 with a time": Trouble(faults.Status(429, {"Retry-After": "1"}), "HTTP 429"),
    "500": Trouble(faults.Status(500), "HTTP 500"),
    "503": Trouble(faults.Status(503), "HTTP 503"),
}


class Case(NamedTuple):
    """A trouble, which request meets it, and whether the second worker finds it over."""

    trouble: str
    place: str
    over: bool


CASES: Final = [
    Case(name, place, over)
    for name, trouble in TROUBLES.items()
    for place in (CALLS if trouble.fault else (_EVERYWHERE,))
    for over in (True, False)
]


class World:
    """A provider in trouble, and the folder of the workers that meet it."""

    def __init__(self, folder: Path, case: Case, server: OneSpan) -> None:
        self.folder = folder
        self.case = case
        self.server = server
        self.signatures = case.trouble == "unsigned"  # only there: a process for each document takes its time
        completed(server)
        self.log = wanted(folder / "log", server)

    def begin(self) -> None:
        """From here on it is so."""
        fault = TROUBLES[self.case.trouble].fault
        if fault is not None:
            for call in CALLS[self.case.place]:
                self.server.faults.stand(call, fault)
        elif self.case.trouble == "unsigned":
            self.server.packages[ID].signatures.clear()
        else:
            self.server.close()
            if self.case.trouble == "bad TLS":
                self.server.certificate = authority(self.folder, "strangers").certificate(self.folder)
                self.server.start()

    def end(self) -> None:
        """It is over. Who did not sign does not sign any more."""
        self.server.close()
        self.server.faults.clear()
        self.server.certificate = None
        self.server.start()

    def live(self, crashes: Crashes, last: int = NEVER) -> int:
        """The first worker's life; its exit code."""
        return crashes.work(self.log, self.server, last, signatures=self.signatures, hurry=True)

    def live_again(self) -> None:
        """The second worker's, to the end; and what must be so then. Raises AssertionError."""
        with Worker(self.log, self.server.url, check_signatures=self.signatures) as worker:
            home = InFolder(worker.settings.documents_folder)
            lay, before = placed(home), fetched(self.server)
            worker.run(lambda: ended(worker))
            again = {name for name, times in fetched(self.server).items() if times > before[name]}
            assert not again & lay, f"{again & lay} lay there, and was fetched again"
            assert_lies(worker, self.server, home)
            assert_ended(worker, self.case)


def assert_ended(worker: Worker, case: Case) -> None:
    """Each document is stored exactly once, or a person is told why it is not."""
    stored, tries = worker.stored(), list(_tries(worker))
    assert len(stored) == len(set(stored)), f"stored twice: {stored}"
    assert len(tries) == len(set(tries)), f"told twice: {tries}"
    known = {name: state for (_, name), state in worker.artifacts().items()}
    assert set(known) == set(BOTH)
    reason = TROUBLES[case.trouble].reason
    for name, state in known.items():
        if state.state == artifacts.STORED:
            assert case.over or reason is None, f"{name} is stored in spite of {case.trouble}"
            found = state.verdict.found if state.verdict else None
            assert (found == facts.UNSIGNED) == (case.trouble == "unsigned"), f"{name}: {found}"
        elif not _waits_behind_a_refused_key(known, name, case):
            final = state.state == artifacts.ABANDONED or (state.state == artifacts.FAILED and state.next_at is None)
            assert final, f"{name} is {state.state}, and nothing happens"
            assert reason is not None, f"{name}: {state.error}"
            assert re.search(reason, state.error or ""), f"{name}: {state.error}"
            assert not (case.over and case.trouble == "401"), "a key that is good again is not used"


def _tries(worker: Worker) -> Iterator[tuple[str, int, int]]:
    """Each outcome: of which document, in which row of tries, and which of them. What was given up may begin anew."""
    rows = Counter[str]()
    for act in worker.outcomes():
        name = act.name or ""
        yield name, rows[name], act.attempt
        rows[name] += act.action == facts.ABANDONED


def _waits_behind_a_refused_key(known: Mapping[str, artifacts.State], name: str, case: Case) -> bool:
    """One alarm is enough: with the same key nothing else is tried."""
    refused = [
        state.state == artifacts.FAILED and state.next_at is None for other, state in known.items() if other != name
    ]
    return case.trouble == "401" and not case.over and known[name].state == artifacts.WANTED and any(refused)


def steps(case: Case, folder: Path, crashes: Crashes) -> list[str]:
    """What the first worker does if nobody kills it."""
    folder.mkdir()
    with OneSpan() as server:
        world = World(folder, case, server)
        world.begin()
        assert world.live(crashes) == 0
        taken: list[str] = json.loads((world.log / "steps").read_text())
        return taken


def play(case: Case, last: int, folder: Path, crashes: Crashes) -> None:
    """Both lives. Raises AssertionError for a document that ended in no good way."""
    folder.mkdir()
    with OneSpan() as server, hurried():
        world = World(folder, case, server)
        world.begin()
        code = world.live(crashes, last)
        assert code in (0, -signal.SIGKILL), f"exit code {code}"
        if case.over:
            world.end()
        world.live_again()


def some(count: int, seed: int, folder: Path, crashes: Crashes, say: Callable[[str], None]) -> None:
    """So many cases, each killed at a step by chance; the same for the same seed."""
    say(f"seed {seed}")
    chance = random.Random(seed)  # noqa: S311  not a secret
    cases = itertools.chain.from_iterable(chance.sample(CASES, len(CASES)) for _ in itertools.count())
    for number, case in enumerate(itertools.islice(cases, count)):
        taken = steps(case, folder / f"{number}-dry", crashes)
        last = chance.randrange(len(taken)) + 1
        say(_told(case, last, taken))
        play(case, last, folder / str(number), crashes)


def every(folder: Path, crashes: Crashes, say: Callable[[str], None]) -> None:
    """All cases, each killed at each of its steps."""
    for number, case in enumerate(CASES):
        taken = steps(case, folder / f"{number}-dry", crashes)
        for last in range(1, len(taken) + 1):
            say(_told(case, last, taken))
            play(case, last, folder / f"{number}-{last}", crashes)


def _told(case: Case, last: int, taken: list[str]) -> str:
    end = "over then" if case.over else "lasting"
    return f"{case.trouble:<16} {case.place:<11} {end:<9} killed at step {last:>2} of {len(taken)}, {taken[last - 1]}"


def main() -> None:
    """How many cases and which seed from the command line; without, all."""
    with tempfile.TemporaryDirectory(prefix="matrix-") as folder, Crashes() as crashes:
        say = functools.partial(print, flush=True)
        if len(sys.argv) == 1:
            every(Path(folder), crashes, say)
        else:
            seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(10**6)
            some(int(sys.argv[1]), seed, Path(folder), crashes, say)


if __name__ == "__main__":
    main()
