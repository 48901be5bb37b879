"""A reader that follows the log misses nothing, however late a commit is; `scripts/gaps` does it for longer."""

import pytest

from tests import gaps
from tests.postgres import Server


def test_nothing_is_missed_behind_many_doors(postgres_server: Server) -> None:
    """What was answered with 200 is seen once, and positions come as 1, 2, 3."""
    found = gaps.doors(postgres_server, seconds=2, count=3)
    assert len(found.written) > 20
    assert (found.missed, found.twice, found.dense) == (0, 0, True)


@pytest.mark.parametrize("name", gaps.VARIANTS)
def test_other_ways_lose_events(postgres_server: Server, name: str) -> None:
    """The counter-examples: under the same reader some of what was committed is never seen."""
    for _ in range(5):  # a second is enough, if nobody else keeps the machine busy
        found = gaps.variant(postgres_server, name, seconds=1)
        if found.missed:
            break
    assert found.missed > 0
    assert found.twice == 0
