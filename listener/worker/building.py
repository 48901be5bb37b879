"""Building a whole generation, from the first event on: in parts, which are put in while others are made."""

from collections.abc import Callable, Sequence
from typing import Final

from listener.acts import Subject
from listener.log import reader
from listener.log.database import Database
from listener.views import Views
from listener.worker import crew, intake
from listener.worker.crew import Made, Process
from listener.worker.gathering import gathering
from listener.worker.piece import Stretch
from listener.worker.share import Job

Told = Callable[[int], None]  # so many more events were taken in
About = Callable[[Stretch], None]  # these are to be taken in next

EVENTS: Final = 25_000  # of a section, and about of a partition: all of its states are in memory at once
WORTH_PROCESSES: Final = 20_000  # events: fewer are folded before other processes have begun
PROCESSES: Final = 2  # each takes 100 MB


def build(
    database: Database,
    generation: Views,
    origin: str,
    fingerprint: str,
    until: int,
    told: Told = lambda _events: None,
    only: Subject | None = None,
    alone: Stretch | None = None,
    about: About = lambda _stretch: None,
) -> None:
    """Make the generation of all events up to a position, or `only` one subject's part of it.

    Those of the stretch `alone` are taken in one by one. `about` hears what is to be taken in by this process; of
    others, Died is raised if they end before their time. Nobody may look at the generation before this returns. What
    was killed half way is of no use, and is thrown away by whoever builds next.
    """
    with database.reading() as log:
        log_id = reader.log_id(log)
    processes = PROCESSES if until >= WORTH_PROCESSES else 0
    with (
        crew.hired(processes) as hired,
        generation.workshop() as folder,
        generation.building(log_id, origin) as connection,
    ):
        sections = _sections(until, processes or 1)
        partitions = 1 if only else sections
        job = Job(
            database.address, str(folder), until, sections, partitions, processes or 1, 0, fingerprint, alone, only
        )
        with gathering(connection, job) as made:
            _work(database, hired, job, told, about, made)
            told(0)  # what waits to be put in takes room, too
        if until:
            with database.reading() as log:
                intake.arrive(log, connection, 0, until, fingerprint)


def _sections(until: int, processes: int) -> int:
    """As many for each: none waits for another."""
    return processes * (-(-until // (EVENTS * processes)) or 1)


def _work(database: Database, hired: Sequence[Process], job: Job, told: Told, about: About, made: Made) -> None:
    progress = _Progress(told)
    if hired:
        crew.work_there(hired, job, progress.count, made)
        return

    def tell(stretch: Stretch, done: int) -> None:
        progress.count(done)
        about(stretch)

    crew.work_here(database.engine, job, tell, made)


class _Progress:
    """Every event is read once and folded once: half of it is taken in by each."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._halves = 0

    def count(self, done: int) -> None:
        """So many more were read, or folded."""
        before, self._halves = self._halves, self._halves + done
        self._told(self._halves // 2 - before // 2)
