"""What a file holds that somebody wants to import: callbacks as JSON, as JSON Lines, or in a mail."""

import contextlib
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from listener import errors, mail, provider
from listener.log import event
from listener.log.append import now
from listener.log.event import Draft
from projections.facts import Fact

MOST_BYTES: Final = 64 * 1024 * 1024  # of all files together
_MARK: Final = b"\xef\xbb\xbf"


class Callback(NamedTuple):
    """A callback in a file: where it stands, the event to append, and what it says."""

    where: str
    draft: Draft
    fact: Fact


class Importer(NamedTuple):
    """Whose callbacks they are, who imports them, and how large one may be."""

    source: str
    provider: str
    operator: str
    most_bytes: int

    def callbacks(self, content: bytes) -> list[Callback]:
        """Every callback in a file, as it is written there. Raises Fault if it holds anything else, or nothing."""
        content = content.removeprefix(_MARK).strip()
        if content[:1] in (b"{", b"["):
            found = [self._callback(where, body) for where, body in _values(content)]
        elif mail.looks_like_one(content):
            found = list(self._in_a_mail(content))
        else:
            raise errors.Fault("neither JSON nor a mail")
        if not found:
            raise errors.Fault("there is no callback in it")
        return found

    def _in_a_mail(self, content: bytes) -> Iterator[Callback]:
        """What of its JSON is a callback: mails hold other things, too."""
        for body in mail.objects(content):
            with contextlib.suppress(errors.Fault):
                yield self._callback("mail", body)

    def _callback(self, where: str, body: bytes) -> Callback:
        path, credential = f"/callbacks/{self.source}", f"operator:{self.operator}"
        draft = Draft(event.IMPORT, self.source, self.provider, body, path=path, credential=credential)
        try:
            if len(body) > self.most_bytes:
                raise errors.Fault(f"{len(body)} bytes, and max_body_bytes is {self.most_bytes}")
            said = provider.named(self.provider).interpret(event.seal(draft, bytes(event.SALT_BYTES), 0, now()))
        except errors.Fault as fault:
            raise errors.Fault(f"{where}: {fault}" if where else str(fault)) from None
        return Callback(where, draft, said[0])


def _values(content: bytes) -> Iterator[tuple[str, bytes]]:
    """One value, the elements of a list, or one value a line."""
    try:
        if content[:1] == b"[":
            elements = msgspec.json.decode(content, type=list[msgspec.Raw])
            return ((f"element {number}", bytes(element)) for number, element in enumerate(elements, 1))
        msgspec.json.decode(content, type=msgspec.Raw)
        return iter([("", content)])
    except (ValueError, RecursionError):
        if b"\n" not in content:
            raise errors.Fault("not JSON") from None
    lines = enumerate(content.split(b"\n"), 1)
    return ((f"line {number}", line.strip()) for number, line in lines if line.strip())
