"""Whatever the order of callbacks, faults, decisions and mended code: live views are those of a replay."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from listener import acts, bookkeeping, decisions
from listener.acts import Act
from listener.projection import PROJECTIONS
from listener.views import Views
from listener.worker import building, faults, intake, piece, revisiting
from listener.worker.building import build
from listener.worker.projector import Projector
from projections import facts, timeline
from tests.broken import handlers
from tests.rig import Log, add, artifact, callback, tables

NEVER = 9  # the version that mends it: there is none
UNREADABLE = "u"  # the subject whose events are not read by code that is not mended
NAMES = (
    "PACKAGE_CREATE",
    "PACKAGE_ACTIVATE",
    "SIGNER_COMPLETE",
    "PACKAGE_COMPLETE",
    "PACKAGE_TRASH",
    "PACKAGE_RESTORE",
)


class Told(NamedTuple):
    """A callback, and from which version on the code can take it in."""

    name: str
    subject: str
    mended: int


class Both(NamedTuple):
    """A decision about documents of two subjects; only the first of them is stopped by it."""

    mended: int


class Outcome(NamedTuple):
    """What we did about a document of a subject."""

    action: str
    subject: str


class Decide(NamedTuple):
    """A decision about the nth fault that there is, or about what is none."""

    action: str
    which: int


class Work(NamedTuple):
    """What a worker does: fold a batch of some size, start again, or start with the next version."""

    how: str
    size: int


mended = st.sampled_from([0, 0, 0, 1, 2, NEVER])
STORIES = st.lists(
    st.one_of(
        st.builds(Told, st.sampled_from(NAMES), st.sampled_from(["a", "b", UNREADABLE]), mended),
        st.builds(Both, mended),
        st.builds(Outcome, st.sampled_from([facts.FAILED, facts.ABANDONED]), st.sampled_from(["a", UNREADABLE])),
        st.builds(Decide, st.sampled_from(["skip", "retry", "nonsense"]), st.integers(0, 5)),
        st.builds(Work, st.sampled_from(["fold", "fold", "restart", "deploy"]), st.integers(1, 5)),
    ),
    max_size=30,
)


class Story:
    """A log, a worker that folds it, and what each event would do to it."""

    def __init__(self, log: Log, broken: set[tuple[int, str]], unreadable: set[int]) -> None:
        self.log, self.broken, self.unreadable = log, broken, unreadable
        self.version = 0
        self.mended: dict[tuple[int, str], int] = {}  # of each event and subject: the version that takes it in
        self.skipped: dict[int, set[int]] = {}  # what each decision to skip names
        self.projector = self.start()

    def start(self) -> Projector:
        return Projector(self.log.database, self.log.shelf, f"version {self.version}")

    def restart(self) -> None:
        self.projector.close()
        self.projector = self.start()

    def deploy(self) -> None:
        self.version += 1
        self.set(self.mended)
        self.restart()

    def set(self, of: dict[tuple[int, str], int]) -> None:
        """Let the code fail on what it cannot take in yet."""
        bad = {known for known, version in of.items() if version > self.version}
        self.broken.clear()
        self.broken.update(known for known in bad if known[1] != UNREADABLE)
        self.unreadable.clear()
        self.unreadable.update(position for position, subject in bad if subject == UNREADABLE)

    def do(self, act: Told | Both | Outcome | Decide | Work) -> None:
        match act:
            case Told(name, subject, version):
                [position] = add(self.log.database, callback(name, subject))
                self.mended[position, subject] = version
            case Both(version):
                several = Act(facts.RETRY, artifacts=(artifact("a"), artifact("b")))
                [position] = add(self.log.database, acts.decision(several, "x", acts.RETRY_PATH))
                self.mended |= {(position, "a"): version, (position, "b"): 0}
            case Outcome(action, subject):
                what = Act(action, attempt=1 + len(self.mended), next_at=1 if action == facts.FAILED else None)
                [position] = add(self.log.database, acts.outcome(artifact(subject), "onespan", what))
                self.mended[position, subject] = 0
            case Decide():
                self.decide(act)
            case Work("fold", size):
                with pytest.MonkeyPatch.context() as patched:
                    patched.setattr(intake, "BATCH", size)
                    self.projector.fold_some()
            case Work("restart"):
                self.restart()
            case Work():
                self.deploy()
        self.set(self.mended)

    def decide(self, act: Decide) -> None:
        """As the commands do, which refuse what is no fault; and as no command does."""
        found = {"skip": self.skippable, "retry": self.faulty, "nonsense": self.sound}[act.action]()
        if not found:
            return
        named = found[act.which % len(found)]
        if act.action == "retry":
            decisions.retry_faults(self.log.database, [named], "somebody", None)
        else:
            [position] = decisions.skip(self.log.database, [named], "somebody", "because")
            self.skipped[position] = {named}

    def faulty(self) -> list[int]:
        with self.projector.views.reading() as connection:
            return sorted(connection.scalars(select(bookkeeping.faults.c.position)))

    def skippable(self) -> list[int]:
        """What other code would take in may be skipped too; a replay with that code then takes it in."""
        never = {position for (position, _), version in self.mended.items() if version == NEVER}
        return [position for position in self.faulty() if position in never]

    def sound(self) -> list[int]:
        """Events that are no fault for any code."""
        bad = {position for (position, _), version in self.mended.items() if version > 0}
        return [found.position for found in self.log.events() if found.position not in bad]


class Expected:
    """What must have become of a subject, worked out from the story with the newest code."""

    def __init__(self, story: Story, subject: str) -> None:
        self.taken: list[int] = []
        self.fault: int | None = None
        self.waiting: list[int] = []
        self.faults: set[int] = set()  # of nobody
        for position in range(1, len(story.log.events()) + 1):
            if position in story.skipped:
                self._skip(story, subject, story.skipped[position])
            elif (position, subject) in story.mended:
                self._take(story.mended[position, subject] > story.version, position, subject)

    def _take(self, bad: bool, position: int, subject: str) -> None:
        if self.fault is not None:
            self.waiting.append(position)
        elif not bad:
            self.taken.append(position)
        elif subject == UNREADABLE:
            self.faults.add(position)
        else:
            self.fault = position

    def _skip(self, story: Story, subject: str, named: set[int]) -> None:
        self.faults -= named
        if self.fault in named:
            waiting, self.fault, self.waiting = self.waiting, None, []
            for position in waiting:
                self._take(story.mended[position, subject] > story.version, position, subject)


@contextlib.contextmanager
def told(acts: list[Any], lasting: bool) -> Iterator[Story]:
    """The story, up to its end and the views up to the head."""
    broken: set[tuple[int, str]] = set()
    unreadable: set[int] = set()
    with TemporaryDirectory() as folder, Log(Path(folder)) as log, handlers(broken, unreadable, lasting=lasting):
        story = Story(log, broken, unreadable)
        for act in acts:
            story.do(act)
        story.projector.catch_up()
        yield story
        story.projector.close()


def replayed(story: Story, number: int) -> Views:
    """What a replay with the newest code makes of the log."""
    found = story.log.shelf.generation(number)
    build(story.log.database, found, bookkeeping.REPLAYED, "x", len(story.log.events()), lambda _events: None)
    return found


def of(found: Views, subject: str) -> list[list[str]]:
    """The rows of one subject in all tables."""
    with found.reading() as connection:
        queries = [select(known.TABLE) for known in PROJECTIONS] + [select(bookkeeping.parked)]
        columns = [query.selected_columns for query in queries]
        named = [
            query.where((column.id if "id" in column else column.subject) == subject)
            for query, column in zip(queries, columns, strict=True)
        ]
        return [sorted(map(repr, connection.execute(query))) for query in named]


LATE = [Told("PACKAGE_COMPLETE", UNREADABLE, 1), Outcome(facts.FAILED, UNREADABLE), Work("fold", 5), Work("deploy", 1)]


@example(LATE, 2, False)
@example(LATE, 2, True)
@settings(max_examples=60, deadline=None)
@given(STORIES, st.integers(1, 4), st.booleans())
def test_live_is_replay_and_both_are_as_expected(acts: list[Any], size: int, lasting: bool) -> None:
    """Every table, attempts aside; what was taken in, what is a fault and what waits is what the story says."""
    check(acts, size, lasting)


def check(acts: list[Any], size: int, lasting: bool = False) -> None:
    """The property above, with a replay in pieces of some size."""
    with told(acts, lasting) as story, pytest.MonkeyPatch.context() as patched:
        live = tables(story.projector.views)
        assert tables(replayed(story, 7)) == live
        patched.setattr(piece, "EVENTS", size)
        patched.setattr(building, "EVENTS", size)
        patched.setattr(faults, "_AT_ONCE", size)
        assert tables(replayed(story, 8)) == live
        with story.projector.views.reading() as connection:
            for subject in ("a", "b", UNREADABLE):
                expected = Expected(story, subject)
                taken = connection.scalars(select(timeline.TABLE.c.position).filter_by(subject=subject)).all()
                waiting = connection.scalars(select(bookkeeping.parked.c.position).filter_by(subject=subject)).all()
                of_whom = None if subject == UNREADABLE else subject
                known = connection.scalars(select(bookkeeping.faults.c.position).filter_by(subject=of_whom)).all()
                assert sorted(set(taken)) == expected.taken
                assert sorted(waiting) == expected.waiting
                assert set(known) == (expected.faults or {expected.fault} - {None})


@settings(max_examples=15, deadline=None)
@given(STORIES, st.booleans())
def test_what_stops_one_subject_touches_no_other(acts: list[Any], lasting: bool) -> None:
    """The rows of a subject are the same, whether others are ever stopped or not."""
    with told(acts, lasting) as story:
        shown = {subject: of(story.projector.views, subject) for subject in ("a", "b", UNREADABLE)}
        for number, subject in enumerate(shown, 7):
            story.set({known: version for known, version in story.mended.items() if known[1] == subject})
            assert of(replayed(story, number), subject) == shown[subject]


BUGS = {
    "a decision is obeyed at the end of its batch": ("stretch", lambda _log, _after, until=None: until),
    "a decision is not obeyed": ("decides", lambda _found: False),
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_would_be_noticed(bug: str) -> None:
    """The properties above are able to fail."""
    story = [Told("PACKAGE_CREATE", "a", NEVER), Told("PACKAGE_COMPLETE", "a", 0), Work("fold", 5), Decide("skip", 0)]
    late = [Told("PACKAGE_TRASH", "a", 0), Work("fold", 1), Work("fold", 1)]
    name, wrong = BUGS[bug]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(revisiting, name, wrong)
        with pytest.raises(AssertionError):
            check([*story, *late], 1)
    check([*story, *late], 1)
