"""OneSpan's list of packages: nothing that moved is left out, whatever its sources disagree about."""

import itertools
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from listener import errors
from listener.api import Access, Listed, Page
from listener.apis import onespan
from listener.apis.onespan_listing import OVERLAP, RECORDS, Place
from listener.demo import faults
from listener.demo.listing import Habits
from listener.demo.onespan import OneSpan
from listener.demo.packages import Package
from listener.demo.wire import Answer, Asked, json_answer
from tests import description

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HABITS = {
    "from 1": Habits(),
    "from 1, and 0 is refused": Habits(strict=True),
    "from 0": Habits(first=0),
    "dates are ignored": Habits(dates=False),
    "a search ends after 100": Habits(most=100),
    "after 100, from 0": Habits(first=0, most=100),
}
EVERY_HABIT = pytest.mark.parametrize("habits", HABITS.values(), ids=HABITS)


def micros(moment: datetime) -> int:
    """As our clock counts."""
    return (moment - EPOCH) // timedelta(microseconds=1)


@pytest.fixture
def server() -> Iterator[OneSpan]:
    """An account; whatever it was asked, its description has."""
    with OneSpan() as found:
        yield found
        assert description.in_requests(found) == []


def fill(server: OneSpan, count: int, status: str = "SENT") -> list[str]:
    """Packages that moved a minute apart, up to noon; their ids, the one that moved last first."""
    for number in range(count):
        server.add(Package(f"p{number:04}", status=status, updated=NOON - timedelta(minutes=number)))
    return [f"p{number:04}" for number in range(count)]


def pages(server: OneSpan, since: datetime, cursor: str | None = None) -> list[Page]:
    """All of the list."""
    with closing(onespan.connect(Access(server.url, server.api_key))) as found:
        return list(found.updated(micros(since), cursor))


def listed(server: OneSpan, since: datetime, cursor: str | None = None) -> list[str]:
    """The ids in it."""
    return [found.subject for page in pages(server, since, cursor) for found in page.listed]


@EVERY_HABIT
@pytest.mark.parametrize("count", [0, 1, RECORDS - 1, RECORDS, RECORDS + 1, 3 * RECORDS])
def test_everything_that_moved_is_told_once(server: OneSpan, habits: Habits, count: int) -> None:
    """The newest and the oldest, too: those are what counting from 0 or from 1 would lose."""
    server.habits = habits
    ids = fill(server, count)
    assert listed(server, NOON - timedelta(days=2)) == ids


@EVERY_HABIT
def test_what_moved_before_is_not(server: OneSpan, habits: Habits) -> None:
    """Though the list has it, where dates are ignored; and then not all of it is read."""
    server.habits = habits
    ids = fill(server, 5 * RECORDS)
    assert listed(server, NOON - timedelta(minutes=149, seconds=30)) == ids[:150]
    assert server.count("packages") < 10


def test_what_is_told_of_each(server: OneSpan) -> None:
    """Its status in their word, whether it is in the trash, and when it moved; the trash is a folder of its own."""
    server.add(Package("done")).finish(NOON)
    server.add(Package("gone", status="SENT", trashed=True, updated=NOON))
    found = [each for page in pages(server, NOON - timedelta(hours=1)) for each in page.listed]
    assert found == [
        Listed("done", "COMPLETED", False, micros(NOON)),
        Listed("gone", "SENT", True, micros(NOON)),
    ]
    assert [asked.params.get("query") for asked in server.requests] == [None, "trashed"]


def test_it_goes_on_where_it_was(server: OneSpan) -> None:
    """Behind each page, whoever reads on gets the rest, and what moved at the same time again at most."""
    ids = fill(server, 3 * RECORDS)
    server.add(Package("gone", trashed=True, updated=NOON))
    since = NOON - timedelta(days=1)
    whole = pages(server, since)
    for number, page in enumerate(whole, start=1):
        rest = listed(server, since, page.cursor)
        told = [found.subject for known in whole[:number] for found in known.listed]
        assert {*told, *rest} == {*ids, "gone"}
        assert len({*told} & {*rest}) <= 2
    assert listed(server, since, "nonsense") == [*ids, "gone"]


def test_a_place_is_its_cursor() -> None:
    """And what is none is the beginning."""
    for place in (Place("", 7), Place("trashed", 7), Place("", None)):
        assert Place.of(place.cursor) == place
    assert {Place.of(text) for text in (None, "", "inbox@7", "@-7", "@x", "trashed")} == {Place("", None)}


def test_a_package_that_goes_away_meanwhile_hides_no_other(server: OneSpan) -> None:
    """All behind it move up by one."""
    ids = fill(server, 2 * RECORDS)
    with closing(onespan.connect(Access(server.url, server.api_key))) as found:
        reading = found.updated(micros(NOON - timedelta(days=1)))
        told = [each.subject for each in next(reading).listed]
        for gone in ids[:OVERLAP]:
            server.packages[gone].delete(NOON)
        told += [each.subject for page in reading for each in page.listed]
    assert told == ids


def page_of(server: OneSpan, monkeypatch: pytest.MonkeyPatch, *answers: Any) -> None:
    """Let the account answer so, the last again and again."""
    several = itertools.chain(answers, itertools.repeat(answers[-1]))

    def answer(_: Asked) -> Answer:
        return json_answer(next(several))

    monkeypatch.setattr(server, "_list", answer)


@pytest.mark.parametrize(
    "page",
    [
        {},
        {"count": 0, "results": None},
        {"count": 9, "results": []},
        {"count": 9, "results": [{}]},
        {"results": [{"id": "p", "status": None, "updated": "yesterday"}]},
        {"count": -1, "results": [{"id": "p"}]},
        {"count": 10**9, "results": [{"id": "p", "updated": "9999-12-31T23:59:59Z"}]},
        {"count": 9, "results": [{"id": "t", "type": "TEMPLATE", "updated": "2026-11-20T12:00:00Z"}]},
    ],
)
def test_an_odd_list_comes_to_an_end(monkeypatch: pytest.MonkeyPatch, page: dict[str, Any]) -> None:
    """Whatever stands in it; templates are no packages."""
    server = OneSpan()
    page_of(server, monkeypatch, page)
    with server:
        found = listed(server, NOON)
        assert {*found} == ({"p"} if "'p'" in str(page) else set())
        assert server.count("packages") <= 10


@pytest.mark.parametrize(
    "fault", [faults.Status(500), faults.Page(), faults.Status(200, body=b'{"results":7}'), faults.Dropped()], ids=str
)
def test_half_a_list_is_an_error(server: OneSpan, fault: faults.Fault) -> None:
    """What came before it was told."""
    fill(server, 2 * RECORDS)
    server.faults.add("packages", faults.Slow(delay=0), fault)
    with closing(onespan.connect(Access(server.url, server.api_key))) as found:
        reading = found.updated(micros(NOON - timedelta(days=1)))
        assert next(reading).listed
        with pytest.raises(errors.Unusable):
            next(reading)


@pytest.mark.parametrize(("code", "error"), [(401, errors.Unauthorized), (403, errors.NotAccessible)])
def test_who_may_not_list_is_told(server: OneSpan, code: int, error: type[Exception]) -> None:
    """A key that is refused, or a role that lacks the right."""
    server.faults.stand("packages", faults.Status(code))
    with pytest.raises(error):
        pages(server, NOON)
