"""The file of the tree, node by node beside the tree as it grows from the log."""

from listener import errors
from listener.audit import findings
from listener.audit.findings import Findings
from listener.log import reader
from listener.log.database import Readable
from listener.log.tree import Tree


class Beside:
    """Compares as far as the file goes: it may be a little behind the log, and never ahead of it."""

    def __init__(self, database: Readable, tree: Tree | None, found: Findings) -> None:
        self._database = database
        self._tree = tree
        self._found = found
        self._compared = 0

    def take(self, made: list[bytes]) -> None:
        """Compare the next nodes that became complete with those of the file."""
        if self._tree is None:
            return
        try:
            there = self._tree.hashes(self._compared, len(made))
        except errors.TreeDamaged as error:
            self._wrong(str(error))
            return
        if there != made[: len(there)]:
            number = next(number for number, pair in enumerate(zip(there, made, strict=False)) if pair[0] != pair[1])
            self._wrong(f"the file of the tree has another node {self._compared + number + 1} than the log")
        self._compared += len(there)

    def rest(self) -> None:
        """Whether the file knows leaves that the log has not."""
        if self._tree is None:
            return
        try:
            with self._tree.reading() as stored, self._database.reading() as connection:
                size, head = stored.size, reader.head(connection)
        except errors.TreeDamaged as error:
            self._wrong(str(error))
            return
        if size > head:
            self._wrong(f"the file of the tree knows {size} events, and the log has {head}")

    def _wrong(self, said: str) -> None:
        self._found.problem(findings.TREE, None, said)
        self._tree = None
