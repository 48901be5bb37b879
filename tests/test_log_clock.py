"""From a time to a position: exact while our clock goes forward, and near where it was set back."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from listener.log import clock, event, schema
from listener.log.event import Draft, seal

TIMES = st.lists(st.integers(0, 60), max_size=40)


@contextmanager
def recorded(times: Sequence[int]) -> Iterator[Connection]:
    """A log whose events were recorded at these times."""
    engine = sqlalchemy.create_engine("sqlite://")
    schema.events.create(engine)
    draft = Draft(event.CALLBACK, "onespan", "onespan", b"{}")
    with engine.begin() as connection:
        for position, at in enumerate(times, 1):
            connection.execute(schema.events.insert().values(seal(draft, bytes(16), position, at)))
        yield connection
    engine.dispose()


def before_the_first_behind(times: Sequence[int], at: int) -> int:
    """What it should be: counted one by one."""
    return next((number for number, time in enumerate(times) if time > at), len(times))


@given(TIMES.map(sorted), st.integers(-1, 61))
def test_it_is_the_position_before_the_first_event_recorded_after(times: list[int], at: int) -> None:
    """Several events may share a time, and a log may be empty."""
    with recorded(times) as log:
        assert clock.reached(log, at) == before_the_first_behind(times, at)


@given(TIMES, st.integers(-1, 61))
def test_a_clock_that_was_set_back_makes_no_difference(times: list[int], at: int) -> None:
    """Where few events stand between one passage of that time and the next: it is the first one."""
    with recorded(times) as log:
        assert clock.reached(log, at) == before_the_first_behind(times, at)


def test_behind_more_events_it_is_one_of_the_passages() -> None:
    """An hour that came twice, with more events in between than are looked at: still a place where it was passed."""
    times = [*range(40), *range(10, 30), *[5] * 1100, *range(6, 3000)]
    with recorded(times) as log:
        found = clock.reached(log, 20)
    assert times[found - 1] <= 20 < times[found]
    assert found != before_the_first_behind(times, 20)


def test_a_position_that_is_missing_stops_nobody() -> None:
    """The log was damaged: to say so is for whoever verifies it."""
    with recorded([1, 2, 3, 4, 5, 6]) as log:
        log.exec_driver_sql("DELETE FROM events WHERE position IN (3, 4)")
        assert clock.reached(log, 2) in (2, 3, 4)
        assert clock.reached(log, 5) == 5
