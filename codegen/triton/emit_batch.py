"""`kernel.batch` ops: many kernels in one launch, each program finding its kernel and buffers.

Kernels that differ in the length of a flat parallel axis alone share one function, to which the
length is passed. A tree of comparisons leads a program to its member, whose pointers it takes from
the parameters: a launch of a hundred members takes some microseconds less than a hundred launches.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xdsl.dialects.builtin import FloatAttr, IntegerAttr
from xdsl.ir import Attribute, SSAValue

from ...ir.dialects.kernel import BatchOp, FuncOp, Member
from ...ir.errors import CompileError
from .emit import (
    STAGES,
    Function,
    docstring,
    emit,
    function_of,
    pointer_names,
    pointer_type,
    signature,
    source_of,
    wrapped,
)
from .emit_nest import Part
from .emit_nodes import Node
from .emit_tiles import Tile, tile_of
from .kernel import Launch, Parameter, TritonKernel


@dataclass(frozen=True)
class _Run:
    """The members that share a function; `ends` counts their programs, added up in order."""

    func: FuncOp
    tile: Tile
    members: list[Member]
    extents: list[int]
    ends: list[int]


def emit_launchable(name: str, kernels: Mapping[str, FuncOp | BatchOp]) -> TritonKernel:
    """The Triton kernel that a launch of `name` runs; `kernels` are those of the module."""
    op = kernels[name]
    if isinstance(op, FuncOp):
        return emit(op)
    return emit_batch(op, {n: k for n, k in kernels.items() if isinstance(k, FuncOp)})


def emit_batch(batch: BatchOp, kernels: Mapping[str, FuncOp]) -> TritonKernel:
    """The Triton kernel for `batch`; `kernels` are those that it names, by name."""
    runs = _runs(batch, kernels)
    name = batch.sym_name.data
    warps = max(r.tile.num_warps for r in runs)
    types = _types(batch, kernels)
    parameters = tuple(Parameter(f"b{i}", t, i) for i, t in enumerate(types))
    functions = [_part(r) for r in runs]
    head = signature(name, [p.name for p in parameters])
    lines = [head, *docstring(name, batch), "    program = tl.program_id(0)"]
    lines += _dispatch(runs, functions, 1)
    text = "\n".join(["@triton.jit", *lines, ""])
    grid = sum(r.ends[-1] for r in runs)
    calls = [c for f in functions for c in f.calls]
    launch = Launch((grid, 1, 1), warps, STAGES, parameters, (), _aliased(batch, kernels))
    return TritonKernel(name, source_of([*functions, Function(text, {}, calls)]), launch)


def _types(batch: BatchOp, kernels: Mapping[str, FuncOp]) -> list[str]:
    """The pointer type of each buffer of the batch."""
    found: dict[int, str] = {}
    for m in batch.members:
        for b, buffer in zip(m.buffers, kernels[m.kernel].buffers, strict=True):
            type_ = pointer_type(buffer)
            if found.setdefault(b, type_) != type_:
                raise CompileError(
                    f"triton: buffer {b} of {batch.sym_name.data} is {found[b]} and {type_}; "
                    f"pass a buffer of each type"
                )
    return [found[i] for i in range(len(found))]


def _aliased(batch: BatchOp, kernels: Mapping[str, FuncOp]) -> tuple[int, ...]:
    numbers = {m.buffers[n] for m in batch.members for n in kernels[m.kernel].aliased_numbers}
    return tuple(sorted(numbers))


def _runs(batch: BatchOp, kernels: Mapping[str, FuncOp]) -> list[_Run]:
    """The members of each function, those of the most programs first."""
    groups: dict[Hashable, list[Member]] = {}
    for m in batch.members:
        groups.setdefault(body_of(kernels[m.kernel]), []).append(m)
    runs = [_run(members, kernels) for members in groups.values()]
    return sorted(runs, key=lambda r: -r.ends[-1])


def _run(members: list[Member], kernels: Mapping[str, FuncOp]) -> _Run:
    members = sorted(members, key=lambda m: -kernels[m.kernel].fixed_length)
    extents = [kernels[m.kernel].fixed_length for m in members]
    func = kernels[members[0].kernel]
    tile = tile_of(func, total=sum(extents))
    each = tile.blocks[extents[0]] * tile.steps if func.vector is not None else 0
    ends: list[int] = []
    for n in extents:
        ends.append((ends[-1] if ends else 0) + (-(-n // each) if each else tile.grid))
    return _Run(func, tile, members, extents, ends)


def body_of(func: FuncOp) -> Hashable:
    """Equal for kernels that one function can run: the same but for a flat axis' length, names,
    and which buffers may be one."""
    numbers: dict[SSAValue, int] = {}
    parts: list[Hashable] = []
    for op in func.walk():
        for region in op.regions:
            for block in region.blocks:
                for a in block.args:
                    numbers[a] = len(numbers)
                    parts.append(a.type)
        ignored = {"sym_name", "aliased", "grain", "unroll"}
        if op is func and func.vector is not None:
            ignored.add("extent")
        given = tuple((k, _value(v)) for k, v in op.properties.items() if k not in ignored)
        parts.append((op.name, tuple(numbers[v] for v in op.operands), given))
        for r in op.results:
            numbers[r] = len(numbers)
            parts.append(r.type)
    return tuple(parts)


def _value(attribute: Attribute) -> Hashable:
    """An attribute so that 0.0 and -0.0 differ."""
    given: Any = attribute
    is_number = isinstance(attribute, (FloatAttr, IntegerAttr))
    return (repr(given.value.data), given.type) if is_number else attribute


def _part(run: _Run) -> Function:
    """The function that the members of `run` share."""
    program = Node("program", (), "int32", hint="program", named=True, low=0, high=run.ends[-1])
    varies = len(set(run.extents)) > 1
    extent = Node("extent", (), "int32", named=True) if varies else None
    return function_of(run.func, run.tile, Part(program, extent))


def _dispatch(runs: Sequence[_Run], functions: Sequence[Function], depth: int,
              place: int | None = None) -> list[str]:  # fmt: skip
    """Leads `program` to its run: one after the other, since there are few. Names of different runs
    differ, as their types may."""
    pad, run = "    " * depth, runs[0]
    place = 0 if place is None and len(runs) > 1 else place
    suffix = "" if place is None else f"_{place}"
    if len(runs) == 1:
        return _call(run, functions[0], depth, suffix)
    end = run.ends[-1]
    rest = _dispatch(runs[1:], functions[1:], depth + 1, (place or 0) + 1)
    return [
        f"{pad}if program < {end}:", *_call(run, functions[0], depth + 1, suffix),
        f"{pad}else:", f"{pad}    program -= {end}", *rest,
    ]  # fmt: skip


def _call(run: _Run, function: Function, depth: int, suffix: str) -> list[str]:
    """The call of a run's function, with the pointers of the member that `program` belongs to."""
    name = run.func.sym_name.data
    members, varies = run.members, len(set(run.extents)) > 1
    columns = list(zip(*([f"b{n}" for n in m.buffers] for m in members), strict=True))
    chosen = [f"{p}{suffix}" for p in pointer_names(run.func)]
    arguments = [c[0] if len(set(c)) == 1 else n for c, n in zip(columns, chosen, strict=True)]
    varying = [s for s, c in enumerate(columns) if len(set(c)) > 1]
    names, rows = [chosen[s] for s in varying], [[columns[s][i] for s in varying]
                                                 for i in range(len(members))]  # fmt: skip
    if varies:
        names.insert(0, f"extent{suffix}")
        rows = [[str(n), *row] for n, row in zip(run.extents, rows, strict=True)]
        arguments.insert(0, names[0])
    program = "program"
    if len(members) > 1:
        program = f"program - first{suffix}"
        names.insert(0, f"first{suffix}")
        rows = [[str(n), *row] for n, row in zip([0, *run.ends], rows, strict=False)]
    lines = _choose(names, rows, run.ends, 0, len(rows), depth) if names else []
    arguments = [program, *arguments, *(f"{k}={v}" for k, v in function.constants.items())]
    return lines + wrapped(f"{name}({', '.join(arguments)})", depth, hanging=1)


def _choose(names: Sequence[str], rows: Sequence[Sequence[str]], ends: Sequence[int], low: int,
            high: int, depth: int) -> list[str]:  # fmt: skip
    """Comparisons of `program` that give `names` the values of one of `rows[low:high]`."""
    pad = "    " * depth
    if high - low == 1:
        return [f"{pad}{name} = {value}" for name, value in zip(names, rows[low], strict=True)]
    middle = (low + high) // 2
    return [
        f"{pad}if program < {ends[middle - 1]}:",
        *_choose(names, rows, ends, low, middle, depth + 1),
        f"{pad}else:",
        *_choose(names, rows, ends, middle, high, depth + 1),
    ]
