"""What each op of a region does, in the form that fusion and lowering work on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from xdsl.ir import Block, Operation, SSAValue

from ..ir.dialects.ot import ConstantOp, TableOp
from ..ir.dtypes import DType, bool_, float32
from ..ir.graph import HOST
from ..ir.op import OPS, Type
from ..ir.scalar import Scalar, argument, cast, constant, postorder, substitute
from .fusion_index import Bounds, Linear, broadcast, compose, identity
from .fusion_layouts import layouts_of
from .fusion_types import Shape, count, dtype_of, shape_of, type_of
from .fusion_views import Views, is_view
from .target import Target

COMBINERS = {
    "sum": "sum", "prod": "prod", "amax": "max", "amin": "min", "any": "any", "all": "all",
}  # fmt: skip
"""Reductions that kernels compute, and how they combine elements."""


class Condition(NamedTuple):
    """Holds where low <= index < high."""

    index: Linear  # pyright: ignore[reportIncompatibleMethodOverride]
    low: int
    high: int

    @property
    def is_certain(self) -> bool:
        """True where it holds for every element."""
        return self.index.low >= self.low and self.index.high < self.high


Guard = tuple[Condition, ...]


def bounds_of(guard: Guard) -> Bounds:
    """The digits of n that `guard` bounds."""
    return tuple(
        (weight, size, low - e.const, high - e.const)
        for e, low, high in guard
        for weight, size, c in e.terms[:1]
        if len(e.terms) == 1 and c == 1
    )  # fmt: skip


def guarded(arg: Arg, e: Linear, guard: Guard) -> tuple[Linear, Guard] | None:
    """What `arg` reads of its value where its node is computed for element `e` under `guard`: the
    element, and the whole guard. None where no index map says so."""
    bounds = bounds_of(guard)
    whole = list(guard)
    for c in arg.guard:
        index = compose(c.index, e, bounds)
        if index is None:
            return None
        condition = Condition(index, c.low, c.high)
        if not condition.is_certain and condition not in whole:
            whole.append(condition)
    inner = tuple(whole)
    link = compose(arg.link, e, bounds_of(inner))
    return None if link is None else (link, inner)


class Gathered(NamedTuple):
    """An index read from memory: argument number `at` times `stride` is added to the link.

    Values outside [0, size) read nothing and give NaN (0 for integers).
    """

    at: int
    stride: int
    size: int
    signed: bool = True


class Arg(NamedTuple):
    """An element that a node reads: element `link` of `value`, where all of `guard` hold. `source`
    is the node that computes the value; None for inputs and literals."""

    value: SSAValue
    source: Node | None
    link: Linear
    guard: tuple[Condition, ...] = ()
    gathered: tuple[Gathered, ...] = ()

    @property
    def is_plain(self) -> bool:
        """True where the link alone says which element it is."""
        return not self.guard and not self.gathered


@dataclass(eq=False, slots=True)
class Node:
    """One op. Its domain is `count` elements: of its result, or of what a reduction reads.

    `expression` is over the elements of `args`, then the integers `indices`, then the truth of
    `conditions`. A reduction folds the middle of (`outer`, `reduced`, `inner`) with `combiner`.
    Opaque nodes (`kind` call) have neither. Nodes of one op with several results are each other's
    `family`: they read the same `args`, and are computed together.
    """

    position: int
    op: Operation
    kind: str
    result: SSAValue
    shape: Shape
    count: int
    args: tuple[Arg, ...] = ()
    indices: tuple[Linear, ...] = ()
    conditions: tuple[Condition, ...] = ()
    expression: Scalar | None = None
    cost: float = 0.0
    combiner: str = ""
    outer: int = 1
    reduced: int = 1
    inner: int = 1
    family: list[Node] = field(default_factory=list["Node"])

    @property
    def is_reduction(self) -> bool:
        """True for nodes that fold elements."""
        return self.kind == "reduce"

    @property
    def is_opaque(self) -> bool:
        """True for nodes that no kernel computes."""
        return self.kind == "call"


def wide(dtype: DType) -> DType:
    """What a value of `dtype` is computed in: float32 for the half types."""
    return float32 if dtype.is_floating_point and dtype.bits == 16 else dtype


@lru_cache(1 << 12)
def compact(root: Scalar, given: int) -> tuple[Scalar, tuple[int, ...]]:
    """`root` with its arguments among the first `given` renumbered without gaps, and their old
    numbers."""
    used = sorted({n.payload for n in postorder([root]) if n.kind == "argument"})
    kept = tuple(i for i in used if i < given)
    if kept == tuple(range(given)):
        return root, kept
    table = {old: i for i, old in enumerate(used)}
    highest = max(used, default=-1) + 1
    types = {n.payload: n.dtype for n in postorder([root]) if n.kind == "argument"}
    fresh = [argument(table.get(i, 0), types.get(i, float32)) for i in range(highest)]
    return substitute(root, fresh), kept


def cost_of(nodes: Iterable[Scalar], costs: dict[str, float], default: float) -> float:
    """Nanoseconds for one element of `nodes`."""
    return sum(
        costs.get(n.kind, default) for n in nodes
        if n.kind not in ("argument", "constant", "cast", "bitcast")
    )  # fmt: skip


def as_wide(x: Scalar, dtype: DType) -> Scalar:
    """`x` rounded to nothing narrower than float32 on its way to `dtype`."""
    return cast(x, wide(dtype))


class Literal(NamedTuple):
    """A Python number, with the text that tells 0.0 from -0.0, 0 and False."""

    text: str
    value: bool | int | float


_Key = tuple[DType, bool, bool]


@lru_cache(1 << 12)
def pointwise_expression(
    name: str, keys: tuple[_Key, ...], constants: tuple[Literal | None, ...],
    attrs: tuple[tuple[str, Any], ...], result: DType,
) -> Scalar:  # fmt: skip
    """The body of op `name` over `argument(i)`, operand i as (dtype, has no axes, is a number),
    where `constants[i]` is no literal."""
    schema = OPS[name]
    types = [Type(() if zero_d else (2,), d, wrapped) for d, zero_d, wrapped in keys]
    compute = wide(schema.compute(types, dict(attrs)))
    operands: list[Scalar] = []
    for i, (dtype, _, _) in enumerate(keys):
        target = dtype if i in schema.uncast else compute
        literal = constants[i]
        if literal is not None:
            operands.append(_constant(literal.value, target))
        else:
            operands.append(cast(argument(i, wide(dtype)), target))
    body = schema.scalar_body(*operands, **dict(attrs))
    return as_wide(body, result)


def _constant(value: bool | int | float, dtype: DType) -> Scalar:
    if dtype.name == "bool":
        return constant(bool(value), dtype)
    return constant(float(value) if dtype.is_floating_point else int(value), dtype)


def constant_of(value: SSAValue) -> Literal | None:
    """The number where `value` is a literal."""
    op = value.owner
    return Literal(repr(op.python_value), op.python_value) if isinstance(op, ConstantOp) else None


@lru_cache
def _takes_remainder(name: str) -> bool:
    """True for ops whose float form has a C remainder, which is a loop that kernels do not run."""
    schema = OPS[name]
    given = [argument(i, bool_ if i in schema.uncast else float32)
             for i in range(len(schema.operands))]  # fmt: skip
    attrs = {p.name: p.default for p in schema.attrs}
    try:
        body = schema.scalar_body(*given, **attrs)
    except TypeError:
        return False
    return any(n.kind == "rem" for n in postorder([body]))


def calls_of(block: Block) -> dict[Operation, None]:
    """The ops that kernels do not compute, in order: those of the host and those on empty tensors
    are among them, views are not."""
    return {
        op: None for op in block.ops if isinstance(op, TableOp) and not is_view(op) and _is_call(op)
    }


def _is_call(op: TableOp) -> bool:
    schema = op.SCHEMA
    if HOST in op.attributes or not _has_kernels(schema.name):
        return True
    if (
        schema.is_pointwise
        and _takes_remainder(schema.name)
        and any(dtype_of(v).is_floating_point for v in op.operands)
    ):
        return True
    return any(0 in shape_of(v) for values in (op.operands, op.results) for v in values)


@lru_cache
def _has_kernels(name: str) -> bool:
    """True for ops that kernels compute where nothing special is the matter."""
    from .fusion_special import SPECIAL

    schema = OPS[name]
    fuses = schema.is_pointwise or schema.elementwise
    return fuses or name in COMBINERS or name in SPECIAL


class Extraction:
    """The nodes of one block, in order; views and literals are no nodes. `calls` are what
    `calls_of` gives, where that is known."""

    def __init__(self, block: Block, target: Target,
                 calls: Mapping[Operation, None] | None = None) -> None:  # fmt: skip
        self.calls = calls_of(block) if calls is None else calls
        self.views = Views(block, self.calls, layouts_of(block))
        self.nodes: list[Node] = []
        self.of: dict[SSAValue, Node] = {}
        self._costs, self._default = target.op_costs, target.default_op_cost
        self._known: dict[tuple[Scalar, ...], float] = {}
        for op in block.ops:
            if isinstance(op, TableOp):
                self._add(op)

    def _add(self, op: TableOp) -> None:
        if is_view(op):
            if op.results[0] not in self.views.copies:
                return
            self._enter(self._copy(op))
        elif op.SCHEMA.elementwise and op not in self.calls:
            from .fusion_bodies import nodes_of

            for node in nodes_of(self, op):
                self._enter(node)
        else:
            self._enter(self._node(op))

    def _enter(self, node: Node) -> None:
        self.nodes.append(node)
        for result in [node.result] if node.family else node.op.results:
            self.of[result] = node

    def _node(self, op: TableOp) -> Node:
        from .fusion_special import SPECIAL

        schema = op.SCHEMA
        if op in self.calls:
            return self.opaque(op)
        if schema.is_pointwise:
            return self._pointwise(op)
        if schema.name in COMBINERS:
            return self._reduction(op) or self.opaque(op)
        return SPECIAL[schema.name](self, op)

    def opaque(self, op: Operation) -> Node:
        """A node that stays a call."""
        args = tuple(self._given(v) for v in op.operands)
        shape = shape_of(op.results[0])
        return Node(len(self.nodes), op, "call", op.results[0], shape, count(shape), args)

    def _given(self, value: SSAValue) -> Arg:
        """An operand of a call: a tensor in memory, or strides over one."""
        if self.views.in_memory(value) is None:
            return self.materialised(value, identity(count(shape_of(value))))
        return self.read(*self.views.source(value))

    def pointwise(
        self, op: Operation, expression: Scalar, args: Sequence[Arg],
        indices: Sequence[Linear] = (), conditions: Sequence[Condition] = (),
    ) -> Node:  # fmt: skip
        """A node whose result element n is `expression`."""
        shape = shape_of(op.results[0])
        return Node(
            len(self.nodes), op, "pointwise", op.results[0], shape, count(shape), tuple(args),
            tuple(indices), tuple(conditions), expression, self._cost((expression,)),
        )  # fmt: skip

    def _cost(self, roots: tuple[Scalar, ...]) -> float:
        """Nanoseconds for one element of each of `roots`."""
        cost = self._known.get(roots)
        if cost is None:
            cost = cost_of(postorder(roots), self._costs, self._default)
            self._known[roots] = cost
        return cost

    def family(self, op: Operation, roots: tuple[Scalar, ...], args: Sequence[Arg]) -> list[Node]:
        """A node for each result of `op`: expressions over the same `args`."""
        made: list[Node] = []
        for i, (root, result) in enumerate(zip(roots, op.results, strict=True)):
            shape = shape_of(result)
            cost = self._cost(roots[: i + 1]) - sum(n.cost for n in made)
            node = Node(
                len(self.nodes) + i, op, "pointwise", result, shape, count(shape), tuple(args)
            )
            node.expression, node.cost = root, cost
            made.append(node)
        for node in made:
            node.family = made
        return made

    def read(self, value: SSAValue, link: Linear, guard: Guard = (),
             gathered: tuple[Gathered, ...] = ()) -> Arg:  # fmt: skip
        """Element `link` of `value`, which is no view or a copy."""
        return Arg(value, self.of.get(value), link, guard, gathered)

    def arg(self, value: SSAValue, link: Linear | None = None) -> Arg:
        """Element `link` (n for None) of `value`, followed through views."""
        base, index = self.views.source(value)
        whole = index if link is None else compose(index, link)
        if whole is None:
            assert link is not None
            return self.materialised(value, link)
        return self.read(base, whole)

    def materialised(self, value: SSAValue, link: Linear, guard: Guard = ()) -> Arg:
        """Element `link` of a view that becomes a copy."""
        if value not in self.of:
            assert isinstance(value.owner, TableOp)
            self._enter(self._copy(value.owner))
        return self.read(value, link, guard)

    def _copy(self, op: TableOp) -> Node:
        dtype = dtype_of(op.results[0])
        shown = self.read(*self.views.shown(op.results[0]))
        return self.pointwise(op, argument(0, wide(dtype)), [shown])

    def _pointwise(self, op: TableOp) -> Node:
        target = shape_of(op.results[0])
        operands = op.operands
        keys: list[_Key] = []
        constants = tuple(constant_of(v) for v in operands)
        for v in operands:
            t = type_of(v)
            keys.append((t.dtype, t.ndim == 0, t.wrapped))
        attrs = tuple(op.attribute_values().items()) if op.SCHEMA.attrs else ()
        whole = pointwise_expression(
            op.SCHEMA.name, tuple(keys), constants, attrs, dtype_of(op.results[0])
        )
        expression, kept = compact(whole, len(operands))
        args: list[Arg] = []
        for i in kept:
            source = shape_of(operands[i])
            link = None if source == target else broadcast(source, target)
            args.append(self.arg(operands[i], link))
        return self.pointwise(op, expression, args)

    def _reduction(self, op: TableOp) -> Node | None:
        """None where the reduced axes are not side by side."""
        shape = shape_of(op.operands[0])
        axes = reduced_run(shape, op.attribute_values()["dim"])
        if axes is None:
            return None
        total = count(shape)
        outer, reduced = count(shape[: axes[0]]), count(shape[axes[0] : axes[1]])
        source = dtype_of(op.operands[0])
        inside = dtype_of(op.results[0])
        x = argument(0, wide(source))
        expression = cast(x, wide(inside))
        if reduced == 1:
            return self.pointwise(op, expression, [self.arg(op.operands[0])])
        return Node(
            len(self.nodes), op, "reduce", op.results[0], shape, total,
            (self.arg(op.operands[0]),), expression=expression, combiner=_combiner(op, inside),
            outer=outer, reduced=reduced, inner=total // (outer * reduced),
        )  # fmt: skip


def _combiner(op: TableOp, dtype: DType) -> str:
    kind = COMBINERS[op.SCHEMA.name]
    if kind in ("max", "min"):
        if dtype.name == "bool":
            return "any" if kind == "max" else "all"
        if dtype.is_integer and not dtype.signed:
            return f"u{kind}"
    return kind


def reduced_run(shape: Shape, dim: Any) -> tuple[int, int] | None:
    """[first, last) of the axes that `dim` names, leaving out axes of size 1; None if they are
    not side by side. (0, 0) where nothing is folded."""
    if dim is None:
        return 0, len(shape)
    dims = (dim,) if isinstance(dim, int) else dim
    axes = sorted(d % max(len(shape), 1) for d in dims)
    axes = [a for a in axes if a < len(shape) and shape[a] != 1]
    if not axes:
        return 0, 0
    if any(shape[a] != 1 for a in range(axes[0], axes[-1]) if a not in axes):
        return None
    return axes[0], axes[-1] + 1


def full_link(node: Node) -> Linear:
    """n itself."""
    return identity(node.count)
