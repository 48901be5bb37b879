"""The page about adding a provider is right: two files are all it takes, or one, by the rules of the house."""

import http.client
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from listener.demo import pdf
from listener.log import event
from tests.site import environment, until
from tests.test_architecture import RULES
from tests.test_providers_contract import HOSTILE, keeps_the_rules, recorded

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/adding-a-provider.md").read_text(encoding="utf-8")
MEANING, ASKING = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
ALONE = {"listener/providers/signpost.py": MEANING + "\n\n" + ASKING}
FILES = {"listener/providers/signpost.py": MEANING, "listener/apis/signpost.py": ASKING}
CONTRACT = pdf.document("Contract", ["signed"])


class Signpost(BaseHTTPRequestHandler):
    """Its API: one contract, for who shows the key."""

    def do_GET(self) -> None:
        """Answer what is known of the contract, or the contract."""
        known = {"/contracts/c%2F1": b'{"status":"signed","secret":"s"}', "/contracts/c%2F1/pdf": CONTRACT}
        content = known.get(self.path)
        right = self.headers["X-Signpost-Key"] == "api-key"
        self.send_response(401 if not right else 404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody listens."""


@pytest.fixture
def signpost() -> Iterator[str]:
    """The address of its API."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Signpost) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def copied(folder: Path, files: dict[str, str]) -> Path:
    """The program, with these files beside the others."""
    for package in ("listener", "projections", "migrations"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in files.items():
        assert not (folder / path).exists()
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def configured(folder: Path, url: str) -> None:
    """As at the end of the page, and where the imitation is."""
    (block,) = re.findall(r"^```text\n(.*?)^```$", PAGE, re.M | re.S)
    text = block.replace("…", "api-key").replace("the key that Signpost shows", "callback-key")
    (folder / "signlog.toml").write_text(f'{text}api_url = "{url}"\n[door]\nport = 0\n', encoding="utf-8")


def start(folder: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    """Run the copy."""
    command = [sys.executable, "-m", "listener", *arguments]
    env = {**environment(), "PYTHONPATH": str(folder)}
    return subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def answer(folder: Path, *arguments: str) -> Any:
    """What a command of the copy says as JSON."""
    out, _ = start(folder, *arguments, "--json").communicate(timeout=60)
    return json.loads(out or "null")


@pytest.mark.parametrize("files", [FILES, ALONE], ids=["two files", "one file"])
def test_they_make_a_provider(tmp_path: Path, signpost: str, files: dict[str, str]) -> None:
    """A callback comes in, is understood, confirmed by the API, and the document is fetched; no other file changed."""
    folder = copied(tmp_path, files)
    configured(folder, signpost)
    served = start(folder, "serve")
    try:
        assert served.stderr is not None
        found = re.search(rb"signpost at http://127\.0\.0\.1:(\d+)/callbacks/signpost", served.stderr.readline())
        assert found is not None
        assert post(int(found[1]), "callback-key") == 200
        assert post(int(found[1]), "wrong") == 401
        until(lambda: [known["stage"] for known in answer(folder, "status") or ()] == ["completed"])
        until(lambda: answer(folder, "downloads")[0]["state"] == "stored")
        (subject,) = answer(folder, "status")
    finally:
        served.terminate()
        served.communicate(timeout=60)
    assert (subject["id"], subject["status"], subject["confirmed"]) == ("c/1", "signed", "yes")
    (artifact,) = subject["artifacts"]
    assert (folder / "signlog-data/documents" / artifact["path"]).read_bytes() == CONTRACT
    told = (folder / "signlog-data/signlog.db").read_bytes()
    assert b'"secret"' not in told


def post(port: int, key: str) -> int:
    """A callback of Signpost; the status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    body = json.dumps({"contract": "c/1", "status": "signed"})
    connection.request("POST", "/callbacks/signpost", body, {"X-Signpost-Key": key})
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("left_out", [*FILES, ""])
def test_without_them_there_is_no_such_provider(tmp_path: Path, left_out: str) -> None:
    """Both are needed, and nothing else has heard of it."""
    folder = copied(tmp_path, {path: text for path, text in FILES.items() if path != left_out})
    configured(folder, "http://127.0.0.1:9")
    done = start(folder, "status")
    _, err = done.communicate(timeout=60)
    assert (b"there is no log" in err) is (left_out == "")


@pytest.mark.parametrize("path", FILES)
def test_they_keep_the_rules_of_the_house(path: str) -> None:
    """Who may import whom, how long things are, and that a file says what it is."""
    assert [problem for rule in RULES for problem in rule.problems(path, FILES[path])] == []
    worse = FILES[path] + "\nimport os\n\nkey = os.environ['KEY']\n"
    assert [problem for rule in RULES for problem in rule.problems(path, worse)]


def test_one_file_breaks_no_rule_but_that_there_are_two() -> None:
    """It knows how to ask, which the meaning of a provider does not."""
    ((path, code),) = ALONE.items()
    broken = {problem for rule in RULES for problem in rule.problems(path, code)}
    assert broken == {
        f"{path}: imports {name}" for name in re.findall(r"listener\.(?:api|wire)\.\w+", " ".join(broken))
    }
    assert broken


def meaning(folder: Path) -> ModuleType:
    """The file on the page, as a module."""
    path = folder / "signpost.py"
    path.write_text(MEANING, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("signpost", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.mark.parametrize("kind", [event.CALLBACK, event.IMPORT, event.OBSERVATION])
def test_it_takes_whatever_comes(tmp_path: Path, kind: str) -> None:
    """Like every provider: faults at worst."""
    known: Any = meaning(tmp_path)
    bodies = [
        *HOSTILE.values(),
        *(b"", b"{}", b"[]", b'{"contract":7}', b'{"contract":"c","status":"x"}', b'{"contract":"c","status":["x"]}'),
        b'{"contract":"c","status":"signed"}',
    ]
    for body in bodies:
        keeps_the_rules(known, recorded("signpost", body, kind, "/contracts/c"))
    assert os.listdir(tmp_path)
