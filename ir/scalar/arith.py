"""Scalar expressions as `arith` and `math` ops: one table from kinds to ops, read both ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, cast

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import AnyFloat, FloatAttr, IntegerAttr, IntegerType, LocationAttr
from xdsl.ir import Attribute, Operation, SSAValue

from ..dialects.kernel.types import value_type
from ..dtypes import BY_IR, DType, bool_
from .expression import FUNCTIONS, PRIMITIVES, Scalar, argument, make, postorder
from .functions import expand

FLOAT_OPS: dict[str, type[Operation]] = {
    "add": arith.AddfOp,
    "sub": arith.SubfOp,
    "mul": arith.MulfOp,
    "div": arith.DivfOp,
    "neg": arith.NegfOp,
    "minimum": arith.MinimumfOp,
    "maximum": arith.MaximumfOp,
    "abs": math.AbsFOp,
    "sqrt": math.SqrtOp,
    "floor": math.FloorOp,
    "ceil": math.CeilOp,
    "trunc": math.TruncOp,
    "round": math.RoundEvenOp,
    "exp": math.ExpOp,
    "exp2": math.Exp2Op,
    "expm1": math.ExpM1Op,
    "log": math.LogOp,
    "log2": math.Log2Op,
    "log1p": math.Log1pOp,
    "sin": math.SinOp,
    "cos": math.CosOp,
    "tan": math.TanOp,
    "tanh": math.TanhOp,
    "erf": math.ErfOp,
    "rsqrt": math.RsqrtOp,
    "pow": math.PowFOp,
}
"""Kinds on floats that are one op."""

_BITWISE: dict[str, type[Operation]] = {"and": arith.AndIOp, "or": arith.OrIOp, "xor": arith.XOrIOp}
_BOOL_OPS = _BITWISE | {"minimum": arith.AndIOp, "maximum": arith.OrIOp}
_WRAPPING = _BITWISE | {
    "add": arith.AddiOp,
    "sub": arith.SubiOp,
    "mul": arith.MuliOp,
    "shl": arith.ShLIOp,
}
_SIGNED_OPS = _WRAPPING | {
    "floordiv": arith.FloorDivSIOp,
    "rem": arith.RemSIOp,
    "minimum": arith.MinSIOp,
    "maximum": arith.MaxSIOp,
    "shr": arith.ShRSIOp,
    "abs": math.AbsIOp,
}
_UNSIGNED_OPS = _WRAPPING | {
    "floordiv": arith.DivUIOp,
    "rem": arith.RemUIOp,
    "mod": arith.RemUIOp,
    "minimum": arith.MinUIOp,
    "maximum": arith.MaxUIOp,
    "shr": arith.ShRUIOp,
}

_FLOAT_COMPARISONS = {"lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq", "ne": "une"}

PRIMITIVE_KINDS: dict[str, str] = {
    op.name: kind
    for table in (FLOAT_OPS, _SIGNED_OPS, _UNSIGNED_OPS)
    for kind, op in table.items()
    if kind in PRIMITIVES and (kind, op) != ("mod", arith.RemUIOp)
}
"""The kind that each op on one type computes; comparisons, casts and constants aside."""

UNSIGNED = frozenset(op.name for kind, op in _UNSIGNED_OPS.items() if kind not in _WRAPPING)
"""Names of the ops that read signless integers as unsigned ones."""

_FUNCTION_KINDS = {op.name: kind for kind, op in FLOAT_OPS.items() if kind in FUNCTIONS}


def function_of(op: Operation) -> Scalar | None:
    """The function of its operands that a `math` op on floats computes; None for other ops."""
    kind = _FUNCTION_KINDS.get(op.name)
    if kind is None:
        return None
    dtype = BY_IR[str(op.results[0].type)]
    return make(kind, *(argument(i, dtype) for i in range(len(op.operands))))


class Inserter(Protocol):
    """Where ops are inserted; it may give an op that is there already instead."""

    def insert(self, op: Operation, /) -> Operation: ...


def emit(
    roots: Sequence[Scalar], arguments: Sequence[SSAValue], place: Inserter, location: LocationAttr
) -> list[SSAValue]:
    """Inserts ops, each at `location`, that compute `roots`; returns their values in order.

    `arguments[i]` is the value of `argument(i)`; its type is `value_type` of that node's dtype.
    Every node becomes ops once, however often it is used; functions without an op of their own
    are written out. Raises NotImplementedError for `rem` of floats, which has no op.
    """
    emitter = _Emitter(place, location)
    values: dict[Scalar, SSAValue] = {}
    roots = [expand(root, _kept(root)) for root in roots]
    for node in postorder(roots):
        values[node] = (
            arguments[node.payload]
            if node.kind == "argument"
            else emitter.node(node, [values[x] for x in node.operands])
        )
    return [values[root] for root in roots]


def _kept(root: Scalar) -> frozenset[str]:
    """The functions of `root` that are one op; `pow` is, but of floats only."""
    has_integer_pow = any(x.kind == "pow" and x.dtype.is_integer for x in postorder([root]))
    return frozenset(FLOAT_OPS) - {"pow"} if has_integer_pow else frozenset(FLOAT_OPS)


class _Emitter:
    """Inserts the ops of one node at a time."""

    def __init__(self, place: Inserter, location: LocationAttr) -> None:
        self.place = place
        self.location = location

    def op(self, op: Operation) -> SSAValue:
        op.location = self.location
        return self.place.insert(op).results[0]

    def made(self, op: type[Operation], operands: Sequence[SSAValue]) -> SSAValue:
        """An op of a table, which gives what it takes."""
        return self.op(op.create(operands=operands, result_types=[operands[0].type]))

    def constant(self, value: bool | int | float, type_: Attribute) -> SSAValue:
        if isinstance(type_, IntegerType):
            return self.op(
                arith.ConstantOp.from_int_and_width(
                    int(value), cast("IntegerType", type_), truncate_bits=True
                )
            )
        assert isinstance(type_, AnyFloat)
        return self.op(arith.ConstantOp(FloatAttr(float(value), type_)))

    def compare(self, predicate: str, a: SSAValue, b: SSAValue) -> SSAValue:
        return self.op(arith.CmpiOp(a, b, predicate))

    def comparef(self, predicate: str, a: SSAValue, b: SSAValue) -> SSAValue:
        return self.op(arith.CmpfOp(a, b, predicate))

    def select(self, condition: SSAValue, a: SSAValue, b: SSAValue) -> SSAValue:
        return self.op(arith.SelectOp(condition, a, b))

    def node(self, node: Scalar, operands: list[SSAValue]) -> SSAValue:
        special = _SPECIAL.get(node.kind)
        if special is not None:
            return special(self, node, operands)
        domain = node.operands[-1].dtype
        if node.kind in _FLOAT_COMPARISONS:
            return self._comparison(node.kind, domain, operands)
        made = self._integer_special(node, operands) if domain.is_integer else None
        if made is not None:
            return made
        table = (
            FLOAT_OPS
            if domain.is_floating_point
            else _BOOL_OPS
            if domain is bool_
            else _SIGNED_OPS
            if domain.signed
            else _UNSIGNED_OPS
        )
        if node.kind not in table:
            raise NotImplementedError(
                f"{node.kind}: no op for {domain.name}; keep it out of fused kernels"
            )
        return self.made(table[node.kind], operands)

    def _comparison(self, kind: str, domain: DType, operands: list[SSAValue]) -> SSAValue:
        if domain.is_floating_point:
            return self.comparef(_FLOAT_COMPARISONS[kind], *operands)
        sign = "" if kind in ("eq", "ne") else "s" if domain.is_integer and domain.signed else "u"
        return self.compare(sign + kind, *operands)

    def _integer_special(self, node: Scalar, operands: list[SSAValue]) -> SSAValue | None:
        type_ = operands[0].type
        match node.kind:
            case "neg":
                return self.op(arith.SubiOp(self.constant(0, type_), operands[0]))
            case "abs" if not node.dtype.signed:
                return operands[0]
            case "shl" | "shr":
                table = _SIGNED_OPS if node.dtype.signed else _UNSIGNED_OPS
                within = self.constant(node.dtype.bits - 1, type_)
                amount = self.op(arith.AndIOp(operands[1], within))
                return self.made(table[node.kind], [operands[0], amount])
            case "mod" if node.dtype.signed:
                return self._python_modulo(*operands)
            case _:
                return None

    def _python_modulo(self, a: SSAValue, b: SSAValue) -> SSAValue:
        """The remainder with the divisor's sign: C's, moved by b where the signs differ."""
        zero = self.constant(0, a.type)
        rest = self.op(arith.RemSIOp(a, b))
        differ = self.compare("slt", self.op(arith.XOrIOp(rest, b)), zero)
        moves = self.op(arith.AndIOp(self.compare("ne", rest, zero), differ))
        return self.select(moves, self.op(arith.AddiOp(rest, b)), rest)


def _constant(e: _Emitter, node: Scalar, operands: list[SSAValue]) -> SSAValue:
    return e.constant(node.payload, scalar_type(node.dtype))


def _select(e: _Emitter, node: Scalar, operands: list[SSAValue]) -> SSAValue:
    return e.select(*operands)


def _not(e: _Emitter, node: Scalar, operands: list[SSAValue]) -> SSAValue:
    return e.op(arith.XOrIOp(operands[0], e.constant(-1, operands[0].type)))


def _isnan(e: _Emitter, node: Scalar, operands: list[SSAValue]) -> SSAValue:
    return e.comparef("uno", operands[0], operands[0])


def _isinf(e: _Emitter, node: Scalar, operands: list[SSAValue]) -> SSAValue:
    infinity = e.constant(float("inf"), operands[0].type)
    return e.comparef("oeq", e.op(math.AbsFOp(operands[0])), infinity)


def _mulhi(e: _Emitter, node: Scalar, operands: list[SSAValue]) -> SSAValue:
    wide = IntegerType(2 * node.dtype.bits)
    a, b = (e.op(arith.ExtUIOp(x, wide)) for x in operands)
    shift = e.constant(node.dtype.bits, wide)
    high = e.op(arith.ShRUIOp(e.op(arith.MuliOp(a, b)), shift))
    return e.op(arith.TruncIOp(high, IntegerType(node.dtype.bits)))


def _bitcast(e: _Emitter, node: Scalar, operands: list[SSAValue]) -> SSAValue:
    type_ = scalar_type(node.dtype)
    return operands[0] if operands[0].type == type_ else e.op(arith.BitcastOp(operands[0], type_))


def _cast(e: _Emitter, node: Scalar, operands: list[SSAValue]) -> SSAValue:
    return _converted(e, operands[0], node.operands[0].dtype, node.dtype)


def _converted(e: _Emitter, x: SSAValue, source: DType, target: DType) -> SSAValue:
    type_ = scalar_type(target)
    if target is bool_:
        if source.is_floating_point and source.bits == 16:  # these are only moved and converted
            x = e.op(arith.ExtFOp(x, _FLOAT32))
        zero = e.constant(0, x.type)
        return e.comparef("une", x, zero) if source.is_floating_point else e.compare("ne", x, zero)
    if source.is_floating_point and target.is_floating_point:
        return _refloated(e, x, source, target)
    if source.is_floating_point:
        whole = IntegerType(target.bits)
        return e.op(arith.FPToSIOp(x, whole) if target.signed else arith.FPToUIOp(x, whole))
    signed = source is not bool_ and source.signed
    if target.is_floating_point:
        convert = arith.SIToFPOp if signed else arith.UIToFPOp
        return e.op(convert(x, type_))  # pyright: ignore[reportArgumentType]
    return _resized(e, x, source.bits, IntegerType(target.bits), signed)


def _refloated(e: _Emitter, x: SSAValue, source: DType, target: DType) -> SSAValue:
    if source.bits == target.bits:  # float16 and bfloat16 meet in float32
        x, source = e.op(arith.ExtFOp(x, _FLOAT32)), BY_IR["f32"]
    type_ = scalar_type(target)
    return e.op(arith.ExtFOp(x, type_) if target.bits > source.bits else arith.TruncFOp(x, type_))


def _resized(e: _Emitter, x: SSAValue, bits: int, type_: IntegerType, signed: bool) -> SSAValue:
    if bits == type_.width.data:
        return x
    if bits > type_.width.data:
        return e.op(arith.TruncIOp(x, type_))
    return e.op(arith.ExtSIOp(x, type_) if signed else arith.ExtUIOp(x, type_))


def predicate_of(op: Operation) -> int:
    """The number of the comparison that an `arith.cmpi` or `arith.cmpf` makes."""
    predicate = op.properties["predicate"]
    assert isinstance(predicate, IntegerAttr)
    return predicate.value.data


def scalar_type(dtype: DType) -> Attribute:
    """The type of a scalar of `dtype`; unsigned integers, uint32 and uint64 too, are signless."""
    if dtype.is_integer:
        return IntegerType(dtype.bits)
    return value_type(dtype)


_FLOAT32 = value_type(BY_IR["f32"])

_SPECIAL: dict[str, Callable[[_Emitter, Scalar, list[SSAValue]], SSAValue]] = {
    "constant": _constant,
    "select": _select,
    "not": _not,
    "isnan": _isnan,
    "isinf": _isinf,
    "mulhi": _mulhi,
    "bitcast": _bitcast,
    "cast": _cast,
}
