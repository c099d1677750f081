"""A captured region run again by eager ops, node by node, as the user's Python ran them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from ...ir.dtypes import float64
from ...ir.numerics import is_exact, product_error, stated_error
from ...ir.op import OPS
from ...runtime import _C
from ..region import Node, Region


class Noise:
    """Errors of the size that ops may make, the same for the same seed."""

    def __init__(self, seed: int, device: str) -> None:
        self._draws = _C.Generator(seed)
        self._device = device
        self._tf32 = device != "cpu" and _C.float32_matmul_precision() > 0

    def on_input(self, given: Any, requires_grad: bool) -> Any:
        """A stand-in for an input: a leaf that is off a little."""
        if not given.dtype.is_floating_point or not given.shape:
            return given.detach().requires_grad_() if requires_grad else given
        off = self._off(given.detach(), stated_error(given.dtype))
        return off.requires_grad_() if requires_grad else off

    def on_results(self, node: Node, results: list[Any]) -> list[Any]:
        """What `node` might have made just as well."""
        if node.name is not None and is_exact(OPS[node.name]):
            return results
        return [
            self._off(r, stated_error(r.dtype)) if r.dtype.is_floating_point else r for r in results
        ]

    def on_operands(self, node: Node, operands: list[Any]) -> list[Any]:
        """What `node` might have read where products round their operands."""
        if not self._tf32 or node.name is None:
            return operands
        op = OPS[node.name]
        return [
            self._off(o, product_error(op, o.dtype)) if o is not None and o.shape else o
            for o in operands
        ]

    def _off(self, exact: Any, error: float) -> Any:
        if not error or 0 in exact.shape:
            return exact
        draw = _C.on_device(
            str(exact.device), _C.ops.rand, exact.shape, exact.dtype, generator=self._draws
        )
        return exact * ((draw * 2.0 - 1.0) * error + 1.0)


def run_again(
    region: Region,
    inputs: Sequence[Any],
    cotangents: Sequence[Any] = (),
    noise: Noise | None = None,
    values: dict[int, Any] | None = None,
) -> list[Any]:
    """The region's results on `inputs`, and after them the gradients that `cotangents`, one for
    each of the results with gradients, give for the inputs that these go to.

    Nothing is changed: what the region does in place are values here, as in the trace. `values`
    is given every value by its id.
    """
    given = list(inputs)
    if noise is not None:
        grad = [region.values[v][5] for v in region.inputs]
        given = [noise.on_input(x, g) for x, g in zip(inputs, grad, strict=True)]
    values = {} if values is None else values
    values.update(zip(region.inputs, given, strict=True))
    with _as_captured():
        for node in region.nodes:
            _run(node, values, region, noise)
        _C.set_grad_enabled(True)
        # Values may share memory with inputs that change later; results are copies.
        results = [_value(v, values, region).clone() for v in region.results]
        return results + _gradients(region, given, results, cotangents)


@contextmanager
def _as_captured() -> Generator[None]:
    """The trace has casts of autocast as nodes, and each node says whether it is recorded."""
    grad, cast = _C.grad_enabled(), _C.autocast()
    _C.set_autocast(None, None)
    try:
        yield
    finally:
        _C.set_grad_enabled(grad)
        _C.set_autocast(*cast)


def _value(number: int, values: dict[int, Any], region: Region) -> Any:
    """A value by its id; numbers of the code are in the trace alone."""
    if number < 0:
        return None
    return values[number] if number in values else region.values[number][4]


def _run(node: Node, values: dict[int, Any], region: Region, noise: Noise | None) -> None:
    operands = [_value(v, values, region) for v in node.operands]
    _C.set_grad_enabled(not node.no_grad)
    if noise is not None:
        operands = noise.on_operands(node, operands)
    if node.name is None:
        results = _gradients_of(operands[0], operands[1], operands[2:])
    else:
        results = _C.on_device(
            region.device, _C.run_node, node.name, operands, node.attrs, node.line
        )
    if noise is not None:
        results = noise.on_results(node, results)
    for v, made in zip(node.results, results, strict=True):
        if node.no_grad and node.name == "detach" and region.values[v][5]:
            made.requires_grad_()  # the region made a leaf of it
        values[v] = made


def _gradients_of(root: Any, seed: Any, wanted: Sequence[Any]) -> list[Any]:
    """Gradients, zeros where nothing leads."""
    if not root.requires_grad:
        return [w.detach() * 0 for w in wanted]
    found = _C.gradients(root, seed, list(wanted), True, False)
    return [w.detach() * 0 if f is None else f for f, w in zip(found, wanted, strict=True)]


def _gradients(
    region: Region, inputs: Sequence[Any], results: Sequence[Any], cotangents: Sequence[Any]
) -> list[Any]:
    """Those that a caller's backward would take of the results."""
    wanted = [inputs[i] for i in region.ties.wanted]
    if not cotangents or not wanted:
        return []
    return pulled_back([results[i] for i in region.ties.results], cotangents, wanted)


def pulled_back(
    roots: Sequence[Any], cotangents: Sequence[Any], wanted: Sequence[Any]
) -> list[Any]:
    """The gradients of several roots at once, each weighted by its cotangent; what they were
    computed from stays."""
    before = _C.grad_enabled()
    _C.set_grad_enabled(True)
    try:
        parts = [(r * c).sum().to(float64) for r, c in zip(roots, cotangents, strict=True)]
        total = sum(parts[1:], parts[0])
        return _gradients_of(total, None, wanted)
    finally:
        _C.set_grad_enabled(before)
