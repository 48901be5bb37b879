"""Rules about code, what finds where our files break one, and these files."""

import ast
from collections.abc import Callable, Collection, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for package in ("listener", "projections")
    for path in sorted((ROOT / package).rglob("*.py"))
}
EVERYWHERE = ("listener/*", "projections/*")
LINES_OF_A_FUNCTION = 40

Look = Callable[[ast.Module, str], list[str]]


class Rule(NamedTuple):
    """What must hold in files whose paths match, what finds where it does not, and a piece of code that breaks it."""

    says: str
    where: tuple[str, ...]
    look: Look
    breaks: str

    def covers(self, path: str) -> bool:
        """Patterns behind "!" are exceptions."""
        wanted = [pattern for pattern in self.where if not pattern.startswith("!")]
        excepted = [pattern[1:] for pattern in self.where if pattern.startswith("!")]
        return any(fnmatch(path, each) for each in wanted) and not any(fnmatch(path, each) for each in excepted)

    def problems(self, path: str, code: str) -> list[str]:
        """Where a file breaks it."""
        return [f"{path}: {problem}" for problem in self.look(ast.parse(code), code)] if self.covers(path) else []

    def violated(self) -> list[str]:
        """Where our files break it. A rule about no file of ours is broken, too."""
        if not any(self.covers(path) for path in FILES):
            return [f"there is no such file: {', '.join(self.where)}"]
        return [problem for path, code in FILES.items() for problem in self.problems(path, code)]

    def noticed(self) -> list[str]:
        """What is found where its piece of code stands in the first file that it is about."""
        path = next(path for path, code in FILES.items() if self.covers(path) and code)
        return self.problems(path, self.breaks)


def imported(tree: ast.AST) -> Iterator[str]:
    """What is imported directly, wherever it stands: `from listener import errors` is listener.errors."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, modules: Collection[str]) -> bool:
    """Whether a name is one of these modules, or in one."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def only(*allowed: str) -> Look:
    """Of our own code nothing but these."""

    def look(tree: ast.Module, _code: str) -> list[str]:
        ours = [name for name in imported(tree) if within(name, ("listener", "projections"))]
        return [f"imports {name}" for name in ours if not within(name, allowed)]

    return look


def never(*forbidden: str) -> Look:
    """None of these."""

    def look(tree: ast.Module, _code: str) -> list[str]:
        return [f"imports {name}" for name in imported(tree) if within(name, forbidden)]

    return look


def only_from_others(*allowed: str) -> Look:
    """Of what is not ours nothing but these."""

    def look(tree: ast.Module, _code: str) -> list[str]:
        theirs = [name for name in imported(tree) if not within(name, ("listener", "projections"))]
        return [f"imports {name}" for name in theirs if not within(name, allowed)]

    return look


def never_calls(*names: str) -> Look:
    """None of these, by whatever name they are reached: `Sqlite(…)`, `sqlite.Sqlite(…)`."""

    def look(tree: ast.Module, _code: str) -> list[str]:
        calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
        return [f"calls {call}" for call in calls if call.rpartition(".")[2] in names]

    return look


def never_names(*names: str) -> Look:
    """None of these attributes, such as `os.environ`."""

    def look(tree: ast.Module, _code: str) -> list[str]:
        found = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
        return [f"uses {name}" for name in [*found, *imported(tree)] if name in names]

    return look


def not_async(tree: ast.Module, _code: str) -> list[str]:
    """Neither a function nor a block."""
    kinds = ast.AsyncFunctionDef | ast.AsyncWith | ast.AsyncFor
    return [f"async in line {node.lineno}" for node in ast.walk(tree) if isinstance(node, kinds)]


def not_longer(most: int) -> Look:
    """Neither the file nor a function in it."""

    def look(tree: ast.Module, code: str) -> list[str]:
        lines = len(code.splitlines())
        found = [f"{lines} lines"] if lines > most else []
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                length = node.end_lineno - node.lineno + 1
                found += [f"{node.name} has {length} lines"] if length > LINES_OF_A_FUNCTION else []
        return found

    return look


def told(tree: ast.Module, _code: str) -> list[str]:
    """A file without a first line that says what it is; a file without code needs none."""
    return ["no first line says what it is"] if tree.body and not ast.get_docstring(tree) else []
