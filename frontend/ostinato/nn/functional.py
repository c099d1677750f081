"""The table's functions for networks: its namespace `nn.functional`, and PyTorch's second names."""

from __future__ import annotations

from typing import Any

from ..ir.op import OPS
from ..ops import functions

# PyTorch has these both here and at the top.
_ALSO_AT_TOP = ("log_softmax", "relu", "sigmoid", "softmax", "tanh")

_names = [name for name, op in OPS.items() if op.namespace == "nn.functional"]
_functions: dict[str, Any] = {
    name: getattr(functions, name) for name in (*_names, *_ALSO_AT_TOP) if hasattr(functions, name)
}
globals().update(_functions)


def __getattr__(name: str) -> Any:
    raise AttributeError(f"nn.functional has no '{name}'; it has {', '.join(sorted(_functions))}")


def __dir__() -> list[str]:
    return sorted(_functions)
