"""The files that OneSpan makes for a package: signed documents, their zip, the evidence summary, attachments.

The same package in the same state gives the same bytes, so that a test can tell a second download from a new version.
"""

from listener.demo import pdf
from listener.demo.archive import archive
from listener.demo.packages import Document, Package, iso
from listener.demo.seals import sealer

SEALER = "Imitation of OneSpan Sign"

# Characters that Windows reserves become "_" (https://www.onespan.com/blog/document-name-restrictions).
RESERVED = str.maketrans(dict.fromkeys('<>:"/\\|?*', "_"))


def document(package: Package, wanted: Document) -> bytes:
    """Return one document as PDF with the signatures that it has.

    Before completion that is a document without the pending ones, and nothing says so
    (https://docs.onespan.com/docs/downloading-documents).
    """
    lines = [f"Package {package.id}", f"Document {wanted.id}", "", *_signatures(package, wanted)]
    made = pdf.document(wanted.name, lines)
    signed = [at for (document, _), at in package.signatures.items() if document == wanted.id]
    return sealer(SEALER).sealed(made, max(signed)) if signed else made


def documents(package: Package) -> bytes:
    """Return the zip of all documents."""
    return archive({name: document(package, wanted) for name, wanted in _named(package).items()})


def evidence(package: Package) -> bytes:
    """Return the evidence summary: who accepted and signed what, and when. That it is signed itself nobody says."""
    lines = [f"Package {package.id}", f"Status {package.status}", ""]
    for signer in package.signers:
        if signer.id in package.consents:
            lines.append(f"Disclosures accepted by {signer.name} at {iso(package.consents[signer.id])}")
    for wanted in package.documents:
        lines += ["", wanted.name, *_signatures(package, wanted)]
    return pdf.document("Evidence summary", lines)


def attachments(package: Package, role: str | None = None) -> bytes:
    """Return the zip of what signers uploaded, or one of them."""
    uploaded = package.attachments.items()
    return archive({name: content for (uploader, name), content in uploaded if role in (None, uploader)})


def file_name(wanted: Document) -> str:
    """Return the name under which a document is handed out."""
    return f"{wanted.name.translate(RESERVED)}.pdf"


def _named(package: Package) -> dict[str, Document]:
    named: dict[str, Document] = {}
    for wanted in package.documents:
        name = file_name(wanted)
        named[f"{len(named)}-{name}" if name in named else name] = wanted
    return named


def _signatures(package: Package, wanted: Document) -> list[str]:
    signed = [(package.signatures.get((wanted.id, signer.id)), signer.name) for signer in package.signers]
    return [f"Signed by {name} at {iso(at)}" for at, name in signed if at is not None]
