"""What a configured source asks of its provider: which documents, over which access to the API."""

from collections.abc import Iterable, Mapping

from listener import api, errors
from listener.api import Access, Recipe
from listener.settings import Settings, Source


def check(configured: Mapping[str, Source]) -> None:
    """Raise ConfigurationError for documents that there are not, or half an access to an API."""
    for name, source in configured.items():
        access_to(name, source)
        wanted_artifacts(name, source)


def check_private_keys(configured: Mapping[str, Source]) -> None:
    """Read the keys that stored documents are opened with. Raises ConfigurationError. Not for the door's process."""
    for name, source in configured.items():
        access = access_to(name, source)
        if access is not None:
            _check_recipes(name, access, api.named(source.provider).RECIPES.values())


def _check_recipes(name: str, access: Access, recipes: Iterable[Recipe]) -> None:
    for recipe in recipes:
        try:
            recipe.check(access)
        except errors.ConfigurationError as error:
            raise errors.ConfigurationError(f"sources.{name}.{recipe.needs}: {error}") from None


def recipes(settings: Settings, name: str) -> Mapping[str, Recipe]:
    """What is made of other documents in a source; nothing where it is not configured any more."""
    return api.named(settings.sources[name].provider).RECIPES if name in settings.sources else {}


def wanted_artifacts(name: str, source: Source) -> tuple[str, ...]:
    """What to fetch for a source, and what that is made of. Raises ConfigurationError for what there is not."""
    known = api.named(source.provider)
    if source.artifacts is None:
        return known.DEFAULT_ARTIFACTS
    wanted = []
    for artifact in source.artifacts:
        if artifact not in known.ARTIFACTS:
            raise errors.ConfigurationError(
                f"sources.{name}.artifacts: {source.provider} has no {artifact!r}; "
                f"write some of: {', '.join(known.ARTIFACTS)}"
            )
        if artifact in known.RECIPES:
            wanted.append(known.RECIPES[artifact].of)
        wanted.append(artifact)
    return tuple(dict.fromkeys(wanted))


def access_to(name: str, source: Source) -> Access | None:
    """How to reach a source's API, None where there is none. Raises ConfigurationError for half of it."""
    speaker, access = api.named(source.provider), source.access
    lacking = speaker.missing(access)
    if lacking == "api_key":
        return None
    if lacking is not None:
        raise errors.ConfigurationError(f"sources.{name}.{lacking}: required beside what is set for access to the API")
    if not access.url:
        raise errors.ConfigurationError(
            f"sources.{name}.api_url: required for access to the API; write one of: {', '.join(speaker.URLS)}; "
            "or the address that you sign in at, such as 'https://apps.esignlive.eu'"
        )
    return access
