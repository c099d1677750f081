"""What a reduction's combiners do in Triton: where they start, one step, and along a tile's axis.

Sums along an axis of a tile are trees whose shape is Triton's choice: results are the same on
every run, but not in the order of the CPU's lanes. Which of 0.0 and -0.0 an extremum gives is open.
"""

from __future__ import annotations

from .access import LANES, ROWS, Shape
from .convert import convert, extended
from .integers import as_held, bits_of, unsigned
from .nodes import Axes, Node, Writer, literal
from .scalar import compare, select, signless

_FLOATS = ("float32", "float64")
_INFINITY = float("inf")


def identity(kind: str, held: str) -> Node:
    """The value that a reduction starts from."""
    if held in _FLOATS:
        start = {"sum": 0.0, "prod": 1.0, "max": -_INFINITY, "min": _INFINITY}
        return literal(start[kind], held)
    if held == "int1":
        return literal(kind == "all", held)
    top = (1 << (bits_of(held) - 1)) - 1
    start = {"sum": 0, "prod": 1, "max": -top - 1, "min": top, "umax": 0, "umin": -1}
    return literal(start[kind], held)


def combined(w: Writer, kind: str, so_far: Node, element: Node) -> Node:
    """One step of a reduction; both are of the result's type."""
    held = so_far.held
    if held == "int1":
        return w.infix("|" if kind == "any" else "&", so_far, element, held, 5, hint=kind)
    if held in _FLOATS:
        if kind in ("sum", "prod"):
            symbol, rank = ("+", 7) if kind == "sum" else ("*", 8)
            return w.infix(symbol, so_far, element, held, rank, hint=kind)
        return w.function("highest" if kind == "max" else "lowest", [so_far, element], held)
    if kind in ("sum", "prod"):
        return signless(w, "+" if kind == "sum" else "*", so_far, element, held)
    pair = [so_far, element]
    if kind[0] == "u":
        pair = [unsigned(w, x) for x in pair]
    name = "tl.maximum" if kind.endswith("max") else "tl.minimum"
    return as_held(w, w.call(name, pair, pair[0].held), held)


def summand(w: Writer, shape: Shape, kind: str, element: Node, axis: str) -> Node:
    """`element` as a tile along `axis`, with the start of the combiner where no element exists."""
    axes = element.axes | {axis}
    bound = shape.bounds.get(axis)
    if bound is not None:
        element = select(w, bound, element, identity(kind, element.held))
    if element.axes == axes:
        return element
    text = f"tl.broadcast_to({{0:t}}, {shape.text(axes)})"
    return w.pure(text, (element,), element.held, axes=axes, hint=element.hint)


def across(w: Writer, shape: Shape, kind: str, held: str, tile: Node, axis: str) -> Node:
    """`tile` combined along `axis`."""
    axes: Axes = tile.axes - {axis}
    place = f", {(ROWS, LANES).index(axis)}" if axes else ""
    kept = ", keep_dims=True" if axes else ""
    hint = {"prod": "product", "sum": "sum", "umax": "max", "umin": "min"}.get(kind, kind)

    def folded(name: str, x: Node, function: str = "") -> Node:
        if function:
            w.functions[function] = None
        along = f"{place or ', None'}, {function}" if function else place
        text = f"{name}({{0:t}}{along}{kept})"
        return w.pure(text, (x,), x.held, axes=axes, hint=f"{x.hint}_{hint}", named=True)

    if held == "int1":
        ones = convert(w, tile, "int32", 0, 1, "{0:t}.to(tl.%s)")
        best = folded("tl.max" if kind == "any" else "tl.min", ones)
        return compare(w, "!=", best, literal(0, "int32"))
    if kind == "prod":
        return folded("tl.reduce", tile, "product")
    if kind == "sum":
        wide = tile if held in _FLOATS or bits_of(held) >= 32 else as_held(w, tile, "int32")
        total = folded("tl.sum", wide)
        return total if total.held == held else as_held(w, total, held)
    if held in _FLOATS:
        return folded("tl.reduce", tile, "highest" if kind == "max" else "lowest")
    name = "tl.max" if kind.endswith("max") else "tl.min"
    tile = unsigned(w, tile) if kind[0] == "u" else tile
    # These give at least 32 bits.
    return as_held(w, folded(name, extended(w, tile, "int32")), held)
