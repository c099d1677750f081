"""Hand-written kernels as text: the numbers of a call are written into their example's place.

A number that varies from call to call is an argument: the kernel takes it, and so does each
function that needs one, or calls one that does.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..kernel import Constant

_HEADER = "import triton\nimport triton.language as tl\n"


@dataclass(frozen=True)
class Varying:
    """An expression over arguments of the kernel, in a place of a number."""

    text: str

    def __repr__(self) -> str:
        """The expression."""
        return self.text


Value = Constant | Varying | tuple[int | Varying, ...]


@dataclass(frozen=True)
class _Statement:
    """A top-level definition, the comments above it, and the names that it uses."""

    name: str
    comment: str
    text: str
    uses: frozenset[str]
    is_function: bool


def specialized(
    path: Path, entry: str, name: str, values: Mapping[str, Value], arguments: Sequence[str] = ()
) -> str:
    """The source of the kernel `entry` of the module `path`, called `name`.

    Of the module's constants `NAME = tl.constexpr(...)` those in `values` get their values; what
    the kernel does not use is left out. It takes `arguments` after its own.
    """
    statements = _statements(path)
    unknown = values.keys() - statements.keys()
    assert not unknown, f"{path.name} has no constants {sorted(unknown)}"
    kept = [s for s in statements.values() if s.name in _reachable(statements, entry)]
    varying = {n: v for n, v in values.items() if _varies(v)}
    constants = [
        s.comment
        + (f"{s.name} = tl.constexpr({values[s.name]!r})" if s.name in values else s.text)
        for s in kept if not s.is_function and s.name not in varying
    ]  # fmt: skip
    taking = {entry} if arguments else set[str]()
    for s in statements.values():
        if s.is_function and _reachable(statements, s.name) & varying.keys():
            taking.add(s.name)
    functions = [
        s.comment
        + _given(s, taking, varying, arguments).replace(f"def {entry}(", f"def {name}(")
        for s in kept if s.is_function
    ]  # fmt: skip
    return "\n\n\n".join(["\n".join([_HEADER, *constants]), *functions]) + "\n"


def _varies(value: Value) -> bool:
    return isinstance(value, Varying) or (
        isinstance(value, tuple) and any(isinstance(v, Varying) for v in value)
    )


def _given(
    statement: _Statement, taking: set[str], varying: Mapping[str, Value], arguments: Sequence[str]
) -> str:
    """A function that takes `arguments` where it is one of `taking`, and makes what is `varying` of
    them, as what it calls does."""
    if statement.name not in taking:
        return statement.text
    lines = statement.text.splitlines()
    tree = ast.parse(statement.text).body[0]
    assert isinstance(tree, ast.FunctionDef)
    more = "".join(f", {a}" for a in arguments)
    places = [tree.args.args[-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            places += node.args[-1:] if node.func.id in taking else []  # pyright: ignore
    made = [f"    {n} = {v!r}" for n, v in varying.items() if n in statement.uses]
    first = tree.body[1] if ast.get_docstring(tree) else tree.body[0]
    lines[first.lineno - 1 : first.lineno - 1] = made
    for place in sorted(places, key=lambda p: (p.end_lineno or 0, p.end_col_offset or 0))[::-1]:
        row = (place.end_lineno or 0) - 1
        row += len(made) if row >= first.lineno - 1 else 0
        at = place.end_col_offset or 0
        lines[row] = lines[row][:at] + more + lines[row][at:]
    return "\n".join(lines)


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
    """The functions and constants of a module by name, in order: first those that it imports of
    the modules beside it."""
    text = path.read_text()
    lines = text.splitlines()
    found: dict[str, _Statement] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            found |= _statements(path.with_name(f"{node.module}.py"))
            continue
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
