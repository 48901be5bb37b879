"""signlog health: what needs a person, each produced as it comes about, and what does not."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from listener import bootstrap, declaration
from listener.acts import Act
from listener.bookkeeping import beat
from listener.demo.onespan import OneSpan
from listener.demo.packages import Package
from listener.log import event, reader
from listener.log.append import now
from listener.log.event import Draft, seal
from listener.shelf import shelf
from listener.views_file import FileViews
from listener.worker.projector import Projector
from projections import facts
from projections.facts import Paper, Signature, Verdict
from tests.site import DASHED, ID, ONESPAN, Site, abandoned, callback, failed, observation, outcome, stored, until

API = 'api_url = "https://x"\napi_key = "k"\n'
SECOND = 1_000_000
KEYS = {
    "head", "projected", "lag_events", "lag_seconds", "wanted", "held", "stored", "failed", "abandoned", "quarantined",
    "faults", "missed", "anomalies", "alarms", "heartbeat", "notes", "replay_pending", "sources", "signatures",
    "workers",
    "spooled", "spooled_since",
}  # fmt: skip


def alarm(site: Site) -> str:
    """The one thing that needs a person; exit 1, for people and scripts alike."""
    report, shown = site.run("health", "--json"), site.run("health")
    assert (report.code, shown.code) == (1, 1)
    assert set(report.json) == KEYS
    (found,) = report.json["alarms"]
    assert shown.out.startswith("Needs a person (1):\n! ")
    assert re.sub(r"\d+", "#", shown.out.splitlines()[1]) == re.sub(r"\d+", "#", f"! {found}")  # time goes on
    return str(found)


def fine(site: Site) -> dict[str, Any]:
    """The report when nobody need do anything; exit 0."""
    report, shown = site.run("health", "--json"), site.run("health")
    assert (report.json["alarms"], report.code, shown.code) == ([], 0, 0)
    assert shown.out.startswith("Nothing needs a person.\n")
    assert set(report.json) == KEYS
    found: dict[str, Any] = report.json
    return found


def typed(hint: str) -> list[str]:
    """The command in what health says, as somebody types it."""
    return shlex.split(hint.partition("type: signlog ")[2].partition(" --reason …")[0])


def append_at(site: Site, recorded_at: int, draft: Draft) -> None:
    """Append as if our clock had shown another time."""
    with bootstrap.log(site.settings) as database:
        declaration.declare(database, site.settings)
        with database.writing() as connection:
            sealed = seal(draft, reader.log_id(connection), reader.head(connection) + 1, recorded_at)
            connection.exec_driver_sql(f"INSERT INTO events VALUES ({', '.join('?' * len(sealed))})", tuple(sealed))


def beat_at(site: Site, at: int) -> None:
    """Let the worker have lived then."""
    views = FileViews(site.data, 1)
    with views.writing() as connection:
        beat(connection, at)
    views.close()


def test_nothing_needs_a_person(tmp_path: Path) -> None:
    """How much there is of what; whatever is nobody's business is not printed."""
    site = Site(tmp_path, ONESPAN + API)
    site.filled(callback("PACKAGE_COMPLETE"), stored("documents.zip"), stored(), callback("PACKAGE_CREATE", "q"))
    site.refuse(genuine=False)
    report = fine(site)
    assert {key: report[key] for key in KEYS - {"heartbeat", "sources", "signatures"}} == {
        "head": 5,
        "projected": 5,
        "lag_events": 0,
        "lag_seconds": 0.0,
        "wanted": 0,
        "held": 0,
        "stored": 2,
        "failed": 0,
        "abandoned": 0,
        "quarantined": 1,
        "faults": 0,
        "missed": 0,
        "anomalies": 0,
        "alarms": [],
        "notes": [],
        "replay_pending": False,
        "workers": {"leads": None, "stand_by": []},
        "spooled": 0,
        "spooled_since": None,
    }
    assert set(report["signatures"].values()) == {0}
    last = site.run("events", "--limit", "1", "--json").lines[0]["recorded_at"]
    told = {"provider": "onespan", "last_callback": last, "api_access": True, "reconciled": None}
    assert report["sources"] == {"onespan": told}
    assert site.run("health").out.splitlines()[2:] == [
        "events      5, 5 folded",
        "documents   2 stored",
        "quarantine  1 refused",
        f"worker      last heard of at {report['heartbeat']}",
        f"onespan     last callback at {last}",
    ]


def judged(*verdicts: Verdict) -> list[Draft]:
    """A package that is complete, and what was found of its documents."""
    told = [
        outcome(
            f"document-{number}.pdf", Act(facts.STORED, attempt=1, sha256="ab" * 32, size=1, path="x", verdict=known)
        )
        for number, known in enumerate(verdicts)
    ]
    return [callback("PACKAGE_COMPLETE"), *told]


def test_documents_are_not_signed_as_they_should_be(tmp_path: Path) -> None:
    """Missing where it is due, or broken wherever it is: one alarm for each package, which names the first."""
    site = Site(tmp_path, ONESPAN + 'artifacts = ["evidence.pdf"]\n')
    site.filled(*judged(Verdict(facts.UNSIGNED, due=True), Verdict(facts.INVALID)), stored())
    assert alarm(site) == (
        "subjects whose documents are not signed as they should be: 1; they are kept as they came. "
        f"The first: 'signlog status onespan {ID}'"
    )
    assert site.run("health", "--json").json["anomalies"] == 1
    listed = site.run("downloads").out
    assert all(listed.count(told) == 1 for told in ("signatures missing", "signatures invalid"))


def test_documents_that_nobody_need_look_at(tmp_path: Path) -> None:
    """Signed, or not due a signature, or not looked at: how many there are of what, and no alarm."""
    site = Site(tmp_path, ONESPAN + 'artifacts = ["evidence.pdf"]\n')
    good = Paper("", facts.VALID, signatures=(Signature("Ana Lee", intact=True, whole=True),))
    fine_ones = (Verdict(facts.VALID, True, None, (good,)), Verdict(facts.UNSIGNED), Verdict(facts.UNCHECKED))
    site.filled(*judged(*fine_ones), stored())
    assert {word: number for word, number in fine(site)["signatures"].items() if number} == {
        "unchecked": 1,
        "unsigned": 1,
        "valid": 1,
    }
    assert "signatures  1 unsigned, 1 unchecked, 1 valid\n" in site.run("health").out
    assert "signatures" not in site.run("downloads").out


def test_nothing_was_folded_yet(tmp_path: Path) -> None:
    """The same keys as always; the sources are there, and how far behind it is."""
    site = Site(tmp_path)
    site.append(callback("PACKAGE_CREATE"))
    assert alarm(site) == "nothing was folded yet; the worker does it: run 'signlog serve'"
    report = site.run("health", "--json").json
    assert (report["head"], report["projected"], report["lag_events"], report["heartbeat"]) == (2, 0, 2, None)
    assert report["lag_seconds"] > 0
    assert report["sources"]["onespan"]["last_callback"] is not None
    assert "worker      never ran\n" in site.run("health").out


def test_the_worker_does_not_run(tmp_path: Path) -> None:
    """Its heart beats every other second, whether there is anything to do or not."""
    site = Site(tmp_path).filled()
    beat_at(site, now() - 1 * SECOND)
    fine(site)
    beat_at(site, now() - 21 * SECOND)
    assert alarm(site) == "the worker does not run; start it: 'signlog serve', or 'signlog serve --worker'"


def test_views_that_were_gone_are_noted(tmp_path: Path) -> None:
    """They are there again, and nobody need do anything; but somebody may want to know."""
    site = Site(tmp_path).filled(callback("PACKAGE_CREATE"))
    assert fine(site)["notes"] == []
    for path in site.data.glob("signlog-views-*"):
        path.unlink()
    site.fold()
    assert [note.partition(",")[0] for note in fine(site)["notes"]] == ["the views were gone"]


def test_the_views_are_behind(tmp_path: Path) -> None:
    """Its heart beats, and it gets nowhere; a little behind is nothing."""
    site = Site(tmp_path).filled()
    append_at(site, now() - 30 * SECOND, callback("PACKAGE_CREATE"))
    report = fine(site)
    assert (report["lag_events"], 30 <= report["lag_seconds"] < 60) == (1, True)
    site.fold()
    append_at(site, now() - 90 * SECOND, callback("PACKAGE_CREATE"))
    assert alarm(site).endswith(" s behind the log")


def test_log_and_views_have_parted(tmp_path: Path) -> None:
    """The log was exchanged for another one below the views."""
    site = Site(tmp_path).filled()
    for path in site.data.glob("signlog.db*"):
        path.unlink()
    site.append()
    with bootstrap.log(site.settings) as database, database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO live (id, generation) VALUES (1, 1)")
    site.fold()
    assert alarm(site).startswith("log and views had parted (a restored backup?)")


def test_other_code_folded_a_part(tmp_path: Path) -> None:
    """Told, and what to type, until somebody replays."""
    site = Site(tmp_path)
    site.append()
    with bootstrap.log(site.settings) as database:
        projector = Projector(database, shelf(database), "another fingerprint")
        projector.catch_up()
        projector.close()
    site.filled(callback("PACKAGE_CREATE"))
    assert alarm(site) == "other code than today's folded a part of the views; 'signlog replay' shows what that changes"
    assert site.run("health", "--json").json["replay_pending"] is True


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (
            ONESPAN,
            "set sources.onespan.api_key and restart; or sources.onespan.artifacts = [], for what completes from then "
            "on, and for what is wanted by now type: signlog downloads abandon onespan --reason …",
        ),
        (
            "",
            "sources.onespan is not configured any more; configure it again, "
            "or type: signlog downloads abandon onespan --reason …",
        ),
    ],
)
def test_documents_are_wanted_and_nobody_may_fetch_them(tmp_path: Path, config: str, told: str) -> None:
    """The sentence says which setting is missing."""
    site = Site(tmp_path).filled(callback("PACKAGE_COMPLETE"))
    site.configure(config)
    assert alarm(site) == f"onespan: documents wanted and not fetched: 2; {told}"
    assert site.run(*typed(told), "--reason", "nobody needs them").code == 0
    site.fold()
    fine(site)


EVROTRUST = '[sources.evrotrust]\nallow = ["192.0.2.1"]\n'
EVROTRUST_API = EVROTRUST + 'api_key = "k"\nvendor_number = "v"\n'
SIGNED = Draft(
    event.CALLBACK,
    "evrotrust",
    "evrotrust",
    b'{"transactionID":"1","status":2}',
    path="/callbacks/evrotrust/document/ready",
)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (
            EVROTRUST,
            "2; set sources.evrotrust.api_key and restart; or sources.evrotrust.artifacts = [], for what completes "
            "from then on, and for what is wanted by now type: signlog downloads abandon evrotrust --reason …",
        ),
        (
            EVROTRUST_API,
            '1; set sources.evrotrust.private_keys and restart; or sources.evrotrust.artifacts = ["encrypted.zip"], '
            "for what completes from then on, and for each that is wanted by now type: "
            "signlog downloads abandon evrotrust ID documents.zip --reason …",
        ),
    ],
)
def test_what_a_document_needs_is_not_configured(tmp_path: Path, config: str, told: str) -> None:
    """Evrotrust's are fetched with one key and opened with another: each is asked for when it is missing."""
    site = Site(tmp_path, config).filled(SIGNED)
    assert alarm(site) == f"evrotrust: documents wanted and not fetched: {told}"
    assert site.run(*("1" if word == "ID" else word for word in typed(told)), "--reason", "enough").code == 0
    site.fold()
    fine(site)


@pytest.mark.parametrize("config", [EVROTRUST + "artifacts = []\n", EVROTRUST_API + 'private_keys = ["k.pem"]\n'])
def test_nothing_is_missing_for_a_document(tmp_path: Path, config: str) -> None:
    """It is not wanted, or everything is there."""
    fine(Site(tmp_path, config).filled(SIGNED))


def test_a_document_is_wanted_for_long(tmp_path: Path) -> None:
    """There is access to the API, and still it does not come."""
    site = Site(tmp_path, ONESPAN + API)
    append_at(site, now() - 3500 * SECOND, callback("PACKAGE_COMPLETE"))
    site.fold()
    fine(site)
    append_at(site, now() - 3700 * SECOND, callback("PACKAGE_COMPLETE", DASHED))
    site.fold()
    told = alarm(site)
    assert told.startswith("onespan: a document is wanted since 2")
    assert {DASHED, ID} == {one["subject"] for one in site.run(*typed(told), "--json").json}
    site.append(failed("documents.zip", DASHED), failed("evidence.pdf", DASHED), failed("documents.zip"))
    site.append(failed("evidence.pdf"))
    site.fold()
    assert typed(alarm(site))[-2:] == ["--state", "failed"]


def test_a_document_that_will_be_tried_again_is_nothing(tmp_path: Path) -> None:
    """Somebody sees to it."""
    site = Site(tmp_path, ONESPAN + API)
    site.filled(callback("PACKAGE_COMPLETE"), stored("documents.zip"), failed(next_at=now() + 60 * SECOND))
    assert fine(site)["failed"] == 1


def test_documents_were_given_up(tmp_path: Path) -> None:
    """The sentence says what lists them, and what tries again."""
    site = Site(tmp_path, ONESPAN + API)
    site.filled(callback("PACKAGE_COMPLETE"), stored("documents.zip"), abandoned())
    told = alarm(site)
    assert told == (
        "documents given up: 1; 'signlog downloads --state abandoned' says why, 'signlog downloads retry --reason …' "
        "tries again, 'signlog downloads abandon SOURCE ID --reason …' leaves it at that"
    )
    assert site.run("downloads", "--state", "abandoned", "--json").json[0]["error"] == "HTTP 404, after 8 tries"
    assert site.run("downloads", "retry", "--reason", "they mended it").code == 0
    site.fold()
    fine(site)


def test_callbacks_and_api_contradict_each_other(tmp_path: Path) -> None:
    """The sentence shows what to look at."""
    site = Site(tmp_path, ONESPAN + API)
    site.filled(callback("PACKAGE_DECLINE", DASHED), observation({"status": "COMPLETED"}, DASHED))
    site.append(stored("documents.zip", DASHED), stored("evidence.pdf", DASHED))
    site.fold()
    told = alarm(site)
    assert told.startswith("subjects of which callbacks and API say different things: 1; the first: ")
    assert site.run("timeline", "onespan", DASHED).code == 0
    assert told.endswith(f"'signlog timeline onespan {DASHED}'")


def test_an_event_could_not_be_taken_in(tmp_path: Path) -> None:
    """The sentence shows the first; an authentic callback is stored whatever it holds."""
    nonsense = Draft(event.CALLBACK, "onespan", "onespan", b"nonsense", "[]", "POST", "/callbacks/onespan")
    site = Site(tmp_path).filled(nonsense, nonsense)
    assert alarm(site) == (
        "events that could not be taken in: 2; the first: 'signlog faults show 2'. Mend the code and restart "
        "'signlog serve'; or leave one out: 'signlog faults skip N --reason …'"
    )
    assert site.run("health", "--json").json["faults"] == 2


def test_a_refused_callback_looks_genuine(tmp_path: Path) -> None:
    """A key may have been mixed up; one that looks like nothing is nothing."""
    site = Site(tmp_path).filled()
    site.refuse(genuine=False)
    assert fine(site)["quarantined"] == 1
    site.refuse()
    assert alarm(site).startswith("refused callbacks that look genuine: 1; 'signlog quarantine' says why.")


def test_too_little_room_is_left(tmp_path: Path) -> None:
    """Where the data lie; where documents lie on the same disk, it is said once."""
    site = Site(tmp_path).filled()
    (site.data / "documents").mkdir()
    site.configure(f"disk_reserve = {2**60}\n{ONESPAN}")
    told = alarm(site)
    assert told.startswith("only ")
    assert told.endswith("MiB are free in signlog-data: less than disk_reserve, so downloads stopped; make room")


def test_the_clock_is_behind(tmp_path: Path) -> None:
    """Of what was recorded already; some seconds are nothing."""
    site = Site(tmp_path).filled()
    append_at(site, now() + 4 * SECOND, callback("PACKAGE_CREATE"))
    site.fold()
    fine(site)
    append_at(site, now() + 3600 * SECOND, callback("PACKAGE_CREATE"))
    site.fold()
    assert alarm(site).startswith("the clock is behind the last event, 2")


def test_every_alarm_stands_there(tmp_path: Path) -> None:
    """One does not hide another."""
    site = Site(tmp_path).filled(callback("PACKAGE_COMPLETE"), abandoned())
    site.refuse()
    done = site.run("health")
    assert done.out.startswith("Needs a person (3):\n! ")
    assert done.out.count("\n! ") == 3


CLIENT = 'client_id = "c"\nclient_secret = "k"\napi_auth = "oauth2"\n'


@pytest.mark.parametrize(("access", "key"), [('api_key = "k"\n', "api_key"), (CLIENT, "client_secret")])
def test_the_provider_refuses_the_key(tmp_path: Path, access: str, key: str) -> None:
    """With a real worker, and a provider that knows another key."""
    with OneSpan(api_key="another key") as onespan:
        onespan.add(Package(ID, status="COMPLETED"))
        site = Site(tmp_path, f'{ONESPAN}api_url = "{onespan.url}"\n{access}').filled(callback("PACKAGE_COMPLETE"))
        with open(tmp_path / "said", "wb") as said:
            process = site.start("serve", "--worker", stdout=said, stderr=said)
        try:
            until(lambda: site.run("downloads", "--state", "failed", "--json").json)
            told = alarm(site)
        finally:
            process.terminate()
            process.wait(60)
    assert told == (
        f"onespan: the provider refuses the API key; mend sources.onespan.{key} and restart; "
        "if it was mended at the provider, type: signlog downloads retry onespan --reason …"
    )
    assert site.run(*typed(told), "--reason", "they mended it").code == 0
    site.configure("")
    assert alarm(site).startswith("onespan: documents wanted and not fetched: ")


def test_settings_that_are_not_in_force_are_noted(tmp_path: Path) -> None:
    """As on a machine whose configuration nobody changed with the others'; nobody is called for that."""
    site = Site(tmp_path, ONESPAN)
    site.filled(callback("PACKAGE_CREATE"))
    beat_at(site, now())
    assert fine(site)["notes"] == []
    site.configure(f'{ONESPAN}artifacts = ["evidence.pdf"]\n')
    (note,) = fine(site)["notes"]
    assert note.startswith("of onespan something else is in force than this machine's configuration says; give all")
    assert "restart 'signlog serve' where the worker leads" in site.run("health").out.replace("\n", " ")
