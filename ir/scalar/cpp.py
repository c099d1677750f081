"""Prints scalar expressions as straight-line C++20 that g++ vectorises without fast-math."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ..dtypes import DType, bool_, float32
from .expression import FUNCTIONS, Scalar, postorder
from .functions import INTEGER_POW, expand

TYPES = {
    "bool": "bool", "uint8": "uint8_t", "int8": "int8_t", "int16": "int16_t", "int32": "int32_t",
    "int64": "int64_t", "uint32": "uint32_t", "uint64": "uint64_t", "float16": "ostinato::Half",
    "bfloat16": "ostinato::BFloat16", "float32": "float", "float64": "double",
}  # fmt: skip
"""C++ types of dtypes; the 16-bit floats convert by ostinato::to_float, to_half, to_bfloat16."""

HEADERS = ("bit", "cmath", "cstdint")
"""The standard headers that printed statements need."""


def cpp_type(dtype: DType) -> str:
    """The C++ type of `dtype`."""
    return TYPES[dtype.name]


def statements(
    roots: Sequence[Scalar], names: Callable[[int], str] | Sequence[str], prefix: str = "t"
) -> tuple[list[str], list[str]]:
    """C++ statements that define a constant for each node, and the expressions of `roots`.

    `names` gives the C++ name of each argument; new constants are `prefix` and a number.
    Functions are written out first. Without branches or calls but for `std::` rounding, sqrt
    and fmod; NaN and signed zeros need -ffp-contract=off and no -ffast-math.
    """
    printer = _Printer(prefix)
    text: dict[Scalar, str] = {}
    written = [expand(root, frozenset({INTEGER_POW})) for root in roots]
    for node in postorder(written):
        if node.kind == "argument":
            index: int = node.payload
            text[node] = names(index) if callable(names) else names[index]
        elif node.kind == "constant":
            text[node] = literal(node.payload, node.dtype)
        else:
            assert node.kind not in FUNCTIONS or node.dtype.is_integer, node.kind
            text[node] = printer.define(node, [text[x] for x in node.operands])
    return printer.lines, [text[root] for root in written]


def literal(value: bool | int | float, dtype: DType) -> str:
    """A C++ expression of type `cpp_type(dtype)` with exactly this value."""
    if dtype is bool_:
        return "true" if value else "false"
    if dtype.is_floating_point:
        return _float_literal(float(value), dtype)
    if dtype.name == "int64":
        return f"(INT64_C({value + 1}) - 1)" if value < 0 else f"INT64_C({value})"
    if dtype.name == "int32":
        return f"({value + 1} - 1)" if value < 0 else f"{value}"
    suffix = {"uint32": "u", "uint64": "ull"}.get(dtype.name)
    return f"{value}{suffix}" if suffix else f"{cpp_type(dtype)}{{{value}}}"


def _float_literal(value: float, dtype: DType) -> str:
    if dtype.bits == 16:
        single = _float_literal(value, float32)
        return f"ostinato::to_{'half' if dtype.name == 'float16' else 'bfloat16'}({single})"
    suffix = "f" if dtype.bits == 32 else ""
    if math.isnan(value):
        return f'__builtin_nan{suffix}("")'
    if math.isinf(value):
        return f"{'(-' if value < 0 else ''}__builtin_inf{suffix}(){')' if value < 0 else ''}"
    text = f"{value.hex()}{suffix}"
    return f"({text})" if math.copysign(1.0, value) < 0 else text


_INFIX = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "and": "&", "or": "|", "xor": "^",
    "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!=",
}  # fmt: skip
_ON_FLOATS = {
    "neg": "-{0}",
    "abs": "std::fabs({0})",
    "sqrt": "std::sqrt({0})",
    "floor": "std::floor({0})",
    "ceil": "std::ceil({0})",
    "trunc": "std::trunc({0})",
    "round": "std::nearbyint({0})",
    "rem": "std::fmod({0}, {1})",
    "minimum": "({0} < {1}) | ({0} != {0}) ? {0} : {1}",
    "maximum": "({0} > {1}) | ({0} != {0}) ? {0} : {1}",
    "isnan": "{0} != {0}",
}
_ON_BOOLS = {"minimum": "{0} & {1}", "maximum": "{0} | {1}", "not": "!{0}"}
# T is the type and U an unsigned type of at least its width, in which overflow wraps.
_ON_INTEGERS = {
    "add": "static_cast<T>(static_cast<U>({0}) + static_cast<U>({1}))",
    "sub": "static_cast<T>(static_cast<U>({0}) - static_cast<U>({1}))",
    "mul": "static_cast<T>(static_cast<U>({0}) * static_cast<U>({1}))",
    "neg": "static_cast<T>(U{{0}} - static_cast<U>({0}))",
    "mulhi": "static_cast<uint32_t>((static_cast<uint64_t>({0}) * {1}) >> 32)",
    "and": "static_cast<T>({0} & {1})",
    "or": "static_cast<T>({0} | {1})",
    "xor": "static_cast<T>({0} ^ {1})",
    "not": "static_cast<T>(~{0})",
    "shl": "static_cast<T>(static_cast<U>({0}) << ({1} & M))",
    "shr": "static_cast<T>({0} >> ({1} & M))",
    "minimum": "{0} < {1} ? {0} : {1}",
    "maximum": "{0} > {1} ? {0} : {1}",
}


class _Printer:
    """Collects the statements of one expression."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.lines: list[str] = []

    def name(self, dtype: DType, expression: str) -> str:
        """Adds a statement; returns the name of the constant that it defines."""
        name = f"{self.prefix}{len(self.lines)}"
        self.lines.append(f"const {cpp_type(dtype)} {name} = {expression};")
        return name

    def define(self, node: Scalar, x: list[str]) -> str:
        """The name of a constant with the value of `node` for operands named `x`."""
        if node.kind == "pow":  # of integers: written out, g++ does not come back from it
            return self.name(node.dtype, f"ostinato::integer_power({x[0]}, {x[1]})")
        if node.kind == "select":
            return self.name(node.dtype, f"{x[0]} ? {x[1]} : {x[2]}")
        source = node.operands[0].dtype
        if node.kind == "bitcast":
            return self.name(node.dtype, f"std::bit_cast<{cpp_type(node.dtype)}>({x[0]})")
        if node.kind == "cast":
            return self.name(node.dtype, _cast(x[0], source, node.dtype))
        if source.is_integer and node.kind in ("rem", "mod", "floordiv"):
            return self.name(node.dtype, self.quotient(node, *x))
        return self.name(node.dtype, _expression(node.kind, source, x))

    def quotient(self, node: Scalar, a: str, b: str) -> str:
        """An integer division; divisors 0 and -1 would trap, so they are replaced by 1."""
        dtype, t = node.dtype, cpp_type(node.dtype)
        if not dtype.signed:
            d = self.name(dtype, f"{b} == 0 ? {t}{{1}} : {b}")
            if node.kind == "floordiv":
                return f"static_cast<{t}>({b} == 0 ? {t}{{0}} : {a} / {d})"
            return f"static_cast<{t}>({a} % {d})"
        d = self.name(dtype, f"({b} == 0) | ({b} == -1) ? {t}{{1}} : {b}")
        r = self.name(dtype, f"static_cast<{t}>({a} % {d})")
        if node.kind == "rem":
            return r
        apart = f"(({r} != 0) & (({r} ^ {d}) < 0))"
        if node.kind == "mod":
            return f"static_cast<{t}>({r} + ({apart} ? {d} : {t}{{0}}))"
        q = self.name(dtype, f"static_cast<{t}>({a} / {d} - {apart})")
        negated = self.name(dtype, _expression("neg", dtype, [a]))
        return f"{b} == 0 ? {t}{{0}} : {b} == -1 ? {negated} : {q}"


def _expression(kind: str, dtype: DType, x: list[str]) -> str:
    if kind == "isinf":
        return f"std::fabs({x[0]}) == {_float_literal(math.inf, dtype)}"
    if dtype.is_floating_point and kind in _ON_FLOATS:
        return _ON_FLOATS[kind].format(*x)
    if dtype is bool_ and kind in _ON_BOOLS:
        return _ON_BOOLS[kind].format(*x)
    if dtype.is_integer and kind == "abs":
        return f"{x[0]} < 0 ? {_expression('neg', dtype, x)} : {x[0]}" if dtype.signed else x[0]
    if dtype.is_integer and kind in _ON_INTEGERS:
        unsigned = "uint64_t" if dtype.bits == 64 else "uint32_t"
        filled = {"T": cpp_type(dtype), "U": unsigned, "M": str(dtype.bits - 1)}
        template = "".join(filled.get(letter, letter) for letter in _ON_INTEGERS[kind])
        return template.format(*x)
    return f"{x[0]} {_INFIX[kind]} {x[1]}"


def _cast(x: str, source: DType, target: DType) -> str:
    if source.is_floating_point and source.bits == 16:
        x, source = f"ostinato::to_float({x})", float32
    if target is bool_:
        return f"{x} != 0"
    if target.is_floating_point and target.bits == 16:
        to = "half" if target.name == "float16" else "bfloat16"
        return f"ostinato::to_{to}(static_cast<float>({x}))"
    if source.is_floating_point and target.is_integer and target.bits < 32:
        x = f"static_cast<int32_t>({x})"
    return f"static_cast<{cpp_type(target)}>({x})"
