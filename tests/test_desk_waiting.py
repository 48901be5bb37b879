"""What a listed document waits for, in the words of health, and what to type."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from listener import acts, decisions
from listener.acts import Act, Artifact
from listener.desk import downloads, health, waiting
from listener.desk.downloads import Filter
from listener.desk.reading import reading
from listener.settings import Source
from projections import course, facts
from tests import evro, site
from tests.evro import DOCUMENTS, ENCRYPTED
from tests.rig import EVIDENCE, ID, NOON, SOURCE, ZIP, Log, Worker, callback, failed
from tests.site import Site

NEXT = 1_800_000_000_000_000  # microseconds UTC
EVROTRUST = "https://127.0.0.1:1"


@pytest.fixture
def wanted(each_engine: Path) -> Iterator[Worker]:
    """Two documents of a package that completed, and an API that nobody asks here."""
    with Worker(each_engine, "http://127.0.0.1:1") as found:
        found.add(callback("PACKAGE_COMPLETE"))
        yield found


def waits(found: Log) -> Mapping[str, str | None]:
    """What each document waits for, by name."""
    with reading(found.database) as at:
        listed = waiting.told(at, found.settings, downloads.several(at, Filter()))
    return {line["name"]: line["waits_for"] for line in listed}


def alarms(found: Log) -> str:
    """All that health says."""
    return "\n".join(health.health(found.database, found.settings, found.quarantine())["alarms"])


def test_whoever_is_next_waits_for_nothing(wanted: Worker) -> None:
    """It is the worker's turn; and neither does what is stored, or was given up."""
    assert waits(wanted) == {ZIP: None, EVIDENCE: None}
    decisions.abandon(wanted.database, [Artifact(SOURCE, ID, EVIDENCE)], "ana", "nobody needs it")
    wanted.add(acts.outcome(Artifact(SOURCE, ID, ZIP), "onespan", Act(facts.STORED, sha256="00", size=1, path="x")))
    assert waits(wanted) == {ZIP: None, EVIDENCE: None}


def test_what_is_held_waits_for_a_person(wanted: Worker) -> None:
    """Whoever types what stands there lets it go."""
    held = Act(facts.HELD, artifacts=(Artifact(SOURCE, ID, ZIP),), reason="only a replay wants it")
    wanted.add(acts.decision(held, "ana", acts.HELD_PATH))
    assert waits(wanted) == {
        ZIP: f"a person: only a replay wants it; type: signlog downloads release onespan {ID} {ZIP} --reason …",
        EVIDENCE: None,
    }


def test_what_failed_waits_for_its_next_try(wanted: Worker) -> None:
    """The time that stands in the outcome."""
    wanted.add(failed(reason="HTTP 500", next_at=NEXT))
    assert waits(wanted) == {ZIP: "its next try, not before 2027-01-15T08:00:00.000000Z", EVIDENCE: None}


def test_what_was_refused_waits_for_a_person(wanted: Worker) -> None:
    """No time brings it on; health says the same."""
    wanted.add(failed(reason="HTTP 401"))
    told = waits(wanted)[ZIP]
    assert told is not None
    assert told.startswith("a person: the provider refuses the API key; mend sources.onespan.api_key and restart; ")
    assert told.removeprefix("a person: ") in alarms(wanted)


def test_behind_a_fault_everything_of_a_subject_waits(wanted: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one is named. Nothing of another subject waits."""
    monkeypatch.setattr(course, "MOST_STEPS", 1)
    position, _ = wanted.add(*(callback("PACKAGE_ACTIVATE", created=NOON.replace(minute=n)) for n in (1, 2)))
    told = f"an event that could not be taken in: 'signlog faults show {position}'"
    assert waits(wanted) == {ZIP: told, EVIDENCE: told}
    with reading(wanted.database) as at:
        other = [{**line, "subject": "other"} for line in downloads.several(at, Filter())]
        assert {line["waits_for"] for line in waiting.told(at, wanted.settings, other)} == {None}


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ({SOURCE: Source(provider="onespan", callback_keys=("x",))}, "set sources.onespan.api_key and restart; "),
        ({}, "sources.onespan is not configured any more; configure it again, "),
    ],
)
def test_what_nobody_may_fetch_waits_for_a_person(tmp_path: Path, sources: Mapping[str, Source], said: str) -> None:
    """As health says: a key is not set, or the whole source is gone. That comes before any next try."""
    with Worker(tmp_path) as found:
        found.add(callback("PACKAGE_COMPLETE"), failed(reason="HTTP 500", next_at=NEXT))
    with Log(tmp_path, sources=sources) as found:
        told = waits(found)
        assert told[ZIP] == told[EVIDENCE]
        assert (told[ZIP] or "").startswith(f"a person: {said}")
        assert (told[ZIP] or "").removeprefix("a person: ") in alarms(found)


def test_what_is_made_waits_for_what_it_is_made_of(each_engine: Path) -> None:
    """For a key that opens it, if none is set; once that is stored, for nothing."""
    stored = acts.outcome(
        Artifact(evro.SOURCE, evro.ID, ENCRYPTED), evro.SOURCE, Act(facts.STORED, sha256="00", size=1, path="x")
    )
    with evro.worker(each_engine, EVROTRUST) as found:
        found.add(evro.callback())
        assert waits(found) == {ENCRYPTED: None, DOCUMENTS: "encrypted.zip, which it is made of"}
        found.add(stored)
        assert waits(found) == {ENCRYPTED: None, DOCUMENTS: None}
    with Log(each_engine, sources={evro.SOURCE: evro.source(each_engine, EVROTRUST, [])}) as found:
        told = waits(found)[DOCUMENTS] or ""
        assert told.startswith("a person: set sources.evrotrust.private_keys and restart; ")
        assert told.removeprefix("a person: ") in alarms(found)


def test_what_waits_in_vain_says_so(each_engine: Path) -> None:
    """Health says the same, and what to type is an argument, whatever id it is."""
    hostile = "-x; rm '$HOME'"
    with evro.worker(each_engine, EVROTRUST) as found:
        found.add(evro.callback(hostile))
        decisions.abandon(found.database, [Artifact(evro.SOURCE, hostile, ENCRYPTED)], "ana", "nobody needs it")
        found.projector.catch_up()
        told = waits(found)[DOCUMENTS] or ""
        said, _, to_do = told.partition("; ")
        assert said == "encrypted.zip, which was abandoned"
        assert f"documents.zip waits for {said}: 1; {to_do}" in alarms(found)
        command = to_do.removeprefix("type: ").partition(" --reason")[0]
        assert shlex.split(command) == ["signlog", "downloads", "retry", evro.SOURCE, hostile, ENCRYPTED]


def test_the_list_says_it_to_people_and_scripts(tmp_path: Path) -> None:
    """Beside what went wrong, if anything did; what to type is for scripts, and for who asks for health."""
    found = Site(tmp_path, site.ONESPAN + 'api_url = "http://127.0.0.1:1"\napi_key = "k"\n')
    found.filled(site.callback("PACKAGE_COMPLETE"), site.failed(next_at=NEXT))
    told = {line["name"]: line["waits_for"] for line in found.run("downloads", "--json").json}
    assert told == {"evidence.pdf": "its next try, not before 2027-01-15T08:00:00.000000Z", "documents.zip": None}
    out = found.run("downloads").out
    assert "WHY" in out
    assert "HTTP 500; waits for its next try, not before 2027-01-15T08:00:00.000000Z" in out
    found.configure(site.ONESPAN)
    out = found.run("downloads").out
    assert "HTTP 500; waits for a person: set sources.onespan.api_key and restart  " in out
    assert "signlog downloads abandon" not in out
