"""Functions of the scalar language written out in its primitives, and how exact they are."""

from __future__ import annotations

from collections.abc import Callable

from .scalar import Scalar, rewrite, sqrt
from .scalar_erf import expand_erf
from .scalar_exp import expand_exp, expand_exp2, expand_expm1, expand_sigmoid, expand_tanh
from .scalar_log import expand_log, expand_log1p, expand_log2
from .scalar_pow import expand_pow
from .scalar_trig import expand_cos, expand_sin, expand_tan


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


def expand(root: Scalar, keep: frozenset[str] = frozenset()) -> Scalar:
    """`root` with every function node whose kind is not in `keep` written in primitives."""

    def rule(node: Scalar) -> Scalar | None:
        if node.kind in keep or node.kind not in EXPANSIONS:
            return None
        # An expansion may use other functions.
        return expand(EXPANSIONS[node.kind](*node.operands), keep)

    return rewrite([root], rule)[0]
