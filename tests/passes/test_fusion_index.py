"""Index maps of fusion: exact wherever they are given."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from ostinato.passes.fusion.index import (
    Linear,
    axes_of,
    broadcast,
    compose,
    divide,
    identity,
    normal,
    strides_for,
    weighted,
)


def value_at(e: Linear, n: Any) -> Any:
    """What a Linear says of element n."""
    return e.const + sum((c * (n // w % s) for w, s, c in e.terms), start=0 * n)


def random_linear(chooser: random.Random, size: int) -> Linear:
    """A sum of up to three digits of numbers below `size`."""
    terms: list[tuple[int, int, int]] = []
    for _ in range(chooser.randint(0, 3)):
        weight = chooser.choice([1, 2, 3, 4, 6, 8, 12])
        terms.append((weight, chooser.choice([2, 3, 4, 6]), chooser.choice([-6, -1, 1, 2, 4, 12])))
    return normal(chooser.randint(0, size), terms)


def test_normal_form_keeps_the_value() -> None:
    n = np.arange(144)
    chooser = random.Random(1)
    for _ in range(200):
        terms = [(chooser.choice([1, 2, 6]), chooser.choice([2, 3]), chooser.choice([1, 2, 6]))
                 for _ in range(4)]  # fmt: skip
        plain = 5 + sum(c * (n // w % s) for w, s, c in terms)
        assert (value_at(normal(5, terms), n) == plain).all()


def test_quotients_and_remainders_are_exact_where_they_are_given() -> None:
    n = np.arange(144)
    chooser = random.Random(2)
    given = 0
    for _ in range(2000):
        e, by = random_linear(chooser, 24), chooser.choice([2, 3, 4, 6, 12])
        found = divide(e, by)
        if found is not None and e.low >= 0:
            given += 1
            assert (value_at(found[0], n) == value_at(e, n) // by).all()
            assert (value_at(found[1], n) == value_at(e, n) % by).all()
    assert given > 200


def test_compositions_are_exact_where_they_are_given() -> None:
    n = np.arange(144)
    chooser = random.Random(3)
    given = 0
    for _ in range(4000):
        outer, inner = random_linear(chooser, 24), random_linear(chooser, 24)
        found = compose(outer, inner)
        if found is not None and inner.low >= 0:
            given += 1
            assert (value_at(found, n) == value_at(outer, value_at(inner, n))).all()
    assert given > 400


def test_bounded_digits_compose_where_unbounded_ones_do_not() -> None:
    # Column j - 8 of the right half of (4, 16), read from a tensor (4, 8) flipped along its rows.
    right = weighted(axes_of((4, 16)), (8, 1), -8)
    flipped = weighted(axes_of((4, 8)), (8, -1), 7)
    assert compose(flipped, right) is None
    found = compose(flipped, right, ((1, 16, 8, 16),))
    assert found is not None
    n = np.array([16 * i + j for i in range(4) for j in range(8, 16)])
    assert (value_at(found, n) == value_at(flipped, value_at(right, n))).all()


@pytest.mark.parametrize(
    ("source", "target"), [((3,), (2, 3)), ((2, 1), (2, 3)), ((), (4,)), ((1, 3), (2, 2, 3))]
)
def test_broadcast_maps(source: tuple[int, ...], target: tuple[int, ...]) -> None:
    size = int(np.prod(source))
    expected = np.broadcast_to(np.arange(size).reshape(source), target).reshape(-1)
    assert (value_at(broadcast(source, target), np.arange(len(expected))) == expected).all()


def test_strides_are_found_where_there_are_any() -> None:
    transposed = weighted(axes_of((4, 3)), (1, 4))
    assert strides_for(transposed, (4, 3)) == (1, 4)
    assert strides_for(transposed, (2, 2, 3)) == (2, 1, 4)
    assert strides_for(transposed, (12,)) is None
    assert strides_for(identity(12), (3, 4)) == (4, 1)
