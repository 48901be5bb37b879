"""What came of comparing the log with what providers say."""

from typing import NamedTuple


class Missed(NamedTuple):
    """A completion of which no callback has told."""

    source: str
    id: str
    status: str


class Findings:
    """What came of it: how many subjects were asked for, how many agreed, and completions that no callback told of.

    Of the `unknown` the provider told no status: it does not know them, or does not tell us.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.agreed = 0
        self.differed = 0
        self.unknown = 0
        self.missing: list[Missed] = []

    def add(self, agrees: bool | None) -> None:
        """One more subject, and whether the provider said that it stands where we think; None if it said nothing."""
        self.asked += 1
        self.agreed += agrees is True
        self.differed += agrees is False
        self.unknown += agrees is None
