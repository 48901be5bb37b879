"""OneSpan's list of packages, read as far as its sources agree: those that moved last come first.

GET /api/packages (https://docs.onespan.com/reference, OpenAPI 11.51). They disagree about whether records count from 0
or from 1, results by date were wrong before 24.R1.1 (PB-103413), and a search may end after 100 records.
"""

import datetime
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple
from urllib.parse import quote, urlencode

import msgspec

from listener import errors, wire
from listener.api import Listed, Page

Read = Callable[[str], tuple[int, bytes]]  # an address below the account's: status code and answer; 400 is one

RECORDS: Final = 100  # of a page; they give no more
OVERLAP: Final = 10  # records of two pages that are the same: one that goes makes all behind it move up
_MOST_PAGES: Final = 20_000  # of one folder, whatever they say
_FOLDERS: Final = ("", "trashed")  # without a name: all but the trash
_LIST: Final = "/api/packages"
_SECOND: Final = 1_000_000
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_LAST: Final = (datetime.datetime.max.replace(tzinfo=datetime.UTC) - _EPOCH) // datetime.timedelta(seconds=1)


class Place(NamedTuple):
    """How far somebody has come: in which folder, and down to which time (microseconds UTC; none: not begun)."""

    folder: str
    until: int | None

    @classmethod
    def of(cls, cursor: str | None) -> "Place":
        """The place that a cursor names; the beginning for one that names none."""
        folder, _, until = (cursor or "").partition("@")
        if folder not in _FOLDERS or not until.isdecimal():
            return cls(_FOLDERS[0], None)
        return cls(folder, int(until))

    @property
    def cursor(self) -> str:
        """The place as text."""
        return f"{self.folder}@{self.until or ''}"


def updated(read: Read, since: int, cursor: str | None) -> Iterator[Page]:
    """What moved since a time, folder by folder. Raises ProviderError."""
    begin = Place.of(cursor)
    for folder in _FOLDERS[_FOLDERS.index(begin.folder) :]:
        yield from _Folder(read, folder, since).pages(begin.until if folder == begin.folder else None)


class _Folder:
    """One folder of the account. Nothing is told twice, unless it moved in between."""

    def __init__(self, read: Read, folder: str, since: int) -> None:
        self._read = read
        self._folder = folder
        self._since = since
        self._told = set[Listed]()
        self._asked = 0

    def pages(self, until: int | None) -> Iterator[Page]:
        """From `until` down to `since`. Where a search ends before its count, another one goes on below."""
        while True:
            oldest = until
            for page in self._search(until):
                oldest = min((found.updated for found in page if found.updated), default=oldest)
                fresh = [found for found in page if found not in self._told and self._in_time(found)]
                self._told.update(fresh)
                yield Page(fresh, Place(self._folder, oldest).cursor)
            if self._ended or oldest is None or oldest == until:
                return
            until = oldest

    def _search(self, until: int | None) -> Iterator[list[Listed]]:
        """One search, page by page, until nothing new comes or all that follows is too old."""
        self._ended = False
        first, known = 0, set[Listed]()
        while True:
            answer = self._page(first, until)
            if answer is None:  # here they count from 1
                first = 1
                continue
            page = answer.listed
            fresh = set(page) - known
            known |= fresh
            if fresh:
                yield page
            whole = answer.count is not None and len(known) >= answer.count
            self._ended = self._too_old(page) or whole
            # On a later page the count is no end: packages that went away meanwhile are known, and not counted.
            if not fresh or self._too_old(page) or (whole and len(known) == len(page)):
                return
            first += max(1, len(answer.results or ()) - OVERLAP)

    def _in_time(self, found: Listed) -> bool:
        return not found.updated or found.updated >= self._since

    def _too_old(self, page: list[Listed]) -> bool:
        """Whether nothing that follows can be in time: only where they sorted as they were asked to."""
        times = [found.updated for found in page]
        return bool(times) and times == sorted(times, reverse=True) and 0 < times[-1] < self._since

    def _page(self, first: int, until: int | None) -> "_Listing | None":
        self._asked += 1
        if self._asked > _MOST_PAGES:
            raise errors.Unusable(f"a list of more than {_MOST_PAGES} pages")
        query = {
            "sort": "updated",
            "dir": "desc",
            "from": first,
            "to": first + RECORDS - 1,
            "lastUpdatedStartDate": _written(self._since),
            **({"query": self._folder} if self._folder else {}),
            **({"lastUpdatedEndDate": _written(until + _SECOND)} if until is not None else {}),
        }
        code, answer = self._read(f"{_LIST}?{urlencode(query, quote_via=quote)}")
        if code == 200:
            return wire.decoded(answer, _Listing, "list")
        if first == 0:
            return None
        raise errors.Unusable(f"HTTP {code}")


def _written(at: int) -> str:
    """As in the examples of the description: to the second."""
    moment = _EPOCH + datetime.timedelta(seconds=min(max(0, at // _SECOND), _LAST))
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _read_time(text: str | None) -> int:
    """Microseconds UTC; 0 for what is no time."""
    try:
        moment = datetime.datetime.fromisoformat(text or "")
    except ValueError:
        return 0
    aware = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
    return max(0, (aware - _EPOCH) // datetime.timedelta(microseconds=1))


class _Package(msgspec.Struct):
    id: str = ""
    status: str | None = None
    trashed: bool | None = None
    updated: str | None = None
    type: str | None = None


class _Listing(msgspec.Struct):
    count: int | None = None
    results: tuple[_Package, ...] | None = ()

    @property
    def listed(self) -> list[Listed]:
        """Packages; templates and layouts are none."""
        return [
            Listed(known.id, known.status or "", bool(known.trashed), _read_time(known.updated))
            for known in self.results or ()
            if known.id and known.type in (None, "PACKAGE")
        ]
