"""Who may know whom, what stands where, how large things grow. Each rule is shown a piece of code that breaks it."""

import ast
import subprocess
import sys

import pytest

from tests.rules import (
    EVERYWHERE,
    Rule,
    never,
    never_calls,
    never_names,
    not_async,
    not_longer,
    only,
    only_from_others,
    told,
)

LINES_OF_A_FILE = 330
LINES_OF_THE_VERIFIER = 450

not_long = not_longer(LINES_OF_A_FILE)
PARTS = ("", "_accounts", "_checking", "_documents", "_door", "_erasing", "_log", "_reconciling", "_working")
BUILDERS = tuple(f"listener.bootstrap{of}" for of in PARTS)
OPENING = ("generations", "live", "projector", "rebuilding", "renewal", "replay")  # rooms of the worker that open views
RULES = [
    Rule(
        "the meaning imports nothing of the machine, and one projection never imports another",
        ("projections/*", "!projections/facts.py"),
        only("projections.columns", "projections.course", "projections.facts"),
        "from projections import packages",
    ),
    Rule(
        "the words of the meaning import nothing of ours",
        ("projections/facts.py",),
        only(),
        "from listener import errors",
    ),
    Rule(
        "the meaning has no input, no output, no clock and no dice",
        ("projections/*",),
        only_from_others("collections", "typing", "hashlib", "msgspec", "sqlalchemy"),
        "import datetime",
    ),
    Rule(
        "the meaning opens nothing: of SQLAlchemy it has tables, and no connections",
        ("projections/*",),
        never_calls("open", "create_engine", "connect", "execute", "begin", "print"),
        "def apply(state):\n    return engine.connect()",
    ),
    Rule(
        "the log knows errors, and itself",
        ("listener/log/*",),
        only("listener.errors", "listener.log"),
        "from listener import acts",
    ),
    Rule(
        "a provider knows an event and the words of the meaning; never another provider",
        ("listener/providers/*",),
        only("listener.errors", "listener.log.event", "listener.provider", "projections.facts"),
        "from listener.providers import onespan",
    ),
    Rule(
        "how a provider is asked is no part of what it means",
        ("listener/*", "projections/*", "!listener/apis/*", "!listener/demo/*"),
        never("listener.apis"),
        "from listener.apis import onespan",
    ),
    Rule(
        "an API knows its provider's words, how to ask, and who opens what comes",
        ("listener/apis/*",),
        only(
            "listener.api",
            "listener.apis.evrotrust_answer",
            "listener.apis.onespan_listing",
            "listener.apis.onespan_package",
            "listener.decryption.child",
            "listener.errors",
            "listener.provider",
            "listener.providers",
            "listener.tokens",
            "listener.wire",
            "projections.facts",
        ),
        "from listener.apis import onespan",
    ),
    Rule(
        "what decrypts knows bytes, and neither who sent them nor where they go",
        ("listener/decryption/*",),
        only(
            "listener.api",
            "listener.confined",
            "listener.decryption",
            "listener.errors",
            "listener.parent",
            "listener.zips",
        ),
        "from listener.worker import filestore",
    ),
    Rule(
        "what checks signatures knows bytes and the words of the meaning, and neither who sent them nor where they go",
        ("listener/checking/*",),
        only(
            *(
                "listener.checking",
                "listener.confined",
                "listener.errors",
                "listener.files",
                "listener.parent",
                "listener.zips",
            ),
            "projections.facts",
        ),
        "from listener.worker import filestore",
    ),
    # It takes a second to load, and reads what strangers made.
    Rule(
        "pyhanko is loaded by the process that checks signatures, and by no other",
        (*EVERYWHERE, "!listener/checking/__main__.py", "!listener/checking/pdf.py"),
        never("pyhanko", "pyhanko_certvalidator", "asn1crypto", "listener.checking.pdf"),
        "def late():\n    from pyhanko import sign",
    ),
    Rule(
        "what decrypts knows no network",
        ("listener/decryption/*",),
        never("socket", "ssl", "http", "urllib", "httpx", "asyncio"),
        "def late():\n    import urllib.request",
    ),
    Rule(
        "the door knows the log and who may come in; nothing that projects, downloads or shows",
        ("listener/door/*",),
        only(
            "listener.door",
            "listener.errors",
            "listener.log",
            "listener.parent",
            "listener.provider",
            "listener.quarantine",
            "listener.settings",
        ),
        "def late():\n    from projections import packages",
    ),
    Rule(
        "the worker knows neither the door nor the desk, and is given what is configured",
        ("listener/worker/*",),
        never(
            "listener.door", "listener.desk", "listener.cli", "listener.bootstrap", "listener.settings", "listener.demo"
        ),
        "from listener.desk import status",
    ),
    Rule(
        "the desk looks; it knows neither the door nor the worker",
        ("listener/desk/*", "!listener/desk/past.py"),
        never("listener.door", "listener.worker", "listener.cli", "listener.bootstrap", "listener.demo"),
        "from listener.worker.projector import Projector",
    ),
    Rule(
        "what was so before is folded in one place, as the worker does it, and by nothing else of the worker's",
        ("listener/desk/past.py",),
        only(
            "listener.acts",
            "listener.concerning",
            "listener.desk",
            "listener.errors",
            "listener.fingerprint",
            "listener.interpreter",
            "listener.log",
            "listener.projection",
            "listener.worker.anew",
            "projections",
        ),
        "from listener.worker.projector import Projector",
    ),
    Rule(
        "who signs knows the log and what was decided; the worker, the desk and the commands know who signs",
        ("listener/signing/*",),
        only("listener.acts", "listener.errors", "listener.files", "listener.log", "listener.only", "listener.signing"),
        "from listener.worker import loop",
    ),
    Rule(
        "an audit reads: the log, who signed it, and documents; nothing that makes them",
        ("listener/audit/*",),
        only(
            "listener.acts",
            "listener.audit",
            "listener.errors",
            "listener.files",
            "listener.log",
            "listener.cabinet",
            "listener.signing.decided",
            "projections.facts",
        ),
        "from listener.signing.signer import Signer",
    ),
    # An outsider may take it to check us with.
    Rule(
        "the tree's arithmetic needs nothing but Python",
        ("listener/log/merkle.py",),
        only_from_others("collections", "hashlib", "typing"),
        "import sqlalchemy",
    ),
    Rule(
        "evidence shows what the desk knows, under what was signed; it makes nothing of its own",
        ("listener/evidence/*", "!listener/evidence/verify.py"),
        never("listener.door", "listener.worker", "listener.cli", "listener.bootstrap", "listener.demo"),
        "from listener.worker import filestore",
    ),
    # It goes with the evidence to where nothing of ours is, in one file.
    Rule(
        "the verifier needs nothing but Python",
        ("listener/evidence/verify.py",),
        only_from_others(
            *("__future__", "argparse", "base64", "hashlib", "json", "os", "re", "sys", "typing", "zipfile"),
        ),
        "import sqlalchemy",
    ),
    Rule(
        "the verifier needs nothing of ours, to the last line",
        ("listener/evidence/verify.py",),
        only(),
        "from listener.log import merkle",
    ),
    Rule(
        "the verifier can be read in one go",
        ("listener/evidence/verify.py",),
        not_longer(LINES_OF_THE_VERIFIER),
        "def long():\n" + "    x = 1\n" * 40,
    ),
    Rule(
        "imitations know nothing of what they are shown to",
        ("listener/demo/*",),
        only("listener.demo"),
        "from listener import provider",
    ),
    Rule("errors know nothing", ("listener/errors.py",), only(), "from listener import times"),
    Rule(
        "the supervisor outlives whatever is wrong with the rest",
        ("listener/supervisor.py",),
        only(),
        "from listener import logs",
    ),
    Rule(
        "only commands know commands, imitations and who builds",
        (
            "listener/*",
            *("!listener/cli/*", "!listener/demo/*", "!listener/__main__.py"),
            *("!listener/bootstrap.py", "!listener/bootstrap_*.py"),
        ),
        never(*("listener.cli", "listener.demo"), *BUILDERS),
        "from listener import bootstrap",
    ),
    Rule(
        "only bootstrap builds what holds a file, a lock or a key",
        (*EVERYWHERE, "!listener/bootstrap.py", "!listener/bootstrap_*.py"),
        never_calls(
            "Backup",
            "Bucket",
            "Claims",
            "DatabaseLease",
            "Downloads",
            "Erasure",
            "Fenced",
            "FileStore",
            "Gate",
            "KeyFile",
            "ObjectStore",
            "OnlyOne",
            "Projector",
            "Quarantine",
            "Postgres",
            "Reconciler",
            "Restore",
            "Spool",
            "Sqlite",
        ),
        "found = sqlite.Sqlite(folder)",
    ),
    Rule(
        "tree and agenda are opened where it is asked whether all is well, besides",
        (*EVERYWHERE, "!listener/bootstrap.py", "!listener/bootstrap_*.py", "!listener/desk/health.py"),
        never_calls("Agenda", "Tree"),
        "found = tree.Tree(folder)",
    ),
    # Which generation is live may change while they run: only the log's database tells.
    Rule(
        "views are opened where the live generation is known",
        (
            *(*EVERYWHERE, "!listener/views_file.py", "!listener/desk/reading.py"),
            *(f"!listener/worker/{name}.py" for name in OPENING),
        ),
        never_calls("generation"),
        "found = shelf.generation(1)",
    ),
    Rule(
        "where views lie is told by the log's database, and nobody else need know",
        (*EVERYWHERE, "!listener/shelf.py", "!listener/views_*.py"),
        never("listener.views_file", "listener.views_schema"),
        "from listener.views_file import FileShelf",
    ),
    # It belongs to the event loop that it is made in.
    Rule(
        "the app makes the writer",
        (*EVERYWHERE, "!listener/door/app.py"),
        never_calls("Writer"),
        "found = Writer(database)",
    ),
    Rule(
        "only the settings read the environment",
        (*EVERYWHERE, "!listener/settings.py"),
        never_names("os.environ", "os.environb", "os.getenv", "getpass.getuser"),
        "from os import environ",
    ),
    # The supervisor's one line says that a part ended: it imports no logger, to stay small. The verifier is a command.
    Rule(
        "only commands print",
        (*EVERYWHERE, "!listener/cli/*", "!listener/supervisor.py", "!listener/evidence/verify.py"),
        never_calls("print", "input"),
        "print(1)",
    ),
    Rule(
        "only commands write to standard output",
        (*EVERYWHERE, "!listener/cli/*"),
        never_names("sys.stdout", "sys.__stdout__"),
        "sys.stdout.write('x')",
    ),
    Rule(
        "nothing is async but the door, the futures of its writer, and imitations",
        (*EVERYWHERE, "!listener/door/*", "!listener/log/writer.py", "!listener/demo/*"),
        not_async,
        "async def fetch(): ...",
    ),
    Rule(
        "no file and no function is long",
        (*EVERYWHERE, "!listener/evidence/verify.py"),
        not_long,
        "def long():\n" + "    x = 1\n" * 40,
    ),
    Rule("a file's first line says what it is", (*EVERYWHERE, "!*/__init__.py"), told, "import os"),
]


@pytest.mark.parametrize("rule", RULES, ids=[rule.says for rule in RULES])
def test_a_rule_is_kept(rule: Rule) -> None:
    """By every file that it is about, of which there are some."""
    assert rule.violated() == []


@pytest.mark.parametrize("rule", RULES, ids=[rule.says for rule in RULES])
def test_a_rule_that_is_broken_is_noticed(rule: Rule) -> None:
    """In the first file that it is about, with one more piece of code."""
    assert len(rule.noticed()) == 1


def test_a_long_file_is_noticed() -> None:
    """Though each of its functions is short."""
    code = '"""A file."""\n' + "x = 1\n" * LINES_OF_A_FILE
    assert not_long(ast.parse(code), code) == [f"{LINES_OF_A_FILE + 1} lines"]


def test_exceptions_are_exceptions() -> None:
    """A rule with an exception covers what stands beside it."""
    rule = Rule("x", ("listener/*", "!listener/cli/*"), told, "")
    assert rule.covers("listener/log/append.py")
    assert not rule.covers("listener/cli/app.py")
    assert not rule.covers("projections/facts.py")


# What a process loads in the end, however it comes to it

MEANING = (
    "listener.worker",
    "listener.desk",
    "listener.views",
    "listener.interpreter",
    "projections.packages",
    "httpx",
    "cryptography",
    "listener.audit",
    "listener.signing",
)


def loaded(module: str) -> list[str]:
    """What of the meaning a process has in memory that has imported a module."""
    script = f"import sys, {module}; print(*[name for name in {MEANING} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split()


def test_the_door_loads_no_meaning() -> None:
    """Nothing heavier than an append runs in its process."""
    assert loaded("listener.door.app, listener.door.server, listener.bootstrap") == []


def test_the_door_knows_that_something_decrypts_and_does_not() -> None:
    """It looks at the whole configuration before it starts; neither HTTP clients nor private keys come with that."""
    assert loaded("listener.apis.evrotrust, listener.apis.onespan") == []
    assert loaded("listener.decryption.keys") == ["cryptography"]


def test_the_worker_does() -> None:
    """The test above is able to fail."""
    assert {"listener.worker", "listener.views", "projections.packages"} <= set(loaded("listener.worker.loop"))


def test_the_supervisor_loads_nothing_of_ours() -> None:
    """But the name of the package."""
    script = "import sys, listener.supervisor; print(*sorted(n for n in sys.modules if n.startswith('listener')))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["listener", "listener.supervisor"]
