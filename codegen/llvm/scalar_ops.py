"""How each `arith` op becomes LLVM instructions on lanes; one table, one row an op.

f16 and bf16 values are held as i16 and converted here, bf16 by integer arithmetic: LLVM would
otherwise call library functions, or round subnormals to zero where the machine has AVX512-BF16.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from xdsl.dialects.arith import CMPF_COMPARISON_OPERATIONS, CMPI_COMPARISON_OPERATIONS
from xdsl.dialects.builtin import FloatAttr, IntegerAttr
from xdsl.ir import Attribute, Operation

from ...ir.errors import CompileError
from ...ir.scalar.arith import predicate_of
from .writer import Value, Writer, integer

_LLVM_TYPES = {"f16": "i16", "bf16": "i16", "f32": "float", "f64": "double", "index": "i64"}
_HALVES = ("f16", "bf16")

Lowering = Callable[[Writer, Operation, list[Value]], Value]


def llvm_type(type_: Attribute) -> str:
    """The LLVM scalar type that holds a value of the IR type."""
    name = str(type_)
    return _LLVM_TYPES.get(name, name)


def real(value: float, type_: str) -> Value:
    """A `float` or `double` literal; `value` is exact in it."""
    bits = struct.unpack(">Q", struct.pack(">d", value))[0]
    return Value(f"0x{bits:016X}", type_, literal=True)


def lower(w: Writer, op: Operation, operands: list[Value]) -> Value:
    """The value of the `arith` or `math` op `op`, written into `w`.

    Raises CompileError for an op without a row; `math` functions must have been expanded.
    """
    lowering = _TABLE.get(op.name)
    if lowering is None:
        raise CompileError(f"llvm: {op.name} has no lowering; expand it before code generation")
    return lowering(w, op, operands)


def _binary(opcode: str) -> Lowering:
    return lambda w, op, x: w.binary(opcode, x[0], x[1])


def _intrinsic(name: str, extra: str = "") -> Lowering:
    return lambda w, op, x: w.intrinsic(name, *x, extra=extra)


def _convert(opcode: str) -> Lowering:
    return lambda w, op, x: w.convert(opcode, x[0], llvm_type(op.results[0].type))


def _constant(w: Writer, op: Operation, x: list[Value]) -> Value:
    value = op.properties["value"]
    if isinstance(value, IntegerAttr):
        return integer(value.value.data, llvm_type(op.results[0].type))
    assert isinstance(value, FloatAttr)
    number, type_ = value.value.data, op.results[0].type
    if str(type_) in _HALVES:
        return integer(_half_bits(number, str(type_)), "i16")
    return real(number, llvm_type(type_))


def _half_bits(number: float, name: str) -> int:
    if name == "f16":
        return struct.unpack("<h", struct.pack("<e", number))[0]
    return struct.unpack("<h", struct.pack("<f", number)[2:])[0]


def _negate(w: Writer, op: Operation, x: list[Value]) -> Value:
    return w.pure(f"fneg {x[0]}", x[0].type, x[0].width, x)


def _compare(kind: str, names: Sequence[str]) -> Lowering:
    def row(w: Writer, op: Operation, x: list[Value]) -> Value:
        return w.compare(f"{kind} {names[predicate_of(op)]}", x[0], x[1])

    return row


def _select(w: Writer, op: Operation, x: list[Value]) -> Value:
    return w.select(x[0], x[1], x[2])


def extremum(w: Writer, comparison: str, a: Value, b: Value) -> Value:
    """`a` if `comparison(a, b)` or a is NaN, else `b`; `comparison` is ogt or olt."""
    a, b = w.joined(a, b)
    best = w.select(w.compare(f"fcmp {comparison}", a, b), a, b)
    return w.select(w.compare("fcmp uno", a, a), a, best)


def _extremum(comparison: str) -> Lowering:
    return lambda w, op, x: extremum(w, comparison, x[0], x[1])


def _divide(opcode: str, *, signed: bool, floor: bool = False) -> Lowering:
    """Division and remainder that cannot trap: the machine divides by 1 where it must not by b."""

    def row(w: Writer, op: Operation, x: list[Value]) -> Value:
        a, b = w.joined(*x)
        zero, one, minus = (integer(n, a.type) for n in (0, 1, -1))
        by_zero = w.compare("icmp eq", b, zero)
        negates = w.compare("icmp eq", b, minus) if signed else by_zero
        safe = w.select(w.binary("or", by_zero, negates), one, b)
        result = w.binary(opcode, a, safe)
        if opcode in ("srem", "urem"):
            return result
        if floor:
            result = _rounded_down(w, a, safe, result)
        if signed:
            result = w.select(negates, w.binary("sub", zero, a), result)
        return w.select(by_zero, zero, result)

    return row


def _rounded_down(w: Writer, a: Value, b: Value, quotient: Value) -> Value:
    rest = w.binary("sub", a, w.binary("mul", quotient, b))
    differ = w.compare("icmp slt", w.binary("xor", rest, b), integer(0, a.type))
    inexact = w.compare("icmp ne", rest, integer(0, a.type))
    down = w.binary("add", quotient, integer(-1, a.type))
    return w.select(w.binary("and", inexact, differ), down, quotient)


def _extend(w: Writer, op: Operation, x: list[Value]) -> Value:
    target = llvm_type(op.results[0].type)
    single = _as_float(w, x[0], str(op.operands[0].type))
    return single if single.type == target else w.convert("fpext", single, target)


def _as_float(w: Writer, x: Value, name: str) -> Value:
    """A half as `float`; other types stay."""
    if name == "f16":
        return w.convert("fpext", w.convert("bitcast", x, "half"), "float")
    if name == "bf16":
        bits = w.binary("shl", w.convert("zext", x, "i32"), integer(16, "i32"))
        return w.convert("bitcast", bits, "float")
    return x


def _truncate(w: Writer, op: Operation, x: list[Value]) -> Value:
    name = str(op.results[0].type)
    if name in _HALVES:
        return _as_half(w, x[0], name)
    return w.convert("fptrunc", x[0], llvm_type(op.results[0].type))


def _as_half(w: Writer, x: Value, name: str) -> Value:
    """A float rounded to a half, half to even; a double is rounded to a float first."""
    if x.type == "double":
        x = w.convert("fptrunc", x, "float")
    if name == "f16":
        return w.convert("bitcast", w.convert("fptrunc", x, "half"), "i16")
    bits = w.convert("bitcast", x, "i32")
    high = w.binary("lshr", bits, integer(16, "i32"))
    tie = w.binary("and", high, integer(1, "i32"))
    nudged = w.binary("add", bits, w.binary("add", tie, integer(0x7FFF, "i32")))
    rounded = w.binary("lshr", nudged, integer(16, "i32"))
    quiet = w.binary("or", high, integer(0x40, "i32"))
    return w.convert("trunc", w.select(w.compare("fcmp uno", x, x), quiet, rounded), "i16")


def _to_float(opcode: str) -> Lowering:
    def row(w: Writer, op: Operation, x: list[Value]) -> Value:
        name = str(op.results[0].type)
        if name in _HALVES:
            return _as_half(w, w.convert(opcode, x[0], "float"), name)
        return w.convert(opcode, x[0], llvm_type(op.results[0].type))

    return row


def _to_integer(opcode: str) -> Lowering:
    """Through i32 where the target is narrower, so that values wrap alike on every machine."""

    def row(w: Writer, op: Operation, x: list[Value]) -> Value:
        target = llvm_type(op.results[0].type)
        source = _as_float(w, x[0], str(op.operands[0].type))
        if target in ("i8", "i16"):
            return w.convert("trunc", w.convert("fptosi", source, "i32"), target)
        return w.convert(opcode, source, target)

    return row


def _bitcast(w: Writer, op: Operation, x: list[Value]) -> Value:
    target = llvm_type(op.results[0].type)
    return x[0] if x[0].type == target else w.convert("bitcast", x[0], target)


def _index_cast(w: Writer, op: Operation, x: list[Value]) -> Value:
    target = llvm_type(op.results[0].type)
    if x[0].type == target:
        return x[0]
    return w.convert("sext" if target == "i64" else "trunc", x[0], target)


_TABLE: dict[str, Lowering] = {
    "arith.constant": _constant,
    "arith.addf": _binary("fadd"),
    "arith.subf": _binary("fsub"),
    "arith.mulf": _binary("fmul"),
    "arith.divf": _binary("fdiv"),
    "arith.negf": _negate,
    "arith.maximumf": _extremum("ogt"),
    "arith.minimumf": _extremum("olt"),
    "arith.addi": _binary("add"),
    "arith.subi": _binary("sub"),
    "arith.muli": _binary("mul"),
    "arith.andi": _binary("and"),
    "arith.ori": _binary("or"),
    "arith.xori": _binary("xor"),
    "arith.shli": _binary("shl"),
    "arith.shrsi": _binary("ashr"),
    "arith.shrui": _binary("lshr"),
    "arith.divsi": _divide("sdiv", signed=True),
    "arith.divui": _divide("udiv", signed=False),
    "arith.floordivsi": _divide("sdiv", signed=True, floor=True),
    "arith.remsi": _divide("srem", signed=True),
    "arith.remui": _divide("urem", signed=False),
    "arith.minsi": _intrinsic("llvm.smin"),
    "arith.maxsi": _intrinsic("llvm.smax"),
    "arith.minui": _intrinsic("llvm.umin"),
    "arith.maxui": _intrinsic("llvm.umax"),
    "arith.cmpi": _compare("icmp", CMPI_COMPARISON_OPERATIONS),
    "arith.cmpf": _compare("fcmp", CMPF_COMPARISON_OPERATIONS),
    "arith.select": _select,
    "arith.extf": _extend,
    "arith.truncf": _truncate,
    "arith.sitofp": _to_float("sitofp"),
    "arith.uitofp": _to_float("uitofp"),
    "arith.fptosi": _to_integer("fptosi"),
    "arith.fptoui": _to_integer("fptoui"),
    "arith.trunci": _convert("trunc"),
    "arith.extsi": _convert("sext"),
    "arith.extui": _convert("zext"),
    "arith.bitcast": _bitcast,
    "arith.index_cast": _index_cast,
    "math.absf": _intrinsic("llvm.fabs"),
    "math.absi": _intrinsic("llvm.abs", ", i1 false"),
    "math.sqrt": _intrinsic("llvm.sqrt"),
    "math.floor": _intrinsic("llvm.floor"),
    "math.ceil": _intrinsic("llvm.ceil"),
    "math.trunc": _intrinsic("llvm.trunc"),
    "math.roundeven": _intrinsic("llvm.roundeven"),
}
NATIVE = frozenset(_TABLE)
"""Names of the ops that have a row."""
