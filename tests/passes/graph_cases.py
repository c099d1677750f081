"""Graphs that tests of the IR and of the passes share: one op, and random ones from the table."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (Graphs are built by lambdas over values of any kind.)

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from ostinato.ir import ops as ops
from ostinato.ir.dtypes import BY_NAME, bool_, float32, float64, int64, uint8
from ostinato.ir.graph import GraphTensor, close_main, main_of, open_main
from ostinato.ir.interpret.arrays import apply, tensor
from ostinato.ir.interpret.module import run
from ostinato.ir.locations import line_location
from ostinato.ir.op import OPS, Op, Param, Type, building

SEED = 20260730
IR_OPS = [op for op in OPS.values() if op.kind != "function"]


@dataclass
class Graph:
    """A captured module and arrays to run it on."""

    module: ModuleOp
    inputs: list[Any]

    def run(self) -> list[Any]:
        """The results of the reference interpreter."""
        return run(self.module, self.inputs)

    def names(self) -> list[str]:
        """The ops of `@main` but for its end, in order, without the dialect."""
        return [op.name.removeprefix("ot.") for op in main_of(self.module).body.block.ops][:-1]

    def named(self, name: str) -> Operation:
        """The only op called `ot.<name>`."""
        (found,) = [op for op in self.module.walk() if op.name == f"ot.{name}"]
        return found


Build = Callable[..., Any]


def graph(build: Build, *inputs: Any, types: Sequence[Type] | None = None) -> Graph:
    """What `build` makes of arguments like `inputs`; each op has a line of its own, from 10 up."""
    types = types or [type_like(x) for x in inputs]
    places = [line_location("args.py", i + 1) for i in range(len(types))]
    module, builder, arguments = open_main(types, locations=places)
    lines = iter(range(10, 100000))
    inner = builder.insert

    def insert(op: Operation) -> None:
        builder.location = line_location("model.py", next(lines))
        op.location = builder.location
        inner(op)

    builder.insert = insert
    builder.location = line_location("model.py", 9)
    with building(builder):
        made = build(*arguments)
    results = made if isinstance(made, (tuple, list)) else [made]
    close_main(module, results, location=line_location("model.py", 1))
    return Graph(module, list(inputs))


def type_like(x: Any) -> Type:
    """The type of an array, or of a number."""
    if isinstance(x, (bool, int, float)):
        return Type((), {bool: bool_, int: int64, float: float64}[type(x)], wrapped=True)
    array = np.asarray(x)
    return Type(array.shape, BY_NAME[array.dtype.name])


def sample_graph(op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Graph:
    """`op` on a sample: arrays become arguments, numbers literals, absent operands stay absent."""
    flat = [x for o in operands for x in (o if isinstance(o, (list, tuple)) else [o])]
    arrays = [x for x in flat if isinstance(x, np.ndarray)]

    def build(*arguments: GraphTensor) -> Any:
        rest = iter(arguments)
        given = [_placed(o, rest) for o in operands]
        named = {p.name: o for p, o in zip(op.operands, given, strict=False)}
        return op(**named, **attrs)

    return graph(build, *arrays)


def _placed(operand: Any, rest: Iterator[Any]) -> Any:
    if isinstance(operand, (list, tuple)):
        return [_placed(o, rest) for o in operand]
    return next(rest) if isinstance(operand, np.ndarray) else operand


def bound(
    op: Op, operands: Sequence[Any], attrs: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """A sample with every operand and attribute that it leaves out."""
    named = {p.name: o for p, o in zip(op.operands, operands, strict=False)}
    return op.bind((), named | attrs)


def same_bits(found: Sequence[Any], expected: Sequence[Any]) -> None:
    """Asserts equal shapes, dtypes and elements; NaN equals NaN, 0.0 does not equal -0.0."""
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, strict=True)
        if a.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(a) | np.isnan(a), np.signbit(b) | np.isnan(b))


class Grower:
    """Grows a graph by random ops on small float32, float64, int64 and bool tensors.

    Each op is run as it is chosen, so that one that refuses its operands is not taken. Half of
    the ops are those that rewrites are about, and most operands are among the last results, so that
    there are chains.
    """

    def __init__(self, seed: int, among: Sequence[str] = ()) -> None:
        self.among = [OPS[name] for name in among]
        self.chooser = random.Random(seed)
        numbers = np.random.default_rng(seed)
        shapes = [(2, 3), (3,), (2, 1), (), (2, 1, 3)]
        normals = numbers.standard_normal
        self.inputs: list[Any] = [normals(s).astype("float32") for s in shapes]
        self.inputs.append(numbers.standard_normal((2, 3)))
        self.inputs.append(numbers.integers(-3, 4, (2, 3)))
        self.inputs.append(numbers.random((2, 3)) < 0.5)
        self.values: list[tuple[GraphTensor, Any]] = []

    def grow(self, size: int, *arguments: GraphTensor) -> list[GraphTensor]:
        """The values that nothing uses after `size` more values."""
        self.values = list(zip(arguments, map(tensor, self.inputs), strict=True))
        while len(self.values) < len(arguments) + size:
            self._step()
        made = [value for value, _ in self.values[len(arguments) :]]
        return [v for v in made if v.value.first_use is None]

    def _step(self) -> None:
        choose = self.chooser.choice
        op = choose(self.among or (_REWRITTEN if self.chooser.random() < 0.5 else _FREE))
        assert op.samples is not None
        operands = [self._operand(op, p) for p in op.operands]
        _, attrs = bound(op, *choose(list(op.samples())))
        if op.view or op.name == "to":
            attrs |= self._fitting(op.name, getattr(operands[0][0], "shape", ()))
        try:
            arrays = apply(op, [_part(o, 1) for o in operands], attrs)
        except (ValueError, TypeError, LookupError, ArithmeticError, AssertionError):
            return
        if all(0 < a.array.size <= 64 for a in arrays):
            made = OPS[op.name](**{
                p.name: _part(o, 0) for p, o in zip(op.operands, operands, strict=True)
            }, **attrs)  # fmt: skip
            self.values += zip(made if isinstance(made, tuple) else (made,), arrays, strict=True)

    def _fitting(self, name: str, shape: tuple[Any, ...]) -> dict[str, Any]:
        """Attributes that fit an operand of `shape`, which those of a sample seldom do."""
        choose, n = self.chooser.choice, len(shape)
        dim = self.chooser.randrange(-n, n) if n else 0
        size = shape[dim] if n else 1
        start = self.chooser.randrange(size)
        return {
            "permute": {"dims": tuple(self.chooser.sample(range(n), n))},
            "transpose": {"dim0": dim, "dim1": self.chooser.randrange(n) if n else 0},
            "slice": {"dim": dim, "start": start, "stop": self.chooser.randint(start + 1, size + 1),
                      "step": choose((1, 1, 2))},
            "reshape": {"shape": (*choose(((), (1,), (1, 1))), *shape[::-1])},
            "view": {"shape": (-1,)},
            "expand": {"size": (choose((1, 2)), *shape)},
            "unsqueeze": {"dim": dim},
            "to": {"dtype": choose((float64, float32, bool_, int64, uint8))},
        }.get(name, {})  # fmt: skip

    def _operand(self, op: Op, p: Param) -> Any:
        recent = self.values[-2:] if self.chooser.random() < 0.6 else self.values
        if p.kind == "tensors":
            return [self.chooser.choice(recent) for _ in range(self.chooser.randint(1, 3))]
        if not p.required and self.chooser.random() < 0.5:
            return None if p.kind == "optional_tensor" else (1, 1)
        if op.is_pointwise and self.chooser.random() < 0.15:
            number = self.chooser.choice([0, 1, -1, 2, 0.0, -0.0, 1.0, 0.5, True, False])
            return number, number
        return self.chooser.choice(recent)


def _part(operand: Any, which: int) -> Any:
    """The graph's value of an operand, or (1) its array."""
    if isinstance(operand, list):
        return [o[which] for o in operand]
    return None if operand is None else operand[which]


_FREE = [
    op for op in IR_OPS
    if op.namespace != "internal" and not any(p.kind == "rng" for p in op.operands)
]  # fmt: skip
VIEWS = (
    "reshape", "view", "transpose", "permute", "unsqueeze", "squeeze", "expand", "slice", "to",
    "clone", "detach",
)  # fmt: skip
_REWRITTEN = [OPS[name] for name in (
    *VIEWS, "neg", "add", "sub", "mul", "div", "abs", "square", "where", "logical_not", "full",
)]  # fmt: skip


def random_graph(seed: int, size: int = 12, among: Sequence[str] = ()) -> Graph:
    """A graph of about `size` ops (only those called as in `among`, if any)."""
    grower = Grower(seed, among)
    with np.errstate(all="ignore"):
        return graph(lambda *arguments: grower.grow(size, *arguments), *grower.inputs)
