"""What of a function's calls differs in sizes only, and when one variant serves all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...ir.polynomial import DiffersError, evaluated
from .. import build
from ..built import Built
from ..call_key import CallKey
from ..effects import Restart
from ..follow import first_other_op
from ..region import Node, Region
from .family import Family
from .recapture import Call, Shapes, fixed_sizes, recaptured, told
from .shared import shared_programs
from .symbols import MOST, Domain, Symbols, domains, varying

MOST_SIZES = 64
"""How many sizes a family is bound for at a time; the oldest goes first."""


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

    def has_family(self, key: CallKey) -> bool:
        """Whether there is a variant for any sizes, this call's among them."""
        group = self._groups.get(key.without_sizes)
        return group is not None and any(f.takes(key.shapes) for f in group.families)

    def built(self, call: Call, region: Region) -> Built | None:
        """The Programs of a call, by a family, where another size came before; else None, after
        which the call is known as one with a static variant. A region that was edited is for its
        own sizes."""
        if build.is_edited(region, self._name):
            return None
        group = self._groups.setdefault(call.key.without_sizes, _Group())
        shapes = call.key.shapes
        for family in group.families:
            sizes = family.sizes_in(shapes, region)
            if sizes is not None:
                return family.bind(region, self._name, sizes)
        made = self._family(group, call, shapes, region)
        if isinstance(made, Family):
            build.tell_unedited(region, self._name)
            build.dump_where_asked(region, self._name)
            group.families.append(made)
            sizes = made.sizes_in(shapes, region)
            assert sizes is not None, "a family is made for a call"
            return made.bind(region, self._name, sizes)
        group.static.append((shapes, region.nodes))
        return None

    def why_fixed(self, key: CallKey) -> str:
        """Why there is no family for calls like this, "" where none was asked for."""
        group = self._groups.get(key.without_sizes, _Group())
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
        if len(self.symbols.places) > MOST:
            return f"{len(self.symbols.places)} sizes vary; {MOST} can"
        found = [self.symbols.sizes_in(shapes) for shapes in self.calls]
        why = "no primes stand for its sizes"
        for domain in domains(
            self.symbols,
            [s for s in found if s is not None],
            fixed_sizes(self.symbols, self.calls[-1], self.region),
        ):
            try:
                return self._family(domain)
            except DiffersError as error:
                why = told(error, self.region)
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
        return Family(shared_programs(domain, regions), described)

    def _captured(self, sizes: Sequence[int]) -> Region:
        shapes = self.symbols.put(self.calls[-1], sizes)
        return recaptured(self.fn, self.name, self.call, shapes)
