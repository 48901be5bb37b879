"""What OneSpan answers about a package, and what of that is kept."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from listener import errors, wire
from listener.provider import Whole
from listener.providers import onespan
from listener.providers.onespan import Kept, Plain
from projections import facts
from projections.facts import Named

_MOST_NAMED: Final = 1000  # documents or signers of a package; OneSpan's own limits are 200 and 40
_REFUSED: Final = frozenset({"DECLINED", "OPTED_OUT"})


def kept(code: int, answer: bytes) -> Kept:
    """What of an answer may be kept: it also holds challenge answers, social security numbers and callback keys."""
    whole = Whole.of(answer)
    if code != 200:
        return Kept(answer=whole)
    package = wire.decoded(answer, _Package, "package")
    roles, documents = package.roles or (), package.documents or ()
    signers = [signer for role in roles for signer in role.signers or ()]
    if max(len(roles), len(signers), len(documents)) > _MOST_NAMED:
        raise errors.Unusable(f"HTTP 200 with a package of more than {_MOST_NAMED} documents or signers")
    # What else people write to each other is nobody's business.
    messages = package.messages or () if package.status in _REFUSED else ()
    return Kept(
        **{name: getattr(package, name) for name in Plain.__struct_fields__},
        documents=tuple(Named(known.id, known.name or "") for known in documents if known.id != onespan.CONSENT),
        signers=tuple(_signers(package)),
        attachments=tuple(Named(role.id, role.name or "") for role in roles if role.uploaded),
        reason=messages[0].content if messages else None,
        answer=whole,
    )


def _signers(package: "_Package") -> Iterator[Named]:
    """Everybody who has a role. Where all is signed, who of them did not sign: their approvals were optional, or none.

    Whether an answer tells of signatures at all is only known if it tells of one: `signed` is no required field
    (https://docs.onespan.com/reference, schema Approval).
    """
    documents = (known for known in package.documents or () if known.id != onespan.CONSENT)
    signed = {each.role for document in documents for each in document.approvals or () if each.signed}
    complete = onespan.STAGES.get(package.status) == facts.COMPLETED
    for role in package.roles or ():
        otherwise = complete and bool(signed) and role.id not in signed
        for known in role.signers or ():
            yield Named(known.id, known.named, stage=facts.IN_PROGRESS if otherwise else None)


class _Signer(msgspec.Struct):
    id: str = ""
    firstName: str | None = None  # noqa: N815  their spelling
    lastName: str | None = None  # noqa: N815
    name: str | None = None

    @property
    def named(self) -> str:
        return " ".join(part for part in (self.firstName, self.lastName) if part) or self.name or ""


class _Attachment(msgspec.Struct):
    status: str | None = None  # INCOMPLETE while nothing is there, REJECTED by the sender, COMPLETE


class _Role(msgspec.Struct):
    id: str = ""
    name: str | None = None
    signers: tuple[_Signer, ...] | None = ()
    attachmentRequirements: tuple[_Attachment, ...] | None = ()  # noqa: N815

    @property
    def uploaded(self) -> bool:
        return any(wanted.status == "COMPLETE" for wanted in self.attachmentRequirements or ())


class _Approval(msgspec.Struct):
    role: str | None = None
    signed: Any = None  # when


class _Document(msgspec.Struct):
    id: str = ""
    name: str | None = None
    approvals: tuple[_Approval, ...] | None = ()


class _Message(msgspec.Struct):
    content: str | None = None


class _Package(Plain):
    status: str
    documents: tuple[_Document, ...] | None = ()
    roles: tuple[_Role, ...] | None = ()
    messages: tuple[_Message, ...] | None = ()
