"""signlog import: callbacks from files and mails into the log, each once, with who brought them and why."""

import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listener import acts, bootstrap, errors, reinjected
from listener.acts import Act
from listener.cli import options
from listener.log import event, reader
from listener.log.append import BULK_ROWS
from listener.log.event import Event
from listener.reinjected import Importer
from tests import test_mail
from tests.site import ID, ONESPAN, Done, Site, callback

WHY = ("--source", "onespan", "--reason", "the door was down")
KEYS = {"file", "where", "position", "same_as", "name", "subject", "occurred_at"}


def body(name: str = "PACKAGE_COMPLETE", subject: str = ID, **fields: Any) -> bytes:
    """A callback as OneSpan writes it in its mail: "" for null."""
    told = {"name": name, "sessionUser": "", "packageId": subject, "message": "", "documentId": "", **fields}
    return json.dumps({**told, "createdDate": "2026-11-20T09:00:00.000Z"}).encode()


def site(folder: Path) -> Site:
    """A log with one callback in it, folded."""
    return Site(folder).filled(callback("PACKAGE_CREATE"))


def imported(found: Site) -> list[Event]:
    """What was imported, in order."""
    with bootstrap.log(found.settings) as database:
        return [known for known in reader.every(database) if known.kind == event.IMPORT]


def decided(found: Site) -> list[tuple[int, Act]]:
    """The decisions to import, with their positions."""
    with bootstrap.log(found.settings) as database:
        events = [known for known in reader.every(database) if known.path == acts.IMPORT_PATH]
    return [(known.position, acts.read(known)) for known in events]


def give(found: Site, content: bytes, *more: str, name: str = "file") -> Done:
    """Import a file with that content."""
    (found.folder / name).write_bytes(content)
    return found.run("import", name, *WHY, *more)


def told(done: Done) -> list[dict[str, Any]]:
    """The answer for scripts."""
    assert (done.code, done.err) == (0, "")
    rows: list[dict[str, Any]] = done.json
    assert all(row.keys() == KEYS for row in rows)
    return rows


# What goes in


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (body(), ""),
        (b"\xef\xbb\xbf \r\n" + body() + b"\n", ""),
        (json.dumps(json.loads(body()), indent=4).encode(), ""),
        (b"[" + body() + b" ]", "element 1"),
        (b"Subject: failed\r\n\r\nHello,\r\n" + body(), "mail"),
    ],
    ids=["json", "json with a mark", "json in many lines", "list", "mail"],
)
def test_a_callback_is_appended_as_it_is_written(tmp_path: Path, content: bytes, where: str) -> None:
    """Behind a decision that says who, why, and which file it was."""
    found = site(tmp_path)
    (row,) = told(give(found, content, "--json"))
    (known,) = imported(found)
    assert (known.body or b"-") in content
    assert json.loads(known.body or b"") == json.loads(body())
    assert (row["position"], row["where"], row["same_as"]) == (known.position, where, None)
    assert (row["name"], row["subject"], row["occurred_at"]) == ("PACKAGE_COMPLETE", ID, "2026-11-20T09:00:00.000000Z")
    assert (known.source, known.provider, known.credential) == ("onespan", "onespan", f"operator:{options.operator()}")
    ((position, act),) = decided(found)
    assert position == known.position - 1
    assert (act.action, act.source, act.operator) == ("import", "onespan", options.operator())
    assert (act.reason, act.path) == ("the door was down", "file")
    assert (act.sha256, act.size) == (hashlib.sha256(content).hexdigest(), len(content))
    found.fold()
    assert found.run("status", "onespan", ID, "--json").json["stage"] == "completed"


@pytest.mark.parametrize("name", test_mail.MAILS)
def test_every_mail_that_can_be_read_can_be_imported(tmp_path: Path, name: str) -> None:
    """The callback in it, and nothing else of it."""
    found = site(tmp_path)
    (row,) = told(give(found, test_mail.MAILS[name], "--json", name="failed.eml"))
    assert (row["name"], row["file"]) == ("PACKAGE_ACTIVATE", "failed.eml")
    assert [known.body for known in imported(found)] == [test_mail.CALLBACK]


def test_lines_are_callbacks(tmp_path: Path) -> None:
    """One each; empty lines are none."""
    found = site(tmp_path)
    lines = [body(subject=f"p{number}=") for number in range(3)]
    rows = told(give(found, b"\r\n\n".join(lines) + b"\n", "--json"))
    assert [row["where"] for row in rows] == ["line 1", "line 3", "line 5"]
    assert [known.body for known in imported(found)] == lines


def test_standard_input_is_a_file(tmp_path: Path) -> None:
    """Named "-", beside others."""
    found = site(tmp_path)
    (tmp_path / "a").write_bytes(body(subject="a"))
    rows = told(found.run("import", "a", "-", *WHY, "--json", given=body(subject="b")))
    assert [(row["file"], row["subject"]) for row in rows] == [("a", "a"), ("-", "b")]
    assert [act.path for _, act in decided(found)] == ["a", "-"]


def test_many_are_appended_a_hundred_at_a_time(tmp_path: Path) -> None:
    """Each hundred with its decision: the door never waits long, and who is killed leaves nothing unexplained."""
    found = site(tmp_path)
    lines = [body(subject=f"p{number}") for number in range(250)]
    rows = told(give(found, b"\n".join(lines), "--json"))
    positions = [position for position, _ in decided(found)]
    assert len(positions) == 3
    assert [later - earlier for earlier, later in itertools.pairwise(positions)] == [BULK_ROWS] * 2
    assert [row["position"] for row in rows] == [known.position for known in imported(found)]
    assert len(imported(found)) == 250


def test_an_unknown_event_may_be_imported(tmp_path: Path) -> None:
    """As it may be sent."""
    assert told(give(site(tmp_path), body("SIGNER_APPLAUDED"), "--json"))[0]["name"] == "SIGNER_APPLAUDED"


def test_callbacks_of_another_provider(tmp_path: Path) -> None:
    """Whatever it sends as JSON."""
    found = Site(tmp_path, "[sources.evrotrust]\nunauthenticated = true\n").filled()
    (tmp_path / "x").write_bytes(b'{"transactionID":"7","status":2}')
    done = found.run("import", "x", "--source", "evrotrust", "--reason", "x", "--json")
    assert told(done)[0]["subject"] == "7"


# What is there already


@pytest.mark.parametrize(
    "content",
    [
        callback("PACKAGE_CREATE").body,
        b' { "createdDate":"2026-11-20T09:00:00Z","packageId":"'
        + ID.encode()
        + b'","name":"PACKAGE_CREATE","message":"" }',
        body("PACKAGE_CREATE"),
        json.dumps({**json.loads(body("PACKAGE_CREATE")), "documentId": "null", "@class": "x"}).encode(),
    ],
    ids=["same bytes", "another order", "empty texts", "other words for nothing"],
)
@pytest.mark.parametrize("folded", [True, False])
def test_what_the_log_says_is_not_said_again(tmp_path: Path, content: bytes, folded: bool) -> None:
    """The same bytes, or the same sense; whether the views know it already or not. With --again it is."""
    found = Site(tmp_path)
    (first,) = found.append(callback("PACKAGE_CREATE"))[-1:]
    if folded:
        found.fold()
    (row,) = told(give(found, content, "--json"))
    assert (row["position"], row["same_as"]) == (None, first)
    assert (imported(found), decided(found)) == ([], [])
    (row,) = told(give(found, content, "--again", "--json"))
    assert (row["position"], row["same_as"]) == (first + 2, first)
    assert len(imported(found)) == 1


@pytest.mark.parametrize(
    "content",
    [
        body("PACKAGE_COMPLETE"),
        body("PACKAGE_CREATE", subject=ID.lower()),
        body("PACKAGE_CREATE", sessionUser="8QS1yr3q8DEZ"),
        json.dumps({"name": "PACKAGE_CREATE", "packageId": ID}).encode(),
    ],
    ids=["another name", "another id", "another signer", "without a time"],
)
def test_what_says_something_else_is_appended(tmp_path: Path, content: bytes) -> None:
    """However alike."""
    (row,) = told(give(site(tmp_path), content, "--json"))
    assert row["position"] is not None
    assert row["same_as"] is None


def test_a_callback_that_came_for_another_source_is_not_the_same(tmp_path: Path) -> None:
    """Two accounts may have packages of one id."""
    found = Site(tmp_path, f'{ONESPAN}[sources.other]\nprovider = "onespan"\ncallback_keys = ["k"]\n')
    found.filled(callback("PACKAGE_COMPLETE", source="other"))
    assert told(give(found, body(), "--json"))[0]["same_as"] is None


def test_repetitions_in_the_files_are_seen_too(tmp_path: Path) -> None:
    """In one file, in another one, and of what was just imported."""
    found = site(tmp_path)
    (tmp_path / "other").write_bytes(body())
    (tmp_path / "lines").write_bytes(b"\n".join([body(), body("PACKAGE_ARCHIVE"), body(), body(message=None)]))
    rows = told(found.run("import", "lines", "other", *WHY, "--json"))
    first = rows[0]["position"]
    assert [row["position"] for row in rows] == [first, first + 1, None, None, None]
    assert [row["same_as"] for row in rows] == [None, None, first, first, first]
    assert [row["same_as"] for row in told(found.run("import", "other", *WHY, "--json"))] == [first]


def test_people_are_told_what_was_left_out(tmp_path: Path) -> None:
    """A line for each, and what to type."""
    found = site(tmp_path)
    done = give(found, b"\n".join([body("PACKAGE_CREATE"), body()]))
    assert done.code == 0
    assert [line.split()[3] for line in done.out.splitlines()[1:]] == ["-", "4"]
    assert done.err == "Left out, because the log says the same already: 1; --again appends them all the same.\n"


# What does not


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "neither JSON nor a mail"),
        (b"hello", "neither JSON nor a mail"),
        (b"\x00\x01\x02", "neither JSON nor a mail"),
        (b"{", "not JSON"),
        (b"{}", "no packageId"),
        (b"[]", "there is no callback in it"),
        (b"[7]", "element 1: not a JSON object"),
        (b"[" * 100_000, "not JSON"),
        (b'{"packageId":' * 50_000, "not JSON"),
        (body() + b"\n{", "line 2: not JSON"),
        (body() + b"\n" + b"[" * 100_000, "line 2: not a JSON object"),
        (body() + b"\nhello", "line 2: not JSON"),
        (b"[" + body() + b", {}]", "element 2: no packageId"),
        (body(message="x" * 1_100_000), "bytes, and max_body_bytes is 1048576"),
        (b"Subject: hello\n\nHow are you?", "there is no callback in it"),
        (b'Subject: hello\n\n{"a":1}', "there is no callback in it"),
        (b"Subject: hello\n\n" + b".\n" * 200_000, "a mail of more than 100000 lines"),
    ],
)
def test_what_holds_no_callback_stops_everything(tmp_path: Path, content: bytes, what: str) -> None:
    """Nothing of any file is imported; the message says which one, and where in it."""
    found = site(tmp_path)
    (tmp_path / "good").write_bytes(body())
    (tmp_path / "bad").write_bytes(content)
    done = found.run("import", "good", "bad", *WHY, "--json")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("signlog: bad: ")
    assert what in done.err
    assert "; nothing was imported" in done.err
    assert imported(found) == []


def test_files_are_bounded_together(tmp_path: Path) -> None:
    """A device that never ends is a file, too."""
    done = site(tmp_path).run("import", "/dev/zero", *WHY)
    assert (done.code, done.out) == (1, "")
    assert f"more than {reinjected.MOST_BYTES} bytes are left for it" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (["nothing.eml", *WHY], 1, "nothing.eml: No such file or directory"),
        (["good", "--source", "other", "--reason", "x"], 2, "--source: there is no source of that name; write one of"),
        (["good", "--source", "onespan"], 2, "Missing option '--reason'"),
        (["good", "--source", "onespan", "--reason", " "], 2, "say why"),
        (["good", "--reason", "x"], 2, "Missing option '--source'"),
        ([*WHY], 2, "Missing argument"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: list[str], code: int, what: str) -> None:
    """What is missing is named."""
    found = site(tmp_path)
    (tmp_path / "good").write_bytes(body())
    done = found.run("import", *arguments)
    assert (done.code, done.out) == (code, "")
    assert what in done.err
    assert imported(found) == []


IMPORTER = Importer("onespan", "onespan", "me", 10_000)
LINES = st.lists(
    st.binary(max_size=12) | st.sampled_from([body(), b"{}", b"[", b"]", b"\n", b"Subject: x\n\n"]), max_size=8
)


@settings(max_examples=300, deadline=None)
@given(content=LINES.map(b"".join))
def test_any_file_is_callbacks_or_a_fault(content: bytes) -> None:
    """Whatever somebody gives; what comes out is as it went in."""
    try:
        found = IMPORTER.callbacks(content)
    except errors.Fault:
        return
    assert found
    assert all(callback.draft.body in content for callback in found)
    assert all(json.loads(callback.draft.body)["packageId"] == callback.fact.subject for callback in found)
