"""Captures of a call with other sizes, nothing of which runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ...ir.polynomial import DiffersError
from ...runtime import _C
from ..attempt import Attempt, Policy, Unrepeatable
from ..call_key import CallKey
from ..recording.channels import Channels
from ..region import Region
from .symbols import Symbols

Shapes = list[tuple[int, ...]]

_DRY = Policy(follows=False, breaks=False, dry=True)
_IN_TRACE = re.compile(r"trace(\[0\]\[(?P<value>\d+)\]|\[1\]\[(?P<node>\d+)\])")


@dataclass(frozen=True)
class Call:
    """The arguments of a call: its key, its leaves, and their structure."""

    key: CallKey
    leaves: list[Any]
    structure: Any


def recaptured(fn: Callable[..., Any], name: str, call: Call, shapes: Shapes) -> Region:
    """What `fn` does for tensors of other shapes than those of `call`."""
    leaves = _made_up(call.leaves, shapes)
    attempt = Attempt(fn, name, leaves, call.structure, _DRY, channels=Channels())
    found = attempt.capture()
    attempt.forget()
    assert not isinstance(found, Unrepeatable), "a capture that may not follow is refused"
    return found[0]


def fixed_sizes(symbols: Symbols, shapes: Shapes, region: Region) -> set[int]:
    """Sizes of inputs that stay the same, which primes for others must not divide."""
    varying = {shapes[leaf][axis] for places in symbols.places for leaf, axis in places}
    found = {n for v in region.inputs for n in region.values[v][2]}
    return {n for n in found if n > 1} - varying


def told(error: DiffersError, region: Region) -> str:
    """What differs in traces like that of `region`, with the line of the user where it has one."""
    at = _IN_TRACE.match(error.path)
    nodes = region.nodes
    if at is not None and at["node"]:
        nodes = nodes[int(at["node"]) :]
    elif at is not None:
        value = int(at["value"])
        made = [n for n in nodes if value in n.results]
        nodes = made or [n for n in nodes if value in n.operands]
    line = nodes[0].line if at is not None and nodes else None
    if line is None:
        return str(error)
    values = ", ".join(map(str, error.values))
    return f"{values} at {line[0]}:{line[1]} is no polynomial of the sizes"


def _made_up(leaves: Sequence[Any], shapes: Shapes) -> list[Any]:
    """The same leaves with tensors of other shapes, whose elements nobody reads."""
    made: dict[int, Any] = {}
    for leaf, shape in zip(leaves, shapes, strict=True):
        if isinstance(leaf, _C.Tensor) and tuple(leaf.shape) != shape:
            made.setdefault(id(leaf), _like(leaf, shape))
    return [made.get(id(leaf), leaf) for leaf in leaves]


def _like(leaf: Any, shape: tuple[int, ...]) -> Any:
    from ...creation import empty

    made = empty(*shape, dtype=leaf.dtype, device=leaf.device)
    if leaf.requires_grad:
        made.requires_grad_()
        if leaf.grad is not None:
            made.grad = empty(*shape, dtype=leaf.dtype, device=leaf.device)
    return made if leaf.is_leaf else made.clone()
