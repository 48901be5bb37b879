"""signlog serve, and commands beside it while it runs."""

import contextlib
import http.client
import json
import os
import pty
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.site import ID, ONESPAN, SIGNLOG, Done, Site, callback, environment, until

KEY = {"Authorization": "Basic a-callback-key"}


class Served:
    """A server, where it listens, and what it says on standard error."""

    def __init__(self, site: Site, process: "subprocess.Popen[bytes]") -> None:
        self.site = site
        self.process = process

    @property
    def said(self) -> str:
        """Everything so far."""
        return (self.site.folder / "said").read_text("utf-8")

    @property
    def port(self) -> int:
        """Once it listens."""
        found = until(lambda: re.search(r"http://127\.0\.0\.1:(\d+)", self.said), lambda: self.said)
        return int(found[1])

    def post(self, path: str, body: bytes, **headers: str) -> int:
        """The status that the door answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("POST", path, body, headers)
            return connection.getresponse().status

    def call_back(self, name: str, subject: str = ID) -> None:
        """A callback of OneSpan that is let in."""
        body = json.dumps({"name": name, "packageId": subject, "createdDate": "2026-11-20T09:00:00.000Z"}).encode()
        assert self.post("/callbacks/onespan", body, **KEY) == 200


@contextlib.contextmanager
def serving(site: Site, *options: str) -> Iterator[Served]:
    """`signlog serve`, asked to end afterwards; it ends with 0."""
    with open(site.folder / "said", "wb") as said:
        process = site.start("serve", *options, stdout=said, stderr=said)
    served = Served(site, process)
    try:
        until(lambda: "signlog " in served.said)
        yield served
    finally:
        process.terminate()
        code = process.wait(60)
    assert code == 0, served.said


def stage(site: Site) -> Any:
    """Where the package stands, once something is known of it."""
    return until(lambda: (found := site.run("status", "onespan", ID, "--json")).code == 0 and found.json["stage"])


HIDING = """
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        hidden = name.partition(".")[0] in {"obstore", "psycopg", "pyhanko", "pyhanko_certvalidator"}
        return None if hidden else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
"""


def test_what_is_optional_need_not_be_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for buckets, nor for PostgreSQL, nor for signatures: a door and a worker as the README makes them."""
    site, hiding = Site(tmp_path), tmp_path / "hiding"
    hiding.mkdir()
    (hiding / "sitecustomize.py").write_text(HIDING)
    monkeypatch.setenv("PYTHONPATH", str(hiding))
    with serving(site) as served:
        served.call_back("PACKAGE_CREATE")
        assert stage(site) == "draft"
        assert "pyhanko is not installed" in served.said
        assert "Traceback" not in served.said


def test_without_a_source_it_says_what_to_add(tmp_path: Path) -> None:
    """Two lines; until then every callback is refused with 404, and kept."""
    site = Site(tmp_path, "")
    with serving(site, "--door") as served:
        assert served.post("/callbacks/onespan", b'{"name":"PACKAGE_CREATE","packageId":"q"}', **KEY) == 404
        (kept,) = site.run("quarantine", "--json").json
        assert (kept["status"], kept["reason"], kept["path"]) == (404, "unknown source", "/callbacks/onespan")
    hint = re.findall(r"^ {4}(.+)$", served.said, re.M)
    assert hint == ["[sources.onespan]", 'callback_keys = ["…"]']
    assert "put these two lines into signlog.toml" in served.said
    site.configure("\n".join(hint).replace("…", "a-callback-key"))
    with serving(site, "--door") as served:
        served.call_back("PACKAGE_CREATE")


def test_a_callback_is_kept_and_folded(tmp_path: Path) -> None:
    """Commands work while the server runs, and so they do afterwards."""
    site = Site(tmp_path)
    with serving(site) as served:
        assert f"signlog takes callbacks of onespan at http://127.0.0.1:{served.port}/callbacks/onespan" in served.said
        served.call_back("PACKAGE_ACTIVATE")
        assert stage(site) == "in_progress"
        assert site.run("health", "--json").json["lag_events"] == 0
    assert stage(site) == "in_progress"


def test_only_the_door(tmp_path: Path) -> None:
    """It stores, and leaves the meaning to the worker."""
    site = Site(tmp_path)
    with serving(site, "--door") as served:
        served.call_back("PACKAGE_CREATE")
        assert [line["kind"] for line in site.run("events", "--json").lines] == ["decision", "callback"]
        assert "the worker does it" in site.run("status").err


def test_only_the_worker(tmp_path: Path) -> None:
    """It takes up what the door left."""
    site = Site(tmp_path)
    with serving(site, "--door") as served:
        served.call_back("PACKAGE_CREATE")
    with serving(site, "--worker") as served:
        assert stage(site) == "draft"
        assert "signlog works on the log in signlog-data" in served.said


def test_door_and_worker_in_one_process(tmp_path: Path) -> None:
    """Are refused before anything is made."""
    done = Site(tmp_path).run("serve", "--door", "--worker")
    assert (done.code, done.out) == (2, "")
    assert "leave both out to run both" in done.err
    assert not (tmp_path / "signlog-data").exists()


@pytest.mark.parametrize("part", [(), ("--door",)])
def test_a_port_that_is_taken(tmp_path: Path, part: tuple[str, ...]) -> None:
    """Exit 2, and what to type."""
    site = Site(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = site.run("serve", *part, env={"SIGNLOG_DOOR__PORT": str(port)})
    assert (done.code, done.out) == (2, "")
    assert f"cannot listen on 127.0.0.1:{port} (Address already in use)" in done.err
    assert "e.g. SIGNLOG_DOOR__PORT=" in done.err


def test_a_wrong_configuration(tmp_path: Path) -> None:
    """Exit 2, one sentence, and nothing is made."""
    done = Site(tmp_path, "dor.port = 1").run("serve")
    assert (done.code, done.out) == (2, "")
    assert done.err == "signlog: dor: there is no such key; did you mean door?\n"
    assert not (tmp_path / "signlog-data").exists()


def test_a_private_key_that_cannot_be_read(tmp_path: Path) -> None:
    """Exit 2, before anything is made or listened on; the door alone has no use for it, and does not look."""
    config = (
        '[sources.evrotrust]\nallow = ["192.0.2.1"]\napi_key = "k"\nvendor_number = "v"\nprivate_keys = ["k.pem"]\n'
    )
    site = Site(tmp_path, config)
    for part in ([], ["--worker"]):
        done = site.run("serve", *part)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("signlog: sources.evrotrust.private_keys: entry 1 cannot be read: No such file")
        assert not (site.data / "signlog.db").exists()
    with serving(site, "--door") as served:
        assert served.post("/callbacks/evrotrust/document/ready", b"{}") == 403


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    """Exit 2: the sentence names the key."""
    (tmp_path / "signlog-data").write_text("")
    done = Site(tmp_path).run("serve")
    assert (done.code, done.err[:45]) == (2, "signlog: data: signlog-data cannot be made (F")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """The system's own words and the file's name, no traceback."""
    site = Site(tmp_path)
    (site.data / "secret").mkdir(parents=True)
    assert site.run("serve") == (1, "", "signlog: signlog-data/secret: Is a directory\n")


def test_whom_to_trust_is_read_before_the_door_opens(tmp_path: Path) -> None:
    """A path that is wrong stops the start, and is not found out with the first document."""
    done = Site(tmp_path, f'{ONESPAN}trust_roots = ["root.pem"]\n').run("serve")
    assert done.code == 2
    assert done.err.startswith("signlog: sources.onespan.trust_roots: entry 1 cannot be read: No such file")


def test_what_is_not_installed_is_told_at_the_start(tmp_path: Path) -> None:
    """Signatures cannot be checked, and what to type; unless nobody wants it."""
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['pyhanko'] = None\n")
    hint = "signatures are not checked: pyhanko is not installed; pip install 'signlog[pdf]'\n"
    path = os.pathsep.join(filter(None, (str(tmp_path), environment().get("PYTHONPATH"))))
    for number, (config, told) in enumerate(((ONESPAN, True), (f"check_signatures = false\n{ONESPAN}", False))):
        (tmp_path / str(number)).mkdir()
        site = Site(tmp_path / str(number), config)
        process = site.start("serve", env={**environment(), "PYTHONPATH": path})
        until((site.data / "signlog-worker.lock").exists)
        process.terminate()
        _, said = process.communicate(timeout=60)
        assert (hint in said.decode()) == told


def test_keys_without_effect_are_told(tmp_path: Path) -> None:
    """Nobody should wait for what a later version will do."""
    site = Site(tmp_path, f'{ONESPAN}private_keys = ["x"]\n')
    with serving(site, "--door") as served:
        served.call_back("PACKAGE_CREATE")
        assert "sources.onespan.private_keys: has no effect in this version" in served.said


def test_where_tokens_are_given_is_told(tmp_path: Path) -> None:
    """It is what must be entered at the provider."""
    client = 'provider = "onespan"\ncallback_client_id = "c"\ncallback_client_secrets = ["abcdefghijklmn"]\n'
    with serving(Site(tmp_path, f"{ONESPAN}[sources.other]\n{client}"), "--door") as served:
        served.call_back("PACKAGE_CREATE")
        assert "/callbacks/other\nand gives tokens for them at http://127.0.0.1:" in served.said
        assert served.said.count("/oauth/other/token\n") == served.said.count("/oauth/") == 1


def test_an_interrupt_ends_it(tmp_path: Path) -> None:
    """Ctrl-C at a terminal goes to the whole group of processes."""
    site = Site(tmp_path)
    with open(tmp_path / "said", "ab") as said:
        process = site.start("serve", stdout=said, stderr=said, start_new_session=True)
    served = Served(site, process)
    served.call_back("PACKAGE_CREATE")
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(60) == 0
    assert "Traceback" not in served.said


def test_what_strangers_send_does_not_steer_the_terminal(tmp_path: Path) -> None:
    """A source that nobody knows is named in the log as it was called, with its control characters escaped."""
    site = Site(tmp_path)
    ours, theirs = pty.openpty()
    process = site.start("serve", "--door", stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = bytearray()

    def heard(word: bytes) -> Any:
        said.extend(os.read(ours, 65536))
        return re.search(word, said)

    port = int(until(lambda: heard(rb"127\.0\.0\.1:(\d+)/"))[1])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("POST", "/callbacks/%1b%5b2J%1b%5d0;title%07", b"{}")
        assert connection.getresponse().status == 404
    until(lambda: heard(rb"callback_refused[^\n]*\n"))
    process.terminate()
    process.communicate(timeout=60)
    os.close(ours)
    assert b"\x1b[2J" not in said
    assert b"\x07" not in said
    assert b"x1b[2J" in said


# signlog events --follow


def test_followed_events_come_as_they_are_stored(tmp_path: Path) -> None:
    """Each once and in order, though some do not fit; the pipe gets each at once."""
    site = Site(tmp_path)
    with serving(site, "--door") as served:
        served.call_back("PACKAGE_CREATE")
        follower = site.start("events", "--follow", "--json", "--kind", "callback", "--subject", ID)
        assert follower.stdout is not None
        seen = [json.loads(follower.stdout.readline())["name"]]
        for name, subject in (("PACKAGE_ACTIVATE", "other"), ("PACKAGE_ACTIVATE", ID), ("PACKAGE_TRASH", ID)):
            served.call_back(name, subject)
        seen += [json.loads(follower.stdout.readline())["name"] for _ in range(2)]
        assert seen == ["PACKAGE_CREATE", "PACKAGE_ACTIVATE", "PACKAGE_TRASH"]
        follower.send_signal(signal.SIGINT)
        out, err = follower.communicate(timeout=60)
        assert (out, err, follower.returncode) == (b"", b"", 130)


def test_followed_events_go_on_behind_a_restart(tmp_path: Path) -> None:
    """Of the server, whom the follower does not need."""
    site = Site(tmp_path)
    with serving(site) as served:
        served.call_back("PACKAGE_CREATE")
        follower = site.start("events", "--follow", "--csv", "--kind", "callback")
        assert follower.stdout is not None
        assert follower.stdout.readline().startswith(b"position,")
        assert b"PACKAGE_CREATE" in follower.stdout.readline()
    with serving(site) as served:
        served.call_back("PACKAGE_TRASH")
        assert b"PACKAGE_TRASH" in follower.stdout.readline()
    follower.send_signal(signal.SIGINT)
    assert follower.communicate(timeout=60) == (b"", b"")


def test_followed_events_for_people(tmp_path: Path) -> None:
    """The newest first, then what comes; only what is new with --after."""
    site = Site(tmp_path)
    with serving(site, "--door") as served:
        served.call_back("PACKAGE_CREATE")
        follower = site.start("events", "--follow", "--after", "1")
        assert follower.stdout is not None
        first = follower.stdout.readline().decode().split()
        assert (first[0], first[2:]) == ("2", ["PACKAGE_CREATE", ID, "onespan", "callback"])
        served.call_back("PACKAGE_TRASH")
        assert follower.stdout.readline().decode().split()[2] == "PACKAGE_TRASH"
        follower.kill()
        follower.communicate()


def test_a_follower_whose_reader_went_away_ends(tmp_path: Path) -> None:
    """Quietly, at the next event."""
    site = Site(tmp_path)
    with serving(site, "--door") as served:
        follower = site.start("events", "--follow")
        assert follower.stdout is not None
        assert b"in force" in follower.stdout.readline()
        follower.stdout.close()
        served.call_back("PACKAGE_CREATE")
        assert follower.wait(60) == 0
        assert follower.stderr is not None
        assert follower.stderr.read() == b""
        follower.stderr.close()


# Where the reader goes away


def piped(site: Site, command: str) -> Done:
    """A pipeline, as a shell runs it, with the exit status of its first command."""
    script = f"{command}; echo ${{PIPESTATUS[0]}} >&2"
    done = subprocess.run(
        ["bash", "-c", script], cwd=site.folder, capture_output=True, text=True, timeout=60, check=False
    )
    *err, code = done.stderr.splitlines()
    return Done(int(code), done.stdout, "\n".join(err))


@pytest.mark.parametrize("command", ["events --limit 300", "events --json", "show 1 --raw", "show 1"])
def test_a_reader_that_went_away_is_no_error(tmp_path: Path, command: str) -> None:
    """`signlog … | head -1` is quiet."""
    site = Site(tmp_path)
    site.append(*[callback("PACKAGE_CREATE", "x" * 500)] * 300)
    done = piped(site, f"{SIGNLOG} {command} | head -c 1")
    assert (done.code, done.err, len(done.out)) == (0, "", 1)


def test_a_start_that_fails_changes_nothing(tmp_path: Path) -> None:
    """A second server on the folder is refused before it could declare what is in force."""
    site = Site(tmp_path)
    with serving(site) as served:
        served.call_back("PACKAGE_CREATE")
        until(lambda: "/checkpoint-key" in site.run("events", "--json", "--kind", "decision").out)
        before = site.run("events", "--json", "--kind", "decision").out
        site.configure("")
        refused = site.run("serve")
        assert (refused.code, "already runs on" in refused.err) == (2, True)
        assert site.run("events", "--json", "--kind", "decision").out == before
