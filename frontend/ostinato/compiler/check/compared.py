"""One call of a compiled function done both ways, by eager ops and by its Program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...runtime import _C
from ..region import Region
from .closeness import Array, Expected, Index, array_of
from .rerun import Noise, pulled_back, run_again

if TYPE_CHECKING:
    from ..variant import Variant
    from .blame import Blame


class EagerCall:
    """A call computed by eager ops: `values` are the region's results, then the gradients that
    made-up `cotangents` give. Nothing is changed before `hand_out`."""

    def __init__(self, variant: Variant, leaves: list[Any], backward: bool = False) -> None:
        self.replays, self.region, self.leaves = variant.replays, variant.region, leaves
        self.inputs = self.replays.inputs(leaves)
        self.cotangents = _cotangents(self.region) if backward else []
        self.values = run_again(self.region, self.inputs, self.cotangents)

    def hand_out(self) -> list[Any]:
        """What was written into inputs, grads, and what the function returned."""
        before = _C.grad_enabled()
        _C.set_grad_enabled(False)
        for at, i in self.region.writes:
            self.inputs[i].copy_(self.values[at])
        _C.set_grad_enabled(before)
        made = [self.values[i] for i in self.replays.wanted]
        return self.replays.hand_out(self.leaves, made)


class Compared:
    """The same call by the Program as well, which runs last: its changes are there.

    `wrong` is the number of the first wrong one of `found` (results that are returned, assigned or
    written, then gradients) and the index of its first wrong element.
    """

    def __init__(self, variant: Variant, leaves: list[Any]) -> None:
        self.padded, self.edits = variant.built.padding is not None, variant.built.edits
        self.eager = eager = EagerCall(variant, leaves, backward=True)
        self._before = _kept(eager.region, eager.inputs)
        self.expected = Expected.of(eager.values, self._again)
        self.made = variant.replays.launch(leaves)
        self.found = self._found()
        self.wrong = self._first_wrong()

    def _again(self, seed: int) -> list[Any]:
        region = self.eager.region
        noise = Noise(seed, region.device)
        return run_again(region, self._before, self.eager.cotangents, noise)

    def _found(self) -> dict[int, Array]:
        region, inputs, seeds = self.eager.region, self.eager.inputs, self.eager.cotangents
        made = dict(zip(self.eager.replays.wanted, self.made, strict=True))
        found = {at: array_of(t) for at, t in made.items()}
        found |= {at: array_of(inputs[i]).copy() for at, i in region.writes}
        if seeds:
            roots = [made[i] for i in region.ties.results]
            gradients = pulled_back(roots, seeds, [inputs[i] for i in region.ties.wanted])
            found |= {len(region.results) + i: array_of(g) for i, g in enumerate(gradients)}
        return found

    def _first_wrong(self) -> tuple[int, Index] | None:
        for number in sorted(self.found):
            index = self.expected.first_wrong(number, self.found[number])
            if index is not None:
                return number, index
        return None

    def blame(self) -> Blame:
        """Who is to blame for what is wrong."""
        from .blame import Blame, Call, blame

        if self.padded:
            every = dict.fromkeys(n.line for n in self.eager.region.nodes if n.line is not None)
            lines = tuple(f"{file}:{line}" for file, line in every)
            return Blame("mask_padding", "what reads padding", lines)
        given = self._before, self.eager.cotangents
        try:
            return blame(Call(self.eager.region, *given, self.expected, self.found, self.edits))
        except Exception as error:  # the report is worth more than what it cannot tell
            return Blame("unknown", f"a place that was not found ({type(error).__name__}: {error})")


def _kept(region: Region, inputs: Sequence[Any]) -> list[Any]:
    """The inputs as they are before the region changes some."""
    changed = region.changed
    return [x.detach().clone() if i in changed else x for i, x in enumerate(inputs)]


def _cotangents(region: Region) -> list[Any]:
    """Made-up gradients of the results that a caller may call backward on."""
    if not region.ties.wanted:
        return []
    draws = _C.Generator(0)
    types = [region.values[region.results[i]] for i in region.ties.results]
    return [
        _C.on_device(region.device, _C.ops.randn, shape, dtype, generator=draws)
        for _, dtype, shape, *_ in types
    ]


def described(region: Region, number: int) -> str:
    """What a result of `region`, or a gradient after these, is to the user."""
    if number >= len(region.results):
        wanted = region.ties.wanted[number - len(region.results)]
        return f"the gradient by {region.names[wanted]}"
    for at, i in (*region.writes, *region.assigned):
        if at == number:
            return f"what {region.names[i]} is changed to"
    for source, at in region.grads:
        if at == number:
            return f"the new gradient of {_name(region, source)}"
    for i, (kind, what) in enumerate(region.returned):
        if number == _result_of(kind, what):
            return f"result {i}"
    return f"value {number}"


def _name(region: Region, leaf: Any) -> str:
    """The name of the input that is found at `leaf`."""
    same = (n for n, s in zip(region.names, region.sources, strict=True) if _is_same(s, leaf))
    return next(same, "a leaf")


def _is_same(a: Any, b: Any) -> bool:
    return a[0] == b[0] and (a[1] is b[1] or (a[0] == "argument" and a[1] == b[1]))


def _result_of(kind: str, what: Any) -> Any:
    return _result_of(*what[0]) if kind == "view" else what if kind == "value" else None
