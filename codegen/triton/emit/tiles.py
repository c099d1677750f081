"""How a kernel's loops are spread over programs and tiles, by a simple rule of costs.

A tile has lanes, which are iterations of a vector axis, and may have rows: iterations of the
parallel axis where rows of lanes are short, or of a serial loop inside a program (`streams`)
where a program adds up columns. A vector axis that fits is one block, held in registers from one
pass to the next; a longer one is a loop over blocks.

The rule: a thread has about eight elements of a tile, sixteen where it holds a long row, for
16-byte accesses and several of them in flight; a program has as few warps as that needs, so that
rows are summed within a warp; and there are at least two programs for each multiprocessor, if need
be smaller ones. Where lengths are sizes that a kernel takes, the rule is for typical ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from xdsl.ir import SSAValue

from ....ir.dialects.kernel import ForOp, FuncOp, LoadOp, ReduceOp
from .sizes import Length, Lengths
from .streams import streams_of

Loop = ForOp | ReduceOp

LONGEST = 16384
"""Elements of a row that a program holds in registers."""

PROGRAMS = 2 * 132
"""The fewest programs that keep a GPU busy: two for each multiprocessor of an H100."""

_BLOCK = 4096
_ONE_PASS = 1024
_PER_THREAD = 8
_STREAM = 2048
_STEPS = 4
_WORTH_STEPS = 50
_FUNCTION_OPS = 50


@dataclass(frozen=True)
class Tuning:
    """What may be chosen otherwise: the tile's rows and lanes, and the warps of a program."""

    rows: int | None = None
    block: int | None = None
    num_warps: int | None = None
    num_stages: int | None = None


@dataclass
class Tile:
    """The tile of a kernel. `blocks` gives the lanes of a tile for each length of a vector axis;
    a longer axis is a loop. `rows` are iterations of the parallel axis or, where `streamed` has
    any, of those serial loops. A program does `each` iterations of the parallel axis. `steps` is
    how many blocks of a flat kernel a program does."""

    rows: int
    blocks: dict[Length, int]
    num_warps: int
    each: int
    streamed: frozenset[Loop] = field(default_factory=frozenset[Loop])
    steps: int = 1


def tile_of(func: FuncOp, lengths: Lengths, tuning: Tuning | None = None,
            total: int | None = None) -> Tile:  # fmt: skip
    """The tile for a kernel; `total` is the length of all flat axes that are done by it at once,
    where there are several."""
    given = tuning or Tuning()
    extent = lengths.typical(func.length)
    streamed = streams_of(func, LONGEST, lengths)
    if func.vector is not None:
        return _flat(func, lengths, streamed, given, total or extent)
    passes = [op for op in loops_of(func) if op.vector is not None]
    longest = LONGEST if len(passes) > 1 or isinstance(passes[0], ReduceOp) else _ONE_PASS
    blocks = {op.length: _fitting(lengths.typical(op.length), longest, given) for op in passes}
    widest = max(blocks.values(), default=1)
    if streamed:
        longest = max(lengths.typical(op.length) for op in streamed)
        rows = given.rows or max(1, min(power_above(longest), _STREAM // widest))
        warps = given.num_warps or _warps(rows * widest, 16)
        return Tile(rows, blocks, warps, 1, streamed)
    rows = 1
    while 2 * rows * widest <= 32 * _PER_THREAD and extent >= 2 * rows * PROGRAMS:
        rows *= 2
    rows = given.rows or rows
    held = widest >= 2048 and all(lengths.most(n) <= block for n, block in blocks.items())
    warps = given.num_warps or _warps(rows * widest, 16 if held else _PER_THREAD)
    return Tile(rows, blocks, warps, rows)


def _flat(func: FuncOp, lengths: Lengths, streamed: frozenset[Loop], given: Tuning,
          total: int) -> Tile:  # fmt: skip
    """The parallel axis is the vector axis: programs take blocks of it."""
    extent = lengths.typical(func.length)
    if streamed:
        longest = max(lengths.typical(op.length) for op in streamed)
        block = 16
        while block < 128 and extent >= 2 * block * PROGRAMS:
            block *= 2
        block = given.block or min(block, power_above(extent))
        rows = given.rows or max(1, min(power_above(longest), _STREAM // block))
        warps = given.num_warps or _warps(rows * block, _PER_THREAD)
        return Tile(rows, {func.length: block}, warps, block, streamed)
    steps = _STEPS if not given.block and uniform_ops(func) > _WORTH_STEPS else 1
    per_thread = _PER_THREAD if len(func.buffers) <= 8 or steps > 1 else 4
    block = 32 * per_thread
    while block < 128 * per_thread and total >= 2 * block * steps * PROGRAMS:
        block *= 2
    block = given.block or min(block, power_above(extent))
    steps = 1 if extent <= block else steps
    warps = given.num_warps or _warps(block, per_thread)
    return Tile(1, {func.length: block}, warps, block * steps, steps=steps)


def uniform_ops(func: FuncOp) -> int:
    """About how many operations of a flat kernel give every element the same."""
    uniform: set[SSAValue] = set()
    total = 0
    for op in func.body.block.ops:
        if len(op.results) == 1 and uniform.issuperset(op.operands) and not op.regions:
            uniform.add(op.results[0])
            total += _FUNCTION_OPS if op.name.startswith("math.") else 1
        elif isinstance(op, LoadOp) and not op.indices and op.mask is None:
            uniform.add(op.value)
    return total


def loops_of(func: FuncOp) -> Iterator[Loop]:
    """Every loop of a kernel."""
    return (op for op in func.walk() if isinstance(op, (ForOp, ReduceOp)))


def _fitting(count: int, longest: int, given: Tuning) -> int:
    """The lanes of a tile for a vector axis of `count`, of which `longest` may be held."""
    if count <= longest:
        return power_above(count)
    return given.block or min(_BLOCK, longest)


def _warps(elements: int, per_thread: int) -> int:
    return max(1, min(16, elements // (32 * per_thread)))


def power_above(number: int) -> int:
    """The least power of two that is at least `number`."""
    return 1 << max(0, number - 1).bit_length()
