"""A backup into an empty place: looked through first, and begun as an epoch of its own."""

import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from sqlalchemy.exc import DBAPIError

from listener import backup, errors
from listener.audit import documents, verify
from listener.audit.verify import Told
from listener.backup import LOG, Copied
from listener.cabinet import Cabinet, Folder
from listener.log import migrate
from listener.log.database import Database
from listener.log.sqlite import Copy
from listener.signing.signer import Signer

_IN_THE_WAY: Final = ("signlog*.db", "signlog*.db-wal", "signlog*.db-journal")

Opened = Callable[[Path], AbstractContextManager[tuple[Database, Signer]]]  # the log in a folder, and who signs it


class Restore:
    """Puts a log into a folder that has none. Only for who holds the locks of that folder."""

    def __init__(self, folder: Path, papers: Cabinet, disk_reserve: int, opened: Opened) -> None:
        self._folder = folder
        self._papers = papers
        self._disk_reserve = disk_reserve
        self._opened = opened

    def make(self, file: Path, accept: bool, operator: str, reason: str, told: Told) -> Copied:
        """Restore a backup. Raises CopyRefused or DiskReserve, and leaves the folder as it was then.

        Nobody can tell from a backup what was signed after it was made: the log goes on in a new epoch. If a head that
        lies outside says that events are missing, `accept` must say that it may.
        """
        self._refuse_occupied()
        self._assert_room(file)
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=".restoring-") as folder:
            draft = Path(folder, LOG)
            shutil.copyfile(file, draft)
            try:
                copied = self._begun(draft, accept, operator, reason, told)
            except DBAPIError as error:
                raise errors.CopyRefused(f"{file} is no backup of a log: {error.orig}") from error
            copied = copied._replace(file=file, documents=self._restore_documents(file, draft))
            backup.appear(draft, self._folder / LOG)
        return copied

    def _refuse_occupied(self) -> None:
        for pattern in _IN_THE_WAY:
            for path in self._folder.glob(pattern):
                if path.name != "quarantine.db":
                    raise errors.CopyRefused(
                        f"there is a log in {self._folder} already ({path.name}); set data to another folder, or move "
                        "everything but secret and checkpoint.key away"
                    )

    def _assert_room(self, file: Path) -> None:
        if not file.is_file():
            raise errors.NotFoundError(f"there is no file {file}")
        beside = file.with_name(f"{file.name}-wal")
        if beside.exists() and beside.stat().st_size:
            raise errors.CopyRefused(f"{file} is a log that is being written to ({beside.name}); use 'signlog backup'")
        papers = sum(path.stat().st_size for path in backup.beside(file).rglob("*") if path.is_file())
        backup.assert_room(self._folder, file.stat().st_size + papers, self._disk_reserve)

    def _begun(self, draft: Path, accept: bool, operator: str, reason: str, told: Told) -> Copied:
        """Look through a copy of the backup, and begin an epoch in it."""
        _assert_log(draft)
        with self._opened(draft.parent) as (database, signer):
            report = verify.verify(database, told=told)
            if not report.ok:
                raise errors.CopyRefused(f"the backup is not what was written: {report.problems[0].said}")
            if (unmet := signer.unmet()) and not accept:
                said = "; ".join(one.why for one in unmet)
                raise errors.CopyRefused(
                    f"{said}. Restore a backup that has everything, or go on without: add --accept"
                )
            signer.accept(operator, reason)
            database.leave_no_trace()
        return Copied(draft, report.events, report.root, 0)

    def _restore_documents(self, file: Path, draft: Path) -> int:
        if not backup.beside(file).is_dir():
            return 0
        copy = Copy(draft)
        try:
            return backup.copy_documents(documents.stored(copy), Folder(backup.beside(file)), self._papers)
        finally:
            copy.close()


def _assert_log(draft: Path) -> None:
    copy = Copy(draft)
    try:
        backup.assert_whole(copy)
        with copy.reading() as connection:
            if migrate.revision(connection) is None:
                raise errors.CopyRefused("this is a database, and no backup of a log")
    finally:
        copy.close()
