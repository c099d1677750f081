"""What the source of a function says of its local variables: where a number in one comes from."""

from __future__ import annotations

import ast
import builtins
import dis
import linecache
import math
import operator
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any, cast

from ..runtime import _C

Binding = tuple[str, ast.expr | None]
"""How a name is bound ("set" to the expression, "part" of it, "changed" by it, or otherwise)."""

_NAMES: dict[type[ast.AST], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "truediv", ast.FloorDiv: "floordiv",
    ast.Mod: "mod", ast.Pow: "pow", ast.USub: "neg", ast.UAdd: "pos",
}  # fmt: skip
OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    node: getattr(operator, name) for node, name in _NAMES.items()
}
_PURE = (
    "abs", "divmod", "enumerate", "float", "int", "len", "max", "min", "pow", "range", "reversed",
    "round", "sorted", "sum", "zip",
)  # fmt: skip
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_OF_PARTS = (
    ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Tuple, ast.List, ast.Subscript,
    ast.Slice, ast.Attribute, ast.Starred,
)  # fmt: skip


@lru_cache(maxsize=64)
def _functions(filename: str, text: str) -> dict[tuple[str, int], ast.AST]:
    try:
        nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]
    except SyntaxError:
        return {}
    return {(n.name, min([n, *n.decorator_list], key=lambda d: d.lineno).lineno): n for n in nodes}


@lru_cache(maxsize=1024)
def bindings(code: CodeType) -> dict[str, list[Binding]] | None:
    """The bindings of each name in a function, parameters aside; None where its source is unknown
    or has what this does not follow."""
    text = "".join(linecache.getlines(code.co_filename))
    node = _functions(code.co_filename, text).get((code.co_name, code.co_firstlineno))
    if not isinstance(node, ast.FunctionDef):
        return None
    found: dict[str, list[Binding]] = {}
    for statement in node.body:
        for name, how, value in _bound(statement):
            found.setdefault(name, []).append((how, value))
    return found


def _bound(node: ast.AST) -> Iterator[tuple[str, str, ast.expr | None]]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _targets(target, "set", node.value)
    elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
        yield from _targets(node.target, "set", node.value)
    elif isinstance(node, ast.AugAssign):
        yield from _targets(node.target, "changed", node.value)
    elif isinstance(node, ast.For):
        yield from _targets(node.target, "part", node.iter)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
        yield node.id, "otherwise", None
    elif isinstance(node, _SCOPES):
        yield getattr(node, "name", ""), "otherwise", None
        return
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, (ast.Name, ast.Tuple, ast.List)) and _is_target(node, child)):
            yield from _bound(child)


def _is_target(node: ast.AST, child: ast.AST) -> bool:
    return child in getattr(node, "targets", ()) or child is getattr(node, "target", None)


def _targets(
    target: ast.expr, how: str, value: ast.expr
) -> Iterator[tuple[str, str, ast.expr | None]]:
    if isinstance(target, ast.Name):
        yield target.id, how, value
    elif isinstance(target, (ast.Tuple, ast.List)):
        for part in target.elts:
            yield from _targets(part, "part", value)


def is_parameter(code: CodeType, name: str) -> bool:
    """Whether the function gets `name` by a call."""
    return name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def only_value(frame: FrameType, name: str) -> ast.expr | None:
    """The expression that a local is set to, once, of names that are never bound again."""
    found = bindings(frame.f_code)
    if found is None or is_parameter(frame.f_code, name) or len(found.get(name, ())) != 1:
        return None
    how, value = found[name][0]
    if how != "set" or value is None:
        return None
    names = [n.id for n in ast.walk(value) if isinstance(n, ast.Name)]
    return None if any(n in found for n in names) else value


def is_read_once(code: CodeType, name: str) -> bool:
    """Whether one instruction alone reads the local."""
    steps = cast("Iterable[Any]", dis.get_instructions(code))
    read = [step.argval for step in steps if step.opname.startswith("LOAD_FAST")]
    return sum(name in (r if isinstance(r, tuple) else (r,)) for r in read) == 1


class Seen:
    """Whether numbers of the function that runs in `frame` follow from its source and from what a
    capture guards: literals, shapes, names, attributes and items, and arithmetic of these."""

    def __init__(self, frame: FrameType, given: Callable[[], bool]) -> None:
        self.frame, self.given = frame, given  # `given`: whether numbers in parameters do
        self.names: dict[str, bool] = {}

    def __call__(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Constant):
            return True
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.Call):
            return self._is_pure(node.func) and all(map(self, node.args)) and not node.keywords
        return isinstance(node, _OF_PARTS) and all(
            self(n) for n in ast.iter_child_nodes(node) if isinstance(n, ast.expr)
        )

    def _name(self, name: str) -> bool:
        if name not in self.names:
            self.names[name] = True  # a variable that is computed from itself
            self.names[name] = self._is_seen(name)
        return self.names[name]

    def _is_seen(self, name: str) -> bool:
        value = self.frame.f_locals.get(name)
        if name not in self.frame.f_code.co_varnames or isinstance(value, _C.Tensor):
            return True
        found = bindings(self.frame.f_code)
        if found is None:
            return False
        given = is_parameter(self.frame.f_code, name)
        if given and isinstance(value, (int, float)) and not self.given():
            return False
        return (given or name in found) and all(
            expression is not None and self(expression) for _, expression in found.get(name, ())
        )

    def _is_pure(self, callee: ast.expr) -> bool:
        if isinstance(callee, ast.Name):
            known = callee.id in _PURE and callee.id not in self.frame.f_locals
            return known and callee.id not in self.frame.f_globals and hasattr(builtins, callee.id)
        if not (isinstance(callee, ast.Attribute) and isinstance(callee.value, ast.Name)):
            return False
        owner = {**self.frame.f_globals, **self.frame.f_locals}.get(callee.value.id)
        of_shape = isinstance(owner, _C.Tensor) and callee.attr in ("size", "dim", "numel")
        return owner is math or of_shape
