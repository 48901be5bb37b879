"""Signs heads of the log's tree, never two histories under one name."""

import time
from pathlib import Path
from typing import Final

import structlog

from listener import errors, files
from listener.log import heads, note
from listener.log.append import append, now
from listener.log.database import Database
from listener.log.heads import Epoch, Head
from listener.log.note import SigningKey, TreeHead
from listener.log.tree import Tree
from listener.only import OnlyOne
from listener.signing import decided, witness
from listener.signing.keyfile import KeyFile
from listener.signing.witness import Unmet

_log = structlog.get_logger()

EVERY_EVENTS: Final = 1000
EVERY_SECONDS: Final = 600
_MICROSECONDS: Final = 1_000_000


class Signer:
    """The tree, the key, and where heads go: into the log's database, and as a copy outside it."""

    def __init__(
        self,
        database: Database,
        tree: Tree,
        keyfile: KeyFile,
        rotation: OnlyOne,
        copy: Path | None = None,
        origin: str | None = None,
    ) -> None:
        self.tree = tree
        self._database = database
        self._keyfile = keyfile
        self._rotation = rotation
        self._copy = copy
        self._origin = origin
        self._doubted = False

    def grow(self, seconds: float) -> bool:
        """Let the tree take in what the log has, for so long; whether it has all of it."""
        until = time.monotonic() + seconds
        while self.tree.grow(self._database):
            if time.monotonic() > until:
                return False
        return True

    def look(self) -> None:
        """Raise SigningStopped if the log is too short for a head, or a head is none: that can be told at once."""
        _refuse([one for one in self._unmet() if not one.differs])

    def due(self) -> bool:
        """Whether there is enough that nobody has signed for, or anything for long enough."""
        with self._database.reading() as log, self.tree.reading() as stored:
            newest = heads.newest(log)
        if newest is None:
            return stored.size > 0
        more, age = stored.size - newest.size, now() - newest.signed_at
        return more != 0 and (not 0 <= more < EVERY_EVENTS or not 0 <= age < EVERY_SECONDS * _MICROSECONDS)

    def sign(self) -> Head:
        """The head of the log as it is now, signed; the newest one, if nothing came since.

        Raises SigningStopped while a person must decide, and where the copy cannot be written.
        """
        while (kept := self._sign()) is None:
            pass
        self._put_out(kept)
        return kept

    def _sign(self) -> Head | None:
        """One try; None if somebody else signed meanwhile, or the log had to name a key first."""
        outside = witness.outside(self._copy)
        self.tree.catch_up(self._database)
        with self._database.reading() as log, self.tree.reading() as stored:
            found = witness.unmet(log, stored, outside)
            newest, epoch = heads.newest(log), heads.epochs(log)[-1]
            text = TreeHead(self._name(epoch), stored.size, stored.root(stored.size)).text
            named = [known for known in decided.named(log) if known.position >= epoch.first_position]
        if found:
            _refuse(self.unmet())
            return None
        if not named or named[-1].position > stored.size:
            self._name_key()
            return None
        keys = self._keys(self._name(epoch), [known.key for known in named])
        if newest is None or not _says(newest, text, keys[-1]):
            with self._database.writing() as log:
                newest = heads.add(log, newest, stored.size, note.sign(text, keys))
        if newest is not None:
            self._keyfile.settle(keys[-1].private)
        return newest

    def rotate(self, operator: str, reason: str) -> Head:
        """Make another key, name it in the log, and sign a head with both, if the one before is still here.

        Raises ConfigurationError while somebody else does: the log would name the keys of both, and one would be gone.
        """
        _refuse(self.unmet())
        with self._rotation:
            key = self._keyfile.stage()
            with self._database.writing() as log:
                public = SigningKey(self._name(heads.epochs(log)[-1]), key).public
                append(log, [decided.new_key(public, operator, reason)])
            return self.sign()

    def unmet(self) -> list[Unmet]:
        """The heads that the log does not live up to.

        Where the tree says so, it is worked out again before it is believed: it is no more than a copy.
        """
        self.tree.catch_up(self._database)
        found = self._unmet()
        if not self._doubted and any(one.differs for one in found):
            self.tree.discard()
            self.tree.catch_up(self._database)
            found = self._unmet()
        self._doubted = bool(found)
        return found

    def _unmet(self) -> list[Unmet]:
        """As far as the tree tells by now."""
        outside = witness.outside(self._copy)
        with self._database.reading() as log, self.tree.reading() as stored:
            return witness.unmet(log, stored, outside)

    def accept(self, operator: str, reason: str) -> int:
        """Go on with the log as it is, in an epoch of its own; the position of the decision, its first event.

        What is signed from then on has another origin: a key signs one history under one origin.
        """
        left = tuple(one.note for one in self.unmet() if one.note)
        with self._database.writing() as log:
            heads.begin_epoch(log)
            (decision,) = append(log, [decided.restored(left, operator, reason)])
        return decision.position

    def _name(self, epoch: Epoch) -> str:
        """The origin of what is signed in an epoch: as configured, if that is the first one."""
        if self._origin is None:
            return f"signlog/{epoch.id.hex()}"
        return self._origin if epoch.first_position == 1 else f"{self._origin}/{epoch.id.hex()}"

    def _name_key(self) -> None:
        """Name the key in the log, unless that was done meanwhile: an epoch begins without one."""
        key = self._keyfile.load() or self._keyfile.make()
        with self._database.writing() as log:
            epoch = heads.epochs(log)[-1]
            if all(known.position < epoch.first_position for known in decided.named(log)):
                public = SigningKey(self._name(epoch), key).public
                append(log, [decided.new_key(public)])
                _log.info("checkpoint_key_named", key=str(public), file=str(self._keyfile.path))

    def _keys(self, name: str, named: list[note.PublicKey]) -> list[SigningKey]:
        """Who signs: the key that the log names; while it is being changed, the one before as well."""
        staged, loaded = self._keyfile.staged(), self._keyfile.load()
        if loaded is not None and SigningKey(name, loaded).public == named[-1]:
            return [SigningKey(name, loaded)]
        if staged is not None and SigningKey(name, staged).public == named[-1]:
            before = [SigningKey(known.name, loaded) for known in named[-2:-1] if loaded is not None]
            return [*(key for key in before if key.public in named), SigningKey(name, staged)]
        what = "is gone" if loaded is None else "or the origin is another one"
        raise errors.SigningStopped(
            f"the key in {self._keyfile.path} {what}: the log names {named[-1]}; put the right one back, or "
            "'signlog checkpoint --rotate --reason …' makes another"
        )

    def _put_out(self, kept: Head) -> None:
        if self._copy is None:
            return
        try:
            if witness.kept(self._copy) != kept.note:
                files.replace(self._copy, kept.note.encode())
        except OSError as error:
            raise errors.SigningStopped(
                f"a head was signed, but not copied to {self._copy} ({error.strerror}); mend the folder, or set "
                "checkpoint_copy"
            ) from error


def _says(head: Head, text: str, key: SigningKey) -> bool:
    """Whether a head has this text and was signed with this key."""
    found = note.read(head.note)
    return found.text == text and key.public in found.signers([key.public])


def _refuse(found: list[Unmet]) -> None:
    if found:
        said = "; ".join(one.why for one in found)
        raise errors.SigningStopped(
            f"{said}. Restore a backup that has everything, or go on without: 'signlog restore --accept --reason …'"
        )
