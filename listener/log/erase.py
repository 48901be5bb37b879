"""Erasing events: what they said is blank for ever; that they were, when and what is sealed of it stays."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, select

from listener.log import schema

_events: Final = schema.events
_BLANK: Final = {"body": None, "headers": None, "salt": None}
_AT_ONCE: Final = 500


def erase(connection: Connection, positions: Sequence[int], decided: int) -> None:
    """Blank body, headers and salt of these, none of which is blank already, in the transaction of the decision.

    The database's own triggers refuse it for a position that is not noted in `erasures` first.
    """
    for page in _paged(positions):
        connection.execute(schema.erasures.insert(), [{"position": each, "decided": decided} for each in page])
        connection.execute(_events.update().where(_events.c.position.in_(page)).values(_BLANK))


def blank(connection: Connection, positions: Sequence[int]) -> set[int]:
    """Those of the positions that were erased before."""
    noted = schema.erasures.c.position
    return {each for page in _paged(positions) for each in connection.scalars(select(noted).where(noted.in_(page)))}


def _paged(positions: Sequence[int]) -> list[Sequence[int]]:
    return [positions[start : start + _AT_ONCE] for start in range(0, len(positions), _AT_ONCE)]
