"""Programs with awkward capture behaviour: what one is given, and what is seen of a run of it."""

from __future__ import annotations

import dataclasses
import io
import random
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

import ostinato as ot

CALLS = 5
Call = Callable[[int], Any]
Compile = Callable[..., Any]


class World:
    """What one run of a program is made with: a library (ours or torch), and what compiles."""

    def __init__(self, lib: Any, compile: Compile) -> None:
        self.lib, self._compile = lib, compile
        self.compiled: list[Any] = []
        self.log: list[Any] = []  # what the program leaves outside
        self.given: list[Any] = []  # tensors whose memory results may share

    def compile(self, fn: Any, **options: Any) -> Any:
        """`fn` compiled, or as it is in an eager run."""
        self.compiled.append(self._compile(fn, **options))
        return self.compiled[-1]

    def data(self, seed: int, *shape: int, grad: bool = False) -> Any:
        """Normal numbers that are the same in each library."""
        values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
        made = self.lib.zeros(shape) if 0 in shape else self.lib.tensor(values.tolist())
        return self.keep(made.requires_grad_() if grad else made)

    def keep(self, tensor: Any) -> Any:
        """A tensor that is watched from here on."""
        self.given.append(tensor)
        return tensor


@dataclass(frozen=True)
class Program:
    """A row of the table.

    `torch`: whether torch is a second oracle. `variants`: how many there are after all calls, if
    that matters; then nothing is followed. `follows`: whether the function has to be followed.
    `refused`: a part of the error that is the honest answer.
    """

    make: Callable[[World], Call]
    torch: bool = True
    variants: int | None = None
    follows: bool | None = None
    refused: str = ""

    @property
    def name(self) -> str:
        """That of the function that makes it."""
        return self.make.__name__


@dataclass
class Table:
    """The programs of one kind."""

    programs: list[Program] = field(default_factory=list[Program])

    def program(self, **columns: Any) -> Callable[[Callable[[World], Call]], Any]:
        """Adds a program: it returns what makes the call of each number."""

        def add(make: Callable[[World], Call]) -> Any:
            self.programs.append(Program(make, **columns))
            return make

        return add

    def function(self, *shape: int, **columns: Any) -> Callable[[Callable[[World], Any]], Any]:
        """Adds a program: it returns a function to compile, called with a new tensor each time."""

        def add(make: Callable[[World], Any]) -> Any:
            def made(world: World) -> Call:
                fn = world.compile(make(world))
                return lambda i: fn(world.data(i, *(shape or (3,))))

            made.__name__ = make.__name__
            self.programs.append(Program(made, **columns))
            return make

        return add


@dataclass(frozen=True)
class Raised:
    """How a call ended that returned nothing."""

    kind: str
    text: str


@dataclass
class Observation:
    """All that five calls of a program give and do."""

    calls: list[dict[str, Any]]
    end: dict[str, Any]
    world: World


def observe(program: Program, lib: Any, compile: Compile) -> Observation:
    """What is seen of five calls of `program`."""
    random.seed(0)
    np.random.seed(0)
    lib.manual_seed(0)
    world = World(lib, compile)
    call = program.make(world)
    results: list[Any] = []
    calls: list[dict[str, Any]] = []
    for i in range(CALLS):
        calls.append(_called(world, call, i, results))
    drawn = random.random(), float(np.random.rand()), *(lib.rand(1).tolist() if lib is ot else [])
    now = plain(results), plain(world.log), plain(world.given)
    end = {"drawn": drawn, "results": now, "written": written(list(tensors((results, world.log))))}
    return Observation(calls, end, world)


def _called(world: World, call: Call, i: int, results: list[Any]) -> dict[str, Any]:
    printed = io.StringIO()
    with redirect_stdout(printed), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            results.append(call(i))
        except Exception as error:
            results.append(Raised(type(error).__name__, str(error)))
    return {
        "result": plain(results[-1]),
        "printed": printed.getvalue(),
        "warned": [(w.category.__name__, str(w.message)) for w in caught],
        "log": plain(world.log),
        "given": plain(world.given),
        "shared": shared(list(tensors((results, world.given, world.log)))),
    }


def is_tensor(value: Any) -> bool:
    """Whether it is one of either library."""
    return hasattr(value, "requires_grad") and hasattr(value, "data_ptr")


def parts(value: Any) -> Iterator[Any]:
    """What a container or object of the user's holds."""
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, (list, tuple)):
        yield from value
    elif not isinstance(value, type) and type(value).__module__.startswith("awkward"):
        yield from getattr(value, "__dict__", {}).values()


def tensors(value: Any) -> Iterator[Any]:
    """The tensors in it, each place of one."""
    if is_tensor(value):
        yield value
    else:
        for part in parts(value):
            yield from tensors(part)


def extent(tensor: Any) -> tuple[int, int]:
    """The addresses that a tensor shows."""
    if tensor.numel() == 0:
        return 0, 0
    start = tensor.data_ptr()
    last = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))
    return start, start + (last + 1) * tensor.element_size()


def shared(every: Sequence[Any]) -> list[tuple[int, int]]:
    """Which tensors show memory of each other, and which are one."""
    places = [extent(t) for t in every]
    return [
        (i, j) if every[i] is every[j] else (j, i)
        for i, j in combinations(range(len(every)), 2)
        if every[i] is every[j] or max(places[i][0], places[j][0]) < min(places[i][1], places[j][1])
    ]


def written(every: Sequence[Any]) -> list[Any]:
    """What all tensors show after one after the other is written into."""
    for t in every:
        overlaps = any(s == 0 and n > 1 for n, s in zip(t.shape, t.stride(), strict=True))
        if not overlaps and str(t.dtype).endswith(("float32", "int64")):
            t.detach().add_(1)
    return [plain(t) for t in every]


def plain(value: Any) -> Any:
    """A value as data that can be compared, with types, dtypes and gradients."""
    if is_tensor(value):
        grad = plain(value.grad) if value.is_leaf else None
        shown = str(value.dtype).rpartition(".")[2], tuple(value.shape), value.requires_grad
        return [*shown, value.is_leaf, value.detach().tolist(), grad]
    if isinstance(value, (np.ndarray, np.generic)):
        return [type(value).__name__, str(value.dtype), value.tolist()]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *map(plain, value)]
    if isinstance(value, (bool, int, float, str, type(None))):
        return value if type(value) in (bool, int, float, str, type(None)) else repr(value)
    if not isinstance(value, type) and list(parts(value)):
        return [type(value).__name__, plain(vars(value))]
    return type(value).__name__


def same(got: Any, want: Any, tolerance: float) -> bool:
    """Whether two plain values are equal but for rounding."""
    if isinstance(want, float) and isinstance(got, float):
        return bool(np.isclose(got, want, rtol=tolerance, atol=tolerance, equal_nan=True))
    if type(got) is not type(want):
        return False
    if isinstance(want, dict):
        return list(got) == list(want) and all(same(got[k], want[k], tolerance) for k in want)
    if isinstance(want, (list, tuple)):
        return len(got) == len(want) and all(map(same, got, want, [tolerance] * len(want)))
    if isinstance(want, str):
        return re.sub(r"0x[0-9a-f]+", "0x", got) == re.sub(r"0x[0-9a-f]+", "0x", want)
    return got == want
