"""How long until a command answers, what all parts weigh, and how soon a callback shows in the views."""

import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from scripts.benches.door import FOLDER, free_port, start_signlog, wait_for
from scripts.benches.load import KEY

RUNS = 15


def run() -> None:
    """Print the figures."""
    Path(FOLDER).mkdir(exist_ok=True)
    helps = [_help_seconds() for _ in range(RUNS)]
    print(f"signlog --help            {statistics.median(helps):.2f} s  (promised: 0.4)")
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        port = free_port()
        process = start_signlog(port, folder)
        try:
            wait_for(port)
            _projected(folder, port, "warm")
            waits = [_projected(folder, port, f"package-{number}") for number in range(RUNS)]
            print(f"200 to changed row        {statistics.median(waits) * 1e3:.0f} ms  (promised: 250)")
            print(f"serve, all parts          {_pss_megabytes(process.pid):.0f} MB PSS  (promised: 200)")
        finally:
            process.terminate()
            process.wait()


def _help_seconds() -> float:
    started = time.perf_counter()
    subprocess.run([str(Path(sys.executable).with_name("signlog")), "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def _projected(folder: str, port: int, package: str) -> float:
    """Seconds from the 200 until the packages projection has the row."""
    import pysqlite3

    connection = http.client.HTTPConnection("127.0.0.1", port)
    body = json.dumps({"name": "PACKAGE_CREATE", "packageId": package, "createdDate": "2026-01-01T00:00:00.000Z"})
    connection.request("POST", "/callbacks/onespan", body, {"Authorization": f"Basic {KEY}"})
    if connection.getresponse().status != 200:
        raise SystemExit("the door did not take the callback")
    answered = time.perf_counter()
    while not list(Path(folder, "data").glob("signlog-views-1.db-wal")):
        time.sleep(0.01)
    views = pysqlite3.connect(f"file:{folder}/data/signlog-views-1.db?mode=ro", uri=True, timeout=5)
    while not _row(views, package):
        time.sleep(0.002)
    views.close()
    return time.perf_counter() - answered


def _row(views: Any, package: str) -> bool:
    """Whether the projection has it; not while the tables are only being made."""
    import pysqlite3

    try:
        return bool(views.execute("SELECT 1 FROM packages WHERE id = ?", (package,)).fetchone())
    except pysqlite3.OperationalError:
        return False


def _pss_megabytes(pid: int) -> float:
    """Proportional set size of a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    total = 0
    for process in (pid, *map(int, children)):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024
