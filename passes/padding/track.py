"""Where the padding in each value of a region lies, found by looking at the region for a few sizes
side by side; what must be masked so that none of it reaches a result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import ReturnOp
from xdsl.ir import Block, Operation, SSAValue

from ...ir.dialects.ot import ConstantOp, TableOp
from ...ir.graph import main_of
from ...ir.locations import lines_of
from ...ir.polynomial import DiffersError, Polynomial, Real, Samples
from .axes import Axes, Axis, Padded, RefusedError, Sizes, Vector, fixed, is_padded
from .node import Mask, Node, Plan, Size, Tracked, shape_of
from .rules import rule_of


class UnsafeError(Exception):
    """An op that padding must not reach, with its line. `wants_apart` where it could be masked if
    attention were other ops."""

    def __init__(self, op: Operation, refused: RefusedError) -> None:
        self.wants_apart = refused.wants_apart
        line = next(lines_of(op.location), None)
        at = f" at {line.filename.data}:{line.line.data}" if line is not None else ""
        name = op.SCHEMA.name if isinstance(op, TableOp) else "the function"
        super().__init__(f"{refused.what or name}{at} {refused.why}; {refused.advice}")


def planned(
    modules: Sequence[ModuleOp], samples: Samples, padded: Sequence[int], inputs: int,
    cotangent_of: Sequence[int], apart: bool = False,
) -> Plan:  # fmt: skip
    """What to do to the last of `modules`, the region made for `padded` sizes, given those that it
    is for `samples`. All are at stage `decomposed`; after `inputs` arguments they take cotangents
    of the results numbered `cotangent_of`. `apart` says that attention has become other ops.

    UnsafeError where padding would reach a result, DiffersError where the modules differ in more
    than numbers that depend on sizes.
    """
    return _Tracking(modules, samples, padded, inputs, cotangent_of, apart).run()


class _Tracking:
    def __init__(
        self, modules: Sequence[ModuleOp], samples: Samples, padded: Sequence[int], inputs: int,
        cotangent_of: Sequence[int], apart: bool,
    ) -> None:  # fmt: skip
        self.funcs = [main_of(m) for m in modules]
        self.blocks: list[Block] = [f.body.block for f in self.funcs]
        self.samples, self.cotangent_of, self.count = samples, cotangent_of, inputs
        self.apart = apart
        symbols = range(len(padded))
        self.padded = tuple(padded)
        vectors = [(*(s[i] for s in samples.sizes), padded[i]) for i in symbols]
        self.sizes = Sizes(tuple(vectors))
        self.numbers: list[Polynomial | Real] = [Polynomial(((1, (i,)),)) for i in symbols]
        self.edits: list[Mask | Size] = []
        self.known: dict[SSAValue, Tracked] = {}
        self.same: list[dict[SSAValue, int]] = [{} for _ in modules]
        """Numbers of the values of each module, equal where they stand for each other."""

    def run(self) -> Plan:
        self._arguments()
        walks = [[op for op in b.ops if not isinstance(op, ConstantOp)] for b in self.blocks]
        if len({len(walk) for walk in walks}) > 1:
            raise DiffersError([len(walk) for walk in walks], "the number of ops")
        needed = _needed(self.blocks[-1])
        for number, alike in enumerate(zip(*walks, strict=True)):
            self._wiring(alike)
            if alike[-1] not in needed:
                continue
            try:
                self._op(number, alike)
            except RefusedError as refused:
                raise UnsafeError(alike[-1], refused) from refused
        inputs = tuple(self.known[a].axes for a in self.funcs[-1].args[: self.count])
        return Plan(
            self.padded, self.apart, tuple(self.numbers), tuple(self.edits), inputs,
            tuple(self._results()),
        )  # fmt: skip

    def _arguments(self) -> None:
        for alike in zip(*(f.args for f in self.funcs), strict=True):
            number = len(self.same[0])
            for known, value in zip(self.same, alike, strict=True):
                known[value] = number
        for alike in zip(*(f.args[: self.count] for f in self.funcs), strict=True):
            axes = tuple(self._given(size) for size in shape_of(alike))
            self.known[alike[-1]] = Tracked(axes, is_zero=True)

    def _given(self, size: Vector) -> Axis:
        """The axis of an input, which is padded if it has a padded size."""
        if size in self.sizes.padded:
            return (Padded(self.sizes.padded.index(size)),)
        if len(set(size)) > 1:
            raise DiffersError(size, "an axis of an input")
        return fixed(size[0])

    def _wiring(self, alike: Sequence[Operation]) -> None:
        """Checks that the ops are the same ones of the same values."""
        first = alike[0]
        if any(op.name != first.name for op in alike):
            raise DiffersError([op.name for op in alike], "an op")
        wiring = [
            [known.get(v) for v in op.operands] for known, op in zip(self.same, alike, strict=True)
        ]
        if any(w != wiring[0] for w in wiring):
            raise DiffersError([str(w) for w in wiring], f"what {first.name} reads")
        for results in zip(*(op.results for op in alike), strict=True):
            number = len(self.same[0])
            for known, value in zip(self.same, results, strict=True):
                known[value] = number

    def _op(self, number: int, alike: Sequence[Operation]) -> None:
        if isinstance(alike[-1], ReturnOp):
            return
        ops = [op for op in alike if isinstance(op, TableOp)]
        assert len(ops) == len(alike), f"{alike[-1].name} is at no stage 'decomposed'"
        for place in range(len(ops[0].operands)):
            self._constant(number, place, [op.operands[place] for op in ops])
        operands = [self._tracked(v) for v in ops[-1].operands]
        node = Node(number, ops, operands, self.sizes, self.edits)
        found = self._ruled(node)
        for i, (value, tracked) in enumerate(zip(ops[-1].results, found, strict=True)):
            made = node.made(i)
            self._check(tracked.axes, made)
            self.known[value] = tracked

    def _constant(self, number: int, place: int, alike: Sequence[SSAValue]) -> None:
        """Notes a number among the operands, and that it is another for other sizes."""
        owners = [v.owner for v in alike]
        values = [o.python_value for o in owners if isinstance(o, ConstantOp)]
        if not values:
            return
        self.known[alike[-1]] = Tracked(())
        *sampled, last = values
        found = self.samples.tree(sampled, "a number")
        if not isinstance(found, (Polynomial, Real)):
            if repr(found) != repr(last):
                raise DiffersError(values, "a number")
            return
        if found.at(self.padded) != last:
            raise DiffersError(values, "a number")
        if found not in self.numbers:
            self.numbers.append(found)
        self.edits.append(Size(number, place, self.numbers.index(found)))

    def _tracked(self, value: SSAValue) -> Tracked:
        if value in self.known:
            return self.known[value]
        func = self.funcs[-1]
        at = list(func.args).index(value) - self.count  # pyright: ignore[reportArgumentType]
        (axes,) = self._results([self.cotangent_of[at]])
        return Tracked(axes, is_zero=True)  # padding is cut off, so that no gradient comes to it

    def _ruled(self, node: Node) -> Sequence[Tracked]:
        made = [node.made(i) for i in range(len(node.alike[-1].results))]
        sizes = [size for shape in made for size in shape]
        is_plain = not any(is_padded(a) for t in node.operands for a in t.axes)
        if is_plain and all(len(set(s)) == 1 for s in sizes) and _are_equal(node.attrs):
            return [Tracked(tuple(fixed(s[0]) for s in shape), is_zero=True) for shape in made]
        found = rule_of(node.op)(node)
        return [found] if isinstance(found, Tracked) else found

    def _check(self, axes: Axes, shape: Sequence[Vector]) -> None:
        """What a rule says of a shape must be so for all sizes."""
        for axis, size in zip(axes, shape, strict=True):
            if axis is not None and self.sizes.product(axis) != size:
                raise RefusedError("has a size that does not follow from the padded one")

    def _results(self, wanted: Sequence[int] | None = None) -> list[Axes]:
        """Where the padding in results lies: of all, or of those that are `wanted`."""
        ends = [b.last_op for b in self.blocks]
        values = list(zip(*(end.operands for end in ends if end is not None), strict=True))
        chosen = values if wanted is None else [values[i] for i in wanted]
        return [
            tuple(
                self.sizes.axis(size) if axis is None else axis
                for axis, size in zip(self.known[alike[-1]].axes, shape_of(alike), strict=True)
            )
            for alike in chosen
        ]


def _needed(block: Block) -> set[Operation]:
    """The ops that results come from."""
    needed: set[Operation] = set()
    stack = [block.last_op]
    while stack:
        op = stack.pop()
        if op is not None and op not in needed:
            needed.add(op)
            stack += [v.owner for v in op.operands if isinstance(v.owner, Operation)]
    return needed


def _are_equal(attrs: Sequence[dict[str, Any]]) -> bool:
    return all(a == attrs[0] for a in attrs)
