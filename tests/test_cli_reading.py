"""Commands that only look: events, show, status, timeline, downloads, quarantine. The real program, on a real log."""

import json
import shlex
from pathlib import Path

import pytest

from listener import times
from listener.acts import Act
from listener.log import event
from listener.log.event import Draft
from projections import facts
from tests.site import DASHED, ID, ONESPAN, Site, abandoned, callback, failed, observation, shapes, stored

API = 'api_url = "https://x"\napi_key = "k"\n'
STRANGE = "a\x1b[2J\x07b\u202ec\u200bd\ne"  # clears a screen, rings, turns the order of letters around
EVENT = {
    "position", "recorded_at", "kind", "source", "path", "peer", "client", "credential", "name", "subject",
    "occurred_at", "size", "body",
}  # fmt: skip
WHOLE = {"v", "provider", "method", "spooled_at", "headers", "salt", "content", "leaf"}
SUBJECT = {
    "source", "id", "provider", "status", "stage", "confirmed", "trashed", "reason", "signers", "documents",
    "artifacts", "first_position", "last_position", "occurred_at", "recorded_at",
    "kind", "expected", "reference", "thread", "key", "deadline", "missed",
}  # fmt: skip
ARTIFACT = {"name", "state", "sha256", "size", "path", "attempts", "next_at", "error", "verdict"}
FACT = {"position", "occurred_at", "recorded_at", "kind", "name", "what", "text", "same_as"}
REFUSED = {"id", "received_at", "source", "status", "reason", "client", "genuine", "whole", "path", "size"}
NO_TEXT = Draft(event.CALLBACK, "onespan", "onespan", b"\xff\x00", "[]", "POST", "/callbacks/onespan")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """One log for all of them, because none changes it: positions 2 to 14, and two more subjects."""
    found = Site(tmp_path_factory.mktemp("site"), ONESPAN + API)
    signer, document = "30ba8506-9819-46aa-a22d-c0114ba34cd0", "83bb5250"
    answer = {
        "status": "COMPLETED",
        "signers": [{"id": signer, "name": "Ана Петрова"}],
        "documents": [{"id": document, "name": "Lease agreement"}],
    }
    found.filled(
        callback("PACKAGE_CREATE", at="2026-11-20T09:00:00.000Z"),  # 2
        callback("PACKAGE_ACTIVATE", at="2026-11-20T09:01:00.000Z"),  # 3
        callback("DOCUMENT_SIGNED", at="2026-11-20T09:02:00.000Z", sessionUser=signer, documentId=document),  # 4
        callback("SIGNER_COMPLETE", at="2026-11-20T09:03:00.000Z", sessionUser=signer),  # 5
        callback("PACKAGE_COMPLETE", at="2026-11-20T09:04:00.000Z"),  # 6
        callback("PACKAGE_COMPLETE", at="2026-11-20T09:04:00.000Z"),  # 7
        observation(answer),  # 8
        stored("documents.zip"),  # 9
        failed("evidence.pdf", next_at=4_000_000_000_000_000),  # 10
        callback("PACKAGE_DECLINE", DASHED, "2026-11-20T10:00:00.000Z", message=STRANGE),  # 11
        NO_TEXT,  # 12
        callback("PACKAGE_COMPLETE", "other", "2026-11-20T11:00:00.000Z"),  # 13
        abandoned("evidence.pdf", "other"),  # 14
    )
    found.refuse(b'{"name":"PACKAGE_CREATE","packageId":"q"}', headers='[["host","x"]]', reason=STRANGE)
    found.refuse(b"\xff" * 9, whole=False, genuine=False)
    return found


# signlog events


def test_events_are_json_lines(site: Site) -> None:
    """With --json all of them, with the keys that the documentation names, and nothing beside them."""
    done = site.run("events", "--json")
    assert (done.code, done.err) == (0, "")
    assert [line["position"] for line in done.lines] == list(range(1, 15))
    assert shapes(done.lines) == {frozenset(EVENT), frozenset(EVENT - {"body"} | {"body_base64"})}
    second = done.lines[1]
    assert second["recorded_at"] == times.written(times.read(second["recorded_at"]))
    assert {**second, "recorded_at": ""} == {
        "position": 2,
        "recorded_at": "",
        "kind": "callback",
        "source": "onespan",
        "path": "/callbacks/onespan",
        "peer": "192.0.2.1",
        "client": "192.0.2.1",
        "credential": None,
        "name": "PACKAGE_CREATE",
        "subject": ID,
        "occurred_at": "2026-11-20T09:00:00.000000Z",
        "size": len(second["body"]),
        "body": json.dumps({"name": "PACKAGE_CREATE", "packageId": ID, "createdDate": "2026-11-20T09:00:00.000Z"}),
    }


def test_a_body_that_is_no_text_is_base64(site: Site) -> None:
    """And no name, no subject: nobody could read it."""
    (line,) = site.run("events", "--json", "--after", "11", "--limit", "1").lines
    assert (line["body_base64"], line["size"], line["name"], line["subject"]) == ("/wA=", 2, None, None)


@pytest.mark.parametrize(
    ("options", "positions"),
    [
        (["--source", "onespan"], list(range(2, 15))),
        (["--source", "signlog"], [1]),
        (["--subject", ID], list(range(2, 11))),
        (["--subject", DASHED], [11]),
        (["--name", "PACKAGE_COMPLETE"], [6, 7, 13]),
        (["--kind", "outcome"], [9, 10, 14]),
        (["--kind", "callback", "--limit", "2"], [12, 13]),
        (["--after", "12"], [13, 14]),
        (["--after", "2", "--limit", "2"], [3, 4]),
        (["--after", "14"], []),
        (["--since", "1h"], list(range(1, 15))),
        (["--until", "1h"], []),
        (["--since", "2999-01-01"], []),
        (["--name", "PACKAGE_COMPLETE", "--limit", "1"], [13]),
    ],
)
def test_events_that_fit(site: Site, options: list[str], positions: list[int]) -> None:
    """Each option narrows the list; --limit takes the newest, or behind --after the next."""
    done = site.run("events", "--json", *options)
    assert (done.code, [line["position"] for line in done.lines]) == (0, positions)


def test_events_for_people(site: Site) -> None:
    """A table: where, when, what, of whom."""
    done = site.run("events", "--limit", "3")
    lines = done.out.splitlines()
    assert lines[0].split() == ["POSITION", "RECORDED", "AT", "NAME", "SUBJECT", "SOURCE", "KIND"]
    assert [line.split()[0] for line in lines[1:]] == ["12", "13", "14"]
    assert len({line.index("other") for line in lines[2:]}) == 1


def test_no_events_for_people(site: Site) -> None:
    """A sentence beside the answer, which is empty."""
    done = site.run("events", "--subject", "nobody")
    assert (done.code, done.out) == (0, "")
    assert "No such event" in done.err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--kind", "callbacks"], "write one of: callback, import, observation, outcome, decision"),
        (["--since", "yesterday"], "'yesterday' is no time; write"),
        (["--limit", "0"], "--limit"),
        (["--after", "x"], "--after"),
        (["extra"], "unexpected extra argument"),
        (["--nonsense"], "No such option"),
    ],
)
def test_events_that_are_asked_for_wrongly(site: Site, options: list[str], told: str) -> None:
    """Exit 2, and nothing on standard output."""
    done = site.run("events", *options)
    assert (done.code, done.out) == (2, "")
    assert told in done.err


# signlog show


def test_show_is_one_json_value(site: Site) -> None:
    """An event with everything that is stored of it."""
    done = site.run("show", "2", "--json")
    assert set(done.json) == EVENT | WHOLE
    assert done.json["headers"] == [["content-type", "application/json"]]
    assert (done.json["method"], done.json["provider"], done.json["v"]) == ("POST", "onespan", 1)
    assert all(len(done.json[name]) == 64 for name in ("content", "leaf"))


def test_show_raw_is_the_body(site: Site) -> None:
    """Exactly its bytes: nothing is added, not even the end of a line."""
    process = site.start("show", "12", "--raw")
    out, err = process.communicate(timeout=60)
    assert (out, err, process.returncode) == (b"\xff\x00", b"", 0)


def test_show_for_people(site: Site) -> None:
    """Fields that say something, headers, body."""
    out = site.run("show", "4").out
    assert "content-type: application/json" in out
    assert '"name": "DOCUMENT_SIGNED"' in out
    assert "spooled" not in out


def test_show_what_is_no_text(site: Site) -> None:
    """Not on the terminal; the sentence says what to type."""
    done = site.run("show", "12")
    assert "2 bytes that are no text; all of it: 'signlog show 12 --raw'" in done.err


@pytest.mark.parametrize("position", ["15", "99999999999999999999999"])
def test_show_what_is_not_there(site: Site, position: str) -> None:
    """Exit 1: the answer is no."""
    done = site.run("show", position, "--json")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("signlog: there is no ")
    assert site.run("show", "15").err == "signlog: there is no event 15; the newest is 14\n"


def test_show_what_is_no_position(site: Site) -> None:
    """Exit 2: nobody could have meant it."""
    for position in ("0", "x"):
        assert site.run("show", position).code == 2


# signlog status


def test_status_of_one(site: Site) -> None:
    """Every key that the documentation names, and the names that the provider's API told us."""
    done = site.run("status", "onespan", ID, "--json")
    found = done.json
    assert set(found) == SUBJECT
    assert shapes(found["artifacts"]) == {frozenset(ARTIFACT)}
    stands = ("COMPLETED", "completed", "yes", False)
    assert (found["status"], found["stage"], found["confirmed"], found["trashed"]) == stands
    assert found["signers"] == [
        {
            "id": "30ba8506-9819-46aa-a22d-c0114ba34cd0",
            "name": "Ана Петрова",
            "completed": True,
            "documents": ["83bb5250"],
            "declined": False,
        }
    ]
    document = {"id": "83bb5250", "name": "Lease agreement", "viewed": False, "signed": True, "declined": False}
    assert found["documents"] == [document]
    assert [(one["name"], one["state"], one["attempts"]) for one in found["artifacts"]] == [
        ("documents.zip", "stored", 1),
        ("evidence.pdf", "failed", 1),
    ]
    assert (found["first_position"], found["last_position"]) == (2, 8)


def test_status_of_one_for_people(site: Site) -> None:
    """Names instead of ids, and where each document lies."""
    out = site.run("status", "onespan", ID).out
    assert "Ана Петрова  yes        no" in out
    assert "Lease agreement  no      yes     no" in out
    assert f"documents.zip  stored, 1234 bytes: signlog-data/documents/onespan/{ID}/documents.zip" in out
    assert "evidence.pdf   failed, next try at 2096-10-02T07:06:40.000000Z: HTTP 500" in out


@pytest.mark.parametrize("options", [(), ("--json",), ("--config", "signlog.toml", "--json")])
@pytest.mark.parametrize("before", [True, False])
def test_an_id_may_begin_with_a_dash(site: Site, before: bool, options: tuple[str, ...]) -> None:
    """About every 64th of OneSpan's does; options are understood before and behind it."""
    ids = ("onespan", DASHED)
    for command in ("status", "timeline"):
        done = site.run(command, *((*options, *ids) if before else (*ids, *options)))
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith("{") == ("--json" in options)
    assert site.run("status", "onespan", "--", DASHED).code == 0


def test_an_option_that_is_none_is_no_id(site: Site) -> None:
    """Where a source stands, what begins with a dash is a typo."""
    for command in (["status"], ["timeline"], ["downloads", "retry", "--reason", "x"]):
        done = site.run(*command, "--stagee", "draft")
        assert (done.code, done.out) == (2, "")
        assert "no such option: --stagee" in done.err


def test_status_lists(site: Site) -> None:
    """The one that moved last comes first."""
    done = site.run("status", "--json")
    assert shapes(done.json) == {frozenset(SUBJECT)}
    assert [one["id"] for one in done.json] == ["other", DASHED, ID]


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--stage", "completed"], ["other", ID]),
        (["--stage", "expired"], []),
        (["--source", "onespan", "--limit", "1"], ["other"]),
        (["--source", "nobody"], []),
    ],
)
def test_status_lists_what_fits(site: Site, options: list[str], ids: list[str]) -> None:
    """Each option narrows the list."""
    assert [one["id"] for one in site.run("status", "--json", *options).json] == ids


def test_status_lists_for_people(site: Site) -> None:
    """How many of its documents are stored, where any are wanted."""
    out = site.run("status").out
    assert "1 of 2" in next(line for line in out.splitlines() if ID in line)
    assert " -  " in next(line for line in out.splitlines() if DASHED in line)
    assert site.run("status", "--stage", "expired").err == "Nothing fits. 'signlog events' lists what arrived.\n"


def test_status_of_nobody(site: Site) -> None:
    """Exit 1, and what to type next."""
    done = site.run("status", "onespan", "no body", "--json")
    assert (done.code, done.out) == (1, "")
    told = f"what arrived about it, if anything: signlog events --subject {shlex.quote('no body')}\n"
    assert done.err == f"signlog: nothing is known of no body in onespan; {told}"


def test_status_that_is_asked_for_wrongly(site: Site) -> None:
    """Half a name, and a stage that there is not."""
    half, stage = site.run("status", "onespan"), site.run("status", "--stage", "done")
    assert (half.code, stage.code) == (2, 2)
    assert "signlog status --source onespan" in half.err
    assert "write one of: draft, in_progress, completed, declined, expired, failed, deleted" in stage.err


# signlog timeline


def test_timeline_is_json_lines(site: Site) -> None:
    """Callbacks, answers of the API, and what we did, in the order of the log."""
    lines = site.run("timeline", "onespan", ID, "--json").lines
    assert shapes(lines) == {frozenset(FACT)}
    assert [(line["position"], line["kind"], line["name"], line["same_as"]) for line in lines] == [
        (2, "callback", "PACKAGE_CREATE", None),
        (3, "callback", "PACKAGE_ACTIVATE", None),
        (4, "callback", "DOCUMENT_SIGNED", None),
        (5, "callback", "SIGNER_COMPLETE", None),
        (6, "callback", "PACKAGE_COMPLETE", None),
        (7, "callback", "PACKAGE_COMPLETE", 6),
        (8, "observation", "GET 200", None),
        (9, "outcome", "stored", None),
        (10, "outcome", "failed", None),
    ]


def test_timeline_tells_names(site: Site) -> None:
    """Callbacks know ids only; the API told us who and what they are."""
    texts = [line["text"] for line in site.run("timeline", "onespan", ID, "--json").lines]
    assert texts[2:4] == ["Ана Петрова signed Lease agreement", "Ана Петрова finished signing"]


def test_timeline_for_people(site: Site) -> None:
    """A repetition says of what."""
    out = site.run("timeline", "onespan", ID).out
    assert "completed (again, as at 6)" in out
    assert "documents.zip stored" in out


def test_timeline_of_nobody(site: Site) -> None:
    """Exit 1."""
    done = site.run("timeline", "onespan", "nobody", "--json")
    assert (done.code, done.out) == (1, "")
    assert done.err == "signlog: nothing is known of nobody in onespan; 'signlog status' lists what is\n"


# signlog downloads


@pytest.mark.parametrize("command", [["downloads"], ["downloads", "list"]])
def test_downloads_lists(site: Site, command: list[str]) -> None:
    """With `list` or without."""
    found = site.run(*command, "--json").json
    assert shapes(found) == {frozenset({"source", "subject", "waits_for", *ARTIFACT})}
    assert [(one["subject"], one["name"], one["state"]) for one in found] == [
        ("other", "evidence.pdf", "abandoned"),
        ("other", "documents.zip", "wanted"),
        (ID, "evidence.pdf", "failed"),
        (ID, "documents.zip", "stored"),
    ]


def test_downloads_lists_what_fits(site: Site) -> None:
    """By state, by source."""
    assert [one["subject"] for one in site.run("downloads", "--state", "abandoned", "--json").json] == ["other"]
    assert site.run("downloads", "--source", "nobody", "--json").json == []
    wrong = site.run("downloads", "--state", "done")
    assert (wrong.code, wrong.out) == (2, "")
    assert "write one of: wanted, held, stored, failed, abandoned, listed, unwanted" in wrong.err


def test_downloads_for_people(site: Site) -> None:
    """What went wrong stands there; where nothing fits, a sentence."""
    assert "HTTP 404, after 8 tries" in site.run("downloads").out
    assert "No such document" in site.run("downloads", "--state", "unwanted").err


# signlog quarantine


@pytest.mark.parametrize("command", [["quarantine"], ["quarantine", "list"]])
def test_quarantine_lists(site: Site, command: list[str]) -> None:
    """With `list` or without, oldest first; --limit takes the newest."""
    found = site.run(*command, "--json").json
    assert shapes(found) == {frozenset(REFUSED)}
    assert [(one["id"], one["genuine"], one["whole"], one["size"]) for one in found] == [
        (1, True, True, 41),
        (2, False, False, 9),
    ]
    assert [one["id"] for one in site.run(*command, "--limit", "1", "--json").json] == [2]


def test_quarantine_shows_one(site: Site) -> None:
    """With everything that was kept of it."""
    found = site.run("quarantine", "show", "1", "--json").json
    assert set(found) == REFUSED | {"peer", "headers", "body"}
    assert (found["headers"], found["body"]) == ([["host", "x"]], '{"name":"PACKAGE_CREATE","packageId":"q"}')
    assert "body_base64" in site.run("quarantine", "show", "2", "--json").json
    out = site.run("quarantine", "show", "1").out
    assert "host: x" in out
    assert '"packageId":"q"' in out


def test_quarantine_shows_bytes(site: Site) -> None:
    """With --raw, and nothing else."""
    out, _ = site.start("quarantine", "show", "2", "--raw").communicate(timeout=60)
    assert out == b"\xff" * 9


def test_quarantine_has_no_such_number(site: Site) -> None:
    """Exit 1, and what lists them."""
    for command in ("show", "drop"):
        done = site.run("quarantine", command, "9", "--json")
        assert (done.code, done.out) == (1, "")
        assert done.err == "signlog: there is no 9 in quarantine; 'signlog quarantine' lists what is\n"


# What strangers sent must not steer the terminal


@pytest.mark.parametrize(
    "command",
    [
        ["events"],
        ["show", "11"],
        ["status"],
        ["status", "onespan", DASHED],
        ["timeline", "onespan", DASHED],
        ["quarantine"],
        ["quarantine", "show", "1"],
    ],
)
def test_control_characters_do_not_reach_the_terminal(site: Site, command: list[str]) -> None:
    """Nor what turns the order of letters around."""
    out = site.run(*command).out
    assert all(letter.isprintable() or letter == "\n" for letter in out)


def test_json_keeps_them_and_escapes_them(site: Site) -> None:
    """A script gets what was sent."""
    done = site.run("status", "onespan", DASHED, "--json")
    assert done.json["reason"] == STRANGE
    assert "\x1b" not in done.out


def test_an_argument_that_is_no_text(site: Site) -> None:
    """Bytes that are no UTF-8 are nobody's id."""
    done = site.run("status", "onespan", "\udcff")
    assert (done.code, done.out, done.err) == (2, "", "signlog: what was named is no UTF-8\n")


# No table is empty without a word


def test_a_log_without_callbacks(tmp_path: Path) -> None:
    """What there is nothing of is said to be nothing, with exit 0."""
    site = Site(tmp_path).filled()
    for command in ("status", "downloads", "quarantine"):
        done = site.run(command)
        assert (done.code, done.out) == (0, "")
        assert done.err.count("\n") == 1
        assert site.run(command, "--json").json == []


def test_a_log_that_nobody_has_folded(tmp_path: Path) -> None:
    """The sentence says who does it; what needs no views works."""
    site = Site(tmp_path)
    site.append(callback("PACKAGE_CREATE"))
    for command in (["status"], ["timeline", "onespan", ID], ["downloads"]):
        done = site.run(*command)
        assert (done.code, done.out) == (1, "")
        assert done.err == "signlog: nothing was folded yet; the worker does it: run 'signlog serve'\n"
    assert len(site.run("events", "--json").lines) == 2


def test_views_of_another_version(tmp_path: Path) -> None:
    """A sentence, no traceback: the worker will fold them anew."""
    site = Site(tmp_path).filled(callback("PACKAGE_CREATE"))
    from listener.views_file import FileViews
    from projections import packages

    views = FileViews(site.data, 1)
    with views.writing() as connection:
        connection.execute(packages.TABLE.update().values(fold=b'{"provider": 5}'))
    views.close()
    done = site.run("status")
    assert (done.code, done.out) == (1, "")
    assert "was folded by another version" in done.err


def test_a_database_that_is_none(tmp_path: Path) -> None:
    """A sentence, no traceback."""
    site = Site(tmp_path).filled()
    (site.data / "quarantine.db").write_bytes(b"no database at all" * 100)
    done = site.run("quarantine")
    assert (done.code, done.out) == (1, "")
    assert done.err == "signlog: the database cannot be used: file is not a database\n"


def test_what_was_fetched_by_an_earlier_wish_is_unwanted(tmp_path: Path) -> None:
    """Stored, though no completion in the log asked for it."""
    site = Site(tmp_path).filled(stored("documents.zip", "old"))
    assert [one["state"] for one in site.run("downloads", "--state", "unwanted", "--json").json] == ["unwanted"]


def test_an_act_with_a_time_to_try_again(tmp_path: Path) -> None:
    """The time stands in the list, as in the log."""
    act = failed(next_at=1_795_348_800_000_000)
    site = Site(tmp_path).filled(callback("PACKAGE_COMPLETE"), act)
    (one,) = site.run("downloads", "--state", "failed", "--json").json
    assert one["next_at"] == "2026-11-22T12:00:00.000000Z"
    assert Act(facts.FAILED).next_at is None
