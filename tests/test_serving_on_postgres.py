"""`signlog serve` with its log in PostgreSQL: door, worker and commands, as on SQLite."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from listener import bootstrap, errors
from listener.demo.onespan import OneSpan
from listener.evidence import verify
from tests import postgres
from tests.rig import EVIDENCE, ID, SOURCE, ZIP, callback, completed, settings, until
from tests.serving import PARTS, ROOT, Serving


def typed(server: Serving, *arguments: str, data: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """A command, beside the server; or with a `data` folder of its own, as on another machine."""
    command = [sys.executable, "-m", "listener", *arguments, "--config", str(server.config)]
    elsewhere = {} if data is None else {"SIGNLOG_DATA": str(data)}
    env = {**os.environ, **elsewhere}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)


def told(server: Serving, *arguments: str) -> Any:
    """The JSON that a command writes, whatever it thinks of the answer."""
    done = typed(server, *arguments, "--json")
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)


def artifacts(server: Serving) -> dict[str, str]:
    """State of each document of the package, by name."""
    done = typed(server, "status", SOURCE, ID, "--json")
    return (
        {each["name"]: each["state"] for each in json.loads(done.stdout)["artifacts"]} if done.returncode == 0 else {}
    )


def test_everything_works_on_postgres(on_postgres: Path) -> None:
    """A callback comes in, is folded, its documents are fetched; commands look, verify, decide and erase."""
    with OneSpan() as account, Serving(on_postgres, account.url) as server:
        completed(account, ID)
        for name in ("PACKAGE_CREATE", "PACKAGE_COMPLETE"):
            assert server.post(callback(name).body) == 200
        until(lambda: artifacts(server) == {ZIP: "stored", EVIDENCE: "stored"}, pause=0.2)
        assert len(list((on_postgres / "data/documents").rglob(ZIP))) == 1
        assert not (on_postgres / "data/signlog.db").exists()
        assert told(server, "checkpoint")["size"] > 0
        assert told(server, "verify", "--documents")["problems"] == []
        proved = on_postgres / "evidence.zip"
        assert told(server, "evidence", SOURCE, ID, "--output", str(proved))["not_covered"] == []
        assert verify.Check(verify.Zip(str(proved))).problems == {}
        health = told(server, "health")
        assert health["alarms"] == []
        assert "no synchronous standby" in health["notes"][0]
        assert "Note: PostgreSQL has no synchronous standby" in typed(server, "health").stdout
        assert told(server, "erase", SOURCE, ID, "--reason", "asked for", "--documents")["documents"] != []
        assert told(server, "verify")["problems"] == []


def test_another_machine_shows_and_replays_the_same(on_postgres: Path) -> None:
    """It has the address and a folder of its own; the worker goes on in what was made live there."""
    with Serving(on_postgres) as server:
        assert server.post(callback("PACKAGE_CREATE").body) == 200
        elsewhere = on_postgres / "elsewhere"
        until(lambda: typed(server, "status", SOURCE, ID).returncode == 0, pause=0.2)
        here = typed(server, "status", SOURCE, ID, "--json").stdout
        assert typed(server, "status", SOURCE, ID, "--json", data=elsewhere).stdout == here
        planned = typed(server, "replay", "--plan", "--json", data=elsewhere)
        plan = json.loads(planned.stdout)
        assert (plan["generation"], plan["different"]) == (2, False)
        applied = typed(server, "replay", "--apply", plan["digest"], data=elsewhere)
        assert applied.returncode == 0, applied.stderr
        assert server.post(callback("PACKAGE_COMPLETE").body) == 200
        until(
            lambda: json.loads(typed(server, "status", SOURCE, ID, "--json").stdout)["stage"] == "completed", pause=0.2
        )
        assert typed(server, "replay", "--purge", data=elsewhere).returncode == 0
        until(lambda: told(server, "health")["lag_events"] == 0, pause=0.2)
    assert not list(on_postgres.rglob("*views*"))


def test_the_door_goes_on_when_the_server_was_restarted(tmp_path: Path) -> None:
    """Without a spool, 503 while it is away; then callbacks are taken again, on new connections."""
    with postgres.server() as found:
        postgres.mark(tmp_path, found)
        with Serving(tmp_path) as server:
            server.stop()
            server.config.write_text("max_spool_bytes = 0\n" + server.config.read_text())
            server.start()
            assert server.post(b"{}") == 200
            found.stop()
            assert server.post(b"{}") == 503
            found.start()
            until(server.healthy)
            assert server.post(b"{}") == 200
            until(lambda: len(server.children()) == len(PARTS))


def test_a_log_that_is_not_there_is_not_made_by_looking(on_postgres: Path) -> None:
    """A command says that there is none, and where; the address is shown without its password."""
    found = settings(on_postgres)
    why = r"there is no log in postgresql\+psycopg://signlog@/log_\w+; "
    with pytest.raises(errors.NotFoundError, match=why), bootstrap.existing_log(found):
        pytest.fail("it was opened")
    with bootstrap.log(found):
        pass
    with bootstrap.existing_log(found):
        pass


def test_a_backup_names_who_makes_one(on_postgres: Path) -> None:
    """Neither is a file of SQLite made, nor one put in the place of a server's database."""
    found = settings(on_postgres)
    with (
        bootstrap.log(found) as database,
        bootstrap.tree(found) as tree,
        pytest.raises(errors.CopyRefused, match=r"use pg_dump, or pg_basebackup"),
    ):
        bootstrap.backup(found, database, tree)
    with pytest.raises(errors.CopyRefused, match=r"use pg_dump, or pg_basebackup"), bootstrap.restore(found):
        pytest.fail("it was restored")
