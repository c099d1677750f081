"""`kernel.func` ops as readable Triton source with a launch record."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from xdsl.ir import Operation, SSAValue

from ....ir.dialects.kernel import FuncOp
from ....ir.errors import CompileError
from ....ir.polynomial import Number, Pieces
from ..kernel import ALIGNMENT, Launch, Parameter, SizeParameter, TritonKernel
from .access import POINTERS, dtype_of, source_lines
from .functions import definitions
from .nest import Nest, Part
from .nodes import Node
from .sizes import Lengths, Size
from .text import function_text
from .tiles import Tile, Tuning, tile_of

STAGES = 2
WIDTH = 96


@dataclass(frozen=True)
class Function:
    """A Triton function: its text, its constants, and the device functions that it calls."""

    text: str
    constants: dict[str, int]
    calls: list[str]


def emit(func: FuncOp, tuning: Tuning | None = None, sizes: Sequence[Size] = ()) -> TritonKernel:
    """The Triton kernel for `func`, in the tile that `tiles` chooses unless `tuning` says
    otherwise; of its `sizes` ranges are known. Raises CompileError for an op without a meaning on
    the GPU."""
    lengths = Lengths(func, sizes)
    tile = tile_of(func, lengths, tuning)
    function = function_of(func, tile, lengths)
    parameters = tuple(
        Parameter(name, pointer_type(b), i)
        for i, (b, name) in enumerate(zip(func.buffers, pointer_names(func), strict=True))
    )
    launch = Launch(programs_of(func, tile, lengths), tile.num_warps, STAGES, parameters,
                    tuple(function.constants.items()), func.aliased_numbers,
                    sizes=size_parameters(lengths.names, sizes))  # fmt: skip
    return TritonKernel(func.sym_name.data, source_of([function]), launch)


def programs_of(func: FuncOp, tile: Tile, lengths: Lengths) -> Number:
    """How many programs run a kernel."""
    length = func.length
    if isinstance(length, int):
        return -(-length // tile.each)
    return Pieces(lengths.sizes[length].of, tile.each)


def size_parameters(names: Sequence[str], sizes: Sequence[Size]) -> tuple[SizeParameter, ...]:
    """The parameters `names` for `sizes`, of which is promised what their polynomials say."""
    return tuple(
        SizeParameter(name, size.held.replace("int", "i"), size.of, gcd(size.of.divisor, ALIGNMENT))
        for name, size in zip(names, sizes, strict=True)
    )


def source_of(functions: Sequence[Function]) -> str:
    """A module with `functions`, the kernel last, and the device functions that they call."""
    calls = list(dict.fromkeys(c for f in functions for c in f.calls))
    return "\n".join([_HEADER + definitions(calls), "", *("\n\n".join(f.text for f in functions),)])


_HEADER = """import triton
import triton.language as tl
"""


def function_of(func: FuncOp, tile: Tile, lengths: Lengths, part: Part | None = None) -> Function:
    """The function of a kernel; as a part of a launch it takes the program, and the extent where
    that differs, before its pointers."""
    name = identifier_of(func)
    names = pointer_names(func)
    pointers: dict[SSAValue, Node] = {
        b: Node(n, (), "pointer", hint=n.removesuffix("_ptr"), named=True)
        for b, n in zip(func.buffers, names, strict=True)
    }
    nest = Nest(func, tile, pointers, lengths, part)
    nest.write()
    names += lengths.names
    if part is not None:
        names = [n.template for n in (part.program, part.extent) if n is not None] + names
    calls = list(nest.w.functions)
    body = function_text(nest.w.frames[0], [*names, *nest.constants, *calls])
    lines = [signature(name, names, list(nest.constants)), *docstring(name, func)]
    text = "\n".join(["@triton.jit", *lines, *(body or ["    pass"]), ""])
    return Function(text, nest.constants, calls)


def identifier_of(op: FuncOp) -> str:
    """The kernel's name, which is that of its function."""
    name = op.sym_name.data
    if not name.isidentifier():
        raise CompileError(f"triton: the name {name}; give the kernel a Python identifier")
    return name


def pointer_type(buffer: SSAValue) -> str:
    """The type of a buffer's pointer as signatures spell it."""
    return f"*{POINTERS[dtype_of(buffer).ir]}"


def pointer_names(func: FuncOp) -> list[str]:
    """One name a buffer, those of the IR where they are names."""
    found: list[str] = []
    for i, buffer in enumerate(func.buffers):
        hint = buffer.name_hint or f"b{i}"
        name = f"{hint if hint.isidentifier() else f'b{i}'}_ptr"
        found.append(name if name not in found else f"{name[:-4]}_{i}_ptr")
    return found


def signature(name: str, parameters: Sequence[str], constants: Sequence[str] = ()) -> str:
    """`def name(parameters, constants):` in lines that are not too long."""
    arguments = [*parameters, *(f"{c}: tl.constexpr" for c in constants)]
    whole = f"def {name}({', '.join(arguments)}):"
    if len(whole) <= WIDTH:
        return whole
    return "\n".join([f"def {name}(", *wrapped(f"{', '.join(arguments)},"), "):"])


def wrapped(text: str, depth: int = 1, hanging: int = 0) -> list[str]:
    """A long text as indented lines, all but the first by `hanging` more."""
    pad, rest = "    " * depth, "    " * (depth + hanging)
    return textwrap.wrap(text, WIDTH, initial_indent=pad, subsequent_indent=rest,
                         break_long_words=False)  # fmt: skip


def docstring(name: str, op: Operation) -> list[str]:
    """What the kernel is of, by its name, and the user's lines that it comes from."""
    ops = name.rstrip("0123456789").rstrip("_").replace("_", ", ")
    lines = source_lines(op)
    return wrapped(f'"""{ops}: {lines}"""' if lines else f'"""{ops}"""')
