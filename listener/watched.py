"""A subject that the views leave open, and when to ask for it again."""

from typing import Final, NamedTuple

_SECOND: Final = 1_000_000
_DAY: Final = 24 * 3600 * _SECOND
QUIET: Final = 300 * _SECOND  # so long nobody asks: a callback may be on its way
# How long to wait at least and at most before a silent subject is asked for again, and which part of its silence
# that is: so a lost callback costs an eighth of the time that a signing took, and old ones cost little.
_PART: Final = 8
_CLOSELY: Final = (QUIET, _DAY)
_NOW_AND_THEN: Final = (_DAY, 7 * _DAY)


class Entry(NamedTuple):
    """A subject that the views leave open: it may still move, or it `ended` and nobody confirmed that.

    `position` and `heard_at` (microseconds, ours) are of the last that was heard of it. What a list of the provider's
    does not show, or what somebody expects, is watched `closely`.
    """

    source: str
    subject: str
    position: int
    heard_at: int
    ended: bool
    closely: bool

    def next_at(self, asked_at: int, answered: int) -> int | None:
        """When to ask for it; None when there is nothing to ask any more.

        `answered` is how far the log was known when it was last answered: an end is asked about once.
        """
        if self.ended and answered >= self.position:
            return None
        least, most = _CLOSELY if self.closely or self.ended else _NOW_AND_THEN
        silent = asked_at - self.heard_at
        return self.heard_at + least if silent <= 0 else asked_at + min(max(silent // _PART, least), most)
