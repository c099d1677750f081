"""What of a function's calls differs in sizes only, and when one variant serves all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...ir.polynomial import DiffersError, evaluated
from ...runtime import _C
from .. import build
from ..attempt import Attempt, Policy, Unrepeatable
from ..build import Built
from ..effects import Restart
from ..follow import first_other_op
from ..region import Node, Region
from .family import Family, family_of
from .symbols import MOST, Domain, Symbols, domains, shapeless, shapes_of, varying

MOST_SIZES = 64
"""How many sizes a family is bound for at a time; the oldest goes first."""

Shapes = list[tuple[int, ...]]

_IN_TRACE = re.compile(r"trace(\[0\]\[(?P<value>\d+)\]|\[1\]\[(?P<node>\d+)\])")


@dataclass(frozen=True)
class Call:
    """The arguments of a call: its key, its leaves, and their structure."""

    key: Any
    leaves: list[Any]
    structure: Any


@dataclass
class _Group:
    """Calls that differ in sizes only: the static variants, by shapes and ops, families, and why
    there is none for a sequence of ops."""

    static: list[tuple[Shapes, list[Node]]] = field(default_factory=list[Any])
    families: list[Family] = field(default_factory=list[Family])
    refused: list[tuple[Symbols, list[Node], str]] = field(default_factory=list[Any])


class Sized:
    """The families of one function."""

    def __init__(self, fn: Callable[..., Any], name: str) -> None:
        self._fn, self._name = fn, name
        self._groups: dict[Any, _Group] = {}

    def has_family(self, key: Any) -> bool:
        """Whether calls of other sizes than this one's have a variant for any."""
        group = self._groups.get(shapeless(key))
        return group is not None and bool(group.families)

    def built(self, call: Call, region: Region) -> Built | None:
        """The Programs of a call, by a family, where another size came before; else None, after
        which the call is known as one with a static variant."""
        group = self._groups.setdefault(shapeless(call.key), _Group())
        shapes = shapes_of(call.key)
        for family in group.families:
            sizes = family.sizes_in(shapes, region)
            if sizes is not None:
                return family.bind(region, self._name, sizes)
        made = self._family(group, call, shapes, region)
        if isinstance(made, Family):
            group.families.append(made)
            sizes = made.sizes_in(shapes, region)
            assert sizes is not None, "a family is made for a call"
            return made.bind(region, self._name, sizes)
        group.static.append((shapes, region.nodes))
        return None

    def why_fixed(self, key: Any) -> str:
        """Why there is no family for calls like this, "" where none was asked for."""
        group = self._groups.get(shapeless(key), _Group())
        return group.refused[-1][2] if group.refused else ""

    def _family(self, group: _Group, call: Call, shapes: Shapes, region: Region) -> Family | None:
        others = [
            (known, nodes) for known, nodes in group.static
            if known != shapes and not _is_special(known, shapes)
        ]  # fmt: skip
        if not others:
            return None
        lines = [first_other_op(region.nodes, nodes) for _, nodes in others]
        alike = [known for (known, _), line in zip(others, lines, strict=True) if line is None]
        symbols = varying([*(alike or [known for known, _ in others]), shapes])
        if any(s == symbols and not first_other_op(region.nodes, n) for s, n, _ in group.refused):
            return None
        made: Family | str = f"another size makes other ops, first at {lines[-1]}"
        if alike:
            calls = [*alike, shapes]
            made = _Trial(self._fn, self._name, call, region, symbols, calls).run()
        if isinstance(made, Family):
            return made
        group.refused.append((symbols, region.nodes, made))
        return None


def _is_special(one: Shapes, other: Shapes) -> bool:
    """Whether shapes differ where a size is 0 or 1, which means something else to ops."""
    pairs = (p for a, b in zip(one, other, strict=True) for p in zip(a, b, strict=True))
    return any(a != b and min(a, b) < 2 for a, b in pairs)


_DRY = Policy(follows=False, breaks=False, dry=True)


@dataclass
class _Trial:
    """Captures of a call with other sizes, nothing of which runs, to make a family of."""

    fn: Callable[..., Any]
    name: str
    call: Call
    region: Region
    symbols: Symbols
    calls: list[Shapes]

    def run(self) -> Family | str:
        """The family, or why there is none."""
        if self.region.device != "cpu":
            return "kernels for a GPU are made for one size"
        if len(self.symbols.places) > MOST:
            return f"{len(self.symbols.places)} sizes vary; {MOST} can"
        found = [self.symbols.sizes_in(shapes) for shapes in self.calls]
        why = "no primes stand for its sizes"
        for domain in domains(self.symbols, [s for s in found if s is not None], self._fixed()):
            try:
                return self._family(domain)
            except DiffersError as error:
                why = self._told(error)
            except (Exception, Restart) as error:
                why = f"with {' or '.join(map(domain.named, domain.samples.sizes))}: {error}"
        return why

    def _family(self, domain: Domain) -> Family:
        samples = domain.samples
        regions = [self._captured(sizes) for sizes in samples.sizes]
        described = samples.tree([build.described(r) for r in regions], "trace")
        now = self.symbols.sizes_in(self.calls[-1])
        assert now is not None
        if evaluated(described, now) != build.described(self.region):
            raise DiffersError([*samples.sizes, now], "what is captured for the sizes")
        return family_of(domain, regions, described)

    def _captured(self, sizes: Sequence[int]) -> Region:
        leaves = _made_up(self.call.leaves, self.symbols.put(self.calls[-1], sizes))
        attempt = Attempt(self.fn, self.name, leaves, self.call.structure, _DRY)
        found = attempt.capture()
        attempt.forget()
        assert not isinstance(found, Unrepeatable), "a capture that may not follow is refused"
        return found[0]

    def _fixed(self) -> set[int]:
        """Sizes of inputs that stay the same, which primes for others must not divide."""
        shapes = self.calls[-1]
        varying = {shapes[leaf][axis] for places in self.symbols.places for leaf, axis in places}
        found = {n for v in self.region.inputs for n in self.region.values[v][2]}
        return {n for n in found if n > 1} - varying

    def _told(self, error: DiffersError) -> str:
        """The same with the line of the user where the trace has one."""
        at = _IN_TRACE.match(error.path)
        nodes = self.region.nodes
        if at is not None and at["node"]:
            nodes = nodes[int(at["node"]) :]
        elif at is not None:
            nodes = [n for n in nodes if int(at["value"]) in n.operands]
        line = nodes[0].line if at is not None and nodes else None
        if line is None:
            return str(error)
        values = ", ".join(map(str, error.values))
        return f"{values} at {line[0]}:{line[1]} is no polynomial of the sizes"


def _made_up(leaves: Sequence[Any], shapes: Shapes) -> list[Any]:
    """The same leaves with tensors of other shapes, whose elements nobody reads."""
    made: dict[int, Any] = {}
    for leaf, shape in zip(leaves, shapes, strict=True):
        if isinstance(leaf, _C.Tensor) and tuple(leaf.shape) != shape:
            made.setdefault(id(leaf), _like(leaf, shape))
    return [made.get(id(leaf), leaf) for leaf in leaves]


def _like(leaf: Any, shape: tuple[int, ...]) -> Any:
    from ...creation import empty

    made = empty(*shape, dtype=leaf.dtype, device=leaf.device)
    if leaf.requires_grad:
        made.requires_grad_()
        if leaf.grad is not None:
            made.grad = empty(*shape, dtype=leaf.dtype, device=leaf.device)
    return made if leaf.is_leaf else made.clone()
