"""A package that has lived a whole life, its evidence, and hands that change what is in it."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from listener import bootstrap, bootstrap_documents
from listener.acts import Act
from listener.evidence.making import Evidence, Made
from listener.evidence.verify import Check, Zip
from listener.log.event import Draft
from projections import facts
from tests.site import ID, ONESPAN, Site, callback, observation, outcome

PDF = b"%PDF-1.7\n" + b"signed " * 40 + b"\n%%EOF\n"
ANSWER = {"id": ID, "status": "COMPLETED", "signers": [{"id": "s1", "name": "Zoë"}], "documents": []}
VERDICT = {
    "found": "valid",
    "papers": [{"name": "", "found": "valid", "signatures": [{"signer": "Zoë <b>", "intact": True, "whole": False}]}],
}


def kept(name: str, subject: str = ID, content: bytes = PDF, **more: Any) -> Draft:
    """The outcome of a document that was fetched."""
    sha256, path = hashlib.sha256(content).hexdigest(), f"onespan/{name}"
    told = outcome(name, Act(facts.STORED, attempt=1, sha256=sha256, size=len(content), path=path), subject)
    return told._replace(body=json.dumps({**json.loads(told.body), **more}).encode())


class Dossier(Site):
    """A site; `make` makes evidence as the command does, in this process."""

    def __init__(self, folder: Path, config: str = ONESPAN) -> None:
        super().__init__(folder, config)
        self.zip = folder / "evidence.zip"

    def lived(self, subject: str = ID, **fields: Any) -> "Dossier":
        """Two callbacks of ours, one of another package, what the API says, and two documents."""
        self.put("evidence.pdf")
        self.put("documents.zip")
        self.append(callback("PACKAGE_CREATE", subject, **fields), callback("PACKAGE_CREATE", "another"))
        self.append(callback("PACKAGE_COMPLETE", subject), observation({**ANSWER, "id": subject}, subject))
        self.append(kept("evidence.pdf", subject, verdict=VERDICT), kept("documents.zip", subject))
        self.fold()
        return self

    def put(self, name: str, content: bytes = PDF) -> None:
        """Let a document lie in its place."""
        path = self.data / "documents" / "onespan" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def make(self, subject: str = ID, name: str = "evidence.zip") -> Made:
        """Make evidence."""
        settings = self.settings
        with self.opened() as database, bootstrap.signer(settings, database) as signer:
            papers = bootstrap_documents.cabinet(settings)
            making = Evidence(database, settings.folder, papers, settings.disk_reserve, signer)
            return making.make("onespan", subject, self.folder / name)

    def files(self) -> dict[str, bytes]:
        """What is in the evidence."""
        with zipfile.ZipFile(self.zip) as packed:
            return {name: packed.read(name) for name in packed.namelist()}

    def page(self) -> str:
        """The page in it."""
        return self.files()["index.html"].decode()


def packed(files: Mapping[str, bytes]) -> Zip:
    """Files as a zip."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as written:
        for name, body in files.items():
            written.writestr(name, body)
    content.seek(0)
    found: Any = content
    return Zip(found)


def listed(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """With a list of hashes that fits, as anybody can make one."""
    rest = {name: body for name, body in files.items() if name != "SHA256SUMS"}
    above = "".join(f"{hashlib.sha256(body).hexdigest()}  {name}\n" for name, body in rest.items()).encode()
    return {**rest, "SHA256SUMS": above + f"# {hashlib.sha256(above).hexdigest()}\n".encode()}


def problems(files: Mapping[str, bytes], key: str | None = None) -> dict[str, str]:
    """What the verifier says of them."""
    return Check(packed(files), key).problems


def rewritten(files: Mapping[str, bytes], name: str, change: Callable[[dict[str, Any]], None]) -> dict[str, bytes]:
    """With a JSON file changed, and a list of hashes that fits."""
    known = json.loads(files[name])
    change(known)
    return listed({**files, name: json.dumps(known).encode()})


def check(dossier: Dossier) -> Check:
    """What the verifier finds."""
    return Check(Zip(str(dossier.zip)))


def unguarded(log: Connection, statement: str) -> None:
    """Change the log past its guards."""
    for (name,) in log.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").all():
        log.exec_driver_sql(f"DROP TRIGGER {name}")
    log.exec_driver_sql(statement)
