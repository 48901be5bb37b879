"""The stories of a play: signings as OneSpan and Evrotrust tell of them, with everything that makes callbacks hard.

Late, doubled and crossed callbacks, an unknown name, consents that are no documents, an id that looks like an option.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from listener.demo import evrotrust, onespan
from listener.demo.bodies import SENDER
from listener.demo.packages import CONSENT, Document, Package, Signer
from listener.demo.sealing import Seal
from listener.demo.steps import Stage, Step, noise, package_id, user_id
from listener.demo.transactions import Transaction

PEOPLE = (("Ana", "Petrova"), ("Boris", "Ivanov"), ("Clara", "Jansen"), ("Daan", "de Vries"))

IN_PIECES = Seal()

Clock = Iterator[datetime]
Move = Callable[[Stage, datetime], object]


def nothing(*_: object) -> None:
    """Change nothing: the callback tells of something that the API does not show, or that has happened before."""


class Story:
    """One OneSpan package: what happens to it, step by step, in the order in which it happens."""

    def __init__(self, seed: int, title: str, clock: Clock, *, papers: int = 1, dash: bool = False) -> None:
        names = [title, "Annex"][:papers]
        documents = [Document(noise(seed, f"{title} {name}", 24).hex(), name) for name in names]
        self.package = Package(package_id(seed, title, dash=dash), title, _two_signers(seed, title), documents)
        self.steps: list[Step] = []
        self._clock = clock

    def tell(
        self,
        name: str,
        move: Move = nothing,
        *,
        by: str = SENDER.id,
        document: str | None = None,
        message: str | None = None,
    ) -> None:
        """Add what happens next, and the callback that tells of it."""
        at, package = next(self._clock), self.package
        body = onespan.callback(name, package.id, session_user=by, document_id=document, message=message, created=at)
        self.steps.append(Step("onespan", "", body, f"{package.name}: {name}", lambda stage: move(stage, at)))

    def send(self) -> None:
        """Create the package and send it to its signers."""
        self.tell("PACKAGE_CREATE", self._create)
        self.tell("PACKAGE_ACTIVATE", self._to("SENT"))

    def sign(self, signer: Signer) -> None:
        """Let one signer accept the disclosures, look, and sign every document."""
        package, by = self.package, signer.id
        self.tell("DOCUMENT_SIGNED", lambda _, at: package.consent(signer, at), by=by, document=CONSENT)
        for document in package.documents:
            self.tell("DOCUMENT_VIEWED", by=by, document=document.id)
            self.tell("DOCUMENT_SIGNED", _signing(package, document, signer), by=by, document=document.id)
        self.tell("SIGNER_COMPLETE", by=by)

    def complete(self) -> None:
        """Send the package, let everybody sign, and complete it; the last signer's id is in the callback."""
        self.send()
        for signer in self.package.signers:
            self.sign(signer)
        self.tell("PACKAGE_COMPLETE", self._to("COMPLETED"), by=self.package.signers[-1].id)

    def _create(self, stage: Stage, at: datetime) -> None:
        self.package.created = self.package.updated = at
        stage.onespan.add(self.package)

    def _to(self, status: str) -> Move:
        return lambda _, at: self.package.move(status, at)


def completed_early(seed: int, clock: Clock) -> list[Step]:
    """PACKAGE_COMPLETE arrives before the last SIGNER_COMPLETE, as seen in live signings."""
    story = Story(seed, "Offer letter", clock)
    story.complete()
    *before, signer_complete, package_complete = story.steps
    return [*before, package_complete, signer_complete]


def completed_twice(seed: int, clock: Clock) -> list[Step]:
    """PACKAGE_COMPLETE arrives a second time, byte for byte; two documents, and an id that starts with "-"."""
    story = Story(seed, "Lease agreement", clock, papers=2, dash=True)
    story.complete()
    last = story.steps[-1]
    return [*story.steps, replace(last, text=f"{last.text} (again)", move=nothing)]


def crossed(seed: int, clock: Clock) -> list[Step]:
    """Everything has happened before the first callback arrives, and every second one overtakes."""
    story = Story(seed, "Loan contract", clock)
    story.complete()
    first, *others = story.steps[1::2] + story.steps[::2]
    return [replace(first, move=_all(story.steps)), *(replace(step, move=nothing) for step in others)]


def declined(seed: int, clock: Clock) -> list[Step]:
    """A signer declines; the reason stands in the callback's message and, for sure, in the package's messages."""
    story = Story(seed, "Non-disclosure agreement", clock)
    signer, reason = story.package.signers[0], "The notice period is too long."
    story.send()
    story.tell("DOCUMENT_VIEWED", by=signer.id, document=story.package.documents[0].id)
    story.tell("PACKAGE_DECLINE", lambda _, at: story.package.refuse(signer, reason, at), by=signer.id, message=reason)
    return story.steps


def expired(seed: int, clock: Clock) -> list[Step]:
    """Nobody signs in time."""
    story = Story(seed, "Insurance offer", clock)
    story.send()
    story.tell("PACKAGE_EXPIRE", lambda _, at: story.package.move("EXPIRED", at))
    return story.steps


def trashed(seed: int, clock: Clock) -> list[Step]:
    """A package goes to the trash and comes back; then comes an event that nobody has heard of."""
    story = Story(seed, "Service contract", clock)
    story.send()
    story.tell("PACKAGE_TRASH", lambda _, at: story.package.trash(at))
    story.tell("PACKAGE_RESTORE", lambda _, at: story.package.trash(at, trashed=False))
    story.tell("SIGNER_APPLAUDED", by=story.package.signers[0].id)
    return story.steps


def transactions(seed: int) -> list[Step]:
    """Evrotrust: signed, rejected, expired (through a doubled slash), and signed with a one-time certificate."""
    reason = "Грешен документ"
    return [
        _transaction(seed, "Employment contract", "/document/ready", 2),
        _transaction(seed, "Power of attorney", "/document/ready", 3, reason=reason),
        # A urlCallback that was configured with a trailing slash.
        _transaction(seed, "Declaration", "//document/ready", 4),
        _transaction(seed, "Consent form", "/document/offline/ready", 2, kind="offline", seal=Seal(aes=True)),
    ]


def _transaction(
    seed: int,
    title: str,
    path: str,
    status: int,
    *,
    reason: str | None = None,
    kind: str = "doc",
    seal: Seal = IN_PIECES,
) -> Step:
    identity = f"{int.from_bytes(noise(seed, title, 8), 'big') % 10**12:012d}"
    kept = Transaction(
        identity,
        status,
        reject_reason=reason,
        thread_id=noise(seed, title, 6).hex().upper(),
        kind=kind,
        file_name=f"{title}.pdf",
        seal=seal,
    )
    body = evrotrust.callback(identity, status, reject_reason=reason)
    return Step("evrotrust", path, body, f"{title}: status {status}", lambda stage: stage.evrotrust.add(kept))


def _two_signers(seed: int, title: str) -> list[Signer]:
    start = noise(seed, title, 1)[0]
    names = [PEOPLE[(start + n) % len(PEOPLE)] for n in range(2)]
    return [Signer(user_id(seed, f"{title} {n}"), *name, f"Signer{n}") for n, name in enumerate(names, start=1)]


def _signing(package: Package, document: Document, signer: Signer) -> Move:
    return lambda _, at: package.sign(document, signer, at)


def _all(steps: Sequence[Step]) -> Callable[[Stage], object]:
    def move(stage: Stage) -> None:
        for step in steps:
            step.move(stage)

    return move
