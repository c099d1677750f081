"""A Program for any sizes: what those for a few have in common, with kernels that take sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

from xdsl.dialects.builtin import ModuleOp

from ...codegen.program import serialize
from ...ir.dialects.kernel import BatchOp, FuncOp, Member
from ...ir.dtypes import BY_NAME
from ...ir.polynomial import DiffersError, Samples, Sizes, evaluated
from ...passes.generalize import General, generalize
from ...passes.memory.place import Block, place
from ..explain.facts import touched


@dataclass(frozen=True)
class Life:
    """Memory of the arena: the tensors that lie in it, one after the other, and the first and the
    last instruction that uses one."""

    tensors: list[int]
    start: int
    end: int


@dataclass(frozen=True)
class Template:
    """`spec` is what `codegen.program.serialize` gives, with what depends on sizes in place of
    numbers; `kernels` are those that it launches, by name, and members of its `batches`."""

    spec: dict[str, Any]
    lives: list[Life]
    kernels: dict[str, General]
    batches: dict[str, BatchOp]

    def at(self, sizes: Sizes) -> dict[str, Any]:
        """The Program for these sizes, its memory planned."""
        spec = evaluated(self.spec, sizes)
        blocks = [
            Block(max(_bytes(spec["tensors"][t]) for t in life.tensors), life.start, life.end)
            for life in self.lives
        ]
        spec["instructions"] = list(_launched(spec["instructions"]))
        spec["arena"] = place(blocks)
        for life, block in zip(self.lives, blocks, strict=True):
            for t in life.tensors:
                spec["tensors"][t]["offset"] = block.number
        return spec


def template_of(modules: Sequence[ModuleOp], samples: Samples, prefix: str) -> Template:
    """What `modules` at stage `planned`, one for each of `samples`, have in common; no byte of
    their arenas serves two values. Kernels have names that begin with `prefix`.

    DiffersError where that is not all but numbers that depend on sizes.
    """
    return _Joining(modules, samples, prefix).run()


class _Joining:
    def __init__(self, modules: Sequence[ModuleOp], samples: Samples, prefix: str) -> None:
        self.samples, self.prefix = samples, prefix
        self.specs = [serialize(m) for m in modules]
        self.kernels = [
            {k.sym_name.data: k for k in m.ops if isinstance(k, (FuncOp, BatchOp))} for m in modules
        ]
        self.made: dict[tuple[str, ...], General] = {}
        self.batches: dict[tuple[str, ...], BatchOp] = {}

    def run(self) -> Template:
        counts = [len(s["instructions"]) for s in self.specs]
        if len(set(counts)) > 1:
            raise DiffersError(counts, "the number of steps")
        steps = zip(*(s["instructions"] for s in self.specs), strict=True)
        extra = [self._step(list(alike)) for alike in steps]
        lives = [self._lives(s) for s in self.specs]
        if any(life != lives[0] for life in lives):
            raise DiffersError([len(life) for life in lives], "the memory of intermediates")
        for spec in self.specs:
            del spec["kernels"]
        joined = self.samples.tree(self.specs)
        for step, more in zip(joined["instructions"], extra, strict=True):
            step |= more
        kernels = {g.kernel.sym_name.data: g for g in self.made.values()}
        joined["kernels"] = list(kernels)
        batches = {b.sym_name.data: b for b in self.batches.values()}
        return Template(joined, lives[0], kernels, batches)

    def _step(self, alike: list[dict[str, Any]]) -> dict[str, Any]:
        """What of a launch is not numbers alone; it is taken out of `alike`."""
        if len({s["kind"] for s in alike}) > 1 or alike[0]["kind"] != "launch":
            return {}
        names = tuple(s.pop("kernel") for s in alike)
        grains = [s.pop("grain") for s in alike]
        done = [s.pop("operations") for s in alike]
        kernels = [known[name] for known, name in zip(self.kernels, names, strict=True)]
        if all(isinstance(k, BatchOp) for k in kernels):
            name, sizes = self._batch(names, kernels, alike[0]["lines"][0]), list[Any]()
        else:
            found = self._general(names, alike[0]["lines"][0])
            name, sizes = found.kernel.sym_name.data, list(found.sizes)
        made: dict[str, Any] = {
            "kernel": name,
            "grain": self.samples.choice(grains),
            "sizes": sizes,
        }
        with suppress(DiffersError):  # nothing is told of them then
            made["operations"] = self.samples.integer(done)
        return made

    def _batch(self, names: tuple[str, ...], alike: Sequence[Any], line: str) -> str:
        """The name of the batch of what members of `alike` have in common."""
        if names not in self.batches:
            members = [b.members for b in alike]
            buffers = [[m.buffers for m in ms] for ms in members]
            if any(b != buffers[0] for b in buffers):
                raise DiffersError([len(b) for b in buffers], f"what runs as one kernel at {line}")
            kernels = [
                Member(self._general(tuple(m.kernel for m in ms), line).kernel.sym_name.data,
                       ms[0].buffers)
                for ms in zip(*members, strict=True)
            ]  # fmt: skip
            name = f"{self.prefix}{names[0]}_{len(self.batches)}"
            self.batches[names] = BatchOp(name, alike[0].count.value.data, kernels)
            self.batches[names].location = alike[0].location
        return self.batches[names].sym_name.data

    def _general(self, names: tuple[str, ...], line: str) -> General:
        """What the kernels called `names`, one for each sample, have in common."""
        if names not in self.made:
            kernels = [known[name] for known, name in zip(self.kernels, names, strict=True)]
            if not all(isinstance(k, FuncOp) for k in kernels):
                raise DiffersError(names, f"what runs as one kernel at {line}")
            name = f"{self.prefix}{names[0]}_{len(self.made)}"
            try:
                self.made[names] = generalize(
                    [k for k in kernels if isinstance(k, FuncOp)], name, self.samples
                )
            except DiffersError as error:
                path = f"{error.path}, of {names[0]} at {line},"
                raise DiffersError(error.values, path) from error
        return self.made[names]

    def _lives(self, spec: dict[str, Any]) -> list[Life]:
        """The blocks of the arena, whose numbers take the place of offsets in `spec`."""
        numbers: dict[int, int] = {}
        tensors: list[list[int]] = []
        for t, tensor in enumerate(spec["tensors"]):
            if tensor["space"] != "arena":
                continue
            number = numbers.setdefault(tensor["offset"], len(numbers))
            if number == len(tensors):
                tensors.append([])
            tensors[number].append(t)
            tensor["offset"] = number
        used: list[list[int]] = [[] for _ in tensors]
        owner = {t: number for number, ts in enumerate(tensors) for t in ts}
        for i, step in enumerate(spec["instructions"]):
            for t in chain(*touched(step)):
                if t in owner:
                    used[owner[t]].append(i)
        del spec["arena"]
        return [Life(ts, min(u), max(u)) for ts, u in zip(tensors, used, strict=True)]


def _launched(steps: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Steps of a Program of some sizes; launches of no programs are none."""
    for step in steps:
        alike = cast("list[dict[str, Any]]", step) if isinstance(step, list) else [step]
        yield from (each for each in alike if each.get("programs") != 0)


def _bytes(tensor: dict[str, Any]) -> int:
    """From the start of a tensor's memory to the end of its last element."""
    if 0 in tensor["sizes"]:
        return 0
    pairs = zip(tensor["sizes"], tensor["strides"], strict=True)
    last = tensor["start"] + sum((n - 1) * step for n, step in pairs)
    return (last + 1) * BY_NAME[tensor["dtype"]].itemsize
