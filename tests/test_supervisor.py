"""Door and worker are started again when they end, wait for nobody else, and end with their supervisor."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from listener import supervisor
from listener.log import reader
from listener.log.sqlite import Sqlite
from listener.supervisor import BACK_OFF, Child
from tests.rig import until
from tests.serving import ROOT, Serving, alive

BODY = b'{"name":"PACKAGE_CREATE","packageId":"a"}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One server for the tests that leave it running."""
    with Serving(tmp_path_factory.mktemp("served")) as found:
        yield found


def bodies(server: Serving) -> list[bytes | None]:
    """What the log holds of callbacks."""
    database = Sqlite(server.folder / "data")
    try:
        return [event.body for event in reader.every(database) if event.kind == "callback"]
    finally:
        database.close()


def test_both_run_and_callbacks_are_stored(server: Serving) -> None:
    """Started as a user starts it."""
    assert set(server.running()) == {"door", "worker"}
    assert server.post(BODY) == 200
    assert BODY in bodies(server)


def test_a_killed_door_comes_back_and_nothing_is_refused(server: Serving) -> None:
    """Callbacks that arrive meanwhile wait in the socket that the supervisor holds, and are stored."""
    old = server.kill("door")
    statuses: list[int] = []
    sent = [b"while the door was away %d" % number for number in range(5)]
    posting = [threading.Thread(target=lambda one=one: statuses.append(server.post(one))) for one in sent]
    for thread in posting:
        thread.start()
    for thread in posting:
        thread.join()
    assert statuses == [200] * len(sent)
    assert set(sent) <= set(bodies(server))
    assert server.restarted("door", old) != old


def test_a_killed_worker_comes_back_and_the_door_never_noticed(server: Serving) -> None:
    """The door is the same process, and answers while there is no worker."""
    door = server.running()["door"]
    old = server.kill("worker")
    assert server.post(b"without a worker") == 200
    assert alive(server.restarted("worker", old))
    assert server.running()["door"] == door
    assert b"without a worker" in bodies(server)


def test_a_door_that_ends_does_not_disturb_the_worker(server: Serving) -> None:
    """Nor does an end with code 0 count as the end of all."""
    worker = server.running()["worker"]
    door = server.running()["door"]
    os.kill(door, signal.SIGTERM)
    server.restarted("door", door)
    assert server.running()["worker"] == worker
    assert server.post(BODY) == 200


@pytest.mark.parametrize(("part", "told"), [((), "already runs"), (("--door",), "door.port")])
def test_a_second_server_on_the_folder_or_the_port_says_so(server: Serving, part: tuple[str, ...], told: str) -> None:
    """Exit 2, and a word on what to do; the first goes on."""
    command = [sys.executable, "-m", "listener", "serve", *part, "--config", str(server.config)]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (second.returncode, told in second.stderr) == (2, True)
    assert server.healthy()


def test_a_second_worker_on_the_folder_says_so(server: Serving) -> None:
    """Exit 2; one is enough."""
    server.works()
    command = [sys.executable, "-m", "listener", "serve", "--worker", "--config", str(server.config)]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (second.returncode, "already runs" in second.stderr) == (2, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_ends_all_with_code_0(tmp_path: Path, number: int) -> None:
    """What was answered is stored, nobody is left, and nobody complained."""
    with Serving(tmp_path) as server:
        server.works()
        pids = server.running()
        assert server.post(BODY) == 200
        assert server.stop(number) == 0
        assert not any(map(alive, pids.values()))
        assert bodies(server) == [BODY]
        assert "Traceback" not in server.said()
        with pytest.raises(ConnectionError):
            server.post(BODY)


def test_ctrl_c_reaches_all_at_once_and_ends_well(tmp_path: Path) -> None:
    """A terminal sends SIGINT to the whole group: nobody is started again, nobody complains."""
    with Serving(tmp_path) as server:
        server.works()
        pids = server.running()
        os.killpg(server.process.pid, signal.SIGINT)
        assert server.process.wait(60) == 0
        assert not any(map(alive, pids.values()))
        assert "Traceback" not in server.said()


def test_a_killed_supervisor_takes_its_children_along(tmp_path: Path) -> None:
    """Nobody could stop them otherwise, and the port and the folder are free for the next."""
    with Serving(tmp_path) as server:
        pids = server.running()
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        server.gone(pids)
        server.start()
        assert server.post(BODY) == 200


def test_it_imports_nothing_of_signlog() -> None:
    """Whatever is wrong with the rest, and however large it grows, the supervisor is not concerned."""
    code = "import sys, listener.supervisor; print([name for name in sys.modules if name.startswith('listener.')])"
    found = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    assert found == "['listener.supervisor']\n"


def ended(child: Child) -> None:
    """Let it end by itself."""
    if child.process is not None:
        child.process.wait(60)
    child.tend()


def test_who_ends_again_and_again_waits_longer(capfd: pytest.CaptureFixture[str]) -> None:
    """Each time the next pause, the last one over and over; who lived long enough starts from the first."""
    child = Child("worker", ["--version"], ())
    for wait in (*BACK_OFF, BACK_OFF[-1], BACK_OFF[-1]):
        child._start_at = 0.0
        child.tend()
        before = time.monotonic()
        ended(child)
        assert before + wait <= child._start_at <= time.monotonic() + wait
    child._start_at = 0.0
    child.tend()
    child._started_at -= supervisor.STEADY_SECONDS
    ended(child)
    assert child._start_at - time.monotonic() <= BACK_OFF[0]
    assert capfd.readouterr().err.count("the worker ended with 0; starting it again in") == len(BACK_OFF) + 3


def test_nobody_is_started_before_the_time_has_come() -> None:
    """Tending is asked ten times a second; only one of them starts it."""
    child = Child("worker", ["--version"], ())
    child.tend()
    first = child.process
    child.tend()
    assert child.process is first
    ended(child)
    child._start_at = time.monotonic() + 3600
    child.tend()
    assert child.process is None


def test_a_start_that_fails_is_tried_again(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """No room for a process, or a Python that is just being replaced: the supervisor outlives it."""
    child = Child("worker", ["--version"], ())
    python = child._arguments[0]
    child._arguments[0] = str(tmp_path / "python")
    child.tend()
    assert child.process is None
    assert "No such file" in capfd.readouterr().err
    (tmp_path / "python").symlink_to(python)
    until(lambda: child.tend() or child.process is not None)  # type: ignore[func-returns-value]
    child.wait(time.monotonic() + 60)


def test_who_reads_its_words_may_go_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed pipe on standard error ends nothing."""
    reading, writing = os.pipe()
    os.close(reading)
    child = Child("worker", ["--version"], ())
    child.tend()
    broken = os.fdopen(writing, "w", buffering=1)
    monkeypatch.setattr(sys, "stderr", broken)
    ended(child)
    assert child._start_at > time.monotonic() - 1
    with pytest.raises(BrokenPipeError):
        broken.close()


def test_who_does_not_end_is_killed_when_patience_is_over() -> None:
    """And who ends in time is not."""
    stubborn, docile = Child("worker", [], ()), Child("door", [], ())
    ignore = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(3600)"
    for child, code in ((stubborn, ignore), (docile, "import time; print(flush=True); time.sleep(3600)")):
        child.process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert child.process.stdout is not None
        with child.process.stdout as said:
            said.readline()
        child.stop()
    docile.wait(time.monotonic() + 60)
    stubborn.wait(time.monotonic() + 0.1)
    assert docile.process is not None
    assert stubborn.process is not None
    assert (docile.process.returncode, stubborn.process.returncode) == (-signal.SIGTERM, -signal.SIGKILL)


def test_stopping_what_never_started_is_no_problem() -> None:
    """A stop that comes between two starts."""
    child = Child("worker", ["--version"], ())
    child.stop()
    child.wait(time.monotonic())
    assert child.process is None


def test_the_socket_is_the_doors_only(server: Serving) -> None:
    """The worker does not hold it: else callbacks would wait for nobody when the door is gone for good."""
    pids = server.running()
    held = {part: _listening(pid, server.port) for part, pid in pids.items()}
    assert held == {"door": True, "worker": False}
    assert _listening(server.process.pid, server.port)


def _listening(pid: int, port: int) -> bool:
    """Whether a process holds the socket that listens on the port (proc_net(5): state 0A)."""
    lines = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    inodes = {line[9] for line in lines if line[1].endswith(f":{port:04X}") and line[3] == "0A"}
    links = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")]
    return any(f"socket:[{inode}]" in links for inode in inodes)


def test_a_socket_of_these_tests_listens_where_it_says() -> None:
    """The look into /proc above finds a socket that is there, and none that is not."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
        assert _listening(os.getpid(), port)
    assert not _listening(os.getpid(), port)
