"""Refused callbacks as people and scripts see them."""

from typing import Any

import msgspec

from listener import times
from listener.desk.events import body_of
from listener.quarantine import Kept


def shown(kept: Kept) -> dict[str, Any]:
    """A refused callback in a list; `size` in bytes is of what was kept of its body, which may not be the `whole`."""
    return {
        "id": kept.id,
        "received_at": times.written(kept.received_at),
        "source": kept.source,
        "status": kept.status,
        "reason": kept.reason,
        "client": kept.client,
        "genuine": kept.genuine,
        "whole": kept.whole,
        "path": kept.path,
        "size": len(kept.body),
    }


def whole(kept: Kept) -> dict[str, Any]:
    """With everything that was kept of it."""
    return {**shown(kept), "peer": kept.peer, "headers": msgspec.json.decode(kept.headers), **body_of(kept.body)}
