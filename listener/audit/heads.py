"""Each signed head against the tree as it was when it had that size, and against the keys that the log names."""

import heapq
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

from listener import errors
from listener.audit import findings
from listener.audit.findings import Findings
from listener.log import heads, note
from listener.log.database import Readable
from listener.log.heads import Epoch
from listener.log.merkle import Frontier
from listener.log.note import Note, PublicKey
from listener.signing import decided
from listener.signing.decided import Named


class Outside(NamedTuple):
    """A head that was kept elsewhere, and where."""

    where: str
    note: str


class Claim(NamedTuple):
    """What somebody says of the tree at a size. Only those of the log itself may have been left behind."""

    size: int
    where: str
    note: str
    ours: bool


class Context(NamedTuple):
    """What the log says of heads, read once: the last head, the keys, the epochs, the notes that were left behind."""

    last: int
    keys: Sequence[Named]
    epochs: Sequence[Epoch]
    left_behind: frozenset[str]

    def begins(self, after: int, until: int) -> bool:
        """Whether an epoch begins behind one position, and no later than another."""
        return any(after < epoch.first_position <= until for epoch in self.epochs)


def context(connection: Connection) -> Context:
    """As it is now."""
    newest, epochs = heads.newest(connection), heads.epochs(connection)
    return Context(newest.number if newest else 0, decided.named(connection), epochs, decided.accepted(connection))


class Heads:
    """Asks for the tree at each size that was signed, from the smallest on; `next` is that size."""

    def __init__(self, database: Readable, known: Context, outside: Sequence[Outside], found: Findings) -> None:
        self._known = known
        self._found = found
        self._claims = heapq.merge(_ours(database, known.last), _theirs(outside, found), key=lambda claim: claim.size)
        self._vouched = 0  # where the newest key is named that a head was checked with
        self.checked = 0
        self._step()

    def take(self, frontier: Frontier) -> None:
        """Check what was signed over a tree of this size."""
        while self._claim is not None and self._claim.size == frontier.size:
            self._check(self._claim, frontier)

    def rest(self, frontier: Frontier) -> None:
        """Check what was signed over more than there is, and whether there is what should be."""
        while self._claim is not None:
            self._check(self._claim, frontier)
        self._note_unused()

    def _note_unused(self) -> None:
        """Whoever names a key signs with it at once."""
        if self._known.keys and self._known.keys[-1].position > self._vouched:
            said = (
                f"no head is signed with the key that event {self._known.keys[-1].position} names: were heads removed?"
            )
            self._found.note(findings.KEYS, self._known.keys[-1].position, said)

    def _step(self) -> None:
        self._claim = next(self._claims, None)
        self.next = -1 if self._claim is None else self._claim.size

    def _check(self, claim: Claim, frontier: Frontier) -> None:
        try:
            wrong = self._wrong(claim, frontier)
        except errors.NotANote as error:
            wrong = f"is none: {error}"
        if wrong is not None:
            self._found.problem(findings.HEADS, claim.size, f"{claim.where} {wrong}")
        self.checked += 1
        self._step()

    def _wrong(self, claim: Claim, frontier: Frontier) -> str | None:
        written = note.read(claim.note)
        signers, size = self._signers(written), written.head.size
        if size != claim.size:
            return f"speaks of {size} events, and its row of {claim.size}"
        if claim.ours and self._is_left_behind(claim, signers):
            said = f"{claim.where}, over {size} events, was left behind when a restored log was accepted"
            self._found.note(findings.RESTORED, size, said)
            return None
        if size > frontier.size:
            return f"was signed over {size} events, and there are {frontier.size}"
        if written.head.root != frontier.root():
            return f"was signed over other events than the first {size}"
        return self._key_is_wrong(claim, [named.key for named in signers])

    def _signers(self, written: Note) -> list[Named]:
        """Who signed, of the keys that the log names under the name of this log."""
        keys = written.signers([named.key for named in self._known.keys])
        return [named for named in self._known.keys if named.key in keys and named.key.name == written.head.origin]

    def _is_left_behind(self, claim: Claim, signers: Sequence[Named]) -> bool:
        """Whether somebody accepted that, or an epoch has begun before the last event that it was signed over."""
        ended = any(self._known.begins(named.position, claim.size) for named in signers)
        return ended or claim.note in self._known.left_behind

    def _key_is_wrong(self, claim: Claim, signers: Sequence[PublicKey]) -> str | None:
        named = [known for known in self._known.keys if known.position <= claim.size]
        if not named or named[-1].key not in signers:
            return "is not signed with the key that the log names for it"
        if named[-1].position > self._vouched:
            self._vouched = named[-1].position
            self._note_change(claim, named[-2:])
        return None

    def _note_change(self, claim: Claim, change: Sequence[Named]) -> None:
        """The first head with a new key should be signed with the one before, too, unless an epoch began with it."""
        before, position = change[0], change[-1].position
        if before.position == position or self._known.begins(before.position, position):
            return
        if not note.read(claim.note).signers([before.key]):
            said = f"from {claim.where} on another key signs, and the one before did not vouch for it"
            self._found.note(findings.KEYS, position, said)


def _ours(database: Readable, last: int) -> Iterator[Claim]:
    for head in heads.by_size(database, last):
        yield Claim(head.size, f"head {head.number}", head.note, True)


def _theirs(outside: Sequence[Outside], found: Findings) -> list[Claim]:
    claims = []
    for where, written in outside:
        try:
            claims.append(Claim(note.read(written).head.size, where, written, False))
        except errors.NotANote as error:
            found.problem(findings.HEADS, None, f"{where} is none: {error}")
    return sorted(claims)


def missing(connection: Connection, last: int, found: Findings) -> None:
    """Whether a number up to the last is no head's."""
    query = (
        "SELECT min(number) FROM (SELECT 1 AS number UNION SELECT number + 1 FROM heads) AS due "
        "WHERE number <= :last AND number NOT IN (SELECT number FROM heads)"
    )
    number = connection.scalar(text(query), {"last": last})
    if number is not None:
        found.problem(findings.HEADS, None, f"head {number} is missing")
