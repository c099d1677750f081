"""The check of a compiled function: now and then its region also runs by eager ops, and where the
results or the changes differ, the caller gets those of the eager ops and is told."""

from __future__ import annotations

import random
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...ir.errors import CheckWarning
from ..frames import user_depth

if TYPE_CHECKING:
    from ..variant import Variant
    from .compared import Compared

When = str | int | float
"""`"first"`, every how many calls, or with which probability."""


@dataclass(frozen=True)
class Mismatch:
    """A call of a compiled function that gave something else than eager ops do.

    `value` says which of its results or changes is wrong, at `index`, where eager ops give
    `expected`. `pass_name` made it wrong (see `Blame`), in what `op` names: an op, a kernel or a
    call. That comes from `lines` of the user's code, each `file:line`.
    """

    function: str
    call: int
    value: str
    index: tuple[int, ...]
    expected: Any
    found: Any
    pass_name: str
    op: str
    lines: tuple[str, ...]

    def __str__(self) -> str:
        place = f"[{', '.join(map(str, self.index))}]" if self.index else ""
        lines = ", ".join(self.lines) or "of no line that is known"
        return (
            f"{self.function}: in call {self.call} {self.value}{place} is {self.found} where eager "
            f"ops give {self.expected}; pass '{self.pass_name}' made it wrong in {self.op}, "
            f"{lines}. The call gives what eager ops give, and so do later ones of this variant; "
            "run it with OSTINATO_BUNDLE=DIR, and `ostinato bisect DIR` names the rewrite"
        )


class Check:
    """When calls of one compiled function are checked, and what was found."""

    def __init__(self, when: When, name: str) -> None:
        self.when, self.name = _known(when), name
        self.calls = 0
        self.mismatches: list[Mismatch] = []
        self._wrong: list[Variant] = []
        self._chance = random.Random()  # the user's random numbers stay as they are

    def run(self, variant: Variant, leaves: list[Any]) -> list[Any]:
        """What a replay of `variant` returns, checked where its turn has come."""
        from .compared import Compared, EagerCall

        self.calls += 1
        if any(v is variant for v in self._wrong):
            return EagerCall(variant, leaves).hand_out()
        if not self._is_due(variant.calls + 1):
            return variant.replays.run(leaves)
        compared = Compared(variant, leaves)
        if compared.wrong is None:
            return variant.replays.hand_out(leaves, compared.made)
        self._wrong.append(variant)
        returned = compared.eager.hand_out()
        self.mismatches.append(self._mismatch(compared))
        warnings.warn(str(self.mismatches[-1]), CheckWarning, stacklevel=user_depth())
        return returned

    def _is_due(self, calls: int) -> bool:
        if self.when == "first":
            return calls == 1
        if isinstance(self.when, int):
            return self.calls % self.when == 0
        return isinstance(self.when, float) and self._chance.random() < self.when

    def _mismatch(self, compared: Compared) -> Mismatch:
        from .compared import described

        assert compared.wrong is not None
        number, index = compared.wrong
        expected, found = compared.expected.arrays[number], compared.found[number]
        shown = found[index].item() if found.shape == expected.shape else f"of shape {found.shape}"
        blame = compared.blame()
        return Mismatch(
            self.name, self.calls, described(compared.eager.region, number), index,
            expected[index].item(), shown, blame.pass_name, blame.op, blame.lines,
        )  # fmt: skip


def _known(when: Any) -> When:
    if isinstance(when, str) and when == "first":
        return when
    if isinstance(when, int) and not isinstance(when, bool) and when > 0:
        return when
    if isinstance(when, float) and 0 < when < 1:
        return when
    raise ValueError(
        f'compile: check={when!r} came; give "first", a number of calls from 1 on, or a '
        "probability between 0.0 and 1.0"
    )
