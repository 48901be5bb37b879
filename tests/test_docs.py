"""The documentation says what there is, all of it, and nothing else; what it shows can be typed."""

import ast
import http.client
import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer.main

from listener import settings
from listener.cli.app import app
from listener.settings import Settings
from listener.settings_layers import Form
from tests.site import Site, callback, environment, stored, until
from tests.test_cli_asking import AS_OF, EXPLAINED
from tests.test_cli_backup import COPIED
from tests.test_cli_copy_to import MOVED
from tests.test_cli_erase import ERASED, HOLD
from tests.test_cli_faults import COLUMNS as FAULT
from tests.test_cli_health import KEYS
from tests.test_cli_reading import ARTIFACT, EVENT, FACT, REFUSED, SUBJECT, WHOLE
from tests.test_cli_verify import REPORT
from tests.test_evidence import EVIDENCE

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (
        *(ROOT / f"{name}.md" for name in ("README", "CHANGELOG", "CONTRIBUTING")),
        *sorted((ROOT / "docs").rglob("*.md")),
    )
}
COMMANDS = PAGES["docs/commands.md"]
CONFIGURATION = PAGES["docs/configuration.md"]
COMMON = {"--help", "--json", "--config"}
FORM = Form(Settings, settings.SECRETS)


def blocks(text: str, language: str) -> list[str]:
    """What stands between fences."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def every_block(language: str) -> list[tuple[str, str]]:
    """All of them, with the page that they stand on."""
    return [(page, block) for page, text in PAGES.items() for block in blocks(text, language)]


# Commands


def leaves(group: Any = None, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command and every group of commands, as it is typed."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        yield " ".join((*words, name)), command
        if hasattr(command, "commands"):
            yield from leaves(command, (*words, name))


def options_of(command: Any) -> set[str]:
    """Its options, but for those that nobody should type."""
    return {option for each in command.params if not getattr(each, "hidden", False) for option in each.opts} - COMMON


def sections(text: str) -> dict[str, str]:
    """What is said of each command."""
    parts = re.split(r"^##+ signlog (.+)$", text, flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_command_has_a_section_and_every_section_a_command() -> None:
    """In the page of commands."""
    assert sections(COMMANDS).keys() == {name for name, _ in leaves()}


@pytest.mark.parametrize("name", sections(COMMANDS))
def test_every_option_is_in_its_section_and_nothing_else(name: str) -> None:
    """Common ones are at the top of the page."""
    command = dict(leaves())[name]
    told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", sections(COMMANDS)[name])) - COMMON
    known = options_of(command) if not hasattr(command, "commands") else set()
    assert told == {option for option in known if option.startswith("--")}


def test_common_options_are_at_the_top() -> None:
    """And are told where they are missing."""
    top = COMMANDS.partition("\n## ")[0]
    assert all(option in top for option in COMMON)
    without = {name for name, each in leaves() for option in COMMON - {"--help"} if option not in opts(each)}
    assert without == {"serve", "demo", "downloads", "faults", "quarantine"}


def opts(command: Any) -> set[str]:
    """All of its options."""
    return {option for each in command.params for option in each.opts}


def test_a_missing_option_would_be_noticed() -> None:
    """The test above is able to fail."""
    told = sections("## signlog show\n\n`--raw`\n")["show"]
    assert set(re.findall(r"--[a-z-]+", told)) == options_of(dict(leaves())["show"]) & {"--raw"}
    assert sections("## signlog show\n")["show"].strip() == ""


def typed(text: str) -> list[list[str]]:
    """The commands of ours in a block of shell, up to where the shell takes what they print."""
    lines = text.replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines]
    ours = [line[1:] for line in words if line and line[0] in ("signlog", ".venv/bin/signlog")]
    return [list(itertools.takewhile(lambda word: not re.fullmatch(r"[|&]|\d?>>?", word), line)) for line in ours]


@pytest.mark.parametrize(("page", "block"), every_block("sh"))
def test_what_is_typed_can_be_typed(page: str, block: str) -> None:
    """Every command in every block of shell: its name, its options, its arguments."""
    for words in typed(block):
        parse(words)


def parse(words: list[str]) -> None:
    """Raises if the program would not take it."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("signlog", list(words))
    rest = [*context._protected_args, *context.args]
    while hasattr(command, "commands"):
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
        rest = [*getattr(context, "_protected_args", []), *context.args]


@pytest.mark.parametrize("words", [["statuss"], ["show"], ["show", "1", "--rawx"], ["quarantine", "lst"]])
def test_what_cannot_be_typed_would_be_noticed(words: list[str]) -> None:
    """The test above is able to fail."""
    with pytest.raises(Exception, match=r"No such|Missing"):
        parse(words)


def test_every_command_that_is_named_is_one() -> None:
    """Wherever a page says `signlog …`."""
    known = {name for name, _ in leaves()}
    for page, text in PAGES.items():
        for said in re.findall(r"`signlog ([a-z][^`]*)`", text):
            words = list(itertools.takewhile(lambda word: re.fullmatch(r"[a-z][a-z-]*", word), said.split()))
            assert " ".join(words[:2]) in known or words[0] in known, (page, said)


# JSON

SHAPES = {
    "events": EVENT,
    "show": WHOLE,
    "status": SUBJECT,
    "timeline": FACT,
    "explain": EXPLAINED,
    "erase": ERASED,
    "hold": HOLD,
    "health": KEYS,
    "faults list": FAULT,
    "downloads list": {"source", "subject", "waits_for", *ARTIFACT},
    "quarantine list": REFUSED,
    "quarantine show": {"peer", "headers", "body"},
    "reconcile": {"asked", "agreed", "differed", "unknown", "unanswered", "missing", "without_answer"},
    "verify": REPORT,
    "checkpoint": {"size", "root", "note"},
    "evidence": EVIDENCE,
    "backup": COPIED,
    "restore": COPIED,
    "copy-to": MOVED,
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_keys_of_the_json_are_told(name: str) -> None:
    """Those that the tests of the commands found."""
    found = re.search(r"^JSON.*?`\{(.+?)\}`", sections(COMMANDS)[name], re.M | re.S)
    assert found is not None
    assert {key.strip() for key in found[1].split(",")} == SHAPES[name]


def test_the_keys_of_an_answer_about_the_past_are_told() -> None:
    """Beside those of any answer."""
    found = re.search(r"has `as_of`, too: `\{(.+?)\}`", sections(COMMANDS)["status"], re.S)
    assert found is not None
    assert {key.strip() for key in found[1].split(",")} == AS_OF


# Settings


def rows(text: str) -> dict[str, list[str]]:
    """The cells behind each key, from the tables that have keys in their first column."""
    found = re.findall(r"^\| `([a-zA-Z_.]+)` \|(.+)\|$", text, re.M)
    return {key: [cell.strip() for cell in rest.split("|")] for key, rest in found if "=" not in key}


def test_every_setting_is_in_the_documentation_and_nothing_else() -> None:
    """In a table, with its default and its meaning."""
    assert rows(CONFIGURATION).keys() == {".".join(place) for place in FORM.every()}


def test_defaults_are_as_they_are_told() -> None:
    """Where they can be written in a cell."""
    defaults = msgspec.to_builtins(Settings())
    for key, (default, _) in rows(CONFIGURATION).items():
        value: Any = defaults if not key.startswith("sources.") else {"sources": {"NAME": defaults_of_a_source()}}
        for name in key.split("."):
            value = value[name]
        if re.fullmatch("`[^`]+`", default):
            written = (
                {False: "false", True: "true"}.get(value, str(value)) if not isinstance(value, list | tuple) else "[]"
            )
            assert default == f"`{written}`", key
        elif default == "":
            assert not value, key


def defaults_of_a_source() -> dict[str, Any]:
    """Of each key of a source."""
    found: dict[str, Any] = msgspec.to_builtins(settings.Source())
    return found


def test_secrets_are_told() -> None:
    """Each of those that may lie in a file."""
    told = CONFIGURATION.partition("## Secrets in files")[2].partition("\n## ")[0]
    assert all(f"{secret}`" in told for secret in settings.SECRETS)


@pytest.mark.parametrize(("page", "block"), every_block("toml"))
def test_every_configuration_that_is_shown_loads(tmp_path: Path, page: str, block: str) -> None:
    """As it stands there, but for the files that it names."""
    (tmp_path / "secret").write_text("a-secret-in-a-file")
    path = tmp_path / "signlog.toml"
    path.write_text(re.sub(r'_file = ".+"', f'_file = "{tmp_path}/secret"', block).replace("…", "k"), encoding="utf-8")
    assert settings.load(path, {}).sources


def test_every_variable_that_is_shown_is_one() -> None:
    """But for those that are shown because they are none."""
    wrong = {"SIGNLOG_PORT", "SIGNLOG_DATAA", "SIGNLOG_DOR__PORT", "SIGNLOG_CONFIG", "SIGNLOG_"}
    for page, text in PAGES.items():
        for name in set(re.findall(r"SIGNLOG_\w*", text)) - wrong:
            place = tuple(name.removeprefix("SIGNLOG_").lower().removesuffix("_file").split("__"))
            assert FORM.type_at(place) is not None, (page, name)
            assert not FORM.is_section(place), (page, name)


# Links


def anchors(text: str) -> set[str]:
    """The headings of a page as links name them."""
    return {
        re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, re.M)
    }


def broken(page: str, text: str) -> list[str]:
    """Links to what is not there."""
    found = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", link):
            continue
        target, _, anchor = link.partition("#")
        path = (ROOT / page).parent / target if target else ROOT / page
        if not path.is_file() or (anchor and anchor not in anchors(path.read_text(encoding="utf-8"))):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    """To a file of the project, and to a heading in it."""
    assert broken(page, PAGES[page]) == []


def test_a_broken_link_would_be_noticed() -> None:
    """A file that is not there, and a heading that is not there."""
    text = "[a](docs/nothing.md) [b](docs/http.md#nothing) [c](#nothing) [d](docs/http.md#limits) [e](https://x)"
    assert broken("README.md", text) == ["docs/nothing.md", "docs/http.md#nothing", "#nothing"]


def test_every_page_is_reached_from_the_readme() -> None:
    """Through other pages, if need be."""
    reached, new = set(), {"README.md"}
    while new:
        reached |= new
        links = [(page, link) for page in new for link in re.findall(r"\]\(([^)#\s]+\.md)", PAGES[page])]
        new = {((ROOT / page).parent / link).resolve().relative_to(ROOT).as_posix() for page, link in links} - reached
    assert reached == PAGES.keys()


def test_files_that_are_named_are_there() -> None:
    """Wherever a page names one of the project's."""
    for page, text in PAGES.items():
        for name in re.findall(r"`((?:listener|projections|tests|scripts)/[\w./]*)`", text):
            assert (ROOT / name).exists(), (page, name)


def test_every_long_suite_is_told() -> None:
    """How long it takes, and what it proves; and no other one."""
    suites = {path.name for path in (ROOT / "scripts").iterdir() if path.is_file() and "-m tests." in path.read_text()}
    rows = re.findall(r"^\| `scripts/(\w+)` \| \d+ minutes? \| .{40}", PAGES["CONTRIBUTING.md"], re.M)
    assert sorted(rows) == sorted(suites) == ["chaos", "gaps", "matrix", "survive"]


# Operations


ALARMING = ("listener/desk/health.py", "listener/desk/away.py", "listener/log/sqlite.py")
TELLING = ("listener/desk/anomalies.py", "listener/desk/documents.py")


def alarms() -> list[str]:
    """What raises an alarm, as it stands in the code."""
    code = [(ROOT / path).read_text(encoding="utf-8") for path in ALARMING]
    calls = [node for tree in map(ast.parse, code) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    raising = [call for call in calls if ast.unparse(call.func) == "alarms.append"]
    told = [
        ast.unparse(node.value)
        for path in TELLING
        for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8")))
        if isinstance(node, ast.Yield) and node.value
    ]
    reading = (ROOT / "listener/desk/reading.py").read_text(encoding="utf-8")
    return [ast.unparse(call.args[0]) for call in raising if not isinstance(call.args[0], ast.Call)] + [*told, reading]


def test_every_alarm_is_told_and_every_alarm_that_is_told_is_one() -> None:
    """The words of a row stand in the code that raises it."""
    table = PAGES["docs/operations.md"].partition("| alarm |")[2].partition("\n\n")[0]
    told = [row.split("…") for row in re.findall(r"^\| ([^|-][^|]*) \|", table, re.M)]
    raised = alarms()
    assert len(raised) >= 12
    for words in told:
        assert any(all(word.strip() in alarm for word in words) for alarm in raised), words
    for alarm in raised:
        assert any(all(word.strip() in alarm for word in words) for words in told), alarm


def test_every_file_of_the_data_folder_is_told(tmp_path: Path) -> None:
    """Those that are there after everything has run once."""
    site = Site(tmp_path).filled(callback("PACKAGE_COMPLETE"), stored())
    site.refuse()
    process = site.start("serve", "--worker")
    until(lambda: (site.data / "signlog-worker.lock").exists() and (site.data / "documents").exists())
    names = {path.name for path in site.data.iterdir()}
    process.terminate()
    process.communicate(timeout=60)
    told = set(re.findall(r"`([^`]+)`", PAGES["docs/operations.md"].partition("## Starting")[0]))
    known = {re.sub(r"-\d+\.db", "-N.db", re.sub(r"-(wal|shm)$", "", name)) for name in names}
    assert {name.rstrip("/") for name in told} >= known
    assert len(known) >= 6


# The first steps of the README


def test_the_first_steps(tmp_path: Path) -> None:
    """The server as it is started there takes the callback that is posted there, and the commands show it."""
    start, curl, look = blocks(PAGES["README.md"], "sh")
    name, _, value = start.split()[0].partition("=")
    site = Site(tmp_path, "")
    served = site.start("serve", env={**environment(), name: value, "SIGNLOG_DOOR__PORT": "0"})
    try:
        assert served.stderr is not None
        address = re.search(r"http://127\.0\.0\.1:(\d+)/callbacks/onespan", served.stderr.readline().decode())
        assert address is not None
        assert post(curl, int(address[1])) == 200
        (events, status) = typed(look)
        assert "PACKAGE_CREATE" in site.run(*events).out
        until(lambda: site.run(*status).code == 0)
        assert re.search(r"^stage +draft$", site.run(*status).out, re.M)
    finally:
        served.terminate()
        served.communicate(timeout=60)


def post(curl: str, port: int) -> int:
    """Do what a command for curl does, at another port."""
    words = shlex.split(curl.replace("\\\n", " "))
    assert words[:3] == ["curl", "-i", "http://127.0.0.1:4449/callbacks/onespan"]
    header, value = words[words.index("-H") + 1].split(": ")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/callbacks/onespan", words[words.index("-d") + 1], {header: value})
    status = connection.getresponse().status
    connection.close()
    return status
