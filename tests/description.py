"""OneSpan's own description of its API, as far as we ask it: what is wrong with a request, or with an answer.

`onespan_api.json` holds facts of OpenAPI 11.51: addresses, parameters, fields, types. What is not in there, and where
we know it from, stands below.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from listener.demo.onespan import OneSpan
from listener.demo.wire import Answer, Asked

DESCRIPTION: dict[str, Any] = json.loads(Path(__file__).with_name("onespan_api.json").read_text(encoding="utf-8"))
SCHEMAS: Mapping[str, Any] = DESCRIPTION["schemas"]
ERRORS = {"default": {"kind": "application/json", "type": "object"}}
TOKENS: Mapping[str, Any] = {
    # https://github.com/OneSpan/esl.sdk.java, ApiTokenConfig
    "/apitoken/clientApp/accessToken": {
        "post": {
            "body": {"kind": "application/json", "is": "ClientApp"},
            "answers": {"200": {"kind": "application/json", "is": "AccessToken"}, **ERRORS},
        }
    },
    # https://docs.onespan.com/docs/oauth-20, and RFC 6749
    "/oauth2/token": {
        "post": {
            "body": {"kind": "application/x-www-form-urlencoded", "is": "Grant"},
            "answers": {"200": {"kind": "application/json", "is": "OAuth2Token"}, **ERRORS},
        }
    },
}
TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
OF_TOKENS: Mapping[str, Any] = {
    "ClientApp": {
        "required": ["clientId", "secret", "type"],
        "fields": {
            "clientId": TEXT,
            "secret": TEXT,
            "type": {"type": "string", "enum": ["OWNER", "SENDER"]},
            "email": TEXT,
        },
    },
    "AccessToken": {"required": ["accessToken", "expiresAt"], "fields": {"accessToken": TEXT, "expiresAt": NUMBER}},
    "Grant": {
        "required": ["grant_type"],
        "fields": {"grant_type": {"type": "string", "enum": ["client_credentials"]}},
    },
    "OAuth2Token": {
        "required": ["access_token", "token_type"],
        "fields": {"access_token": TEXT, "token_type": TEXT, "expires_in": NUMBER},
    },
}
# DOCUMENT_VIEWED came in May 2021 (SDK for Java), COBROWSE_REQUEST is in the documentation only.
LATER = ("DOCUMENT_VIEWED", "COBROWSE_REQUEST")
# Real errors say more than the description does (https://community.onespan.com, questions about 400).
OF_ERRORS = ("name", "technical", "entity")
TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "array": list,
    "object": dict,
}


def in_requests(server: OneSpan) -> list[str]:
    """What is wrong with what an imitation was asked, in order."""
    return [f"{asked.method} {asked.path}: {problem}" for asked in server.requests for problem in in_request(asked)]


def in_request(asked: Asked) -> Iterator[str]:
    """What OneSpan's description would not take."""
    known = _operation(asked)
    if known is None:
        yield "there is no such call"
        return
    if not re.match(r"(Basic|Bearer) \S", asked.headers.get("authorization", "")) and "clientApp" not in asked.path:
        yield "no key and no token"
    for name, value in asked.params.items():
        yield from _in_text(name, value, known.get("query", {}).get(name))
    wanted = known.get("body")
    if wanted is None:
        yield from ["a body that nobody reads"] if asked.body else []
    elif asked.headers.get("content-type", "").partition(";")[0] != wanted["kind"]:
        yield f"a body that is no {wanted['kind']}"
    else:
        yield from _in_value("body", _body(asked), wanted)


def in_answer(asked: Asked, answer: Answer) -> Iterator[str]:
    """What OneSpan's description does not have: a code, a type, or a field."""
    known = _operation(asked)
    assert known is not None
    wanted = known["answers"].get(str(answer.status)) or known["answers"]["default"]
    if answer.content_type.partition(";")[0] != wanted["kind"].partition(";")[0]:
        yield f"{answer.content_type}, and not {wanted['kind']}"
    elif "json" in wanted["kind"]:
        yield from _in_value("answer", json.loads(answer.body), wanted)


def _operation(asked: Asked) -> Mapping[str, Any] | None:
    for template, methods in {**DESCRIPTION["paths"], **TOKENS}.items():
        if re.fullmatch(re.sub(r"\\\{.+?\\\}", "[^/]+", re.escape(template)), asked.path):
            found: Mapping[str, Any] | None = methods.get(asked.method.lower())
            return found
    return None


def _body(asked: Asked) -> Any:
    if asked.headers["content-type"].startswith("application/json"):
        return json.loads(asked.body)
    return {name: values[0] for name, values in parse_qs(asked.body.decode(), keep_blank_values=True).items()}


def _in_text(name: str, value: str, wanted: Mapping[str, Any] | None) -> Iterator[str]:
    """A parameter of a query: a number or a truth is written as text there."""
    if wanted is None:
        yield f"there is no {name}"
    elif wanted["type"] in ("integer", "boolean"):
        try:
            read = json.loads(value)
        except ValueError:
            read = value
        yield from _in_value(name, read, wanted)
    else:
        yield from _in_value(name, value, wanted)


def _in_value(where: str, value: Any, wanted: Mapping[str, Any]) -> Iterator[str]:
    if "is" in wanted:
        yield from _in_object(where, value, {**SCHEMAS, **OF_TOKENS}[wanted["is"]])
    elif not isinstance(value, TYPES[wanted["type"]]) or (isinstance(value, bool) and wanted["type"] == "integer"):
        yield f"{where} is no {wanted['type']}"
    elif "enum" in wanted and value not in (*wanted["enum"], *LATER):
        yield f"{where} is none of {wanted['enum']}"
    elif "minimum" in wanted and value < wanted["minimum"]:
        yield f"{where} is less than {wanted['minimum']}"
    elif isinstance(value, list) and "items" in wanted:
        for number, item in enumerate(value):
            yield from _in_value(f"{where}[{number}]", item, wanted["items"])


def _in_object(where: str, value: Any, schema: Mapping[str, Any]) -> Iterator[str]:
    """Null is as good as nothing: OneSpan writes it for what is not there."""
    if not isinstance(value, dict):
        yield f"{where} is no object"
        return
    required: Sequence[str] = schema.get("required", ())
    yield from (f"{where} has no {name}" for name in required if name not in value)
    for name, part in value.items():
        if schema is SCHEMAS["Error"] and name in OF_ERRORS:
            continue
        if name not in schema["fields"]:
            yield f"{where}.{name} is not described"
        elif part is not None:
            yield from _in_value(f"{where}.{name}", part, schema["fields"][name])
