"""Shape rules where some sizes are numbers and others symbols, and the arithmetic of sizes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product as pairs
from typing import Any

import pytest

from ostinato.ir.dims import Dim, dim_max, dim_min, is_known, product
from ostinato.ir.dtypes import float32
from ostinato.ir.errors import ShapeError
from ostinato.ir.op import OPS, Type
from ostinato.ir.shapes_index import from_front, slice_bounds
from symbolic_cases import size_of

N, M = Dim("operand", (0, 0, 0)), Dim("operand", (0, 1, 0))


def of(*shape: int | Dim) -> Type:
    """The type of a float tensor."""
    return Type(shape, float32)


# (op, operands, attributes, shape): a symbol fits every size, and a number beside it stays.
MIXED: list[tuple[str, list[Any], dict[str, Any], tuple[Any, ...]]] = [
    ("add", [of(4, N), of(4, 3)], {}, (4, N)),
    ("add", [of(N, 4), of(3, 4)], {}, (N, 4)),
    ("add", [of(1, N), of(M, 1)], {}, (M, N)),
    ("linear", [of(2, N), of(7, 3), None], {}, (2, 7)),
    ("linear", [of(2, 3), of(N, M), None], {}, (2, N)),
    ("matmul", [of(2, N), of(3, 5)], {}, (2, 5)),
    ("matmul", [of(2, 3), of(N, 5)], {}, (2, 5)),
    ("select", [of(2, N)], {"dim": 1, "index": 5}, (2,)),
    ("select", [of(N, 2)], {"dim": 0, "index": 5}, (2,)),
    ("topk", [of(2, N)], {"k": 5, "dim": 1, "largest": True}, (2, 5)),
    ("topk", [of(N, 2)], {"k": 5, "dim": 0, "largest": True}, (5, 2)),
    ("cat", [(of(N, 3), of(2, M))], {"dim": 0}, (N + 2, 3)),
    ("expand", [of(N, 3)], {"size": (5, 4, -1)}, (5, 4, 3)),
    ("reshape", [of(N, 3)], {"shape": (-1,)}, (N * 3,)),
    ("reshape", [of(2, 3)], {"shape": (N, -1)}, (6 // N,)),
]


@pytest.mark.parametrize(("name", "operands", "attrs", "shape"), MIXED)
def test_a_symbol_fits_every_size(
    name: str, operands: Any, attrs: dict[str, Any], shape: tuple[Any, ...]
) -> None:
    found, *_ = OPS[name].infer(operands, attrs)
    assert found.shape[-len(shape) :] == shape


REFUSED: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("add", [of(N, 4), of(2, 3)], {}),
    ("linear", [of(2, 2), of(N, 3), None], {}),
    ("matmul", [of(N, 2), of(3, M)], {}),
    ("cat", [(of(N, 3), of(N, 2))], {"dim": 0}),
    ("attention", [of(N, 2), of(M, 3), of(M, 2), None], {"is_causal": False, "scale": 1.0}),
    ("attention", [of(4, N), of(M, N), of(M, 2), of(3, M)], {"is_causal": False, "scale": 1.0}),
]


@pytest.mark.parametrize(("name", "operands", "attrs"), REFUSED)
def test_known_sizes_that_do_not_fit_are_refused_beside_symbols(
    name: str, operands: Any, attrs: dict[str, Any]
) -> None:
    with pytest.raises(ShapeError, match=f"^{name}: "):
        OPS[name].infer(operands, attrs)


# Each on integers, and on symbols that are given these integers afterwards.
EXPRESSIONS: dict[str, Callable[[Any, Any], Any]] = {
    "sum": lambda a, b: (a + b, 2 + a, a + 0),
    "difference": lambda a, b: (a - b, 2 - a, a - 0, a - a),
    "product": lambda a, b: (a * b, 3 * a, a * 1, a * 0),
    "quotient": lambda a, b: (a // (b + 1), (7 * a) // 2, 5 // (a + 1), a // 1),
    "negative": lambda a, b: (-a, -(a + b)),
    "largest": lambda a, b: (dim_max(a, b), dim_max(a, 3), dim_max(2, b)),
    "smallest": lambda a, b: (dim_min(a, b), dim_min(a, 3), dim_min(2, b)),
    "number of elements": lambda a, b: (product((a, b, 3)), product(()), product((a,))),
    "index from the front": lambda a, b: (from_front(-1 - dim_min(a, b), a + 1), from_front(a, b)),
    "bounds": lambda a, b: (
        *slice_bounds(a, b, a), *slice_bounds(a, -1, 9), *slice_bounds(a, -b, -1),
        *slice_bounds(a, -9, -b), *slice_bounds(5, a, b),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_sizes_that_are_symbols_have_the_values_of_numbers(name: str) -> None:
    for a, b in pairs(range(6), repeat=2):
        by_symbols = EXPRESSIONS[name](N, M)
        found = tuple(size_of(s, {N: a, M: b}) for s in by_symbols)
        assert found == EXPRESSIONS[name](a, b), (a, b)


def test_numbers_of_sizes() -> None:
    assert (product(()), product((2, 3, 4))) == (1, 24)
    assert (is_known((1, 2)), is_known((1, N))) == (True, False)
    assert [slice_bounds(5, *s) for s in ((1, 3), (-2, 9), (4, 2), (-9, -1), (7, 8))] == [
        (1, 3), (3, 5), (4, 4), (0, 4), (5, 5),
    ]  # fmt: skip
    assert str(N + 2) == "add(operand(0, 0, 0), 2)"


def test_a_rule_may_not_branch_on_a_symbol() -> None:
    with pytest.raises(TypeError) as error:
        bool(N - 1)
    assert str(error.value) == (
        "size sub(operand(0, 0, 0), 1) is known only at run time; a rule may not branch on it"
    )
