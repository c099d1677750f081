"""Functions of the scalar language written out in its primitives."""

from __future__ import annotations

from collections.abc import Callable

from .scalar import Scalar, rewrite, sqrt

EXPANSIONS: dict[str, Callable[..., Scalar]] = {
    "rsqrt": lambda x: 1.0 / sqrt(x),
}


def expand(root: Scalar, keep: frozenset[str] = frozenset()) -> Scalar:
    """`root` with every function node whose kind is not in `keep` written in primitives."""

    def rule(node: Scalar) -> Scalar | None:
        if node.kind in keep or node.kind not in EXPANSIONS:
            return None
        # An expansion may use other functions.
        return expand(EXPANSIONS[node.kind](*node.operands), keep)

    return rewrite([root], rule)[0]
