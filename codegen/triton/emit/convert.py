"""Conversions between the types of scalars, by value and by bits."""

from __future__ import annotations

from collections.abc import Callable

from xdsl.ir import Attribute, Operation

from ....ir.dtypes import BY_IR
from ....ir.scalar.kinds import representable
from .integers import INT32, as_held, bits_of, is_natural, signed, unsigned, width_of, wrapped
from .nodes import AND, ATOM, COMPARE, PRODUCT, Node, Writer, literal

HELD = {
    "i1": "int1", "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64", "index": "int64",
    "f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64",
}  # fmt: skip
"""The Triton type of each scalar type."""

_HALVES = ("float16", "bfloat16")
_SHORT = {"float16": "f16", "bfloat16": "bf16", "float32": "f32", "float64": "f64"}

Row = Callable[[Writer, Operation, list[Node]], Node]
"""The value of an op, given its operands."""


def held_type(type_: Attribute) -> str:
    """The Triton type that holds a value of the IR type."""
    return HELD[str(type_)]


def convert(w: Writer, x: Node, held: str, low: int | None = None, high: int | None = None,
            template: str = "{0}.to(tl.%s)") -> Node:  # fmt: skip
    """`x.to(held)`."""
    return w.pure(template % held, (x,), held, ranks=(ATOM,), hint=x.hint, low=low, high=high)


def cast(w: Writer, x: Node, held: str) -> Node:
    """A float in another float type; a double is rounded to a float32 on its way to a half."""
    if x.held == held:
        return x
    if held in _HALVES and x.held == "float64":
        x = cast(w, x, "float32")
    if x.number is not None:  # -0.0 among them
        return literal(representable(float(x.number), BY_IR[_SHORT[held]]), held)
    return convert(w, x, held)


def refloat(w: Writer, op: Operation, x: list[Node]) -> Node:
    return cast(w, x[0], held_type(op.results[0].type))


def to_float(is_signed: bool) -> Row:
    def row(w: Writer, op: Operation, x: list[Node]) -> Node:
        held, value = held_type(op.results[0].type), x[0]
        wide = "float32" if held in _HALVES else held
        if value.is_literal:
            bits = 1 if value.held == "int1" else bits_of(value.held)
            number = int(value.number or 0)
            number = number if is_signed else number % (1 << bits)
            return cast(w, literal(float(number), wide), held)
        if value.is_integer and not is_natural(value):
            value = signed(w, value) if is_signed else unsigned(w, value)
        return cast(w, convert(w, value, wide), held)

    return row


def to_integer(is_signed: bool) -> Row:
    """Narrow integers come by way of a wider one, so that values wrap as on a CPU."""

    def row(w: Writer, op: Operation, x: list[Node]) -> Node:
        held = held_type(op.results[0].type)
        value = cast(w, x[0], "float32") if x[0].held in _HALVES else x[0]
        bits = bits_of(held)
        wide = "int64" if bits == 64 or (bits == 32 and not is_signed) else INT32
        wide = wide if is_signed or bits < 64 else "uint64"
        return as_held(w, convert(w, value, wide, template="{0:t}.to(tl.%s)"), held)

    return row


def shorten(w: Writer, op: Operation, x: list[Node]) -> Node:
    held, value = held_type(op.results[0].type), x[0]
    if held == "int1":
        bit = w.infix("&", value, literal(1, value.held), value.held, AND, hint="bit")
        return w.infix("!=", bit, literal(0, value.held), "int1", COMPARE, hint="bit")
    factors = _factors_of_high_half(value, bits_of(held))
    if factors is not None:
        return w.call("tl.umulhi", [as_held(w, n, f"u{held}") for n in factors], f"u{held}")
    if not value.is_literal and bits_of(value.held) == bits_of(held):
        return value
    return as_held(w, value, held)


def _factors_of_high_half(x: Node, bits: int) -> tuple[Node, Node] | None:
    """(a, b) where `x` is the high half of their product, a multiplication in twice the width."""
    if x.template != "{0} >> {1}" or x.operands[1].number != bits or bits not in (32, 64):
        return None
    product = x.operands[0]
    if "bitcast" in product.template:
        product = product.operands[0]
    if product.template != "{0} * {1}":
        return None
    a, b = (_before_extension(n, bits) for n in product.operands)
    return None if a is None or b is None else (a, b)


def _before_extension(x: Node, bits: int) -> Node | None:
    if x.is_literal:
        number = int(x.number or 0)
        return (
            literal(wrapped(number, f"int{bits}"), f"int{bits}")
            if 0 <= number < 1 << bits
            else None
        )
    inner = x.operands[0] if x.template.startswith("{0}.to(tl.int") else None
    return inner if inner is not None and inner.held == f"uint{bits}" else None


def widen_signed(w: Writer, op: Operation, x: list[Node]) -> Node:
    held, value = held_type(op.results[0].type), x[0]
    if value.held == "int1":
        whole = convert(w, value, INT32, 0, 1, "{0:t}.to(tl.%s)")
        mask = w.infix("*", whole, literal(-1, INT32), INT32, PRODUCT, hint="mask", low=-1, high=0)
        return as_held(w, mask, held)
    return extended(w, signed(w, value), held)


def widen_unsigned(w: Writer, op: Operation, x: list[Node]) -> Node:
    held, value = held_type(op.results[0].type), x[0]
    if value.held == "int1":
        narrow = INT32 if bits_of(held) > 32 else held
        return convert(w, value, narrow, 0, 1, "{0:t}.to(tl.%s)")
    if value.is_literal:
        return literal(int(value.number or 0) % (1 << bits_of(value.held)), held)
    return extended(w, value if is_natural(value) else unsigned(w, value), held)


def extended(w: Writer, x: Node, held: str) -> Node:
    """`x` by value in the wider IR type that `held` stands for."""
    if x.is_literal:
        return literal(int(x.number or 0), held)
    if bits_of(x.held) >= bits_of(held) or (x.held == INT32 and held == "int64"):
        return x
    bits = bits_of(x.held)
    low, high = (0, (1 << bits) - 1) if x.held[0] == "u" else (-1 << bits - 1, (1 << bits - 1) - 1)
    low, high = (low if x.low is None else x.low), (high if x.high is None else x.high)
    return convert(w, x, INT32 if held == "int64" and bits < 32 else held, low, high)


def bitcast(w: Writer, op: Operation, x: list[Node]) -> Node:
    held, value = held_type(op.results[0].type), x[0]
    if value.is_literal or (value.is_integer and bits_of(value.held) < width_of(held)):
        value = as_held(w, value, held_type(op.operands[0].type)) if value.is_integer else value
    if value.held == held:
        return value
    return convert(w, value, held, template="{0:t}.to(tl.%s, bitcast=True)")


def index_cast(w: Writer, op: Operation, x: list[Node]) -> Node:
    held = held_type(op.results[0].type)
    return extended(w, signed(w, x[0]), held) if bits_of(held) == 64 else shorten(w, op, x)
