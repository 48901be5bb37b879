"""When to ask for a subject, how far a round has come, and what is forgotten."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from listener import errors
from listener.agenda import COMMAND, OVERLAP, STALE, WORKER, Agenda, Round, State
from listener.watched import QUIET, Entry

LOG, OTHER_LOG = b"1" * 16, b"2" * 16
VIEWS = "1 here"
MINUTE = 60 * 1_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NOON = 20_000 * DAY


@pytest.fixture
def found(tmp_path: Path) -> Iterator[Agenda]:
    """An empty one."""
    made = Agenda(tmp_path)
    yield made
    made.close()


def entry(
    subject: str = "a", position: int = 7, heard_at: int = NOON, ended: bool = False, closely: bool = True
) -> Entry:
    """A subject of the one source here."""
    return Entry("here", subject, position, heard_at, ended, closely)


def note(found: Agenda, *entries: Entry, settled: tuple[str, ...] = (), views: str = VIEWS) -> None:
    """What the views say, read to the end."""
    found.note(LOG, views, 9, entries, [("here", subject) for subject in settled])
    found.drop_others(views)


def due(found: Agenda, at: int, began: int | None = None, at_once: bool = False) -> list[str]:
    """Who is asked for then."""
    return found.due("here", at, at if began is None else began, at_once, 100)


@pytest.mark.parametrize(
    ("silent", "wait"),
    [(0, QUIET), (HOUR // 2, QUIET), (HOUR, HOUR // 8), (8 * HOUR, HOUR), (8 * DAY, DAY), (80 * DAY, DAY)],
)
def test_the_longer_it_is_silent_the_less_often_it_is_asked_for(silent: int, wait: int) -> None:
    """An eighth of its silence, but no less than some minutes, and no more than a day."""
    assert entry().next_at(NOON + silent, 0) == NOON + silent + wait


@pytest.mark.parametrize(("silent", "wait"), [(0, DAY), (DAY, DAY), (16 * DAY, 2 * DAY), (800 * DAY, 7 * DAY)])
def test_what_a_list_shows_is_asked_for_now_and_then(silent: int, wait: int) -> None:
    """The list would tell of it; but for what it does not show."""
    assert entry(closely=False).next_at(NOON + silent, 0) == NOON + silent + wait


def test_an_end_is_asked_about_once() -> None:
    """Until it is answered, and again when anything is heard of it behind the answer."""
    ended = entry(ended=True, closely=False)
    assert ended.next_at(0, 0) == NOON + QUIET
    assert ended.next_at(NOON + HOUR, 6) == NOON + HOUR + HOUR // 8
    assert ended.next_at(NOON + HOUR, 7) is None
    assert ended._replace(position=8).next_at(NOON + HOUR, 7) is not None


def test_what_is_due_is_asked_for_once_in_a_round(found: Agenda) -> None:
    """Those that wait longest come first; what is settled, never."""
    note(found, entry("later", heard_at=NOON + MINUTE), entry("first"), entry("fresh", heard_at=NOON + DAY), entry("x"))
    note(found, settled=("x",))
    at = NOON + HOUR
    assert due(found, at) == ["first", "later"]
    found.asked("here", "first", at, answered=7)
    assert due(found, at) == ["later"]
    assert found.due("elsewhere", at, at, True, 100) == []
    assert due(found, NOON + 2 * DAY) == ["later", "first", "fresh"]


def test_at_once_is_everything_that_is_watched_closely(found: Agenda) -> None:
    """Due or not; and ends that nobody confirmed. What a list shows is left to it."""
    listed, ended = entry("listed", closely=False), entry("ended", ended=True, closely=False)
    note(found, entry("expected"), listed, ended, entry("answered", ended=True))
    found.asked("here", "answered", NOON, answered=7)
    assert due(found, NOON) == []
    assert sorted(due(found, NOON, at_once=True)) == ["ended", "expected"]
    assert sorted(due(found, NOON + 2 * DAY, at_once=True)) == ["ended", "expected", "listed"]
    found.asked("here", "expected", NOON + MINUTE)
    assert sorted(due(found, NOON + HOUR, began=NOON, at_once=True)) == ["ended"]


def test_when_it_was_asked_for_is_not_forgotten_with_what_is_heard(found: Agenda) -> None:
    """Nor by other views; but what they do not know of is."""
    note(found, entry("a"), entry("gone"))
    found.asked("here", "a", NOON + HOUR, answered=7)
    note(found, entry("a"), views="2 here")
    assert due(found, NOON + HOUR) == []
    assert due(found, NOON + HOUR + HOUR // 8) == ["a"]
    assert due(found, NOON + 9 * DAY) == ["a"]


def test_again_is_whatever_was_answered(found: Agenda) -> None:
    """Once more."""
    note(found, entry(ended=True))
    found.asked("here", "a", NOON, answered=7)
    assert due(found, NOON + DAY) == []
    found.again([entry(ended=True), entry("b", ended=True)])
    assert sorted(due(found, NOON + DAY)) == ["a", "b"]
    for subject in ("a", "b"):
        found.asked("here", subject, NOON + DAY, answered=7)
    assert due(found, NOON + 9 * DAY) == []


def test_what_a_list_says_otherwise_is_due_at_once(found: Agenda) -> None:
    """Whether it is known or not, and whoever answered before; what is known of it stays so."""
    note(found, entry(ended=True))
    found.asked("here", "a", NOON, answered=7)
    for subject in ("a", "unknown"):
        found.notice("here", subject, NOON + HOUR)
    assert due(found, NOON + HOUR - 1) == []
    assert sorted(due(found, NOON + HOUR)) == ["a", "unknown"]
    found.asked("here", "a", NOON + HOUR)
    assert due(found, NOON + 9 * DAY) == ["unknown"]


def test_whoever_is_forgotten_is_not_asked_for(found: Agenda) -> None:
    """What happens to it then is nothing."""
    note(found, entry())
    found.forget("here", "a")
    found.asked("here", "a", NOON)
    assert due(found, NOON + DAY) == []


def test_views_are_read_on_and_others_from_the_beginning(found: Agenda) -> None:
    """Of another log nothing is known at all."""
    assert found.read_to(LOG, VIEWS) == 0
    note(found, entry())
    found.begin("here", WORKER, NOON, 1)
    found.finish("here", WORKER, NOON)
    assert (found.read_to(LOG, VIEWS), found.read_to(LOG, "2 here")) == (9, 0)
    assert due(found, NOON + DAY) == ["a"]
    assert found.read_to(OTHER_LOG, VIEWS) == 0
    assert (due(found, NOON + DAY), found.state("here")) == ([], State(None, None, None))


def test_a_round_goes_on_where_it_was(found: Agenda) -> None:
    """Until it comes to its end; the next one begins a little before that one did."""
    assert found.begin("here", WORKER, NOON, 5) == Round(5, NOON, None)
    found.move("here", WORKER, "p")
    assert found.begin("here", WORKER, NOON + 9 * DAY, 5) == Round(5, NOON, "p")
    found.finish("here", WORKER, NOON + 9 * DAY)
    assert found.begin("here", WORKER, NOON + 9 * DAY, 5) == Round(NOON - OVERLAP, NOON + 9 * DAY, None)
    assert found.begin("there", WORKER, NOON, 5) == Round(5, NOON, None)


def test_a_command_has_rounds_of_its_own(found: Agenda) -> None:
    """It begins where the worker's ended, or where it is told; one that was broken off goes on, if that covers it."""
    found.begin("here", WORKER, NOON, 5)
    found.finish("here", WORKER, NOON)
    first = found.begin("here", COMMAND, NOON + HOUR, 5)
    assert first == Round(NOON - OVERLAP, NOON + HOUR, None)
    found.move("here", COMMAND, "p")
    for since in (None, first.since, NOON):
        assert found.begin("here", COMMAND, NOON + 2 * HOUR, 5, since) == first._replace(cursor="p")
    assert found.begin("here", COMMAND, NOON + 2 * HOUR, 5, 6) == Round(6, NOON + 2 * HOUR, None)
    assert found.begin("here", COMMAND, NOON + 3 * HOUR + STALE, 5).began == NOON + 3 * HOUR + STALE
    assert found.begin("here", WORKER, NOON + HOUR, 5) == Round(NOON - OVERLAP, NOON + HOUR, None)


def test_trouble_is_told_from_when_on_until_it_ends(tmp_path: Path, found: Agenda) -> None:
    """Whose file is not there has none; a command's is its own."""
    assert Agenda(tmp_path / "nowhere").state("here") == State(None, None, None)
    found.begin("here", WORKER, NOON, 5)
    found.troubled("here", COMMAND, NOON, "a command's")
    assert found.state("here") == State(None, None, None)
    found.troubled("here", WORKER, NOON, "HTTP 500")
    found.troubled("here", WORKER, NOON + HOUR, "HTTP 503")
    assert found.state("here") == State(None, "HTTP 503", NOON)
    found.finish("here", WORKER, NOON + DAY)
    assert found.state("here") == State(NOON + DAY, None, None)


@pytest.mark.parametrize("content", [b"no database at all" * 99, b"SQLite format 3\0" + b"\xff" * 4000])
def test_damage_is_told_and_what_is_discarded_is_made_anew(tmp_path: Path, content: bytes) -> None:
    """Whoever looks, and whoever writes."""
    (tmp_path / "agenda.db").write_bytes(content)
    found = Agenda(tmp_path)
    with pytest.raises(errors.AgendaDamaged):
        found.state("here")
    with pytest.raises(errors.AgendaDamaged):
        found.read_to(LOG, VIEWS)
    found.discard()
    assert found.read_to(LOG, VIEWS) == 0
    found.close()


def test_the_file_may_go_away(tmp_path: Path) -> None:
    """Then everything is asked once more."""
    for _ in range(2):
        found = Agenda(tmp_path)
        assert found.read_to(LOG, VIEWS) == 0
        note(found, entry())
        assert due(found, NOON + DAY) == ["a"]
        found.asked("here", "a", NOON + DAY)
        found.close()
        for path in tmp_path.glob("agenda.db*"):
            path.unlink()
