"""`kernel.batch` ops: many kernels in one launch, each program finding its kernel and buffers.

Kernels that differ in the length of a flat parallel axis alone share one function, to which the
length is passed; those that take sizes share one where they take the same. A tree of comparisons
leads a program to its member, whose pointers it takes from the parameters: a launch of a hundred
members takes some microseconds less than a hundred launches.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xdsl.dialects.builtin import FloatAttr, IntegerAttr
from xdsl.ir import Attribute, SSAValue

from ....ir.dialects.kernel import BatchOp, FuncOp, Member
from ....ir.errors import CompileError
from ....ir.polynomial import Number, Total
from ..kernel import Launch, Parameter, SizeParameter, TritonKernel
from .kernel import (
    STAGES,
    Function,
    docstring,
    emit,
    function_of,
    pointer_names,
    pointer_type,
    programs_of,
    signature,
    size_parameters,
    source_of,
    wrapped,
)
from .nest import Part
from .nodes import Node
from .sizes import Lengths, Size
from .tiles import Tile, tile_of

KernelSizes = Mapping[str, Sequence[Size]]
"""The sizes that kernels take, by name of those that take any."""


@dataclass(frozen=True)
class _Run:
    """The members that share a function; `ends` counts their programs, added up in order, `most`
    as many programs as there can be, `typical` as many as there are for typical sizes."""

    func: FuncOp
    lengths: Lengths
    tile: Tile
    members: list[Member]
    extents: list[int]
    ends: list[Number]
    most: int
    typical: int

    @property
    def varies(self) -> bool:
        """Whether members are told how long they are."""
        return len(set(self.extents)) > 1


def emit_launchable(
    name: str, kernels: Mapping[str, FuncOp | BatchOp], sizes: KernelSizes | None = None
) -> TritonKernel:
    """The Triton kernel that a launch of `name` runs; `kernels` are those of the module."""
    op = kernels[name]
    if isinstance(op, FuncOp):
        return emit(op, sizes=(sizes or {}).get(name, ()))
    return emit_batch(op, {n: k for n, k in kernels.items() if isinstance(k, FuncOp)}, sizes)


def emit_batch(
    batch: BatchOp, kernels: Mapping[str, FuncOp], sizes: KernelSizes | None = None
) -> TritonKernel:
    """The Triton kernel for `batch`; `kernels` are those that it names, by name."""
    runs = _runs(batch, kernels, sizes or {})
    name = batch.sym_name.data
    warps = max(r.tile.num_warps for r in runs)
    types = _types(batch, kernels)
    parameters = tuple(Parameter(f"b{i}", t, i) for i, t in enumerate(types))
    given = _size_parameters(runs)
    functions = [_part(r) for r in runs]
    head = signature(name, [*(p.name for p in parameters), *(p.name for p in given.values())])
    lines = [head, *docstring(name, batch), "    program = tl.program_id(0)"]
    lines += _dispatch(runs, functions, {of: p.name for of, p in given.items()}, 1)
    text = "\n".join(["@triton.jit", *lines, ""])
    calls = [c for f in functions for c in f.calls]
    launch = Launch(_sum([r.ends[-1] for r in runs]), warps, STAGES, parameters, (),
                    _aliased(batch, kernels), sizes=tuple(given.values()))  # fmt: skip
    return TritonKernel(name, source_of([*functions, Function(text, {}, calls)]), launch)


def _size_parameters(runs: Sequence[_Run]) -> dict[Number, SizeParameter]:
    """What the kernel takes beside pointers, by what it is: sizes of members, and where their
    programs end."""
    found: dict[Number, SizeParameter] = {}
    for run in runs:
        for size in run.lengths.sizes.values():
            found.setdefault(size.of, *size_parameters([f"n{len(found)}"], [size]))
        for end in run.ends:
            if not isinstance(end, int):
                found.setdefault(end, SizeParameter(f"end{len(found)}", "i32", end))
    return found


def _sum(parts: Sequence[Number]) -> Number:
    numbers = [p for p in parts if isinstance(p, int)]
    return sum(numbers) if len(numbers) == len(parts) else Total(tuple(parts))


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


def _runs(batch: BatchOp, kernels: Mapping[str, FuncOp], sizes: KernelSizes) -> list[_Run]:
    """The members of each function, those of the most programs first."""
    groups: dict[Hashable, list[Member]] = {}
    for m in batch.members:
        key = body_of(kernels[m.kernel]), tuple(sizes.get(m.kernel, ()))
        groups.setdefault(key, []).append(m)
    runs = [_run(members, kernels, sizes) for members in groups.values()]
    return sorted(runs, key=lambda r: -r.typical)


def _run(members: list[Member], kernels: Mapping[str, FuncOp], sizes: KernelSizes) -> _Run:
    """A run of `members`, which take the same sizes; the longest first."""
    known = {m.kernel: Lengths(kernels[m.kernel], sizes.get(m.kernel, ())) for m in members}
    taken = {name: of.typical(kernels[name].length) for name, of in known.items()}
    members = sorted(members, key=lambda m: -taken[m.kernel])
    extents = [taken[m.kernel] for m in members]
    func, lengths = kernels[members[0].kernel], known[members[0].kernel]
    tile = tile_of(func, lengths, total=sum(extents))
    each = [programs_of(kernels[m.kernel], tile, known[m.kernel]) for m in members]
    ends = [_sum(each[: i + 1]) for i in range(len(each))]
    lasts = [known[m.kernel].most(kernels[m.kernel].length) for m in members]
    return _Run(func, lengths, tile, members, extents, ends, _programs(lasts, tile),
                _programs(extents, tile))  # fmt: skip


def _programs(extents: Sequence[int], tile: Tile) -> int:
    return sum(-(-n // tile.each) for n in extents)


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
    program = Node("program", (), "int32", hint="program", named=True, low=0, high=run.most)
    extent = Node("extent", (), "int32", named=True) if run.varies else None
    return function_of(run.func, run.tile, run.lengths, Part(program, extent))


def _dispatch(runs: Sequence[_Run], functions: Sequence[Function], names: Mapping[Number, str],
              depth: int, place: int | None = None) -> list[str]:  # fmt: skip
    """Leads `program` to its run: one after the other, since there are few. Names of different runs
    differ, as their types may. `names` are those of numbers that depend on sizes."""
    pad, run = "    " * depth, runs[0]
    place = 0 if place is None and len(runs) > 1 else place
    suffix = "" if place is None else f"_{place}"
    if len(runs) == 1:
        return _call(run, functions[0], names, depth, suffix)
    end = _spelt(run.ends[-1], names)
    rest = _dispatch(runs[1:], functions[1:], names, depth + 1, (place or 0) + 1)
    return [
        f"{pad}if program < {end}:", *_call(run, functions[0], names, depth + 1, suffix),
        f"{pad}else:", f"{pad}    program -= {end}", *rest,
    ]  # fmt: skip


def _spelt(number: Number, names: Mapping[Number, str]) -> str:
    return str(number) if isinstance(number, int) else names[number]


def _call(run: _Run, function: Function, sizes: Mapping[Number, str], depth: int,
          suffix: str) -> list[str]:  # fmt: skip
    """The call of a run's function, with the pointers of the member that `program` belongs to."""
    name = run.func.sym_name.data
    members = run.members
    ends = [_spelt(n, sizes) for n in run.ends]
    columns = list(zip(*([f"b{n}" for n in m.buffers] for m in members), strict=True))
    chosen = [f"{p}{suffix}" for p in pointer_names(run.func)]
    arguments = [c[0] if len(set(c)) == 1 else n for c, n in zip(columns, chosen, strict=True)]
    varying = [s for s, c in enumerate(columns) if len(set(c)) > 1]
    names, rows = [chosen[s] for s in varying], [[columns[s][i] for s in varying]
                                                 for i in range(len(members))]  # fmt: skip
    if run.varies:
        names.insert(0, f"extent{suffix}")
        rows = [[str(n), *row] for n, row in zip(run.extents, rows, strict=True)]
        arguments.insert(0, names[0])
    program = "program"
    if len(members) > 1:
        program = f"program - first{suffix}"
        names.insert(0, f"first{suffix}")
        rows = [[n, *row] for n, row in zip(["0", *ends], rows, strict=False)]
    lines = _choose(names, rows, ends, 0, len(rows), depth) if names else []
    taken = [_spelt(size.of, sizes) for size in run.lengths.sizes.values()]
    constants = [f"{k}={v}" for k, v in function.constants.items()]
    arguments = [program, *arguments, *taken, *constants]
    return lines + wrapped(f"{name}({', '.join(arguments)})", depth, hanging=1)


def _choose(names: Sequence[str], rows: Sequence[Sequence[str]], ends: Sequence[str], low: int,
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
