"""Prints the functions of the scalar language as C++ for the kernels that are written by hand."""

from __future__ import annotations

from ostinato.ir.dtypes import DType, float32, float64, int64
from ostinato.ir.scalar import expression as s
from ostinato.ir.scalar.cpp import HEADERS, cpp_type, statements
from ostinato.ir.scalar.random import normal

FUNCTIONS = (s.exp, s.log)


def _function(name: str, root: s.Scalar, arguments: dict[str, DType]) -> str:
    lines, results = statements([root], list(arguments))
    body = "".join(f"  {line}\n" for line in lines)
    taken = ", ".join(f"{cpp_type(dtype)} {x}" for x, dtype in arguments.items())
    return (
        f"OSTINATO_SCALAR {cpp_type(root.dtype)} {name}({taken}) {{\n"
        f"{body}  return {results[0]};\n}}\n"
    )


def _normal() -> str:
    drawn: dict[str, DType] = dict.fromkeys(("seed", "offset", "index"), int64)
    return _function("normal", normal(*(s.argument(i, int64) for i in range(3))), drawn)


def header() -> str:
    """The text of scalar_math.hpp: each function for float and double and the normal numbers of
    `randn`, in the namespace of the instruction set that is being compiled."""
    parts = [
        _function(root.kind, root, {"x": dtype})
        for dtype in (float32, float64)
        for root in (f(s.argument(0, dtype)) for f in FUNCTIONS)
    ] + [_normal()]
    includes = "".join(f"#include <{name}>\n" for name in HEADERS)
    return (
        "// Printed from ir/scalar/functions.py and ir/scalar/random.py by generate/main.py.\n"
        "#pragma once\n"
        f"{includes}\n"
        "#ifndef OSTINATO_SCALAR\n"
        "#define OSTINATO_SCALAR inline __attribute__((always_inline))\n"
        "#endif\n\nnamespace ostinato::OSTINATO_ISA::scalar {\n\n"
        + "\n".join(parts)
        + "\n}  // namespace ostinato::OSTINATO_ISA::scalar\n"
    )
