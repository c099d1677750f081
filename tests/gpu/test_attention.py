"""Attention of every form on a CUDA device gives what it gives on the CPU."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import ostinato as ot
from device_cases import Place, assert_alike, misaligned, on_cpu, on_cuda, transposed, value_of
from ostinato.ir.dtypes import BY_NAME
from ostinato.runtime import _C

NUMBERS = np.random.default_rng(0)


def floats(*shape: int, numbers: Any = NUMBERS) -> Any:
    return numbers.standard_normal(shape).astype("float32")


@dataclass(frozen=True, eq=False)
class Attended:
    """Sizes of a call: of the leading axes, of L and S, of E and Ev; and where queries look."""

    leading: tuple[int, ...]
    lengths: tuple[int, int]
    widths: tuple[int, int]
    mask: Any = None
    is_causal: bool = False

    def operands(self) -> list[Any]:
        """Query, key and value, the same at each call."""
        (queries, keys), (width, value_width) = self.lengths, self.widths
        shapes = ((queries, width), (keys, width), (keys, value_width))
        numbers = np.random.default_rng(1)
        return [floats(*self.leading, *shape, numbers=numbers) for shape in shapes]


FORMS = {
    "of one block": Attended((2,), (40, 33), (32, 32)),
    "causal": Attended((1, 2), (130, 130), (32, 32), is_causal=True),
    "causal, more keys than queries": Attended((2,), (20, 90), (16, 16), is_causal=True),
    "causal, more queries than keys": Attended((1,), (90, 20), (16, 64), is_causal=True),
    "of wide heads": Attended((2,), (70, 100), (64, 48)),
    "causal, of wide heads": Attended((1, 2), (130, 130), (64, 64), is_causal=True),
    "of heads that are no vectors": Attended((2,), (33, 35), (18, 5)),
    "of heads too wide for the kernel": Attended((2,), (17, 9), (80, 80)),
    "that looks nowhere": Attended((2,), (3, 5), (8, 8), np.arange(3)[:, None] > np.arange(5)),
    "with a mask for all": Attended((2, 3), (9, 70), (32, 32), NUMBERS.random((9, 70)) > 0.5),
    "with keys masked": Attended((2, 2), (40, 30), (32, 32), NUMBERS.random((2, 1, 1, 30)) > 0.3),
    "with numbers added": Attended((3, 2), (40, 30), (32, 64), floats(3, 1, 40, 30)),
}


def run(form: Attended, place: Place, dtype: str = "float32") -> list[Any]:
    """The result, the logarithms of the sums, and the gradients of the operands."""
    operands, kind = form.operands(), BY_NAME[dtype]
    leaves = [_C.call("to", place(x), dtype=kind).requires_grad_() for x in operands]
    mask = None if form.mask is None else place(form.mask)
    results = _C.call("attention", *leaves, mask, form.is_causal, 0.2)
    weights = np.cos(np.arange(results[0].numel())).reshape(results[0].shape).astype("float32")
    results[0].backward(_C.call("to", place(weights), dtype=kind))
    return [*(r.detach() for r in results), *(leaf.grad for leaf in leaves)]


def pair(form: Attended, place: Place, dtype: str = "float32") -> tuple[list[Any], list[Any]]:
    """What `run` gives at `place` and on the CPU, for the same numbers."""
    return run(form, place, dtype), run(form, on_cpu, dtype)


@pytest.mark.parametrize("place", [on_cuda, transposed, misaligned])
@pytest.mark.parametrize("name", FORMS)
def test_attention_of_every_layout(name: str, place: Place) -> None:
    found, wanted = pair(FORMS[name], place)
    assert_alike(found, wanted, 2.0**-17)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("name", ["causal", "of heads that are no vectors", "that looks nowhere"])
def test_attention_of_every_dtype(name: str, dtype: str) -> None:
    found, wanted = pair(FORMS[name], on_cuda, dtype)
    assert_alike(found, wanted)


WIDE = [name for name, form in FORMS.items() if 32 < max(form.widths) <= 64]


@pytest.mark.parametrize("place", [on_cuda, transposed, misaligned])
@pytest.mark.parametrize("name", WIDE)
def test_wide_heads_of_bfloat16(name: str, place: Place) -> None:
    """Factors that are aligned are multiplied two in a register, others as floats."""
    found, wanted = pair(FORMS[name], place, "bfloat16")
    assert_alike(found, wanted)


def test_heads_of_one_product() -> None:
    batch, length, heads, width = 2, 70, 3, 16
    product = floats(batch, length, 3 * heads * width)
    outcomes: list[list[Any]] = []
    for place in (on_cuda, on_cpu):
        leaf = place(product).requires_grad_()
        split = leaf.view(batch, length, 3, heads, width).permute(2, 0, 3, 1, 4)
        y = _C.call("attention", split[0], split[1], split[2], None, True, 0.25)[0]
        y.sum().backward()
        outcomes.append([y.detach(), leaf.grad])
    assert_alike(outcomes[0], outcomes[1], 2.0**-17)


@pytest.fixture
def high() -> Iterator[None]:
    ot.set_float32_matmul_precision("high")
    yield
    ot.set_float32_matmul_precision("highest")


@pytest.mark.usefixtures("high")
@pytest.mark.parametrize("name", FORMS)
def test_high_precision_rounds_the_factors(name: str) -> None:
    found, wanted = pair(FORMS[name], on_cuda)
    assert_alike(found, wanted, 2.0**-7)
    ours, theirs = value_of(found[0]).array, value_of(wanted[0]).array
    if max(FORMS[name].widths) <= 64:  # wider ones are products of cuBLASLt
        assert np.abs(ours - theirs).max() > 2.0**-16


def test_results_are_the_same_each_time() -> None:
    first, second = (run(FORMS["causal"], on_cuda) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(value_of(a).array, value_of(b).array)
