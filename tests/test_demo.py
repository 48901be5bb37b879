"""signlog demo: what somebody sees who has no account, and what lies on disk afterwards."""

import contextlib
import hashlib
import io
import json
import os
import re
import signal
import socket
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.site import PATIENCE, SIGNLOG, environment, until

STAGES = {
    ("onespan", "completed"): 3,
    ("onespan", "declined"): 1,
    ("onespan", "expired"): 1,
    ("onespan", "in_progress"): 1,
    ("evrotrust", "completed"): 2,
    ("evrotrust", "declined"): 1,
    ("evrotrust", "expired"): 1,
}


def start(tmp_path: Path, *options: str) -> "subprocess.Popen[str]":
    """The demonstration as a shell starts it, which has settings of another signlog; its folder is below the test's."""
    others = {"SIGNLOG_SOURCES__ONESPAN__CALLBACK_KEYS": "another-key", "SIGNLOG_DATA": str(tmp_path / "other")}
    env = {**environment(), **others, "TMPDIR": str(tmp_path)}
    return subprocess.Popen(
        [SIGNLOG, "demo", *options],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def folder_of(tmp_path: Path) -> Path:
    """Where it works."""
    (found,) = tmp_path.glob("signlog-demo-*")
    return found


def port_of(folder: Path) -> int:
    """Where its door listens."""
    found = re.search(r"^door.port = (\d+)$", (folder / "signlog.toml").read_text(), re.M)
    assert found is not None
    return int(found[1])


def answers(port: int) -> bool:
    """Whether anybody listens there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=PATIENCE):
        return True
    return False


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """One performance, for all who only look at what came of it: its JSON, and its folder. The usual port is taken."""
    tmp_path = tmp_path_factory.mktemp("demo")
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):  # somebody else has it: just as well
            held.enter_context(socket.create_server(("127.0.0.1", 4449)))
        process = start(tmp_path, "--exit", "--json")
        out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    return json.loads(out), folder_of(tmp_path)


def test_it_plays_ten_signings(played: tuple[dict[str, Any], Path]) -> None:
    """With all their ends, and says where it worked."""
    said, folder = played
    assert said["folder"] == str(folder)
    stages = [(one["source"], one["stage"]) for one in said["subjects"]]
    assert {stage: stages.count(stage) for stage in stages} == STAGES
    assert any(one["id"].startswith("-") for one in said["subjects"])


def test_every_signed_document_is_on_disk(played: tuple[dict[str, Any], Path]) -> None:
    """Two for each completed package, byte for byte what the log says; all PDFs."""
    said, folder = played
    completed = [one for one in said["subjects"] if (one["source"], one["stage"]) == ("onespan", "completed")]
    kept = [artifact for one in completed for artifact in one["artifacts"]]
    assert [artifact["state"] for artifact in kept] == ["stored"] * 6
    for artifact in kept:
        content = (folder / "signlog-data" / "documents" / artifact["path"]).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (artifact["sha256"], artifact["size"])
        assert all(pdf.startswith(b"%PDF-") for pdf in pdfs(artifact["name"], content))


def test_what_evrotrust_encrypted_lies_decrypted_on_disk(played: tuple[dict[str, Any], Path]) -> None:
    """Beside the encrypted, under the name that it was submitted with; one came in either cipher."""
    said, folder = played
    signed = [one for one in said["subjects"] if (one["source"], one["stage"]) == ("evrotrust", "completed")]
    found = {}
    for artifact in (artifact for one in signed for artifact in one["artifacts"]):
        content = (folder / "signlog-data" / "documents" / artifact["path"]).read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found.update({name: archive.read(name) for name in archive.namelist()})
    assert {name for name in found if name.endswith(".pdf")} == {"Consent form.pdf", "Employment contract.pdf"}
    assert all(content.startswith(b"%PDF-") for name, content in found.items() if name.endswith(".pdf"))
    assert {len(content) for name, content in found.items() if name.endswith(".iv")} == {16, 32}


def pdfs(name: str, content: bytes) -> list[bytes]:
    """The document itself, or what is in the archive."""
    if not name.endswith(".zip"):
        return [content]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        found = [archive.read(entry) for entry in archive.namelist()]
    assert found
    return found


def test_what_was_signed_is_found_to_be(played: tuple[dict[str, Any], Path]) -> None:
    """Really signed, by whom the configuration says to trust; of the evidence summary nobody promises it."""
    kept = {
        (one["source"], artifact["name"]): artifact for one in played[0]["subjects"] for artifact in one["artifacts"]
    }
    found = {key: known["verdict"] and known["verdict"]["text"] for key, known in kept.items()}
    assert found == {
        ("onespan", "documents.zip"): "signatures valid, by Imitation of OneSpan Sign",
        ("onespan", "evidence.pdf"): "no signatures, and none due",
        ("evrotrust", "encrypted.zip"): None,
        ("evrotrust", "documents.zip"): "signatures valid, by Imitation of Evrotrust",
    }


def test_the_api_confirms_what_completed(played: tuple[dict[str, Any], Path]) -> None:
    """It was asked before anything was fetched."""
    said, _ = played
    confirmed = {one["confirmed"] for one in said["subjects"] if one["artifacts"]}
    assert confirmed == {"yes"}


def test_any_port_will_do(played: tuple[dict[str, Any], Path]) -> None:
    """Where the usual one is taken."""
    assert port_of(played[1]) != 4449


def test_the_server_ended_with_it(played: tuple[dict[str, Any], Path]) -> None:
    """And left its log behind, without a complaint."""
    _, folder = played
    assert not answers(port_of(folder))
    log = (folder / "signlog.log").read_text()
    assert "document_stored" in log
    assert "Traceback" not in log
    assert "error" not in log


def test_its_folder_can_be_looked_at_afterwards(played: tuple[dict[str, Any], Path]) -> None:
    """With the commands that it names, where it is or from elsewhere."""
    said, folder = played
    (signed, *_) = [one for one in said["subjects"] if one["artifacts"] and one["source"] == "onespan"]
    for where, more in ((folder, []), (folder.parent, ["--config", f"{folder}/signlog.toml"])):
        command = [SIGNLOG, "timeline", signed["source"], signed["id"], *more]
        done = subprocess.run(command, cwd=where, env=environment(), capture_output=True, timeout=60, check=True)
        assert b"evidence.pdf stored" in done.stdout


def serving_on(process: "subprocess.Popen[str]") -> str:
    """What it said until it only serves on."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if line.startswith("Serving on"):
            break
    return said


def test_what_people_see(tmp_path: Path) -> None:
    """Each callback and its answer; then where everything stands, and where the documents lie. Ctrl-C ends it."""
    process = start(tmp_path)
    err = serving_on(process)
    folder = folder_of(tmp_path)
    port = port_of(folder)
    assert err.startswith(f"signlog serves at http://127.0.0.1:{port}; its data and configuration are in {folder}\n")
    assert re.findall(r"(\d+)$", err, re.M).count("200") == 54
    assert answers(port)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert f"Signed documents, in {folder}/signlog-data/documents:" in out
    papers = re.findall(r"^  ((?:onespan|evrotrust)/\S+)", out, re.M)
    assert len(papers) == 10
    assert all((folder / "signlog-data" / "documents" / paper).is_file() for paper in papers)
    assert f"Look around in another terminal:\n  cd {folder}\n" in out
    until(lambda: not answers(port))


def test_what_it_started_ends_with_it(tmp_path: Path) -> None:
    """Though only the demonstration itself is told to end."""
    process = start(tmp_path)
    serving_on(process)
    port = port_of(folder_of(tmp_path))
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (143, "")
    until(lambda: not answers(port))


def test_it_ends_with_what_it_started(tmp_path: Path) -> None:
    """Exit 1, and where it says why: nobody should wait for a server that is gone."""
    process = start(tmp_path)
    serving_on(process)
    (supervisor,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(supervisor), signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err == f"signlog: the server ended; {folder_of(tmp_path)}/signlog.log says why\n"
    until(lambda: not answers(port_of(folder_of(tmp_path))))
