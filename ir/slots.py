"""From a symbolic trace to a Program: which steps are needed, in which slots, and until when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .dims import Dim
from .dtypes import DType
from .op import Op, is_list

_SIZE_STEPS = ("constant", "operand", "result", "attr", "add", "sub", "mul", "div", "max", "min")


@dataclass(frozen=True, eq=False)
class Step:
    """One step of a trace: what the runtime calls an instruction (`runtime/native/program`).

    `operands` are values or None, list operands spread out; those of `enter` are the node's own
    slots of its `results`. `more` holds what only some kinds have.
    """

    kind: str
    operands: tuple[Any, ...]
    results: tuple[Any, ...] = ()
    op: Op | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    call: int = 0
    operand: int = 0
    is_view: bool = False  # the result may be the memory of operand 0
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def acts(self) -> bool:
        """True where the step does more than compute its results."""
        return self.kind in ("enter", "leave", "deliver")

    @property
    def values(self) -> list[Any]:
        """The operands that are values of the trace."""
        return [] if self.kind == "enter" else [v for v in self.operands if v is not None]


def needed(steps: Sequence[Step], outputs: Iterable[Any]) -> list[Step]:
    """The steps that act, and those that they or `outputs` need."""
    wanted = {v for v in outputs if v is not None}
    kept: list[Step] = []
    for s in reversed(steps):
        if s.acts or any(r in wanted for r in s.results):
            kept.append(s)
            wanted.update(s.values)
    return kept[::-1]


def merged(
    steps: Sequence[Step], numbers: Mapping[Any, Any], outputs: Sequence[Any]
) -> tuple[list[Step], list[Any]]:
    """The steps and outputs with what is computed twice computed once: calls of the same op with
    the same operands, equal numbers among them, and attributes. Where no operand is a tensor, the
    node that a step is for decides on which device its result lies."""
    same: dict[Any, Any] = {}  # a value: the first that is equal to it
    first: dict[Any, Any] = {}
    for v, x in numbers.items():
        same[v] = first.setdefault(_frozen(x), v)
    kept: list[Step] = []
    for s in steps:
        if any(v in same for v in s.values):
            s = replace(s, operands=tuple(same.get(v, v) for v in s.operands))
        if s.kind == "call" and s.op is not None:
            attrs = tuple(_frozen(s.attrs[p.name]) for p in s.op.attrs)
            creates = all(v in numbers for v in s.values)
            key = (s.op.name, s.operands, attrs, s.call if creates else None)
            known = first.setdefault(key, s.results)
            if known is not s.results:
                same.update(zip(s.results, known, strict=True))
                continue
        kept.append(s)
    return kept, [same.get(v, v) for v in outputs]


def _frozen(value: Any) -> Any:
    """What tells attributes and numbers apart: 1 from True, and 0.0 from -0.0."""
    if is_list(value):
        return tuple(map(_frozen, value))
    return value if isinstance(value, (Dim, DType)) else (type(value), repr(value))


def to_program(
    steps: Sequence[Step], inputs: Sequence[Any], numbers: Mapping[Any, Any],
    outputs: Sequence[Any], serves: int = 1,
) -> dict[str, Any]:  # fmt: skip
    """The Program as data that JSON has: first slots are `inputs`, then those of `numbers` used."""
    once, ends = merged(steps, numbers, outputs)
    return _Slots(needed(once, ends), inputs, numbers, ends).program(serves)


class _Slots:
    """Places values in slots; a slot serves again after the last use of its value."""

    def __init__(
        self, steps: Sequence[Step], inputs: Sequence[Any], numbers: Mapping[Any, Any],
        outputs: Sequence[Any],
    ) -> None:  # fmt: skip
        self.steps, self.inputs, self.outputs = steps, inputs, outputs
        self.last = {v: i for i, s in enumerate(steps) for v in s.values}
        self.kept = {v for v in outputs if v is not None}
        self.maker = {r: s for s in steps for r in s.results}
        self.slot = {v: i for i, v in enumerate(inputs) if v is not None}
        self.count = len(inputs)
        self.free: list[int] = []
        self.numbers = {v: x for v, x in numbers.items() if v in self.last or v in self.kept}
        for v in self.numbers:
            self.slot[v] = self._take()

    def program(self, serves: int) -> dict[str, Any]:
        steps = [self._placed(i, s) for i, s in enumerate(self.steps)]
        used = self.last.keys() | self.kept
        return {
            "inputs": len(self.inputs), "slots": self.count, "serves": serves,
            "numbers": [[self.slot[v], x] for v, x in self.numbers.items()], "steps": steps,
            "outputs": [-1 if v is None else self.slot[v] for v in self.outputs],
            "reads": [i for i, v in enumerate(self.inputs) if v is not None and v in used],
        }  # fmt: skip

    def _take(self) -> int:
        if self.free:
            return self.free.pop()
        self.count += 1
        return self.count - 1

    def _placed(self, at: int, s: Step) -> dict[str, Any]:
        if s.kind == "enter":
            return self._entered(s)
        operands = [-1 if v is None else self.slot[v] for v in s.operands]
        ends = {v: i for i, v in enumerate(s.operands) if v is not None and self._ends(v, at)}
        kind = "add" if self._in_place(s, ends) else s.kind
        for v in ends:
            self.free.append(self.slot[v])
        return {
            "kind": kind, "operands": operands, "last": sorted(ends.values()),
            "results": [self._slot_of_result(r) for r in s.results],
            "call": s.call, "operand": s.operand,
        } | self._signature(s)  # fmt: skip

    def _entered(self, s: Step) -> dict[str, Any]:
        pairs = [(o, self._slot_of_result(r)) for o, r in zip(s.operands, s.results, strict=True)]
        used = [(o, slot) for o, slot in pairs if slot >= 0]
        return {
            "kind": s.kind, "operands": [o for o, _ in used], "last": [],
            "results": [slot for _, slot in used], "call": s.call, "operand": 0,
        }  # fmt: skip

    def _slot_of_result(self, result: Any) -> int:
        if result not in self.last and result not in self.kept:
            return -1
        self.slot[result] = self._take()
        return self.slot[result]

    def _ends(self, value: Any, at: int) -> bool:
        return self.last[value] == at and value not in self.kept and value not in self.numbers

    def _in_place(self, s: Step, ends: Mapping[Any, int]) -> bool:
        """An addition to a value that this Program computed and that nobody reads afterwards."""
        is_add = s.kind == "call" and s.op is not None and s.op.name == "add"
        return is_add and s.operands[0] in ends and self._is_fresh(s.operands[0])

    def _is_fresh(self, value: Any) -> bool:
        maker = self.maker.get(value)
        if maker is None or maker.kind in ("enter", "function"):
            return False
        return not maker.is_view or self._is_fresh(maker.operands[0])

    @staticmethod
    def _signature(s: Step) -> dict[str, Any]:
        if s.op is None:
            return dict(s.more)
        if s.kind == "gradient":
            return {"op": s.op.name} | dict(s.more)
        if s.kind == "sum_selected":
            sizes = [["sizes", list(map(_size_code, s.more[k]))] for k in ("size", "index")]
            return {"op": s.op.name, "attrs": [["constant", s.more["dim"]], *sizes]}
        attrs = [_attr_template(p.kind, s.attrs[p.name]) for p in s.op.attrs]
        return {"op": s.op.name, "attrs": attrs}


def _attr_template(kind: str, value: Any) -> list[Any]:
    if isinstance(value, Dim):
        return ["size", _size_code(value)]
    if isinstance(value, DType):
        return ["constant", {"dtype": value.name}]
    if is_list(value):
        if any(isinstance(v, Dim) for v in value):
            return ["sizes", [_size_code(v) for v in value]]
        return ["constant", list(value)]
    if kind == "float" and isinstance(value, int):
        return ["constant", float(value)]
    return ["constant", value]


def _size_code(size: int | Dim) -> list[list[int]]:
    """A size as postfix steps (kind, a, b, call)."""
    if isinstance(size, int):
        return [[0, size, 0, 0]]
    kind = _SIZE_STEPS.index(size.kind)
    if size.kind in ("operand", "result", "attr"):
        symbol = [a for a in size.args if isinstance(a, int)]
        return [[kind, *symbol, *[0] * (3 - len(symbol))]]
    return [step for part in size.args for step in _size_code(part)] + [[kind, 0, 0, 0]]
