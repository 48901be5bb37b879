"""A log with signed heads, one of them outside, a tree, and documents; and hands that change it past its guards."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from listener import acts, bootstrap, bootstrap_documents
from listener.acts import Act
from listener.audit import verify
from listener.audit.heads import Outside
from listener.audit.verify import Report
from listener.log import reader
from listener.log.append import append, now
from listener.log.event import CALLBACK, Draft, seal
from listener.signing import witness
from projections import facts
from tests.rig import SOURCE, ZIP, Log, add, artifact

DOCUMENT = b"PK\x05\x06" + b"signed" * 100
PATH = f"{SOURCE}/p/{ZIP}"
FULL = 5  # the position of an event that has something in every column


def full(body: bytes = b'{"name":"PACKAGE_CREATE"}') -> Draft:
    """A callback that has everything that a callback may have."""
    peer, client = "192.0.2.7", "198.51.100.7"
    headers = '[["content-type","application/json"]]'
    return Draft(CALLBACK, SOURCE, "onespan", body, headers, "POST", "/callbacks/onespan", peer, client, "key:0123")


class Sealed(Log):
    """Twelve events: what is in force, the key, then callbacks and a document stored; heads over 2, 8 and 12."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        super().__init__(folder, checkpoint_copy=str(folder / "outside"), **changes)
        self.sign()
        add(self.database, full(), full())
        self.spool(now())
        self.store()
        add(self.database, full(), full())
        self.sign()
        add(self.database, full(), full(), full(), full())
        self.sign()

    def spool(self, recorded_at: int) -> None:
        """Append a callback that was spooled before, as if our clock had shown that time."""
        with self.database.writing() as connection:
            position = reader.head(connection) + 1
            row = seal(full()._replace(spooled_at=recorded_at - 1), reader.log_id(connection), position, recorded_at)
            connection.exec_driver_sql(f"INSERT INTO events VALUES ({', '.join('?' * len(row))})", tuple(row))

    def store(self) -> None:
        """Put a document into its place, and append that it is there."""
        path = self.settings.documents_folder / PATH
        path.parent.mkdir(parents=True)
        path.write_bytes(DOCUMENT)
        digest = hashlib.sha256(DOCUMENT).hexdigest()
        act = Act(facts.STORED, attempt=1, sha256=digest, size=len(DOCUMENT), path=PATH)
        add(self.database, acts.outcome(artifact("p"), "onespan", act))

    def sign(self) -> None:
        """Take a head, in the database and outside."""
        with bootstrap.signer(self.settings, self.database) as signer:
            signer.sign()

    def verify(self, outside: bool = True, tree: bool = True) -> Report:
        """Everything there is to look at; or as somebody without the head outside, or without the tree, sees it."""
        copy = witness.kept(self.settings.copy_file)
        heads = [Outside("the head outside", copy)] if outside and copy else []
        papers = bootstrap_documents.cabinet(self.settings)
        if not tree:
            return verify.verify(self.database, None, heads, papers)
        with bootstrap.tree(self.settings) as found:
            return verify.verify(self.database, found, heads, papers)

    def wrong(self, **seen: bool) -> list[tuple[str, int | None]]:
        """What kinds of things are wrong, and where first."""
        return [(one.kind, one.position) for one in self.verify(**seen).problems]

    def said(self, kind: str) -> str:
        """What is said of the first of a kind."""
        return next(one.said for one in [*self.verify().problems, *self.verify().notes] if one.kind == kind)

    @contextmanager
    def unguarded(self) -> Iterator[Connection]:
        """Write as somebody does who owns the file: without triggers, which are put back as they were."""
        with self.database.writing() as connection:
            guards = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").all()
            for name, _ in guards:
                connection.exec_driver_sql(f"DROP TRIGGER {name}")
            yield connection
            for _, sql in guards:
                connection.exec_driver_sql(sql)

    def change(self, column: str, to: Any, position: int = FULL) -> None:
        """Change one value of one row."""
        with self.unguarded() as connection:
            connection.exec_driver_sql(f"UPDATE events SET {column} = {to} WHERE position = ?", (position,))

    def rewrite(self, change: Callable[[Draft], Draft]) -> None:
        """Write the whole log anew as somebody does who knows how it is sealed: with fresh hashes, heads, and tree."""
        old = self.events()
        (self.settings.folder / "signlog-tree.db").unlink()
        with self.unguarded() as connection:
            connection.exec_driver_sql("DELETE FROM heads")
            connection.exec_driver_sql("DELETE FROM events")
            for event in old:
                fields = {name: getattr(event, name) for name in Draft._fields}
                append(connection, [change(Draft(**fields))])


def flipped(value: bytes | int, bit: int) -> bytes | int:
    """With one bit changed."""
    if isinstance(value, int):
        return value ^ 1 << bit
    at = bit // 8 % len(value)
    return value[:at] + bytes([value[at] ^ 1 << bit % 8]) + value[at + 1 :]


def spoil(path: Path) -> None:
    """Change one byte of a file."""
    os.chmod(path, 0o600)
    content = path.read_bytes()
    path.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
