"""One `ot.fusion` as lowering sees it, and the kernel made from it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from xdsl.dialects.builtin import IntegerAttr, StringAttr
from xdsl.ir import SSAValue

from ...ir.dialects.kernel import FuncOp
from ...ir.dialects.ot import FusionOp, TableOp
from ...ir.kernel_builder import KernelBuilder
from ..fusion.extraction import Extraction
from ..fusion.index import Linear, axes_of, compose, identity, strides_of, weighted
from ..fusion.nodes import Node
from ..fusion.types import dtype_of, shape_of, size_of
from ..target import Target
from .emit import Emission
from .items import Items

COSTLY_NAMES = 3


@dataclass(frozen=True)
class Output:
    """Result `number` of a fusion: element `e` of its domain is element `link` of `value`, and is
    stored as element `place` of the result, as `e` where that is None."""

    number: int
    result: SSAValue
    value: SSAValue
    link: Linear
    size: int
    node: Node | None
    place: Linear | None = None


@dataclass(frozen=True)
class Kernel:
    """A kernel, the operands of the fusion that it reads, and which (operand, result) pairs may be
    one buffer: of the first `len(inputs)` buffers and those after them."""

    func: FuncOp
    inputs: tuple[int, ...]
    reuse: tuple[tuple[int, int], ...]


@dataclass(eq=False)
class Fused:
    """The body of a fusion. `layouts` holds the element offsets of inputs that are not row-major,
    by block argument."""

    op: FusionOp
    target: Target
    layouts: dict[SSAValue, Linear]
    region: Extraction = field(init=False)
    outputs: list[Output] = field(init=False)

    def __post_init__(self) -> None:
        block = self.op.body.block
        self.region = Extraction(block, self.target)
        end = block.last_op
        assert end is not None
        self.outputs = [o for i, v in enumerate(end.operands) for o in self._outputs(i, v)]

    def _outputs(self, number: int, value: SSAValue) -> Iterator[Output]:
        """What is stored as the result: its parts where it is joined from them."""
        node = self.region.of.get(value)
        if node is None or not node.is_opaque:
            yield self._output(number, value)
            return
        assert isinstance(node.op, TableOp) and node.op.SCHEMA.name == "cat"
        strides = strides_of(shape_of(value))
        start = 0
        axis: int = node.op.attribute_values()["dim"] % len(strides)
        for part in node.op.operands:
            shape = shape_of(part)
            place = weighted(axes_of(shape), strides, start * strides[axis])
            yield replace(self._output(number, part), result=value, place=place)
            start += shape[axis]

    def _output(self, number: int, value: SSAValue) -> Output:
        base, link = self.region.views.source(value)
        if value in self.region.of:
            base, link = value, identity(size_of(value))
        node = self.region.of.get(base)
        return Output(number, value, base, link, size_of(value), node)

    def attribute(self, name: str) -> int:
        """An integer attribute of the fusion, 1 where it is absent."""
        given = self.op.attributes.get(name)
        return given.value.data if isinstance(given, IntegerAttr) else 1

    @property
    def kind(self) -> str:
        """The loops that the fusion asks for."""
        given = self.op.attributes.get("kind")
        return given.data if isinstance(given, StringAttr) else "pointwise"

    @property
    def size(self) -> int:
        """The number of elements of the domain."""
        folded = [n.count for n in self.region.nodes if n.is_reduction]
        return max([*folded, *(o.size for o in self.outputs)])

    def items(self, length: int) -> Items:
        """An empty set of items for rows of `length`."""
        return Items(self.region, self.layouts, length)

    def grain(self, items: Items, elements: int, passes: int = 1) -> int:
        """How many iterations are worth a thread where each computes `items` of `elements`, which
        it goes through in so many passes."""
        target = self.target
        moved = (len(items.inputs) + len(self.outputs)) * target.load_cost
        cost = passes * moved + sum(i.node.cost for i in items.ordered if i.node is not None)
        return max(1, target.grain(cost) // elements)

    def open(
        self,
        name: str,
        items: Items,
        extent: int,
        *,
        vector: bool = False,
        unroll: int | None = None,
        grain: int = 1,
    ) -> tuple[KernelBuilder, Emission]:
        """A builder for the kernel, with a buffer for each input that `items` load and each
        output, and the emission of this fusion into it."""
        arguments = self.op.body.block.args
        inputs = [a for a in arguments if a in items.inputs]
        names = {f"x{i}": dtype_of(a) for i, a in enumerate(inputs)}
        names |= {f"o{o.number}": dtype_of(o.result) for o in self.outputs}
        b = KernelBuilder(
            name, names, extent, vector=vector, unroll=unroll, grain=grain,
            location=self.op.location,
        )  # fmt: skip
        keys = [*inputs, *dict.fromkeys(("out", o.number) for o in self.outputs)]
        emission = Emission(self.region, b, dict(zip(keys, b.buffers, strict=True)), self.layouts)
        return b, emission

    def close(self, b: KernelBuilder, emission: Emission) -> Kernel:
        """The finished kernel."""
        arguments = self.op.body.block.args
        inputs = [a for a in arguments if a in emission.buffers]
        reuse = [
            (i, len(inputs) + o.number)
            for i, a in enumerate(inputs)
            for o in self.outputs
            if o.place is None
            and dtype_of(a).itemsize == dtype_of(o.result).itemsize
            and size_of(a) == o.size
            and emission.may_share(a, ("out", o.number))
        ]
        return Kernel(b.finish(verify=False), tuple(a.index for a in inputs), tuple(reuse))

    def name(self) -> str:
        """A readable name: the costliest ops, in order."""
        weights: dict[str, float] = {}
        for n in self.region.nodes:
            name = n.op.name.removeprefix("ot.")
            weights[name] = max(weights.get(name, 0.0), n.cost + 1.0 * n.is_reduction)
        chosen = sorted(weights, key=lambda name: -weights[name])[:COSTLY_NAMES]
        return "_".join(name for name in weights if name in chosen) or "copy"


def through(link: Linear, e: Linear) -> Linear:
    """`link` of `e`, where that is known to be possible."""
    whole = compose(link, e)
    assert whole is not None
    return whole


def divisor_near(total: int, wanted: int, most: int | None = None) -> int:
    """The divisor of `total` nearest to `wanted` and at most `most`; 1 where there is none."""
    limit = most or total
    best = 1
    for k in range(1, min(limit, total) + 1):
        if total % k == 0 and abs(k - wanted) < abs(best - wanted):
            best = k
        if k > 4 * wanted:
            break
    return best


def row_near(target: Target, total: int, wanted: int) -> int:
    """The length, near `wanted`, of rows that `total` elements are cut into; of a size to come
    only what divides it for certain is cut off."""
    sure = target.fixed(total)
    if sure == total:
        return divisor_near(total, wanted)
    pieces = [k for k in range(1, sure + 1) if sure % k == 0]
    lengths = [*pieces, *(total // k for k in pieces)]
    return min(lengths, key=lambda n: abs(math.log(target.typical(n) / wanted)))


def unroll_for(cost: float, inputs: Sequence[SSAValue]) -> int | None:
    """How many vectors to work on at once: several where there is little to do with each."""
    if cost < 0.2 and len(inputs) <= 4:
        return 4
    return 2 if cost < 1.0 else None


def store_all(emission: Emission, outputs: Sequence[Output], e: Linear) -> None:
    """Stores element `e` of each output; all are computed before any is stored."""
    values = [emission.value(o.value, through(o.link, e))[0] for o in outputs]
    for o, ssa in zip(outputs, values, strict=True):
        place = e if o.place is None else through(o.place, e)
        emission.store(o.result, ssa, place, ("out", o.number))
