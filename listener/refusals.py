"""What an S3 speaker says when it refuses, as a sentence for a person: what is wrong, and what to write instead.

What obstore says holds whole requests and answers; nothing of it is passed on but the code of the error.
"""

import re
from typing import Final

_CODE: Final = re.compile(r"<Code>(\w+)</Code>")
_STATUS: Final = re.compile(r"status code: (\d{3})")
_KIND: Final = re.compile(r"kind: (Connect|Timeout|Request|Interrupted|Decode)\b")
_KINDS: Final = {
    "Connect": "nobody answers there",
    "Timeout": "it does not answer in time",
    "Interrupted": "it breaks off",
    "Request": "it does not answer",
    "Decode": "its answer is cut off",
}
ARCHIVED: Final = "InvalidObjectState"
NO_BUCKET: Final = "NoSuchBucket"
UNCONDITIONAL: Final = "NotImplemented"

_CREDENTIALS: Final = "mend AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the role of this machine"
_REGION: Final = "the bucket is in another region; set AWS_REGION"
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_CODES: Final = {
    NO_BUCKET: "there is no such bucket; make it, or mend documents",
    "AccessDenied": "access is denied; allow s3:PutObject and s3:GetObject below it, and s3:ListBucket on the bucket "
    "(s3:DeleteObject too, for 'signlog erase --documents')",
    "InvalidAccessKeyId": f"the access key is unknown; {_CREDENTIALS}",
    "SignatureDoesNotMatch": f"the secret key is wrong; {_CREDENTIALS}",
    "ExpiredToken": f"the credentials have expired; {_CREDENTIALS}",
    "InvalidToken": f"the session token is wrong; {_CREDENTIALS}",
    "RequestTimeTooSkewed": "its clock and the one of this machine differ too much; set this one right",
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    ARCHIVED: "it was moved to an archive; restore it from there, and keep documents out of it",
}
_STATUSES: Final = {"401": _CODES["InvalidAccessKeyId"], "403": _CODES["AccessDenied"], "301": _REGION}


def code(error: Exception) -> str | None:
    """The name that S3 gives to an error."""
    found = _CODE.search(str(error))
    return found and found[1]


def said(error: Exception) -> str:
    """Why it was refused, or not answered."""
    text, named = str(error), code(error)
    if named in _CODES:
        return _CODES[named]
    status = _STATUS.search(text)
    if status is not None and "/latest/" not in text.partition(" in ")[0]:
        return _STATUSES.get(status[1]) or f"it answers {' '.join(filter(None, (status[1], named)))}"
    if "/latest/" in text.partition(" in ")[0]:  # who asked for credentials of the machine has no others
        return f"there are no credentials; {_CREDENTIALS.replace('mend', 'set')}"
    if "BareRedirect" in text:
        return _REGION
    kind = _KIND.search(text)
    return _KINDS[kind[1]] if kind else f"it cannot be used ({type(error).__name__})"
