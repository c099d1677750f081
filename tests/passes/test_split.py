"""A joint graph split into forward and backward: the same numbers, at the least cost."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (Graphs are built by lambdas over values of any kind.)

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from xdsl.ir import BlockArgument, SSAValue

from graph_cases import Graph, graph, random_graph, same_bits
from ostinato.ir.graph import GraphBuilder, close_main, main_of, type_of
from ostinato.ir.interpret.module import run
from ostinato.ir.op import OPS, building
from ostinato.ir.stages import verify
from ostinato.passes.fusion.extraction import Extraction
from ostinato.passes.fusion.nodes import Node
from ostinato.passes.fusion.types import bytes_of
from ostinato.passes.pipeline import run_passes
from ostinato.passes.recompute import Joint, kept_values
from ostinato.passes.split import Split, split
from ostinato.passes.target import CPU

AMONG = (
    "add", "sub", "mul", "sin", "tanh", "exp", "square", "where", "sum", "amax", "mean", "matmul",
    "reshape", "transpose", "expand", "slice", "softmax", "detach", "cumsum",
)  # fmt: skip


@dataclass
class Case:
    """A graph with its gradients; the first `inputs` arguments and `results` results are its
    own."""

    graph: Graph
    inputs: int
    results: int

    @property
    def kept(self) -> list[SSAValue]:
        """The values that backward is given."""
        return kept_values(Joint(main_of(self.graph.module), self.inputs, self.results), CPU)

    def split(self) -> Split:
        """The two parts."""
        return split(self.graph.module, self.inputs, self.results)


def joint(g: Graph, writes: Sequence[tuple[int, int]] = ()) -> Case:
    """`g` with the gradients of its floating results for its floating arguments, simplified."""
    block = main_of(g.module).body.block
    end = block.last_op
    assert end is not None
    inputs, results = len(block.args), len(end.operands)
    builder = GraphBuilder(block, end.location, before=end)
    wanted = [builder.wrap(a) for a in block.args if type_of(a).dtype.is_floating_point]
    outputs = [builder.wrap(v) for v in end.operands if type_of(v).dtype.is_floating_point]
    seeds = [builder.wrap(block.insert_arg(v.value.type, len(block.args))) for v in outputs]
    returned = [builder.wrap(v) for v in end.operands]
    with building(builder):
        found = builder.gradient(outputs, seeds, wanted) if outputs else []
    block.erase_op(end)
    close_main(g.module, [*returned, *found], writes, end.location)
    run_passes(g.module, ("autodiff", "decompose", "simplify"), verify=True)
    weights = [np.cos(np.arange(math.prod(s.shape)) + 1.0) for s in seeds]
    arrays = [w.reshape(s.shape).astype(s.dtype.name) for w, s in zip(weights, seeds, strict=True)]
    return Case(Graph(g.module, [*g.inputs, *arrays]), inputs, results)


def run_split(case: Case, parts: Split) -> list[Any]:
    """What the two parts give, one after the other."""
    given, cotangents = case.graph.inputs[: case.inputs], case.graph.inputs[case.inputs :]
    made = run(parts.forward, given)
    kept = [(given if is_input else made)[i] for is_input, i in parts.kept]
    return made[: case.results] + run(parts.backward, [*kept, *cotangents])


@pytest.mark.parametrize("seed", range(60))
def test_the_parts_give_what_the_whole_gives(seed: int) -> None:
    with np.errstate(all="ignore"):
        case = joint(random_graph(seed, 14, AMONG))
        expected = case.graph.run()
        parts = case.split()
        for part in (parts.forward, parts.backward):
            verify(part, "simplified")
        same_bits(run_split(case, parts), expected)


def test_a_wrong_choice_is_seen() -> None:
    x, y = (np.random.default_rng(i).standard_normal((3, 3)) for i in range(2))
    case = joint(graph(lambda a, b: OPS["mul"](OPS["sin"](a), OPS["exp"](b)), x, y))
    parts = case.split()
    assert len(parts.kept) == 2
    wrong = Split(parts.forward, parts.backward, parts.kept[::-1])
    with pytest.raises(AssertionError):
        same_bits(run_split(case, wrong), case.graph.run())


def chain(x: Any) -> Any:
    for name in ("sin", "exp", "tanh", "square"):
        x = OPS[name](x)
    return x


def names_kept(case: Case) -> list[str]:
    return ["input" if isinstance(v, BlockArgument) else v.owner.name for v in case.kept]  # pyright: ignore


LARGE = np.linspace(-1, 1, 1 << 16, dtype="float32").reshape(256, 256)


def test_a_chain_is_computed_again_from_its_input() -> None:
    assert names_kept(joint(graph(chain, LARGE))) == ["input"]


def test_products_are_kept_and_what_follows_them_is_computed_again() -> None:
    def layer(x: Any, w: Any) -> Any:
        return OPS["matmul"](chain(OPS["matmul"](x, w)), w)

    assert sorted(names_kept(joint(graph(layer, LARGE, LARGE * 2)))) == [
        "input", "input", "ot.matmul",
    ]  # fmt: skip


def test_statistics_of_rows_are_kept_beside_the_rows() -> None:
    def build(x: Any) -> Any:
        return OPS["mul"](OPS["softmax"](x, dim=-1), x)

    assert names_kept(joint(graph(build, LARGE))) == ["input", "ot.amax", "ot.sum"]


def test_a_result_that_backward_needs_is_kept_as_it_is() -> None:
    case = joint(graph(lambda x: OPS["softmax"](x, dim=-1), LARGE))
    assert case.split().kept == [(False, 0)]


def test_a_changed_argument_is_kept_as_a_copy() -> None:
    def build(x: Any, state: Any) -> Any:
        return OPS["mul"](x, state), OPS["add"](state, 1.0)

    case = joint(graph(build, LARGE, LARGE + 3), writes=[(1, 1)])
    parts = case.split()
    assert (True, 1) not in parts.kept
    same_bits(run_split(case, parts), case.graph.run())


# The cut against trying every choice.


class Costs:
    """What a choice costs, by counting: nanoseconds of keeping and of computing again."""

    def __init__(self, case: Case) -> None:
        func = main_of(case.graph.module)
        block = func.body.block
        assert block.last_op is not None
        self.region = Extraction(block, CPU)
        self.maker: dict[SSAValue, Node] = {r: n for n in self.region.nodes for r in n.op.results}
        self.inputs = list(block.args[: case.inputs])
        self.late: set[SSAValue] = set(block.args[case.inputs :])
        for n in self.region.nodes:
            if any(a.value in self.late for a in n.args):
                self.late.update(n.op.results)
        ends = [self._base(v) for v in block.last_op.operands]
        self.needed: set[SSAValue] = set()
        self._need(ends[: case.results])
        self.returned = set(ends[: case.results])
        reads = [a.value for n in self.region.nodes if n.result in self.late for a in n.args]
        reads += ends[case.results :]
        self.read = {
            v for v in reads if v not in self.late and (v in self.inputs or v in self.maker)
        }
        self.early = self._ancestors()

    def _ancestors(self) -> list[SSAValue]:
        """What the reads of backward depend on: all that is worth keeping is among it."""
        found: dict[SSAValue, None] = {}
        stack = list(self.read)
        while stack:
            v = stack.pop()
            if v not in found and (v in self.inputs or v in self.maker):
                found[v] = None
                stack += [a.value for a in self.maker[v].args] if v in self.maker else []
        return list(found)

    def _base(self, value: SSAValue) -> SSAValue:
        return value if value in self.maker else self.region.views.source(value)[0]

    def _need(self, values: Sequence[SSAValue]) -> None:
        for v in values:
            if v not in self.needed and (v in self.maker or v in self.inputs):
                self.needed.add(v)
                self._need([a.value for a in self.maker[v].args] if v in self.maker else [])

    def of(self, kept: set[SSAValue]) -> float:
        """Infinite where `kept` does not do."""
        again: set[SSAValue] = set()
        stack = [v for v in self.read if v not in kept]
        while stack:
            v = stack.pop()
            if v in again:
                continue
            if v in self.inputs or (self.maker[v].is_opaque and v in self.needed):
                return math.inf
            again.add(v)
            known = self.maker
            stack += [
                a.value for a in known[v].args
                if a.value not in kept and (a.value in known or a.value in self.inputs)
            ]  # fmt: skip
        return sum(map(self.keeping, kept)) + sum(map(self.computing, again))

    def keeping(self, v: SSAValue) -> float:
        lies = v in self.inputs or v in self.returned
        lies = lies or (self.maker[v].is_opaque and v in self.needed)
        return bytes_of(v) * CPU.byte_cost * (1 if lies else 2) + CPU.operand_cost

    def computing(self, v: SSAValue) -> float:
        if v not in self.needed:
            return 0.0
        node = self.maker[v]
        folding = CPU.load_cost + CPU.default_op_cost if node.is_reduction else 0.0
        return node.count * (node.cost + folding)


SMALL_AMONG = ("mul", "sin", "tanh", "exp", "sum", "matmul", "transpose", "add")


@pytest.mark.parametrize("seed", range(25))
def test_no_choice_costs_less_than_the_cut(seed: int) -> None:
    with np.errstate(all="ignore"):
        case = joint(random_graph(seed, 6, SMALL_AMONG))
    costs = Costs(case)
    values = costs.early
    assert len(values) < 15
    best = min(
        costs.of(set(chosen)) for n in range(len(values) + 1) for chosen in combinations(values, n)
    )
    assert costs.of(set(case.kept)) == pytest.approx(best, abs=0.1)
