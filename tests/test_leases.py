"""What only one may do is done by one, whoever dies, freezes or thaws, and whatever the clocks say."""

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from listener import errors, leases
from listener.fenced import Fenced
from listener.leases import DatabaseLease, SignOfLife
from listener.log.append import append
from listener.log.migrate import migrate
from listener.log.postgres import Postgres
from listener.only import OnlyOne
from tests import postgres
from tests.logbook import add, bodies, callback
from tests.rig import until

_spawn = multiprocessing.get_context("spawn")


@contextmanager
def there(folder: Path) -> Iterator[Postgres]:
    """The log of a folder, in a server."""
    with closing(Postgres(address(folder))) as database:
        migrate(database)
        yield database


def address(folder: Path) -> str:
    """Where it lies."""
    url = postgres.url(folder)
    assert url is not None
    return url


def lease(database: Postgres, holder: str, name: str = "worker") -> DatabaseLease:
    """One that this process may take."""
    return DatabaseLease(database, name, holder)


def holders(database: Postgres) -> dict[str, str]:
    """Who holds what."""
    with database.reading() as connection:
        return {each.name: each.holder for each in leases.every(connection)}


def end(folder: Path, name: str = "worker") -> None:
    """Let a lease end as if nobody had been heard of."""
    postgres.tell(address(folder), f"UPDATE leases SET until = {leases.CLOCK} WHERE name = '{name}'")


def test_one_has_it(on_postgres: Path) -> None:
    """Nobody else, until it is let go of; another name is another lease."""
    with there(on_postgres) as database:
        first, second, other = lease(database, "a"), lease(database, "b"), lease(database, "b", "replay")
        assert (first.take(), first.held) == (True, True)
        assert (second.take(), second.held, other.take()) == (False, False, True)
        assert holders(database) == {"worker": "a", "replay": "b"}
        first.let_go()
        assert (first.held, second.take(), holders(database)["worker"]) == (False, True, "b")
        other.let_go()
        second.let_go()
        assert holders(database) == {}


def test_who_leads_and_who_stands_by(on_postgres: Path) -> None:
    """Each worker that lives is named once; commands are none."""
    with there(on_postgres) as database, contextlib.ExitStack() as held:
        for name, holder in ((leases.WORKER, "a"), ("worker a", "a"), ("worker b", "b"), ("replay", "c")):
            held.enter_context(lease(database, holder, name))
        with database.reading() as connection:
            assert leases.workers(connection) == ("a", ["b"])


def test_a_command_is_told_who_has_it(on_postgres: Path) -> None:
    """As a block it is refused; when the other one is done, it is not."""
    with there(on_postgres) as database:
        with lease(database, "here:1"):
            told = pytest.raises(errors.ConfigurationError, match=r"a worker already runs on .* \(here:1\)")
            with told, lease(database, "b"):
                pytest.fail("both have it")
        with lease(database, "b"):
            assert holders(database) == {"worker": "b"}


def test_it_is_kept_for_as_long_as_its_holder_lives(on_postgres: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A heartbeat puts off its end, also amid a long transaction that it was proved in."""
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.01)
    with there(on_postgres) as database, lease(database, "a") as held, database.beside() as connection:
        held.assert_held(connection)
        end(on_postgres)
        until(lambda: holders(database) == {"worker": "a"})


def test_whoever_takes_it_waits_for_what_was_proved(on_postgres: Path) -> None:
    """It has ended, and is taken only when the transaction has."""
    with there(on_postgres) as database, lease(database, "a") as held:
        other = lease(database, "b")
        with database.beside() as connection:
            held.assert_held(connection)
            end(on_postgres)
            assert not other.take()
        end(on_postgres)
        with other_waits(other):
            assert holders(database) == {"worker": "b"}


@contextmanager
def other_waits(other: DatabaseLease) -> Iterator[None]:
    """Take it as soon as it can be had."""
    until(other.take)
    try:
        yield
    finally:
        other.let_go()


def test_what_was_lost_cannot_be_proved(on_postgres: Path) -> None:
    """Nothing is written by who was taken over, or has never had it; whoever has it writes."""
    with there(on_postgres) as database, closing(Postgres(address(on_postgres))) as elsewhere:
        first, second = lease(database, "a"), lease(elsewhere, "b")
        with closing(Fenced(address(on_postgres), first)) as ours, closing(Fenced(address(on_postgres), second)) as his:
            with pytest.raises(errors.LeaseLost):
                add(ours, b"never taken")
            assert first.take()
            add(ours, b"first")
            end(on_postgres)
            with other_waits(second):
                with pytest.raises(errors.LeaseLost):
                    add(ours, b"late")
                with pytest.raises(errors.LeaseLost), ours.beside():
                    pytest.fail("it was begun")
                with ours.reading():  # whoever only reads need prove nothing
                    pass
                assert not first.held
                add(his, b"second")
            first.let_go()
        assert bodies(database) == [b"first", b"second"]


def test_a_holder_that_was_taken_over_hears_of_it(on_postgres: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its heartbeat, without writing anything; and frees nothing that is another's when it lets go."""
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.05)
    with there(on_postgres) as database:
        first = lease(database, "a")
        assert first.take()
        postgres.tell(address(on_postgres), "UPDATE leases SET holder = 'b', fence = 2")
        until(lambda: not first.held)
        first.let_go()
        assert holders(database) == {"worker": "b"}


def test_a_server_that_was_away_takes_nothing_from_anybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The heartbeat goes on when it is back; what cannot be left while it is away ends by itself."""
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.05)
    with postgres.server() as server:
        postgres.mark(tmp_path, server)
        with there(tmp_path) as database, lease(database, "a") as held:
            server.stop()
            server.start()
            end(tmp_path)
            until(lambda: holders(database) == {"worker": "a"})
            assert held.held
            server.stop()
        server.start()


def test_what_nobody_held_for_a_day_is_forgotten(on_postgres: Path) -> None:
    """Names of the dead do not pile up; what ended a moment ago stays, with its fence."""
    with there(on_postgres) as database:
        with lease(database, "a", "old"), lease(database, "a", "new"):
            pass
        postgres.tell(address(on_postgres), "UPDATE leases SET until = 0 WHERE name = 'old'")
        with lease(database, "a"), database.reading() as connection:
            known = connection.exec_driver_sql("SELECT name FROM leases ORDER BY name").scalars().all()
        assert known == ["new", "worker"]


def forget(folder: Path) -> None:
    """Let nobody know of any lease, as after a day without the server; another server may never have heard of them."""
    postgres.tell(address(folder), "DELETE FROM leases")


def test_a_sign_of_life_that_was_forgotten_is_there_again(on_postgres: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself, with the same fence; and what says that it is gone is heard."""
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.05)
    with there(on_postgres) as database:
        with SignOfLife(database, "a") as sign:
            forget(on_postgres)
            until(lambda: holders(database) == {"worker a": "a"})
            assert sign.held
        assert holders(database) == {}


def test_a_lease_that_was_forgotten_is_lost(on_postgres: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one may have led meanwhile: whoever led must take it anew, and look at everything again."""
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.05)
    with there(on_postgres) as database, lease(database, "a") as held:
        forget(on_postgres)
        until(lambda: not held.held)
        assert holders(database) == {}


def test_on_a_folder_the_kernel_keeps_it(tmp_path: Path) -> None:
    """Taken once, also by the process that has it; nothing is looked at in a write."""
    first, second = OnlyOne(tmp_path), OnlyOne(tmp_path)
    assert (first.take(), first.take(), first.held) == (True, True, True)
    assert (second.take(), second.held) == (False, False)
    first.let_go()
    first.let_go()
    assert (first.held, second.take()) == (False, True)
    second.let_go()


# Other processes


def hold(folder: Path, freezes: str, fenced: bool) -> None:
    """For another process: take the lease, and freeze where it is told; then write, whatever happened since."""
    with there(folder) as database:
        held = lease(database, "other")
        assert held.take()
        with closing(Fenced(address(folder), held) if fenced else Postgres(address(folder))) as ours:
            if freezes == "before":
                os.kill(os.getpid(), signal.SIGSTOP)
            with ours.writing() as connection:
                if freezes == "amid":
                    os.kill(os.getpid(), signal.SIGSTOP)
                append(connection, [callback(b"old")])


@contextmanager
def frozen(folder: Path, freezes: str, fenced: bool = True) -> Iterator[BaseProcess]:
    """A process that has the lease, and stands still."""
    other = _spawn.Process(target=hold, args=(folder, freezes, fenced))
    other.start()
    try:
        until(lambda: _state(other) == "T")
        yield other
    finally:
        other.kill()
        other.join()


def _state(process: BaseProcess) -> str:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]


def thaw(process: BaseProcess) -> int | None:
    """Let it go on to its end; how that was."""
    assert process.pid is not None
    os.kill(process.pid, signal.SIGCONT)
    process.join(60)
    return process.exitcode


def take_over_and_thaw(folder: Path, freezes: str, fenced: bool = True) -> tuple[int | None, list[bytes | None]]:
    """Take the lease from a process that is frozen, write, and thaw it: how it ended, and what the log has."""
    with there(folder) as database, frozen(folder, freezes, fenced) as other:
        ours = lease(database, "ours")
        with other_waits(ours):
            add(database, b"new")
            how = thaw(other)
        return how, bodies(database)


def test_whoever_dies_is_taken_over(on_postgres: Path) -> None:
    """Nothing was let go of, and the lease ends by itself."""
    with there(on_postgres) as database, frozen(on_postgres, "before") as other:
        other.kill()
        with other_waits(lease(database, "ours")):
            assert holders(database) == {"worker": "ours"}


@pytest.mark.parametrize("freezes", ["before", "amid"])
def test_whoever_was_frozen_writes_nothing_any_more(on_postgres: Path, freezes: str) -> None:
    """Before a transaction it is refused; amid one it was cut off, or nobody could have taken over."""
    how, found = take_over_and_thaw(on_postgres, freezes)
    assert (how, found) == (1, [b"new"])


def test_a_lease_without_the_proof_loses(on_postgres: Path) -> None:
    """The counter-example: who only believes that it is the holder writes behind the one who took over."""
    how, found = take_over_and_thaw(on_postgres, "before", fenced=False)
    assert (how, found) == (0, [b"new", b"old"])
