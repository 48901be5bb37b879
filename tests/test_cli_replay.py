"""signlog replay and signlog downloads release, as they are typed: what they say, print as JSON, and end with."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from listener import bootstrap
from listener.cli.changes import Named, show_faults, telling
from listener.log import event, reader
from listener.shelf import shelf
from listener.worker.difference import Change
from listener.worker.plan import Fault
from listener.worker.projector import Projector
from tests.rig import until
from tests.site import ID, ONESPAN, SIGNLOG, Site, callback, environment, shapes
from tests.test_cli_output import on_a_terminal
from tests.test_worker_replay import wrong_handler

SUBJECTS = ("a", "b", "-c")


@pytest.fixture
def site(each_engine: Path) -> Site:
    """What a wrong handler made of three packages, two of them completed: somebody has mended it since."""
    found = Site(each_engine)
    found.append(*(callback("PACKAGE_ACTIVATE", subject) for subject in SUBJECTS))
    found.append(*(callback("PACKAGE_COMPLETE", subject, "2026-11-20T10:00:00Z") for subject in ("a", "-c")))
    fold_wrong(found)
    return found


def fold_wrong(site: Site) -> None:
    """Do what the worker did before somebody mended the handler."""
    with wrong_handler(), bootstrap.log(site.settings) as database:
        projector = Projector(database, shelf(database), "wrong")
        projector.catch_up()
        projector.beat()
        projector.close()


def decisions(site: Site) -> list[str]:
    """Where the decisions in the log are filed."""
    with bootstrap.log(site.settings) as database:
        return [found.path or "" for found in reader.every(database) if found.kind == event.DECISION]


def stages(site: Site) -> dict[str, str]:
    """Where every package stands."""
    return {known["id"]: known["stage"] for known in site.run("status", "--json").json}


def asked(site: Site, answer: str) -> "subprocess.CompletedProcess[str]":
    """The walk, and a person's answer."""
    return subprocess.run(
        [SIGNLOG, "replay"],
        cwd=site.folder,
        env=environment(),
        input=answer,
        text=True,
        capture_output=True,
        check=False,
    )


def test_a_plan_as_json_has_the_shape_that_scripts_rely_on(site: Site) -> None:
    """One value, nothing else on standard output, and the decisions are still the only ones there were."""
    done = site.run("replay", "--plan", "--json")
    plan = done.json
    assert (done.code, done.err) == (0, "")
    assert set(plan) == {
        "digest", "generation", "events", "different", "faults", "changes", "summary", "transitions", "artifacts",
    }  # fmt: skip
    assert shapes(plan["changes"]) == {frozenset({"source", "id", "field", "before", "after"})}
    assert shapes(plan["transitions"]) == {frozenset({"field", "before", "after", "count"})}
    assert shapes(plan["artifacts"]["wanted"]) == {frozenset({"source", "subject", "name"})}
    assert plan["summary"] == {"added": 0, "removed": 0, "changed": 2, "unchanged": 1}
    assert (set(plan["artifacts"]), plan["artifacts"]["repeated"]) == ({"wanted", "unwanted", "repeated"}, 0)
    assert decisions(site) == ["/in-force"]
    assert set(stages(site).values()) == {"in_progress"}


def test_a_plan_for_people_counts_shows_examples_and_says_what_to_type(site: Site) -> None:
    """The line to type is one that works."""
    done = site.run("replay", "--plan")
    lines = [line.split() for line in done.out.splitlines()]
    assert ["status", "SENT", "COMPLETED", "2"] in lines
    assert {"onespan -c", "  stage: in_progress → completed"} < set(done.out.splitlines())
    typed = done.err.rsplit("signlog ", 1)[1].split()
    assert site.run(*typed).code == 0
    assert stages(site) == {"a": "completed", "b": "in_progress", "-c": "completed"}


def test_on_a_terminal_what_was_and_what_will_be_are_both_shown(site: Site) -> None:
    """However long the id, it stands on a line of its own; what does not fit on a line stands on three."""
    site.append(callback("PACKAGE_COMPLETE", ID))
    fold_wrong(site)
    shown = on_a_terminal(site, 36, "replay", "--plan").splitlines()
    examples = shown[shown.index(f"onespan {ID}") :]
    assert "  stage: in_progress → completed" in examples
    cut = examples.index("  artifacts.documents.zip:")
    assert examples[cut : cut + 3] == ["  artifacts.documents.zip:", "    before  -", "    after   wanted"]


def test_of_many_faults_the_first_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """And how many more there are: a bug may touch every event of the log."""
    show_faults([Fault(position, "onespan", None, "ValueError: a bug", True) for position in range(1, 1001)])
    said = capsys.readouterr()
    assert said.out.count("a bug") == 10
    assert "990 more" in said.err
    show_faults([Fault(1, "onespan", None, "ValueError: a bug", True)])
    assert "more" not in capsys.readouterr().err


def test_one_subject_of_a_plan_is_shown_in_full(site: Site) -> None:
    """Its changes and no other's, whatever its id begins with."""
    done = site.run("replay", "--plan", "--json", "--subject", "onespan", "-c")
    assert {change["id"] for change in done.json["changes"]} == {"-c"}
    shown = site.run("replay", "--plan", "--subject", "onespan", "-c")
    assert "completed" in shown.out
    assert "changes nothing" in site.run("replay", "--plan", "--subject", "onespan", "b").err


def test_a_digest_that_does_not_fit_is_refused(site: Site) -> None:
    """With exit 1, and what to type."""
    assert "signlog replay --plan" in site.run("replay", "--apply", "0" * 64).err
    site.run("replay", "--plan")
    done = site.run("replay", "--apply", "0" * 64)
    assert (done.code, done.out) == (1, "")
    assert "signlog replay --plan" in done.err


def test_applied_held_released_and_purged(site: Site) -> None:
    """Each step says as JSON what it did, and the log keeps the decisions."""
    digest = site.run("replay", "--plan", "--json").json["digest"]
    assert site.run("replay", "--apply", digest, "--json").json == {"applied": digest, "held": 4}
    site.fold()
    held = site.run("downloads", "list", "--state", "held", "--json").json
    assert sorted({known["subject"] for known in held}) == ["-c", "a"]
    one = site.run("downloads", "release", "onespan", "-c", "--reason", "our bug", "--json").json
    assert len(one["artifacts"]) == 2
    site.fold()
    assert len(site.run("downloads", "release", "--all", "--reason", "our bug", "--json").json["artifacts"]) == 2
    site.fold()
    assert {known["state"] for known in site.run("downloads", "--json").json} == {"wanted"}
    assert decisions(site) == ["/in-force", "/held", "/live", "/held", "/held"]
    assert site.run("replay", "--purge", "--json").json == {"removed": [1]}
    assert "purged" in site.run("replay", "--rollback").err


def test_nothing_to_release_is_a_no(site: Site) -> None:
    """Nothing held; neither a source nor --all is wrong usage, and so are both."""
    assert site.run("downloads", "release", "--all", "--reason", "x").code == 1
    assert site.run("downloads", "release", "--reason", "x").code == 2
    assert site.run("downloads", "release", "onespan", "--all", "--reason", "x").code == 2


@pytest.mark.parametrize(
    ("answer", "code", "stage"), [("n\n", 1, "in_progress"), ("", 1, "in_progress"), ("y\n", 0, "completed")]
)
def test_a_person_is_asked(site: Site, answer: str, code: int, stage: str) -> None:
    """Only a yes applies it."""
    assert asked(site, answer).returncode == code
    assert stages(site)["a"] == stage


def test_without_a_difference_nobody_is_asked(site: Site) -> None:
    """It applies itself, and nothing is pending any more."""
    site.fold()
    asked(site, "y\n")
    site.fold()
    assert asked(site, "").returncode == 0
    assert stages(site)["a"] == "completed"
    assert site.run("health", "--json").json["replay_pending"] is False


def test_health_says_that_the_code_changed_and_what_to_type(site: Site) -> None:
    """Until a replay."""
    found = site.run("health", "--json").json
    assert found["replay_pending"] is True
    assert "signlog replay" in " ".join(found["alarms"])
    asked(site, "y\n")
    site.fold()
    found = site.run("health", "--json").json
    assert found["replay_pending"] is False
    assert "signlog replay" not in " ".join(found["alarms"])


def test_back_only_with_the_code_of_then(site: Site) -> None:
    """The generation before was folded by a handler that is not there any more."""
    asked(site, "y\n")
    done = site.run("replay", "--rollback")
    assert (done.code, "deploy that first" in done.err) == (1, True)


@pytest.mark.parametrize(
    "typed",
    [("--plan", "--purge"), ("--json",), ("--apply", "x", "--rollback"), ("--subject", "onespan")],
    ids=" ".join,
)
def test_what_makes_no_sense_is_wrong_usage(tmp_path: Path, typed: tuple[str, ...]) -> None:
    """Exit 2, before anything is read."""
    assert Site(tmp_path, ONESPAN).run("replay", *typed).code == 2


def change(field: str, before: Any = "x", number: int = 0) -> Named:
    return "s", str(number), Change(field, before, "y")


def test_the_most_telling_examples_are_of_different_kinds() -> None:
    """One of each kind first, however many there are of one; how facts are told comes last."""
    many = [change("timeline", number=number) for number in range(20)]
    many += [change("status", "SENT", number) for number in range(20)]
    many += [change("status", "DRAFT"), change("signers", {"a": 1}), change("signers", {"b": 2})]
    found = [(one.field, str(one.before)) for *_, one in telling(many)]
    assert found[:3] == [("status", "SENT"), ("status", "DRAFT"), ("signers", "{'a': 1}")]
    assert len(found) == 10
    assert ("timeline", "x") not in found


def test_one_subject_is_replayed_alone(site: Site) -> None:
    """What this code makes of it is shown, nothing is applied, and no plan is left behind; exit 0 either way."""
    before = sorted(path.name for path in site.data.iterdir())
    found = site.run("replay", "--subject", "onespan", "-c", "--json").json
    assert [(change["field"], change["before"], change["after"]) for change in found["changes"]][:2] == [
        ("status", "SENT", "COMPLETED"),
        ("stage", "in_progress", "completed"),
    ]
    assert {document["how"] for document in found["documents"]} == {"wanted"}
    done = site.run("replay", "--subject", "onespan", "b")
    assert (done.code, done.out, "the same" in done.err) == (0, "", True)
    done = site.run("replay", "--subject", "onespan", "never heard of")
    assert (done.code, done.out, "nothing is known" in done.err) == (1, "", True)
    assert {*before, "signlog-replay.lock"} >= {path.name for path in site.data.iterdir()}
    assert site.run("replay", "--apply", "0" * 64).code == 1


def test_yes_asks_nothing(site: Site) -> None:
    """Planned and applied in one; once more, there is nothing to change."""
    assert site.run("replay", "--yes", "--json").json["held"] == 4
    assert site.run("status", "onespan", "a", "--json").json["stage"] == "completed"
    assert site.run("replay", "--plan", "--json").json["different"] is False


@pytest.mark.parametrize("replay", ["ask", "auto"])
def test_a_worker_with_other_code_replays_if_it_may(site: Site, replay: str) -> None:
    """By itself only where that is configured; its documents are held then."""
    site.configure(f'replay = "{replay}"\n{ONESPAN}')
    with subprocess.Popen([SIGNLOG, "serve", "--worker"], cwd=site.folder, env=environment()) as worker:
        try:
            if replay == "auto":
                until(lambda: stages(site)["a"] == "completed")
                until(lambda: site.run("downloads", "list", "--state", "held", "--json").lines)
            else:
                site.append(callback("PACKAGE_CREATE", "new"))
                until(lambda: "new" in stages(site))
                assert site.run("health", "--json").json["replay_pending"]
                assert stages(site)["a"] == "in_progress"
        finally:
            worker.terminate()
