"""Attention as Triton kernels: which ones, in what blocks, for which shapes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..kernel import Constant, Launch, Parameter, TritonKernel
from .call import Call, Operand, Shape, Step, Template
from .specialize import specialized

_KERNELS = Path(__file__).with_name("attention_kernels.py")
_TYPES = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "float64": "fp64", "bool": "i8"}
_WIDEST = 256
"""The widest keys and values: blocks of wider ones do not fit into shared memory."""
_WHOLE = 128
"""The most keys of which a program holds all, for all gradients at once."""
_HALF = _WHOLE // 2


@dataclass(frozen=True)
class Blocks:
    """How a kernel is cut: `m` queries and `n` keys at a time, by `warps` warps; where a
    program holds all keys, `rest_n` are those of a second, smaller part."""

    m: int
    n: int
    warps: int
    stages: int = 2
    rest_n: int = 0


# For widths of 32 (64 to 128 queries and keys, float32 by TF32 and bfloat16) and of 64 (1024 of
# each, causal, bfloat16) these take about a tenth more time than the fastest of 20 to 50 on an
# H100, or less; other shapes are not measured.


def forward_blocks(rows: int, columns: int, width: int, itemsize: int, exact: bool) -> Blocks:
    """For `rows` queries and `columns` keys a head, padded to `width`; `exact` without tensor
    cores."""
    if exact:
        return Blocks(32, 32, 4)
    if itemsize == 4:
        if columns <= _WHOLE and width <= 32:
            return Blocks(_fit(rows, 128), _fit(columns, _WHOLE), 4, 1)
        m, n = (64, 32) if width > 64 else (64, 64)
        return Blocks(_fit(rows, m), _fit(columns, n), 4)
    if width > 128:
        return Blocks(_fit(rows, 64), _fit(columns, 32), 4)
    if width > 64:
        m = 128 if rows > 64 else 64
        return Blocks(_fit(rows, m), _fit(columns, 64), 8 if m == 128 else 4)
    if columns <= _WHOLE and columns % _HALF:
        return Blocks(_fit(rows, 64), _fit(columns, _WHOLE), 4, 1)
    return Blocks(_fit(rows, 64), 64, 4, 3)


def whole_blocks(rows: int, columns: int, width: int, itemsize: int, exact: bool) -> Blocks:
    """For all gradients of a head at once, where registers suffice with its keys in a part of 64
    and one of what is left."""
    if exact or width > 32:
        n = _fit(columns, _WHOLE)
        return Blocks(_fit(rows, 32), n, 8 if n > _HALF else 4, 1)
    rest = _fit(columns - _HALF, _HALF) if columns > _HALF else 0
    padded = _blocks(rows, 64) * 64
    m = _fit(rows, 64 if 8 * padded <= 9 * rows else 16)
    return Blocks(m, _fit(columns, _HALF), 4, 1 if itemsize == 4 else 3, rest)


def query_blocks(rows: int, columns: int, width: int, itemsize: int, exact: bool) -> Blocks:
    """For the gradient of queries alone."""
    if exact or width > 128:
        return Blocks(32, 32, 8, 1)
    n = 32 if itemsize == 4 else 64
    return Blocks(_fit(rows, 64), _fit(columns, n), 8 if width > 64 else 4)


def key_blocks(rows: int, columns: int, width: int, itemsize: int, exact: bool) -> Blocks:
    """For the gradients of keys and values alone."""
    if exact or width > 128:
        return Blocks(32, 32, 8, 1)
    narrow = itemsize == 2 and width <= 64
    return Blocks(_fit(rows, 32), _fit(columns, 64), 8 if width > 64 else 4, 3 if narrow else 2)


def _fit(size: int, most: int) -> int:
    """A power of two from 16 to `most` that is not twice what `size` needs."""
    return max(16, min(most, 1 << max(size - 1, 0).bit_length()))


def _takes(shapes: Sequence[Shape | None], first: int) -> bool:
    """True for query, key, value from `first` on that the kernels can do."""
    (dtype, query), (_, _), (_, value) = (s for s in shapes[first : first + 3] if s is not None)
    return dtype in ("float32", "float16", "bfloat16") and max(query[-1], value[-1]) <= _WIDEST


def _forward(call: Call) -> list[Step]:
    names = ("query", "key", "value", "mask", "out", "logsumexp")
    problem = _Problem(call, names)
    if not problem.heads * problem.rows:
        return []
    blocks = forward_blocks(*problem.extents)
    count = _blocks(problem.rows, blocks.m)
    return [Step(problem.kernel("attention_forward", names, blocks, count), writes=2)]


_BACKWARD = ("grad", "query", "key", "value", "out", "logsumexp", "mask", "query_grad", "key_grad",
             "value_grad", "along")  # fmt: skip
_STACKED = (*_BACKWARD[:7], "grads", "along")
_GRADS = _BACKWARD[7:10]
_BY_QUERY = ("grad", "query", "key", "value", "out", "logsumexp", "mask", "query_grad", "along")
_BY_KEY = ("grad", "query", "key", "value", "logsumexp", "along", "mask", "key_grad", "value_grad")


def _backward(call: Call) -> list[Step]:
    return _gradients(_Problem(call, _BACKWARD))


def _backward_stacked(call: Call) -> list[Step]:
    return _gradients(_Problem(call, _STACKED))


def _gradients(problem: _Problem) -> list[Step]:
    if not problem.heads:
        return []
    if _is_whole(problem.columns, problem.width):
        blocks = whole_blocks(*problem.extents)
        whole = problem.kernel("attention_backward_whole", _BACKWARD[:-1], blocks, 1)
        return [Step(whole, writes=3)]
    query, key = query_blocks(*problem.extents), key_blocks(*problem.extents)
    by_query, by_key = _blocks(problem.rows, query.m), _blocks(problem.columns, key.n)
    return [
        Step(problem.kernel("attention_backward_query", _BY_QUERY, query, by_query), writes=2),
        Step(problem.kernel("attention_backward_key", _BY_KEY, key, by_key), writes=2),
    ]


def _is_whole(columns: int, width: int) -> bool:
    return columns <= _WHOLE and width <= 64


def _backward_scratch(shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    query, value = shapes[1], shapes[3]
    assert query is not None and value is not None
    width = max(_padded(query[1][-1]), _padded(value[1][-1]))
    return () if _is_whole(value[1][-2], width) else (("float32", query[1][:-1]),)


def _blocks(size: int, block: int) -> int:
    return -(-size // block)


def _padded(width: int) -> int:
    return _fit(width, _WIDEST)


class _Problem:
    """The numbers of a call, and its tensors by the names that kernels give them."""

    def __init__(self, call: Call, names: Sequence[str]) -> None:
        named = list(zip(names, call.tensors, strict=False))
        self.numbers = {n: i for i, (n, t) in enumerate(named) if t is not None}
        self.tensors = {n: t for n, t in named if t is not None}
        self.starts = dict.fromkeys(_GRADS, 0)
        if "grads" in self.tensors:
            self._unstack()
        query, value = self.tensors["query"], self.tensors["value"]
        self.rows, self.columns = query.sizes[-2], value.sizes[-2]
        self.e, self.ev = query.sizes[-1], value.sizes[-1]
        self.width = max(_padded(self.e), _padded(self.ev))
        self.heads = math.prod(query.sizes[:-2])
        self.causal, self.scale = bool(call.attrs["is_causal"]), float(call.attrs["scale"])
        self.exact = query.dtype == "float32" and call.settings.precision == "ieee"
        self.itemsize = 4 if query.dtype == "float32" else 2
        self.precision = call.settings.precision
        self.strides = self._strides()

    def _unstack(self) -> None:
        """Takes the one tensor of three gradients for three of them."""
        stacked, number = self.tensors.pop("grads"), self.numbers.pop("grads")
        for i, name in enumerate(_GRADS):
            self.starts[name] = i * stacked.strides[0]
            self.numbers[name] = number
            self.tensors[name] = replace(
                stacked, sizes=stacked.sizes[1:], strides=stacked.strides[1:]
            )

    @property
    def extents(self) -> tuple[int, int, int, int, bool]:
        """What blocks are chosen by."""
        return self.rows, self.columns, self.width, self.itemsize, self.exact

    def _strides(self) -> dict[str, tuple[int, ...]]:
        """Strides of the leading axes, as few as there can be, and of rows."""
        leading = self.tensors["query"].sizes[:-2]
        given: dict[str, tuple[int, ...]] = {}
        for name, t in self.tensors.items():
            if name == "mask":
                given[name] = _expanded(t, (*leading, self.rows, self.columns))
            elif name == "logsumexp":
                given[name] = t.strides
            elif name != "along":
                assert t.strides[-1] == 1 or t.sizes[-1] == 1 or 0 in t.sizes, name
                given[name] = t.strides[:-1]
        self.sizes, kept = _merged(leading, given.values())
        rank = len(leading)
        return {n: (*(s[:rank][i] for i in kept), *s[rank:]) for n, s in given.items()}

    def kernel(self, entry: str, order: Sequence[str], blocks: Blocks, count: int) -> TritonKernel:
        """The kernel `entry` with the parameters `order`, in `count` blocks of each head."""
        name = f"{entry}_{self.rows}x{self.columns}x{self.e}"
        parameters = tuple(self._parameter(n) for n in order)
        return TritonKernel(
            name,
            specialized(_KERNELS, entry, name, self._values(order, blocks)),
            Launch(
                (self.heads * count, 1, 1), blocks.warps, blocks.stages, parameters,
                # Sums of products have no order that anyone relies on.
                fp_fusion=True,
            ),
        )  # fmt: skip

    def _parameter(self, name: str) -> Parameter:
        """The parameter `name`; an absent mask is the query, which nobody reads as one."""
        given = name if name in self.tensors else "query"
        tensor = self.tensors[given]
        return Parameter(name, f"*{_TYPES[tensor.dtype]}", self.numbers[given], tensor.aligned)

    def _values(self, order: Sequence[str], blocks: Blocks) -> dict[str, Constant]:
        mask = self.tensors.get("mask")
        strides = {f"{n.upper()}_STRIDES": self.strides[n] for n in order if n in self.strides}
        reach = max((s[-1] * max(self.rows, self.columns) for s in strides.values()), default=0)
        starts = {f"{n.upper()}_START": at for n, at in self.starts.items() if n in order}
        return {
            **strides, **starts,
            "SIZES": self.sizes, "RANK": len(self.sizes), "HEADS": self.heads,
            "L": self.rows, "S": self.columns, "E": self.e, "EV": self.ev,
            # A scale of 0 goes into the sign, so that masked scores stay -inf.
            "SCALE": abs(self.scale) or 1.0,
            "SIGN": (self.scale > 0) - (self.scale < 0),
            "CAUSAL": self.causal,
            "HAS_MASK": mask is not None,
            "MASK_ADDS": mask is not None and mask.dtype != "bool",
            "PRECISION": self.precision, "WIDE": reach >= 1 << 31,
            "BLOCK_M": blocks.m, "BLOCK_N": blocks.n,
            "REST_N": blocks.rest_n,
            "BLOCK_E": _padded(self.e), "BLOCK_EV": _padded(self.ev),
        }  # fmt: skip


def _expanded(t: Operand, shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of `t` broadcast to `shape`."""
    missing = len(shape) - len(t.sizes)
    own = [s if n > 1 else 0 for s, n in zip(t.strides, t.sizes, strict=True)]
    return (*[0] * missing, *own)


def _merged(
    sizes: Sequence[int], strides: Iterable[Sequence[int]]
) -> tuple[tuple[int, ...], list[int]]:
    """Sizes of as few axes as there can be, and for each the axis with its stride."""
    every = list(strides)
    merged: list[int] = []
    kept: list[int] = []
    for i, n in enumerate(sizes):
        if n == 1:
            continue
        if kept and all(s[kept[-1]] == n * s[i] for s in every):
            merged[-1] *= n
            kept[-1] = i
        else:
            merged.append(n)
            kept.append(i)
    return tuple(merged), kept


ATTENTION = Template(lambda shapes: _takes(shapes, 0), _forward)
ATTENTION_BACKWARD = Template(lambda shapes: _takes(shapes, 1), _backward, _backward_scratch)
ATTENTION_BACKWARD_STACKED = replace(ATTENTION_BACKWARD, launches=_backward_stacked)
