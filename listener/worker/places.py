"""The place of a document, in a folder or in a bucket: SOURCE/SUBJECT/NAME, which nothing else has."""

import hashlib
import os
from typing import Final
from urllib.parse import quote

from listener import errors
from listener.acts import Artifact
from listener.worker import looks

_LONGEST_NAME: Final = 180  # file systems stop at 255 bytes


def place(artifact: Artifact) -> str:
    """Distinct artifacts have distinct places, on file systems that ignore case too. Raises Unusable."""
    stem, kind = os.path.splitext(artifact.name)
    if kind not in looks.KINDS:
        raise errors.Unusable(f"{artifact.name!r} is no kind of document that could be checked")
    return f"{of_subject(artifact.source, artifact.subject)}/{safe(stem)}{kind}"


def of_subject(source: str, subject: str) -> str:
    """Below which all documents of a subject lie."""
    return f"{source}/{safe(subject)}"


def safe(name: str) -> str:
    """A file name for an id: readable, distinct for distinct ids, free of separators, and of dots in front.

    Ids that differ only in case get a suffix that says which letters are capitals, so that they stay apart where the
    file system ignores case. The parts cannot be confused: an id's own dots and percent signs are encoded.
    """
    encoded = quote(name, safe="=").replace("~", "%7E").replace(".", "%2E") or "%"
    if encoded.startswith("-"):
        encoded = f"%2D{encoded[1:]}"
    if len(encoded) > _LONGEST_NAME:
        return f"{encoded[:100].rstrip('%')}%%{hashlib.sha256(name.encode()).hexdigest()}"
    capitals = sum(1 << index for index, letter in enumerate(name) if letter.isupper() and letter.isascii())
    return f"{encoded}.{capitals:x}" if capitals else encoded
