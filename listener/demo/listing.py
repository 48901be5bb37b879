"""How OneSpan's list of packages answers its query: filters, order, pages (GET /api/packages, OpenAPI 11.51)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from listener.demo import bodies
from listener.demo.packages import Package

AT_MOST = 100  # older documentation caps a search there; it makes a client page
FIRST_PAGE = 10
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STATUSES = frozenset({"DRAFT", "SENT", "COMPLETED", "ARCHIVED", "DECLINED", "OPTED_OUT", "EXPIRED"})
PREDEFINED = {"all": STATUSES, "awaitingSignature": {"SENT"}, "sent": {"SENT"}, "completed": {"COMPLETED"}}
FOLDERS = {"drafts": {"DRAFT"}, "inbox": STATUSES - {"DRAFT"}, "trashed": STATUSES}
SORTS: dict[str, Callable[[Package], str | datetime]] = {
    "created": lambda kept: kept.created,
    "completed": lambda kept: kept.completed or EPOCH,
    "updated": lambda kept: kept.updated,
    "due": lambda kept: kept.due or EPOCH,
    "name": lambda kept: kept.name,
    "status": lambda kept: kept.status,
}


@dataclass(frozen=True)
class Habits:
    """What OneSpan's sources disagree about.

    Records count from `first`; where that is 1, a record 0 means the same, or with `strict` is refused. Without `dates`
    results do not go by date, as before 24.R1.1 (PB-103413). A search ends after `most` records, whatever it counts.
    """

    first: int = 1
    strict: bool = False
    dates: bool = True
    most: int | None = None


@dataclass(frozen=True)
class Listing:
    """One query, read; `first` and `last` are places in the list, from 0."""

    statuses: frozenset[str]
    trashed: bool
    since: datetime
    until: datetime
    first: int
    last: int
    sort: str
    descending: bool
    ids_only: bool
    most: int | None

    @classmethod
    def of(cls, params: Mapping[str, str], habits: Habits) -> "Listing":
        """Read the query; raises ValueError for what cannot be read.

        The description names the dates lastUpdatedStartDate and lastUpdatedEndDate, the SDKs send startDate and
        endDate; both are taken.
        """
        first, last = _records(params, habits)
        dates = params if habits.dates else {}
        return cls(
            statuses=_statuses(params),
            trashed=params.get("query") == "trashed",
            since=_date(dates.get("lastUpdatedStartDate") or dates.get("startDate"), EPOCH),
            until=_date(dates.get("lastUpdatedEndDate") or dates.get("endDate"), datetime.max.replace(tzinfo=UTC)),
            first=first,
            last=last,
            sort=_one_of(params.get("sort", "updated"), SORTS),
            descending=params.get("dir", "desc") == "desc",
            ids_only=params.get("fields") == "id",
            most=habits.most,
        )

    def answer(self, packages: list[Package]) -> dict[str, object]:
        """Return {count, results}: how many match, and those of this page."""
        found = sorted(filter(self._matches, packages), key=lambda kept: kept.id)
        # Two sorts, because the order must be total for pages to fit together.
        found.sort(key=SORTS[self.sort], reverse=self.descending)
        page = found[: self.most][self.first : self.last + 1]
        return {
            "count": len(found),
            "results": [{"id": kept.id} if self.ids_only else bodies.package(kept) for kept in page],
        }

    def _matches(self, kept: Package) -> bool:
        in_folder = not kept.deleted and kept.trashed == self.trashed
        return in_folder and kept.status in self.statuses and self.since <= kept.updated <= self.until


def _records(params: Mapping[str, str], habits: Habits) -> tuple[int, int]:
    first = int(params.get("from", habits.first))
    if first < habits.first and habits.strict:
        raise ValueError(f"records count from {habits.first}")
    first = max(first, habits.first)
    last = min(int(params.get("to", first + FIRST_PAGE - 1)), first + AT_MOST - 1)
    return first - habits.first, max(last - habits.first, -1)


def _statuses(params: Mapping[str, str]) -> frozenset[str]:
    # `query` is a folder in the description and a status in the SDKs: both are taken.
    wanted = params.get("query", "")
    in_folder = FOLDERS.get(wanted) or ({wanted} if wanted in STATUSES else STATUSES)
    return frozenset(in_folder) & frozenset(PREDEFINED.get(params.get("predefined", "all"), STATUSES))


def _date(text: str | None, default: datetime) -> datetime:
    if not text:
        return default
    # "2018-12-12Z" is one of the description's own examples.
    found = datetime.fromisoformat(text.removesuffix("Z"))
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _one_of(value: str, known: Mapping[str, object]) -> str:
    if value not in known:
        raise ValueError(f"{value!r} is not one of {', '.join(known)}")
    return value
