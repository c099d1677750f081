"""Algebraic rewrites over the op table, each a pair: what is looked for, and what replaces it.

An `exact` pair gives the same bits for all operands of one dtype, infinities, NaN and -0.0
included (NaN stays NaN); the others need fast math. A pair is a function that builds both sides, so
it is its own test: call it on arrays and compare. A side may name each op once or more, its
variables as operands, and numbers; the result of `after` has the type of `before`, or the rewrite
does not take place.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..ir.dtypes import DType, bool_
from ..ir.op import OPS, Op, Value


@dataclass(frozen=True)
class Pair:
    """A rewrite rule. `holds` says for which dtype of its variables it is true; the first
    `conditions` variables are bool and do not count."""

    name: str
    build: Callable[..., tuple[Any, Any]]
    exact: bool
    holds: Callable[[DType], bool]
    conditions: int = 0

    @property
    def variables(self) -> int:
        """How many operands the rule is about."""
        return len(inspect.signature(self.build).parameters)

    @property
    def sides(self) -> tuple[Any, Any]:
        """Before and after, as trees of `Variable`, `Applied` and numbers."""
        return _traced(self)


class _Symbolic(Value):
    """A value in a pattern; applying an op to it makes a larger pattern."""

    dtype: Any = None
    shape = ()

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        return Application(op, tuple(operands), attrs)


class Variable(_Symbolic):
    """Stands for any value."""

    def __init__(self, index: int) -> None:
        self.index = index


class Application(_Symbolic):
    """Stands for an op on what its operands stand for; a number stands for itself."""

    def __init__(self, op: Op, operands: tuple[Any, ...], attrs: dict[str, Any]) -> None:
        self.op, self.operands, self.attrs = op, operands, attrs


@cache
def _traced(pair: Pair) -> tuple[Any, Any]:
    before, after = pair.build(*map(Variable, range(pair.variables)))
    assert isinstance(before, Application), f"{pair.name}: the left side is no op"
    return before, after


PAIRS: list[Pair] = []


def _pair(
    *, exact: bool, holds: Callable[[DType], bool] = lambda dtype: True, conditions: int = 0
) -> Callable[[Callable[..., tuple[Any, Any]]], Pair]:
    def enter(build: Callable[..., tuple[Any, Any]]) -> Pair:
        made = Pair(build.__name__, build, exact, holds, conditions)
        PAIRS.append(made)
        return made

    return enter


@cache
def pairs_for(op: str, fast_math: bool) -> tuple[Pair, ...]:
    """The rules whose left side is an application of `op`."""
    return tuple(p for p in PAIRS if (p.exact or fast_math) and p.sides[0].op.name == op)


@cache
def is_symmetric(op: Op) -> bool:
    """True for pointwise ops of two operands whose order does not matter, bit for bit."""
    from ..ir.dtypes import float32, int64
    from ..ir.scalar.expression import KINDS, argument

    if not op.is_pointwise or len(op.operands) != 2 or op.attrs:
        return False
    for dtype in (float32, int64, bool_):
        x, y = argument(0, dtype), argument(1, dtype)
        try:
            root = op.scalar_body(x, y)
        except TypeError:
            continue
        if root.operands != (x, y) or not KINDS[root.kind].commutative:
            return False
    return True


def _is_number(dtype: DType) -> bool:
    return dtype is not bool_


def _is_integer(dtype: DType) -> bool:
    return dtype.is_integer


def _is_float(dtype: DType) -> bool:
    return dtype.is_floating_point


def _op(name: str) -> Callable[..., Any]:
    return lambda *operands: OPS[name](*operands)


abs_, add, div, exp, log, maximum, minimum, mul, neg = map(
    _op, ("abs", "add", "div", "exp", "log", "maximum", "minimum", "mul", "neg")
)
ceil, floor, round_, trunc = map(_op, ("ceil", "floor", "round", "trunc"))
reciprocal, relu, rsqrt, sqrt, square, sub, where = map(
    _op, ("reciprocal", "relu", "rsqrt", "sqrt", "square", "sub", "where")
)
logical_not, bitwise_not = map(_op, ("logical_not", "bitwise_not"))


# Signs.


@_pair(exact=True, holds=_is_number)
def negated_twice(x: Any) -> tuple[Any, Any]:
    return neg(neg(x)), x


@_pair(exact=True, holds=_is_number)
def negated_summand(x: Any, y: Any) -> tuple[Any, Any]:
    return add(x, neg(y)), sub(x, y)


@_pair(exact=True, holds=_is_number)
def negated_first_summand(x: Any, y: Any) -> tuple[Any, Any]:
    return add(neg(x), y), sub(y, x)


@_pair(exact=True, holds=_is_number)
def negated_subtrahend(x: Any, y: Any) -> tuple[Any, Any]:
    return sub(x, neg(y)), add(x, y)


@_pair(exact=True, holds=_is_number)
def negated_factors(x: Any, y: Any) -> tuple[Any, Any]:
    return mul(neg(x), neg(y)), mul(x, y)


@_pair(exact=True, holds=_is_float)
def negated_quotient(x: Any, y: Any) -> tuple[Any, Any]:
    return div(neg(x), neg(y)), div(x, y)


@_pair(exact=True, holds=_is_number)
def times_minus_one(x: Any) -> tuple[Any, Any]:
    return mul(x, -1), neg(x)


@_pair(exact=True, holds=_is_float)
def divided_by_minus_one(x: Any) -> tuple[Any, Any]:
    return div(x, -1), neg(x)


@_pair(exact=True, holds=lambda dtype: dtype.signed)
def absolute_of_negated(x: Any) -> tuple[Any, Any]:
    return abs_(neg(x)), abs_(x)


@_pair(exact=True, holds=_is_number)
def absolute_twice(x: Any) -> tuple[Any, Any]:
    return abs_(abs_(x)), abs_(x)


@_pair(exact=True, holds=_is_number)
def square_of_negated(x: Any) -> tuple[Any, Any]:
    return square(neg(x)), square(x)


@_pair(exact=True, holds=_is_number)
def square_of_absolute(x: Any) -> tuple[Any, Any]:
    return square(abs_(x)), square(x)


# Neutral elements.


@_pair(exact=True)
def times_one(x: Any) -> tuple[Any, Any]:
    return mul(x, 1), x


@_pair(exact=True)
def one_times(x: Any) -> tuple[Any, Any]:
    return mul(1, x), x


@_pair(exact=True, holds=_is_float)
def divided_by_one(x: Any) -> tuple[Any, Any]:
    return div(x, 1), x


@_pair(exact=True, holds=_is_number)
def minus_zero(x: Any) -> tuple[Any, Any]:
    return sub(x, 0), x


@_pair(exact=True, holds=_is_integer)
def integer_plus_zero(x: Any) -> tuple[Any, Any]:
    return add(x, 0), x


@_pair(exact=False, holds=_is_float)
def plus_zero(x: Any) -> tuple[Any, Any]:
    # -0.0 + 0 is 0.0.
    return add(x, 0), x


@_pair(exact=False, holds=_is_float)
def zero_plus(x: Any) -> tuple[Any, Any]:
    return add(0, x), x


@_pair(exact=False, holds=_is_float)
def zero_minus(x: Any) -> tuple[Any, Any]:
    return sub(0, x), neg(x)


# Things done twice.


@_pair(exact=True)
def relu_twice(x: Any) -> tuple[Any, Any]:
    return relu(relu(x)), relu(x)


@_pair(exact=True)
def maximum_of_itself(x: Any) -> tuple[Any, Any]:
    return maximum(x, x), x


@_pair(exact=True)
def minimum_of_itself(x: Any) -> tuple[Any, Any]:
    return minimum(x, x), x


@_pair(exact=True)
def floor_twice(x: Any) -> tuple[Any, Any]:
    return floor(floor(x)), floor(x)


@_pair(exact=True)
def ceil_twice(x: Any) -> tuple[Any, Any]:
    return ceil(ceil(x)), ceil(x)


@_pair(exact=True)
def round_twice(x: Any) -> tuple[Any, Any]:
    return round_(round_(x)), round_(x)


@_pair(exact=True)
def trunc_twice(x: Any) -> tuple[Any, Any]:
    return trunc(trunc(x)), trunc(x)


@_pair(exact=True, holds=lambda dtype: dtype is bool_)
def not_twice(x: Any) -> tuple[Any, Any]:
    return logical_not(logical_not(x)), x


@_pair(exact=True)
def bits_flipped_twice(x: Any) -> tuple[Any, Any]:
    return bitwise_not(bitwise_not(x)), x


# Choices.


@_pair(exact=True, conditions=1)
def either_way_the_same(c: Any, x: Any) -> tuple[Any, Any]:
    return where(c, x, x), x


@_pair(exact=True, conditions=1)
def choice_by_negation(c: Any, x: Any, y: Any) -> tuple[Any, Any]:
    return where(logical_not(c), x, y), where(c, y, x)


@_pair(exact=True)
def always_first(x: Any, y: Any) -> tuple[Any, Any]:
    return where(True, x, y), x


@_pair(exact=True)
def always_second(x: Any, y: Any) -> tuple[Any, Any]:
    return where(False, x, y), y


# Exponentials, roots and quotients, in exact arithmetic only.


@_pair(exact=False)
def exp_of_log(x: Any) -> tuple[Any, Any]:
    return exp(log(x)), x


@_pair(exact=False)
def log_of_exp(x: Any) -> tuple[Any, Any]:
    return log(exp(x)), x


@_pair(exact=False)
def product_of_exps(x: Any, y: Any) -> tuple[Any, Any]:
    return mul(exp(x), exp(y)), exp(add(x, y))


@_pair(exact=False)
def quotient_of_exps(x: Any, y: Any) -> tuple[Any, Any]:
    return div(exp(x), exp(y)), exp(sub(x, y))


@_pair(exact=False)
def reciprocal_of_root(x: Any) -> tuple[Any, Any]:
    return reciprocal(sqrt(x)), rsqrt(x)


@_pair(exact=False)
def one_over_root(x: Any) -> tuple[Any, Any]:
    return div(1, sqrt(x)), rsqrt(x)


@_pair(exact=False)
def square_of_root(x: Any) -> tuple[Any, Any]:
    return square(sqrt(x)), x


@_pair(exact=False, holds=_is_float)
def times_reciprocal(x: Any, y: Any) -> tuple[Any, Any]:
    return mul(x, reciprocal(y)), div(x, y)


@_pair(exact=False, holds=_is_number)
def negated_difference(x: Any, y: Any) -> tuple[Any, Any]:
    # 0.0 becomes -0.0 where x is y.
    return neg(sub(x, y)), sub(y, x)


@_pair(exact=False, holds=_is_number)
def common_factor(x: Any, y: Any, z: Any) -> tuple[Any, Any]:
    return add(mul(x, y), mul(x, z)), mul(x, add(y, z))
