"""Of all who would fetch a document one does, and what the log knows already nobody does."""

import multiprocessing
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from listener import acts, errors, leases
from listener.acts import Act, Artifact
from listener.leases import SignOfLife
from listener.log import event
from listener.log.append import now
from listener.log.postgres import Postgres
from listener.worker import claims, generations
from listener.worker.claims import Claims
from projections import facts
from tests import postgres
from tests.rig import ID, SOURCE, ZIP, Log, Worker, add, artifact, body, callback, failed

SUBJECTS = [f"package-{number}" for number in range(20)]
FOLDED = 1000  # views that have seen everything there is
STORED = Act(facts.STORED, attempt=1, sha256="00", size=1, path="x")


def claiming(log: Log, holder: str = "here:1") -> Claims:
    """Claims on a log whose first generation is live."""
    with log.database.writing() as connection:
        generations.flip(connection, 1)
    return Claims(log.database, holder)


def rows(log: Log) -> list[tuple[object, ...]]:
    """Holder and fence of each claim."""
    with log.database.reading() as connection:
        return [tuple(row) for row in connection.exec_driver_sql("SELECT holder, fence FROM claims ORDER BY subject")]


def test_a_claim_is_taken_once(each_engine: Path) -> None:
    """Whoever comes second goes away, whoever it is; another document is another claim."""
    with Log(each_engine) as log:
        first, second = claiming(log), claiming(log, "here:2")
        assert first.take(artifact(), 1, FOLDED) == 1
        assert second.take(artifact(), 1, FOLDED) is None
        assert first.take(artifact(), 1, FOLDED) is None
        assert second.take(artifact(name="evidence.pdf"), 1, FOLDED) == 1


def race(work: Callable[[list[str]], None], workers: int = 4) -> list[str]:
    """Let several threads do it at once; what they won."""
    won: list[str] = []
    threads = [threading.Thread(target=work, args=(won,)) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won


def take_all(found: Claims, won: list[str]) -> None:
    """Take whatever can be taken."""
    won.extend(subject for subject in SUBJECTS if found.take(artifact(subject), 1, FOLDED))


def test_of_many_threads_one_wins(each_engine: Path) -> None:
    """Every document is won, and none twice, by one process's threads."""
    with Log(each_engine) as log:
        found = claiming(log)
        won = race(lambda won: take_all(found, won))
    assert sorted(won) == sorted(SUBJECTS)


def test_a_race_that_is_lost_would_show(each_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With leases that are over at once, the same threads win the same documents again and again."""
    monkeypatch.setattr(claims, "LEASE", 0)
    with Log(each_engine) as log:
        found = claiming(log)
        won = race(lambda won: take_all(found, won))
    assert len(won) > len(set(won))


def take_elsewhere(folder: Path, holder: str, won: "multiprocessing.Queue[list[str]]") -> None:
    """For another process: take whatever can be taken."""
    with Log(folder) as log:
        mine: list[str] = []
        take_all(claiming(log, holder), mine)
        won.put(mine)


def test_of_many_processes_one_wins(each_engine: Path) -> None:
    """Every document is won, and none twice, by any process."""
    spawn = multiprocessing.get_context("spawn")
    with Log(each_engine):
        won: multiprocessing.Queue[list[str]] = spawn.Queue()
        others = [spawn.Process(target=take_elsewhere, args=(each_engine, f"here:{n}", won)) for n in range(3)]
        for other in others:
            other.start()
        found = [subject for _ in others for subject in won.get(timeout=60)]
        for other in others:
            other.join()
    assert sorted(found) == sorted(SUBJECTS)


@pytest.mark.parametrize("subject", ["a\x00b", "\x01\x01", "\x01", "\x00\x01\x02", "\x7f\u2028😀", ""])
def test_any_subject_can_be_claimed(each_engine: Path, subject: str) -> None:
    """A stranger chose its letters: each is a claim of its own, and its outcome is found."""
    with Log(each_engine) as log:
        found = claiming(log)
        for claimed in (artifact(subject), artifact(f"{subject}x")):
            assert found.take(claimed, 1, FOLDED) == 1
            assert found.take(claimed, 1, FOLDED) is None
        found.settle(artifact(subject), 1, acts.outcome(artifact(subject), "onespan", STORED))
        assert found.take(artifact(subject), 1, FOLDED) is None


def test_a_wish_of_views_that_are_not_live_is_not_granted(each_engine: Path) -> None:
    """An older generation, a newer one, and any while none is live; the live one's wish is."""
    with Log(each_engine) as log:
        assert Claims(log.database, "here:1").take(artifact(), 1, FOLDED) is None
        found = claiming(log)
        assert found.take(artifact(), 2, FOLDED) is None
        assert found.take(artifact(), 0, FOLDED) is None
        assert rows(log) == []
        assert found.take(artifact(), 1, FOLDED) == 1


def test_a_wish_of_views_that_have_not_seen_our_last_act_is_not_granted(each_engine: Path) -> None:
    """The outcome stands behind what they folded; once they folded it, it is theirs to say what is due."""
    with Log(each_engine) as log:
        found = claiming(log)
        [position] = add(log.database, failed())
        assert found.take(artifact(), 1, position - 1) is None
        assert found.take(artifact(), 1, position) == 1


def test_what_others_did_is_no_concern(each_engine: Path) -> None:
    """Outcomes about another document, of another subject or source, hold nothing up."""
    with Log(each_engine) as log:
        found = claiming(log)
        other = Artifact("other_source", artifact().subject, ZIP)
        for known in (artifact(name="evidence.pdf"), artifact("other"), other):
            add(log.database, acts.outcome(known, "onespan", STORED))
        assert found.take(artifact(), 1, 0) == 1


@pytest.mark.parametrize("after", [[], [failed()], [acts.outcome(artifact(), "onespan", Act(facts.ABANDONED))]])
def test_what_the_log_says_is_stored_is_never_claimed_again(each_engine: Path, after: list[event.Draft]) -> None:
    """Whatever the views believe, and whatever came later."""
    with Log(each_engine) as log:
        found = claiming(log)
        add(log.database, acts.outcome(artifact(), "onespan", STORED), *after)
        assert found.take(artifact(), 1, FOLDED) is None
        assert rows(log) == []


def test_a_callback_that_pretends_to_be_an_outcome_is_none(each_engine: Path) -> None:
    """Only our own acts count, not what was received with the same words."""
    with Log(each_engine) as log:
        forged = acts.outcome(artifact(), "onespan", STORED)
        add(log.database, body(forged.body)._replace(path=forged.path), callback("PACKAGE_COMPLETE"))
        assert claiming(log).take(artifact(), 1, FOLDED) == 1


def test_settling_appends_the_outcome_and_frees_the_claim(each_engine: Path) -> None:
    """Both at once; without an outcome the claim is only freed."""
    with Log(each_engine) as log:
        found = claiming(log)
        fence = found.take(artifact(), 1, FOLDED)
        assert fence == 1
        found.settle(artifact(), fence, None)
        assert (log.outcomes(), rows(log)) == ([], [(None, 1)])
        fence = found.take(artifact(), 1, FOLDED)
        assert fence == 2
        found.settle(artifact(), fence, failed())
        assert [act.action for act in log.outcomes()] == [facts.FAILED]
        assert rows(log) == [(None, 2)]


def test_an_expired_lease_goes_to_the_next_and_the_old_holder_is_superseded(
    each_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who took too long appends nothing, and does not free what is another's now."""
    with Log(each_engine) as log:
        slow, next_one = claiming(log), claiming(log, "here:2")
        monkeypatch.setattr(claims, "LEASE", 0)
        old = slow.take(artifact(), 1, FOLDED)
        monkeypatch.setattr(claims, "LEASE", 10**9)
        new = next_one.take(artifact(), 1, FOLDED)
        assert (old, new) == (1, 2)
        for outcome in (failed(), acts.outcome(artifact(), "onespan", STORED), None):
            with pytest.raises(errors.Superseded):
                slow.settle(artifact(), 1, outcome)
        assert log.outcomes() == []
        assert rows(log) == [("here:2", 2)]
        next_one.settle(artifact(), 2, acts.outcome(artifact(), "onespan", STORED))
        assert log.stored() == [(artifact().subject, ZIP)]


def test_a_lease_that_has_not_expired_stays(each_engine: Path) -> None:
    """And it is longer than a fetch may take."""
    with Log(each_engine) as log:
        claiming(log).take(artifact(), 1, FOLDED)
        with log.database.reading() as connection:
            until = connection.exec_driver_sql("SELECT leased_until FROM claims").scalar_one()
        assert until > now() + 10 * 60 * 1_000_000
        assert claiming(log, "here:2").take(artifact(), 1, FOLDED) is None


def test_a_claim_cannot_be_settled_twice(each_engine: Path) -> None:
    """Nor by who never had it, nor under a fence of the past or the future."""
    with Log(each_engine) as log:
        found = claiming(log)
        assert found.take(artifact(), 1, FOLDED) == 1
        for who, fence in ((found, 0), (found, 2), (claiming(log, "here:2"), 1)):
            with pytest.raises(errors.Superseded):
                who.settle(artifact(), fence, failed())
        with pytest.raises(errors.Superseded):
            found.settle(artifact("other"), 1, failed())
        found.settle(artifact(), 1, failed())
        with pytest.raises(errors.Superseded):
            found.settle(artifact(), 1, failed())
        assert len(log.outcomes()) == 1


def test_an_outcome_that_cannot_be_appended_frees_nothing(each_engine: Path) -> None:
    """Claim and outcome are one transaction."""
    with Log(each_engine) as log:
        found = claiming(log)
        assert found.take(artifact(), 1, FOLDED) == 1
        with pytest.raises(Exception, match=r"(?i)not.null"):
            found.settle(artifact(), 1, failed()._replace(kind=None))  # type: ignore[arg-type]
        assert rows(log) == [("here:1", 1)]
        found.settle(artifact(), 1, failed())


def test_a_new_worker_forgets_the_claims_of_the_dead(tmp_path: Path) -> None:
    """What was held is free at once, and a holder that was not dead after all is superseded."""
    with Worker(tmp_path) as worker:
        worker.projector.catch_up()
        old = Claims(worker.database, "here:1")
        assert old.take(artifact(), 1, FOLDED) == 1
        worker.restart()
        with pytest.raises(errors.Superseded):
            old.settle(artifact(), 1, failed())
        assert Claims(worker.database, "here:2").take(artifact(), 1, FOLDED) == 2
        assert worker.outcomes() == []


# Shared between workers


def sharing(log: Log, holder: str) -> Claims:
    """Claims of one of several workers."""
    claiming(log)
    return Claims(log.database, holder, shared=True)


def living(log: Log, holder: str) -> SignOfLife:
    """What says that a worker lives, while the block does."""
    assert isinstance(log.database, Postgres)
    return SignOfLife(log.database, holder)


def test_a_claim_stands_while_its_holder_lives(on_postgres: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker leaves it alone until the one who made it is gone; who was only away for long is superseded."""
    monkeypatch.setattr(claims, "GONE", 0)
    with Log(on_postgres) as log, living(log, "b"):
        first, second = sharing(log, "a"), sharing(log, "b")
        with living(log, "a"):
            assert first.take(artifact(), 1, FOLDED) == 1
            assert second.take(artifact(), 1, FOLDED) is None
            assert (first.taken(SOURCE), second.taken(SOURCE)) == ({ID}, {ID})
            assert second.taken("other_source") == set()
        assert second.taken(SOURCE) == set()
        assert second.take(artifact(), 1, FOLDED) == 2
        with pytest.raises(errors.Superseded):
            first.settle(artifact(), 1, failed())
        second.settle(artifact(), 2, failed())
        assert len(log.outcomes()) == 1


def test_whoever_was_not_heard_of_for_a_moment_keeps_its_claims(
    on_postgres: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is away for some seconds must not make two workers fetch the same."""
    monkeypatch.setattr(leases, "BEAT_SECONDS", 3600)
    with Log(on_postgres) as log, living(log, "a"), living(log, "b"):
        assert sharing(log, "a").take(artifact(), 1, FOLDED) == 1
        silent(log, "a", 0)
        assert sharing(log, "b").take(artifact(), 1, FOLDED) is None
        silent(log, "a", claims.GONE)
        silent(log, "b", 0)
        assert sharing(log, "b").take(artifact(), 1, FOLDED) == 2


def silent(log: Log, holder: str, seconds: int) -> None:
    """Let the lease of a worker have ended so long ago."""
    ended = f"{leases.CLOCK} - {seconds * 1_000_000}"
    postgres.tell(log.database.address, f"UPDATE leases SET until = {ended} WHERE holder = '{holder}'")


def test_whoever_is_taken_for_dead_claims_nothing(on_postgres: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """His claim would be free at once, and two would fetch the same; when he was heard of, he claims."""
    monkeypatch.setattr(leases, "BEAT_SECONDS", 3600)
    with Log(on_postgres) as log:
        with living(log, "a"):
            silent(log, "a", claims.GONE)
            assert sharing(log, "a").take(artifact(), 1, FOLDED) is None
            assert rows(log) == []
        with living(log, "a"):
            assert sharing(log, "a").take(artifact(), 1, FOLDED) == 1


def test_the_clock_of_a_worker_does_not_matter(on_postgres: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that goes wrong by a day frees nobody's claim, and keeps none."""
    with Log(on_postgres) as log:
        claiming(log).take(artifact(), 1, FOLDED)
        monkeypatch.setattr(time, "time_ns", lambda: (now() + 86_400_000_000) * 1000)
        assert claiming(log, "here:2").take(artifact(), 1, FOLDED) is None
