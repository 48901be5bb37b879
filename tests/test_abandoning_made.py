"""What is made of another document is given up and taken up with it; else health says what it waits for."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from listener import decisions
from listener.acts import Artifact
from listener.demo.evrotrust import Evrotrust
from listener.desk import health
from listener.desk.downloads import Named, abandonable, retryable
from listener.desk.reading import reading
from projections import artifacts
from tests.evro import BOTH, DOCUMENTS, ENCRYPTED, ID, SOURCE, account, callback, signed, worker
from tests.rig import Worker

HOSTILE = "-x; rm '$HOME'"


@pytest.fixture
def server() -> Iterator[Evrotrust]:
    """An account with one transaction that is signed."""
    with account() as found:
        signed(found)
        yield found


def alarms(found: Worker) -> list[str]:
    """What health says of documents."""
    told: list[str] = health.health(found.database, found.settings, found.quarantine())["alarms"]
    return [alarm for alarm in told if "document" in alarm or "encrypted" in alarm]


def abandon(found: Worker, *names: str, subject: str = ID) -> None:
    """Exactly these, as somebody may have decided before."""
    decisions.abandon(found.database, [Artifact(SOURCE, subject, name) for name in names], "ana", "nobody needs it")
    found.projector.catch_up()


def test_who_names_the_one_means_what_is_made_of_it(tmp_path: Path, server: Evrotrust) -> None:
    """Abandoned or taken up again; who names what is made means that alone."""
    with worker(tmp_path, server.url) as found:
        found.add(callback())
        with reading(found.database) as at:
            for name, meant in (
                (ENCRYPTED, {*BOTH}),
                (DOCUMENTS, {DOCUMENTS}),
                (None, {*BOTH}),
                ("evidence.pdf", set()),
            ):
                which = abandonable(at, found.settings, Named(SOURCE, ID, name))
                assert {one.name for one in which} == meant
        decisions.abandon(found.database, which_of(found, abandonable), "ana", "nobody needs it")
        found.rest()
        assert (found.stored(), alarms(found)) == ([], [])
        decisions.retry(found.database, which_of(found, retryable), "ana", "somebody does")
        found.rest()
        assert found.stored() == sorted((ID, name) for name in BOTH)


def test_what_is_stored_takes_nothing_with_it(tmp_path: Path, server: Evrotrust) -> None:
    """The encrypted one lies there, and no key opens it yet: who names it is told that there is nothing to abandon."""
    with worker(tmp_path, server.url, []) as found:
        found.add(callback())
        found.rest()
        assert found.stored() == [(ID, ENCRYPTED)]
        assert which_of(found, abandonable) == []
        with reading(found.database) as at:
            (left,) = abandonable(at, found.settings, Named(SOURCE, ID))
        assert left.name == DOCUMENTS


def which_of(found: Worker, look: object) -> list[Artifact]:
    """What somebody means who names the encrypted one."""
    with reading(found.database) as at:
        listed: list[Artifact] = look(at, found.settings, Named(SOURCE, ID, ENCRYPTED))  # type: ignore[operator]
    return listed


def test_what_waits_in_vain_is_told_with_what_to_type(tmp_path: Path, server: Evrotrust) -> None:
    """At once, and not as something that is wanted for long; whoever decides either way is content."""
    with worker(tmp_path, server.url) as found:
        found.add(callback())
        abandon(found, ENCRYPTED)
        assert alarms(found) == [
            f"evrotrust: documents.zip waits for encrypted.zip, which was abandoned: 1; type: "
            f"signlog downloads retry evrotrust {ID} encrypted.zip --reason …, "
            f"or: signlog downloads abandon evrotrust {ID} documents.zip --reason …"
        ]
        assert found.artifacts()[ID, DOCUMENTS].state == artifacts.WANTED
        abandon(found, DOCUMENTS)
        assert alarms(found) == []


def test_what_may_still_come_is_no_alarm(tmp_path: Path, server: Evrotrust) -> None:
    """The counter-example: the other one is wanted, or only what is made of it was abandoned."""
    with worker(tmp_path, server.url) as found:
        found.add(callback())
        assert alarms(found) == []
        abandon(found, DOCUMENTS)
        assert alarms(found) == []


def test_a_hostile_id_can_be_typed_as_it_is_shown(tmp_path: Path, server: Evrotrust) -> None:
    """Whoever copies the line runs nothing else."""
    with worker(tmp_path, server.url) as found:
        found.add(callback(HOSTILE))
        abandon(found, ENCRYPTED, subject=HOSTILE)
        (told,) = alarms(found)
        command = told.partition("type: ")[2].partition(" --reason")[0]
        assert shlex.split(command) == ["signlog", "downloads", "retry", SOURCE, HOSTILE, ENCRYPTED]
