"""Asking Evrotrust."""

from typing import Final

from listener import errors
from listener.api import Access, Api

SPEAKS: Final = False
ARTIFACTS: Final = {"encrypted.zip": "the signed documents, encrypted with the key given at submission"}
DEFAULT_ARTIFACTS: Final = ("encrypted.zip",)
DEFAULT_URL: Final = "https://v.evrotrust.com/vendor"
URLS: Final[dict[str, str]] = {}
EVENTS: Final = ()
TAKES: Final = ("api_key",)


def missing(access: Access) -> str | None:
    """Its requests are signed with the key, and name the vendor."""
    if not access.key:
        return "api_key"
    return None if access.vendor_number else "vendor_number"


def connect(access: Access) -> Api:
    """Its API is not spoken yet: what completes stays wanted."""
    raise errors.ConfigurationError(f"{access.url}: this version cannot ask Evrotrust; leave api_key out")
