"""Prints the tree of a kernel as lines of Python: unused values dropped, short ones inlined."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .nodes import LOOSE, UNARY, Carried, Frame, Loop, Node, Store

_INDENT = "    "
_WIDTH = 92
_INLINE = 44
_WEAK = ("float32", "int32", "int1")


def function_text(frame: Frame, taken: Sequence[str], result: Node | None = None) -> list[str]:
    """The lines of a function's body; names in `taken` are its parameters or otherwise in use."""
    return _Printer(frame, taken, result).lines


@dataclass
class _Uses:
    """Who needs a value: how often, and in which frame (by depth)."""

    count: int = 0
    depths: set[int] = field(default_factory=set[int])


@dataclass(frozen=True)
class _Operand:
    """An operand's text. For a number there are three: beside a value of its type, alone in a call
    (format `t`), and where it must be a tensor (`f`); `p` is the first wherever it stands."""

    plain: str
    typed: str
    full: str
    alone: bool = False

    def __format__(self, spec: str) -> str:
        if spec == "f" or (self.alone and spec != "p"):
            return self.full
        return self.typed if spec == "t" else self.plain


class _Printer:
    def __init__(self, frame: Frame, taken: Sequence[str], result: Node | None) -> None:
        self.lines: list[str] = []
        self.names: dict[Node, str] = {}
        self.pending: dict[Node, str] = {}
        self.taken = dict.fromkeys((*taken, "tl", "triton"), 1)
        self.uses: dict[Node, _Uses] = {}
        carried = list(_carried(frame))
        self.carried = {n: c for c in carried for n in (c.inside, c.after)}
        self.last = {c.following for c in carried}
        self._mark_frame(frame, 0)
        if result is not None:
            self._mark(result, 0)
        self._frame(frame, 0)
        if result is not None:
            text = self._fitted("return {0}", (result,), (LOOSE,), 0)
            self.lines.append(f"{_INDENT}{text}")

    def _mark_frame(self, frame: Frame, depth: int) -> None:
        for item in frame.items:
            if isinstance(item, Store):
                for n in item.operands:
                    self._mark(n, depth)
            elif isinstance(item, Loop):
                self._mark_frame(item.body, depth + 1)

    def _mark(self, node: Node, depth: int) -> None:
        if node.is_literal:
            return
        uses = self.uses.setdefault(node, _Uses())
        uses.count += 1
        uses.depths.add(depth)
        if uses.count > 1:
            return
        carried = self.carried.get(node)
        if carried is None:
            for n in node.operands:
                self._mark(n, node.depth)
        elif node is carried.after:
            self._mark(carried.start, node.depth)
            self._mark(carried.following, node.depth + 1)

    def _frame(self, frame: Frame, depth: int) -> None:
        for item in frame.items:
            if isinstance(item, Store):
                self._store(item, depth)
            elif isinstance(item, Loop):
                self._loop(item, depth)
            elif item in self.uses:
                self._value(item, depth)

    def _value(self, node: Node, depth: int) -> None:
        uses = self.uses[node]
        taken = len(node.hint) + len(" = ")
        text = self._fitted(node.template, node.operands, node.ranks, depth, taken)
        most = _WIDTH - 4 * depth - taken if node in self.last else _INLINE
        if not node.named and uses.count == 1 and uses.depths == {depth} and len(text) <= most:
            self.pending[node] = text
        else:
            self._define(node, text, depth)

    def _define(self, node: Node, text: str, depth: int) -> None:
        self.names[node] = name = self._fresh(node.hint)
        self._line(f"{name} = {text}", depth)

    def _store(self, item: Store, depth: int) -> None:
        text = self._fitted(item.template, item.operands, (), depth)
        comment = f"  # {item.comment}" if item.comment else ""
        if comment and len(text) + len(comment) + 4 * depth > _WIDTH:
            self._line(comment.strip(), depth)
            comment = ""
        self._line(text + comment, depth)

    def _loop(self, loop: Loop, depth: int) -> None:
        carried = [c for c in loop.carried if c.after in self.uses]
        if not carried and not any(isinstance(i, (Store, Loop)) for i in loop.body.items):
            return
        for c in carried:
            known = c.start.is_literal or not c.start.operands
            text = (
                self._fitted("{0:t}", (c.start,), (), depth) if known
                else self._fitted(c.start.template, c.start.operands, (), depth)
            )  # fmt: skip
            self.names[c.inside] = self.names[c.after] = name = self._fresh(c.after.hint)
            self._line(f"{name} = {text}", depth)
        self.names[loop.index] = index = self._fresh(loop.index.hint)
        self._line(f"for {index} in {loop.range}:", depth)
        self._frame(loop.body, depth + 1)
        for c in _in_order(carried):
            text = self._fitted("{0:t}", (c.following,), (), depth + 1)
            self._line(f"{self.names[c.after]} = {text}", depth + 1)

    def _line(self, text: str, depth: int) -> None:
        self.lines.append(_INDENT * (depth + 1) + text)

    def _fresh(self, hint: str) -> str:
        number = self.taken.get(hint)
        if number is None:
            self.taken[hint] = 1
            return hint
        while f"{hint}_{number}" in self.taken:
            number += 1
        self.taken[hint] = number + 1
        self.taken[f"{hint}_{number}"] = 1
        return f"{hint}_{number}"

    def _fitted(self, template: str, operands: Sequence[Node], ranks: Sequence[int],
                depth: int, taken: int = 0) -> str:  # fmt: skip
        """The text of a template; inlined operands get names of their own until it fits into a line
        of which `taken` characters are something else."""
        alone = all(n.is_literal for n in operands)
        while True:
            text = template.format(*(
                self._operand(n, ranks[i] if ranks else LOOSE, alone)
                for i, n in enumerate(operands)
            ))  # fmt: skip
            inlined = [n for n in operands if n in self.pending]
            if len(text) + 4 * depth + taken <= _WIDTH or not inlined:
                break
            longest = max(inlined, key=lambda n: len(self.pending[n]))
            self._define(longest, self.pending.pop(longest), depth)
        for n in operands:
            self.pending.pop(n, None)
        return text

    def _operand(self, node: Node, rank: int, alone: bool) -> _Operand:
        if node.is_literal:
            plain, typed, full = _number(node)
            negative = plain.startswith("-") and rank > UNARY
            return _Operand(f"({plain})" if negative else plain, typed, full, alone)
        text = self.names.get(node) or self.pending.get(node) or node.template
        loose = node in self.pending and node.rank < rank
        text = f"({text})" if loose else text
        return _Operand(text, text, text)


def _in_order(carried: Sequence[Carried]) -> list[Carried]:
    """Variables so that each changes after those whose new value is made from its old one."""
    left, found = list(carried), list[Carried]()
    reads = {id(c): _reads(c.following) for c in left}
    while left:
        free = [c for c in left if not any(c.inside in reads[id(o)] for o in left if o is not c)]
        assert free, "variables of a loop that change each other at once"
        found.append(free[0])
        left.remove(free[0])
    return found


def _reads(node: Node) -> set[Node]:
    """`node` and all that it is made from."""
    found: set[Node] = set()
    stack = [node]
    while stack:
        n = stack.pop()
        if n not in found:
            found.add(n)
            stack.extend(n.operands)
    return found


def _carried(frame: Frame) -> Iterator[Carried]:
    for item in frame.items:
        if isinstance(item, Loop):
            yield from item.carried
            yield from _carried(item.body)


def _number(node: Node) -> tuple[str, str, str]:
    """A literal beside a value of its type, alone in a call, and as a tensor."""
    value, held = node.number, node.held
    if isinstance(value, float):
        if repr(value) == "-0.0":
            zero = _negative_zero(held)
            return zero, zero, zero
        plain = f'float("{value}")' if math.isinf(value) or math.isnan(value) else repr(value)
    else:
        plain = repr(value)
    far = isinstance(value, float) and held == "float32" and 0 < abs(value) < 2.0**-126
    full = f"tl.full([], {plain}, tl.{held})"
    return plain, plain if held in _WEAK and not far else full, full


def _negative_zero(held: str) -> str:
    """Triton makes a 0 of the literal -0.0."""
    bits = {"float64": 64, "float32": 32}.get(held, 16)
    return f"tl.full([], {-1 << bits - 1}, tl.int{bits}).to(tl.{held}, bitcast=True)"
