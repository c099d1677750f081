"""One captured region as data: its ops and values, and what a replay finds, makes and guards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..runtime import _C
from .indices import Indices, indices_of
from .lookup import Read

if TYPE_CHECKING:
    from ..passes.padding.node import Plan

Source = tuple[str, Any]
"""Where a replay finds an input: ("argument", index of a leaf of the call), ("tensor", the tensor),
("grad", where its leaf is found) or ("number", how to read it given the leaves)."""

Alias = tuple[Source, Source, int, tuple[int, ...], tuple[int, ...], bool]
"""A tensor, an input whose memory it shows, how many elements later, the strides of both, and
whether gradients of one are those of the other."""

Watching = tuple[_C.Channel, list[int], int, Callable[[Sequence[Any]], Any] | None]
"""A channel, the results that say what a value is, every how many calls it is kept, and how that is
read again where it can change."""


@dataclass(frozen=True)
class Node:
    """An op of the trace; `name` is None for a gradient."""

    name: str | None
    operands: list[int]
    results: list[int]
    attrs: list[Any]
    line: tuple[str, int] | None
    no_grad: bool
    pin: int  # see `pins`


@dataclass(frozen=True)
class Ties:
    """How a region belongs to the tape outside: positions among its results of those that have
    gradients and of those whose gradients the region took itself, and the inputs they go to;
    `reach` has for each of the `results` which of the `wanted` those are."""

    results: list[int]
    spent: list[int]
    wanted: list[int]
    reach: list[list[int]]

    def reached(self, came: Sequence[int]) -> list[int]:
        """Which of the `wanted` get gradients where cotangents came for these of the `results`."""
        return sorted({i for c in came for i in self.reach[c]})


@dataclass
class Region:
    """A finished trace. `results` are the value ids of `@main`'s results: what is returned, new
    gradients, what the caller assigns, what is watched, then what is written back; `writes` pairs
    (result, input) positions."""

    nodes: list[Node]
    values: list[tuple[str, Any, tuple[int, ...], bool, Any, bool]]
    inputs: list[int]
    results: list[int]
    writes: list[tuple[int, int]]
    sources: list[Source]
    names: list[str]
    # ("value", position), ("live", read), ("same", object), ("tensor", source), or
    # ("view", (the first or the last of these, how))
    returned: list[Any]
    grads: list[tuple[Source, int | None]]  # (leaf, position among the results or None)
    assigned: list[tuple[int, int]]  # (result, input that is given it by a recorded copy_)
    grad_guards: list[tuple[Source, bool]]  # (leaf, had a gradient)
    guards: list[tuple[Any, Any, Any]]
    aliases: list[Alias]
    identical: list[tuple[Source, Source]]
    layouts: list[tuple[Source, tuple[int, ...]]]  # (input, its strides)
    reads: list[Read]
    ties: Ties
    device: str  # where it runs: `cpu`, `cuda:0`
    on_host: list[bool]  # for each input, whether the CPU holds it for a region that runs elsewhere
    guard_lines: list[str]  # where each of the guards came from, and each of the reads
    read_lines: list[str]
    start: tuple[str, int]
    """The line of the first op; of a region without ops the one that asked for it."""
    watched: list[Watching]
    spare: list[int]
    """Results that are made for what is watched alone, and only where a value is kept."""
    padding: Plan | None = None
    """Of a region whose inputs are padded, after which it takes the numbers of the plan."""

    @property
    def indices(self) -> list[Indices]:
        """What a replay checks; nothing of a GPU, which would have to be waited for."""
        if self.device != "cpu":
            return []
        found = dict(zip(self.inputs, self.sources, strict=True))
        tensors = {value: source for value, source in found.items() if source[0] != "number"}
        return indices_of(self.nodes, self.values, tensors.get)

    @property
    def changed(self) -> set[int]:
        """The inputs that the region changes in place."""
        return {i for _, i in (*self.writes, *self.assigned)}

    @property
    def bare(self) -> Region:
        """What passes need of it: neither tensors nor what replays alone ask for, through which it
        might be held by what it holds."""
        values = [(*v[:4], v[4] if v[0] == "number" else None, v[5]) for v in self.values]
        return replace(
            self, values=values, sources=[], returned=[], grads=[], grad_guards=[], guards=[],
            aliases=[], identical=[], layouts=[], reads=[], guard_lines=[], read_lines=[],
            watched=[],
        )  # fmt: skip

    @property
    def is_differentiable(self) -> bool:
        """Whether a backward Program belongs to it."""
        return bool(self.ties.results)
