"""The reader of mails: finds the callback in what OneSpan, or who forwarded it, wrote; and strangers get nowhere."""

import contextlib
import html
import json
import signal
from collections.abc import Iterator
from email.message import EmailMessage
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from listener import errors, mail

# As the knowledge base shows one: "" stands for null.
JSON = (
    '{"@class":"com.silanis.esl.packages.event.ESLProcessEvent","name":"PACKAGE_ACTIVATE","sessionUser":"8QS1yr3q8DEZ",'
    '"packageId":"xT9OeZ-j2jIynQBaLeLdgp9CtZk=","message":"","documentId":"","createdDate":"2019-10-09T19:32:12.255Z"}'
)
CALLBACK = JSON.encode()
WORDS = "The callback below could not be delivered to https://your.host/callbacks/onespan:\n\n"
HTML = (
    '<html><head><style>p {{ color: red }}</style></head><body><p>{}</p><a href="https://x/{{id}}">x</a></body></html>'
)
PATIENCE = 30  # seconds until something is called a bomb; what is bounded takes a fraction of one


@contextlib.contextmanager
def patience() -> Iterator[None]:
    """Give up after a while."""

    def give_up(*_: object) -> None:
        raise TimeoutError("a bomb")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def plain(text: str, encoding: str | None = None) -> bytes:
    """A mail of one part."""
    message = EmailMessage()
    message["Subject"] = "Callback failed"
    message.set_content(text, cte=encoding)
    return bytes(message)


def both(text: str, page: str) -> bytes:
    """A mail with two alternatives."""
    message = EmailMessage()
    message.set_content(text)
    message.add_alternative(page, subtype="html")
    return bytes(message)


def escaped() -> str:
    """As HTML spells it."""
    return HTML.format(JSON.replace('"', "&quot;").replace("=", "&#61;").replace(",", ",<wbr>"))


def forwarded(content: MIMEText) -> bytes:
    """Attached to another mail, in a part of a part."""
    outer, inner = MIMEMultipart(), MIMEMultipart("alternative")
    inner.attach(MIMEText("See the mail below.", "plain"))
    outer.attach(inner)
    outer.attach(MIMEMessage(content))
    return outer.as_bytes()


MAILS = {
    "text": plain(WORDS + JSON),
    "quoted-printable": plain(WORDS + JSON + "\n\u00e9", "quoted-printable"),
    "base64": plain(WORDS + JSON, "base64"),
    "html": both("Please read this as HTML.", escaped()),
    "both": both(WORDS + JSON, escaped()),
    "forwarded": forwarded(MIMEText(WORDS + JSON)),
    "forwarded html": forwarded(MIMEText(escaped(), "html")),
    "saved with a mailbox line": b"From onespan Mon Nov 22 10:00:00 2026\n" + plain(JSON),
    "attached as JSON": b"Content-Type: application/json\r\n\r\n" + CALLBACK,
    "with bare line feeds": b"Subject: x\n\n" + CALLBACK,
    "with a wrong charset": b"Content-Type: text/plain; charset=hebrew-2\r\n\r\n" + CALLBACK,
    "with a boundary that never comes": b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n" + CALLBACK,
}


@pytest.mark.parametrize("content", MAILS.values(), ids=MAILS)
def test_the_callback_in_a_mail_is_found(content: bytes) -> None:
    """Once, whatever the mail is made of, and as it is written in its text."""
    assert mail.looks_like_one(content)
    assert mail.objects(content) == [CALLBACK]


def test_what_is_no_json_is_passed_over() -> None:
    """Rules of style, placeholders, and what is broken; the order is that of the mail."""
    text = 'p {color: red} {{name}} {"a": } {"b": 2} {"a":1} { "b":2 } {"unfinished": "'
    assert mail.objects(plain(text)) == [b'{"b": 2}', b'{"a":1}']


@pytest.mark.parametrize(
    "message", ["see {x}", 'say "no"', "back\\slash", "\u0437\u0434\u0440\u0430\u0432\u0435\u0439", "}{", '"}']
)
def test_what_stands_in_a_text_ends_no_object(message: str) -> None:
    """A reason may hold braces and quotes."""
    written = json.dumps({"name": "PACKAGE_DECLINE", "packageId": "p=", "message": message}, ensure_ascii=False)
    assert mail.objects(plain(WORDS + written)) == [written.encode()]


def test_spaces_that_do_not_break_are_spaces() -> None:
    """HTML is full of them."""
    page = "<p>{&nbsp;&quot;name&quot;:&nbsp;&quot;X&quot;}</p>"
    assert mail.objects(both("", page)) == [b'{ "name": "X"}']


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"hello", b"hello world: x", b": x", b"\xff\xfe: x", b"<html>: x", b"\r\nA: b"]
)
def test_what_does_not_begin_with_a_header_is_no_mail(content: bytes) -> None:
    """Whoever gives it should hear so."""
    assert not mail.looks_like_one(content)
    assert mail.looks_like_one(b"Subject: x")


# Hostile mails

TEXT = b"Subject: x\r\nContent-Type: text/plain\r\n\r\n"
PAGE = b"Subject: x\r\nContent-Type: text/html\r\n\r\n"
MIXED = b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
NESTED = b"".join(b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n) for n in range(20))
BOMBS = {
    "braces": TEXT + b"{" * 4_000_000,
    "braces and quotes": TEXT + b'{x"' * 1_300_000,
    "a text without end": TEXT + b'{"' + b"\\" * 4_000_000,
    "an object without end": TEXT + b'{"a":[' + b"[" * 4_000_000 + b"]}",
    "one object many times": TEXT + b'{"a":1}' * 500_000,
    "tags without end": PAGE + b"<" * 4_000_000,
    "ampersands": PAGE + b"&" * 4_000_000,
    "entities": PAGE + b"&CounterClockwiseContourIntegral" * 100_000,
    "lines": TEXT + b"\n" * 99_000,
    "parts in parts": NESTED + b"\r\n" + b"x\n" * 90_000,
    "a header of a megabyte": b"Content-Type: multipart/mixed" + b";" * 3_000_000 + b"\r\n\r\nx",
    "a header in many lines": b"Content-Type: text/plain;" + b'\r\n ;";' * 45_000 + b"\r\n\r\nx",
    "many headers": b"".join(b"H%d: x\r\n" % number for number in range(90_000)) + b"\r\nx",
    "parts with odd headers": MIXED + (b'--b\r\nContent-Type: text/plain;a="' + b";" * 1900 + b"\r\n\r\nx\r\n") * 199,
    "a codec that takes its time": b"Content-Type: text/plain; charset=punycode\r\n\r\n" + b"a-" * 2_000_000,
}  # fmt: skip
TOO_MUCH = {
    "bytes": TEXT + b"x" * mail.MOST_BYTES,
    "lines": TEXT + b"\n" * 100_001,
    "parts": MIXED + b"--b\r\n\r\n" * 201,
    "parts in parts": NESTED + b"Content-Type: message/rfc822\r\n\r\n",
    "objects": TEXT + b"".join(b'{"a":%d}' % number for number in range(1001)),
}


@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS)
def test_a_bomb_does_not_go_off(content: bytes) -> None:
    """A few megabytes take a moment, however they are arranged."""
    with patience():
        assert len(mail.objects(content)) <= 1


@pytest.mark.parametrize(("what", "content"), TOO_MUCH.items(), ids=TOO_MUCH)
def test_more_than_a_mail_holds_is_refused(what: str, content: bytes) -> None:
    """With what to do instead."""
    with pytest.raises(errors.Fault, match=rf"^a mail of more than \d+ {what}; copy the JSON out of it"):
        mail.objects(content)


def test_a_number_without_end_is_refused() -> None:
    """In HTML a character may be given as one."""
    with pytest.raises(errors.Fault, match="a mail that cannot be read"):
        mail.objects(PAGE + b"&#" + b"9" * 100_000)


PIECES = st.sampled_from(
    [
        *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"--b", b"--b--", b" ", b"\t", b"{", b"}", b'"', b"\\", b"&quot;"),
        *(b"<", b">", b"\xff", b";", b"Content-Transfer-Encoding: x-uuencode", b"begin 644 x"),
        *(b"Content-Type: multipart/mixed; boundary=b", b"Content-Type: message/rfc822", b"Content-Type: text/html"),
        *(b"Content-Type: text/plain; charset=", b"utf-8", b"utf-16", b"idna", b"rot13", b"Content-Type:"),
        *(b"Content-Transfer-Encoding: base64", b"Content-Transfer-Encoding: quoted-printable", b"=7B", b"e30=", b"="),
        *(b"Subject: x", b"Content-Type: multipart/digest; boundary*0*=b;"),
        *(b"Content-Type: message/delivery-status", b"Content-Type: message/partial", CALLBACK, b'{"packageId":"p="}'),
    ]
)  # fmt: skip
MADE_UP = st.lists(PIECES | st.binary(max_size=8), max_size=40).map(b"".join)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A real one, with a few bytes taken out and others put in."""
    content = draw(st.sampled_from(list(MAILS.values())))
    start = draw(st.integers(0, len(content)))
    return content[:start] + draw(PIECES) + content[start + draw(st.integers(0, 40)) :]


@settings(max_examples=600, deadline=None)
@example(b"Content-Type: text/plain; charset*0*=x\r\n\r\n")
@example(b"Content-Transfer-Encoding: base64\r\n\r\ne")
@given(content=MADE_UP | damaged() | st.binary(max_size=200))
def test_any_bytes_are_objects_or_a_fault(content: bytes) -> None:
    """Nothing else is raised; each object is one, in UTF-8, and none stands there twice."""
    try:
        found = mail.objects(content)
    except errors.Fault:
        return
    read = [json.loads(one) for one in found]
    assert all(isinstance(fields, dict) for fields in read)
    assert all(one.startswith(b"{") and one.endswith(b"}") for one in found)
    assert len(found) == len(set(found))


def test_the_rules_above_would_notice_a_reader_that_breaks_them() -> None:
    """Negative control: the standard library alone raises on some of these."""
    with pytest.raises((LookupError, UnicodeError, ValueError)):
        b"\xff".decode("hebrew-2")
    with pytest.raises(ValueError, match="limit"):
        html.unescape("&#" + "9" * 5000)
