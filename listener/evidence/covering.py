"""The signed head that evidence stands on, and the proofs that its events are under it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from listener import errors
from listener.log import heads, note
from listener.log.database import Database
from listener.log.heads import Epoch
from listener.log.note import PublicKey
from listener.log.tree import Stored, Tree
from listener.signing import decided
from listener.signing.signer import Signer


class Cover(NamedTuple):
    """A head over the first `size` events, who signed it, and where the log names that key."""

    note: str
    size: int
    root: bytes
    key: PublicKey
    named_at: int


class Covered(NamedTuple):
    """The head, None if nothing was ever signed; and why no newer one could be had, where one was wanted.

    The reason is for who runs this machine: it may name files of it.
    """

    by: Cover | None
    why: str | None = None

    @property
    def size(self) -> int:
        """Up to which position events are covered."""
        return self.by.size if self.by else 0


def covered(database: Database, signer: Signer, position: int) -> Covered:
    """A head that covers the event at a position: the newest one, or one that is signed now.

    A newest head that the tree does not live up to proves nothing, and is none. Raises LogError where the log lacks an
    event.
    """
    signer.tree.catch_up(database)
    found = _newest(database, signer.tree)
    if found is not None and found.size >= position:
        return Covered(found)
    try:
        signer.sign()
        why = None
    except (errors.SigningStopped, errors.ConfigurationError, OSError) as error:
        why = str(error)
    found = _newest(database, signer.tree)
    return Covered(found, None if found is not None and found.size >= position else why)


def kept(database: Database, tree: Tree, text: str) -> Covered:
    """A head that somebody kept elsewhere, whatever it covers. Raises CopyRefused for one that is none of this log."""
    tree.catch_up(database)
    found = _cover(database, tree, text)
    if found is None:
        raise errors.CopyRefused("the head that was kept is none of this log; 'signlog verify --checkpoint' says why")
    return Covered(found, "they came after the head that was asked for")


def _newest(database: Database, tree: Tree) -> Cover | None:
    with database.reading() as log:
        head = heads.newest(log)
    return None if head is None else _cover(database, tree, head.note)


def _cover(database: Database, tree: Tree, text: str) -> Cover | None:
    """What a head covers, None if it is none, or none of this log."""
    with database.reading() as log:
        named = decided.named(log)
    try:
        written = note.read(text)
        signers = written.signers([known.key for known in named])
    except errors.NotANote:
        return None
    origin, size, root = written.head
    known = [one for one in named if one.key in signers and one.key.name == origin]
    with tree.reading() as stored:
        if not known or not 0 < size <= stored.size or stored.root(size) != root:
            return None
    return Cover(text, size, root, known[-1].key, known[-1].position)


@contextmanager
def proofs(database: Database, tree: Tree, found: Covered) -> "Iterator[Proofs]":
    """What is asked for each event."""
    with database.reading() as log:
        epochs = heads.epochs(log)
    with tree.reading() as stored:
        yield Proofs(stored, epochs, found.size)


class Proofs(NamedTuple):
    """The tree, and the epochs whose ids the leaves carry."""

    stored: Stored
    epochs: list[Epoch]
    size: int

    def of(self, position: int) -> list[str] | None:
        """The proof that an event is under the head, in hex; None if the head does not cover it."""
        if position > self.size:
            return None
        return [step.hex() for step in self.stored.inclusion(position, self.size)]

    def epoch(self, position: int) -> str:
        """The id of the epoch that a position is in, in hex."""
        return next(epoch.id.hex() for epoch in reversed(self.epochs) if epoch.first_position <= position)
