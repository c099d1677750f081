"""How far results of a compiled region may be from those of eager ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ostinato as ot
from ostinato.compiler.check.closeness import Expected


def wide(seed: int) -> Any:
    """Values of one size that rounding moves a little."""
    x = np.random.default_rng(0).standard_normal(1000)
    off = np.random.default_rng([1, seed]).standard_normal(1000)
    return (x * (1 + 1e-5 * off)).astype(np.float32)


def hanging(seed: int) -> Any:
    """The same, but of the first ten rounding chooses the sign."""
    x = wide(seed)
    x[:10] = np.sign(np.random.default_rng([2, seed]).standard_normal(10))
    return x


def counts(seed: int) -> Any:
    """Whole numbers, of which rounding changes the first."""
    return np.array([seed % 2, 1, 2, 3], np.int64)


def changed(made: Any, at: Any, to: Any) -> Any:
    made = made.copy()
    made[at] = to
    return made


APART: list[tuple[str, Callable[[int], Any], Any, Any]] = [
    ("another run", wide, wide(99), None),
    ("one element", wide, changed(wide(99), 7, 0.4), (7,)),
    ("half of them, by twenty times noise", wide, np.where(np.arange(1000) % 2, wide(0) * 1.0004,
                                                            wide(99)), (1,)),
    ("nan", wide, changed(wide(0), 3, np.nan), (3,)),
    ("infinity", wide, changed(wide(0), 3, np.inf), (3,)),
    ("another shape", wide, wide(0)[:9], (0,)),
    ("signs that hang on rounding", hanging, hanging(99), None),
    ("signs that do not", hanging, changed(hanging(99), slice(500, 600), 1.0), (500,)),
    ("equal counts", counts, counts(0), None),
    ("a count that noise changes", counts, counts(1), None),
    ("one that it does not", counts, changed(counts(0), 2, 7), (2,)),
]  # fmt: skip


@pytest.mark.parametrize(("made", "found", "wrong"), [x[1:] for x in APART],
                         ids=[x[0] for x in APART])  # fmt: skip
def test_how_far_results_may_be_apart(made: Callable[[int], Any], found: Any, wrong: Any) -> None:
    expected = Expected.of([ot.from_numpy(made(0))], lambda i: [ot.from_numpy(made(i + 1))])
    assert expected.first_wrong(0, found) == wrong


def test_noise_is_asked_for_only_where_results_are_not_near() -> None:
    x = wide(0)
    asked: list[int] = []
    expected = Expected.of(
        [ot.from_numpy(x)], lambda i: asked.append(i) or [ot.from_numpy(wide(i))]
    )
    near = x + np.float32(1e-7)
    for found, runs in ((x, 0), (near, 0), (wide(99), 4), (changed(x, 0, 9.0), 32)):
        expected.first_wrong(0, found)
        assert len(asked) == runs
