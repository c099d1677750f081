"""Hand-written kernels as text: the numbers of a call are written into their example's place."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..kernel import Constant

_HEADER = "import triton\nimport triton.language as tl\n"


@dataclass(frozen=True)
class _Statement:
    """A top-level definition, the comments above it, and the names that it uses."""

    name: str
    comment: str
    text: str
    uses: frozenset[str]
    is_function: bool


def specialized(path: Path, entry: str, name: str, values: Mapping[str, Constant]) -> str:
    """The source of the kernel `entry` of the module `path`, called `name`.

    Of the module's constants `NAME = tl.constexpr(...)` those in `values` get their values; what
    the kernel does not use is left out.
    """
    statements = _statements(path)
    unknown = values.keys() - statements.keys()
    assert not unknown, f"{path.name} has no constants {sorted(unknown)}"
    kept = _reachable(statements, entry)
    constants = [
        s.comment
        + (f"{s.name} = tl.constexpr({values[s.name]!r})" if s.name in values else s.text)
        for s in statements.values() if s.name in kept and not s.is_function
    ]  # fmt: skip
    functions = [
        s.comment + s.text.replace(f"def {entry}(", f"def {name}(")
        for s in statements.values() if s.name in kept and s.is_function
    ]  # fmt: skip
    return "\n\n\n".join(["\n".join([_HEADER, *constants]), *functions]) + "\n"


def _reachable(statements: Mapping[str, _Statement], entry: str) -> set[str]:
    found: set[str] = set()
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += statements[name].uses & statements.keys()
    return found


@cache
def _statements(path: Path) -> dict[str, _Statement]:
    """The functions and constants of a module by name, in order."""
    text = path.read_text()
    lines = text.splitlines()
    found: dict[str, _Statement] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            name, start = node.name, node.decorator_list[0].lineno
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, start = node.targets[0].id, node.lineno
        else:
            continue
        above = start
        while lines[above - 2].startswith("#"):
            above -= 1
        comment = "".join(f"{line}\n" for line in lines[above - 1 : start - 1])
        body = "\n".join(lines[start - 1 : node.end_lineno])
        uses = frozenset(n.id for n in ast.walk(node) if isinstance(n, ast.Name)) - {name}
        found[name] = _Statement(name, comment, body, uses, isinstance(node, ast.FunctionDef))
    return found
