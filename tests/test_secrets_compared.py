"""Keys, tokens and path secrets are compared in constant time by construction; no clock is asked."""

import ast
import re

import pytest

from listener.door import comparison
from tests.rules import EVERYWHERE, FILES, Rule, never_calls

COMPARES = re.compile(r"hashlib\.sha256\(\w+\)\.digest\(\)")
SECRET = frozenset(
    {
        *("secret", "secrets", "known", "held", "mac", "digest", "digests", "callback_keys", "callback_client_secrets"),
        *("path_secret", "_keys", "_path_secret", "_clients", "_secrets", "_hmac_key", "_mac"),
    }
)


def compares_digests(tree: ast.Module, _code: str) -> list[str]:
    """Each side of a comparison is hashed in its place: both are as long, whatever was shown."""
    return [
        f"compares {ast.unparse(side)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "compare_digest"
        for side in node.args
        if not COMPARES.fullmatch(ast.unparse(side))
    ]


def no_secret_compared(tree: ast.Module, _code: str) -> list[str]:
    """Neither with an operator that ends at the first difference, nor with a method that does."""

    def secret(node: ast.AST) -> bool:
        named = (getattr(part, "attr", getattr(part, "id", None)) for part in ast.walk(node))
        return not SECRET.isdisjoint(named)

    operators = (ast.Eq, ast.NotEq, ast.In, ast.NotIn, ast.Lt, ast.Gt)
    compared = [
        node
        for node in ast.walk(tree)
        if (isinstance(node, ast.Compare) and any(isinstance(each, operators) for each in node.ops) and secret(node))
        or (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).rpartition(".")[2] in ("startswith", "endswith", "find", "index", "count")
            and secret(node)
        )
    ]
    return [f"compares in line {node.lineno}: {ast.unparse(node)}" for node in compared]


def compares_all(tree: ast.Module, _code: str) -> list[str]:
    """Whoever compares with several goes to the end, and tells nobody with which of them it was right."""

    def compares(node: ast.AST) -> bool:
        calls = (ast.unparse(part.func) for part in ast.walk(node) if isinstance(part, ast.Call))
        return any(call.rpartition(".")[2] == "same" for call in calls)

    ends = (ast.Break, ast.Continue, ast.Return, ast.Yield, ast.Raise)
    return [
        f"does not go to the end in line {node.lineno}"
        for node in ast.walk(tree)
        if (isinstance(node, ast.GeneratorExp) and compares(node))
        or (
            isinstance(node, ast.For | ast.While)
            and compares(node)
            and any(isinstance(part, ends) for part in ast.walk(node))
        )
    ]


RULES = [
    # Who answers sooner the less of a key is right tells it letter by letter. An imitation has no secrets.
    Rule(
        "what is secret is compared in one place",
        (*EVERYWHERE, "!listener/door/comparison.py", "!listener/demo/*"),
        never_calls("compare_digest"),
        "ok = hmac.compare_digest(shown, key)",
    ),
    Rule(
        "what is secret is compared by digests, which are of one length",
        ("listener/door/comparison.py",),
        compares_digests,
        "ok = hmac.compare_digest(hashlib.sha256(shown).digest(), key)",
    ),
    *(
        Rule(
            f"who lets in compares what is secret in no other way, {says}",
            ("listener/door/gate.py", "listener/door/token.py", "listener/door/exchange.py"),
            no_secret_compared,
            breaks,
        )
        for says, breaks in (
            ("neither as a whole", "ok = shown == self._path_secret"),
            ("nor as one of several", "ok = shown in self._keys"),
            ("nor a part of it", "ok = secret.startswith(shown)"),
        )
    ),
    Rule(
        "whoever compares with several secrets compares with all of them",
        (*EVERYWHERE, "!listener/demo/*"),
        compares_all,
        "for key in keys:\n    if comparison.same(shown, key):\n        break",
    ),
    Rule(
        "nobody asks whether any secret is the one, and stops there",
        (*EVERYWHERE, "!listener/demo/*"),
        compares_all,
        "ok = any(comparison.same(shown, key) for key in keys)",
    ),
]


@pytest.mark.parametrize("rule", RULES, ids=[rule.says for rule in RULES])
def test_a_rule_is_kept(rule: Rule) -> None:
    """By every file that it is about, of which there are some."""
    assert rule.violated() == []


@pytest.mark.parametrize("rule", RULES, ids=[rule.says for rule in RULES])
def test_a_rule_that_is_broken_is_noticed(rule: Rule) -> None:
    """In the first file that it is about, with one more piece of code; and not in an imitation."""
    assert len(rule.noticed()) == 1
    assert rule.problems("listener/demo/onespan.py", rule.breaks) == []


@pytest.mark.parametrize("path", ["listener/door/gate.py", "listener/door/token.py"])
def test_who_lets_in_does_compare(path: str) -> None:
    """The rules above are not kept by comparing nothing."""
    assert "comparison.same(" in FILES[path]


@pytest.mark.parametrize("shown", [b"", b"s", b"secre", b"secret!", b"Secret", b"secret\0", b"\xff" * 9999])
def test_only_the_whole_secret_is_the_same(shown: bytes) -> None:
    """Whatever is shown, of whatever length; nothing is the same as nothing."""
    assert not comparison.same(shown, b"secret")
    assert comparison.same(shown, bytes(shown))
