"""How each `arith` and `math` op becomes Triton; one table, one row an op.

Integers keep the meaning of their IR type, but index arithmetic, 64 bits wide in the IR, is done in
32 where values are known to fit: that costs a quarter on the GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.dialects.arith import CMPF_COMPARISON_OPERATIONS, CMPI_COMPARISON_OPERATIONS
from xdsl.dialects.builtin import FloatAttr, IntegerAttr
from xdsl.ir import Operation

from ....ir.scalar.arith import predicate_of
from .convert import (
    Row,
    bitcast,
    convert,
    held_type,
    index_cast,
    refloat,
    shorten,
    to_float,
    to_integer,
    widen_signed,
    widen_unsigned,
)
from .integers import (
    INT32,
    alike,
    as_held,
    bits_of,
    fits,
    is_natural,
    is_short,
    signed,
    span,
    unsigned,
    wrapped,
)
from .library import function_name
from .nodes import (
    AND,
    COMPARE,
    OR,
    PRODUCT,
    SHIFT,
    SUM,
    UNARY,
    XOR,
    Node,
    Writer,
    literal,
)


def scalar(w: Writer, op: Operation, operands: Sequence[Node]) -> Node:
    """The value of an `arith` or `math` op. Raises CompileError for one without a meaning here."""
    row = _TABLE.get(op.name, _function)
    return row(w, op, list(operands))


def _function(w: Writer, op: Operation, x: list[Node]) -> Node:
    """A call of the device function that the function is written out in."""
    return w.function(function_name(op), x, held_type(op.results[0].type))


def _library(name: str) -> Row:
    return lambda w, op, x: w.function(name, x, x[0].held)


def _constant(w: Writer, op: Operation, x: list[Node]) -> Node:
    value, held = op.properties["value"], held_type(op.results[0].type)
    if isinstance(value, IntegerAttr):
        number = value.value.data
        return literal(bool(number) if held == "int1" else number, held)
    assert isinstance(value, FloatAttr)
    return literal(float(value.value.data), held)


def _floats(symbol: str, rank: int, hint: str) -> Row:
    return lambda w, op, x: w.infix(symbol, x[0], x[1], x[0].held, rank, hint=hint)


def _divide(w: Writer, op: Operation, x: list[Node]) -> Node:
    # `/` on float32 is a division that is off by up to two units in the last place.
    if x[0].held == "float32":
        return w.call("tl.div_rn", x, "float32", hint="div")
    return w.infix("/", x[0], x[1], "float64", PRODUCT, hint="div")


def _negate(w: Writer, op: Operation, x: list[Node]) -> Node:
    # Triton's `-x` is 0 - x, which is wrong for 0.
    return w.infix("*", x[0], literal(-1.0, x[0].held), x[0].held, PRODUCT, hint="neg")


def _root(w: Writer, op: Operation, x: list[Node]) -> Node:
    name = "tl.sqrt_rn" if x[0].held == "float32" else "tl.sqrt"
    return w.call(name, x, x[0].held, hint="sqrt")


def _call(name: str) -> Row:
    return lambda w, op, x: w.call(name, x, x[0].held)


_SIGNLESS = {
    "+": (SUM, "add"), "-": (SUM, "sub"), "*": (PRODUCT, "mul"), "<<": (SHIFT, "shift"),
    "&": (AND, "bits"), "|": (OR, "bits"), "^": (XOR, "bits"),
}  # fmt: skip


_PYTHON: dict[str, Callable[[int, int], int]] = {
    "+": int.__add__, "-": int.__sub__, "*": int.__mul__, "<<": int.__lshift__,
    "&": int.__and__, "|": int.__or__, "^": int.__xor__,
}  # fmt: skip


def _integers(symbol: str) -> Row:
    def row(w: Writer, op: Operation, x: list[Node]) -> Node:
        held = held_type(op.results[0].type)
        if held == "int1":
            return _bools(w, symbol, x)
        return signless(w, symbol, x[0], x[1], held)

    return row


def signless(w: Writer, symbol: str, a: Node, b: Node, held: str) -> Node:
    """`a symbol b` of integers of the IR type that `held` stands for; wraps at its width."""
    low, high = span(symbol, a, b)
    if a.is_literal and b.is_literal:
        numbers = int(a.number or 0), int(b.number or 0)
        return literal(wrapped(_PYTHON[symbol](*numbers), held), held)
    far = symbol == "<<" and not fits(0, b.high, 6)  # int32 cannot be shifted by 32 or more
    if held == "int64" and fits(low, high) and is_short(a) and is_short(b) and not far:
        held = INT32
    elif not fits(low, high, bits_of(held)):
        low = high = None
    if "u" in a.held[0] + b.held[0] and bits_of(held) == max(bits_of(a.held), bits_of(b.held)):
        held = f"u{held}"
        low = high = None
    if held not in (a.held, b.held) or "u" in held[0] or a.is_literal or b.is_literal:
        a, b = as_held(w, a, held), as_held(w, b, held)  # else Triton widens the narrower one
    rank, hint = _SIGNLESS[symbol]
    return w.infix(symbol, a, b, held, rank, hint=hint, low=low, high=high)


def _bools(w: Writer, symbol: str, x: list[Node]) -> Node:
    a, b = x
    if symbol == "^" and b.is_literal:
        if not b.number:
            return a
        return w.pure("~{0:t}", (a,), "int1", rank=UNARY, ranks=(UNARY,), hint="no")
    rank, _ = _SIGNLESS[symbol]
    return w.infix(symbol, a, b, "int1", rank, hint={"&": "both", "|": "either"}.get(symbol, "odd"))


def _shift_right(is_signed: bool) -> Row:
    def row(w: Writer, op: Operation, x: list[Node]) -> Node:
        a = x[0]
        if not (x[1].is_literal and int(x[1].number or 0) < bits_of(a.held)):
            a = as_held(w, signed(w, a), held_type(op.results[0].type))
        if not is_natural(a):
            a = (signed if is_signed else unsigned)(w, a)
        low = high = None
        if a.low is not None and a.high is not None and x[1].is_literal:
            low, high = (n >> int(x[1].number or 0) for n in (a.low, a.high))
        amount = as_held(w, x[1], a.held)
        return w.infix(">>", a, amount, a.held, SHIFT, hint="shift", low=low, high=high)

    return row


def _quotient(symbol: str, is_signed: bool, function: str) -> Row:
    """Division and remainder: plain ones by a positive literal, else ones that never trap."""

    def row(w: Writer, op: Operation, x: list[Node]) -> Node:
        a, b = x
        if b.is_literal and int(b.number or 0) > 0:
            if is_natural(a):
                return natural_quotient(w, symbol, a, b)
            if not is_signed:
                a = unsigned(w, a)
                return w.infix(symbol, a, as_held(w, b, a.held), a.held, PRODUCT, hint="div")
        held = held_type(op.results[0].type)
        held = held if is_signed else f"u{held}"
        return w.function(function, [as_held(w, n, held) for n in x], held)

    return row


def natural_quotient(w: Writer, symbol: str, a: Node, by: Node) -> Node:
    """`a // by` or `a % by` of an `a` that is not negative, and a positive `by` whose range is
    known."""
    assert by.low is not None and by.high is not None
    if symbol == "%":
        high, hint = by.high - 1 if a.high is None else min(a.high, by.high - 1), "rest"
    else:
        high, hint = None if a.high is None else a.high // by.low, "div"
    if not fits(0, by.high, bits_of(a.held)):
        a = as_held(w, a, "int64")
    divisor = as_held(w, by, a.held)
    return w.infix(symbol, a, divisor, a.held, PRODUCT, hint=hint, low=0, high=high)


def _extremum(name: str, is_signed: bool) -> Row:
    def row(w: Writer, op: Operation, x: list[Node]) -> Node:
        x = alike(w, *x)
        if not is_signed and not all(map(is_natural, x)):
            x = [unsigned(w, n) for n in x]
        return w.call(f"tl.{name}", x, x[0].held)

    return row


def _absolute(w: Writer, op: Operation, x: list[Node]) -> Node:
    value = as_held(w, x[0], held_type(op.results[0].type))
    return w.call("tl.abs", [value], value.held)


_SYMBOLS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


def _compare_integers(w: Writer, op: Operation, x: list[Node]) -> Node:
    predicate = CMPI_COMPARISON_OPERATIONS[predicate_of(op)]
    if x[0].held == "int1":
        x = [convert(w, n, INT32, 0, 1, "{0:t}.to(tl.%s)") for n in x]
    a, b = alike(w, *x)
    if predicate[0] == "u" and not (is_natural(a) and is_natural(b)):
        if predicate == "ult" and is_natural(b):
            return _within(w, a, b)
        a, b = unsigned(w, a), unsigned(w, b)
    return compare(w, _SYMBOLS[predicate[-2:]], a, b)


def _within(w: Writer, a: Node, limit: Node) -> Node:
    """0 <= a < limit."""
    first = compare(w, ">=", a, literal(0, a.held))
    return w.infix("&", first, compare(w, "<", a, limit), "int1", AND, hint="within")


_TESTS = {"==": "equal", "!=": "differs", "<": "less", "<=": "less", ">": "more", ">=": "more"}


def compare(w: Writer, symbol: str, a: Node, b: Node, hint: str = "") -> Node:
    """`a symbol b`, a bool."""
    return w.infix(symbol, a, b, "int1", COMPARE, hint=hint or _TESTS[symbol])


def _compare_floats(w: Writer, op: Operation, x: list[Node]) -> Node:
    predicate = CMPF_COMPARISON_OPERATIONS[predicate_of(op)]
    a, b = x

    def among(symbol: str, test: str) -> Node:
        """`test` of each operand against itself, which tells NaN."""
        tests = list(dict.fromkeys(compare(w, test, n, n) for n in x))
        first = tests[0]
        return first if len(tests) == 1 else _bools(w, symbol, tests)

    match predicate:
        case "false" | "true":
            return literal(predicate == "true", "int1")
        case "ord":
            return among("&", "==")
        case "uno":
            return among("|", "!=")
        case "oeq" | "olt" | "ole" | "ogt" | "oge":
            return compare(w, _SYMBOLS[predicate[1:]], a, b)
        case "une":
            return compare(w, "!=", a, b)
        case "one":
            return _bools(w, "&", [compare(w, "!=", a, b), among("&", "==")])
        case _:
            return _bools(w, "|", [compare(w, _SYMBOLS[predicate[1:]], a, b), among("|", "!=")])


def _select(w: Writer, op: Operation, x: list[Node]) -> Node:
    return select(w, *x)


def select(w: Writer, condition: Node, a: Node, b: Node) -> Node:
    """`a` where `condition`, else `b`."""
    low = high = None
    if a.is_integer:
        a, b = alike(w, a, b)
        if a.low is not None and b.low is not None and a.high is not None and b.high is not None:
            low, high = min(a.low, b.low), max(a.high, b.high)
    return w.pure("tl.where({0:t}, {1:t}, {2:t})", (condition, a, b), a.held, hint="where",
                  low=low, high=high)  # fmt: skip


_TABLE: dict[str, Row] = {
    "arith.constant": _constant,
    "arith.addf": _floats("+", SUM, "add"),
    "arith.subf": _floats("-", SUM, "sub"),
    "arith.mulf": _floats("*", PRODUCT, "mul"),
    "arith.divf": _divide,
    "arith.negf": _negate,
    "arith.maximumf": _library("maximum"),
    "arith.minimumf": _library("minimum"),
    "arith.addi": _integers("+"),
    "arith.subi": _integers("-"),
    "arith.muli": _integers("*"),
    "arith.andi": _integers("&"),
    "arith.ori": _integers("|"),
    "arith.xori": _integers("^"),
    "arith.shli": _integers("<<"),
    "arith.shrsi": _shift_right(is_signed=True),
    "arith.shrui": _shift_right(is_signed=False),
    "arith.divsi": _quotient("//", True, "divide"),
    "arith.divui": _quotient("//", False, "divide_unsigned"),
    "arith.floordivsi": _quotient("//", True, "floor_divide"),
    "arith.remsi": _quotient("%", True, "remainder"),
    "arith.remui": _quotient("%", False, "remainder_unsigned"),
    "arith.minsi": _extremum("minimum", is_signed=True),
    "arith.maxsi": _extremum("maximum", is_signed=True),
    "arith.minui": _extremum("minimum", is_signed=False),
    "arith.maxui": _extremum("maximum", is_signed=False),
    "arith.cmpi": _compare_integers,
    "arith.cmpf": _compare_floats,
    "arith.select": _select,
    "arith.extf": refloat,
    "arith.truncf": refloat,
    "arith.sitofp": to_float(is_signed=True),
    "arith.uitofp": to_float(is_signed=False),
    "arith.fptosi": to_integer(is_signed=True),
    "arith.fptoui": to_integer(is_signed=False),
    "arith.trunci": shorten,
    "arith.extsi": widen_signed,
    "arith.extui": widen_unsigned,
    "arith.bitcast": bitcast,
    "arith.index_cast": index_cast,
    "math.absf": _call("tl.abs"),
    "math.absi": _absolute,
    "math.sqrt": _root,
    "math.floor": _call("tl.floor"),
    "math.ceil": _call("tl.ceil"),
    "math.trunc": _library("truncate"),
    "math.roundeven": _library("round_even"),
}
