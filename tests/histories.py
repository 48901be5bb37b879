"""What a log may hold: lives of several packages, crossed, late and repeated, among everything else that comes."""

import contextlib
import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from hypothesis import strategies as st

from listener import acts
from listener.acts import Act, Subject
from listener.demo import evrotrust
from listener.log import event
from listener.log.event import Draft
from listener.log.sqlite import Sqlite
from listener.views_file import FileShelf
from projections import course, facts
from tests.codes import MARKED, worn
from tests.lives import Life, arrivals, lives
from tests.rig import (
    BOTH,
    EVIDENCE,
    NOON,
    SOURCE,
    ZIP,
    Log,
    add,
    artifact,
    body,
    callback,
    failed,
    in_force,
    settings,
)

LONG_AGO: Final = 1_606_039_200_000_000  # 2020-11-22T10:00:00Z, so that no clock is ahead of ours
OTHER: Final = "white_label"  # a source of which nothing is wanted
SUBJECTS: Final = ((SOURCE, "a"), (OTHER, "a"), (SOURCE, MARKED), (SOURCE, "-B/ü="))
MOST_STEPS: Final = 12  # of one subject, so that a flood is a short one, and no life is one
# Nothing here is about power cuts, and to sync to a disk would take longer than all the rest.
MEMORY: Final = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108

DECLARED: Final = {in_force(*names): names for names in ((), (ZIP,), BOTH)}
FLOOD: Final = [callback("PACKAGE_ACTIVATE", "flooded", created=NOON.replace(second=n)) for n in range(MOST_STEPS + 2)]
_STORED: Final = Act(facts.STORED, attempt=1, sha256="00", size=1, path="x")
_SOME: Final = (artifact("a"), artifact("a", EVIDENCE), artifact("flooded"))


def _answer(status: str) -> Draft:
    headers = event.written([(":status", "200")])
    content = json.dumps({"status": status, "signers": [{"id": "ana", "name": "Ana Petrova"}]}).encode()
    return Draft(event.OBSERVATION, SOURCE, "onespan", content, headers, "GET", "/api/packages/asked")


def _code(status: int) -> Draft:
    return Draft(event.CALLBACK, "evrotrust", "evrotrust", evrotrust.callback("42", status), path="/document/ready")


def _decided(action: str, filed: str) -> Draft:
    return acts.decision(Act(action, artifacts=_SOME), "somebody", filed)


OTHERS: Final = (
    *DECLARED,
    *(declared._replace(kind=event.OUTCOME) for declared in DECLARED),
    *(body(content) for content in (b"", b"\xff", b"{}", b"[]", b'{"name":"PACKAGE_CREATE"')),
    *(
        Draft(kind, acts.SIGNLOG, acts.SIGNLOG, b"{", path=acts.IN_FORCE_PATH)
        for kind in (event.OUTCOME, event.DECISION)
    ),
    *(callback(name, "t") for name in ("TEMPLATE_CREATE", "PACKAGE_FRAMED", "SIGNER_COMPLETE")),
    *(callback("PACKAGE_COMPLETE", "asked", created=created) for created in (None, NOON)),
    *(_answer(status) for status in ("SENT", "COMPLETED", "ARCHIVED")),
    *(_code(status) for status in (1, 2, 3, 77)),
    callback("TEMPLATE_CREATE", MARKED),
    failed(reason="HTTP 500", next_at=1),
    *(acts.outcome(_SOME[0], "onespan", act) for act in (_STORED, Act(facts.FAILED, attempt=2), Act(facts.ABANDONED))),
    _decided(facts.RETRY, acts.RETRY_PATH),
    _decided(facts.HELD, acts.HELD_PATH),
    _decided(facts.RELEASED, acts.HELD_PATH),
)


class History(NamedTuple):
    """What is appended, in order; and of some subjects the life that it tells of them."""

    drafts: tuple[Draft, ...]
    lives: Mapping[Subject, Life]

    @property
    def wanted(self) -> set[tuple[str, str, str]]:
        """Each document that was in force for its source when the completion of a life was recorded."""
        wanted: set[tuple[str, str, str]] = set()
        names: Sequence[str] = BOTH
        for draft in self.drafts:
            names = DECLARED.get(draft, names)
            if draft.source == SOURCE and (b'"PACKAGE_COMPLETE"' in draft.body or b'"PACKAGE_ARCHIVE"' in draft.body):
                wanted |= {(SOURCE, json.loads(draft.body)["packageId"], name) for name in names}
        return {known for known in wanted if known[:2] in self.lives}


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A log of which nobody knows in what order it came to be."""
    subjects = draw(st.lists(st.sampled_from(SUBJECTS), min_size=1, max_size=3, unique=True))
    known = {subject: draw(lives(subject[1], LONG_AGO)) for subject in subjects}
    told = [
        body(life.said[which][1], source)
        for (source, _), life in known.items()
        for which in draw(arrivals(len(life.said)))
    ]
    others = draw(st.lists(st.sampled_from(OTHERS), max_size=10))
    flood = FLOOD if draw(st.booleans()) else []
    return History(tuple(draw(st.permutations([*told, *others, *flood]))), known)


class Quick(Log):
    """A log in a folder, as any other; but to migrate and to declare anew each time would take longest of all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = settings(folder)
        self.stack = ExitStack()
        self.settings.folder.mkdir()
        (self.settings.folder / "signlog.db").write_bytes(_begun())
        self.database = Sqlite(self.settings.folder)
        self.stack.callback(self.database.close)
        self.shelf = FileShelf(self.settings.folder)


@functools.cache
def _begun() -> bytes:
    """The file of a log that was opened once."""
    with TemporaryDirectory(dir=MEMORY) as folder:
        with Log(Path(folder)) as log:
            path = Path(log.database.address)
        return path.read_bytes()


@contextlib.contextmanager
def log_of(*drafts: Draft) -> Iterator[Log]:
    """A log that holds these, for the length of the block; in which a state of few steps is one too many."""
    few = worn((course, "MOST_STEPS", MOST_STEPS))
    with few, TemporaryDirectory(dir=MEMORY) as folder, Quick(Path(folder)) as log:
        if drafts:
            add(log.database, *drafts)
        yield log
