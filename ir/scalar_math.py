"""Functions of the scalar language written out in its primitives, and how exact they are."""

from __future__ import annotations

from collections.abc import Callable

from .scalar import Scalar, rewrite, sqrt
from .scalar_exp import expand_exp, expand_exp2, expand_expm1, expand_sigmoid, expand_tanh
from .scalar_log import expand_log, expand_log1p, expand_log2

EXPANSIONS: dict[str, Callable[..., Scalar]] = {
    "exp": expand_exp,
    "exp2": expand_exp2,
    "expm1": expand_expm1,
    "log": expand_log,
    "log1p": expand_log1p,
    "log2": expand_log2,
    "rsqrt": lambda x: 1.0 / sqrt(x),
    "sigmoid": expand_sigmoid,
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
