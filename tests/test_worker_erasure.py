"""Erasing: nothing of it is left in any file, nothing else is touched, and nothing brings it back."""

import contextlib
import json
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from sqlalchemy import event as sqlalchemy_event

from listener import (
    acts,
    bookkeeping,
    bootstrap,
    bootstrap_erasing,
    decisions,
    errors,
    fingerprint,
    holds,
)
from listener.acts import Artifact
from listener.desk import status
from listener.leases import SignOfLife
from listener.log import erase as erased_log
from listener.log import event, reader, schema
from listener.log.append import now
from listener.log.database import Database
from listener.log.event import Draft, Event
from listener.log.postgres import Postgres
from listener.only import OnlyOne
from listener.shelf import shelf
from listener.views import Views
from listener.worker import claims, places
from listener.worker.blanking import Order, blank_subject
from listener.worker.catching_up import fold_next
from listener.worker.claims import Claims
from listener.worker.erasure import Erased, Erasure
from projections import course, facts
from tests import logbook, rig
from tests.rig import holds as found_in
from tests.rig import in_file
from tests.site import DASHED, ID, ONESPAN, Site, callback, failed, observation, stored

ORDER = Order("operator", "asked for by the signer")
SECRETS = ("Rumpelstilzchen", "Schneewittchen", "Rotkaeppchen", "Dornroeschen", "Rapunzel", "Aschenputtel")
OTHERS = ("Haensel", "Gretel")
NAMED = '[["content-type","application/json"],["x-note","Rapunzel"]]'


def told(subject: str, *words: str) -> list[Draft]:
    """A life of a package that speaks of people in every way that an event can."""
    reason, signer, document, header, outcome = words
    answer = {"status": "DECLINED", "signers": [{"id": signer, "name": signer}], "reason": reason}
    return [
        callback("PACKAGE_CREATE", subject),
        callback("PACKAGE_COMPLETE", subject),
        callback("DOCUMENT_SIGNED", subject, sessionUser=signer, documentId=document),
        callback("PACKAGE_DECLINE", subject, message=reason)._replace(headers=NAMED.replace("Rapunzel", header)),
        observation(answer, subject),
        failed("evidence.pdf", subject, reason=outcome),
        stored("documents.zip", subject),
        callback("PACKAGE_ATTACHMENT", subject, message=reason * 3000, sessionUser=signer),
    ]


def site_of(tmp_path: Path) -> Site:
    """Two packages, of which one is to be erased; a second generation of the views, and a plan beside it."""
    site = Site(tmp_path, ONESPAN)
    site.filled(*told(ID, *SECRETS[:5]), *told(DASHED, *(OTHERS * 3)[:5]))
    replayed(site)
    with site.opened() as database:
        bootstrap.replay(site.settings, database).plan()
    refused = {"name": "PACKAGE_DECLINE", "packageId": ID, "message": SECRETS[5]}
    site.refuse(json.dumps(refused).encode())
    site.refuse(json.dumps({**refused, "packageId": DASHED, "message": OTHERS[0]}).encode())
    return site


def replayed(site: Site) -> None:
    """Apply a replay, so that a generation lies beside the one that is shown."""
    with site.opened() as database:
        known = bootstrap.replay(site.settings, database)
        known.apply(known.plan().digest, "operator")


@contextlib.contextmanager
def erasing(site: Site) -> Iterator[tuple[Erasure, Database]]:
    """What erases."""
    with site.opened() as database, bootstrap_erasing.erasure(site.settings, database) as erasure:
        yield erasure, database


def erase(site: Site, subject: str = ID, **options: Any) -> Erased:
    """Erase a package."""
    with erasing(site) as (erasure, _):
        return erasure.subject(("onespan", subject), ORDER, **options)


def events(site: Site) -> list[Event]:
    """The whole log."""
    with site.opened() as database:
        return list(reader.every(database))


def standing(site: Site) -> dict[str, Any]:
    """Every subject by its id."""
    with site.looked_at() as at:
        return {one["id"]: one for one in status.several(at, status.Filter())}


def test_nothing_is_left_in_any_row(on_postgres: Path) -> None:
    """Of a server's tables; and of all views only those are there that never held it."""
    site = site_of(on_postgres)
    assert found_in(site.data, SECRETS) == list(SECRETS)
    found = erase(site)
    assert found_in(site.data, SECRETS) == []
    assert found_in(site.data, OTHERS) == list(OTHERS)
    assert (found.positions, found.quarantined) == (tuple(range(2, 10)), (1,))
    with site.opened() as database, database.reading() as log:
        named = "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, 'signlog')"
        assert list(log.exec_driver_sql(named).scalars()) == ["signlog_views_3"]


def test_nothing_is_left_in_any_file(tmp_path: Path) -> None:
    """Of what callbacks, answers, outcomes, headers and refused callbacks said; and it was there before."""
    site = site_of(tmp_path)
    assert found_in(site.data, SECRETS) == list(SECRETS)
    found = erase(site)
    assert found_in(site.data, SECRETS) == []
    assert found_in(site.data, OTHERS) == list(OTHERS)
    assert (found.positions, found.quarantined) == (tuple(range(2, 10)), (1,))
    assert [path.name for path in site.data.glob("signlog-views-*.db")] == ["signlog-views-3.db"]


def test_what_is_sealed_stays(each_engine: Path) -> None:
    """Every leaf, every place, every time: only body, headers and salt are blank, and the decision names them."""
    site = site_of(each_engine)
    before = events(site)
    found = erase(site)
    after = events(site)
    assert after[: len(before)] == [
        each._replace(body=None, headers=None, salt=None) if each.position in found.positions else each
        for each in before
    ]
    decision = after[found.decided - 1]
    act = acts.read(decision)
    assert (decision.kind, act.action, act.source, act.subject) == (event.DECISION, "erased", "onespan", ID)
    assert (act.positions, act.reason, act.operator) == (found.positions, ORDER.reason, ORDER.operator)
    with site.opened() as database, database.reading() as log:
        noted = log.execute(text("SELECT position, decided FROM erasures ORDER BY position")).all()
    assert [tuple(row) for row in noted] == [(position, found.decided) for position in found.positions]


def test_nobody_else_is_touched(each_engine: Path) -> None:
    """What is known of the other package is what was known before."""
    site = site_of(each_engine)
    before = standing(site)
    erase(site)
    assert standing(site) == {DASHED: before[DASHED]}


def test_a_replay_makes_no_difference(each_engine: Path) -> None:
    """The views are what the log says, and the plan of before is gone: it spoke of what is erased."""
    site = site_of(each_engine)
    erase(site)
    with site.opened() as database:
        known = bootstrap.replay(site.settings, database)
        assert known.planned() is None
        assert known.plan().different is False
        with pytest.raises(errors.ReplayRefused, match="nothing to go back to"):
            known.roll_back("operator")


def test_what_is_known_of_it_is_that_it_was_erased(each_engine: Path) -> None:
    """In its timeline, with the reason; and nothing else."""
    site = site_of(each_engine)
    found = erase(site)
    with site.looked_at() as at:
        history = status.history(at, "onespan", ID)
    assert [(one["position"], one["what"], one["text"]) for one in history] == [
        (found.decided, "erased", f"erased: {ORDER.reason}")
    ]


def test_documents_go_where_it_is_asked_for(tmp_path: Path) -> None:
    """Those of the package, and their folder; without that they stay."""
    site = site_of(tmp_path)
    folder = site.data / "documents" / "onespan"
    for subject in (ID, DASHED):
        path = site.data / "documents" / places.place(Artifact("onespan", subject, "documents.zip"))
        path.parent.mkdir(parents=True)
        path.write_bytes(b"PK signed by Rumpelstilzchen")
    assert erase(site).documents == ()
    assert len(list(folder.iterdir())) == 2
    [removed] = erase(site, documents=True).documents
    assert removed.startswith("onespan/LWsUTvGgE4WpOvaQPT16idnxNj8=")
    assert len(list(folder.iterdir())) == 1
    assert list(folder.rglob("*.zip")) == [
        site.data / "documents" / places.place(Artifact("onespan", DASHED, "documents.zip"))
    ]


# What comes afterwards


def late(site: Site, *drafts: Draft) -> None:
    """Append and fold what comes when it is all over."""
    with site.opened() as database:
        rig.add(database, *drafts)
    site.fold()


def test_an_erased_package_wants_nothing_again(tmp_path: Path) -> None:
    """Though a completion comes late: not as it comes, not after a replay, and no claim is given on its documents."""
    site = site_of(tmp_path)
    erase(site)
    late(site, callback("PACKAGE_COMPLETE"))
    assert (standing(site)[ID]["stage"], standing(site)[ID]["artifacts"]) == ("completed", [])
    replayed(site)
    assert standing(site)[ID]["artifacts"] == []
    with site.looked_at() as at:
        folded, generation = reader.head(at.log), at.log.execute(text("SELECT generation FROM live")).scalar_one()
    with site.opened() as database:
        claims = Claims(database, "somebody")
        assert claims.take(Artifact("onespan", ID, "documents.zip"), generation, folded) is None
        assert claims.take(Artifact("onespan", DASHED, "evidence.pdf"), generation, folded) is not None


def test_others_go_on_wanting(tmp_path: Path) -> None:
    """A package that completes after an erasure is no erased one."""
    site = site_of(tmp_path)
    erase(site)
    late(site, callback("PACKAGE_COMPLETE", "another"))
    assert len(standing(site)["another"]["artifacts"]) == 2


def test_what_comes_late_is_erased_as_well(each_engine: Path) -> None:
    """By a second decision, which names only what came since; a third finds nothing to do, and says which was last."""
    site = site_of(each_engine)
    first = erase(site)
    late(site, callback("PACKAGE_DECLINE", message=SECRETS[0]))
    assert found_in(site.data, SECRETS) == [SECRETS[0]]
    second = erase(site)
    assert (len(second.positions), second.decided > first.decided) == (1, True)
    assert found_in(site.data, SECRETS) == []
    assert erase(site) == Erased(second.decided, ())


def test_what_came_late_and_is_folded_already_is_kept(tmp_path: Path) -> None:
    """Only what the decision names is erased: of an event that came behind it, the new views tell."""
    site = site_of(tmp_path)
    with erasing(site) as (erasure, database), erasure._renewal.shown() as live:
        blank_subject(database, live, ("onespan", ID), ORDER)
    late(site, callback("PACKAGE_DELETE"))
    with erasing(site) as (erasure, _):
        erasure._renewal.renew([("onespan", ID)], (), "operator", worker_runs=False)
    assert standing(site)[ID]["stage"] == "deleted"
    assert (standing(site)[ID]["signers"], standing(site)[ID]["reason"]) == ([], None)


def test_who_was_killed_half_way_asks_again(each_engine: Path) -> None:
    """The log was blank, the views were not: the same command does the rest, and decides nothing anew."""
    site = site_of(each_engine)
    with erasing(site) as (erasure, database), erasure._renewal.shown() as live:
        blanked = blank_subject(database, live, ("onespan", ID), ORDER)
    assert found_in(site.data, SECRETS) != []
    assert erase(site).decided == blanked.decided
    assert found_in(site.data, SECRETS) == []


def test_what_was_not_folded_yet_is_erased_as_well(tmp_path: Path) -> None:
    """The views lag behind, or there are none at all."""
    site = Site(tmp_path, ONESPAN)
    site.append(*told(ID, *SECRETS[:5]))
    assert len(erase(site).positions) == 8
    assert found_in(site.data, SECRETS) == []
    site.filled(callback("PACKAGE_CREATE", "other"))
    site.append(*told("third", *SECRETS[:5]))
    assert len(erase(site, "third").positions) == 8
    site.fold()
    assert found_in(site.data, SECRETS) == []
    assert standing(site).keys() == {"other"}


def test_what_waits_behind_a_fault_is_erased_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the fault, whose words may be somebody's."""
    monkeypatch.setattr(course, "MOST_STEPS", 1)
    site = Site(tmp_path, ONESPAN)
    site.filled(*told(ID, *SECRETS[:5]))
    with site.looked_at() as at:
        assert at.views.execute(text("SELECT count(*) FROM parked")).scalar_one() > 0
    assert len(erase(site).positions) == 8
    assert found_in(site.data, SECRETS) == []
    with site.looked_at() as at:
        assert at.views.execute(text("SELECT count(*) FROM parked")).scalar_one() == 0
        assert at.views.execute(text("SELECT count(*) FROM faults")).scalar_one() == 0


def test_what_was_left_out_is_erased_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody decided to skip a fault: the views tell nothing of that event any more."""
    monkeypatch.setattr(course, "MOST_STEPS", 1)
    site = Site(tmp_path, ONESPAN)
    site.filled(callback("PACKAGE_CREATE"), callback("PACKAGE_DECLINE", message=SECRETS[0]))
    with site.opened() as database:
        decisions.skip(database, [3], "operator", "a test")
    site.fold()
    with site.looked_at() as at:
        assert at.views.execute(text("SELECT count(*) FROM faults")).scalar_one() == 0
    assert erase(site).positions == (2, 3)
    assert found_in(site.data, SECRETS) == []


def test_what_others_left_behind_is_removed(tmp_path: Path) -> None:
    """Whoever was killed at a replay of one package, at a restore or at a fetch left a folder with what was known."""
    site = site_of(tmp_path)
    for name in ("replay-x", ".restoring-x", "documents/.incoming"):
        (site.data / name).mkdir(parents=True)
        (site.data / name / "left").write_text(SECRETS[0])
    erase(site, documents=True)
    assert found_in(site.data, SECRETS) == []


def test_what_somebody_expected_is_erased_as_well(tmp_path: Path) -> None:
    """It is filed as a decision, and yet it tells of the package: the reference may be a name."""
    site = Site(tmp_path, ONESPAN)
    site.filled(callback("PACKAGE_CREATE"))
    with site.opened() as database:
        expected = facts.Expected(reference=SECRETS[0])
        decisions.expect(database, "onespan", "onespan", ID, expected, "operator", SECRETS[1])
    site.fold()
    assert standing(site)[ID]["reference"] == SECRETS[0]
    assert erase(site).positions == (2, 3)
    assert found_in(site.data, SECRETS) == []
    assert standing(site) == {}


# Races


@contextlib.contextmanager
def slow_projector(database: Database, live: Views) -> Iterator[threading.Thread]:
    """One that has read what there is, and writes what it says when the block ends."""
    arrived = threading.Event()
    with live.writing():  # it stands in front of this transaction, with everything in its hands

        def heard(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if statement == "BEGIN IMMEDIATE":
                arrived.set()

        sqlalchemy_event.listen(in_file(live)._engine, "before_cursor_execute", heard)
        thread = threading.Thread(target=fold_next, args=(database, live, fingerprint.fingerprint()))
        thread.start()
        assert arrived.wait(30)
        yield thread
    thread.join(60)


def test_a_projector_brings_nothing_back_behind_an_erasure(tmp_path: Path) -> None:
    """It read the events before they were erased, and writes what they said when other views are shown already.

    It is no sooner done than nobody reads the log as it was.
    """
    site = Site(tmp_path, ONESPAN)
    site.filled(callback("PACKAGE_CREATE", "other"))
    site.append(*told(ID, *SECRETS[:5]))
    with erasing(site) as (erasure, database), erasure._renewal.shown() as live:
        assert live is not None
        with slow_projector(database, live):
            done = threading.Thread(target=erasure.subject, args=(("onespan", ID), ORDER))
            done.start()
            logbook.until(lambda: not live.exists())
            assert done.is_alive()
        done.join(60)
        assert not done.is_alive()
    assert found_in(site.data, SECRETS) == []
    site.fold()
    assert standing(site).keys() == {"other"}


def test_a_projector_brings_nothing_back_amid_an_erasure(each_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It writes behind the blank log what was in there before: the views that are shown then never held it."""
    site = Site(each_engine, ONESPAN)
    site.filled(callback("PACKAGE_CREATE", "other"))
    site.append(*told(ID, *SECRETS[:5]))
    with erasing(site) as (erasure, database), erasure._renewal.shown() as live:
        assert live is not None
        with monkeypatch.context() as patched:

            def late() -> AbstractContextManager[Connection]:
                patched.undo()  # it stood in front of this transaction, with everything in its hands
                blank_subject(database, live, ("onespan", ID), ORDER)
                return live.writing()

            patched.setattr(live, "writing", late)
            fold_next(database, live, fingerprint.fingerprint())
        assert ID in standing(site)
        assert found_in(site.data, SECRETS) != []
        erasure.subject(("onespan", ID), ORDER)
    assert found_in(site.data, SECRETS) == []
    site.fold()
    assert standing(site).keys() == {"other"}


def test_a_replay_under_way_is_waited_for(tmp_path: Path) -> None:
    """It has read what is to be erased: nothing happens until it is done."""
    site = site_of(tmp_path)
    before = events(site)
    with OnlyOne(site.data, "replay"), pytest.raises(errors.ErasureRefused, match="a replay is under way"):
        erase(site)
    assert events(site) == before


def test_a_worker_with_other_code_is_restarted_first(tmp_path: Path) -> None:
    """What it folds meanwhile would not be what we fold."""
    site = site_of(tmp_path)
    declared = acts.InForce(acts.IN_FORCE, "0", "another", "", {})
    with site.opened() as database:
        rig.add(database, acts.in_force(declared))
    before = events(site)
    with OnlyOne(site.data), pytest.raises(errors.ErasureRefused, match="restart 'signlog serve'"):
        erase(site)
    assert events(site) == before
    site.fold()
    assert erase(site).positions  # nobody runs


@contextlib.contextmanager
def fetching(site: Site, holder: str = "somebody") -> Iterator[Artifact]:
    """A worker that lives while the block does, and has a document on its way for as long as anybody may."""
    with site.opened() as database, contextlib.ExitStack() as lives:
        if isinstance(database, Postgres):
            lives.enter_context(SignOfLife(database, holder))
        else:
            lives.enter_context(OnlyOne(site.data))
        with database.writing() as log:
            row = ("onespan", ID, "evidence.pdf", 1, holder, now() + 10**9)
            log.execute(schema.claims.insert().values(row))
        yield Artifact("onespan", ID, "evidence.pdf")


def test_a_document_on_its_way_is_waited_for(each_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would arrive behind the erasure; who fetches it is named, and nobody waits for the dead."""
    monkeypatch.setattr(claims, "GONE", 0)
    site = site_of(each_engine)
    told = pytest.raises(errors.ErasureRefused, match="being fetched right now, by somebody; type the same again")
    with fetching(site), told:
        erase(site)
    assert len(erase(site).positions) == 8


def test_whoever_was_taken_for_dead_tells_of_no_document(each_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It thaws behind the erasure: what it has of the package is not told, and nothing stands in the log of it."""
    monkeypatch.setattr(claims, "GONE", 0)
    site = site_of(each_engine)
    with fetching(site) as wanted:
        pass
    erase(site)
    before = events(site)
    with site.opened() as database:
        late = Claims(database, "somebody", shared=database.folder is None)
        with pytest.raises(errors.Superseded):
            late.settle(wanted, 1, stored("evidence.pdf"))
    assert events(site) == before


def test_what_workers_fetch_that_stand_by_stays(on_postgres: Path) -> None:
    """They live, though none of them leads; what the dead left is gone."""
    site = site_of(on_postgres)
    for worker in ("alive", "dead"):
        (site.data / "documents/.incoming" / worker).mkdir(parents=True)
        (site.data / "documents/.incoming" / worker / "fetch-x").write_bytes(b"half")
    with fetching(site, "alive"):
        assert len(erase(site, DASHED, documents=True).positions) == 8
    assert rig.paths(site.data / "documents") == [".incoming/alive/fetch-x"]


def test_views_of_another_log_are_not_believed(each_engine: Path) -> None:
    """They would name the wrong events."""
    site = site_of(each_engine)
    before = events(site)
    with site.opened() as database:
        other = shelf(database).generation(2)
        with other.writing() as connection:
            connection.execute(bookkeeping._checkpoint.update().values(leaf=b"another"))
        other.close()
    with pytest.raises(errors.ErasureRefused, match="run 'signlog serve'"):
        erase(site)
    assert events(site) == before


def test_a_full_disk_erases_nothing(tmp_path: Path) -> None:
    """The copy of the views would not fit: it is said before anything is done."""
    site = site_of(tmp_path)
    before = events(site)
    site.configure(f"disk_reserve = {2**60}\n{ONESPAN}")
    with pytest.raises(errors.DiskReserve):
        erase(site)
    assert events(site) == before


# Legal holds


def test_a_hold_keeps_everything_until_it_is_lifted(each_engine: Path) -> None:
    """The sentence says who wants it, and why; others may be erased meanwhile, though their id is held elsewhere."""
    site = site_of(each_engine)
    before = events(site)
    with site.opened() as database:
        position = holds.put(database, "onespan", ID, "somebody", "case 17")
        holds.put(database, "other", DASHED, "somebody", "case 18")
    with pytest.raises(errors.ErasureRefused, match=f"since event {position}, by somebody: case 17"):
        erase(site)
    with erasing(site) as (erasure, _), pytest.raises(errors.ErasureRefused, match="case 17"):
        erasure.strays([2], ORDER)
    assert events(site)[: len(before)] == before
    assert len(erase(site, DASHED).positions) == 8
    with site.opened() as database:
        holds.lift(database, "onespan", ID, "somebody", "case 17 is closed")
    assert len(erase(site).positions) == 8


def test_holds_are_listed_and_told(tmp_path: Path) -> None:
    """Those that are on, with the newest reason; the timeline tells of all."""
    site = site_of(tmp_path)
    with site.opened() as database:
        holds.put(database, "onespan", DASHED, "a", "first")
        holds.put(database, "onespan", ID, "b", "second")
        holds.put(database, "onespan", ID, "c", "third")
        holds.lift(database, "onespan", DASHED, "d", "over")
        with pytest.raises(errors.NotFoundError, match="is not on hold"):
            holds.lift(database, "onespan", DASHED, "d", "over")
        with database.reading() as log:
            [hold] = holds.every(log)
    assert (hold.source, hold.id, hold.operator, hold.reason) == ("onespan", ID, "c", "third")
    site.fold()
    with site.looked_at() as at:
        assert status.history(at, "onespan", DASHED)[-1]["text"] == "legal hold lifted: over"
        assert status.one(at, "onespan", DASHED) == standing(site)[DASHED]


# Strays


def strays(site: Site, *positions: int) -> Erased:
    """Erase events by their positions."""
    with erasing(site) as (erasure, _):
        return erasure.strays(positions, ORDER)


def test_strays_are_erased_by_their_positions(each_engine: Path) -> None:
    """One that nobody can read, and one of a package: what else is known of that stays."""
    site = Site(each_engine, ONESPAN)
    unreadable = Draft(event.CALLBACK, "onespan", "onespan", b"{Rumpelstilzchen", "[]", "POST", "/callbacks/onespan")
    site.filled(callback("PACKAGE_CREATE"), unreadable, callback("PACKAGE_DECLINE", message=SECRETS[1]))
    assert standing(site)[ID]["reason"] == SECRETS[1]
    found = strays(site, 3, 4)
    assert found.positions == (3, 4)
    assert found_in(site.data, SECRETS) == []
    assert (standing(site)[ID]["stage"], standing(site)[ID]["reason"]) == ("draft", None)
    with site.looked_at() as at:
        assert at.views.execute(text("SELECT count(*) FROM faults")).scalar_one() == 0
    assert strays(site, 3, 4) == Erased(found.decided, ())
    replayed(site)


def test_a_stray_of_nobody_is_erased(each_engine: Path) -> None:
    """The fault goes with it, everything else stays."""
    site = Site(each_engine, ONESPAN)
    site.filled(callback("PACKAGE_CREATE"), Draft(event.CALLBACK, "onespan", "onespan", b"{Rumpelstilzchen"))
    before = standing(site)
    assert strays(site, 3).positions == (3,)
    assert found_in(site.data, SECRETS) == []
    assert standing(site) == before
    with site.looked_at() as at:
        assert at.views.execute(text("SELECT count(*) FROM faults")).scalar_one() == 0


def test_a_package_with_an_erased_event_may_still_want(tmp_path: Path) -> None:
    """Only a whole package that was erased wants nothing."""
    site = Site(tmp_path, ONESPAN)
    site.filled(callback("PACKAGE_CREATE"))
    strays(site, 2)
    late(site, callback("PACKAGE_COMPLETE"))
    assert len(standing(site)[ID]["artifacts"]) == 2


def test_decisions_are_never_erased(each_engine: Path) -> None:
    """Nor is what is not there; and then nothing is."""
    site = site_of(each_engine)
    before = events(site)
    with pytest.raises(errors.ErasureRefused, match="event 1 is a decision"):
        strays(site, 1, 2)
    with pytest.raises(errors.NotFoundError, match="there is no event 99999"):
        strays(site, 2, 99999)
    assert events(site) == before


def test_a_blank_event_that_no_decision_names_was_not_erased(each_engine: Path) -> None:
    """Somebody took the guards away and changed the log: that is not ours to confirm."""
    site = site_of(each_engine)
    with site.opened() as database, database.writing() as log:
        postgres_has_it = database.folder is None
        unguarded = (
            "ALTER TABLE events DISABLE TRIGGER USER" if postgres_has_it else "DROP TRIGGER events_refuse_update"
        )
        log.exec_driver_sql(unguarded)
        log.exec_driver_sql("UPDATE events SET body = NULL, headers = NULL, salt = NULL WHERE position = 2")
    with pytest.raises(errors.ErasureRefused, match="somebody changed the log"):
        strays(site, 2)


def test_nobody_is_erased_who_is_not_known(each_engine: Path) -> None:
    """A name that was mistyped, or that is known at another source."""
    site = site_of(each_engine)
    for subject in (("onespan", "nobody"), ("other", ID)):
        with erasing(site) as (erasure, _), pytest.raises(errors.NotFoundError, match="nothing is known of"):
            erasure.subject(subject, ORDER)


# Traces


@given(sizes=st.lists(st.integers(0, 9000), min_size=1, max_size=12), chosen=st.sets(st.integers(0, 11), min_size=1))
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_page_of_the_log_keeps_a_trace(tmp_path: Path, sizes: list[int], chosen: set[int]) -> None:
    """Whatever the sizes of what is erased and of its neighbours: pages, overflow pages and free ones."""
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder, logbook.opened(Path(folder)) as database:
        words = [f"<the secret of {number}>".encode() for number in range(len(sizes))]
        added = logbook.add(
            database, *(word * (1 + size // len(word)) for word, size in zip(words, sizes, strict=True))
        )
        gone = [each.position for number, each in enumerate(added) if number in chosen]
        with database.writing() as log:
            erased_log.erase(log, gone, 1)
        assert database.leave_no_trace()
        content = b"".join(path.read_bytes() for path in Path(folder).iterdir())
        assert [word in content for word in words] == [each.position not in gone for each in added]
