"""What came of comparing the log with what providers say."""

from typing import Final, NamedTuple

NAMED: Final = 50  # of those without an answer; there may be as many as a source has subjects


class Missed(NamedTuple):
    """A completion of which no callback has told."""

    source: str
    id: str
    status: str


class Unanswered(NamedTuple):
    """A subject that could not be asked for, and why."""

    source: str
    id: str
    error: str


class Findings:
    """What came of it: how many subjects were asked for, how many agreed, and completions that no callback told of.

    Of the `unknown` the provider told no status: it does not know them, or does not tell us. The `unanswered` are not
    among the `asked`: nothing can be said of them; `without_answer` names the first of them.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.agreed = 0
        self.differed = 0
        self.unknown = 0
        self.unanswered = 0
        self.missing: list[Missed] = []
        self.without_answer: list[Unanswered] = []

    def add(self, agrees: bool | None) -> None:
        """One more subject, and whether the provider said that it stands where we think; None if it said nothing."""
        self.asked += 1
        self.agreed += agrees is True
        self.differed += agrees is False
        self.unknown += agrees is None

    def lack(self, source: str, subject: str, error: Exception) -> None:
        """One that got no answer that says anything of it."""
        self.unanswered += 1
        if len(self.without_answer) < NAMED:
            self.without_answer.append(Unanswered(source, subject, str(error)))
