"""Whether who reads behind the last position misses what is committed late: `python -m tests.gaps SECONDS`.

Many real doors on one PostgreSQL take callbacks, some of their commits are slow, and a reader follows: nothing may be
missing, twice, or out of order. Three other ways to draw positions are shown to lose events under the same reader, or
nothing would be proved.
"""

import contextlib
import functools
import http.client
import json
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg

from listener.log import reader
from listener.log.postgres import Postgres
from scripts.benches.load import KEY
from scripts.benches.postgres import door
from tests import postgres
from tests.postgres import Server

DOORS: Final = 8
CLIENTS: Final = 2  # of a door
WRITERS: Final = 8

Row = tuple[int, str]
Read = Callable[["psycopg.Connection[Any]", int], list[Row]]

# A commit that takes long: what is inserted waits at the end of its transaction, with whatever is locked by then.
_SLOW: Final = """
CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF random() < 0.03 THEN PERFORM pg_sleep(random() * 0.05); END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION be_slow()
"""


class Outcome(NamedTuple):
    """What was acknowledged or committed, and what the reader saw, in its order."""

    written: Sequence[str]
    seen: Sequence[Row]

    @property
    def missed(self) -> int:
        """How many were committed, and never seen."""
        return len(set(self.written) - {body for _, body in self.seen})

    @property
    def twice(self) -> int:
        """How many were seen more than once."""
        return len(self.seen) - len({body for _, body in self.seen})

    @property
    def dense(self) -> bool:
        """Whether positions came as 1, 2, 3."""
        positions = [position for position, _ in self.seen]
        return positions == list(range(1, len(positions) + 1))


class Tail(threading.Thread):
    """Reads behind the last position that it saw, again and again, as a projector does."""

    def __init__(self, following: Callable[[int], list[Row]]) -> None:
        super().__init__()
        self._following = following
        self._over = threading.Event()
        self.seen: list[Row] = []

    def run(self) -> None:
        """Once more after the end, so that only what it has passed by is missing."""
        last = False
        while not last:
            last = self._over.is_set()
            self.seen += self._following(self.seen[-1][0] if self.seen else 0)

    def end(self) -> list[Row]:
        """Read what there is; everything that was seen."""
        self._over.set()
        self.join()
        return self.seen


# Our own way


def doors(server: Server, seconds: float, count: int = DOORS) -> Outcome:
    """Post to so many doors for so long."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        postgres.mark(Path(folder), server)
        stack.callback(postgres.unmark, Path(folder), server)
        ports = [stack.enter_context(door(Path(folder), number)) for number in range(count)]
        url = postgres.url(Path(folder))
        assert url is not None
        postgres.tell(url, _SLOW.format(table="events"))
        database = stack.enter_context(contextlib.closing(Postgres(url)))
        tail = Tail(lambda after: _events(database, after))
        tail.start()
        written = _at_once([functools.partial(_post, port, seconds) for port in ports for _ in range(CLIENTS)])
        seen = tail.end()
    return Outcome(written, seen)


def _events(database: Postgres, after: int) -> list[Row]:
    with database.reading() as connection:
        events = reader.read(connection, after)
    return [(event.position, (event.body or b"").decode()) for event in events]


def _post(port: int, seconds: float) -> list[str]:
    """The bodies that were answered with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    told, until = list[str](), time.monotonic() + seconds
    while time.monotonic() < until:
        body = json.dumps({"name": "PACKAGE_CREATE", "packageId": secrets.token_hex(12)})
        connection.request("POST", "/callbacks/onespan", body, {"Authorization": f"Basic {KEY}"})
        answer = connection.getresponse()
        answer.read()
        if answer.status == 200:
            told.append(body)
    connection.close()
    return told


def _at_once(works: Sequence[Callable[[], list[str]]]) -> list[str]:
    """Do all of it in threads; what all of them told."""
    told: list[str] = []

    def do(work: Callable[[], list[str]]) -> None:
        told.extend(work())

    threads = [threading.Thread(target=do, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


# Other ways


class Variant(NamedTuple):
    """A table that draws its positions in another way, and how it is read."""

    makes: Sequence[str]
    reads: str = "SELECT position, body FROM drawn WHERE position > %s ORDER BY position"


_TABLE: Final = "CREATE TABLE drawn (position bigserial PRIMARY KEY, body text NOT NULL)"
VARIANTS: Final = {
    "a sequence": Variant([_TABLE]),
    # The number is drawn before the trigger is asked.
    "a lock in a row's trigger": Variant(
        [
            _TABLE,
            "CREATE FUNCTION take() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END $$",
            "CREATE TRIGGER take BEFORE INSERT ON drawn FOR EACH ROW EXECUTE FUNCTION take()",
        ]
    ),
    # Transactions do not draw their positions in the order in which they began.
    "a sequence, below the oldest transaction": Variant(
        [_TABLE],
        "SELECT position, body FROM drawn WHERE position > %s "
        "AND xmin::text::bigint < pg_snapshot_xmin(pg_current_snapshot())::text::bigint ORDER BY position",
    ),
}


def variant(server: Server, name: str, seconds: float) -> Outcome:
    """Let writers insert in that way for so long."""
    with tempfile.TemporaryDirectory() as folder:
        postgres.mark(Path(folder), server)
        try:
            url = postgres.url(Path(folder))
            assert url is not None
            return _written_to(url, VARIANTS[name], seconds)
        finally:
            postgres.unmark(Path(folder), server)


def _written_to(url: str, how: Variant, seconds: float) -> Outcome:
    postgres.tell(url, *how.makes, _SLOW.format(table="drawn"))
    with psycopg.connect(postgres.plain(url), autocommit=True) as reading:
        tail = Tail(lambda after: reading.execute(how.reads.encode(), (after,)).fetchall())
        tail.start()
        written = _at_once([functools.partial(_insert, url, seconds)] * WRITERS)
        return Outcome(written, tail.end())


def _insert(url: str, seconds: float) -> list[str]:
    """The bodies that were committed. Each transaction does something else before, as ours do with a claim."""
    told, until = list[str](), time.monotonic() + seconds
    with psycopg.connect(postgres.plain(url), autocommit=True) as connection:
        while time.monotonic() < until:
            body = secrets.token_hex(12)
            with connection.transaction():
                connection.execute("SELECT pg_current_xact_id()")
                connection.execute("INSERT INTO drawn (body) VALUES (%s)", (body,))
            told.append(body)
    return told


def lines(server: Server, seconds: float, count: int = DOORS) -> Iterator[tuple[str, Outcome]]:
    """Each way with what came of it, ours first."""
    yield f"{count} doors", doors(server, seconds, count)
    for name in VARIANTS:
        yield name, variant(server, name, seconds)


def main() -> None:
    """Print a line for each way; exit 1 if ours lost something, or another one nothing."""
    seconds, fine = float(sys.argv[1] if len(sys.argv) > 1 else 10), True
    with postgres.server() as server:
        for name, found in lines(server, seconds):
            ours = name.endswith("doors")
            print(f"{name:<42} {len(found.written):>7} written, {found.missed:>5} missed, {found.twice} twice")
            fine &= (found.missed == 0 and found.twice == 0 and found.dense) if ours else found.missed > 0
    sys.exit(not fine)


if __name__ == "__main__":
    main()
