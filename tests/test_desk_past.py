"""What was so before, and since which event: as the live views said it then, whatever they say now."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from listener import acts, decisions, errors, fingerprint, times
from listener.acts import InForce, SourceInForce
from listener.desk import as_of, explain, status
from listener.desk.pages import Line
from listener.desk.past import Moment
from listener.desk.reading import Reading, reading
from listener.log import event, reader
from listener.log.append import append
from listener.log.event import Draft
from listener.shelf import shelf
from listener.worker.projector import Projector
from projections import course, facts
from tests import rig
from tests.rig import EVIDENCE, SOURCE, Worker
from tests.site import ID, Site, callback, observation, stored

Subject = tuple[str, str]
EVERYBODY = status.Filter()


class Lived(NamedTuple):
    """A log with a bit of everything, and what the live views said behind each of its events."""

    worker: Worker
    said: Mapping[int, Mapping[Subject, Line]]

    @property
    def moments(self) -> list[int]:
        """Positions at which something was said."""
        return list(self.said)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    """Folded event by event; one subject has a fault, and facts that wait behind it."""
    with pytest.MonkeyPatch.context() as patched, Worker(tmp_path_factory.mktemp("lived")) as worker:
        patched.setattr(course, "MOST_STEPS", 5)
        said = {}
        told = rig.history()
        for draft in (*told[:40], expectation("first"), *told[40:80], expectation("second"), *told[80:]):
            (position,) = worker.add(draft)
            with reading(worker.database) as at:
                said[position] = {(one["source"], one["id"]): one for one in status.several(at, EVERYBODY)}
        yield Lived(worker, said)


def expectation(reference: str) -> Draft:
    """What somebody told us of a package."""
    return acts.expectation(SOURCE, "onespan", rig.ID, facts.Expected(reference=reference), "operator", None)


@pytest.fixture
def at(lived: Lived) -> Iterator[Reading]:
    """The log and the views as they are in the end."""
    with reading(lived.worker.database) as found:
        yield found


def test_every_subject_stands_as_it_stood(lived: Lived, at: Reading) -> None:
    """Behind each event, whatever came later: the stage, the signers, the documents, all of it."""
    for position, said in lived.said.items():
        for source, subject in lived.said[lived.moments[-1]]:
            found = as_of.one(at, source, subject, Moment(position))
            assert (found and {**found, "as_of": None}) == (
                {**said[source, subject], "as_of": None} if (source, subject) in said else None
            )


@pytest.mark.parametrize("stage", [None, "completed", "in_progress"])
@pytest.mark.parametrize("source", [None, "evrotrust"])
def test_a_list_is_as_it_was(
    lived: Lived, at: Reading, monkeypatch: pytest.MonkeyPatch, source: str | None, stage: str | None
) -> None:
    """The same subjects in the same order, page by page, though a page looks at few of them."""
    monkeypatch.setattr(as_of, "_FOLDED", 3)
    monkeypatch.setattr(as_of, "LOOK_AT", 7)
    wanted = status.Filter(source, stage)
    for position in lived.moments[::9]:
        found = list(as_of.every(lived.worker.database, wanted, Moment(position)))
        said = [one for one in lived.said[position].values() if source in (None, one["source"])]
        assert [(one["id"], one["last_position"]) for one in found] == [
            (one["id"], one["last_position"]) for one in said if stage in (None, one["stage"])
        ]


def test_a_page_of_the_past_goes_on_where_it_ended(lived: Lived, at: Reading) -> None:
    """A few at a time, none twice and none left out."""
    when = Moment(lived.moments[-1])
    ids, before = list[str](), None
    while True:
        lines, before = as_of.page(at, EVERYBODY, when, 2, before)
        assert len(lines) <= 2
        ids += [line["id"] for line in lines]
        if before is None:
            break
    assert ids == [subject for _, subject in lived.said[lived.moments[-1]]]


def test_every_field_is_explained(lived: Lived, at: Reading) -> None:
    """By the event behind which it became what it is, as the live views showed it."""
    for source, subject in lived.said[lived.moments[-1]]:
        for until in lived.moments[::7]:
            now = lived.said[until].get((source, subject))
            fields = explain.fields_of(now) if now else {}
            for field, value in fields.items():
                found = explain.explain(at, source, subject, field, Moment(until))
                assert found is not None
                assert (found["value"], found["position"]) == (value, since(lived, (source, subject), field, until))


def since(lived: Lived, subject: Subject, field: str, until: int) -> int | None:
    """Where the value last became what it is."""
    value, position = None, None
    for moment, said in lived.said.items():
        now = explain.fields_of(said[subject]).get(field) if subject in said else None
        if moment <= until and now != value:
            value, position = now, moment
    return position


def test_a_fault_is_told_with_what_it_stopped(lived: Lived, at: Reading) -> None:
    """What comes behind it in the log is known to be of that subject, and was not taken in."""
    found = as_of.one(at, SOURCE, "flooded", Moment(lived.moments[-1]))
    assert found is not None
    ((fault,)) = found["as_of"]["faults"]
    assert "more than 5 changes" in fault["error"]
    assert found["last_position"] < fault["position"]


def faulty(tmp_path: Path, code: str) -> Site:
    """A package whose fourth change of status was too much for this code, and what came behind it."""
    site = Site(tmp_path)
    stages = ("ACTIVATE", "DEACTIVATE", "ACTIVATE", "EXPIRE", "ACTIVATE")
    names = [callback(f"PACKAGE_{stage}", at=f"2026-11-20T09:0{at}:00Z") for at, stage in enumerate(stages)]
    site.append(*names, callback("SIGNER_COMPLETE", at="2026-11-20T09:30:00Z", sessionUser="s"))
    folded_by(site, code)
    return site


def folded_by(site: Site, code: str) -> None:
    """Fold what there is with this code."""
    with pytest.MonkeyPatch.context() as patched, site.opened() as database:
        patched.setattr(course, "MOST_STEPS", 3)
        projector = Projector(database, shelf(database), code)
        projector.catch_up()
        projector.close()


def now_and_then(site: Site, position: int) -> tuple[Line | None, Line | None]:
    """What the views show of it, and how it stood at a position."""
    with site.looked_at() as at:
        return status.one(at, "onespan", ID), as_of.one(at, "onespan", ID, as_of.moment(at, str(position)))


def test_mended_code_answers_behind_the_fault(tmp_path: Path) -> None:
    """Also for what waits: the answer is of the code as it is now."""
    shown, found = now_and_then(faulty(tmp_path, "old"), 7)
    assert shown is not None
    assert found is not None
    assert (shown["last_position"], shown["signers"]) == (4, [])
    assert (found["last_position"], found["as_of"]["faults"]) == (7, [])
    assert found["signers"][0]["completed"] is True


def test_what_this_code_failed_at_is_not_tried_again(tmp_path: Path) -> None:
    """It may be the death of whoever tries: it is a fault, as it is shown, though it would be none now."""
    shown, found = now_and_then(faulty(tmp_path, fingerprint.fingerprint()), 7)
    assert shown is not None
    assert found is not None
    assert found.pop("as_of")["faults"] == [{"position": 5, "error": found_error(tmp_path)}]
    assert found == shown


def found_error(tmp_path: Path) -> str:
    """What the views say is wrong."""
    with Site(tmp_path).looked_at() as at:
        error: str = at.views.exec_driver_sql("SELECT error FROM faults").scalar_one()
    return error


def test_a_decision_to_skip_is_obeyed_from_where_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the views obey it: in front of it the fault stops the package, behind it what waits is taken in."""
    monkeypatch.setattr(course, "MOST_STEPS", 3)
    code = fingerprint.fingerprint()
    site = faulty(tmp_path, code)
    for skipped in (5, 6):  # the second one is a fault only when the first is none any more
        with site.opened() as database:
            decisions.skip(database, [skipped], "operator", "a test")
        folded_by(site, code)
    shown, found = now_and_then(site, 9)
    assert shown is not None
    assert found is not None
    assert found.pop("as_of")["faults"] == []
    assert found == shown
    assert found["signers"][0]["completed"] is True
    _, before = now_and_then(site, 7)
    assert before is not None
    assert (before["signers"], before["as_of"]["faults"][0]["position"]) == ([], 5)


# What is explained


def explained(site: Site, field: str, position: int = 99, subject: str = ID) -> Line | None:
    """One field of a subject of a site."""
    with site.looked_at() as at:
        return explain.explain(at, "onespan", subject, field, as_of.moment(at, str(position)))


def test_an_explanation_names_the_event(tmp_path: Path) -> None:
    """Its name, its text, its time; of a field in a list by the id."""
    site = Site(tmp_path).filled(
        callback("DOCUMENT_SIGNED", sessionUser="a.b", documentId="1"),
        callback("SIGNER_COMPLETE", sessionUser="a.b"),
        callback("PACKAGE_COMPLETE"),
        stored(EVIDENCE),
    )
    found = explained(site, "signers.a.b.completed")
    assert found is not None
    recorded = times.read(found.pop("recorded_at"))
    assert found == {
        "field": "signers.a.b.completed",
        "value": True,
        "position": 3,
        "kind": "callback",
        "name": "SIGNER_COMPLETE",
        "text": "a.b finished signing",
    }
    with site.opened() as database, database.reading() as log:
        known = reader.one(log, 3)
    assert known is not None
    assert known.recorded_at == recorded
    kept = explained(site, "artifacts.evidence.pdf.state")
    assert kept is not None
    assert (kept["value"], kept["position"], kept["kind"], kept["name"]) == ("stored", 5, "outcome", "stored")
    before = explained(site, "artifacts.evidence.pdf.state", 4)
    assert before is not None
    assert (before["value"], before["position"]) == ("wanted", 4)


def test_a_field_that_nothing_has_set(tmp_path: Path) -> None:
    """It is null, and no event is named."""
    site = Site(tmp_path).filled(callback("PACKAGE_CREATE"))
    found = explained(site, "reason")
    assert found is not None
    assert (found["value"], found["position"], found["name"], found["recorded_at"]) == (None, None, None, None)


def test_a_field_that_there_is_not(tmp_path: Path) -> None:
    """The sentence names what was perhaps meant, or else those that every subject has."""
    site = Site(tmp_path).filled(callback("SIGNER_COMPLETE", sessionUser="s"))
    with pytest.raises(errors.NotFoundError, match=r"no field 'stages'; near it: stage"):
        explained(site, "stages")
    with pytest.raises(errors.NotFoundError, match=r"near it: signers\.s\.completed"):
        explained(site, "signers.s.complete")
    with pytest.raises(
        errors.NotFoundError, match=r"no field 'colour'; it has: source, .*; and of its signers, "
    ) as raised:
        explained(site, "colour")
    assert "signers.s.completed" not in str(raised.value)
    with pytest.raises(errors.NotFoundError):
        explained(site, "signers")
    assert explained(site, "stage", subject="nobody") is None
    assert explained(site, "stage", 1) is None


# By the provider's clock


def stood(site: Site, so: str, known: str | None = None) -> Line | None:
    """The subject as it was at the provider at a time, as far as was known at a position."""
    with site.looked_at() as at:
        return as_of.one(at, "onespan", ID, as_of.moment(at, known, so))


def late(tmp_path: Path) -> Site:
    """What happened at nine was heard of last."""
    return Site(tmp_path).filled(
        callback("PACKAGE_ACTIVATE", at="2026-11-20T10:00:00Z"),  # 2
        callback("PACKAGE_COMPLETE", at="2026-11-20T12:00:00Z"),  # 3
        callback("PACKAGE_CREATE", at="2026-11-20T09:00:00Z"),  # 4
        callback("SIGNER_COMPLETE", at=None, sessionUser="s"),  # 5
    )


@pytest.mark.parametrize(
    ("so", "stage"),
    [
        ("2026-11-20T08:59:59Z", None),
        ("2026-11-20T09:00:00Z", "draft"),
        ("2026-11-20T11:59:59Z", "in_progress"),
        ("2026-11-20T12:00:00Z", "completed"),
    ],
)
def test_as_it_was_at_the_provider(tmp_path: Path, so: str, stage: str | None) -> None:
    """By its clock, whenever we heard of it."""
    found = stood(late(tmp_path), so)
    assert (found and found["stage"]) == stage


def test_what_has_no_time_of_the_provider_is_known_since_we_heard_of_it(tmp_path: Path) -> None:
    """A signer finished at a time that nobody told us; so did the API answer, and we store a document."""
    site = late(tmp_path).filled(observation({"status": "COMPLETED"}), stored(EVIDENCE))
    before, now = stood(site, "2026-11-20T12:00:00Z"), stood(site, "2999-01-01")
    assert before is not None
    assert now is not None
    assert (before["signers"], before["confirmed"]) == ([], "no")
    assert (now["signers"][0]["completed"], now["confirmed"]) == (True, "yes")
    assert [one["state"] for one in before["artifacts"]] == ["wanted", "wanted"]
    assert [one["state"] for one in now["artifacts"]] == ["wanted", "stored"]


def test_what_we_knew_of_what_was_so_at_the_provider(tmp_path: Path) -> None:
    """Both at once: at nine it was a draft, but at event 3 we had not heard of that."""
    site = late(tmp_path)
    assert stood(site, "2026-11-20T09:30:00Z", "3") is None
    found = stood(site, "2026-11-20T09:30:00Z", "4")
    assert found is not None
    assert found["stage"] == "draft"


def expected_of_another(reference: str) -> Draft:
    """What somebody told us of another package of the same source."""
    return acts.expectation("onespan", "onespan", "other", facts.Expected(reference=reference), "operator", None)


def test_what_is_expected_of_others_is_known_since_somebody_said_so(tmp_path: Path) -> None:
    """Behind that decision it is unexpected, in front of it nobody could tell; the decision explains it."""
    site = Site(tmp_path).filled(callback("PACKAGE_CREATE"), expected_of_another("a"), callback("PACKAGE_ACTIVATE"))
    assert [(found or {})["expected"] for found in (now_and_then(site, at)[1] for at in (2, 3, 4))] == [
        None,
        False,
        False,
    ]
    found = explained(site, "expected")
    assert found is not None
    assert (found["value"], found["position"], found["name"], found["text"]) == (False, 3, "expected", "expected: a")


def test_what_is_expected_of_others_was_not_known_at_the_provider_before(tmp_path: Path) -> None:
    """It has no other time than that of our decision."""
    site = Site(tmp_path).filled(callback("PACKAGE_CREATE"), expected_of_another("a"))
    before, now = stood(site, "2026-11-20T12:00:00Z"), stood(site, "2999-01-01")
    assert before is not None
    assert now is not None
    assert (before["expected"], now["expected"]) == (None, False)


def test_what_was_expected_of_others_and_is_erased_is_not_known(tmp_path: Path) -> None:
    """As the views say it since; another word that stands counts from where it stands."""
    site = Site(tmp_path).filled(callback("PACKAGE_CREATE"), expected_of_another("a"))
    assert site.run("erase", "onespan", "other", "--reason", "asked for").code == 0
    site.fold()
    shown, found = now_and_then(site, 4)
    assert shown is not None
    assert found is not None
    assert (shown["expected"], found["expected"]) == (None, None)
    (again,) = site.append(expected_of_another("b"))
    site.fold()
    assert [(one or {})["expected"] for one in now_and_then(site, again)] == [False, False]
    assert (explained(site, "expected") or {})["position"] == again


def test_an_unreadable_event_counts_from_when_it_was_recorded(tmp_path: Path) -> None:
    """It has no other time: before, nothing was at fault."""
    assert stood(late(tmp_path), "1999-01-01") is None


# What an answer goes by


def test_the_answer_names_both_codes(tmp_path: Path) -> None:
    """The one in force then, and where the log keeps it; and the one that answers."""
    site = Site(tmp_path)
    site.append()
    old = InForce("in force", "0.0.1", "an old fingerprint", "", {"onespan": SourceInForce("onespan", (EVIDENCE,))})
    with site.opened() as database, database.writing() as connection:
        append(connection, [acts.in_force(old), callback("PACKAGE_COMPLETE")])
    site.filled(callback("PACKAGE_COMPLETE", "other"))
    with site.looked_at() as at:
        found = as_of.one(at, "onespan", ID, as_of.moment(at, "3"))
        nothing = as_of.told(at, Moment(0))
        earlier = as_of.told(at, Moment(5, times.read("1999-01-01")))
    assert found is not None
    assert found["as_of"]["code_then"] == {"version": "0.0.1", "fingerprint": "an old fingerprint", "position": 2}
    assert found["as_of"]["code_now"]["fingerprint"] == fingerprint.fingerprint()
    assert [one["name"] for one in found["artifacts"]] == [EVIDENCE]
    assert (nothing["code_then"], nothing["recorded_at"]) == (None, None)
    assert earlier["code_then"] is None


def test_an_unreadable_declaration_was_never_in_force(tmp_path: Path) -> None:
    """The one before it was."""
    site = Site(tmp_path)
    broken = Draft(event.DECISION, "signlog", "signlog", b"{", path="/in-force")
    site.append(broken, callback("PACKAGE_COMPLETE"))
    site.fold()
    with site.looked_at() as at:
        found = as_of.one(at, "onespan", ID, as_of.moment(at, "3"))
    assert found is not None
    assert found["as_of"]["code_then"]["position"] == 1
    assert len(found["artifacts"]) == 2


def moments(site: Site, *known: str) -> list[int]:
    """Positions up to which is read."""
    with site.looked_at() as at:
        return [as_of.moment(at, each).position for each in known]


def test_a_moment_is_a_position_or_a_time(tmp_path: Path) -> None:
    """A number is a position; a time is the last event that was recorded by then. Both end where the views do."""
    site = Site(tmp_path).filled(callback("PACKAGE_CREATE"))
    site.append(callback("PACKAGE_TRASH"))
    with site.opened() as database:
        recorded = [known.recorded_at for known in reader.every(database)]
    assert moments(site, "1", "2", "3", "99999999999999999999", "0") == [1, 2, 2, 2, 0]
    assert moments(site, times.written(recorded[1]) or "", "1h", "2999-01-01") == [2, 0, 2]
    with pytest.raises(errors.ConfigurationError, match="'yesterday' is no time"):
        moments(site, "yesterday")


def test_an_erased_subject_has_no_past(tmp_path: Path) -> None:
    """Its events say nothing any more, at whatever moment."""
    site = Site(tmp_path).filled(callback("PACKAGE_CREATE"))
    with site.opened() as database, database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO erasures VALUES (2, 1)")
        connection.exec_driver_sql("UPDATE events SET body = NULL, headers = NULL, salt = NULL WHERE position = 2")
    with site.looked_at() as at:
        assert as_of.one(at, "onespan", ID, Moment(2)) is None
