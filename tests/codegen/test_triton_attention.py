"""Attention kernels in Triton's interpreter against float64 NumPy, and compiled without a GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ostinato.codegen.triton.build import build
from ostinato.codegen.triton.kernel import TritonKernel
from ostinato.codegen.triton.templates import TEMPLATES
from ostinato.codegen.triton.templates.call import Call, Operand, Settings, Step
from triton_runner import Interpreter, Job

Array = NDArray[Any]

ROWS = (0, 1, 2, 3)
HEADS_LAST = (0, 2, 1, 3)
EPSILON = {"float32": 2e-6, "float16": 2e-3, "bfloat16": 2e-2}
"""How far results may be from those of float64, relative to the largest."""


@dataclass(frozen=True)
class Case:
    """One call. `order` is that of the axes (batch, head, row, width) in memory."""

    batch: int = 1
    heads: int = 2
    rows: int = 40
    columns: int = 40
    e: int = 16
    ev: int = 16
    dtype: str = "float32"
    causal: bool = False
    mask: str = ""
    scale: float = 0.3
    order: tuple[int, ...] = ROWS
    seed: int = 0


CASES = {
    "one block": Case(),
    "causal": Case(batch=2, causal=True),
    "two of everything": Case(rows=64, columns=64, e=32, ev=32, causal=True),
    "more keys than queries": Case(rows=33, columns=70, e=20, ev=12, causal=True),
    "more queries than keys": Case(rows=70, columns=33, e=12, ev=20, causal=True),
    "heads side by side": Case(batch=2, rows=33, columns=33, causal=True, order=HEADS_LAST),
    "rows outermost": Case(batch=2, rows=20, columns=20, order=(2, 0, 1, 3)),
    "negative scale": Case(rows=70, columns=33, e=32, ev=32, scale=-0.4),
    "scale of zero": Case(causal=True, scale=0.0),
    "many keys": Case(columns=150),
    "many keys, causal": Case(rows=150, columns=150, causal=True),
    "many keys, whole blocks": Case(rows=160, columns=160, causal=True, heads=1),
    "many more keys than queries": Case(rows=20, columns=140, causal=True, heads=1),
    "bool mask": Case(batch=2, rows=20, columns=30, mask="bool"),
    "one mask for all": Case(batch=2, rows=20, columns=30, mask="bool of keys"),
    "bool mask, many keys": Case(batch=2, rows=20, columns=150, mask="bool"),
    "float mask": Case(batch=2, rows=20, columns=30, mask="float"),
    "float mask, many keys": Case(batch=2, rows=20, columns=150, mask="float"),
    "float mask and causal": Case(rows=30, columns=30, mask="float", causal=True, scale=-0.2),
    "wide": Case(rows=20, columns=150, e=130, heads=1),
    "float16": Case(dtype="float16", rows=50, causal=True),
    "float16, many keys": Case(dtype="float16", columns=150, heads=1),
    "bfloat16": Case(dtype="bfloat16", rows=50, causal=True, order=HEADS_LAST),
    "bfloat16, many keys": Case(dtype="bfloat16", rows=140, columns=140, causal=True, heads=1),
    "no queries": Case(rows=0),
    "no keys": Case(columns=0),
    "no heads": Case(heads=0),
}


def encoded(array: Array, dtype: str) -> Array:
    """Numbers as memory holds them, bfloat16 as its bits (rounded to nearest, ties to even)."""
    if dtype != "bfloat16":
        return array.astype(dtype)
    bits = np.ascontiguousarray(array, "float32").view("uint32")
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("uint16")


def decoded(array: Array, dtype: str) -> Array:
    if dtype != "bfloat16":
        return array.astype("float64")
    return (array.astype("uint32") << 16).view("float32").astype("float64")


class Tensor:
    """An array in memory of some order of axes, and what a template is told of it."""

    def __init__(self, values: Array, dtype: str, order: Sequence[int] | None = None) -> None:
        order = tuple(range(values.ndim)) if order is None else order
        self.dtype, self.back, self.sizes = dtype, np.argsort(order), values.shape
        self.memory = np.ascontiguousarray(encoded(values, dtype).transpose(order))
        shown = self.memory.transpose(self.back)
        strides = tuple(s // shown.itemsize for s in shown.strides)
        self.operand = Operand("bool" if dtype == "int8" else dtype, values.shape, strides)

    @property
    def shape(self) -> tuple[str, tuple[int, ...]]:
        """What a template is asked by."""
        return self.operand.dtype, self.sizes

    @property
    def values(self) -> Array:
        return decoded(self.memory, self.dtype).transpose(self.back)


def mask_of(case: Case, random: np.random.Generator) -> Array | None:
    """A mask under which one query looks nowhere."""
    if not case.mask:
        return None
    if case.mask == "bool of keys":
        return random.random(case.columns) > 0.3
    seen = random.random((case.batch, 1, case.rows, case.columns)) > 0.4
    seen[..., 3, :] = False
    return seen if case.mask == "bool" else np.where(seen, random.normal(size=seen.shape), -np.inf)


def oracle(case: Case, q: Array, k: Array, v: Array, g: Array, mask: Array | None) -> list[Array]:
    """Result, logarithms of sums, and the gradients of query, key and value, in float64."""
    scores = q @ k.swapaxes(-1, -2) * case.scale
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    if case.causal:
        seen = np.tri(case.rows, case.columns, dtype=bool)
        scores = np.where(seen, scores, -np.inf)
    top = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    top = np.where(np.isinf(top), 0, top)
    e = np.exp(scores - top)
    total = e.sum(axis=-1, keepdims=True)
    weights = e / np.where(total == 0, 1, total)
    with np.errstate(divide="ignore"):
        logsumexp = (np.log(total) + top)[..., 0]
    out = weights @ v
    along = (g * out).sum(axis=-1, keepdims=True)
    scores_g = weights * (g @ v.swapaxes(-1, -2) - along) * case.scale
    return [out, logsumexp, scores_g @ k, scores_g.swapaxes(-1, -2) @ q,
            weights.swapaxes(-1, -2) @ g]  # fmt: skip


Change = tuple[str, str]


class Problem:
    """Random operands of a case, and results full of junk."""

    def __init__(self, case: Case) -> None:
        random = np.random.default_rng(case.seed)
        self.case = case

        def tensor(rows: int, width: int) -> Tensor:
            values = random.normal(size=(case.batch, case.heads, rows, width))
            return Tensor(values, case.dtype, case.order)

        self.query, self.key = tensor(case.rows, case.e), tensor(case.columns, case.e)
        self.value, self.grad = tensor(case.columns, case.ev), tensor(case.rows, case.ev)
        self.query_grad, self.key_grad = tensor(case.rows, case.e), tensor(case.columns, case.e)
        self.value_grad, self.out = tensor(case.columns, case.ev), tensor(case.rows, case.ev)
        self.logsumexp = Tensor(random.normal(size=(case.batch, case.heads, case.rows)), "float32")
        self.seen = mask_of(case, random)
        kind = "int8" if self.seen is not None and self.seen.dtype == bool else "float32"
        self.mask = None if self.seen is None else Tensor(self.seen, kind)

    def wanted(self) -> list[Array]:
        return oracle(self.case, self.query.values, self.key.values, self.value.values,
                      self.grad.values, self.seen)  # fmt: skip

    def run(self, triton: Interpreter, change: Change | None = None) -> list[Array]:
        """Forward, then backward."""
        results = [self.out, self.logsumexp]
        self._call(triton, "attention", [self.query, self.key, self.value, self.mask], results,
                   change)  # fmt: skip
        given = [self.grad, self.query, self.key, self.value, *results, self.mask]
        grads = [self.query_grad, self.key_grad, self.value_grad]
        self._call(triton, "attention_backward", given, grads, change)
        return [t.values for t in (*results, *grads)]

    def _call(
        self, triton: Interpreter, op: str, given: Sequence[Tensor | None],
        results: Sequence[Tensor], change: Change | None,
    ) -> None:  # fmt: skip
        template = TEMPLATES[op]
        shapes = [None if t is None else t.shape for t in given]
        assert template.take(shapes)
        scratch = [Tensor(np.full(s, 9.0), d) for d, s in template.scratch(shapes)]
        tensors = [*given, *results, *scratch]
        call = Call(
            tuple(None if t is None else t.operand for t in given),
            tuple(t.operand for t in results),
            tuple(t.operand for t in scratch),
            {"is_causal": self.case.causal, "scale": self.case.scale},
            Settings(cc=90, precision="ieee"),
        )
        for step in template.launches(call):
            run_kernel(triton, step, tensors, change)


EXACT_DOT = """

@triton.jit
def exact_dot(a, b, acc=None, input_precision: tl.constexpr = None):
    return tl.dot(a.to(tl.float32), b.to(tl.float32), acc, input_precision="ieee")
"""
"""Triton's interpreter multiplies the bits of bfloat16 as if they were integers."""


def run_kernel(
    triton: Interpreter, step: Step, tensors: Sequence[Tensor | None],
    change: Change | None,
) -> None:  # fmt: skip
    kernel, launch = step.kernel, step.kernel.launch
    given = [tensors[p.buffer] for p in launch.parameters]
    source = kernel.source.replace("tl.dot(", "exact_dot(")
    head, mark, rest = source.partition("\n\n\n")
    source = head + EXACT_DOT + mark + (rest.replace(*change) if change else rest)
    job = Job(
        kernel.name, source, launch.programs, dict(launch.constants),
        [p.type.lstrip("*") for p in launch.parameters],
        [given.index(t) for t in given],
        [t.memory.reshape(-1) for t in given if t is not None],
    )  # fmt: skip
    for i, (tensor, array) in enumerate(zip(given, triton.run(job), strict=True)):
        assert tensor is not None
        if i < len(given) - step.writes:
            np.testing.assert_array_equal(array, tensor.memory.reshape(-1))
        tensor.memory[...] = array.reshape(tensor.memory.shape)


def wrong(case: Case, ours: Sequence[Array], wanted: Sequence[Array]) -> list[int]:
    """Which results are not within their bound."""
    found: list[int] = []
    for i, (a, b) in enumerate(zip(ours, wanted, strict=True)):
        bound = EPSILON["float32" if i == 1 else case.dtype]
        top = max(float(np.abs(b[np.isfinite(b)]).max(initial=0)), 1.0)
        if not np.allclose(a, b, rtol=0, atol=bound * top):
            found.append(i)
    return found


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_attention_and_its_gradients_are_those_of_numpy(triton: Interpreter, case: Case) -> None:
    problem = Problem(case)
    ours = problem.run(triton)
    assert wrong(case, ours, problem.wanted()) == []


PLANTED: Mapping[str, tuple[str, Change]] = {
    "diagonal": ("causal", ("columns <= rows", "columns < rows")),
    "ragged keys": ("one block", ("tl.where(columns < S", "tl.where(columns <= S")),
    "ragged queries": ("one block", ("mask=(rows < ROWS)[:, None]", "mask=(rows < 32)[:, None]")),
    "unit": ("one block", ("scores * UNIT - shift[:, None]", "scores - shift[:, None]")),
    "sum is not shrunk": ("many keys", ("total = total * shrink +", "total = total +")),
    "result is not shrunk": ("many keys", ("acc = acc * shrink[:, None]", "acc = acc")),
    "row that looks nowhere": ("bool mask", ('tl.where(higher == float("-inf"), 0.0, higher)',
                                             "higher")),
    "empty sum": ("bool mask", ("tl.where(total == 0, 1.0, total)", "total")),
    "sign": ("negative scale", ("(q * SIGN)", "(q * 1)")),
    "zero scale": ("scale of zero", ("(q * SIGN)", "(q * 1)")),
    "mask is not scaled": ("float mask", (".to(tl.float32) * LOG2_E", ".to(tl.float32)")),
    "along": ("one block", ("(weights_grad - along[None, :])", "weights_grad")),
    "along, many keys": ("many keys", ("(weights_grad - along[:, None])", "weights_grad")),
    "along, by key": ("many keys", ("(weights_grad - summed[None, :])", "weights_grad")),
    "scale of keys": ("one block", ("k_grad = k_grad * SCALE", "k_grad = k_grad")),
    "first block of queries": ("many keys, causal", ("block * BLOCK_N // BLOCK_M * BLOCK_M",
                                                     "(block + 1) * BLOCK_N")),
    "end of no keys": ("no keys", ("CHECK_N or CHECK_E)", "False)")),
    "strides": ("heads side by side", ("rest % SIZES[axis]", "rest")),
}  # fmt: skip


@pytest.mark.parametrize(("name", "change"), PLANTED.values(), ids=PLANTED)
def test_planted_errors_are_found(triton: Interpreter, name: str, change: Change) -> None:
    problem = Problem(CASES[name])
    try:
        ours = problem.run(triton, change)
    except RuntimeError as error:
        assert "stores outside of buffers" in str(error)
    else:
        assert wrong(CASES[name], ours, problem.wanted())


STEPS = {
    "minigpt": Case(batch=64, heads=8, rows=128, columns=128, e=32, ev=32, causal=True),
    "minigpt, bf16": Case(batch=64, heads=8, rows=128, columns=128, e=32, ev=32, causal=True,
                          dtype="bfloat16"),
    "vit": Case(batch=256, heads=8, rows=80, columns=80, e=32, ev=32),
    "gpt2": Case(batch=16, heads=12, rows=1024, columns=1024, e=64, ev=64, causal=True,
                 dtype="bfloat16"),
    "exact": Case(batch=2, heads=2, rows=150, columns=150, e=32, ev=32, mask="float"),
}  # fmt: skip
"""Shapes of training steps."""


def step_kernels(case: Case, cc: int, precision: str) -> list[TritonKernel]:
    """The kernels of one call forward and backward; heads lie side by side."""
    axes = case.batch, case.heads
    by_row = (case.rows * case.heads * case.e, case.e, case.heads * case.e, 1)
    query = Operand(case.dtype, (*axes, case.rows, case.e), by_row)
    logsumexp = Operand("float32", (*axes, case.rows), (case.heads * case.rows, case.rows, 1))
    shape = (case.rows, case.columns)
    mask = Operand("float32", shape, (case.columns, 1)) if case.mask else None
    settings, attrs = Settings(cc, precision), {"is_causal": case.causal, "scale": case.scale}
    calls = [
        ("attention", (query, query, query, mask), (query, logsumexp)),
        ("attention_backward", (query, query, query, query, query, logsumexp, mask), (query,) * 3),
    ]
    found: list[TritonKernel] = []
    for op, given, results in calls:
        fixed = [None if t is None else [n for n in t.sizes if isinstance(n, int)] for t in given]
        shapes = [t and (t.dtype, tuple(n or ())) for t, n in zip(given, fixed, strict=True)]
        scratch = tuple(Operand(d, s, (1,)) for d, s in TEMPLATES[op].scratch(shapes))
        steps = TEMPLATES[op].launches(Call(given, results, scratch, attrs, settings))
        found += [step.kernel for step in steps]
    return found


@pytest.mark.parametrize("cc", [80, 90, 100])
def test_kernels_of_training_steps_compile(cc: int) -> None:
    """Registers are told of for the GPUs that blocks are chosen for."""
    kernels = [
        kernel
        for name, case in STEPS.items()
        for kernel in step_kernels(case, cc, "ieee" if name == "exact" else "tf32")
    ]
    for built in build(kernels, cc):
        assert cc != 90 or built.resources.local_bytes == 0, f"{built.kernel.name} spills"
        assert built.warps == built.kernel.launch.num_warps
