"""Compares what we know with what a provider says: what moved there, and what the views leave open.

Whatever it was killed in, it goes on there: each answer is in the log, each question on the agenda, and how far a list
was read stands beside them.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from sqlalchemy import select

from listener import bookkeeping, erased, errors, rows
from listener.agenda import COMMAND, WORKER, Agenda, Round
from listener.api import Listed
from listener.interpreter import Interpreter
from listener.log import schema
from listener.log.append import now
from listener.log.database import Database
from listener.watched import QUIET
from listener.worker import due, observe, unsettled
from listener.worker.due import Account
from listener.worker.findings import Findings, Missed
from listener.worker.live import Live
from listener.worker.observe import Heard, Observer
from projections import course, facts, packages
from projections.facts import Fact
from projections.packages import State

PACE: Final = 0.2  # seconds between two questions to one source; nobody publishes how many are too many
_IN_A_ROW: Final = 3  # questions without a usable answer, until it is the API, and not one subject
_AT_ONCE: Final = 100

Pause = Callable[[float], bool]  # waits so many seconds; whether to stop
Tell = Callable[[int, int], None]  # how much more was done, of how much in all


class Order(NamedTuple):
    """What is wanted: the worker's next round; or by command now, back to a time (microseconds) if one is named."""

    who: str = WORKER
    since: int | None = None

    @property
    def at_once(self) -> bool:
        """Whether to ask although a callback may still be on its way."""
        return self.who == COMMAND


class Reconciler:
    """Goes through sources, each on its own: several may be under way at once."""

    def __init__(self, database: Database, agenda: Agenda, live: Live, accounts: Mapping[str, Account]) -> None:
        self.database = database
        self.agenda = agenda
        self.live = live
        self.accounts = accounts
        self._lists = {source: account.lister is not None for source, account in accounts.items()}

    def run(
        self, source: str, order: Order, findings: Findings, pause: Pause, tell: Tell = lambda _m, _w: None
    ) -> bool:
        """Go through a source; whether that came to its end. Raises ProviderError where the API is in the way.

        An agenda that is damaged is thrown away: the next time everything is asked.
        """
        try:
            return self._run(source, order, findings, pause, tell)
        except errors.AgendaDamaged:
            self.agenda.discard()
            raise

    def _run(self, source: str, order: Order, findings: Findings, pause: Pause, tell: Tell) -> bool:
        live = self.live.views()
        unsettled.note(self.agenda, self.database, live, self._lists)
        if order.since is not None and not self._lists[source]:
            self.agenda.again(unsettled.since(live, source, order.since))
        known = self.agenda.begin(source, order.who, now(), self._first(), order.since)
        turn = _Turn(self, source, order, known, findings, pause)
        try:
            done = turn.compare() and turn.ask(tell)
        except errors.ProviderError as error:
            self.agenda.troubled(source, order.who, now(), str(error))
            raise
        if done:
            self.agenda.finish(source, order.who, now())
        return done

    def _first(self) -> int:
        """When the log began: of what was before, nobody was to be told."""
        with self.database.reading() as connection:
            first = select(schema.log.c.created_at).order_by(schema.log.c.first_position).limit(1)
            return connection.scalar(first) or now()


class _Turn:
    """Once through one source."""

    def __init__(
        self, of: Reconciler, source: str, order: Order, known: Round, findings: Findings, pause: Pause
    ) -> None:
        self._database = of.database
        self._agenda = of.agenda
        self._live = of.live
        self._account = of.accounts[source]
        self._observer = Observer(of.database)
        self._source = source
        self._order = order
        self._known = known
        self._findings = findings
        self._pause = pause
        self._answers = False  # whether the API has answered anything in this turn
        self._without_answer = 0
        self._in_vain = dict[str, errors.ProviderError]()  # what is not asked for again in this turn

    def compare(self) -> bool:
        """Go through what the provider lists, if it does; False if we are to stop."""
        if self._account.lister is None:
            return True
        for page in self._account.lister.updated(self._known.since, self._known.cursor):
            states = self._states([listed.subject for listed in page.listed])
            for listed in page.listed:
                if self._may_be_told_yet(listed):
                    continue
                if _same(states.get(listed.subject), listed):
                    self._findings.add(agrees=True)
                else:  # asked with all others, so that one that cannot be had now stays due
                    self._agenda.notice(self._source, listed.subject, self._known.began - 1)
            self._agenda.move(self._source, self._order.who, page.cursor)
            if self._pause(PACE):
                return False
        self._answers = True
        return True

    def ask(self, tell: Tell) -> bool:
        """Ask for each subject that is due; False if we are to stop. Raises ProviderError if none had an answer."""
        done = 0
        while found := self._due():
            for number, subject in enumerate(found):
                if not self._question(subject):
                    return False
                done += 1
                tell(1, done + len(found) - number - 1)
        if self._in_vain and not self._answers:
            raise next(iter(self._in_vain.values()))
        return True

    def _due(self) -> list[str]:
        most = _AT_ONCE + len(self._in_vain)
        found = self._agenda.due(self._source, now(), self._known.began, self._order.at_once, most)
        return [subject for subject in found if subject not in self._in_vain]

    def _may_be_told_yet(self, listed: Listed) -> bool:
        """Whether a callback of it may be on its way; the next round goes back as far as that."""
        return not self._order.at_once and listed.updated > now() - QUIET

    def _question(self, subject: str) -> bool:
        """Ask for one subject, and note what comes of it; False if we are to stop."""
        if self._is_erased(subject):
            self._agenda.forget(self._source, subject)
            return True
        if self._pause(PACE):
            return False
        state = self._states([subject]).get(subject)
        try:
            heard = self._hear(subject, state or State())
        except errors.Superseded:  # it was erased meanwhile
            return True
        except (errors.Unusable, errors.Unauthorized) as error:
            self._bear(subject, error)
        except errors.ProviderError as error:  # an answer, if none that says where it stands
            self._findings.lack(self._source, subject, error)
            self._note(subject)
        else:
            self._note(subject, heard.head)
            self._take(subject, state, heard)
        return True

    def _note(self, subject: str, answered: int | None = None) -> None:
        """It was asked for in this round, and the API answers."""
        self._answers, self._without_answer = True, 0
        at = max(now(), self._known.began)  # whatever our clock says by now
        self._agenda.asked(self._source, subject, at, answered)

    def _bear(self, subject: str, error: errors.ProviderError) -> None:
        """Go on, unless it is the API that does not answer, and not one subject that cannot be had.

        An outage must cost no subject its turn. One that was in vain before, while others are answered, has had it.
        """
        self._findings.lack(self._source, subject, error)
        before = self._agenda.tried(self._source, subject, self._known.began)
        if isinstance(error, errors.Unauthorized) or error.retry_after is not None:
            raise error
        if before and self._answers:
            self._note(subject)
            return
        self._in_vain[subject] = error
        self._without_answer += 1
        if self._without_answer >= _IN_A_ROW:
            raise error

    def _is_erased(self, subject: str) -> bool:
        with self._database.reading() as connection:
            return erased.when(connection, self._source, subject) is not None

    def _hear(self, subject: str, state: State) -> Heard:
        account, live = self._account, self._live.views()
        return self._observer.hear(account.provider, account.api, self._source, subject, live, due.told(state))

    def _take(self, subject: str, state: State | None, heard: Heard) -> None:
        fact = _fact(heard)
        if fact is None or fact.status is None:  # they do not know it, or it is not for us
            self._findings.add(agrees=None)
            return
        self._findings.add(agrees=state is not None and state.standing.status == fact.status)
        if heard.news and fact.stage == facts.COMPLETED and not self._is_told(subject):
            self._findings.missing.append(Missed(self._source, subject, fact.status))

    def _is_told(self, subject: str) -> bool:
        """Whether a callback told of the completion, also one that nobody has folded yet."""
        with self._live.views().reading() as connection:
            folded = bookkeeping.checkpoint(connection).position
        state = self._states([subject]).get(subject)  # as far as that, or further
        if state is not None and course.told_by_callback(state.course):
            return True
        with self._database.reading() as log:
            behind = observe.called_back(log, self._source, subject, folded)
            return any(map(course.tells_of_completion, behind))

    def _states(self, subjects: list[str]) -> Mapping[str, State]:
        with self._live.views().reading() as connection:
            found = rows.load(connection, packages, [(self._source, subject) for subject in subjects])
        return {str(subject): state for (_, subject), state in found.items()}


def _fact(heard: Heard) -> Fact | None:
    try:
        return next(iter(Interpreter().facts(heard.kept)), None)
    except errors.Fault:  # whoever folds it tells of it
        return None


def _same(state: State | None, listed: Listed) -> bool:
    return state is not None and (state.standing.status, state.standing.trashed) == (listed.status, listed.trashed)
