"""One door on PostgreSQL and two of them, beside one on SQLite: durable acknowledgements per second, in turn."""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from scripts.benches.door import FOLDER, ROUNDS, SECONDS, configure, fdatasync_ms, free_port, serve, wait_for
from tests import postgres
from tests.postgres import Server

_KINDS: Final = {"sqlite": 1, "postgres": 1, "postgres, two doors": 2}


def run() -> None:
    """Print the figures; the middle one of ROUNDS rounds, taken in turn so that noise hits all alike."""
    Path(FOLDER).mkdir(exist_ok=True)
    print(f"median fdatasync {fdatasync_ms():.2f} ms")
    rates: dict[str, list[float]] = {name: [] for name in _KINDS}
    with postgres.server() as server:
        for _ in range(ROUNDS):
            for name, doors in _KINDS.items():
                rates[name].append(_measure(doors, server if name.startswith("postgres") else None))
    middle = {name: sorted(found)[ROUNDS // 2] for name, found in rates.items()}
    for name, rate in middle.items():
        print(f"{name:<20} {rate:>8.0f}/s")
    one, two = middle["postgres"], middle["postgres, two doors"]
    print(f"postgres / sqlite         {one / middle['sqlite']:.2f}  (promised: 0.3)")
    print(f"two doors / one door      {two / one:.2f}  (promised: more than 1)")


def _measure(doors: int, server: Server | None) -> float:
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder, contextlib.ExitStack() as stack:
        if server is not None:
            postgres.mark(Path(folder), server)
            stack.callback(postgres.unmark, Path(folder), server)
        ports = [stack.enter_context(door(Path(folder), number)) for number in range(doors)]
        _load(ports, 0.5)
        return _load(ports, SECONDS)


@contextlib.contextmanager
def door(folder: Path, number: int) -> Iterator[int]:
    """A door with a data folder of its own, on the log of the folder; its port."""
    port, own = free_port(), folder / f"door-{number}"
    own.mkdir()
    config = configure(port, str(own), "artifacts = []")
    url = postgres.url(folder)
    if url is not None:
        config.write_text(f'database_url = "{url}"\n{config.read_text()}')
    process = serve(config, "--door")
    try:
        wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def _load(ports: Sequence[int], seconds: float) -> float:
    """Answers per second of all of them together."""
    command = [sys.executable, "-m", "scripts.benches.load"]
    clients = [
        subprocess.Popen([*command, str(port), str(seconds), "/callbacks/onespan"], stdout=subprocess.PIPE)
        for port in ports
    ]
    found = [json.loads(client.communicate()[0]) for client in clients]
    if any(set(one["statuses"]) != {"200"} for one in found):
        raise SystemExit(f"not all were stored: {[one['statuses'] for one in found]}")
    return sum(float(one["per_second"]) for one in found)
