"""Whether results are those of eager ops, as far as the ops promise the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...ir.dtypes import DType, float32
from ...ir.numerics import stated_error

Array = NDArray[Any]
Index = tuple[int, ...]

_NEAR = 8
"""So many stated errors of the largest element are near without a further question."""

_FACTOR = 4
"""How much more than what noise does to elements on average, or to one at most, is too much."""

_RUNS = 4, 32
"""Runs with noise, at first and before anything is called wrong. An element that is nothing but
rounding has the same sign in all of the latter in one of 2^31 cases."""


def array_of(tensor: Any) -> Array:
    """The elements of a tensor; those of bfloat16 as the float32 numbers they are."""
    plain = tensor.detach()
    if plain.dtype.name == "bfloat16":
        plain = plain.to(float32)
    # A copy: what a call gives or changes must not become memory that NumPy sees.
    return plain.cpu().clone().numpy()


class Expected:
    """The results that eager ops gave, and how far others may be from them.

    `again` runs the same ops on the same inputs with errors of the size that the ops may make,
    others for each number: by how much results move then is what a compiled region may differ. So
    the limits follow depth, sizes, dtypes and the conditioning of the computation. It is called
    where results are not near at first sight, and more often where they then seem wrong.
    """

    def __init__(
        self,
        arrays: Sequence[Array],
        dtypes: Sequence[DType],
        again: Callable[[int], Sequence[Array]],
    ) -> None:
        self.arrays, self.dtypes = list(arrays), list(dtypes)
        self._again = again
        self._noisy: list[list[Array]] = []
        self._known: dict[int, tuple[int, _Noise]] = {}

    @classmethod
    def of(cls, tensors: Sequence[Any], again: Callable[[int], Sequence[Any]]) -> Expected:
        """The same of tensors."""
        dtypes = [t.dtype for t in tensors]
        return cls([array_of(t) for t in tensors], dtypes,
                   lambda seed: [array_of(t) for t in again(seed)])  # fmt: skip

    def first_wrong(self, number: int, found: Array) -> Index | None:
        """Where result `number` is first not what it has to be; None where all is well."""
        want = self.arrays[number]
        if found.shape != want.shape:
            return (0,) * want.ndim
        apart = ~_is_same(found, want)
        if self._is_near(number, found, apart):
            return None
        wrong: Index | None = None
        for runs in _RUNS:
            self._noisy += [list(self._again(i)) for i in range(len(self._noisy), runs)]
            wrong = self._first_far(number, found, apart)
            if wrong is None:
                return None
        return wrong

    def _is_near(self, number: int, found: Array, apart: Array) -> bool:
        if not apart.any():
            return True
        if not self.dtypes[number].is_floating_point:
            return False
        want = self.arrays[number]
        both = np.isfinite(found[apart]).all() and np.isfinite(want[apart]).all()
        return bool(both and (_error(found, want, apart) <= self._near(number)).all())

    def _near(self, number: int) -> float:
        want = self.arrays[number]
        largest = np.abs(want[np.isfinite(want)]).max(initial=0.0)
        dtype = self.dtypes[number]
        return _NEAR * stated_error(dtype) * float(largest) if dtype.is_floating_point else 0.0

    def _first_far(self, number: int, found: Array, apart: Array) -> Index | None:
        want, noise = self.arrays[number], self._noise_of(number)
        if not self.dtypes[number].is_floating_point:
            return _first(apart & ~noise.unstable)
        finite = np.isfinite(found) & np.isfinite(want)
        lost = apart & ~finite & ~noise.unstable
        if lost.any():
            return _first(lost)
        return noise.first_stray(_error(found, want, apart & finite))

    def _noise_of(self, number: int) -> _Noise:
        runs, known = len(self._noisy), self._known.get(number)
        if known is None or known[0] != runs:
            all_ = np.stack([run[number] for run in self._noisy])
            made = _Noise.of(all_, self.arrays[number], self._near(number))
            known = self._known[number] = runs, made
        return known[1]


@dataclass(frozen=True)
class _Noise:
    """What noise does to one result: which elements become other ones (others than finite, or other
    whole numbers), how far each moves at most, how far elements usually move and how many in one
    run move further, how far one moved at all, and what is near whatever noise does."""

    unstable: Array
    moves: Array
    usual: float
    strays: int
    most: float
    near: float

    @staticmethod
    def of(runs: Array, want: Array, near: float) -> _Noise:
        moves = _error(runs, want, np.isfinite(runs) & np.isfinite(want))
        usual = _FACTOR * float(moves.mean()) + near if moves.size else near
        strays = max(int(np.count_nonzero(run > usual)) for run in moves)
        unstable = np.asarray(~_is_same(_rough(runs), _rough(want)).all(axis=0))
        return _Noise(unstable, moves.max(axis=0), usual, strays, moves.max(initial=0.0), near)

    def first_stray(self, error: Array) -> Index | None:
        """Where an error is first more than what noise does."""
        strays = error > np.maximum(self.usual, _FACTOR * self.moves + self.near)
        beyond = (error > _FACTOR * self.most + self.near).any()
        # A step whose sign hangs on rounding, as that of a gradient that is zero but for it, may go
        # either way in any element: noise tells how many do.
        return _first(strays, 0 if beyond else 2 * self.strays)


def _rough(values: Array) -> Array:
    """Finite floating-point numbers are as good as each other."""
    return np.where(np.isfinite(values), 0, values) if values.dtype.kind == "f" else values


def _is_same(a: Array, b: Array) -> Array:
    return (a == b) | ((a != a) & (b != b))


def _error(found: Array, want: Array, where: Array) -> Array:
    """Distances, 0 except `where`."""
    a, b = (np.where(where, x, 0).astype(float) for x in (found, want))
    return np.abs(a - b)


def _first(wrong: Array, allowed: int = 0) -> Index | None:
    if np.count_nonzero(wrong) <= allowed:
        return None
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
