"""Integers of the IR in Triton's types: widths, signs, and what values they can have.

An i64 of the IR whose value fits may be held in int32. Add, multiply and bit operations do not care
about signs, so an integer may be held in the unsigned type of its width as well.
"""

from __future__ import annotations

from .nodes import ATOM, Node, Writer, literal

INT32 = "int32"


def bits_of(held: str) -> int:
    """The width of an integer type."""
    return int(held.lstrip("uint"))


def width_of(held: str) -> int:
    """The width of an integer or float type."""
    return int("".join(c for c in held if c.isdigit()))


def fits(low: int | None, high: int | None, bits: int = 32) -> bool:
    """True where [low, high] is known to lie within a signed integer of `bits`."""
    top = 1 << (bits - 1)
    return low is not None and high is not None and -top <= low and high < top


def is_short(x: Node) -> bool:
    """True for what int32 holds: an i64 of the IR that is known to fit, or a narrower one."""
    return fits(x.low, x.high) if x.is_literal else bits_of(x.held) <= 32


def is_natural(x: Node) -> bool:
    """True where `x` is known not to be negative as a signed integer."""
    return x.low is not None and x.low >= 0 and not x.held.startswith("u")


def wrapped(number: int, held: str) -> int:
    """`number` modulo the width of `held`, in its range."""
    bits = bits_of(held)
    number &= (1 << bits) - 1
    return number - (1 << bits) if not held.startswith("u") and number >> (bits - 1) else number


def as_held(w: Writer, x: Node, held: str) -> Node:
    """The integer `x` in the type `held`: the same modulo its width; a signed one is extended."""
    if x.held == held:
        return x
    if x.is_literal:
        return literal(wrapped(int(x.number or 0), held), held)
    if bits_of(x.held) == bits_of(held):
        return w.pure(f"{{0}}.to(tl.{held}, bitcast=True)", (x,), held, ranks=(ATOM,), hint=x.hint)
    low, high = (x.low, x.high) if fits(x.low, x.high, bits_of(held)) else (None, None)
    return w.pure(f"{{0}}.to(tl.{held})", (x,), held, ranks=(ATOM,), hint=x.hint,
                  low=low, high=high)  # fmt: skip


def signed(w: Writer, x: Node) -> Node:
    """`x` in a signed type of its width."""
    return as_held(w, x, x.held.lstrip("u")) if x.held.startswith("u") else x


def unsigned(w: Writer, x: Node) -> Node:
    """`x` in the unsigned type of its width."""
    return x if x.held.startswith("u") else as_held(w, x, f"u{x.held}")


def alike(w: Writer, *values: Node) -> list[Node]:
    """Signed `values` of the same IR type in one width."""
    values = tuple(signed(w, x) for x in values)
    wide = max((bits_of(x.held) for x in values if not x.is_literal), default=0)
    if wide == 32 and not all(map(is_short, values)):
        wide = 64
    return [as_held(w, x, f"int{wide}") if wide else x for x in values]


def span(symbol: str, a: Node, b: Node) -> tuple[int | None, int | None]:
    """The least and greatest value of `a symbol b` in whole numbers; None where unknown."""
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return None, None
    corners = [(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
    match symbol:
        case "+":
            return a.low + b.low, a.high + b.high
        case "-":
            return a.low - b.high, a.high - b.low
        case "*":
            products = [x * y for x, y in corners]
            return min(products), max(products)
        case "<<" if a.low >= 0 and 0 <= b.low and b.high < 64:
            return a.low << b.low, a.high << b.high
        case "&" if b.low >= 0 or a.low >= 0:
            return 0, min(x.high for x in (a, b) if x.high is not None and (x.low or 0) >= 0)
        case "&" | "|" | "^":
            bits = max(abs(x) for pair in corners for x in pair).bit_length()
            natural = a.low >= 0 and b.low >= 0
            return (0 if natural else -(1 << bits)), (1 << bits) - 1
        case _:
            return None, None
