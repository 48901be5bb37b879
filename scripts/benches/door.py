"""Durable acknowledgements per second, beside the same server that stores nothing, and one that commits each."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.benches.load import KEY

FOLDER = ".bench"  # on the disk of the checkout: a temporary folder may be memory
SECONDS = 5.0
ROUNDS = 3


def run() -> None:
    """Print the figures; the middle one of ROUNDS rounds, taken in turn so that noise hits all alike."""
    Path(FOLDER).mkdir(exist_ok=True)
    print(f"median fdatasync {fdatasync_ms():.2f} ms")
    rates: dict[str, list[dict[str, Any]]] = {"bare": [], "commit_per_request": [], "door": []}
    for _ in range(ROUNDS):
        for name, found in rates.items():
            found.append(_measure(name))
    middle = {name: sorted(found, key=lambda one: one["per_second"])[ROUNDS // 2] for name, found in rates.items()}
    for name, one in middle.items():
        figures = ", ".join(f"{key} {one[key]:.2f}" for key in ("median_ms", "p99_ms", "worst_ms", "cpu_us"))
        print(f"{name:<20} {one['per_second']:>8.0f}/s  {figures}  {one['statuses']}")
    door = middle["door"]["per_second"]
    print(f"door / bare               {door / middle['bare']['per_second']:.2f}  (promised: 0.4)")
    print(f"door / commit per request {door / middle['commit_per_request']['per_second']:.1f}  (promised: 8)")


def fdatasync_ms() -> float:
    """What a durable write of a page costs on this disk: the middle one of 200."""
    with tempfile.NamedTemporaryFile(dir=FOLDER) as file:
        times = []
        for _ in range(200):
            file.write(b"x" * 4096)
            file.flush()
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - started)
    return sorted(times)[100] * 1e3


def _measure(name: str) -> dict[str, Any]:
    port = free_port()
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        server = _start(name, port, folder)
        try:
            wait_for(port)
            _load(port, 0.5)
            before = _cpu_seconds(server.pid)
            found = _load(port, SECONDS)
            found["cpu_us"] = (_cpu_seconds(server.pid) - before) / sum(found["statuses"].values()) * 1e6
            return found
        finally:
            server.terminate()
            server.wait()


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _start(name: str, port: int, folder: str) -> "subprocess.Popen[bytes]":
    if name == "door":
        return start_signlog(port, folder, "--door")
    return subprocess.Popen([sys.executable, "-m", "scripts.benches.baselines", name, str(port)])


def start_signlog(port: int, folder: str, *arguments: str) -> "subprocess.Popen[bytes]":
    """signlog serve with throw-away data and one OneSpan source that wants no documents."""
    return serve(configure(port, folder, "artifacts = []"), *arguments)


def configure(port: int, folder: str, source: str = "") -> Path:
    """The configuration, written into the folder that will also hold the data; `source` adds to the OneSpan source."""
    config = Path(folder) / "signlog.toml"
    config.write_text(
        f'data = "{folder}/data"\ndisk_reserve = 0\ndoor.port = {port}\n'
        f'[sources.onespan]\ncallback_keys = ["{KEY}"]\n{source}\n'
    )
    return config


def serve(config: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    """signlog serve, whatever it says thrown away."""
    command: Sequence[str] = [sys.executable, "-m", "listener", "serve", "--config", str(config), *arguments]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def _load(port: int, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "scripts.benches.load", str(port), str(seconds), "/callbacks/onespan"]
    found: dict[str, Any] = json.loads(subprocess.check_output(command))
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_for(port: int) -> None:
    """Until somebody listens there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nobody listens on {port}")
