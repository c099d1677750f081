"""Attention as Triton kernels: which ones, in what blocks, for which shapes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ....ir.errors import CompileError
from ....ir.polynomial import Number, Pieces, Polynomial, divisor_of
from ..emit.kernel import size_parameters
from ..emit.sizes import Size, Spread
from ..kernel import Launch, Parameter, TritonKernel
from .call import Call, Dim, Operand, Shape, Step, Template
from .specialize import Value, Varying, specialized

_FORWARD_TEXT, _BACKWARD_TEXT = (
    Path(__file__).with_name(f"attention_{way}.py") for way in ("forward", "backward")
)
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
    count = problem.programs(problem.rows, blocks.m)
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
    if _is_whole(problem.most(problem.columns), problem.width):
        blocks = whole_blocks(*problem.extents)
        whole = problem.kernel("attention_backward_whole", _BACKWARD[:-1], blocks, problem.heads)
        return [Step(whole, writes=3)]
    query, key = query_blocks(*problem.extents), key_blocks(*problem.extents)
    by_query = problem.programs(problem.rows, query.m)
    by_key = problem.programs(problem.columns, key.n)
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
    return () if _is_whole(value[1][-2], width) else _along(shapes)


def _along(shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    """What the kernel for queries leaves for that for keys, a number a query."""
    query = shapes[1]
    assert query is not None
    return (("float32", query[1][:-1]),)


def _lengths(call: Call, first: int) -> list[Dim]:
    """How many queries and keys there are, query being operand `first`."""
    query, value = call.operands[first], call.operands[first + 2]
    assert query is not None and value is not None
    return [query.sizes[-2], value.sizes[-2]]


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
        self.starts: dict[str, Dim] = dict.fromkeys(_GRADS, 0)
        if "grads" in self.tensors:
            self._unstack()
        query, value = self.tensors["query"], self.tensors["value"]
        self.sized = _Sized(call.spread)
        self.rows, self.columns = query.sizes[-2], value.sizes[-2]
        self.e, self.ev = _fixed(query.sizes[-1]), _fixed(value.sizes[-1])
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
            self.starts[name] = i * stacked.strides[0] if i else 0
            self.numbers[name] = number
            self.tensors[name] = replace(
                stacked, sizes=stacked.sizes[1:], strides=stacked.strides[1:]
            )

    @property
    def extents(self) -> tuple[int, int, int, int, bool]:
        """What blocks are chosen by."""
        rows, columns = map(self.sized.typical, (self.rows, self.columns))
        return rows, columns, self.width, self.itemsize, self.exact

    def most(self, dim: Dim) -> int:
        """The greatest value of a size."""
        return self.sized.bounds(dim)[1]

    def programs(self, length: Dim, block: int) -> Number:
        """One for each block of `length` of each head."""
        if isinstance(length, int) and isinstance(self.heads, int):
            return self.heads * _blocks(length, block)
        return Pieces(length, block, self.heads)

    def _strides(self) -> dict[str, tuple[Dim, ...]]:
        """Strides of the leading axes, as few as there can be, and of rows."""
        leading = self.tensors["query"].sizes[:-2]
        given: dict[str, tuple[Dim, ...]] = {}
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

    def kernel(
        self, entry: str, order: Sequence[str], blocks: Blocks, programs: Number
    ) -> TritonKernel:
        """The kernel `entry` with the parameters `order`, run by `programs`."""
        rows, columns = (n if isinstance(n, int) else "n" for n in (self.rows, self.columns))
        name = f"{entry}_{rows}x{columns}x{self.e}"
        module = _FORWARD_TEXT if entry == "attention_forward" else _BACKWARD_TEXT
        self.sized = _Sized(self.sized.spread)
        values = self._values(order, blocks)
        names, sizes = list(self.sized.names.values()), self.sized.sizes
        parameters = tuple(self._parameter(n) for n in order)
        return TritonKernel(
            name,
            specialized(module, entry, name, values, names),
            Launch(
                programs, blocks.warps, blocks.stages, parameters,
                # Sums of products have no order that anyone relies on.
                fp_fusion=True, sizes=size_parameters(names, sizes),
            ),
        )  # fmt: skip

    def _parameter(self, name: str) -> Parameter:
        """The parameter `name`; an absent mask is the query, which nobody reads as one."""
        given = name if name in self.tensors else "query"
        tensor = self.tensors[given]
        return Parameter(name, f"*{_TYPES[tensor.dtype]}", self.numbers[given], tensor.aligned)

    def _values(self, order: Sequence[str], blocks: Blocks) -> dict[str, Value]:
        mask = self.tensors.get("mask")
        value = self.sized.value
        strides = {n: self.strides[n] for n in order if n in self.strides}
        farthest = max(self.most(self.rows), self.most(self.columns))
        reach = max((self.most(s[-1]) * farthest for s in strides.values()), default=0)
        starts = {f"{n.upper()}_START": value(at) for n, at in self.starts.items() if n in order}
        return {
            **{f"{n.upper()}_STRIDES": tuple(map(value, s)) for n, s in strides.items()},
            **starts, **self._of_lengths(blocks),
            "SIZES": tuple(map(value, self.sizes)), "RANK": len(self.sizes),
            "HEADS": value(self.heads), "E": self.e, "EV": self.ev,
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

    def _of_lengths(self, blocks: Blocks) -> dict[str, Value]:
        """What follows from how many queries and keys there are: for any that there may be."""
        rows, columns = self.sized.value(self.rows), self.sized.value(self.columns)
        found: dict[str, Value] = {"L": rows, "S": columns}
        if isinstance(rows, Varying):
            first = blocks.n // blocks.m * blocks.m if self.causal else 0
            found["BLOCKS_M"] = Varying(f"({rows} + {blocks.m - 1}) // {blocks.m}")
            found["CHECK_M"] = divisor_of(self.rows) % blocks.m != 0
            found["ALONE"] = Varying(f"tl.minimum({first}, {rows})") if blocks.rest_n else rows
        if isinstance(columns, Varying):
            found["CHECK_N"] = bool(blocks.rest_n) or divisor_of(self.columns) % blocks.n != 0
        if found.keys() > {"L", "S"}:
            one_block = self.causal and blocks.m >= self.most(self.rows)
            found["SEES_BLOCKS"] = self.most(self.columns) >= blocks.n and not one_block
        return found


class _Sized:
    """The numbers of a kernel that depend on sizes which vary, and their names in it."""

    def __init__(self, spread: Spread | None) -> None:
        self.spread = spread
        self.names: dict[Polynomial, str] = {}

    @property
    def sizes(self) -> list[Size]:
        """What the kernel takes, in the order of `names`."""
        return [self._size(of) for of in self.names]

    def _size(self, of: Polynomial) -> Size:
        assert self.spread is not None, "a number depends on sizes that nothing is known of"
        return Size.over(of, self.spread)

    def value(self, number: Dim) -> int | Varying:
        """A number as the kernel's text has it."""
        if isinstance(number, int):
            return number
        return Varying(self.names.setdefault(number, f"n{len(self.names)}"))

    def typical(self, number: Dim) -> int:
        """The value that choices are made for."""
        return number if isinstance(number, int) else self._size(number).typical

    def bounds(self, number: Dim) -> tuple[int, int]:
        """The least and the greatest value."""
        if isinstance(number, int):
            return number, number
        size = self._size(number)
        return size.low, size.high


def _fixed(width: Dim) -> int:
    """The width of queries or values."""
    if isinstance(width, int):
        return width
    raise CompileError("triton: attention's width varies; its kernels take other lengths alone")


def _expanded(t: Operand, shape: Sequence[Dim]) -> tuple[Dim, ...]:
    """The strides of `t` broadcast to `shape`."""
    missing = len(shape) - len(t.sizes)
    own = [0 if n == 1 else s for s, n in zip(t.strides, t.sizes, strict=True)]
    return (*[0] * missing, *own)


def _merged(
    sizes: Sequence[Dim], strides: Iterable[Sequence[Dim]]
) -> tuple[tuple[Dim, ...], list[int]]:
    """Sizes of as few axes as there can be, and for each the axis with its stride."""
    every = list(strides)
    merged: list[Dim] = []
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


ATTENTION = Template(lambda shapes: _takes(shapes, 0), _forward, lambda call: _lengths(call, 0))
ATTENTION_BACKWARD = Template(
    lambda shapes: _takes(shapes, 1), _backward, lambda call: _lengths(call, 1),
    _backward_scratch, _along,
)  # fmt: skip
ATTENTION_BACKWARD_STACKED = replace(ATTENTION_BACKWARD, launches=_backward_stacked)
