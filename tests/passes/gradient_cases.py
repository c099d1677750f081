"""Gradients of table ops on their samples in float64, against differences along directions."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (Graphs are built by lambdas over values of any kind.)

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graph_cases import Graph, bound, sample_graph
from ostinato.ir.graph import GraphBuilder, close_main, main_of
from ostinato.ir.interpret.arrays import ArrayTensor, apply
from ostinato.ir.op import Op, building
from ostinato.ir.samples import WithoutGradient

TOLERANCE = 1e-7
"""Of a slope, relative to the slope where that is above 1."""


@dataclass(frozen=True, eq=False)
class Case:
    """An op on operands of which the floating arrays are float64, and one of its results."""

    op: Op
    operands: list[Any]
    attrs: dict[str, Any]
    result: int

    @property
    def arrays(self) -> list[Any]:
        """The array operands, lists spread out; they may be changed in place."""
        flat = [x for o in self.operands for x in (o if isinstance(o, list) else [o])]
        return [x for x in flat if isinstance(x, np.ndarray)]

    @property
    def wanted(self) -> list[int]:
        """Which of the arrays are floating."""
        return [i for i, a in enumerate(self.arrays) if a.dtype.kind == "f"]

    def value(self) -> Any:
        """The result that the gradients are of."""
        return apply(self.op, self.operands, self.attrs)[self.result].array

    def weights(self) -> Any:
        """The cotangent: a number for each element of the result."""
        shape = self.value().shape
        return np.cos(1.0 + np.arange(np.prod(shape, dtype=int))).reshape(shape)


def has_gradient(op: Op) -> bool:
    """True for ops with a rule and for composites, through whose body the rules of others lead."""
    return op.vjp_rule is not None or op.kind == "composite"


def cases(op: Op) -> Iterator[Case]:
    """The samples of `op` with finite floating operands and results, in float64, each once."""
    seen: set[str] = set()
    assert op.samples is not None
    for sample in op.samples():
        full, attrs = bound(op, *sample)
        operands = [_wide(o) for o in full]
        key = repr((operands, attrs))
        if isinstance(sample, WithoutGradient) or key in seen:
            continue
        seen.add(key)
        results = apply(op, operands, attrs)
        for i, y in enumerate(results):
            case = Case(op, operands, attrs, i)
            if case.wanted and _is_finite(y, case.arrays):
                yield case


def _wide(operand: Any) -> Any:
    if isinstance(operand, (list, tuple)):
        return [_wide(o) for o in operand]
    is_float = isinstance(operand, np.ndarray) and operand.dtype.kind == "f"
    return np.array(operand, "float64") if is_float else operand


def _is_finite(y: ArrayTensor, arrays: Sequence[Any]) -> bool:
    return y.dtype.name == "float64" and all(np.isfinite(a).all() for a in (y.array, *arrays))


def slope(value: Callable[[float], float]) -> float:
    """The derivative of `value` at 0: central differences of three steps, extrapolated to none.

    A step is smaller by a factor 10 until the last two extrapolations agree.
    """
    best, doubt = float("nan"), float("inf")
    for step in (2e-3, 2e-4, 2e-5, 2e-6):
        d = [(value(h) - value(-h)) / (2 * h) for h in (step, step / 2, step / 4)]
        once = [(4 * d[1] - d[0]) / 3, (4 * d[2] - d[1]) / 3]
        twice = (16 * once[1] - once[0]) / 15
        if abs(twice - once[1]) < doubt:
            best, doubt = twice, abs(twice - once[1])
        if doubt <= 1e-9 * max(1.0, abs(best)):
            break
    return best


def assert_gradients(
    arrays: Sequence[Any], value: Callable[[], float], gradients: Sequence[Any], directions: int = 2
) -> None:
    """Asserts that `gradients` are those of `value` for the `arrays`, which it looks at."""
    chooser = np.random.default_rng(len(arrays))
    assert len(arrays) == len(gradients)
    for x, g in zip(arrays, gradients, strict=True):
        assert (g.shape, g.dtype) == (x.shape, x.dtype)
        for _ in range(directions):
            way, kept = chooser.standard_normal(x.shape), x.copy()

            def moved(t: float, x: Any = x, kept: Any = kept, way: Any = way) -> float:
                x[...] = kept + t * way
                return value()

            expected = slope(moved)
            x[...] = kept
            found = float((g * way).sum())
            assert abs(found - expected) <= TOLERANCE * max(1.0, abs(expected)), (found, expected)


def with_gradient(g: Graph, cotangent: Any, result: int, wanted: Sequence[int]) -> Graph:
    """`g` with, for results, the gradients of one of its results for the arguments `wanted`; the
    cotangent is one more argument."""
    func = main_of(g.module)
    block = func.body.block
    end = block.last_op
    assert end is not None
    builder = GraphBuilder(block, end.location, before=end)
    output = builder.wrap(end.operands[result])
    with building(builder):
        seed = builder.wrap(block.insert_arg(output.value.type, len(block.args)))
        found = builder.gradient([output], [seed], [builder.wrap(block.args[i]) for i in wanted])
    block.erase_op(end)
    close_main(g.module, found, location=end.location)
    return Graph(g.module, [*g.inputs, cotangent])


def gradient_graph(case: Case) -> Graph:
    """The gradients of `case` for its floating arrays; the arguments are its arrays."""
    g = sample_graph(case.op, case.operands, case.attrs)
    assert all(a is b for a, b in zip(g.inputs, case.arrays, strict=True))
    return with_gradient(g, case.weights(), case.result, case.wanted)


def check(case: Case) -> Graph:
    """Asserts that the rules give the gradients of `case`; the graph they were taken from."""
    g, weights = gradient_graph(case), case.weights()
    arrays = [case.arrays[i] for i in case.wanted]
    assert_gradients(arrays, lambda: float((case.value() * weights).sum()), g.run())
    return g


def check_second(case: Case) -> None:
    """Asserts that the gradient of a weighted sum of gradients is right."""
    first = gradient_graph(case)
    plain = gradient_graph(case)
    for i in range(len(case.wanted)):
        shape = case.arrays[case.wanted[i]].shape
        weights = np.sin(1.0 + np.arange(np.prod(shape, dtype=int))).reshape(shape)
        second = with_gradient(Graph(gradient_graph(case).module, first.inputs), weights, i,
                               [*case.wanted, len(case.arrays)])  # fmt: skip
        arrays = [first.inputs[j] for j in (*case.wanted, len(case.arrays))]

        def value(i: int = i, weights: Any = weights) -> float:
            return float((Graph(plain.module, first.inputs).run()[i] * weights).sum())

        assert_gradients(arrays, value, second.run(), directions=1)
