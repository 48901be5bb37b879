"""A plain zip out of an encrypted one: however it was encrypted and grouped, with which names, with which key."""

import io
from collections.abc import Mapping
from pathlib import Path

import pytest

from listener import errors
from listener.decryption import documents
from listener.decryption.documents import Way
from listener.decryption.keys import PrivateKeys
from listener.demo.archive import archive
from listener.demo.sealing import Seal
from listener.demo.transactions import Transaction, group_package, package, paper
from tests.evro import ID, SEALS, entries, key_file, pair

HASH = "contract_OUT_SIGNED_HASH.xml"


def plain(folder: Path, download: bytes, named: str | None = None, keys: tuple[Path, ...] | None = None) -> bytes:
    """What is made of a download, with our key."""
    paths = (key_file(folder),) if keys is None else keys
    made = io.BytesIO()
    documents.make(io.BytesIO(download), made, Way(PrivateKeys(tuple(map(str, paths))), named, folder))
    return made.getvalue()


def sealed(transaction: Transaction, name: str = "ours", **how: bool) -> Transaction:
    """The transaction, with its documents encrypted for a key of that name."""
    transaction.seal = Seal(pair(name).public, **how)
    return transaction


def download(inner: Mapping[str, bytes], file_name: str = "contract.pdf", **how: bool) -> bytes:
    """A download of one document, whose inner zip has these entries."""
    return archive(Seal(pair().public, **how).entries(f"{ID}_OUT.enc", archive(inner), file_name))


@pytest.mark.parametrize("how", SEALS)
def test_a_document_is_opened_however_it_was_encrypted(tmp_path: Path, how: str) -> None:
    """It has the name that it was submitted with. Nothing else is left of it: the rest had no names."""
    for size in (10, 10_000):
        transaction = sealed(Transaction(ID, content=bytes(size)), aes=SEALS[how].aes, whole=SEALS[how].whole)
        assert entries(plain(tmp_path, package(transaction))) == {"contract.pdf": bytes(size)}
    assert [path.name for path in tmp_path.iterdir()] == ["ours.pem"]


def test_the_same_download_makes_the_same_bytes(tmp_path: Path) -> None:
    """So that whoever decrypts again can compare."""
    made = package(sealed(Transaction(ID)))
    assert plain(tmp_path, made) == plain(tmp_path, made)
    assert plain(tmp_path, made) != plain(tmp_path, package(sealed(Transaction(ID[::-1]))))


@pytest.mark.parametrize("flat", [False, True])
def test_a_group_has_a_folder_for_each_transaction(tmp_path: Path, flat: bool) -> None:
    """Its zips may be nested, or its entries side by side; each document has its own key and IV."""
    members = [sealed(Transaction(str(number)), aes=number == 2) for number in (1, 2, 3)]
    found = entries(plain(tmp_path, group_package(members, flat=flat)))
    assert found == {f"{member.id}/contract.pdf": paper(member) for member in members}


def test_a_group_of_one_lies_flat(tmp_path: Path) -> None:
    """Nothing is to be told apart."""
    assert list(entries(plain(tmp_path, group_package([sealed(Transaction(ID))], flat=False)))) == ["contract.pdf"]


def test_a_hash_is_a_signature_under_its_own_name(tmp_path: Path) -> None:
    """To call it by the name of the document would be misleading."""
    found = entries(plain(tmp_path, package(sealed(Transaction(ID, kind="hash"), whole=True))))
    assert list(found) == [HASH]
    assert len(found[HASH]) == 256


@pytest.mark.parametrize(
    ("inner", "file_name", "found"),
    [
        (["x_OUT_SIGNED.pdf"], "Договор.pdf", ["Договор.pdf"]),
        (["x_OUT_SIGNED.PDF"], "a.pdf", ["a.pdf"]),
        (["x_OUT_SIGNED.p7m"], "a.docx", ["a.docx.p7m"]),
        (["x_OUT_SIGNED.pdf"], "", ["x_OUT_SIGNED.pdf"]),
        (["x_OUT_SIGNED.pdf", HASH], "a.pdf", ["a.pdf", HASH]),
        (["x_OUT_SIGNED.pdf", "y_OUT_SIGNED.pdf"], "a.pdf", ["a.pdf", "a (2).pdf"]),
        (["folder/", "folder/x.pdf"], "a.pdf", ["a.pdf"]),
        (["../../x.pdf"], "../../../etc/cron.d/a.pdf", ["a.pdf"]),
        (["x"], "a", ["a"]),
        (["x.pdf"], "\u202efdp.exe", ["_fdp.exe.pdf"]),
    ],
)
def test_a_document_is_called_as_it_was_submitted(
    tmp_path: Path, inner: list[str], file_name: str, found: list[str]
) -> None:
    """The ending is that of the entry, which tells how it was signed; whatever leads elsewhere is taken away."""
    made = download({name: b"" if name.endswith("/") else b"signed" for name in inner}, file_name)
    assert list(entries(plain(tmp_path, made))) == found


def test_the_key_is_found_by_trying(tmp_path: Path) -> None:
    """Whichever it is, and also if another one was named; documents of one group may need different ones."""
    ours, theirs, third = (key_file(tmp_path, name) for name in ("ours", "theirs", "third"))
    made = package(sealed(Transaction(ID), "theirs"))
    for keys, named in (
        ((ours, theirs), None),
        ((theirs,), None),
        ((ours, theirs), "theirs"),
        ((theirs, ours), "ours"),
    ):
        assert list(entries(plain(tmp_path, made, named, keys))) == ["contract.pdf"]
    group = group_package([sealed(Transaction("1"), "ours"), sealed(Transaction("2"), "third")], flat=False)
    assert len(entries(plain(tmp_path, group, keys=(ours, theirs, third)))) == 2


def test_a_wrong_key_is_told(tmp_path: Path) -> None:
    """With the keys that were tried, and for which document."""
    keys = (key_file(tmp_path, "theirs"), key_file(tmp_path, "third"))
    told = f"no private key opens the document of transaction {ID}; tried: theirs, third"
    with pytest.raises(errors.Hopeless, match=told):
        plain(tmp_path, package(sealed(Transaction(ID))), keys=keys)
    (tmp_path / "empty").mkdir()
    with pytest.raises(errors.Hopeless, match="there is no private key"):
        plain(tmp_path, package(sealed(Transaction(ID))), keys=(tmp_path / "empty",))


def test_of_a_group_all_or_nothing_is_opened(tmp_path: Path) -> None:
    """Half a group would look like a whole one."""
    group = group_package([sealed(Transaction("1")), sealed(Transaction("2"), "theirs")], flat=True)
    with pytest.raises(errors.Hopeless, match="transaction 2"):
        plain(tmp_path, group)


def test_what_goes_on_as_noise_is_damaged(tmp_path: Path) -> None:
    """The first piece is right, and a later one is not; or all of them are, and make no zip."""
    made = entries(package(sealed(Transaction(ID))))
    text = made[f"{ID}_OUT.enc"]
    cut = text[:7296]
    noise = text[:7300] + bytes(text[7300:][::-1])
    for damaged in (cut, noise):
        with pytest.raises(errors.Hopeless, match="damaged: it begins like a zip"):
            plain(tmp_path, archive(made | {f"{ID}_OUT.enc": damaged}))


def test_an_empty_zip_is_no_document(tmp_path: Path) -> None:
    """Somebody should hear of it."""
    with pytest.raises(errors.Hopeless, match="empty zip"):
        plain(tmp_path, download({"folder/": b""}))
