"""Prints the functions of the scalar language as C++ for the kernels that are written by hand."""

from __future__ import annotations

from ostinato.ir import scalar as s
from ostinato.ir.dtypes import DType, float32, float64
from ostinato.ir.scalar_cpp import HEADERS, cpp_type, statements

FUNCTIONS = (s.exp, s.log)


def _function(name: str, root: s.Scalar, dtype: DType) -> str:
    lines, results = statements([root], ["x"])
    body = "".join(f"  {line}\n" for line in lines)
    t = cpp_type(dtype)
    return (
        f"inline __attribute__((always_inline)) {t} {name}({t} x) {{\n"
        f"{body}  return {results[0]};\n}}\n"
    )


def header() -> str:
    """The text of scalar_math.hpp: each function for float and double, in the namespace of the
    instruction set that is being compiled."""
    parts = [
        _function(root.kind, root, dtype)
        for dtype in (float32, float64)
        for root in (f(s.argument(0, dtype)) for f in FUNCTIONS)
    ]
    includes = "".join(f"#include <{name}>\n" for name in HEADERS)
    return (
        "// Printed from ir/scalar_math.py by generate/main.py.\n#pragma once\n"
        f"{includes}\nnamespace ostinato::OSTINATO_ISA::scalar {{\n\n"
        + "\n".join(parts)
        + "\n}  // namespace ostinato::OSTINATO_ISA::scalar\n"
    )
