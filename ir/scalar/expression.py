"""The scalar language: hash-consed expressions in which pointwise arithmetic is written."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn, Protocol
from weakref import WeakValueDictionary

from ..dtypes import DType, bool_
from .kinds import FUNCTIONS, KINDS, PRIMITIVES, check_domain, representable, uint32, uint64

__all__ = [
    "FUNCTIONS", "KINDS", "PRIMITIVES", "Number", "Scalar", "argument", "bitcast", "cast", "ceil",
    "constant", "cos", "erf", "exp", "exp2", "expm1", "floor", "floordiv", "isinf", "isnan", "log",
    "log1p", "log2", "make", "maximum", "minimum", "mod", "mulhi", "postorder", "power", "rem",
    "rewrite", "round_half_even", "rsqrt", "select", "sigmoid", "sin", "sqrt", "substitute", "tan",
    "tanh", "trunc", "uint32", "uint64",
]  # fmt: skip

Number = bool | int | float


class PointwiseOp(Protocol):
    """What `Scalar.apply_op` needs of an op of the op table."""

    @property
    def name(self) -> str: ...
    @property
    def is_pointwise(self) -> bool: ...
    @property
    def scalar_body(self) -> Callable[..., Scalar]: ...


class Scalar:
    """An immutable node; equal kind, dtype, operands and payload are the same object.

    `payload` is the index of an `argument`, the Python value of a `constant`, else None.
    Operators take a Scalar of the same dtype or a Python number; anything else is a TypeError.
    """

    __slots__ = ("__weakref__", "dtype", "kind", "operands", "payload")

    kind: str
    dtype: DType
    operands: tuple[Scalar, ...]
    payload: Any

    shape = ()
    ndim = 0
    wrapped = False

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"Scalar is immutable; {name} cannot be set")

    def __bool__(self) -> NoReturn:
        raise TypeError("a Scalar has no truth value; use select(condition, a, b)")

    def __repr__(self) -> str:
        return _text(self, 4)

    def __copy__(self) -> Scalar:
        return self

    def __deepcopy__(self, memo: object) -> Scalar:
        return self

    def apply_op(self, op: PointwiseOp, operands: Sequence[Any], attrs: Mapping[str, Any]) -> Any:
        """The pointwise `op` on scalars; numbers take the first operand's dtype, bool aside."""
        if op.name == "detach":
            return operands[0]  # what is printed here is not differentiated again
        if not op.is_pointwise:
            raise TypeError(f"{op.name}: not a pointwise op; only pointwise ops apply to scalars")
        dtypes = [x.dtype for x in operands if isinstance(x, Scalar)]
        lifted = next((d for d in dtypes if d is not bool_), self.dtype)
        values = [constant(x, lifted) if isinstance(x, Number) else x for x in operands]
        return op.scalar_body(*values, **attrs)

    def __add__(self, other: Scalar | Number) -> Scalar:
        return make("add", self, other)

    def __radd__(self, other: Number) -> Scalar:
        return make("add", other, self)

    def __sub__(self, other: Scalar | Number) -> Scalar:
        return make("sub", self, other)

    def __rsub__(self, other: Number) -> Scalar:
        return make("sub", other, self)

    def __mul__(self, other: Scalar | Number) -> Scalar:
        return make("mul", self, other)

    def __rmul__(self, other: Number) -> Scalar:
        return make("mul", other, self)

    def __truediv__(self, other: Scalar | Number) -> Scalar:
        return make("div", self, other)

    def __rtruediv__(self, other: Number) -> Scalar:
        return make("div", other, self)

    def __floordiv__(self, other: Scalar | Number) -> Scalar:
        return floordiv(self, other)

    def __rfloordiv__(self, other: Number) -> Scalar:
        return floordiv(other, self)

    def __mod__(self, other: Scalar | Number) -> Scalar:
        return mod(self, other)

    def __rmod__(self, other: Number) -> Scalar:
        return mod(other, self)

    def __pow__(self, other: Scalar | Number) -> Scalar:
        return power(self, other)

    def __rpow__(self, other: Number) -> Scalar:
        return make("pow", other, self)

    def __neg__(self) -> Scalar:
        return make("neg", self)

    def __abs__(self) -> Scalar:
        return make("abs", self)

    def __invert__(self) -> Scalar:
        return make("not", self)

    def __and__(self, other: Scalar | Number) -> Scalar:
        return make("and", self, other)

    def __rand__(self, other: Number) -> Scalar:
        return make("and", other, self)

    def __or__(self, other: Scalar | Number) -> Scalar:
        return make("or", self, other)

    def __ror__(self, other: Number) -> Scalar:
        return make("or", other, self)

    def __xor__(self, other: Scalar | Number) -> Scalar:
        return make("xor", self, other)

    def __rxor__(self, other: Number) -> Scalar:
        return make("xor", other, self)

    def __lshift__(self, other: Scalar | Number) -> Scalar:
        return make("shl", self, other)

    def __rlshift__(self, other: Number) -> Scalar:
        return make("shl", other, self)

    def __rshift__(self, other: Scalar | Number) -> Scalar:
        return make("shr", self, other)

    def __rrshift__(self, other: Number) -> Scalar:
        return make("shr", other, self)

    def __lt__(self, other: Scalar | Number) -> Scalar:
        return make("lt", self, other)

    def __le__(self, other: Scalar | Number) -> Scalar:
        return make("le", self, other)

    def __gt__(self, other: Scalar | Number) -> Scalar:
        return make("gt", self, other)

    def __ge__(self, other: Scalar | Number) -> Scalar:
        return make("ge", self, other)

    def eq(self, other: Scalar | Number) -> Scalar:
        """self == other, a bool (`==` itself compares nodes)."""
        return make("eq", self, other)

    def ne(self, other: Scalar | Number) -> Scalar:
        """self != other, a bool (`!=` itself compares nodes)."""
        return make("ne", self, other)


_interned: WeakValueDictionary[tuple[Any, ...], Scalar] = WeakValueDictionary()
_interning = threading.Lock()


def _intern(kind: str, dtype: DType, operands: tuple[Scalar, ...], payload: Any) -> Scalar:
    # Bits, not value: 0.0 == -0.0 and nan != nan.
    bits = struct.pack("d", payload) if isinstance(payload, float) else payload
    key = (kind, dtype.name, operands, bits)
    with _interning:
        node = _interned.get(key)
        if node is None:
            node = object.__new__(Scalar)
            fields = {"kind": kind, "dtype": dtype, "operands": operands, "payload": payload}
            for name, value in fields.items():
                object.__setattr__(node, name, value)
            _interned[key] = node
        return node


def argument(index: int, dtype: DType) -> Scalar:
    """Operand number `index` of the expression."""
    return _intern("argument", dtype, (), index)


def constant(value: Number, dtype: DType) -> Scalar:
    """`value` rounded to a floating `dtype`, or wrapped to an integer one.

    Raises TypeError for a float where `dtype` is an integer or bool, or an int for bool.
    """
    return _intern("constant", dtype, (), representable(value, dtype))


def make(kind: str, *operands: Scalar | Number) -> Scalar:
    """The node `kind` of `operands`, numbers lifted to the dtype of their partner.

    Raises TypeError where the kind does not take these dtypes; `cast` and `bitcast` have
    functions of their own.
    """
    row = KINDS[kind]
    scalars = _lift(kind, operands)
    if len(scalars) != row.arity:
        raise TypeError(f"{kind}: {len(scalars)} operands; it takes {row.arity}")
    values = scalars[1:] if row.result == "select" else scalars
    if row.result == "select" and scalars[0].dtype is not bool_:
        raise TypeError(f"select: the condition is {scalars[0].dtype.name}; it must be bool")
    dtype = values[0].dtype
    if any(x.dtype is not dtype for x in values):
        names = " and ".join(x.dtype.name for x in values)
        raise TypeError(f"{kind}: operands are {names}; cast them to one dtype")
    check_domain(row, dtype)
    return _intern(kind, bool_ if row.result == "bool" else dtype, scalars, None)


def _lift(kind: str, operands: Sequence[object]) -> tuple[Scalar, ...]:
    first = 1 if kind == "select" else 0
    partner = next((x.dtype for x in operands[first:] if isinstance(x, Scalar)), None)
    lifted: list[Scalar] = []
    for i, x in enumerate(operands):
        if isinstance(x, Scalar):
            lifted.append(x)
        elif partner is not None and i >= first and isinstance(x, Number):
            lifted.append(constant(x, partner))
        else:
            raise TypeError(f"{kind}: operand {i} is {x!r}; give a scalar, or a number beside one")
    return tuple(lifted)


def cast(x: Scalar, dtype: DType) -> Scalar:
    """`x` converted to `dtype` by value: rounded, truncated, wrapped, or compared with zero."""
    if x.dtype is dtype:
        return x
    check_domain(KINDS["cast"], x.dtype)
    return _intern("cast", dtype, (x,), None)


def bitcast(x: Scalar, dtype: DType) -> Scalar:
    """The bits of `x` read as `dtype`, of the same width; neither is bool or a 16-bit float."""
    if x.dtype is dtype:
        return x
    check_domain(KINDS["bitcast"], x.dtype)
    check_domain(KINDS["bitcast"], dtype)
    if dtype.bits != x.dtype.bits:
        raise TypeError(f"bitcast: {x.dtype.name} to {dtype.name}; the widths must be equal")
    return _intern("bitcast", dtype, (x,), None)


def select(condition: Scalar, a: Scalar | Number, b: Scalar | Number) -> Scalar:
    """`a` where `condition` (bool) holds, else `b`; both are computed."""
    return make("select", condition, a, b)


def _unary(kind: str) -> Callable[[Scalar], Scalar]:
    return lambda x: make(kind, x)


def _binary(kind: str) -> Callable[[Scalar | Number, Scalar | Number], Scalar]:
    return lambda a, b: make(kind, a, b)


sqrt, floor, ceil, trunc = _unary("sqrt"), _unary("floor"), _unary("ceil"), _unary("trunc")
round_half_even, isnan, isinf = _unary("round"), _unary("isnan"), _unary("isinf")
exp, exp2, expm1 = _unary("exp"), _unary("exp2"), _unary("expm1")
log, log2, log1p = _unary("log"), _unary("log2"), _unary("log1p")
sin, cos, tan = _unary("sin"), _unary("cos"), _unary("tan")
tanh, sigmoid, erf, rsqrt = _unary("tanh"), _unary("sigmoid"), _unary("erf"), _unary("rsqrt")
minimum, maximum = _binary("minimum"), _binary("maximum")
rem, mulhi = _binary("rem"), _binary("mulhi")


def mod(a: Scalar | Number, b: Scalar | Number) -> Scalar:
    """a modulo b with the sign of b, as Python and `torch.remainder`."""
    x, y = _lift("mod", (a, b))
    if not x.dtype.is_floating_point:
        return make("mod", x, y)
    r = rem(x, y)
    return select(_signs_differ(r, y), r + y, r)


def floordiv(a: Scalar | Number, b: Scalar | Number) -> Scalar:
    """The quotient a / b rounded down, as Python and `torch.floor_divide`."""
    x, y = _lift("floordiv", (a, b))
    if not x.dtype.is_floating_point:
        return make("floordiv", x, y)
    r = rem(x, y)
    whole = (x - r) / y
    quotient = select(_signs_differ(r, y), whole - 1.0, whole)
    down = floor(quotient)
    # x - r is a multiple of y but for rounding: take the nearest integer.
    nearest = select(quotient - down > 0.5, down + 1.0, down)
    return select(y.eq(0.0), x / y, select(quotient.eq(0.0), x / y * 0.0, nearest))


def _signs_differ(remainder: Scalar, divisor: Scalar) -> Scalar:
    return remainder.ne(0.0) & ((divisor < 0.0) ^ (remainder < 0.0))


def power(base: Scalar, exponent: Scalar | Number) -> Scalar:
    """base ** exponent; a small whole number is written as products, as torch does."""
    if isinstance(exponent, Number) and exponent in (-2, -1, 1, 2, 3):
        product = base
        for _ in range(abs(int(exponent)) - 1):
            product = product * base
        if exponent > 0:
            return product
        if base.dtype.is_floating_point:
            return 1.0 / product
    return make("pow", base, exponent)


def postorder(roots: Iterable[Scalar]) -> list[Scalar]:
    """Every node under `roots`, once, operands before users, in a deterministic order."""
    order: dict[Scalar, None] = {}
    stack = [(root, False) for root in reversed(list(roots))]
    while stack:
        node, ready = stack.pop()
        if node in order:
            continue
        if ready or not node.operands:
            order[node] = None
        else:
            stack.append((node, True))
            stack.extend((x, False) for x in reversed(node.operands))
    return list(order)


def rewrite(roots: Sequence[Scalar], rule: Callable[[Scalar], Scalar | None]) -> list[Scalar]:
    """`roots` with each node replaced, operands first, by what `rule` returns (None keeps it)."""
    done: dict[Scalar, Scalar] = {}
    for node in postorder(roots):
        operands = tuple(done[x] for x in node.operands)
        same = _intern(node.kind, node.dtype, operands, node.payload)
        replacement = rule(same)
        done[node] = same if replacement is None else replacement
    return [done[root] for root in roots]


def substitute(root: Scalar, arguments: Sequence[Scalar]) -> Scalar:
    """`root` with argument number i replaced by `arguments[i]`, which has its dtype."""

    def rule(node: Scalar) -> Scalar | None:
        if node.kind != "argument":
            return None
        index: int = node.payload
        value = arguments[index]
        assert value.dtype is node.dtype, f"argument {index}: {value.dtype}, {node.dtype}"
        return value

    return rewrite([root], rule)[0]


def _text(node: Scalar, depth: int) -> str:
    if node.kind == "argument":
        return f"${node.payload}:{node.dtype.name}"
    if node.kind == "constant":
        return repr(node.payload)
    inner = ", ".join(_text(x, depth - 1) for x in node.operands) if depth else "..."
    to = f" to {node.dtype.name}" if node.kind in ("cast", "bitcast") else ""
    return f"{node.kind}({inner}{to})"
