"""Builds what the worker asks, fetches and checks documents with, for each source."""

from typing import cast

from listener import api, sources
from listener.api import Lister
from listener.checking import roots
from listener.checking.inspector import Inspector
from listener.settings import Settings, Source
from listener.worker.due import Account


def accounts(settings: Settings) -> dict[str, Account]:
    """The sources whose provider's API we have access to."""
    found = {}
    for name, source in settings.sources.items():
        access = sources.access_to(name, source)
        if access is not None:
            speaker = api.named(source.provider)
            checker = inspector(name, source, settings.check_signatures)
            asking = speaker.connect(access)
            lister = cast(Lister, asking) if speaker.LISTS else None
            found[name] = Account(source.provider, asking, access, speaker.RECIPES, checker, lister)
    return found


def inspector(name: str, source: Source, on: bool) -> Inspector:
    """Who has the signatures of its documents checked: as configured, else what the provider's are due."""
    known = api.named(source.provider)
    due = known.SIGNED if source.signed_artifacts is None else source.signed_artifacts
    trusted = roots.read(f"sources.{name}.trust_roots", source.trust_roots)
    return Inspector(frozenset(known.PAPERS), frozenset(due), trusted, on)
