"""Kernels made for several sizes become one that takes its sizes as arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from xdsl.dialects import arith
from xdsl.dialects.builtin import (
    AffineMapAttr,
    Float32Type,
    Float64Type,
    FloatAttr,
    IndexType,
    IntegerAttr,
    IntegerType,
    StringAttr,
    f64,
    i64,
)
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineConstantExpr,
    AffineExpr,
    AffineMap,
)

from ..ir.dialects.integers import integer_attribute
from ..ir.dialects.kernel import ForOp, FuncOp, LoadOp, LocalOp, ReduceOp, StoreOp
from ..ir.polynomial import DiffersError, Polynomial, Real, Samples

_CHOICES = ("grain", "unroll")
"""Properties that change no result: those of the last kernel are taken."""


_Symbol = Callable[[Sequence[int]], AffineExpr]


@dataclass(frozen=True)
class General:
    """A kernel, and what its sizes are, in order."""

    kernel: FuncOp
    sizes: list[Polynomial]


def generalize(kernels: Sequence[FuncOp], name: str, samples: Samples) -> General:
    """One kernel called `name` for what `kernels` do, each of them made for one of `samples`, and
    for sizes between these.

    DiffersError where they differ in more than numbers that depend on sizes.
    """
    made = _Generalizing(kernels, name, samples)
    made.run()
    return General(made.kernel, list(made.sizes))


@dataclass
class _Generalizing:
    kernels: Sequence[FuncOp]
    name: str
    samples: Samples
    sizes: dict[Polynomial, SSAValue] = field(default_factory=dict[Polynomial, SSAValue])

    def __post_init__(self) -> None:
        self.kernel = self.kernels[-1].clone()
        self.kernel.sym_name = StringAttr(self.name)

    def run(self) -> None:
        numbered = [_wiring(k) for k in self.kernels]
        if any(n != numbered[0] for n in numbered):
            raise DiffersError([k.sym_name.data for k in self.kernels], "the ops of a kernel")
        walks = [list(k.walk()) for k in (*self.kernels, self.kernel)]
        for *alike, op in zip(*walks, strict=True):
            self._op(op, alike)
        self.kernel.verify()

    def _op(self, op: Operation, alike: Sequence[Operation]) -> None:
        for key in list(op.properties):
            values = [o.properties.get(key) for o in alike]
            if all(v == values[0] for v in values) or key in (*_CHOICES, "sym_name"):
                continue
            match op, key:
                case ((ForOp() | ReduceOp()), "count"):
                    op.operands = [self._size(_integers(values, key))]
                    del op.properties["count"]
                case FuncOp(), "extent":
                    number = self._number(self._size(_integers(values, key)))
                    del op.properties["extent"]
                    op.size = integer_attribute(number)
                case LocalOp(), "count":  # as much as the largest needs
                    op.count = integer_attribute(max(_integers(values, key)))
                case ((LoadOp() | StoreOp()), "map"):
                    self._access(op, values)
                case arith.ConstantOp(), "value":
                    self._constant(op, values)
                case _:
                    raise DiffersError(values, f"{key} of {op.name}")

    def _size(self, values: Sequence[int]) -> SSAValue:
        """The size argument that is `values` for the samples."""
        found = self.samples.integer(values, "a number of a kernel")
        assert isinstance(found, Polynomial)
        if found not in self.sizes:
            block = self.kernel.body.block
            argument = block.insert_arg(IndexType(), len(block.args) - 1)
            argument.name_hint = "n"
            argument.location = self.kernel.location
            self.sizes[found] = argument
        return self.sizes[found]

    def _number(self, size: SSAValue) -> int:
        return list(self.sizes.values()).index(size)

    def _access(self, op: LoadOp | StoreOp, values: Sequence[Attribute | None]) -> None:
        maps = [v.data for v in values if isinstance(v, AffineMapAttr)]
        first = maps[0]
        symbols: dict[SSAValue, int] = {}

        def symbol(numbers: Sequence[int]) -> AffineExpr:
            number = symbols.setdefault(self._size(numbers), first.num_symbols + len(symbols))
            return AffineExpr.symbol(number)

        expr = _joined([m.results[0] for m in maps], symbol)
        map_ = AffineMap(first.num_dims, first.num_symbols + len(symbols), (expr,))
        indices = [*op.indices, *symbols]
        if isinstance(op, LoadOp):
            new: LoadOp | StoreOp = LoadOp(op.buffer, map_, indices, op.mask, op.other)
            op.value.replace_all_uses_with(new.value)
            new.value.name_hint = op.value.name_hint
        else:
            new = StoreOp(op.value, op.buffer, map_, indices, op.mask)
        new.attributes |= op.attributes
        _put(op, [new])

    def _constant(self, op: arith.ConstantOp, values: Sequence[Attribute | None]) -> None:
        kind = op.result.type
        if isinstance(kind, (IntegerType, IndexType)):
            made = _cast(self._size(_integers(values, "value")), op.result.type)
        elif isinstance(kind, (Float32Type, Float64Type)):
            numbers = [v.value.data for v in values if isinstance(v, FloatAttr)]
            made = self._real(numbers, kind)
        else:
            raise DiffersError(values, f"a constant of type {kind}")
        result = made[-1].results[0] if made else self._size(_integers(values, "value"))
        op.result.replace_all_uses_with(result)
        _put(op, made)

    def _real(self, numbers: Sequence[float], kind: Float32Type | Float64Type) -> list[Operation]:
        """Ops whose last one gives the float that is `numbers` for the samples."""
        found = self._found(numbers, kind)
        whole = _cast(self._size([found.of.at(s) for s in self.samples.sizes]), i64)
        given = arith.SIToFPOp(whole[-1].results[0], f64)
        made: list[Operation] = [*whole, given]
        if found.inverse:
            one = arith.ConstantOp(FloatAttr(1.0, f64))
            made += [one, arith.DivfOp(one.result, given.result)]
        if isinstance(kind, Float32Type):
            made.append(arith.TruncFOp(made[-1].results[0], kind))
        return made

    def _found(self, numbers: Sequence[float], kind: Float32Type | Float64Type) -> Real:
        """What `numbers` are; those of float32 are rounded, so that one over a size is near it."""
        if isinstance(kind, Float32Type):
            numbers = [_unrounded(v) for v in numbers]
        found = self.samples.real(numbers, "a number of a kernel")
        assert isinstance(found, Real)
        return found


def _unrounded(value: float) -> float:
    """The float64 of which `value` is the float32, where it is one over a whole number."""
    from numpy import float32

    inverse = 1.0 / round(1.0 / value) if value and abs(value) < 1 else value
    return inverse if float(float32(inverse)) == value else value


def _cast(size: SSAValue, kind: Attribute) -> list[Operation]:
    """The op that makes `size` a number of that type; none where it is one."""
    return [] if isinstance(kind, IndexType) else [arith.IndexCastOp(size, kind)]


def _put(op: Operation, made: Sequence[Operation]) -> None:
    """Puts `made` in the place of `op`."""
    block = op.parent
    assert isinstance(block, Block)
    for new in made:
        new.location = op.location
        block.insert_op_before(new, op)
    op.detach()
    op.drop_all_references()


def _integers(values: Sequence[Attribute | None], key: str) -> list[int]:
    found = [v.value.data for v in values if isinstance(v, IntegerAttr)]
    if len(found) != len(values):
        raise DiffersError(values, key)
    return found


def _joined(exprs: Sequence[AffineExpr], symbol: _Symbol) -> AffineExpr:
    """The expression that `exprs` are but for constants; `symbol` stands for those that differ."""
    first = exprs[0]
    if all(e == first for e in exprs):
        return first
    if all(isinstance(e, AffineConstantExpr) for e in exprs):
        return symbol([e.value for e in exprs if isinstance(e, AffineConstantExpr)])
    both = [e for e in exprs if isinstance(e, AffineBinaryOpExpr)]
    if len(both) != len(exprs) or len({e.kind for e in both}) > 1:
        raise DiffersError(exprs, "an offset")
    left, right = _joined([e.lhs for e in both], symbol), _joined([e.rhs for e in both], symbol)
    return AffineBinaryOpExpr(both[0].kind, left, right)


def _wiring(kernel: FuncOp) -> list[object]:
    """Names, types and operands of all ops, values by number: what kernels have in common."""
    numbers: dict[SSAValue, int] = {}
    found: list[object] = []
    for op in kernel.walk():
        found.append((op.name, [numbers[v] for v in op.operands], [v.type for v in op.results]))
        found.append((list(op.properties), op.attributes))
        for value in (*op.results, *(a for r in op.regions for b in r.blocks for a in b.args)):
            numbers[value] = len(numbers)
            found.append(value.type)
    return found
