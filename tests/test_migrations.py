"""The migrations make what `schema` says, once, whoever comes first, and nothing that they do not know."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, Integer, MetaData
from sqlalchemy import event as listen

from listener import errors
from listener.log import catalog, migrate, reader, schema
from listener.log.database import Database
from listener.log.sqlite import Sqlite
from tests import logbook
from tests.logbook import (
    ROOT,
    add,
    add_as_before,
    bodies,
    callback,
    connected,
    either,
    ended,
    locked,
    open_when_told,
    opened,
    spawned,
    until,
)

TRIGGERS = sorted(
    ["events_sealed_insert"]
    + [
        f"{table}_refuse_{act}"
        for table in ("erasures", "events", "heads", "log", "sealed")
        for act in ("delete", "insert", "update")
    ]
)


def made(connection: Connection, kind: str) -> dict[str, str]:
    """What there is of a kind (table, index, trigger): its name, and the SQL that made it."""
    found = connection.exec_driver_sql(
        "SELECT name, sql FROM sqlite_master WHERE type = ? AND sql > '' AND name <> 'alembic_version' ORDER BY 1",
        (kind,),
    )
    return {row.name: " ".join(row.sql.split()) for row in found}


def differences(connection: Connection, metadata: MetaData) -> list[object]:
    """What Alembic would have to migrate to get from the database to `metadata`."""
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    found: list[object] = compare_metadata(context, metadata)
    return found


def test_migrations_make_what_the_schema_says(each_engine: Path) -> None:
    """Alembic finds nothing to do."""
    with either(each_engine) as database, database.reading() as connection:
        assert differences(connection, schema.metadata) == []


def test_a_difference_would_be_found(each_engine: Path) -> None:
    """The counter-example: a column that no migration makes, an index that none makes, a type that is another one."""
    other = MetaData()
    for table in schema.metadata.tables.values():
        table.to_metadata(other)
    other.tables["log"].append_column(Column("new", Integer, index=True))
    other.tables["live"].c.generation.type = schema.events.c.kind.type
    with either(each_engine) as database, database.reading() as connection:
        assert len(differences(connection, other)) == 3


def test_tables_and_indexes_are_the_same_to_the_letter(tmp_path: Path) -> None:
    """Also STRICT, the order of columns and the condition of the index, which Alembic does not compare."""
    (tmp_path / "fresh").mkdir()
    fresh = Sqlite(tmp_path / "fresh")
    with opened(tmp_path) as database, database.reading() as connection, fresh.writing() as other:
        schema.metadata.create_all(other)
        for kind in ("table", "index"):
            assert made(connection, kind) == made(other, kind)
        assert made(connection, "table").keys() == schema.metadata.tables.keys()
        assert made(connection, "index")["events_acts"].endswith("(kind, path) WHERE kind <> 'callback'")
    fresh.close()


def test_the_guards_are_there(tmp_path: Path) -> None:
    """A trigger for each act on each table that only grows; what they refuse is tested with the log."""
    with opened(tmp_path) as database, database.reading() as connection:
        assert list(made(connection, "trigger")) == TRIGGERS


def test_the_schema_knows_the_newest_migration() -> None:
    """`migrate` compares with a constant, because Alembic costs more than most commands; there is one head only."""
    scripts = ScriptDirectory.from_config(Config(ROOT / "alembic.ini"))
    assert scripts.get_heads() == [schema.REVISION]


def test_revisions_are_in_order() -> None:
    """A newer database is told by its number: each migration's is greater than the one before."""
    scripts = ScriptDirectory.from_config(Config(ROOT / "alembic.ini"))
    revisions = [script.revision for script in scripts.walk_revisions()][::-1]
    assert revisions == sorted(revisions)
    assert {len(revision) for revision in revisions} == {4}


def test_a_new_log_has_one_id(each_engine: Path) -> None:
    """16 random bytes from position 1 on, which stay the same however often it is opened, and no other log has."""
    (each_engine / "other").mkdir()
    ids = [log_id(folder) for folder in (each_engine, each_engine, each_engine / "other")]
    assert len(ids[0]) == 16
    assert ids[0] == ids[1]
    assert ids[0] != ids[2]


def log_id(folder: Path) -> bytes:
    """The id of a log, after opening it."""
    with either(folder) as database, database.reading() as connection:
        assert connection.exec_driver_sql("SELECT first_position FROM log").scalars().all() == [1]
        return reader.log_id(connection)


def test_nothing_is_done_twice(each_engine: Path) -> None:
    """A log that is up to date is opened without the append lock: a command does not wait for anybody."""
    with either(each_engine) as database:
        add(database, b"one")
        with locked(each_engine):
            migrate.migrate(database)
        assert bodies(database) == [b"one"]


def test_several_can_start_at_once(each_engine: Path) -> None:
    """Door, worker and desk open a log that is not there yet: it is made once, and all of them can append."""
    processes = [spawned(open_when_told, each_engine, number) for number in range(3)]
    until(lambda: len(list(each_engine.glob("ready *"))) == len(processes))
    (each_engine / "go").touch()
    assert [ended(process) for process in processes] == [0] * len(processes)
    with either(each_engine) as database:
        assert sorted(body or b"" for body in bodies(database)) == [b"0", b"1", b"2"]
        assert len(log_id(each_engine)) == 16


def die_after(folder: Path, transactions: int) -> None:
    """For another process: be killed when so many transactions of a migration have ended."""
    database, over = connected(folder), []

    @listen.listens_for(database.engine, "checkin")
    def count(*_: object) -> None:
        over.append(True)
        if len(over) == transactions:
            os.kill(os.getpid(), signal.SIGKILL)

    migrate.migrate(database)


@pytest.mark.parametrize("transactions", [1, 2, 3])
def test_a_killed_migration_leaves_all_or_nothing(each_engine: Path, transactions: int) -> None:
    """Whenever it happens, the next start finds a log that can be appended to: tables, guards and id together."""
    killed = ended(spawned(die_after, each_engine, transactions))
    assert killed == (-signal.SIGKILL if transactions <= 2 else 0)
    with either(each_engine) as database:
        assert add(database, b"one")[0].position == 1
        with database.reading() as connection:
            assert catalog.made(connection) == migrate.fresh(database)


def set_revision(database: Database, revision: str) -> None:
    """As another version would have left it."""
    with database.writing() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{revision}'")


def test_a_log_of_a_newer_signlog_is_refused(each_engine: Path) -> None:
    """It says which file, and which versions; nothing in it has changed."""
    with either(each_engine) as database:
        set_revision(database, "9999")
    with (
        pytest.raises(
            errors.UnsuitableDatabase,
            match=rf"(signlog\.db|/log_\w+) was written by a newer signlog \(schema 9999, .* {schema.REVISION}\)",
        ),
        either(each_engine),
    ):
        pytest.fail("it was opened")
    database = connected(each_engine)
    with database.reading() as connection:
        assert migrate.revision(connection) == "9999"
    database.close()


def at(revision: str) -> Callable[[Connection], None]:
    """What migrates a database only so far."""

    def upgrade(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(ROOT / "migrations"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    return upgrade


def test_a_log_of_the_first_version_is_upgraded(each_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its events and its id stay, and it has what a new one has."""
    monkeypatch.setattr(migrate, "_upgrade", at("0001"))
    with either(each_engine) as database, database.reading() as connection:
        assert ("table", "heads") not in catalog.made(connection)
        known = reader.log_id(connection)
    monkeypatch.undo()
    database = connected(each_engine)
    add_as_before(database, callback(b"one"), callback(b"two"))
    database.close()
    (each_engine / "new").mkdir()
    with either(each_engine) as old, either(each_engine / "new") as new:
        assert (bodies(old), log_id(each_engine)) == ([b"one", b"two"], known)
        with old.reading() as one, new.reading() as other:
            assert catalog.made(one) == catalog.made(other)


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Another process, in the checkout; what it said, and how it ended."""
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=logbook.PATIENCE)


WITHOUT_ALEMBIC = """
import sys
from pathlib import Path
from tests import logbook
with logbook.opened(Path(sys.argv[1])) as database:
    logbook.add(database, b"one")
print("alembic" in sys.modules)
"""


def test_alembic_is_loaded_only_when_there_is_something_to_migrate(tmp_path: Path) -> None:
    """The first start loads it, every later one is spared the time and the memory."""
    command = [sys.executable, "-c", WITHOUT_ALEMBIC, str(tmp_path)]
    assert [run(command).stdout for _ in range(2)] == ["True\n", "False\n"]


def test_alembic_by_itself_migrates_nothing() -> None:
    """It has no database: it says who does it instead of failing with a traceback."""
    ended = run([sys.executable, "-m", "alembic", "upgrade", "head"])
    assert ended.returncode == 1
    assert ended.stderr == "signlog migrates its database at start: run 'signlog serve', or 'signlog check'\n"


def test_alembic_tells_the_history() -> None:
    """What a developer needs of it works in a checkout."""
    ended = run([sys.executable, "-m", "alembic", "history"])
    assert f"{schema.REVISION} (head)" in ended.stdout
