"""What an audit found: of each kind the first, and how many more."""

from typing import Final, NamedTuple

READING: Final = "reading"  # a row that cannot be read
POSITIONS: Final = "positions"  # one that is missing
CONTENT: Final = "content"  # body, headers or salt changed
LEAF: Final = "leaf"  # any other column changed
BLANK: Final = "blank"  # erased without a decision
ERASURES: Final = "erasures"  # a decision without its erasure
EPOCHS: Final = "epochs"  # one that begins where no event is
HEADS: Final = "heads"  # not what was signed
TREE: Final = "tree"  # the file beside the log says something else
GUARDS: Final = "guards"  # tables, indexes and triggers that are not those of the migrations
DOCUMENTS: Final = "documents"  # not what the log says was stored
CLOCK: Final = "clock"  # noted only: it went backwards
KEYS: Final = "keys"  # noted only: another one signs
RESTORED: Final = "restored"  # noted only: somebody accepted it


class Finding(NamedTuple):
    """The first of its kind: where (None: nowhere in particular), what is wrong there, and how many more there are."""

    kind: str
    position: int | None
    said: str
    more: int = 0


class Findings:
    """Collects: of each kind the first one, in no more memory however many there are."""

    def __init__(self) -> None:
        self._problems: dict[str, Finding] = {}
        self._notes: dict[str, Finding] = {}

    def problem(self, kind: str, position: int | None, said: str) -> None:
        """Something is wrong."""
        _add(self._problems, Finding(kind, position, said))

    def note(self, kind: str, position: int | None, said: str) -> None:
        """Nothing is wrong, but somebody may want to know."""
        _add(self._notes, Finding(kind, position, said))

    @property
    def problems(self) -> list[Finding]:
        """In the order of their first positions."""
        return sorted(self._problems.values(), key=_place)

    @property
    def notes(self) -> list[Finding]:
        """In the order of their first positions."""
        return sorted(self._notes.values(), key=_place)


def _add(known: dict[str, Finding], found: Finding) -> None:
    first = known.setdefault(found.kind, found)
    if first is not found:
        known[found.kind] = first._replace(more=first.more + 1)


def _place(found: Finding) -> tuple[int, str]:
    return found.position or 0, found.kind
