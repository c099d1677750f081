"""Functions of the scalar language written out in its primitives, and how exact they are."""

from __future__ import annotations

from collections.abc import Callable

from .erf import expand_erf
from .exp import expand_exp, expand_exp2, expand_expm1, expand_sigmoid, expand_tanh
from .expression import Scalar, rewrite, sqrt
from .log import expand_log, expand_log1p, expand_log2
from .pow import expand_pow
from .trig import expand_cos, expand_sin, expand_tan


def expand_rsqrt(x: Scalar) -> Scalar:
    """1 / sqrt(x)."""
    return 1.0 / sqrt(x)


EXPANSIONS: dict[str, Callable[..., Scalar]] = {
    "cos": expand_cos,
    "erf": expand_erf,
    "exp": expand_exp,
    "exp2": expand_exp2,
    "expm1": expand_expm1,
    "log": expand_log,
    "log1p": expand_log1p,
    "log2": expand_log2,
    "pow": expand_pow,
    "rsqrt": expand_rsqrt,
    "sigmoid": expand_sigmoid,
    "sin": expand_sin,
    "tan": expand_tan,
    "tanh": expand_tanh,
}

BOUNDS: dict[str, dict[str, float]] = {
    "cos": {"float32": 1.6, "float64": 0.8},
    "erf": {"float32": 1.5, "float64": 1.4},
    "exp": {"float32": 1.0, "float64": 1.0},
    "exp2": {"float32": 1.1, "float64": 1.3},
    "expm1": {"float32": 1.4, "float64": 1.4},
    "log": {"float32": 0.9, "float64": 0.9},
    "log1p": {"float32": 0.9, "float64": 0.9},
    "log2": {"float32": 0.9, "float64": 0.9},
    "pow": {"float32": 0.6, "float64": 0.9},
    "rsqrt": {"float32": 1.5, "float64": 1.5},
    "sigmoid": {"float32": 2.5, "float64": 2.5},
    "sin": {"float32": 1.6, "float64": 0.8},
    "tan": {"float32": 4.0, "float64": 2.5},
    "tanh": {"float32": 1.4, "float64": 1.4},
}
"""The largest error of each expansion in units in the last place (integer pow is exact)."""


INTEGER_POW = "pow of integers"
"""In `keep`: leave powers of integers alone, which have a loop where others are straight code."""


def expand(root: Scalar, keep: frozenset[str] = frozenset()) -> Scalar:
    """`root` with every function node whose kind is not in `keep` written in primitives."""

    def rule(node: Scalar) -> Scalar | None:
        if node.kind == "pow" and node.dtype.is_integer and INTEGER_POW in keep:
            return None
        if node.kind in keep or node.kind not in EXPANSIONS:
            return None
        # An expansion may use other functions.
        return expand(EXPANSIONS[node.kind](*node.operands), keep)

    return rewrite([root], rule)[0]
