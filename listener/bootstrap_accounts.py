"""Builds what the worker asks, fetches and checks documents with, for each source."""

from listener import api, bootstrap
from listener.checking.inspector import Inspector
from listener.settings import Settings, Source
from listener.worker.due import Account


def accounts(settings: Settings) -> dict[str, Account]:
    """The sources whose provider's API we have access to."""
    found = {}
    for name, source in settings.sources.items():
        access = bootstrap.access_to(name, source)
        if access is not None:
            speaker = api.named(source.provider)
            inspector = _inspector(source, settings.check_signatures)
            found[name] = Account(source.provider, speaker.connect(access), access, speaker.RECIPES, inspector)
    return found


def _inspector(source: Source, on: bool) -> Inspector:
    """Who has the signatures of its documents checked: as configured, else what the provider's are due."""
    known = api.named(source.provider)
    due = known.SIGNED if source.signed_artifacts is None else source.signed_artifacts
    return Inspector(frozenset(known.PAPERS), frozenset(due), source.trust_roots, on)
