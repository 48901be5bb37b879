"""What is built from the settings, and what is refused before a callback could be lost over it."""

import os
import socket
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from listener import __version__, acts, bootstrap, bootstrap_working, declaration, errors, fingerprint, sources
from listener.api import Access
from listener.log import event, reader
from listener.only import OnlyOne
from listener.settings import Door, Settings, Source
from tests import evro, postgres

OPEN = Source("onespan", path_secret="abcdefghijkl")


def configured(tmp_path: Path, host: str = "127.0.0.1", port: int = 0, **sources: Source) -> Settings:
    """Settings with their data below a folder of the test's."""
    return Settings(data=str(tmp_path / "data"), door=Door(host, port), sources=sources)


def declarations(settings: Settings) -> list[acts.InForce]:
    """What was declared to be in force, oldest first."""
    with bootstrap.log(settings) as database, database.reading() as connection:
        found = reader.acts(connection, event.DECISION, acts.IN_FORCE_PATH)
        return [acts.read_in_force(known) for known in reversed(found)]


def test_a_log_is_made_for_us_alone(tmp_path: Path) -> None:
    """With every folder above it; nobody else on the machine may look in."""
    settings = configured(tmp_path / "deep" / "down")
    bootstrap.prepare(settings)
    assert stat.S_IMODE(settings.folder.stat().st_mode) == 0o700
    assert {"signlog.db", "signlog.lock", "secret"} <= {path.name for path in settings.folder.iterdir()}


def test_commands_make_no_log(tmp_path: Path) -> None:
    """A typo in the name of the folder must not look like an empty log."""
    settings = configured(tmp_path)
    told = r"there is no log in .*/data; 'signlog serve' makes one, or set data"
    with pytest.raises(errors.NotFoundError, match=told), bootstrap.existing_log(settings):
        pass
    assert not settings.folder.exists()


def test_commands_find_the_log(tmp_path: Path) -> None:
    """Once it was made."""
    settings = configured(tmp_path)
    bootstrap.prepare(settings)
    with bootstrap.existing_log(settings) as database, database.reading() as connection:
        assert reader.head(connection) == 1


def test_a_folder_that_cannot_be_made_is_a_wrong_setting(tmp_path: Path) -> None:
    """The sentence names the key."""
    (tmp_path / "data").write_text("a file")
    with pytest.raises(
        errors.ConfigurationError, match=r"^data: .*/data cannot be made \(File exists\); write another"
    ):
        bootstrap.prepare(configured(tmp_path))


def test_what_is_in_force_is_declared_at_the_first_start(tmp_path: Path) -> None:
    """The code that gives the log its meaning, and what is wanted of each source: folds read it there."""
    settings = configured(tmp_path, onespan=OPEN, sandbox=Source("onespan", artifacts=("evidence.pdf", "evidence.pdf")))
    bootstrap.prepare(settings)
    (declared,) = declarations(settings)
    assert (declared.version, declared.fingerprint) == (__version__, fingerprint.fingerprint())
    assert declared.sources == {
        "onespan": acts.SourceInForce("onespan", ("documents.zip", "evidence.pdf")),
        "sandbox": acts.SourceInForce("onespan", ("evidence.pdf",)),
    }


def test_what_is_in_force_is_declared_again_only_when_it_differs(tmp_path: Path) -> None:
    """A restart adds nothing to the log; a source more does."""
    settings = configured(tmp_path, onespan=OPEN)
    bootstrap.prepare(settings)
    bootstrap.prepare(settings)
    assert len(declarations(settings)) == 1
    bootstrap.prepare(configured(tmp_path, onespan=OPEN, other=OPEN))
    assert [sorted(declared.sources) for declared in declarations(settings)] == [["onespan"], ["onespan", "other"]]


ALSO = Source("onespan", artifacts=("evidence.pdf",), path_secret="abcdefghijkl")


def there(settings: Settings) -> Settings:
    """With the log where the engine has it."""
    return msgspec.structs.replace(settings, database_url=postgres.url(settings.folder.parent))


def test_a_door_declares_what_is_new_and_changes_nothing(each_engine: Path) -> None:
    """Two that disagree do not take turns; whoever folds has the say, and what he left out a door adds."""
    one, two = there(configured(each_engine, onespan=OPEN)), there(configured(each_engine, onespan=ALSO, other=OPEN))
    for settings in (one, two, one, two):
        bootstrap.prepare(settings, door=True)
    first, second = declarations(one)
    assert list(first.sources) == ["onespan"]
    assert sorted(second.sources) == ["onespan", "other"]
    assert second.sources["onespan"] == first.sources["onespan"]
    with bootstrap.log(two) as database:
        declaration.declare(database, two)
    bootstrap.prepare(one, door=True)
    assert declarations(one)[2:] == [msgspec.structs.replace(second, sources=declarations(two)[-1].sources)]
    assert declarations(two)[-1].sources["onespan"].artifacts == ("evidence.pdf",)


def test_a_door_of_other_code_does_not_speak_for_who_folds(tmp_path: Path) -> None:
    """Nor does it when it has a source more."""
    bootstrap.prepare(configured(tmp_path, onespan=OPEN), door=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fingerprint, "fingerprint", lambda: "another")
        bootstrap.prepare(configured(tmp_path, onespan=OPEN, other=OPEN), door=True)
    assert {declared.fingerprint for declared in declarations(configured(tmp_path))} == {fingerprint.fingerprint()}


def test_one_of_several_machines_does_not_speak_for_who_leads(on_postgres: Path) -> None:
    """Its start declares what is new; its worker declares the rest when it leads."""
    one, two = there(configured(on_postgres, onespan=OPEN)), there(configured(on_postgres, onespan=ALSO))
    for settings in (one, two):
        bootstrap.prepare(settings)
    assert len(declarations(one)) == 1


def test_what_differs_from_what_is_in_force_is_told(tmp_path: Path) -> None:
    """By name, with what to do; nothing where all agree, or nobody declared anything."""
    ours = configured(tmp_path, onespan=OPEN)
    with bootstrap.log(ours) as database, database.reading() as connection:
        assert declaration.notes(connection, ours) == []
    bootstrap.prepare(configured(tmp_path, onespan=ALSO, gone=OPEN))
    with bootstrap.log(ours) as database, database.reading() as connection:
        (told,) = declaration.notes(connection, ours)
        assert told.startswith("of gone, onespan something else is in force than this machine's configuration says; ")
        assert "restart 'signlog serve' where the worker leads" in told
        assert declaration.notes(connection, configured(tmp_path, onespan=ALSO, gone=OPEN)) == []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fingerprint, "fingerprint", lambda: "another")
            (told,) = declaration.notes(connection, configured(tmp_path, onespan=ALSO, gone=OPEN))
        assert told.startswith(f"other code than this machine's is in force (of version {__version__}); install")


def test_no_secret_of_the_configuration_is_declared(tmp_path: Path) -> None:
    """The log is for ever."""
    keyed = Source("onespan", ("THE-KEY",), path_secret="THE-PATH-SECRET", api_url="https://x", api_key="THE-API-KEY")
    settings = configured(tmp_path, onespan=keyed)
    bootstrap.prepare(settings)
    with bootstrap.log(settings) as database, database.reading() as connection:
        row = reader.one(connection, 1)
    assert row is not None
    assert b"THE-" not in (row.body or b"")


def test_an_artifact_that_the_provider_does_not_have(tmp_path: Path) -> None:
    """Stops the start, and makes no log before it does."""
    wrong = Source("onespan", path_secret="abcdefghijkl", artifacts=("evidence.pdf", "x"))
    told = r"^sources.onespan.artifacts: onespan has no 'x'; write some of: documents.zip, evidence.pdf, "
    with pytest.raises(errors.ConfigurationError, match=told):
        bootstrap.prepare(configured(tmp_path, onespan=wrong))
    assert not (tmp_path / "data").exists()
    assert sources.wanted_artifacts("onespan", Source("onespan", artifacts=())) == ()


def test_access_to_an_api_is_whole_or_not_there(tmp_path: Path) -> None:
    """A key without an address has nine regions to choose from: none is a safe guess."""
    half = Source("onespan", path_secret="abcdefghijkl", api_key="k")
    with pytest.raises(errors.ConfigurationError, match=r"^sources.onespan.api_url: required for access to .* us11, "):
        bootstrap.prepare(configured(tmp_path, onespan=half))
    assert not (tmp_path / "data").exists()
    whole = Source("onespan", path_secret="abcdefghijkl", api_key="k", api_url="https://x")
    assert sources.access_to("onespan", whole) == Access("https://x", "k")
    assert sources.access_to("onespan", OPEN) is None


@pytest.mark.parametrize("lacking", ["client_id", "client_secret", "api_auth"])
def test_access_with_a_client_is_whole_or_not_there(lacking: str) -> None:
    """An id, a secret, and what they are good for: the account decides that, and nobody can guess it."""
    client = {"client_id": "c", "client_secret": "s", "api_auth": "oauth2"}
    whole = Source("onespan", path_secret="abcdefghijkl", api_url="eu", **client)  # type: ignore[arg-type]
    found = sources.access_to("onespan", whole)
    assert found == Access("https://apps.esignlive.eu", None, "c", "s", auth="oauth2")
    half = msgspec.structs.replace(whole, **{lacking: None})
    with pytest.raises(errors.ConfigurationError, match=rf"^sources.onespan.{lacking}: required beside what is set"):
        sources.access_to("onespan", half)


def evrotrust(tmp_path: Path, **changes: Any) -> Settings:
    """One source of Evrotrust's, with access to its API."""
    known = {"path_secret": "abcdefghijkl", "api_key": "k", "vendor_number": "v", **changes}
    return configured(tmp_path, evrotrust=Source("evrotrust", **known))


def test_a_key_without_the_number_beside_it_is_half_an_access(tmp_path: Path) -> None:
    """Evrotrust's address is known, and its requests name the vendor."""
    with pytest.raises(
        errors.ConfigurationError, match=r"^sources.evrotrust.vendor_number: required beside what is set"
    ):
        bootstrap.check(evrotrust(tmp_path, vendor_number=None))
    access = sources.access_to("evrotrust", evrotrust(tmp_path).sources["evrotrust"])
    assert access == Access("https://v.evrotrust.com/vendor", "k", vendor_number="v")


def test_private_keys_are_read_before_anything_starts(tmp_path: Path) -> None:
    """The sentence names the setting and the entry, and not what stands there: it might be the key."""
    key = str(evro.key_file(tmp_path))
    sources.check_private_keys(evrotrust(tmp_path, private_keys=(key,)).sources)
    sources.check_private_keys(evrotrust(tmp_path).sources)
    told = "sources.evrotrust.private_keys: entry 2 cannot be read: No such file or directory; write a path"
    with pytest.raises(errors.ConfigurationError, match=f"^{told}$"):
        sources.check_private_keys(evrotrust(tmp_path, private_keys=(key, "s3cret")).sources)


def test_what_a_document_is_made_of_is_wanted_before_it(tmp_path: Path) -> None:
    """By default both, whether there is a private key yet or not; whoever names one has what it takes."""
    for artifacts, wanted in (
        (None, ("encrypted.zip", "documents.zip")),
        (("documents.zip",), ("encrypted.zip", "documents.zip")),
        (("encrypted.zip",), ("encrypted.zip",)),
        ((), ()),
    ):
        source = evrotrust(tmp_path, artifacts=artifacts).sources["evrotrust"]
        assert sources.wanted_artifacts("evrotrust", source) == wanted


def test_the_secret_is_made_once_and_for_us_alone(tmp_path: Path) -> None:
    """Every label of a credential in the log depends on it."""
    settings = configured(tmp_path)
    settings.folder.mkdir()
    first = bootstrap.secret(settings)
    assert len(first) == 32
    assert bootstrap.secret(settings) == first
    assert stat.S_IMODE((settings.folder / "secret").stat().st_mode) == 0o600
    assert [path.name for path in settings.folder.iterdir()] == ["secret"]


def test_the_secret_of_one_folder_is_not_that_of_another(tmp_path: Path) -> None:
    """It is drawn, not computed."""
    for name in ("a", "b"):
        (tmp_path / name / "data").mkdir(parents=True)
    assert bootstrap.secret(configured(tmp_path / "a")) != bootstrap.secret(configured(tmp_path / "b"))


def test_a_port_of_zero_is_any_that_is_free(tmp_path: Path) -> None:
    """And a connection waits there before anybody accepts it."""
    with bootstrap.listen(configured(tmp_path)) as sock, socket.create_connection(sock.getsockname(), timeout=20):
        pass


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """The sentence says what to type."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = rf"door.port: cannot listen on 127.0.0.1:{port} \(.*\); stop who does, or .* SIGNLOG_DOOR__PORT=\d+"
        with pytest.raises(errors.ConfigurationError, match=told):
            bootstrap.listen(configured(tmp_path, port=port))


def test_a_host_that_is_none(tmp_path: Path) -> None:
    """An address that this machine does not have, and a name that nobody has."""
    for host in ("192.0.2.1", "nowhere.invalid"):
        with pytest.raises(errors.ConfigurationError, match=f"cannot listen on {host}:4449"):
            bootstrap.listen(configured(tmp_path, host, 4449))


def test_the_door_may_listen_on_ipv6(tmp_path: Path) -> None:
    """Where the machine has it."""
    try:
        with bootstrap.listen(configured(tmp_path, "::1")) as sock:
            assert sock.family == socket.AF_INET6
    except errors.ConfigurationError:
        assert not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6")


def test_one_worker_on_a_folder(tmp_path: Path) -> None:
    """The second is refused while the first lives, and let in afterwards."""
    settings = configured(tmp_path)
    bootstrap.prepare(settings)
    told = "a worker already runs on"
    with bootstrap.log(settings) as database:
        with (
            OnlyOne(settings.folder),
            pytest.raises(errors.ConfigurationError, match=told),
            bootstrap_working.leading(settings, database),
        ):
            pass
        with bootstrap_working.leading(settings, database) as (projector, downloads):
            assert projector.catch_up() == 1
            downloads.close()
            projector.close()
