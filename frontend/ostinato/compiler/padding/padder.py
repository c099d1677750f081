"""When a call of a function with buckets is padded, and what for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from ...ir.errors import CaptureError
from ...ir.polynomial import DiffersError, Samples, Sizes, evaluated
from .. import build
from ..built import Built
from ..call_key import CallKey
from ..effects import Restart
from ..follow import first_other_op
from ..region import Region
from ..sizes.recapture import Call, fixed_sizes, recaptured, told
from ..sizes.sized import Sized
from ..sizes.symbols import Symbols, is_prime
from .bucketed import Bucketed, with_numbers
from .buckets import Dim, Dims, checked, found_dims
from .planning import plan_of


@dataclass(frozen=True)
class _Fit:
    """The sizes of a call that have buckets, equal ones of equal buckets as one."""

    dims: list[list[Dim]]
    sizes: tuple[int, ...]
    padded: tuple[int, ...]

    @property
    def symbols(self) -> Symbols:
        return Symbols(tuple(tuple(d.place for d in dims) for dims in self.dims))

    @property
    def names(self) -> str:
        return " and ".join(d.name for dims in self.dims for d in dims)


@dataclass
class _Group:
    """Calls that differ in sizes that have buckets only: what their captures have in common, and
    what is made for each bucket."""

    samples: Samples
    regions: list[Region]
    described: Any
    made: dict[tuple[int, ...], Bucketed] = field(default_factory=dict[Any, Bucketed])


class Padder:
    """The buckets of one function. Calls with sizes beyond them are those of `others`."""

    def __init__(self, fn: Callable[..., Any], name: str, dims: Dims, others: Sized) -> None:
        self._fn, self._name = fn, name
        self._dims, self._others = checked(dims, fn, name), others
        self._groups: dict[Any, _Group] = {}

    def has_family(self, key: CallKey) -> bool:
        """Whether a Program is there for a call like this."""
        fit = self._fit(key)
        if isinstance(fit, str):
            return self._others.has_family(key)
        group = self._groups.get(_without(key, fit))
        return group is not None and fit.padded in group.made

    def why_fixed(self, key: CallKey) -> str:
        """Why a call like this is not padded."""
        fit = self._fit(key)
        return fit if isinstance(fit, str) else "this size makes other ops than those around it"

    def built(self, call: Call, region: Region) -> Built | None:
        """The Program of a call; None where it is for its sizes alone. CaptureError where padding
        would reach results."""
        fit = self._fit(call.key)
        if isinstance(fit, str):
            return self._others.built(call, region)
        key = _without(call.key, fit)
        with_errors = _Naming(self._name, fit)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = with_errors(lambda: self._group(call, fit, region), region)
        if evaluated(group.described, fit.sizes) != build.described(region):
            return None
        if fit.padded not in group.made:
            made = with_errors(lambda: self._bucketed(group, call, fit), region)
            group.made[fit.padded] = made
        return group.made[fit.padded].bind(region, fit.sizes)

    def _fit(self, key: CallKey) -> _Fit | str:
        """How a call is padded, or why it is not."""
        found: dict[Any, list[Dim]] = {}
        shapes = key.shapes
        for dim in found_dims(self._dims, self._fn, self._name, key.structure, shapes):
            leaf, axis = dim.place
            size = shapes[leaf][axis]
            if size == 0:
                return f"{dim.name} is empty"
            if dim.bucket.fitting(size) is None:
                return f"{dim.name} has {size}, more than the largest of {dim.bucket}"
            found.setdefault((size, dim.bucket), []).append(dim)
        padded = tuple(bucket.fitting(size) or size for size, bucket in found)
        return _Fit(list(found.values()), tuple(size for size, _ in found), padded)

    def _group(self, call: Call, fit: _Fit, region: Region) -> _Group:
        shapes = call.key.shapes
        largest = [dims[0].bucket.sizes[-1] for dims in fit.dims]
        samples = _samples(largest, fixed_sizes(fit.symbols, shapes, region))
        regions = [self._captured(call, fit, sizes) for sizes in samples.sizes]
        for other in regions:
            line = first_other_op(other.nodes, region.nodes)
            if line is not None:
                raise CaptureError(f"another size makes other ops, first at {line}")
        return _Group(samples, regions, samples.tree(list(map(build.described, regions)), "trace"))

    def _captured(self, call: Call, fit: _Fit, sizes: Sizes) -> Region:
        shapes = fit.symbols.put(call.key.shapes, sizes)
        try:
            return recaptured(self._fn, self._name, call, shapes)
        except (Exception, Restart) as error:
            came, tried = (", ".join(map(str, s)) for s in (fit.sizes, sizes))
            raise CaptureError(
                f"a call with {tried} instead of {came} fails: {error}; name all arguments of that "
                "size in dims"
            ) from error

    def _bucketed(self, group: _Group, call: Call, fit: _Fit) -> Bucketed:
        region = self._captured(call, fit, fit.padded)
        if evaluated(group.described, fit.padded) != build.described(region):
            raise DiffersError([*group.samples.sizes, fit.padded], "what is captured for the sizes")
        plan, seconds = plan_of(group.regions, region, group.samples, fit.padded)
        for at, i in (*region.writes, *region.assigned):
            if any(not isinstance(f, int) for axis in plan.results[at] for f in axis or ()):
                raise CaptureError(f"{region.names[i]} is changed in place; clone() it before")
        made = build.build(with_numbers(region, plan), self._name)
        return Bucketed(made, plan, fit.dims, seconds | made.seconds)


@dataclass
class _Naming:
    """Makes errors name the function and what was to be padded."""

    name: str
    fit: _Fit

    def __call__(self, make: Callable[[], Any], region: Region) -> Any:
        from ...passes.padding.track import UnsafeError

        try:
            return make()
        except DiffersError as error:
            why = f"{told(error, region)}; leave it out of dims"
        except (UnsafeError, CaptureError) as error:
            why = str(error)
        raise CaptureError(f"{self.name}: {self.fit.names} cannot be padded: {why}")


def _without(key: CallKey, fit: _Fit) -> CallKey:
    """What calls have in common that differ in the sizes of `fit` only."""
    return key.with_shapes(fit.symbols.put(key.shapes, [-1 - i for i in range(len(fit.sizes))]))


def _samples(largest: Sequence[int], avoid: Collection[int]) -> Samples:
    """Primes up to the largest of each size, where these are enough: all pairs of the least and the
    largest, and one between."""
    used: set[int] = set()
    three = [_three(size, avoid, used) for size in largest]
    corners = list(product(*((low, high) for low, _, high in three)))
    return Samples([corners[0], tuple(middle for _, middle, _ in three), *corners[1:]])


def _three(largest: int, avoid: Collection[int], used: set[int]) -> tuple[int, int, int]:
    fitting = [n for n in range(11, max(largest + 1, 200)) if is_prime(n) and n not in used]
    fitting = [n for n in fitting if all(a % n for a in avoid)]
    below = [n for n in fitting if n <= largest]
    chosen = below if len(below) > 2 else fitting[:3]
    low, middle, high = chosen[0], chosen[len(chosen) // 2], chosen[-1]
    used.update((low, middle, high))
    return low, middle, high
