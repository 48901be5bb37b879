"""A copy of the log while it runs, looked through before it has a name; with its documents, if asked."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

from listener import errors, files
from listener.audit import documents, verify
from listener.audit.documents import Document
from listener.audit.verify import Told
from listener.cabinet import Cabinet, Folder
from listener.log.sqlite import Copy, Sqlite
from listener.log.tree import Tree

LOG: Final = "signlog.db"


class Copied(NamedTuple):
    """What was copied: how many events, the root over them, how many documents."""

    file: Path
    events: int
    root: bytes
    documents: int


class Backup:
    """Copies a log in one step: in several, SQLite would start over whenever somebody appends in between."""

    def __init__(self, database: Sqlite, tree: Tree, papers: Cabinet, disk_reserve: int) -> None:
        self._database = database
        self._tree = tree
        self._papers = papers
        self._disk_reserve = disk_reserve

    def make(self, file: Path, with_documents: bool, told: Told) -> Copied:
        """Copy the log to a file that is not there yet. Raises CopyRefused or DiskReserve, and leaves nothing then.

        Documents go into the folder that `beside` names; it is in its place before the file is.
        """
        if not file.parent.is_dir():
            raise errors.CopyRefused(f"{file.parent} is no folder")
        refuse_occupied(file, beside(file))
        self._assert_room(file.parent, with_documents)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as folder:
            draft = Path(folder, LOG)
            self._copy(draft)
            copied = self._checked(draft, file, told)
            if with_documents:
                copied = copied._replace(documents=self._copy_documents(draft, Path(folder, "documents")))
                os.rename(Path(folder, "documents"), beside(file))
                files.sync_folder(file.parent)
            appear(draft, file)
        return copied

    def _assert_room(self, folder: Path, with_documents: bool) -> None:
        size = self._database.path.stat().st_size + self._database.wal_bytes()
        if with_documents:
            size += sum(document.size for document in documents.stored(self._database))
        device = folder.stat().st_dev
        ours = {path.stat().st_dev for path in (self._database.path, self._papers.folder) if path.exists()}
        assert_room(folder, size, self._disk_reserve if device in ours else 0)

    def _copy(self, draft: Path) -> None:
        """All pages at once; then one file instead of three, so that it can be carried away."""
        draft.touch(mode=0o600)
        with closing(self._database.engine.raw_connection()) as source:
            module: Any = self._database.engine.dialect.loaded_dbapi
            with closing(module.connect(str(draft))) as target:
                driver: Any = source.driver_connection
                driver.backup(target, pages=-1)
                target.execute("PRAGMA journal_mode = DELETE").close()

    def _checked(self, draft: Path, file: Path, told: Told) -> Copied:
        """Whether the copy is whole, and what it says. Raises CopyRefused."""
        copy = Copy(draft)
        try:
            assert_whole(copy)
            report = verify.verify(copy, told=told)
        finally:
            copy.close()
        if not report.ok:
            raise errors.CopyRefused(
                f"the log is not what was written: {report.problems[0].said}; see 'signlog verify'"
            )
        self._tree.catch_up(self._database)
        with self._tree.reading() as stored:
            if stored.root(report.events) != report.root:
                raise errors.CopyRefused("the copy has another root than the log; see 'signlog verify'")
        return Copied(file, report.events, report.root, 0)

    def _copy_documents(self, draft: Path, folder: Path) -> int:
        folder.mkdir(mode=0o700)
        copy = Copy(draft)
        try:
            return copy_documents(documents.stored(copy), self._papers, Folder(folder))
        finally:
            copy.close()


def appear(draft: Path, file: Path) -> None:
    """Let a whole file have its name, which nothing else may have. Raises CopyRefused."""
    files.sync(draft)
    try:
        os.link(draft, file)
    except FileExistsError:
        refuse_occupied(file)
        raise
    files.sync_folder(file.parent)


def beside(file: Path) -> Path:
    """The folder of documents that belongs to a backup."""
    return file.with_name(f"{file.name}.documents")


def refuse_occupied(*places: Path) -> None:
    """Raise CopyRefused if something lies there already: nothing is ever written over."""
    for place in places:
        if os.path.lexists(place):
            raise errors.CopyRefused(f"{place} is there already; name another file, or move it away")


def assert_room(folder: Path, size: int, reserve: int) -> None:
    """Raise DiskReserve if so many bytes more would leave less than the reserve."""
    free = shutil.disk_usage(folder).free
    if free - size < reserve:
        raise errors.DiskReserve(f"{folder} has {free} bytes free, and {size} are needed; {reserve} stay reserved")


def assert_whole(copy: Copy) -> None:
    """Raise CopyRefused unless SQLite finds nothing wrong with the file."""
    with copy.reading() as connection:
        said = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()
    if said != "ok":
        raise errors.CopyRefused(f"{copy.path} is damaged: {said}")


def copy_documents(wanted: Iterable[Document], source: Cabinet, target: Cabinet) -> int:
    """Copy these documents, each of which must be what was stored; how many. What is there already is read."""
    copied = 0
    for document in wanted:
        try:
            for _ in _checked(document, target):
                pass
        except FileNotFoundError:
            target.add(document.path, _checked(document, source))
        copied += 1
    return copied


def _checked(document: Document, cabinet: Cabinet) -> Iterator[bytes]:
    """What lies there. Raises CopyRefused at its end if that is not what was stored."""
    found, size = hashlib.sha256(), 0
    for chunk in cabinet.chunks(document.path):
        found.update(chunk)
        size += len(chunk)
        yield chunk
    if (found.hexdigest(), size) != (document.sha256, document.size):
        raise errors.CopyRefused(
            f"{cabinet}/{document.path} is not what was stored; see 'signlog verify --documents', or move it away"
        )
