"""The verifier that goes with evidence: whoever changes anything is found out, by the file that was changed."""

import ast
import base64
import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from listener.evidence import verify
from listener.evidence.verify import Check, Folder, Zip
from listener.log import note
from listener.log.note import SigningKey, TreeHead
from tests.dossier import Dossier, listed, packed, problems, rewritten

CREATED, COMPLETED = "events/000000002-callback", "events/000000004-callback"
STORED, DOCUMENT = "events/000000006-outcome", "documents/1-evidence.pdf"


@pytest.fixture(scope="module")
def dossier(tmp_path_factory: pytest.TempPathFactory) -> Dossier:
    """Evidence of a package that has lived a whole life; nobody changes it."""
    found = Dossier(tmp_path_factory.mktemp("dossier")).lived()
    found.make()
    return found


@pytest.fixture(scope="module")
def files(dossier: Dossier) -> dict[str, bytes]:
    """What is in it."""
    return dossier.files()


def run(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """A Python that has nothing but its standard library, and writes nothing down."""
    python = [sys.executable, "-I", "-S", "-B"]
    return subprocess.run([*python, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


def unpacked(dossier: Dossier, folder: Path) -> Path:
    """The evidence as somebody unpacks it."""
    with zipfile.ZipFile(dossier.zip) as packed:
        packed.extractall(folder)
    return folder


# As it is run


def test_it_is_run_where_it_was_unpacked(dossier: Dossier, tmp_path: Path) -> None:
    """Exit 0, whatever the working directory; with what was looked at, and the key to compare."""
    unpacked(dossier, tmp_path / "here")
    done = run("here/verify.py", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("OK: ")
    key = (tmp_path / "here" / "key.txt").read_text().partition("\n")[0]
    assert f"signed by  {key}\n" in done.stdout
    assert "events     7\n" in done.stdout
    assert "documents  2\n" in done.stdout


def test_it_is_run_on_a_zip(dossier: Dossier, tmp_path: Path) -> None:
    """A copy of the program from elsewhere."""
    (tmp_path / "copy.py").write_bytes(Path(verify.__file__).read_bytes())
    done = run("copy.py", str(dossier.zip), cwd=tmp_path)
    assert (done.returncode, done.stdout[:4]) == (0, "OK: ")
    key = dossier.files()["key.txt"].decode().partition("\n")[0]
    assert run("copy.py", str(dossier.zip), "--key", key, cwd=tmp_path).returncode == 0
    done = run("copy.py", str(dossier.zip), "--key", key[:-1], cwd=tmp_path)
    assert (done.returncode, done.stdout.splitlines()[1]) == (1, "  key.txt  is not the key that you named")


def test_what_is_wrong_is_told(dossier: Dossier, tmp_path: Path) -> None:
    """Exit 1 and the name of the file; 2 for what cannot be typed; no traceback for what is no zip."""
    here = unpacked(dossier, tmp_path / "here")
    (here / f"{CREATED}-body.txt").write_bytes(b"{}")
    done = run("verify.py", cwd=here)
    said = f"  {CREATED}-body.txt  was changed: it has not the hash that SHA256SUMS lists"
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[:3] == ["WRONG:", said, ""]
    (tmp_path / "none.zip").write_bytes(b"PK nothing")
    done = run("here/verify.py", "none.zip", cwd=tmp_path)
    assert (done.returncode, done.stderr, done.stdout[:6]) == (1, "", "WRONG:")
    assert run("here/verify.py", "--nothing", cwd=tmp_path).returncode == 2


def test_it_is_written_for_old_pythons() -> None:
    """Each construct is one of Python 3.8; one of 3.10 would be noticed."""
    ast.parse(Path(verify.__file__).read_text(encoding="utf-8"), feature_version=(3, 8))
    with pytest.raises(SyntaxError):
        ast.parse("match x:\n    case 1: pass", feature_version=(3, 8))


# One byte


@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
def test_one_byte_of_any_file(files: dict[str, bytes], where: float) -> None:
    """At its beginning, amid it, at its end: that file is named, and no other."""
    assert problems(files) == {}
    for name, body in files.items():
        at = round(where * (len(body) - 1))
        changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
        assert list(problems({**files, name: changed})) == [name], (name, at)


def test_one_byte_of_the_zip(dossier: Dossier, tmp_path: Path) -> None:
    """Either something is said to be wrong, or all that is unpacked is what it was."""
    whole, files, wrong, copy = dossier.zip.read_bytes(), dossier.files(), 0, tmp_path / "copy.zip"
    for at in [*range(0, len(whole), 211), *range(len(whole) - 60, len(whole))]:
        copy.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        try:
            found = Check(Zip(str(copy))).problems
        except Exception:  # as the program itself: whatever is no zip makes its reader raise anything
            found = {"the zip": ""}
        if found:
            wrong += 1
            continue
        with zipfile.ZipFile(copy) as opened:
            assert {name: opened.read(name) for name in opened.namelist()} == files, at
    assert wrong > 50


def test_a_file_that_is_gone_or_too_much(files: dict[str, bytes]) -> None:
    """Each is named; so is one that nobody looks at, though it is listed."""
    for name in files:
        said = problems({known: body for known, body in files.items() if known != name})
        assert list(said) == [name], name
    assert problems({**files, "more.txt": b""}) == {"more.txt": "is no part of this evidence"}
    assert problems(listed({**files, "more.txt": b""})) == {"more.txt": "is no part of this evidence"}


def test_a_file_that_is_there_twice(dossier: Dossier, tmp_path: Path) -> None:
    """Programs differ in which of the two they unpack."""
    copy = tmp_path / "copy.zip"
    copy.write_bytes(dossier.zip.read_bytes())
    with zipfile.ZipFile(copy, "a") as packed, pytest.warns(UserWarning, match="Duplicate name"):
        packed.writestr("index.html", b"another")
    assert Check(Zip(str(copy))).problems["index.html"] == "is there more than once"


def test_names_that_lead_elsewhere(files: dict[str, bytes], tmp_path: Path) -> None:
    """A list with such a name is none: nothing outside is read."""
    for name in ("../secret", "/etc/passwd", "events/../../x", "documents/.hidden"):
        assert list(problems(listed({**files, name: b""}))) == ["SHA256SUMS"], name
    (tmp_path / "SHA256SUMS").write_bytes(listed({"../secret": b"s"})["SHA256SUMS"])
    assert list(Check(Folder(str(tmp_path))).problems) == ["SHA256SUMS"]


# Whoever makes the list anew


@pytest.mark.parametrize("column", sorted(verify.COLUMNS - {"position", "kind"}))
def test_a_column(files: dict[str, bytes], column: str) -> None:
    """Each is covered by the leaf, whether it held something or nothing."""
    name = f"{CREATED}.json"
    found = problems(rewritten(files, name, lambda known: known.update({column: "x"})))
    assert found == {name: "was changed: its columns do not hash to its leaf"}


def test_other_columns(files: dict[str, bytes]) -> None:
    """One more, one less, or the name of another event."""
    name, said = f"{CREATED}.json", "has other columns than an event, or another name"
    assert problems(rewritten(files, name, lambda known: known.update(more=1))) == {name: said}
    assert problems(rewritten(files, name, lambda known: known.pop("peer"))) == {name: said}
    assert problems(rewritten(files, name, lambda known: known.update(position=4))) == {name: said}
    assert problems(rewritten(files, name, lambda known: known.update(kind="import"))) == {name: said}


@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_body_or_headers(files: dict[str, bytes], part: str) -> None:
    """They are covered by the hash of the content."""
    name = f"{CREATED}-{part}.txt"
    said = f"is not what was logged, or {CREATED}-headers.txt is not"
    assert problems(listed({**files, name: files[name] + b" "})) == {f"{CREATED}-body.txt": said}


def resealed(known: dict[str, Any], headers: bytes, body: bytes) -> None:
    """Fresh hashes for a content, as somebody makes them who knows how an event is sealed."""
    length = len(headers).to_bytes(8, "big")
    known["content"] = hashlib.sha256(bytes.fromhex(known["salt"]) + length + headers + body).hexdigest()
    entry = {name: value for name, value in known.items() if name in verify.COLUMNS}
    written = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    known["leaf"] = hashlib.sha256(b"\0" + written.encode()).hexdigest()


def test_an_event_with_fresh_hashes(files: dict[str, bytes]) -> None:
    """Its leaf is under no signed head."""
    body = files[f"{CREATED}-body.txt"].replace(b"CREATE", b"DELETE")
    headers = files[f"{CREATED}-headers.txt"]
    changed = rewritten(files, f"{CREATED}.json", lambda known: resealed(known, headers, body))
    found = problems(listed({**changed, f"{CREATED}-body.txt": body}))
    assert found == {f"{CREATED}.json": "is no event of the log that the signed head is about"}


def test_a_salt_of_another_length(files: dict[str, bytes]) -> None:
    """With fresh hashes, too, and under no head: bytes could move between it and what follows."""
    headers, body = files[f"{CREATED}-headers.txt"], files[f"{CREATED}-body.txt"]

    def shortened(known: dict[str, Any]) -> None:
        known["salt"] = known["salt"][:-2]
        resealed(known, headers, body)

    bare = {name: content for name, content in files.items() if name not in ("head.txt", "key.txt")}
    said = f"is not what was logged, or {CREATED}-headers.txt is not"
    assert problems(rewritten(bare, f"{CREATED}.json", shortened)) == {f"{CREATED}-body.txt": said}


def test_a_proof_that_is_none(files: dict[str, bytes]) -> None:
    """Cut, empty, gone, of another event, or no hash at all."""
    name, other = f"{CREATED}.json", json.loads(files[f"{COMPLETED}.json"])["proof"]
    for proof in ([], None, other, json.loads(files[name])["proof"][:-1], ["zz"], 7):
        known = {**json.loads(files[name]), "proof": proof}
        assert list(problems(listed({**files, name: json.dumps(known).encode()}))) == [name], proof


def test_content_that_is_taken_away(files: dict[str, bytes]) -> None:
    """As if it had been erased: no decision says so."""
    blank = {
        name: body for name, body in files.items() if name not in (f"{CREATED}-body.txt", f"{CREATED}-headers.txt")
    }
    found = problems(rewritten(blank, f"{CREATED}.json", lambda known: known.update(salt=None)))
    assert found == {f"{CREATED}.json": "is blank, and no decision in here says that it was erased"}
    assert problems(listed(blank)) == {f"{CREATED}.json": "is not erased, and its content is not here"}
    found = problems(rewritten(files, f"{CREATED}.json", lambda known: known.update(salt=None)))
    assert found == {f"{CREATED}.json": "is said to be erased, and its content is here"}


def test_a_document(files: dict[str, bytes]) -> None:
    """Exchanged, or one that no event tells of, or claimed for an event that tells of none."""
    said = "is no document of which an event in here says that it was stored"
    assert problems(listed({**files, DOCUMENT: b"%PDF-another"})) == {DOCUMENT: said}
    assert problems(listed({**files, "documents/3-more.pdf": b"%PDF"})) == {"documents/3-more.pdf": said}
    found = problems(rewritten(files, "evidence.json", lambda known: known["documents"][0].update(event=2)))
    assert found == {DOCUMENT: said}


def test_a_head(files: dict[str, bytes]) -> None:
    """Another size, or another root; or signed by another key, under whatever name."""
    text = files["head.txt"].decode()
    for changed in (text.replace("\n8\n", "\n9\n"), text.replace("\n8\n", "\n7\n"), text.upper(), ""):
        assert changed != text
        check = Check(packed(listed({**files, "head.txt": changed.encode()})))
        assert (list(check.problems), check.unproved) == (["head.txt"], [])
    head, private = note.read(text).head, Ed25519PrivateKey.generate()
    forged = note.sign(head.text, [SigningKey(head.origin, private)]).encode()
    assert list(problems(listed({**files, "head.txt": forged}))) == ["head.txt"]


def test_another_key_for_another_log(files: dict[str, bytes]) -> None:
    """The counter-example: it fits together, and only who knows the key or the head sees that it is another."""
    name = f"{CREATED}.json"
    only = {known: body for known, body in files.items() if not known.startswith(("events/", "documents/"))}
    only |= {known: body for known, body in files.items() if known.startswith(CREATED)}
    only = rewritten(only, name, lambda known: known.update(proof=[]))
    leaf, key = json.loads(files[name])["leaf"], SigningKey("signlog/forged", Ed25519PrivateKey.generate())
    only = rewritten(only, name, lambda known: known.update(proof=[leaf]))
    root = hashlib.sha256(b"\x01" + bytes.fromhex(leaf) * 2).digest()
    only["head.txt"] = note.sign(TreeHead("signlog/forged", 2, root).text, [key]).encode()
    only["key.txt"] = f"{key.public}\n{key.public.pem}".encode()
    forged = rewritten(only, "evidence.json", lambda known: known.update(documents=[]))
    misnamed = note.sign(TreeHead("signlog/of another log", 2, root).text, [key]).encode()
    assert list(problems(listed({**forged, "head.txt": misnamed}))) == ["head.txt"]
    assert problems(forged) == {}
    assert problems(forged, files["key.txt"].decode().partition("\n")[0]) == {
        "key.txt": "is not the key that you named"
    }


def test_a_key_that_is_none(files: dict[str, bytes]) -> None:
    """The two forms of it must be of one key, and its id that of its name and key."""
    text = files["key.txt"].decode()
    other = SigningKey("signlog/x", Ed25519PrivateKey.generate()).public
    id_ = text.split("+")[1]
    kind = b"\x02" + other.public
    odd = f"k+{hashlib.sha256(b'k' + bytes([10]) + kind).digest()[:4].hex()}+{base64.b64encode(kind).decode()}"
    for changed in (
        f"{odd}\n{other.pem}",
        text.replace(f"+{id_}+", "+00000000+"),
        f"x{text}",
        text + "\n",
        text.partition("\n")[0],
        text.partition("\n")[0] + "\n" + other.pem,
        "é",
        "",
    ):
        assert list(problems(listed({**files, "key.txt": changed.encode()}))) == ["key.txt"], changed


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"\xff", b"{" * 100_000, b'{"a":1,"a":1}', b"NaN", b"7"])
def test_json_that_is_none(files: dict[str, bytes], body: bytes) -> None:
    """It is said of the file, whatever it holds."""
    for name in ("evidence.json", f"{CREATED}.json"):
        assert list(problems(listed({**files, name: body}))) == [name]


def test_a_name_that_stands_twice(files: dict[str, bytes]) -> None:
    """Programs differ in which of the two they take."""
    name = f"{CREATED}.json"
    twice = files[name].replace(b"{", b'{"source": "another",', 1)
    assert list(problems(listed({**files, name: twice}))) == [name]


def test_what_no_head_covers(files: dict[str, bytes]) -> None:
    """It is no lie, but nothing is proved: exit 3. Where a key is asked for, it is missing."""
    bare = {name: body for name, body in files.items() if name not in ("head.txt", "key.txt")}
    check = Check(packed(listed(bare)))
    assert (check.problems, len(check.unproved)) == ({}, 7)
    assert verify.told(check).startswith("NOT ALL PROVED.")
    assert list(problems(listed(bare), "a key")) == ["key.txt"]
