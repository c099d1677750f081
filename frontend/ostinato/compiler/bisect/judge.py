"""What a region has to compute, by the interpreter alone, and whether a module does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp

from ...ir.graph import main_of, type_of
from ...ir.interpret.arrays import ArrayTensor, convert
from ...ir.interpret.module import run
from ...ir.numerics import is_exact, stated_error
from ...ir.op import Op, Type
from ...ir.text import parse_module
from ..check.closeness import Array, Expected, Index
from ..check.culprit import is_alike, tolerance
from .bundle import Bundle


@dataclass(frozen=True)
class Apart:
    """How a module fails: it cannot run, or an element of a result is another number."""

    told: str
    cannot_run: bool = False

    @staticmethod
    def at(number: int, index: Index, expected: Array, found: Array) -> Apart:
        """An element that is wrong."""
        place = f"[{', '.join(map(str, index))}]" if index else ""
        if found.shape != expected.shape:
            return Apart(f"result {number} has shape {found.shape}, not {expected.shape}")
        return Apart(f"result {number}{place} is {found[index]}; it was {expected[index]}")

    @staticmethod
    def by(error: Exception) -> Apart:
        """A module that cannot be made, or run."""
        return Apart(f"{type(error).__name__}: {error}", cannot_run=True)


class Judge:
    """Compares with what the captured module of a bundle gives, as far as ops promise numbers."""

    def __init__(self, bundle: Bundle) -> None:
        self._module = parse_module(bundle.module)
        self._inputs = bundle.inputs
        main = main_of(self._module)
        self._types = [type_of(a) for a in main.args]
        end = main.body.block.last_op
        assert end is not None
        types = [type_of(v) for v in end.operands]
        results = run(self._module, self._inputs)
        self.expected = Expected(results, [t.dtype for t in types], self._again)
        self.half = any(t.dtype.bits == 16 and t.dtype.is_floating_point
                        for t in [*types, *self._types])  # fmt: skip

    def _again(self, seed: int) -> Sequence[Array]:
        noise = _Noise(seed)
        given = [noise.on_input(x, t) for x, t in zip(self._inputs, self._types, strict=True)]
        return run(self._module, given, off=noise.on_results)

    def compare(
        self, results: Sequence[Array], numbers: range, kept: Sequence[Array] = ()
    ) -> Apart | None:
        """How `results`, which are those of these numbers and after them `kept`, are apart from
        what is right."""
        for number, found in zip(numbers, results, strict=False):
            index = self.expected.first_wrong(number, found)
            if index is not None:
                return Apart.at(number, index, self.expected.arrays[number], found)
        for i, (found, right) in enumerate(zip(results[len(numbers) :], kept, strict=False)):
            if found.shape != right.shape or not is_alike(found, right, tolerance(self.half)):
                return Apart(f"value {i} that backward keeps is another one")
        return None


class _Noise:
    """Errors of the size that ops may make, on arrays; see `check.rerun.Noise`."""

    def __init__(self, seed: int) -> None:
        self._draws = np.random.default_rng([seed, 1])

    def on_input(self, given: Any, of: Type) -> Any:
        """A stand-in for an input."""
        exact = of.wrapped or not of.shape or not of.dtype.is_floating_point
        return given if exact else self._off(ArrayTensor(given, of.dtype)).array

    def on_results(self, op: Op, results: list[ArrayTensor]) -> list[ArrayTensor]:
        """What an op might have made just as well."""
        return results if is_exact(op) else [self._off(r) for r in results]

    def _off(self, exact: ArrayTensor) -> ArrayTensor:
        if exact.wrapped or not exact.dtype.is_floating_point:
            return exact
        draw = self._draws.random(exact.array.shape) * 2.0 - 1.0
        made = np.asarray(exact.array * (draw * stated_error(exact.dtype) + 1.0))
        return ArrayTensor(convert(made, exact.dtype), exact.dtype)


def interpreted(module: ModuleOp, inputs: Sequence[Any]) -> list[Array] | Exception:
    """The results of a module, or why it cannot run: a wrong one may do anything."""
    try:
        with np.errstate(all="ignore"):
            return run(module, inputs)
    except Exception as error:
        return error
