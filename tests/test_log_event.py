"""How an event is sealed: the hashes anybody can compute again, and what they cover."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from listener.log import schema
from listener.log.event import CALLBACK, IMPORT, Draft, Entry, Event, content_hash, entry_of, leaf_hash, seal, written

LOG = bytes(range(16))
SALT = bytes(range(16, 32))
LATIN = st.text(st.characters(max_codepoint=255))  # what a header decodes to
TEXT = st.text()  # every character that UTF-8 has, controls and astral ones too
NUMBER = st.integers(-(2**63), 2**63 - 1)  # what SQLite can hold

HEADERS = '[["Content-Type","application/json"],["X-Name","Zoë"]]'
WHOLE = Event(
    position=7,
    v=1,
    recorded_at=1_790_000_000_123_456,
    spooled_at=1_790_000_000_000_001,
    kind=IMPORT,
    source="onespan_sandbox",
    provider="onespan",
    method="POST",
    path='/callbacks/onespan?q="\\/',
    peer="192.0.2.1",
    client="2001:db8::1",
    headers=HEADERS,
    credential="key:0123456789ab",
    body=b'{"name":"PACKAGE_COMPLETE"}',
    salt=SALT,
    content=content_hash(SALT, HEADERS, b'{"name":"PACKAGE_COMPLETE"}'),
    leaf=b"",
)
BARE = Event(
    1, 1, 0, None, CALLBACK, "s", "p", None, None, None, None, "[]", None, b"", SALT, content_hash(SALT, "[]", b""), b""
)
HOSTILE = WHOLE._replace(source="\x00\x08\t\n\x0c\r\x1f\x7f\x80\u2028", provider="é€\ufeff\uffff😀", path="</script>&'")


def naive_content(salt: bytes, headers: str, body: bytes) -> bytes:
    """The definition, step by step."""
    digest = hashlib.sha256()
    digest.update(salt)
    digest.update(len(headers.encode("utf-8")).to_bytes(8, "big"))
    digest.update(headers.encode("utf-8"))
    digest.update(body)
    return digest.digest()


def naive_leaf(event: Event, log_id: bytes) -> bytes:
    """The definition, with nothing but the standard library: what an auditor would write."""
    covered = event._asdict()
    for column in ("headers", "body", "salt", "leaf"):
        del covered[column]
    covered |= {"content": event.content.hex(), "log": log_id.hex()}
    text = json.dumps(covered, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(b"\x00" + text.encode("utf-8")).digest()


def leaf_of(event: Event, log_id: bytes = LOG) -> bytes:
    """Ours."""
    return leaf_hash(entry_of(event, log_id))


@settings(deadline=None)
@given(TEXT, st.binary(max_size=300), st.binary(min_size=16, max_size=16))
def test_content_is_hashed_as_defined(headers: str, body: bytes, salt: bytes) -> None:
    """Salt, length of the headers, headers, body: the same as in the naive implementation."""
    assert content_hash(salt, headers, body) == naive_content(salt, headers, body)


@settings(deadline=None)
@given(
    st.builds(
        WHOLE._replace,
        **dict.fromkeys(("position", "v", "recorded_at"), NUMBER),
        spooled_at=st.none() | NUMBER,
        **dict.fromkeys(("kind", "source", "provider"), TEXT),
        **dict.fromkeys(("method", "path", "peer", "client", "credential"), st.none() | TEXT),
        content=st.binary(min_size=32, max_size=32),
    ),
    st.binary(min_size=16, max_size=16),
)
def test_a_leaf_is_hashed_as_defined(event: Event, log_id: bytes) -> None:
    """Whatever the text: the bytes are those of `json.dumps`, sorted, without spaces and ASCII escapes."""
    assert leaf_of(event, log_id) == naive_leaf(event, log_id)


@settings(deadline=None)
@given(st.lists(st.tuples(LATIN, LATIN)))
def test_headers_are_written_as_plain_json(pairs: list[tuple[str, str]]) -> None:
    """Order, duplicates and every latin-1 character are kept, and nothing is added."""
    text = written(pairs)
    assert text == json.dumps(pairs, separators=(",", ":"), ensure_ascii=False)
    assert json.loads(text) == [list(pair) for pair in pairs]


@pytest.mark.parametrize(
    ("event", "content", "leaf"),
    [
        pytest.param(
            BARE,
            "a097457fa27fdd3b11a95efd0297cced44c6cc6fd88e9a3a0e51201a93b8f09e",
            "7a9d4a4e0fa834b356d6f3d175dee213fc2fa86be68bd292a5d201a9250705c1",
            id="bare",
        ),
        pytest.param(
            WHOLE,
            "9500c49749a82d51732c0a525baa84ce8a6dfdca2c48259175851a8ed307a837",
            "7af581fa4a010550914fbdb1b5c0061c2f1fa31ba59d728df6b21d2fd3c1ce03",
            id="whole",
        ),
        pytest.param(
            HOSTILE,
            "9500c49749a82d51732c0a525baa84ce8a6dfdca2c48259175851a8ed307a837",
            "a129c1885d9fb5857409885a6302b35128b628d96d4ef9342c9ee7851dae7e6a",
            id="hostile",
        ),
    ],
)
def test_known_answers(event: Event, content: str, leaf: str) -> None:
    """Frozen: a log of years ago must still fit. If this fails, the format has changed, not the test."""
    assert event.headers is not None
    assert event.body is not None
    assert content_hash(SALT, event.headers, event.body).hex() == content
    assert leaf_of(event).hex() == leaf


OTHER: dict[str, Any] = {
    "position": 8,
    "v": 2,
    "recorded_at": 1_790_000_000_123_457,
    "spooled_at": None,
    "kind": CALLBACK,
    "source": "onespan",
    "provider": "evrotrust",
    "method": "post",
    "path": "/callbacks/onespan",
    "peer": "192.0.2.2",
    "client": "2001:db8::2",
    "headers": HEADERS.replace("Zoë", "Zoe"),
    "credential": None,
    "body": b'{"name": "PACKAGE_COMPLETE"}',
    "salt": SALT[::-1],
}


@pytest.mark.parametrize("column", [name for name in Event._fields if name not in ("content", "leaf")])
def test_every_column_is_covered(column: str) -> None:
    """Changed by a little, or emptied: with the content hashed anew, the leaf is another one."""
    changed = WHOLE._replace(**{column: OTHER[column]})
    assert changed.headers is not None
    assert changed.body is not None
    assert changed.salt is not None
    content = content_hash(changed.salt, changed.headers, changed.body)
    assert leaf_of(changed._replace(content=content)) != leaf_of(WHOLE)


def test_nothing_changed_is_the_same_leaf() -> None:
    """The counter-example: it is the change that makes it another leaf."""
    assert leaf_of(WHOLE._replace(position=7)) == leaf_of(WHOLE)


def test_the_log_is_covered() -> None:
    """An event cannot be moved into another log, or another epoch."""
    assert leaf_of(WHOLE, LOG) != leaf_of(WHOLE, LOG[::-1])


def test_null_is_not_empty() -> None:
    """An absent method and an empty one are different events."""
    assert leaf_of(WHOLE._replace(method=None)) != leaf_of(WHOLE._replace(method=""))


def test_text_cannot_move_between_columns() -> None:
    """Neighbours in the entry do not run into each other."""
    assert leaf_of(WHOLE._replace(method="AB", path="C")) != leaf_of(WHOLE._replace(method="A", path="BC"))
    assert leaf_of(WHOLE._replace(client='x","kind":"y')) != leaf_of(WHOLE._replace(client="x", kind="y"))


def test_bytes_cannot_move_between_headers_and_body() -> None:
    """The length of the headers is hashed with them."""
    assert content_hash(SALT, "[]a", b"b") != content_hash(SALT, "[]", b"ab")


def test_what_is_no_unicode_is_refused() -> None:
    """A lone surrogate has no bytes; nothing is made up for it."""
    with pytest.raises(UnicodeEncodeError):
        content_hash(SALT, "\ud800", b"")
    with pytest.raises(UnicodeEncodeError):
        leaf_of(WHOLE._replace(path="\ud800"))


def test_the_entry_is_sorted_already() -> None:
    """The encoder writes fields in the order of their definition; sorted keys depend on it."""
    fields = list(Entry.__struct_fields__)
    assert fields == sorted(fields)


def test_an_event_is_a_row() -> None:
    """The fields are the columns in their order: both are passed on by position."""
    assert list(Event._fields) == schema.events.c.keys()


def test_sealing_keeps_the_draft_and_adds_the_rest() -> None:
    """Each field of the draft is the column of that name, and the seal fits."""
    draft = Draft(IMPORT, "source", "provider", b"body", '[["a","b"]]', "POST", "/path", "peer", "client", "credential")
    draft = draft._replace(spooled_at=678, salt=bytes(range(16)))
    event = seal(draft, LOG, 3, 12345)
    kept = event._asdict()
    assert {name: kept[name] for name in Draft._fields} == draft._asdict()
    assert (event.position, event.v, event.recorded_at, event.spooled_at) == (3, 1, 12345, 678)
    assert event.content == naive_content(event.salt or b"", '[["a","b"]]', b"body")
    assert event.leaf == naive_leaf(event, LOG)


def test_every_event_has_a_salt_of_its_own() -> None:
    """Two equal bodies cannot be told to be equal once they are erased."""
    one, other = (seal(Draft(CALLBACK, "s", "p", b"body"), LOG, 1, 0) for _ in range(2))
    assert one.salt is not None
    assert len(one.salt) == 16
    assert one.salt != other.salt
    assert one.content != other.content


def test_bytes_cannot_move_into_the_salt() -> None:
    """A crafted body could pass for a longer salt and other headers, with the same digest."""
    salt, headers, forged = bytes(range(16)), '[["a","b"]]', '[["x-forged","yes"]]'
    hidden = len(forged).to_bytes(8, "big") + forged.encode()
    longer = salt + len(headers).to_bytes(8, "big") + headers.encode() + b'{"pad":"'
    naive = hashlib.sha256(longer + hidden + b"{}").digest()
    assert content_hash(salt, headers, b'{"pad":"' + hidden + b"{}") == naive
    with pytest.raises(ValueError, match="a salt of 43 bytes"):
        content_hash(longer, forged, b"{}")
