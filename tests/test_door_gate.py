"""Who is let in, what that is called in the log, and what must never be written there."""

import base64
import hmac
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from listener.door.gate import Gate, Nobody, Verdict
from listener.door.redaction import hide, redacted
from listener.provider import named
from listener.settings import Source

HMAC_KEY = bytes(range(32))
KEY = "tsqZ8+k/2xQw=="
NEW_KEY = "tsqZ8+k/2xQw==2"  # begins with the other
PATH_SECRET = "n0t-for_You.r~eyes"
ALLOWED = ("198.51.100.0/24", "2001:db8::/32")
CLIENT = "198.51.100.7"

Headers = list[tuple[bytes, bytes]]


def gate(
    provider: str = "onespan",
    keys: tuple[str, ...] = (),
    allow: tuple[str, ...] = (),
    path_secret: str | None = None,
    others: tuple[Source, ...] = (),
) -> Gate:
    source = Source(provider=provider, callback_keys=keys, allow=allow, path_secret=path_secret)
    return Gate("here", source, named(provider), HMAC_KEY, others)


def showing(key: str | None) -> Headers:
    """The head of a callback that shows this key, as OneSpan does."""
    return [(b"host", b"door")] + ([] if key is None else [(b"authorization", f"Basic {key}".encode())])


def label(kind: str, credential: str) -> str:
    return f"{kind}:{hmac.digest(HMAC_KEY, credential.encode(), 'sha256').hex()[:12]}"


@pytest.mark.parametrize("value", ["Basic {}", "basic {}", "BASIC {}", "Basic  {}", " Basic {} "])
def test_the_raw_key_is_let_in(value: str) -> None:
    """It follows the scheme as it is, whatever the case of the scheme and the number of spaces."""
    verdict = gate(keys=(KEY,)).ask([(b"authorization", value.format(KEY).encode())], (), CLIENT)
    assert verdict[:4] == (200, "", label("key", KEY), "")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Basic",
        "Basic ",
        KEY,
        f"Bearer {KEY}",
        f"Basic: {KEY}",
        f"Basic\t{KEY}",
        f"Basic {KEY[:-1]}",
        f"Basic {KEY}x",
        f"Basic {KEY} {KEY}",
        f"Basic {KEY.lower()}",
        f'Basic "{KEY}"',
        f"Basic {base64.b64encode(KEY.encode()).decode()}",
        f"Basic {base64.b64encode(f'user:{KEY}'.encode()).decode()}",
        "Basic \xff\xfe",
    ],
)
def test_anything_else_is_refused(value: str) -> None:
    """Nothing is decoded, and nothing that is nearly the key is the key."""
    verdict = gate(keys=(KEY,)).ask([(b"authorization", value.encode("latin-1"))], (), CLIENT)
    assert (verdict.status, verdict.credential) == (401, "")


def test_a_missing_key_and_a_wrong_one_are_told_apart_inside() -> None:
    """The answer is the same; the reason helps whoever looks for what went wrong."""
    missing, wrong = (gate(keys=(KEY,)).ask(showing(key), (), CLIENT) for key in (None, "wrong"))
    assert missing[:4] == (401, "no callback key", "", "")
    assert wrong[:4] == (401, "wrong callback key", "", label("key", "wrong"))


@pytest.mark.parametrize("key", [KEY, NEW_KEY])
def test_any_of_several_keys_is_let_in(key: str) -> None:
    """During a rotation both are in use, and the log says which."""
    verdict = gate(keys=(KEY, NEW_KEY)).ask(showing(key), (), CLIENT)
    assert (verdict.status, verdict.credential) == (200, label("key", key))


@pytest.mark.parametrize("key", ["", "third", None, f"{KEY},{NEW_KEY}"])
def test_none_but_those_is(key: str | None) -> None:
    """Two keys are no weaker than one."""
    assert gate(keys=(KEY, NEW_KEY)).ask(showing(key), (), CLIENT).status == 401


def test_a_key_is_no_use_to_a_provider_that_sends_none() -> None:
    """Evrotrust's callbacks show nothing; what stands in their headers is somebody else's idea."""
    found = gate("evrotrust", path_secret=PATH_SECRET)
    assert found.ask(showing(PATH_SECRET), ("document", "ready"), CLIENT).status == 401


@pytest.mark.parametrize(
    "element", [PATH_SECRET, "%6E0t-for_You.r~eyes", "".join(f"%{ord(c):02x}" for c in PATH_SECRET)]
)
def test_the_secret_in_the_path_is_let_in(element: str) -> None:
    """Percent-encoded it is the same secret: a proxy may have encoded it."""
    verdict = gate("evrotrust", path_secret=PATH_SECRET).ask([], (element, "document", "ready"), CLIENT)
    assert (verdict.status, verdict.credential) == (200, label("path", PATH_SECRET))


@pytest.mark.parametrize(
    "below",
    [
        (),
        ("",),
        ("document", "ready"),
        ("document", PATH_SECRET),
        ("wrong", PATH_SECRET),
        (PATH_SECRET[:-1],),
        (PATH_SECRET + "x",),
        (PATH_SECRET + "%00",),
        (PATH_SECRET.upper(),),
        ("%25" + PATH_SECRET,),
        ("\xff",),
    ],
)
def test_no_other_path_is(below: tuple[str, ...]) -> None:
    """The secret stands where it was configured, whole, and nowhere else."""
    verdict = gate("evrotrust", path_secret=PATH_SECRET).ask([], below, CLIENT)
    assert verdict[:3] == (401, "wrong or no secret in the path", "")


@pytest.mark.parametrize(
    ("client", "network"), [(CLIENT, ALLOWED[0]), ("::ffff:198.51.100.255", ALLOWED[0]), ("2001:db8:7::7", ALLOWED[1])]
)
def test_an_allowed_address_is_let_in(client: str, network: str) -> None:
    """The log names the network it is in."""
    assert gate("evrotrust", allow=ALLOWED).ask([], (), client)[:3] == (200, "", f"address:{network}")


@pytest.mark.parametrize("client", ["198.51.101.7", "2001:db9::1", "127.0.0.1", "", "testclient"])
def test_another_address_is_not(client: str) -> None:
    """403, and no credential is to blame."""
    assert gate("evrotrust", allow=ALLOWED).ask([], (), client)[:4] == (403, "address not allowed", "", "")


def test_a_source_that_asks_for_nothing_lets_everyone_in() -> None:
    """The settings made sure that somebody wanted that; the log says that nothing was shown."""
    for key in (None, KEY):
        assert gate().ask(showing(key), ("x",), CLIENT)[:4] == (200, "", "none", "")


def test_all_kinds_of_credential_are_required_together() -> None:
    """Each that was right is named, in this order."""
    verdict = gate(keys=(KEY,), allow=ALLOWED, path_secret=PATH_SECRET).ask(showing(KEY), (PATH_SECRET,), CLIENT)
    labels = (label("key", KEY), label("path", PATH_SECRET), f"address:{ALLOWED[0]}")
    assert verdict[:3] == (200, "", " ".join(labels))


@pytest.mark.parametrize(
    ("key", "element", "client", "status"),
    [
        (None, PATH_SECRET, CLIENT, 401),
        ("wrong", PATH_SECRET, CLIENT, 401),
        (KEY, "document", CLIENT, 401),
        (KEY, "wrong", CLIENT, 401),
        (KEY, PATH_SECRET, "203.0.113.9", 403),
        ("wrong", "wrong", "203.0.113.9", 401),
        (PATH_SECRET, KEY, CLIENT, 401),
    ],
)
def test_one_wrong_kind_is_enough_to_be_refused(key: str | None, element: str, client: str, status: int) -> None:
    """However right the others are."""
    verdict = gate(keys=(KEY,), allow=ALLOWED, path_secret=PATH_SECRET).ask(showing(key), (element,), client)
    assert (verdict.status, verdict.credential) == (status, "")


def test_labels_say_nothing_of_the_credential() -> None:
    """They depend on a secret in the data folder, so that no list of guesses finds them out."""
    found = Gate("here", Source(callback_keys=(KEY,)), named("onespan"), bytes(32)).ask(showing(KEY), (), CLIENT)
    assert re.fullmatch("key:[0-9a-f]{12}", found.credential)
    assert found.credential != label("key", KEY)


def refused(found: Gate | Nobody, key: str | None = None, below: tuple[str, ...] = ()) -> str:
    """What is noted of a head that is not let in."""
    verdict = found.ask(showing(key), below, "203.0.113.9")
    assert verdict.status != 200
    return verdict.shown


def test_a_key_that_was_refused_is_admitted_once_it_is_configured() -> None:
    """A rotation that one side forgot."""
    shown = refused(gate(keys=(KEY,)), NEW_KEY)
    assert gate(keys=(KEY, NEW_KEY)).would_admit(shown, CLIENT)
    assert not gate(keys=(KEY,)).would_admit(shown, CLIENT)


def test_a_secret_in_the_path_that_was_refused_is_admitted_once_it_is_configured() -> None:
    """As it stands there, percent-encoded or not."""
    for element in ("another~secret", "another%7Esecret"):
        shown = refused(gate("evrotrust", path_secret=PATH_SECRET), below=(element, "document", "ready"))
        assert gate("evrotrust", path_secret="another~secret").would_admit(shown, CLIENT)
        assert not gate("evrotrust", path_secret=PATH_SECRET).would_admit(shown, CLIENT)


def test_an_address_that_was_refused_is_admitted_once_it_is_allowed() -> None:
    """What counts is where the callback came from then."""
    shown = refused(gate("evrotrust", allow=ALLOWED))
    assert gate("evrotrust", allow=(*ALLOWED, "203.0.113.0/24")).would_admit(shown, "203.0.113.9")
    assert not gate("evrotrust", allow=ALLOWED).would_admit(shown, "203.0.113.9")


@pytest.mark.parametrize(
    ("key", "element", "client"),
    [(NEW_KEY, PATH_SECRET, CLIENT), (KEY, "another~secret", CLIENT), (KEY, PATH_SECRET, "203.0.113.9")],
)
def test_later_too_all_kinds_are_required_together(key: str, element: str, client: str) -> None:
    """A right key does not vouch for the rest."""
    everything = gate(keys=(KEY,), allow=ALLOWED, path_secret=PATH_SECRET)
    assert everything.would_admit(f"{label('key', KEY)} {label('path', PATH_SECRET)}", CLIENT)
    assert not everything.would_admit(f"{label('key', key)} {label('path', element)}", client)


def test_a_key_does_not_pass_for_a_secret_in_the_path() -> None:
    """The kinds are kept apart, even where the values are the same."""
    assert not gate("evrotrust", path_secret=PATH_SECRET).would_admit(label("key", PATH_SECRET), CLIENT)
    assert not gate(keys=(PATH_SECRET,)).would_admit(label("path", PATH_SECRET), CLIENT)


def test_what_showed_nothing_is_admitted_where_nothing_is_asked() -> None:
    """And nowhere else."""
    assert gate().would_admit("", CLIENT)
    assert not gate(keys=(KEY,)).would_admit("", CLIENT)
    assert not gate("evrotrust", path_secret=PATH_SECRET).would_admit("", CLIENT)


def test_a_source_that_is_not_configured_lets_nobody_in() -> None:
    """404, whatever is shown."""
    verdict = Nobody([Source(callback_keys=(KEY,))], HMAC_KEY).ask(showing(KEY), (), CLIENT)
    assert verdict[:3] == (404, "unknown source", "")


def test_what_was_shown_there_is_admitted_once_the_source_is_configured() -> None:
    """The first callbacks may well come before the configuration."""
    shown = refused(Nobody([], HMAC_KEY), KEY, (PATH_SECRET, "document", "ready"))
    assert gate(keys=(KEY,)).would_admit(shown, CLIENT)
    assert gate("evrotrust", path_secret=PATH_SECRET).would_admit(shown, CLIENT)
    assert not gate(keys=(NEW_KEY,)).would_admit(shown, CLIENT)
    assert not gate(keys=(KEY,), allow=ALLOWED).would_admit(shown, "203.0.113.9")


def test_there_no_secret_of_any_source_is_written_down() -> None:
    """A typo in the name of a source is no reason to keep what follows it."""
    known = [Source(callback_keys=(KEY, "short")), Source(path_secret=PATH_SECRET)]
    verdict = Nobody(known, HMAC_KEY).ask(showing("typed~by~hand"), ("not-yet-configured",), CLIENT)
    assert set(verdict.secrets) == {KEY, PATH_SECRET, "typed~by~hand", "not-yet-configured"}


def kept(verdict: Verdict, text: str) -> str:
    """What is written down of a header with that value."""
    return redacted([(b"x-original-uri", text.encode("latin-1"))], verdict.secrets)[0][1]


def test_headers_that_hold_credentials_are_never_kept() -> None:
    """Whatever is in them, and to whomever it belongs."""
    headers = [(b"authorization", b"Bearer x"), (b"proxy-authorization", b"y"), (b"cookie", b"a=b"), (b"cookie", b"")]
    assert [value for _, value in redacted(headers, ())] == ["redacted"] * 4


def test_all_other_headers_are_kept() -> None:
    """In their order, with duplicates, to the byte."""
    headers = [(b"b", b"1"), (b"user-agent", b""), (b"a", b"caf\xe9 100%"), (b"b", b"1"), (b"cookies", b"x")]
    assert redacted(headers, (KEY,)) == [
        ("b", "1"),
        ("user-agent", ""),
        ("a", "caf\xe9 100%"),
        ("b", "1"),
        ("cookies", "x"),
    ]


@pytest.mark.parametrize("key", [KEY, NEW_KEY, "wrong", None])
def test_keys_are_hidden_wherever_they_stand(key: str | None) -> None:
    """Those configured and the one shown, let in or not; one may begin with another."""
    verdict = gate(keys=(KEY, NEW_KEY)).ask(showing(key), (), CLIENT)
    assert kept(verdict, f"/callback?a={KEY}&b={NEW_KEY}&c=x") == "/callback?a=redacted&b=redacted&c=x"
    assert kept(verdict, f"key={key}") == ("key=None" if key is None else "key=redacted")


@pytest.mark.parametrize("element", [PATH_SECRET, "%6E0t-for_You.r~eyes", "wrong-secret", "wrong%2Dsecret"])
def test_what_stands_in_place_of_the_secret_is_hidden(element: str) -> None:
    """Right or wrong: a wrong one may be the right one of yesterday."""
    verdict = gate("evrotrust", path_secret=PATH_SECRET).ask([], (element, "document", "ready"), CLIENT)
    path = "/callbacks/evrotrust/{}/document/ready?x=%41"
    assert hide(path.format(element), verdict.secrets) == path.format("redacted")
    assert kept(verdict, f"{PATH_SECRET}, {element}") == "redacted, redacted"


def test_secrets_of_other_sources_are_hidden_too() -> None:
    """A callback may come to the address of the wrong one."""
    others = (Source(callback_keys=(KEY,)), Source(path_secret=PATH_SECRET))
    for key in (None, "mine"):
        verdict = gate(keys=("mine",), others=others).ask(showing(key), (PATH_SECRET,), CLIENT)
        assert (
            kept(verdict, f"/callbacks/onespan/{PATH_SECRET}?key={KEY}") == "/callbacks/onespan/redacted?key=redacted"
        )


def test_a_short_key_is_hidden_only_when_it_was_shown() -> None:
    """Wherever else those letters stand, they are most likely part of another word."""
    found = gate(keys=("test",))
    assert kept(found.ask(showing("test"), (), CLIENT), "key=test") == "key=redacted"
    assert kept(found.ask(showing(None), (), CLIENT), "https://test.example") == "https://test.example"


@pytest.mark.parametrize("below", [("document", "ready"), ("doc",), ()])
def test_where_nothing_stands_in_its_place_nothing_is_hidden(below: tuple[str, ...]) -> None:
    """The words of the address tell what happened; nobody's secret is as short as that."""
    path = "/callbacks/evrotrust/" + "/".join(below)
    assert hide(path, gate("evrotrust", path_secret=PATH_SECRET).ask([], below, CLIENT).secrets) == path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%72ed", "redacted"),
        ("%72ed red %52ed", "redacted redacted %52ed"),
        ("re%64%20%zz%", "redacted%20%zz%"),
        ("%2572ed", "%2572ed"),
        ("r%0065d", "r%0065d"),
        ("%00red%0A", "%00redacted%0A"),
    ],
)
def test_only_the_secret_is_cut_out(text: str, expected: str) -> None:
    """What is left is as it came, and the word in its place is not searched again."""
    assert hide(text, ("red",)) == expected


def test_hiding_one_secret_makes_no_other() -> None:
    """A stranger who chooses them cunningly gets eight letters for one, and no more."""
    assert hide("a" * 10, ("a", "e", "d")) == "redacted" * 10


@given(st.data(), st.sampled_from([KEY, PATH_SECRET]))
def test_no_spelling_of_a_secret_is_kept(data: st.DataObject, secret: str) -> None:
    """Each of its letters may be percent-encoded or not."""
    spellings = [st.sampled_from([letter, f"%{ord(letter):02x}", f"%{ord(letter):02X}"]) for letter in secret]
    spelled = ["".join(data.draw(st.tuples(*spellings))) for _ in range(2)]
    around = data.draw(st.lists(st.sampled_from(["/", "?x=", "%20", "&", "%zz", "caf\xe9"]), min_size=3, max_size=3))
    text = around[0] + spelled[0] + around[1] + spelled[1] + around[2]
    assert hide(text, (secret,)) == f"{around[0]}redacted{around[1]}redacted{around[2]}"
