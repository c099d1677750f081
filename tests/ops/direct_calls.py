"""Calls every op of the table with operands that it was not made for. Each call is announced, so
that whoever started this process knows what a crash was due to. An operand's memory ends at a page
that may not be touched: reading beyond it is a crash too."""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

import ostinato as ot
from op_cases import cases_of
from ostinato.ir.op import OPS
from ostinato.runtime import _C

_LIBC = ctypes.CDLL(None, use_errno=True)
_BLOCK = 16 * mmap.PAGESIZE


class GuardedBlocks:
    """Memory for one array after the other, each block used again after all others."""

    def __init__(self, count: int) -> None:
        self._blocks = [self._block() for _ in range(count)]
        self._next = 0

    def place(self, array: Any) -> Any:
        """A tensor with the elements of `array`, at the end of a block."""
        data = np.ascontiguousarray(array)
        block = self._blocks[self._next]
        self._next = (self._next + 1) % len(self._blocks)
        assert data.nbytes <= _BLOCK
        start = block + _BLOCK - data.nbytes
        ctypes.memmove(start, data.ctypes.data, data.nbytes)
        raw: Any = (ctypes.c_char * max(data.nbytes, 1)).from_address(start)
        placed = np.frombuffer(raw, data.dtype, count=data.size).reshape(data.shape)
        return ot.from_numpy(placed)

    @staticmethod
    def _block() -> int:
        _LIBC.mmap.restype = ctypes.c_void_p
        size = ctypes.c_size_t(_BLOCK + mmap.PAGESIZE)
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        start = _LIBC.mmap(None, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
        end = ctypes.c_void_p(start + _BLOCK)
        assert _LIBC.mprotect(end, ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
        return start


def changed(operand: Any) -> Iterator[tuple[str, Any]]:
    """Other operands in the place of an array, each with a name."""
    for dtype in ("bool", "int64", "uint8", "float64", "float16"):
        if operand.dtype.name != dtype:
            with np.errstate(all="ignore"):
                yield dtype, (operand != 0) if dtype == "bool" else operand.astype(dtype)
    yield "an axis more", operand[None]
    if operand.ndim:
        yield "an axis less", operand.max(axis=0) if operand.shape[0] else operand.reshape(-1)
        yield "no elements", operand[:0]
        yield "one row", operand[:1]
        yield "half a row", operand[..., : operand.shape[-1] // 2]
    if operand.dtype.name in ("int32", "int64"):
        yield "far indices", operand + 1000
        yield "negative indices", operand - 1000


def calls() -> Iterator[tuple[str, str, Sequence[Any], dict[str, Any]]]:
    """(op, what was changed, operands, attributes): each sample with one operand changed."""
    for op in OPS.values():
        for case in cases_of(op) if op.kind != "function" else ():
            for i, operand in enumerate(case.operands):
                if not isinstance(operand, np.ndarray):
                    continue
                for name, other in changed(operand):
                    given = [*case.operands[:i], other, *case.operands[i + 1 :]]
                    yield op.name, f"{case}, operand {i}: {name}", given, case.attrs


def call(blocks: GuardedBlocks, name: str, operands: Sequence[Any], attrs: dict[str, Any]) -> None:
    """One call; refusing it is right."""

    def place(value: Any) -> Any:
        if isinstance(value, (tuple, list)):
            return [place(v) for v in value]  # pyright: ignore[reportUnknownVariableType]
        return blocks.place(value) if isinstance(value, (np.ndarray, np.generic)) else value

    named = {p.name: place(v) for p, v in zip(OPS[name].operands, operands, strict=True)}
    try:
        _C.call(name, **named, **attrs)
    except (ValueError, TypeError, IndexError, RuntimeError):
        pass


def main(first: int) -> None:
    """Make all calls from number `first` on."""
    blocks = GuardedBlocks(64)
    for number, (name, what, operands, attrs) in enumerate(calls()):
        if number >= first:
            print(number, what, flush=True)
            call(blocks, name, operands, attrs)


if __name__ == "__main__":
    main(int(sys.argv[1]))
