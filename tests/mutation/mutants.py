"""Planted errors: one expression of a function changed, generated from its source.

A mutant exchanges the code of a function for that of the changed source, so whoever refers to the
function meets the error, and takes it back afterwards.
"""

from __future__ import annotations
import __future__

import ast
import copy
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from ostinato.ir.op import OPS
from ostinato.passes.algebra import is_symmetric

Damage = Callable[[ast.expr], Iterator[ast.expr]]


class NoErrorAtAll(Exception):
    """Raised by a check that shows that what was planted is none."""


@dataclass(frozen=True)
class Mutant:
    """An error that can be planted, and the checks that are responsible for finding it."""

    family: str
    target: str
    damage: str
    change: str
    planted: Callable[[], AbstractContextManager[object]]
    checks: Sequence[Callable[[], None]]

    @property
    def name(self) -> str:
        """Unique, and the same as long as the source of the target is."""
        return f"{self.family}: {self.target}: {self.damage}: {self.change}"


@dataclass(frozen=True)
class Change:
    """A function with one expression exchanged."""

    function: Any
    damage: str
    text: str
    code: CodeType

    @contextmanager
    def planted(self) -> Generator[None]:
        """The function is the changed one."""
        right = self.function.__code__
        self.function.__code__ = self.code
        _forget(self.function)
        try:
            yield
        finally:
            self.function.__code__ = right
            _forget(self.function)


def _forget(function: FunctionType) -> None:
    """Empties the caches of the module that `function` is in."""
    for value in list(function.__globals__.values()):
        if hasattr(value, "cache_clear"):
            value.cache_clear()


def changes(function: FunctionType, damages: dict[str, Damage]) -> Iterator[Change]:
    """Every change of an expression in the body of `function` that one of `damages` makes."""
    tree = definition(function.__code__)
    seen: dict[tuple[str, str], int] = {}
    for place in _expressions(tree):
        node = place.get()
        for damage, variants in damages.items():
            for new in variants(node):
                before = place.text()
                place.set(new)
                code, text = _compiled(tree, function), f"{before} -> {place.text()}"
                place.set(node)
                number = seen[damage, text] = seen.get((damage, text), 0) + 1
                yield Change(function, damage, text + (f" #{number}" if number > 1 else ""), code)


@dataclass(frozen=True)
class _Place:
    """Where an expression is in a tree, and the expression that shows it to a reader."""

    parent: ast.AST
    field: str
    index: int | None
    shown: ast.expr | None

    def get(self) -> ast.expr:
        value = getattr(self.parent, self.field)
        return value if self.index is None else value[self.index]

    def set(self, node: ast.expr) -> None:
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node

    def text(self) -> str:
        return ast.unparse(self.get() if self.shown is None else self.shown)


def _expressions(tree: ast.FunctionDef) -> list[_Place]:
    """The expressions in the statements of a function, but for docstrings and annotations."""
    places: list[_Place] = []

    def visit(parent: ast.AST, around: ast.expr | None) -> None:
        for field, value in ast.iter_fields(parent):
            if field in ("annotation", "returns", "decorator_list", "ctx"):
                continue
            many = isinstance(value, list)
            nodes: list[Any] = list(enumerate(value)) if many else [(None, value)]  # pyright: ignore[reportUnknownArgumentType]
            for index, node in nodes:
                if isinstance(node, ast.expr):
                    shown = around if _is_literal(node) else None
                    places.append(_Place(parent, field, index, shown))
                    bare = isinstance(node, (ast.UnaryOp, ast.Slice))
                    visit(node, around if bare else node)
                elif isinstance(node, ast.AST):
                    visit(node, around)

    for statement in tree.body:
        if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Constant):
            visit(statement, None)
    return places


def _is_literal(node: ast.expr) -> bool:
    inner = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(inner, ast.Constant)


@cache
def _module(filename: str) -> ast.Module:
    return ast.parse(Path(filename).read_text())


def definition(code: CodeType) -> ast.FunctionDef:
    """A copy of the tree of the function with this code."""
    for node in ast.walk(_module(code.co_filename)):
        if isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            if first == code.co_firstlineno:
                made = copy.deepcopy(node)
                made.decorator_list = []
                return made
    raise LookupError(f"{code.co_qualname} is no function of {code.co_filename}")


def _compiled(tree: ast.FunctionDef, function: FunctionType) -> CodeType:
    right = function.__code__
    assert not right.co_freevars, f"{right.co_qualname} is a closure"
    module = ast.fix_missing_locations(ast.Module([tree], []))
    flags = __future__.annotations.compiler_flag
    outer = compile(module, right.co_filename, "exec", flags=flags, dont_inherit=True)
    (code,) = (c for c in outer.co_consts if isinstance(c, CodeType) and c.co_name == tree.name)
    return code


# Damages.


def negated(node: ast.expr) -> Iterator[ast.expr]:
    """-x becomes x."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield node.operand


def swapped(node: ast.expr) -> Iterator[ast.expr]:
    """x - y becomes y - x, f(x, y) becomes f(y, x), x if c else y becomes y if c else x; where the
    order does not matter, nothing."""
    if isinstance(node, ast.BinOp) and not _is_symmetric(node):
        if _differ(node.left, node.right):
            yield ast.BinOp(node.right, node.op, node.left)
    elif isinstance(node, ast.Call) and not _calls_symmetric(node):
        for i, (a, b) in enumerate(pairwise(node.args)):
            if _differ(a, b):
                args = [*node.args[:i], b, a, *node.args[i + 2 :]]
                yield ast.Call(node.func, args, node.keywords)
    elif isinstance(node, ast.IfExp):
        yield ast.IfExp(node.test, node.orelse, node.body)


def term_dropped(node: ast.expr) -> Iterator[ast.expr]:
    """x + y becomes x, or y; the same for other operators of two operands."""
    if isinstance(node, ast.BinOp):
        yield from (node.left, node.right)


def off_by_one(node: ast.expr) -> Iterator[ast.expr]:
    """n becomes n + 1; < becomes <=, and so on."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            if type(op) in _LAX:
                ops = [*node.ops[:i], _LAX[type(op)](), *node.ops[i + 1 :]]
                yield ast.Compare(node.left, ops, node.comparators)


_LAX: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
}  # fmt: skip


def other_axis(node: ast.expr) -> Iterator[ast.expr]:
    """x[i] becomes x[i - 1], and the number of an axis one more."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        index = node.slice
        name = ast.unparse(node.value).rpartition(".")[2]
        if name not in _NOT_SIZES and not isinstance(index, (ast.Slice, ast.Tuple)):
            yield ast.Subscript(
                node.value, ast.BinOp(index, ast.Sub(), ast.Constant(1)), ast.Load()
            )
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id == "axis_of":
            yield ast.BinOp(node, ast.Add(), ast.Constant(1))


_NOT_SIZES = ("operands", "results", "attrs")
"""What has elements, but no axes."""


def _differ(a: ast.expr, b: ast.expr) -> bool:
    """True for two single expressions that are not the same."""
    starred = any(isinstance(x, ast.Starred) for x in (a, b))
    return not starred and ast.dump(a) != ast.dump(b)


def _is_symmetric(node: ast.BinOp) -> bool:
    """Sums and products of numbers and tensors, and what is neither."""
    if isinstance(node.op, ast.Add):
        return not any(map(_is_sequence, (node.left, node.right)))
    if isinstance(node.op, ast.Mult):
        return True
    return isinstance(node.op, (ast.BitAnd, ast.BitOr, ast.BitXor))


def _is_sequence(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return _is_sequence(node.left) or _is_sequence(node.right)
    return isinstance(node, (ast.Tuple, ast.List, ast.JoinedStr))


def _calls_symmetric(node: ast.Call) -> bool:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    op = OPS.get(name.rstrip("_"))
    return name in ("min", "max", "zip") or (op is not None and is_symmetric(op))


def functions_of(function: FunctionType, package: str | tuple[str, ...]) -> list[FunctionType]:
    """`function` and the plain functions of modules below `package` that it calls, and they."""
    found = [function]
    for f in found:
        for name in _names(f.__code__):
            value = f.__globals__.get(name)
            if isinstance(value, FunctionType) and value.__module__.startswith(package):
                if not hasattr(value, "__wrapped__") and value not in found:
                    found.append(value)
    return found


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


@contextmanager
def attribute(of: Any, name: str, value: Any) -> Generator[None]:
    """The object `of`, which may be frozen, has another attribute `name`."""
    right = getattr(of, name)
    object.__setattr__(of, name, value)
    try:
        yield
    finally:
        object.__setattr__(of, name, right)
