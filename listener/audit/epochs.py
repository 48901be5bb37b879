"""Whether every epoch of the log begins with the decision that accepted it."""

from collections.abc import Sequence

from sqlalchemy import Connection

from listener.audit import findings
from listener.audit.findings import Findings
from listener.log import event, reader
from listener.log.heads import Epoch
from listener.signing import decided


def check(connection: Connection, epochs: Sequence[Epoch], until: int, found: Findings) -> None:
    """The first one begins with the log, and each later one with a decision, which somebody may want to know."""
    if not epochs or epochs[0].first_position != 1:
        found.problem(findings.EPOCHS, 1, "the log has no id from its first event on")
    for begin, _ in epochs[1:]:
        first = reader.one(connection, begin)
        if begin > until or first is None:
            found.problem(findings.EPOCHS, begin, "the log gets another id where no event is")
        elif (first.kind, first.path) != (event.DECISION, decided.RESTORED_PATH):
            found.problem(findings.EPOCHS, begin, "the log gets another id, and no decision says why")
        else:
            found.note(findings.RESTORED, begin, f"from here on a restored log goes on, by {first.credential}")
