"""For each op: where the padding in its results lies, given that of its operands, and what must be
masked so that what is no padding stays what it would be without any."""

from __future__ import annotations

from typing import Any

from ...ir.op import Op
from .axes import (
    Axes,
    Axis,
    RefusedError,
    Vector,
    aligned,
    fixed,
    is_padded,
    is_run,
    joined,
    reshaped,
)
from .neutral import least, most, one, zero
from .node import Node, Rule, Tracked, adding_to
from .rules_attention import ATTENTION
from .rules_parts import PARTS

_RULES: dict[str, Rule] = {}


_rule = adding_to(_RULES)


def rule_of(op: Op) -> Rule:
    """The rule for an op."""
    if op.is_pointwise or op.elementwise:
        return _pointwise
    found = (table[op.name] for table in (_RULES, PARTS, ATTENTION) if op.name in table)
    return next(found, _no_rule)


def _no_rule(node: Node) -> Tracked:
    raise RefusedError("has no rule for a padded axis")


@_rule("rng_advance")
def _(node: Node) -> Tracked:
    raise RefusedError(
        "draws for padding too, after which other numbers come than eager ops draw",
        "draw outside of the function",
        "a random op",
    )


def _pointwise(node: Node) -> Tracked | list[Tracked]:
    for name in node.attrs[0]:
        node.fixed(name)
    axes = aligned([t.axes for t in node.operands])
    keeps = node.op.name in ("neg", "to", "abs") and node.operands[0].is_zero
    return [Tracked(axes, keeps)] * len(node.alike[-1].results)


def _same(node: Node) -> Tracked:
    return node.given(0)


_rule("detach", "to_device")(_same)


@_rule("reshape", "view", "squeeze", "unsqueeze")
def _(node: Node) -> Tracked:
    axes = reshaped(node.sizes, node.axes(0), node.shape(0), node.made())
    return Tracked(axes, node.given(0).is_zero)


@_rule("permute")
def _(node: Node) -> Tracked:
    axes = node.axes(0)
    dims: tuple[int, ...] = node.fixed("dims")
    return Tracked(tuple(axes[d] for d in dims), node.given(0).is_zero)


@_rule("transpose")
def _(node: Node) -> Tracked:
    axes = list(node.axes(0))
    if axes:
        a, b = (node.axis(name, len(axes)) for name in ("dim0", "dim1"))
        axes[a], axes[b] = axes[b], axes[a]
    return Tracked(tuple(axes), node.given(0).is_zero)


@_rule("expand")
def _(node: Node) -> Tracked:
    given, made = node.given(0), node.made()
    lead = len(made) - len(given.axes)
    old: Axes = (*((1,),) * lead, *given.axes)
    axes = tuple(_repeated(axis, size) for axis, size in zip(old, made, strict=True))
    is_new = any(a is None and o is not None for a, o in zip(axes, old, strict=True))
    return Tracked(axes, given.is_zero and not is_new)


def _repeated(axis: Axis, size: Vector) -> Axis:
    return axis if axis != (1,) else _made(size)


def _made(size: Vector) -> Axis:
    """An axis along which all elements are equal."""
    return None if len(set(size)) > 1 else fixed(size[0])


@_rule("full")
def _(node: Node) -> Tracked:
    node.fixed("dtype")
    owner: Any = node.alike[-1].operands[0].owner
    value = getattr(owner, "python_value", None)
    return Tracked(tuple(map(_made, node.made())), value is not None and value == 0)


@_rule("iota")
def _(node: Node) -> Tracked:
    return Tracked((node.sizes.run(node.made()[0]),))


@_rule("flip")
def _(node: Node) -> Tracked:
    axes = node.axes(0)
    dims: tuple[int, ...] = node.fixed("dims")
    if any(is_padded(axes[d]) for d in dims):
        raise RefusedError("reverses the padded axis")
    return node.given(0)


@_rule("topk")
def _(node: Node) -> list[Tracked]:
    axes = list(node.axes(0))
    at = node.axis("dim", len(axes))
    if axes and is_padded(axes[at]):
        raise RefusedError("orders the elements of the padded axis")
    if axes:
        axes[at] = fixed(node.fixed("k"))
    return [Tracked(tuple(axes))] * 2


# Reductions: what is padding counts as what changes nothing.


_NEUTRAL = {
    "sum": zero, "prod": one, "amax": least, "amin": most, "any": zero, "all": one,
    "argmax": least, "argmin": most,
}  # fmt: skip


@_rule(*_NEUTRAL)
def _(node: Node) -> Tracked:
    given, dim = node.given(0), node.fixed("dim")
    axes, keepdim = given.axes, node.fixed("keepdim")
    every = range(len(axes)) if dim is None else _named(dim, len(axes))
    reduced = {i: node.ordered(0, i) for i in every if is_padded(axes[i])}
    if reduced and node.op.name.startswith("arg"):
        _expect_runs(axes, dim)
    node.mask(0, _NEUTRAL[node.op.name](node.dtype(0)), reduced)
    kept = [fixed(1) if i in every else a for i, a in enumerate(axes) if keepdim or i not in every]
    return Tracked(tuple(kept), node.op.name == "sum" and given.is_zero)


def _named(dim: int | tuple[int, ...], rank: int) -> list[int]:
    return [d % max(rank, 1) for d in ((dim,) if isinstance(dim, int) else dim)]


def _expect_runs(axes: Axes, dim: Any) -> None:
    """Places along an axis, or in all of a tensor, must be what they are without padding."""
    if dim is not None or len(axes) == 1:
        is_right = is_run(axes[dim or 0])
    else:
        flat = tuple(f for axis in axes for f in axis or () if f != 1)
        is_right = is_run(flat) and None not in axes
    if not is_right:
        raise RefusedError("counts places behind padding", "name an axis")


@_rule("cumsum")
def _(node: Node) -> Tracked:
    axes = list(node.axes(0))
    at = node.axis("dim", len(axes))
    if not axes or not is_padded(axes[at]):
        return Tracked(tuple(axes), node.given(0).is_zero)
    axes[at] = node.ordered(0, at)
    node.mask(0, zero(node.dtype(0)), {at: axes[at]})
    return Tracked(tuple(axes))


@_rule("matmul")
def _(node: Node) -> Tracked:
    a, b = node.axes(0), node.axes(1)
    rows, columns = a[-2:-1], b[-1:] if len(b) > 1 else ()
    inner = joined(a[-1], b[max(len(b) - 2, 0)])
    if is_padded(inner):
        inner = node.ordered(0, len(a) - 1) if inner is None else inner
        node.mask(0, zero(node.dtype(0)), {len(a) - 1: inner})
        node.mask(1, zero(node.dtype(1)), {max(len(b) - 2, 0): inner})
    return Tracked((*aligned([a[:-2], b[:-2]]), *rows, *columns))
