"""The configuration: every key from every place, and what is said of everything that is wrong."""

import os
import re
import traceback
from pathlib import Path

import msgspec
import pytest
from rich.pretty import pretty_repr

from listener import errors, settings
from listener.settings import Desk, Door, Settings, Source
from listener.settings_layers import Form

SECRET = "the-SECRET-itself"
KEYED = f'[sources.onespan]\ncallback_keys = ["{SECRET}"]\n'
FORM = Form(Settings, settings.SECRETS)


def load(tmp_path: Path, text: str | bytes = "", **env: str) -> Settings:
    """What a file with this text and this environment add up to."""
    path = tmp_path / "signlog.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return settings.load(path, env)


def problem(tmp_path: Path, text: str | bytes = "", **env: str) -> str:
    """The sentence that says what is wrong; it never shows a value."""
    with pytest.raises(errors.ConfigurationError) as caught:
        load(tmp_path, text, **env)
    told = "".join(traceback.format_exception(caught.value))
    assert SECRET not in told
    return str(caught.value)


def at(found: Settings, place: str) -> object:
    """The value of a key that is written as in the documentation."""
    value: object = found
    for name in place.split("."):
        value = value[name] if isinstance(value, dict) else getattr(value, name)
    return value


def source(text: str) -> str:
    """A source of OneSpan that would be fine without this."""
    return KEYED + text


# Each key, how it is written in the file and in the environment, and what it becomes.
KEYS = [
    ("data", '"elsewhere"', "elsewhere", "elsewhere"),
    ("disk_reserve", "5", "5", 5),
    ("database_url", '"postgresql+psycopg://u@h/d"', "postgresql+psycopg://u@h/d", "postgresql+psycopg://u@h/d"),
    ("documents", '"papers"', "papers", "papers"),
    ("door.host", '"0.0.0.0"', "0.0.0.0", "0.0.0.0"),  # noqa: S104
    ("door.port", "0", "0", 0),
    ("desk.host", '"::1"', "::1", "::1"),
    ("desk.port", "65535", "65535", 65535),
    ("desk.token", '"t"', "t", "t"),
    ("max_body_bytes", "2048", "2048", 2048),
    ("max_spool_bytes", "0", "0", 0),
    ("trusted_proxies", '["10.0.0.0/8", "::1"]', "10.0.0.0/8, ::1", ("10.0.0.0/8", "::1")),
    ("origin", '"o"', "o", "o"),
    ("checkpoint_key", '"k"', "k", "k"),
    ("checkpoint_copy", '"c"', "c", "c"),
    ("sources.onespan.provider", '"onespan"', "onespan", "onespan"),
    ("sources.onespan.callback_keys", '["a", "b,c"]', '["a", "b,c"]', ("a", "b,c")),
    ("sources.onespan.callback_header", '"X-Key"', "X-Key", "X-Key"),
    ("sources.onespan.callback_client_id", '"c"', "c", "c"),
    ("sources.onespan.callback_client_secrets", '["abcdefghijkl"]', "abcdefghijkl", ("abcdefghijkl",)),
    ("sources.onespan.allow", '["192.0.2.0/24"]', "192.0.2.0/24,", ("192.0.2.0/24",)),
    ("sources.onespan.path_secret", '"abcdefghijkl"', "abcdefghijkl", "abcdefghijkl"),
    ("sources.onespan.unauthenticated", "true", "true", True),
    ("sources.onespan.api_url", '"https://x"', "https://x", "https://x"),
    ("sources.onespan.api_key", '"k"', "k", "k"),
    ("sources.onespan.client_id", '"c"', "c", "c"),
    ("sources.onespan.client_secret", '"c"', "c", "c"),
    ("sources.onespan.api_auth", '"oauth2"', "oauth2", "oauth2"),
    ("sources.onespan.api_sender", '"a@b"', "a@b", "a@b"),
    ("sources.onespan.vendor_number", '"v"', "v", "v"),
    ("sources.onespan.private_keys", '["p"]', "p", ("p",)),
    ("sources.onespan.private_key_passphrases", '["p"]', "p", ("p",)),
    ("sources.onespan.artifacts", "[]", "[]", ()),
    ("sources.onespan.signed_artifacts", '["evidence.pdf"]', "evidence.pdf", ("evidence.pdf",)),
    ("sources.onespan.trust_roots", '["p"]', "p", ("p",)),
    ("replay", '"auto"', "auto", "auto"),
    ("check_signatures", "false", "false", False),
]
# What lets a source in while another of its keys is looked at.
LETS_IN = ("callback_keys", "allow", "path_secret", "unauthenticated")
# Keys that come in pairs.
PAIRED = {
    "callback_header": 'callback_keys = ["k"]',
    "callback_client_id": 'callback_client_secrets = ["mnopqrstuvwx"]',
    "callback_client_secrets": 'callback_client_id = "c"',
}


def variable(place: str) -> str:
    """A key as the environment names it."""
    return "SIGNLOG_" + place.replace(".", "__").upper()


def beside(place: str) -> str:
    """What else a file must say so that this key may be set."""
    if not place.startswith("sources.") or place.endswith(LETS_IN):
        return ""
    paired = PAIRED.get(place.rpartition(".")[2])
    return 'sources.onespan.path_secret = "mnopqrstuvwx"\n' + (f"sources.onespan.{paired}\n" if paired else "")


def test_every_key_is_in_the_table_above() -> None:
    """None is forgotten."""
    known = {".".join(place).replace("NAME", "onespan") for place in FORM.every()}
    assert known == {place for place, *_ in KEYS}


def test_defaults(tmp_path: Path) -> None:
    """Nothing configured is a configuration."""
    assert load(tmp_path) == Settings()
    assert Settings() == Settings("signlog-data", 1024**3, None, None, Door("127.0.0.1", 4449), Desk("127.0.0.1", 4450))
    assert Settings().max_body_bytes == 1048576


@pytest.mark.parametrize(("place", "written", "_text", "value"), KEYS, ids=[place for place, *_ in KEYS])
def test_a_key_in_the_file(tmp_path: Path, place: str, written: str, _text: str, value: object) -> None:
    """As TOML writes it."""
    assert at(load(tmp_path, f"{beside(place)}{place} = {written}"), place) == value


@pytest.mark.parametrize(("place", "_written", "text", "value"), KEYS, ids=[place for place, *_ in KEYS])
def test_a_key_in_the_environment(tmp_path: Path, place: str, _written: str, text: str, value: object) -> None:
    """In capitals, two underscores between levels."""
    assert at(load(tmp_path, beside(place), **{variable(place): text}), place) == value


def test_the_environment_stands_above_the_file(tmp_path: Path) -> None:
    """Key by key: what the environment does not name stays as the file has it, next to it and in other sections."""
    text = f'data = "file"\norigin = "file"\n[door]\nport = 1\nhost = "::1"\n{KEYED}artifacts = []\n'
    over = {"data": "env", "door.port": "2", "sources.onespan.callback_keys": "env", "sources.e.allow": "192.0.2.1"}
    found = load(tmp_path, text, SIGNLOG_SOURCES__E__PROVIDER="evrotrust", **{variable(k): v for k, v in over.items()})
    assert (found.data, found.origin, found.door) == ("env", "file", Door("::1", 2))
    assert found.sources["onespan"] == Source("onespan", ("env",), artifacts=())
    assert found.sources["e"] == Source("evrotrust", allow=("192.0.2.1",))


def test_a_source_is_named_after_its_provider_unless_it_says_which(tmp_path: Path) -> None:
    """Several sources may share one."""
    text = "[sources.onespan]\nunauthenticated = true\n[sources.sandbox]\nprovider = 'onespan'\nunauthenticated = true"
    assert {name: one.provider for name, one in load(tmp_path, text).sources.items()} == {
        "onespan": "onespan",
        "sandbox": "onespan",
    }


def test_a_list_in_the_environment_is_json_or_has_commas(tmp_path: Path) -> None:
    """A value with a comma in it needs JSON; empty is the empty list."""
    key = variable("sources.onespan.callback_keys")
    for text, keys in (('["a,b", "c"]', ("a,b", "c")), (" a , b ,", ("a", "b")), ("a", ("a",))):
        assert load(tmp_path, **{key: text}).sources["onespan"].callback_keys == keys
    assert load(tmp_path, "trusted_proxies = ['10.0.0.0/8']", SIGNLOG_TRUSTED_PROXIES="").trusted_proxies == ()
    assert problem(tmp_path, **{key: f'["{SECRET}"'}).startswith(f"{key}: not a JSON list of texts; write [")
    assert problem(tmp_path, **{key: f'["{SECRET}", 5]'}).startswith(f"{key}: not a JSON list of texts; write [")


@pytest.mark.parametrize("name", ["unauthenticated"])
@pytest.mark.parametrize(("text", "value"), [("true", True), ("True", True), ("1", True)])
def test_true_in_the_environment(tmp_path: Path, name: str, text: str, value: bool) -> None:
    """As people write it there."""
    assert at(load(tmp_path, **{f"SIGNLOG_SOURCES__ONESPAN__{name.upper()}": text}), f"sources.onespan.{name}") is value


def test_which_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one in the working directory if it is there, SIGNLOG_CONFIG before it, --config before both."""
    monkeypatch.chdir(tmp_path)
    assert settings.load(None, {}) == Settings()
    for name in ("signlog.toml", "env.toml", "option.toml"):
        (tmp_path / name).write_text(f"data = '{name}'")
    assert settings.load(None, {}).data == "signlog.toml"
    assert settings.load(None, {"SIGNLOG_CONFIG": ""}).data == "signlog.toml"
    assert settings.load(None, {"SIGNLOG_CONFIG": "env.toml"}).data == "env.toml"
    assert settings.load(Path("option.toml"), {"SIGNLOG_CONFIG": "env.toml"}).data == "option.toml"


def test_the_environment_is_read_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands hand none over. What is not ours in there is none of our business."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SIGNLOG_DATA", "mine")
    monkeypatch.setenv("SIGN_DATA", "theirs")
    assert settings.load().data == "mine"


# Files that hold secrets


@pytest.mark.parametrize("name", sorted(settings.SECRETS - {"token", "database_url"}))
def test_every_secret_may_lie_in_a_file(tmp_path: Path, name: str) -> None:
    """One value a line; spaces around it and empty lines are nobody's key."""
    several = name.endswith("s")
    (tmp_path / "secret").write_text(" abcdefghijkl \n\nmnopqrstuvwx\r\n" if several else "\nabcdefghijkl\n")
    text = beside(f"sources.onespan.{name}") + f"sources.onespan.{name}_file = '{tmp_path}/secret'"
    wanted = ("abcdefghijkl", "mnopqrstuvwx") if several else "abcdefghijkl"
    assert at(load(tmp_path, text), f"sources.onespan.{name}") == wanted


def test_the_desks_token_may_lie_in_a_file(tmp_path: Path) -> None:
    """Named in the environment, as containers do it."""
    (tmp_path / "token").write_text("abc")
    assert load(tmp_path, SIGNLOG_DESK__TOKEN_FILE=str(tmp_path / "token")).desk.token == "abc"


def test_a_value_in_the_environment_stands_above_a_secrets_file_of_the_file(tmp_path: Path) -> None:
    """The place decides, not the way it is given; and the other way round."""
    (tmp_path / "secret").write_text("from-a-file")
    path = f"{tmp_path}/secret"
    name = variable("sources.onespan.callback_keys")
    text = f"[sources.onespan]\ncallback_keys_file = '{path}'"
    assert load(tmp_path, text, **{name: "env"}).sources["onespan"].callback_keys == ("env",)
    assert load(tmp_path, KEYED, **{f"{name}_FILE": path}).sources["onespan"].callback_keys == ("from-a-file",)


def test_a_secret_is_given_once(tmp_path: Path) -> None:
    """Both ways in one place: nobody could tell which is meant."""
    (tmp_path / "secret").write_text("x")
    both = f"{KEYED}callback_keys_file = '{tmp_path}/secret'"
    assert problem(tmp_path, both).startswith("sources.onespan.callback_keys_file: set twice")
    name = variable("sources.onespan.api_key")
    assert "set twice" in problem(tmp_path, **{name: "x", f"{name}_FILE": f"{tmp_path}/secret"})
    assert "set twice" in problem(tmp_path, SIGNLOG_DATA="x", SIGNLOG_data="y")


def test_a_secrets_file_that_is_of_no_use(tmp_path: Path) -> None:
    """Its path is not shown: it may be the secret, put into the wrong key."""
    key, several = "sources.onespan.api_key_file", "sources.onespan.callback_keys_file"
    assert problem(tmp_path, f"{key} = '{SECRET}'") == f"{key}: the file cannot be read: No such file or directory"
    assert problem(tmp_path, f"{key} = '{tmp_path}'") == f"{key}: the file cannot be read: Is a directory"
    assert problem(tmp_path, f'{key} = "a\\u0000b"').startswith(f"{key}: the value is empty or holds a NUL")
    assert problem(tmp_path, f"{key} = 5") == f'{key}: must be a text, written "…"'
    for content, name, wanted in (
        (f"{SECRET}\nb", key, "the file holds 2 values; write one value on one line"),
        ("\n", key, "the file holds 0 values; write one value on one line"),
        ("", several, "the file holds 0 values; write one value a line"),
    ):
        (tmp_path / "secret").write_text(content)
        assert problem(tmp_path, f"{name} = '{tmp_path}/secret'") == f"{name}: {wanted}"
    (tmp_path / "secret").write_bytes(b"\xff\xfe")
    assert "no text in UTF-8" in problem(tmp_path, f"{key} = '{tmp_path}/secret'")


def test_only_secrets_lie_in_files(tmp_path: Path) -> None:
    """Any other key with _file behind it is unknown."""
    assert problem(tmp_path, "data_file = 'x'") == "data_file: there is no such key; did you mean data?"


# Keys that are none

UNKNOWN = [
    ("dataa = 1", "dataa: there is no such key; did you mean data?"),
    ("[door]\nprot = 1", "door.prot: there is no such key; did you mean door.port?"),
    ("[dor]\nport = 1", "dor: there is no such key; did you mean door?"),
    ("[door.tls]\nkey = 1", "door.tls: there is no such key; known here: door.host, door.port"),
    ("port = 1", "port: there is no such key; did you mean door.port or desk.port?"),
    ("callback_keys = []", "callback_keys: there is no such key; did you mean sources.NAME.callback_keys?"),
    ("[onespan]\nallow = []", "onespan: there is no such key; did you mean [sources.onespan]?"),
    (source("callback_key = 'x'"), "sources.onespan.callback_key: there is no such key; did you mean "
     "sources.onespan.callback_keys?"),
    (source("[sources.onespan.deep]\nx = 1"), "sources.onespan.deep: there is no such key; known here: "),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), UNKNOWN, ids=[told.partition(":")[0] for _, told in UNKNOWN])
def test_an_unknown_key_in_the_file(tmp_path: Path, text: str, told: str) -> None:
    """The nearest one is named: in its section, or of that name elsewhere."""
    assert problem(tmp_path, text).startswith(told)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("SIGNLOG_DATAA", "did you mean SIGNLOG_DATA?"),
        ("SIGNLOG_DOOR__PROT", "did you mean SIGNLOG_DOOR__PORT?"),
        ("SIGNLOG_DOR__PORT", "did you mean SIGNLOG_DOOR__PORT?"),
        ("SIGNLOG_DOR__PRT", "did you mean SIGNLOG_DOOR?"),
        ("SIGNLOG_DOOR_PORT", "did you mean"),
        ("SIGNLOG_PORT", "did you mean SIGNLOG_DOOR__PORT or SIGNLOG_DESK__PORT?"),
        ("SIGNLOG_DATA__X", "did you mean SIGNLOG_DATA?"),
        ("SIGNLOG_ONESPAN__CALLBACK_KEYS", "did you mean SIGNLOG_SOURCES__NAME__CALLBACK_KEYS?"),
        ("SIGNLOG_SOURCES__ONESPAN__API_KEYS", "did you mean SIGNLOG_SOURCES__ONESPAN__API_KEY?"),
        ("SIGNLOG_SOURCES__ONESPAN__API_KEY_FIL", "did you mean SIGNLOG_SOURCES__ONESPAN__API_KEY?"),
        ("SIGNLOG_WHATEVER", "known here: SIGNLOG_DATA, SIGNLOG_DISK_RESERVE, "),
        ("SIGNLOG_", "known here: SIGNLOG_DATA, "),
    ],
)
def test_an_unknown_key_in_the_environment(tmp_path: Path, name: str, instead: str) -> None:
    """Named as the environment spells it."""
    assert problem(tmp_path, **{name: SECRET}).startswith(f"{name}: there is no such key; {instead}")


@pytest.mark.parametrize(
    ("text", "example"),
    [
        ("door = 5", "door.host"),
        ("desk = 'x'", "desk.host"),
        ("sources = []", "sources.NAME.provider"),
        (f"sources.onespan = '{SECRET}'", "sources.onespan.provider"),
        (f"[[sources.onespan]]\napi_key = '{SECRET}'", "sources.onespan.provider"),
    ],
)
def test_a_value_where_a_section_belongs(tmp_path: Path, text: str, example: str) -> None:
    """The sentence names a key that may be set in it."""
    place = re.findall(r"[a-z.]+", text)[0]
    assert problem(tmp_path, text) == f"{place}: this is a section; set its keys, such as {example}"


@pytest.mark.parametrize(
    ("name", "example"),
    [
        ("SIGNLOG_DOOR", "SIGNLOG_DOOR__HOST"),
        ("SIGNLOG_SOURCES", "SIGNLOG_SOURCES__NAME__PROVIDER"),
        ("SIGNLOG_SOURCES__ONESPAN", "SIGNLOG_SOURCES__ONESPAN__PROVIDER"),
    ],
)
def test_a_variable_that_names_a_section(tmp_path: Path, name: str, example: str) -> None:
    """Whether its keys are set as well or not."""
    told = f"{name}: this is a section; set its keys, such as {example}"
    assert problem(tmp_path, **{name: SECRET}) == told
    assert problem(tmp_path, **{example: "x", name: SECRET}) == told


def test_a_section_where_a_value_belongs(tmp_path: Path) -> None:
    """A key with keys below it."""
    assert problem(tmp_path, f"[data]\nx = '{SECRET}'") == 'data: must be a text, written "…"'


# Values that are wrong

PORT = "must be a whole number from 0 to 65535"
LIST = 'must be a list of texts, written ["…", "…"]'
TYPES = [
    ("data = 5", 'data: must be a text, written "…"'),
    (f"data = ['{SECRET}']", 'data: must be a text, written "…"'),
    ("door.port = '4449'", f"door.port: {PORT}"),
    ("door.port = true", f"door.port: {PORT}"),
    ("door.port = 1.0", f"door.port: {PORT}"),
    ("door.port = -1", f"door.port: {PORT}"),
    ("door.port = 65536", f"door.port: {PORT}"),
    ("desk.port = 99999999999999999999999", f"desk.port: {PORT}"),
    ("disk_reserve = -1", "disk_reserve: must be a whole number from 0"),
    ("max_body_bytes = 1023", "max_body_bytes: must be a whole number from 1024 to 16777216"),
    ("max_body_bytes = 16777217", "max_body_bytes: must be a whole number from 1024 to 16777216"),
    ("trusted_proxies = '10.0.0.0/8'", f"trusted_proxies: {LIST}"),
    (f"sources.onespan.callback_keys = '{SECRET}'", f"sources.onespan.callback_keys: {LIST}"),
    (f"sources.onespan.callback_keys = ['{SECRET}', 5]", f"sources.onespan.callback_keys: {LIST}"),
    (source("unauthenticated = 'true'"), "sources.onespan.unauthenticated: must be true or false"),
    (source("api_key = 2026-11-22"), 'sources.onespan.api_key: must be a text, written "…"'),
    ("data = ''", "data: the value is empty or holds a NUL; leave it out, or write something"),
    ("door.host = ''", "door.host: the value is empty or holds a NUL; leave it out, or write something"),
    ("sources.onespan.callback_keys = ['a', '']", "sources.onespan.callback_keys: an entry is empty or holds a NUL; "
     "leave it out, or write something"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), TYPES, ids=[text.partition("\n")[2] or text for text, _ in TYPES])
def test_a_value_of_the_wrong_type(tmp_path: Path, text: str, told: str) -> None:
    """What it must be, in the words of TOML."""
    assert problem(tmp_path, text) == told


@pytest.mark.parametrize(
    ("place", "text", "told"),
    [
        ("door.port", SECRET, PORT),
        ("door.port", "٤", PORT),
        ("door.port", "+1", PORT),
        ("door.port", "", PORT),
        ("sources.onespan.unauthenticated", SECRET, "must be true or false"),
        ("sources.onespan.unauthenticated", "yes", "must be true or false"),
        ("data", "", "the value is empty or holds a NUL; leave it out, or write something"),
    ],
)
def test_a_value_of_the_wrong_type_in_the_environment(tmp_path: Path, place: str, text: str, told: str) -> None:
    """Everything is text there, and must read as what it stands for."""
    assert problem(tmp_path, **{variable(place): text}) == f"{variable(place)}: {told}"


OPEN = "sources.onespan.path_secret = 'abcdefghijkl'\n"
NO_DATABASES = (
    *("postgresql+psycopg://x", "postgresql+psycopg://x/", "postgresql+psycopg://u:p@h:5432/a b", "signlog.db"),
    *("postgresql://u:p@h/d", "postgres://h/d", "sqlite:///signlog.db", "postgresql+psycopg://h/d/e", " "),
)
NO_BUCKETS = (
    *("s3://", "s3://b", "s3:///prefix", "s3://Bucket/p", "s3://bucket//p", "s3://bucket/../p", "s3://bucket/.p"),
    *("s3://bucket/p p", "s3://bucket/p?x=y", "s3://key:secret@bucket", f"s3://bucket/{'p' * 301}", "gs://bucket/p"),
)
RULES = [
    *((f"database_url = '{url}'", "database_url: this is no address of a PostgreSQL; write") for url in NO_DATABASES),
    *((f"documents = '{place}'", "documents: this is neither a folder nor a bucket") for place in NO_BUCKETS),
    ("origin = 'example.com/our log'", "origin: a name without spaces and +"),
    ("origin = 'example.com/a+b'", "origin: a name without spaces and +"),
    ("origin = 'a\u2003b'", "origin: a name without spaces and +"),
    ("checkpoint_copy = 'signlog-data/head'", "checkpoint_copy: whoever changes the log could change what lies in"),
    ("desk.host = '0.0.0.0'", "desk.token: required while desk.host is not this machine alone"),
    ("desk.host = 'example.org'", "desk.token: required while desk.host is not this machine alone"),
    ("desk.token = 'a\tb'", "desk.token: a key is printable ASCII"),
    ("trusted_proxies = ['10.0.0.0/8', 'x']", "trusted_proxies: entry 2 is no network; write one such as"),
    ("sources.x.allow = ['192.0.2.1']", "sources.x.provider: there is no such provider; write \"evrotrust\" or"),
    ("sources.X.provider = 'onespan'", "sources.X: a source is named with a-z, 0-9 and _"),
    ("sources.1x.provider = 'onespan'", "sources.1x: a source is named with a-z, 0-9 and _"),
    ("sources.onespan.artifacts = []", "sources.onespan: nothing tells its callbacks from forged ones; set callback_k"),
    ("[sources.onespan]", "sources.onespan: nothing tells its callbacks from forged ones; set callback_keys, allow"),
    ("[sources.evrotrust]", "sources.evrotrust: nothing tells its callbacks from forged ones; set allow or path"),
    ("sources.evrotrust.callback_keys = ['x']", "sources.evrotrust.callback_keys: evrotrust sends no key; set allow"),
    ("sources.onespan.callback_keys = [' x']", "sources.onespan.callback_keys: a key is printable ASCII"),
    ("sources.onespan.callback_keys = ['x\u00e9']", "sources.onespan.callback_keys: a key is printable ASCII"),
    ("sources.onespan.path_secret = 'abcdefghijk'", "sources.onespan.path_secret: at least 12 of the characters"),
    ("sources.onespan.path_secret = 'abcdefghijkl/'", "sources.onespan.path_secret: at least 12 of the characters"),
    ("sources.onespan.allow = ['192.0.2.1/24']", "sources.onespan.allow: entry 1 is no network; write one such as"),
    ("sources.onespan.allow = ['::ffff:1.2.3.0/120']", "sources.onespan.allow: entry 1 is no network; write one such"),
    (source("unauthenticated = true"), "sources.onespan.unauthenticated: true beside a credential"),
    (OPEN + "sources.onespan.api_key = 'x\u2013'", "sources.onespan.api_key: a key is printable ASCII"),
    ("sources.evrotrust.callback_header = 'x'", "sources.evrotrust.callback_header: evrotrust sends no key; set allow"),
    ("sources.evrotrust.callback_client_id = 'x'", "sources.evrotrust.callback_client_id: evrotrust sends no key"),
    (OPEN + "sources.onespan.callback_header = 'X-Key'", "sources.onespan.callback_keys: required with callback_h"),
    (source("callback_header = 'X Key'"), "sources.onespan.callback_header: up to 50 of the characters A-Z a-z 0-9 -"),
    (source("callback_header = 'X_Key'"), "sources.onespan.callback_header: up to 50 of the characters"),
    (source("callback_header = 'Cookie'"), "sources.onespan.callback_header: up to 50 of the characters"),
    (source(f"callback_header = '{'x' * 51}'"), "sources.onespan.callback_header: up to 50 of the characters"),
    (f"sources.onespan.callback_header = 'X-Key'\nsources.onespan.callback_keys = ['{'x' * 101}']",
     "sources.onespan.callback_keys: a header holds no more than 100 characters"),
    (source("callback_client_id = 'c'"), "sources.onespan.callback_client_secrets: id and secret are shown together"),
    (source("callback_client_secrets = ['abcdefghijkl']"), "sources.onespan.callback_client_id: id and secret are"),
    (source("callback_client_id = 'a:b'\ncallback_client_secrets = ['abcdefghijkl']"),
     "sources.onespan.callback_client_id: a colon ends it where it is shown"),
    (source("callback_client_id = 'c'\ncallback_client_secrets = ['abcdefghijk']"),
     "sources.onespan.callback_client_secrets: at least 12 characters; make one with: python3"),
    (source("callback_client_id = 'c'\ncallback_client_secrets = ['abcdefghijkl ']"),
     "sources.onespan.callback_client_secrets: a key is printable ASCII"),
    (source("api_key = 'k'\nclient_id = 'c'"), "sources.onespan.client_id: beside api_key; the account takes one"),
    (source("client_secret = ' c'"), "sources.onespan.client_secret: a key is printable ASCII"),
    (source("api_auth = 'basic'"), "sources.onespan.api_auth: there is no such way to get a token; write \"cli"),
    (OPEN + "sources.onespan.api_url = 'us12'", "sources.onespan.api_url: there is no region of that name; write one"),
    (OPEN + "sources.onespan.api_url = 'apps.example'", "sources.onespan.api_url: this is no address; write \"https://"),
    ("sources.evrotrust.unauthenticated = true\nsources.evrotrust.api_url = 'eu'",
     "sources.evrotrust.api_url: there is no region of that name; write one of: production, test, sandbox"),
    (OPEN + "sources.onespan.signed_artifacts = ['audit.json']",
     "sources.onespan.signed_artifacts: onespan makes no PDFs of that name; write some of: documents.zip, ev"),
    (OPEN + "sources.onespan.api_url = 'ftp://x'", "sources.onespan.api_url: this is no address"),
    (OPEN + "sources.onespan.api_url = 'https://x?y'", "sources.onespan.api_url: this is no address"),
    (OPEN + "sources.onespan.api_url = 'https://u:p@x'", "sources.onespan.api_url: this is no address"),
    (OPEN + "sources.onespan.api_url = 'https://[x'", "sources.onespan.api_url: this is no address"),
    (OPEN + "sources.onespan.api_url = 'http://x'", "sources.onespan.api_url: the API key would travel in the clear"),
    ("trusted_proxies = ['192.0.0.0/16']\nsources.onespan.allow = ['2001:db8::1', '192.0.2.1']",
     "sources.onespan.allow: entry 2 overlaps trusted_proxies"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), RULES, ids=[text.partition("\n")[2] or text for text, _ in RULES])
def test_a_value_that_breaks_a_rule(tmp_path: Path, text: str, told: str) -> None:
    """What types cannot say; the sentence says what to write instead."""
    assert problem(tmp_path, text).startswith(told)


@pytest.mark.parametrize(
    "text",
    [
        "desk.host = 'localhost'",
        "desk.host = '127.0.0.9'",
        "desk.host = '0.0.0.0'\ndesk.token = 'x'",
        "documents = '/srv/papers'",
        "origin = 'example.com/signlog'",
        "checkpoint_copy = 'signlog-database/head'",
        OPEN + "sources.onespan.api_url = 'http://127.0.0.1:8080'",
        OPEN + "sources.onespan.api_url = 'us10-sandbox'",
        source("callback_header = 'X-Signlog-Key'"),
        "[sources.onespan]\ncallback_client_id = 'c'\ncallback_client_secrets = ['abcdefghijkl', 'mnopqrstuvwx']",
        source("callback_client_id = 'c'\ncallback_client_secrets = ['abcdefghijkl']"),
        source("client_id = 'c'\nclient_secret = 's'\napi_auth = 'oauth2'"),
        OPEN + "sources.onespan.api_url = 'https://apps.example/with/a/path'",
        OPEN + "sources.onespan.signed_artifacts = ['evidence.pdf', 'document-*.pdf']",
        "sources.s_1.provider = 'evrotrust'\nsources.s_1.allow = ['2001:db8::/32', '192.0.2.7']",
        "trusted_proxies = ['10.0.0.0/8']\nsources.onespan.allow = ['2001:db8::/32', '192.0.2.0/24']",
        "sources.evrotrust.unauthenticated = true",
    ],
)
def test_a_value_that_keeps_the_rules(tmp_path: Path, text: str) -> None:
    """Near to what is refused above."""
    load(tmp_path, text)


# Files that are none

FILES = [
    (b"\xff\xfe\x00", "the file is no text in UTF-8; is it the right one?"),
    (b"x" * (1024 * 1024 + 1), "the file has more than 1048576 bytes; is it the right one?"),
    (b"data = elsewhere", "this is not TOML: Invalid value (at line 1, column 8); texts stand in quotes"),
    (b"data = 'a'\ndata = 'b'", "this is not TOML: Cannot overwrite a value"),
    (b"a = " + b"[" * 5000, "brackets in brackets without end; is it the right file?"),
]


@pytest.mark.parametrize(("content", "told"), FILES, ids=[told for _, told in FILES])
def test_a_file_that_is_no_configuration(tmp_path: Path, content: bytes, told: str) -> None:
    """It is named, because it is not always the one that was meant."""
    assert problem(tmp_path, content).startswith(f"{tmp_path}/signlog.toml: {told}")


def test_a_file_that_windows_wrote(tmp_path: Path) -> None:
    """A byte order mark in front and two characters at the end of a line change nothing."""
    assert load(tmp_path, b"\xef\xbb\xbfdata = 'x'\r\n[door]\r\nport = 1\r\n") == Settings("x", door=Door(port=1))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """One that is named must be there, and be a file."""
    for path, told in ((tmp_path / "none.toml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(errors.ConfigurationError) as caught:
            settings.load(path, {})
        assert str(caught.value) == f"{path}: the file cannot be read: {told}"


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_file_that_is_for_somebody_else(tmp_path: Path) -> None:
    """Said as what it is."""
    (tmp_path / "signlog.toml").touch(mode=0o000)
    with pytest.raises(errors.ConfigurationError, match="Permission denied"):
        settings.load(tmp_path / "signlog.toml", {})


# What is shown


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    """In no form that a log, a debugger or a traceback would print."""
    keys = "".join(f"{name} = '{SECRET}'\n" for name in ("api_key", "client_secret", "path_secret"))
    text = f"[desk]\ntoken = '{SECRET}'\n" + source(keys + f"private_keys = ['{SECRET}']")
    found = load(tmp_path, text)
    for part in (found, found.desk, found.sources["onespan"]):
        for shown in (repr(part), str(part), f"{part}", pretty_repr(part), repr([part]), repr({"x": part})):
            assert SECRET not in shown
    assert repr(found.door) == "Door(host='127.0.0.1', port=4449)"


def test_what_is_no_secret_is_shown(tmp_path: Path) -> None:
    """And so is whether a secret is set at all."""
    assert "allow=('192.0.2.1',)" in repr(load(tmp_path, "sources.onespan.allow = ['192.0.2.1']"))
    assert "callback_keys='…'" in repr(load(tmp_path, KEYED))
    assert "api_key=None" in repr(load(tmp_path, KEYED))


def test_a_password_in_the_databases_address_is_a_secret() -> None:
    """Though the key is refused in this version, its value is not shown."""
    assert SECRET not in repr(msgspec.structs.replace(Settings(), database_url=f"postgresql://u:{SECRET}@h/d"))


def test_keys_for_what_is_not_there_are_told(tmp_path: Path) -> None:
    """They are known, and have no effect: in this version, or for this provider."""
    assert load(tmp_path, KEYED).without_effect() == []
    text = f"desk.port = 1\n{KEYED}client_id = 'x'\nprivate_keys = ['p']"
    text += "\n[sources.evrotrust]\nunauthenticated = true\nclient_secret = 'x'\napi_key = 'k'"
    assert load(tmp_path, text).without_effect() == [
        "desk",
        "sources.onespan.private_keys",
        "sources.evrotrust.client_secret",
    ]


def test_folders(tmp_path: Path) -> None:
    """Documents lie in the data folder, unless they are to lie elsewhere."""
    assert load(tmp_path, "data = 'd'").documents_folder == Path("d/documents")
    assert load(tmp_path, "data = 'd'\ndocuments = '/srv'").documents_folder == Path("/srv")
    assert load(tmp_path, "data = 'd'").folder == Path("d")
    assert load(tmp_path, "documents = '/srv'").bucket is None


@pytest.mark.parametrize("address", ["s3://bucket", "s3://a.b-c/", "s3://bucket/p", "s3://bucket/signlog=1/_x.y-Z/"])
def test_documents_in_a_bucket(tmp_path: Path, address: str) -> None:
    """In the data folder is room for what is on its way."""
    found = load(tmp_path, f"data = 'd'\ndocuments = '{address}'")
    assert (found.bucket, found.documents_folder) == (address, Path("d/documents"))


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"])
@pytest.mark.parametrize("value", ["gopher://x", "http://a b", "minio:9000", f"https://key:{SECRET}@x", ""])
def test_an_address_of_a_bucket_that_is_none(tmp_path: Path, name: str, value: str) -> None:
    """What speaks S3 would end with it; without a bucket it is nobody's business here."""
    assert problem(tmp_path, "documents = 's3://bucket'", **{name: value}).startswith(f"{name}: this is no address")
    assert load(tmp_path, "", **{name: value}).bucket is None
    assert load(tmp_path, "documents = 's3://bucket'", **{name: "http://[::1]:9000"}).bucket


def test_a_region_has_an_address(tmp_path: Path) -> None:
    """By its name; an address stands for itself."""
    for written, url in (("us11", "https://apps.esignlive.com"), ("https://apps.example/x", "https://apps.example/x")):
        found = load(tmp_path, f"{KEYED}api_url = '{written}'\napi_key = 'k'").sources["onespan"]
        assert (found.access.url, found.access.key) == (url, "k")
    assert load(tmp_path, KEYED).sources["onespan"].access.url == ""


def test_networks(tmp_path: Path) -> None:
    """Parsed once they are known to be networks."""
    text = "trusted_proxies = ['10.0.0.1']\nsources.onespan.allow = ['2001:db8::/32']"
    found = load(tmp_path, text)
    assert [str(network) for network in (*found.proxies, *found.sources["onespan"].networks)] == [
        "10.0.0.1/32",
        "2001:db8::/32",
    ]
