"""Checks this evidence: run `python verify.py` where it was unpacked, or `python verify.py FILE.zip`.

It needs Python 3.8 or newer and nothing else, asks no network, and changes nothing. Exit status: 0 if everything is
what was logged and signed; 1 if something is wrong, with the name of the file; 3 if nothing is wrong, but something is
not covered by the signed head. Whoever may have changed the evidence may have changed this program, too: to be safe,
take a copy of it that came another way, and run that: `python verify.py FOLDER` or `python verify.py FILE.zip`.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import sys
import zipfile
from typing import Any, NamedTuple, NoReturn

SUMS = "SHA256SUMS"
INDEX, FACTS, PROGRAM, HEAD, KEY = "index.html", "evidence.json", "verify.py", "head.txt", "key.txt"
SUM = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)?)")
EVENT = re.compile(r"(events/([0-9]{9,18})-([a-z]+))(\.json|-headers\.txt|-body\.txt)")
MOST_BYTES = 256 * 1024 * 1024  # of a file that is read whole
# What a leaf of the tree covers; `content` is the hash of headers and body.
COLUMNS = {"client", "content", "credential", "kind", "log", "method", "path", "peer", "position", "provider"}
COLUMNS |= {"recorded_at", "source", "spooled_at", "v"}


class Wrong(Exception):  # noqa: N818  a state of the world, named as one
    """What is wrong with a file."""


class Folder:
    """Evidence that was unpacked."""

    def __init__(self, path: str) -> None:
        self.path = path

    def names(self) -> list[str]:
        """Every file in it, with slashes."""
        found = [os.path.join(folder, name) for folder, _, names in os.walk(self.path) for name in names]
        return [os.path.relpath(path, self.path).replace(os.sep, "/") for path in found]

    def open(self, name: str) -> Any:
        """A file, to be read."""
        return open(os.path.join(self.path, *name.split("/")), "rb")


class Zip:
    """Evidence as it came."""

    def __init__(self, path: str) -> None:
        self._zip = zipfile.ZipFile(path)

    def names(self) -> list[str]:
        """Every file in it, as often as it is there."""
        return self._zip.namelist()

    def open(self, name: str) -> Any:
        """A file, to be read."""
        return self._zip.open(name)


class SignedHead(NamedTuple):
    """What was signed: so many events, and the root of the tree over them."""

    size: int
    root: bytes


class Event(NamedTuple):
    """One event of the log that was looked at; `said` is what an outcome or a decision says: strangers make neither."""

    position: int
    blank: bool
    said: dict[str, Any]


class Check:
    """Everything that is looked at: of each file the first thing that is wrong, and what nobody has signed for."""

    def __init__(self, place: Folder | Zip, key: str | None = None) -> None:
        self.place = place
        self.sums: dict[str, str] = {}
        self.problems: dict[str, str] = {}
        self.unproved: list[str] = []
        self.facts: dict[str, Any] = {}
        self.key = ""
        self.head: SignedHead | None = None
        self.events: dict[str, Event] = {}
        self.erased: set[int] = set()  # by the decisions in here
        self._look(SUMS, self._read_sums)
        if not self.problems:
            self._whole(key)

    def _whole(self, key: str | None) -> None:
        self._find_files()
        for name in self.sums:
            self._look(name, self._check_sum)
        self._look(FACTS, self._read_facts)
        self._look(KEY, self._read_key)
        if key is not None and self.key != key.strip():
            self.problems.setdefault(KEY, "is not the key that you named")
        self._look(HEAD, self._read_head)
        for name in sorted(self.sums):
            if EVENT.fullmatch(name) and name.endswith(".json"):
                self._look(name, self._check_event)
        for look, names in ((self._check_blank, list(self.events)), (self._check_document, list(self.sums))):
            for name in names:
                self._look(name, look)

    def _look(self, name: str, look: Any) -> None:
        """Look at a file, if it is there and nothing is wrong with it; one sentence tells what is."""
        if name in self.problems or (name != SUMS and name not in self.sums):
            return
        try:
            look(name)
        except Wrong as error:
            self.problems[name] = str(error)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
            self.problems[name] = f"cannot be understood: {error!a}"

    # The files

    def _read_sums(self, name: str) -> None:
        """The hash of every file. The last line is the hash of the lines above it: so a change of the list shows."""
        above, _, last = self._content(name).rpartition(b"\n# ")
        if last != hashlib.sha256(above + b"\n").hexdigest().encode() + b"\n":
            raise Wrong("was changed: its last line is not the hash of what stands above it")
        for line in above.decode("ascii").split("\n"):
            match = SUM.fullmatch(line)
            if match:
                self.sums[match[2]] = match[1]
            elif not line.startswith("# "):
                raise Wrong("has a line that is no hash and no name")

    def _find_files(self) -> None:
        """Everything that is listed is there, and nothing else is."""
        there = set()
        for name in self.place.names():
            if name in there:
                self.problems[name] = "is there more than once"
            elif name != SUMS and (name not in self.sums or not self._belongs(name)):
                self.problems[name] = "is no part of this evidence"
            there.add(name)
        for name in {FACTS, INDEX, PROGRAM, *self.sums} - there:
            self.problems[name] = "is missing"

    def _belongs(self, name: str) -> bool:
        """Whether a file is of a kind that is looked at."""
        event = EVENT.fullmatch(name)
        if event:
            return event[1] + ".json" in self.sums
        return name in (INDEX, FACTS, PROGRAM, HEAD, KEY) or name.startswith("documents/")

    def _check_sum(self, name: str) -> None:
        found = hashlib.sha256()
        try:
            with self.place.open(name) as file:
                for chunk in iter(lambda: file.read(1024 * 1024), b""):
                    found.update(chunk)
        except Exception as error:  # a zip that was changed makes its reader raise anything
            raise Wrong(f"cannot be read: {error!a}") from None
        if found.hexdigest() != self.sums[name]:
            raise Wrong(f"was changed: it has not the hash that {SUMS} lists")

    def _content(self, name: str) -> bytes:
        try:
            with self.place.open(name) as file:
                found: bytes = file.read(MOST_BYTES + 1)
        except Exception as error:  # as above
            raise Wrong(f"cannot be read: {error!a}") from None
        if len(found) > MOST_BYTES:
            raise Wrong(f"has more than {MOST_BYTES} bytes")
        return found

    def _read_facts(self, name: str) -> None:
        """What the evidence says of itself."""
        found = decoded(self._content(name))
        if found["format"] != 1:
            raise Wrong("is of another format: take the program that came with it")
        if any(not isinstance(one["file"], (str, type(None))) for one in found["documents"]):
            raise Wrong("names a document that is no file")
        self.facts = found

    # The signed head, a C2SP checkpoint (https://c2sp.org/tlog-checkpoint), and its key

    def _read_key(self, name: str) -> None:
        """One key in two forms: as verifiers of signed notes take it, and as openssl does (RFC 8410)."""
        text = self._content(name).decode("ascii")
        known = text.split("\n")[0]
        key, id_, encoded = known.split("+", 2)
        raw = base64.b64decode(encoded, validate=True)
        pem = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + raw[1:]).decode()
        wanted = f"{known}\n-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----\n"
        found = hashlib.sha256(key.encode() + b"\n" + raw).digest()[:4].hex()
        if len(raw) != 33 or raw[0] != 1 or found != id_ or text != wanted:
            raise Wrong("is no Ed25519 key")
        self.key = known

    def _read_head(self, head: str) -> None:
        if not self.key:
            return  # what is wrong with the key was told
        name, id_, encoded = self.key.split("+", 2)
        text, _, lines = self._content(head).decode("utf-8").rpartition("\n\n")
        origin, size, root = text.split("\n")[:3]
        public, signatures = base64.b64decode(encoded)[1:], []
        for line in lines.splitlines():
            signer, _, signed = line[2:].rpartition(" ")
            raw = base64.b64decode(signed, validate=True)
            if (signer, raw[:4].hex()) == (name, id_):
                signatures.append(raw[4:])
        message = (text + "\n").encode("utf-8")
        if origin != name or not signatures or not all(is_signed(public, message, one) for one in signatures):
            raise Wrong(f"is not signed with the key in {KEY}")
        self.head = SignedHead(int(size), base64.b64decode(root, validate=True))

    # The events

    def _check_event(self, name: str) -> None:
        """Whether it is the event whose leaf stands under the signed head."""
        stem, number, kind, _ = EVENT.fullmatch(name).groups()  # type: ignore[union-attr]  # it was matched before
        columns = decoded(self._content(name))
        leaf, salt, proof = (columns.pop(key) for key in ("leaf", "salt", "proof"))
        if columns.keys() != COLUMNS or (columns["position"], columns["kind"]) != (int(number), kind):
            raise Wrong("has other columns than an event, or another name")
        entry = json.dumps(columns, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
        if hashlib.sha256(b"\x00" + entry).hexdigest() != leaf:
            raise Wrong("was changed: its columns do not hash to its leaf")
        body = self._body(stem, columns["content"], salt)
        if self.head is not None and int(number) <= self.head.size:
            steps = [bytes.fromhex(step) for step in proof]
            if not is_included(bytes.fromhex(leaf), int(number) - 1, self.head, steps):
                raise Wrong("is no event of the log that the signed head is about")
        elif not {KEY, HEAD} & self.problems.keys():
            self.unproved.append(name)
        if salt is None or body is not None:
            said = said_by(body) if body is not None and kind in ("outcome", "decision") else {}
            self.events[name] = Event(int(number), salt is None, said)
            if said.get("action") == "erased":
                self.erased.update(said.get("positions", ()))

    def _body(self, stem: str, wanted: str, salt: str | None) -> bytes | None:
        """The body, None if it was erased or is not what was logged: the hash in `content` tells."""
        files = (stem + "-headers.txt", stem + "-body.txt")
        if salt is None:
            if any(name in self.sums for name in files):
                raise Wrong("is said to be erased, and its content is here")
            return None
        if any(name in self.problems for name in files):
            return None
        if any(name not in self.sums for name in files):
            raise Wrong("is not erased, and its content is not here")
        headers, body = (self._content(name) for name in files)
        raw = bytes.fromhex(salt)
        found = hashlib.sha256(raw + len(headers).to_bytes(8, "big") + headers + body)
        if len(raw) != 16 or found.hexdigest() != wanted:
            self.problems[files[1]] = f"is not what was logged, or {files[0]} is not"
            return None
        return body

    def _check_blank(self, name: str) -> None:
        """Whether a decision in here names an event that was erased."""
        event = self.events[name]
        if event.blank and event.position not in self.erased and not self._is_in_doubt("-decision"):
            raise Wrong("is blank, and no decision in here says that it was erased")

    def _check_document(self, name: str) -> None:
        """Whether it is the document of which an event says that it was stored."""
        if not name.startswith("documents/") or not self.facts:
            return
        claimed = [one["event"] for one in self.facts["documents"] if one["file"] == name]
        told = [one.said for one in self.events.values() if one.position in claimed]
        if any(said.get("action") == "stored" and said.get("sha256") == self.sums[name] for said in told):
            return
        if not any(self._is_in_doubt(f"events/{position:09}-") for position in claimed):
            raise Wrong("is no document of which an event in here says that it was stored")

    def _is_in_doubt(self, part: str) -> bool:
        """Whether something is wrong with an event already, from which something else would follow."""
        return any(part in name for name in self.problems)


def decoded(raw: bytes) -> Any:
    """JSON of an object in which no name stands twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise ValueError("a name stands there twice")
        return dict(pairs)

    def refuse(name: str) -> NoReturn:
        raise ValueError(name)

    return json.loads(raw.decode("utf-8"), parse_constant=refuse, object_pairs_hook=once)


def said_by(body: bytes) -> dict[str, Any]:
    """What an outcome or a decision says; nothing, if it cannot be read."""
    try:
        found = decoded(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def is_included(leaf: bytes, index: int, head: SignedHead, path: list[bytes]) -> bool:
    """RFC 9162, section 2.1.3.2: whether the leaf stands at `index` in the tree of the head."""
    at, last, found = index, head.size - 1, leaf
    for step in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = hashlib.sha256(b"\x01" + step + found).digest()
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = hashlib.sha256(b"\x01" + found + step).digest()
        at, last = at >> 1, last >> 1
    return 0 <= index < head.size and last == 0 and found == head.root


# RFC 8032, section 5.1: Ed25519. Points are (X, Y, Z, T) with x = X/Z, y = Y/Z, x * y = T/Z.

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
Point = Any


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the key signed the message: [S]B = R + [k]A."""
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r, s = point(public), point(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= ORDER:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % ORDER
    left, right = times(s, BASE), added(r, times(k, a))
    return all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))


def point(encoded: bytes) -> Point:
    """The point that 32 bytes stand for, None if they stand for none."""
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    squared = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(squared, (P + 3) // 8, P)
    if (x * x - squared) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - squared) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def added(left: Point, right: Point) -> Point:
    """The sum of two points."""
    a, b = (left[1] - left[0]) * (right[1] - right[0]) % P, (left[1] + left[0]) * (right[1] + right[0]) % P
    c, d = 2 * left[3] * right[3] * D % P, 2 * left[2] * right[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(factor: int, base: Point) -> Point:
    """A multiple of a point."""
    found = (0, 1, 1, 0)
    while factor:
        if factor & 1:
            found = added(found, base)
        base, factor = added(base, base), factor >> 1
    return found


BASE = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


# What is told


def told(check: Check) -> str:
    """How it went, for a person, in letters that every terminal has."""
    lines = ["OK: every file is as it was packed, every event as it was logged, under the signed head."]
    if check.problems:
        lines = ["WRONG:"] + [f"  {ascii(name)[1:-1]}  {said}" for name, said in sorted(check.problems.items())]
    elif check.unproved:
        lines = ["NOT ALL PROVED. Nothing is wrong, but no signed head covers:"]
        lines += ["  " + name for name in sorted(check.unproved)]
    files = [one for one in check.facts.get("documents", ()) if one["file"]]
    lines += ["", f"about      {check.facts.get('source')!a} {check.facts.get('id')!a}"]
    lines += [f"events     {len(check.events)}", f"documents  {len(files)}"]
    if check.head:
        lines += [f"head       {check.head.size} events, root {check.head.root.hex()}"]
        lines += [f"signed by  {check.key}", ""]
        lines += ["Compare this key, or this head, with what you know of it from elsewhere: whoever made this"]
        lines += ["evidence could have made a key and a log for it. index.html says what else it does not prove."]
    return "\n".join(lines)


def main() -> int:
    """Check, tell, and say by the exit status how it went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("place", nargs="?", default=here, help="a zip or a folder; without it, where this program lies")
    parser.add_argument("--key", help="the key that must have signed, as you know it from elsewhere: NAME+ID+KEY")
    asked = parser.parse_args()
    try:
        check = Check(Folder(asked.place) if os.path.isdir(asked.place) else Zip(asked.place), asked.key)
    except Exception as error:  # whatever is no zip makes its reader raise anything
        print(f"WRONG:\n  {asked.place!a}  cannot be read: {error!a}")
        return 1
    print(told(check))
    return 1 if check.problems else 3 if check.unproved else 0


if __name__ == "__main__":
    sys.exit(main())
