"""An answer of a provider's API, and callbacks that nobody has folded yet, or that come while it is asked."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from listener import acts, errors
from listener.acts import Act
from listener.api import NOTHING, Access, Known, Observation, Stream
from listener.apis import onespan
from listener.demo.onespan import OneSpan
from listener.desk import status
from listener.desk.reading import reading
from listener.log import event
from listener.log.event import Draft
from listener.worker.observe import Heard, Observer
from projections import facts
from tests.rig import ID, NOON, SOURCE, Worker, add, body, callback, completed

Between = Callable[[int], object]


class Asking:
    """The API; what happens between its answer and us is in our hands: `between` is told how often it was asked."""

    def __init__(self, server: OneSpan, between: Between) -> None:
        self.api = onespan.connect(Access(server.url, server.api_key))
        self.between = between
        self.asked = 0

    def ask(self, subject: str, known: Known = NOTHING) -> Observation:
        answer = self.api.ask(subject, known)
        self.asked += 1
        self.between(self.asked)
        return answer

    def fetch(self, subject: str, artifact: str, answer: Observation) -> AbstractContextManager[Stream]:
        return self.api.fetch(subject, artifact, answer)

    def close(self) -> None:
        self.api.close()


@pytest.fixture
def server() -> Iterator[OneSpan]:
    """An account with one package that is not signed yet."""
    with OneSpan() as found:
        completed(found)[0].move("SENT", NOON)
        yield found


def hear(worker: Worker, server: OneSpan, between: Between = lambda _: None) -> tuple[Heard, int]:
    """Ask, with the views as they are; what was heard, and how often it was asked."""
    with contextlib.closing(Asking(server, between)) as asking:
        heard = Observer(worker.database).hear("onespan", asking, SOURCE, ID, worker.projector.views)
        return heard, asking.asked


def kinds(worker: Worker) -> list[str]:
    """What the log holds behind what is in force, in order."""
    return [found.kind for found in worker.events()][1:]


def erased() -> Draft:
    """The decision to erase the package."""
    filed = acts.about(acts.ERASED_PATH, SOURCE, ID)
    return acts.decision(Act(facts.ERASED, SOURCE, ID, reason="asked for"), "ana", filed)


def test_a_callback_that_nobody_has_folded_yet_counts(tmp_path: Path, server: OneSpan) -> None:
    """The equal answer behind it is kept; behind one of another package, or of nobody knows whom, it is not."""
    with Worker(tmp_path) as worker:
        assert hear(worker, server)[0].news
        worker.projector.catch_up()
        add(worker.database, callback("PACKAGE_ACTIVATE", "another"), body(b"unreadable"))
        assert not hear(worker, server)[0].news
        add(worker.database, callback("PACKAGE_ACTIVATE", source="elsewhere"), callback("PACKAGE_ACTIVATE"))
        assert hear(worker, server)[0].news
        assert not hear(worker, server)[0].news


def test_an_answer_that_a_callback_overtook_is_asked_for_again(tmp_path: Path, server: OneSpan) -> None:
    """It said SENT when the callback said COMPLETED: behind that it would look as if the API denied it."""

    def complete(asked: int) -> None:
        if asked == 1:
            server.packages[ID].finish(NOON)
            add(worker.database, callback("PACKAGE_COMPLETE", created=None))

    with Worker(tmp_path) as worker:
        heard, asked = hear(worker, server, complete)
        worker.projector.catch_up()
        assert (heard.answer.complete, heard.news, asked) == (True, True, 2)
        assert kinds(worker) == [event.CALLBACK, event.OBSERVATION]
        with reading(worker.database) as at:
            told = status.one(at, SOURCE, ID)
        assert told is not None
        assert (told["stage"], told["confirmed"]) == ("completed", "yes")


def test_what_others_are_told_overtakes_nothing(tmp_path: Path, server: OneSpan) -> None:
    """A callback of another package, or of another source, comes while we ask."""

    def others(_: int) -> None:
        add(worker.database, callback("PACKAGE_COMPLETE", "another"), callback("PACKAGE_COMPLETE", source="elsewhere"))

    with Worker(tmp_path) as worker:
        assert hear(worker, server, others)[1] == 1


def test_an_equal_answer_is_kept_when_the_first_was_overtaken(tmp_path: Path, server: OneSpan) -> None:
    """The log has its like already, but in front of the callback."""
    with Worker(tmp_path) as worker:
        hear(worker, server)
        heard, asked = hear(
            worker, server, lambda asked: asked == 1 and add(worker.database, callback("PACKAGE_ACTIVATE"))
        )
        assert (heard.news, asked) == (True, 2)


def test_callbacks_that_never_end_are_no_loop(tmp_path: Path, server: OneSpan) -> None:
    """It is given up for now, and nothing that may be wrong is kept."""
    with Worker(tmp_path) as worker:
        with pytest.raises(errors.Unusable, match="overtaken"):
            hear(worker, server, lambda _: add(worker.database, callback("EMAIL_BOUNCE")))
        assert kinds(worker) == [event.CALLBACK] * 3


def test_of_what_is_erased_while_we_ask_nothing_comes_back(tmp_path: Path, server: OneSpan) -> None:
    """The answer holds names: it would undo the erasure."""
    with Worker(tmp_path) as worker:
        with pytest.raises(errors.Superseded, match="erased"):
            hear(worker, server, lambda _: add(worker.database, erased()))
        assert event.OBSERVATION not in kinds(worker)
