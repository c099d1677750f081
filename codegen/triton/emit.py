"""`kernel.func` ops as readable Triton source with a launch record."""

from __future__ import annotations

import textwrap

from xdsl.ir import SSAValue

from ...ir.dialects.kernel import FuncOp
from ...ir.errors import CompileError
from .emit_access import POINTERS, dtype_of, source_lines
from .emit_functions import definitions
from .emit_nest import Nest
from .emit_nodes import Node
from .emit_text import function_text
from .emit_tiles import Tuning, tile_of
from .kernel import Launch, Parameter, TritonKernel

_STAGES = 2
_WIDTH = 96


def emit(func: FuncOp, tuning: Tuning | None = None) -> TritonKernel:
    """The Triton kernel for `func`, in the tile that `emit_tiles` chooses unless `tuning` says
    otherwise. Raises CompileError for an op without a meaning on the GPU."""
    name = func.sym_name.data
    if not name.isidentifier():
        raise CompileError(f"triton: the name {name}; give the kernel a Python identifier")
    tile = tile_of(func, tuning)
    names = _parameter_names(func)
    pointers: dict[SSAValue, Node] = {
        b: Node(n, (), "pointer", hint=n.removesuffix("_ptr"), named=True)
        for b, n in zip(func.buffers, names, strict=True)
    }
    nest = Nest(func, tile, pointers)
    nest.write()
    constants = tuple(nest.constants.items())
    body = function_text(nest.w.frames[0], [*names, *nest.constants, *nest.w.functions])
    head = _signature(name, names, [n for n, _ in constants])
    source = _HEADER + definitions(list(nest.w.functions)) + "\n\n" + "\n".join(
        ["@triton.jit", head, *_docstring(func), *(body or ["    pass"]), ""])  # fmt: skip
    parameters = tuple(
        Parameter(n, f"*{POINTERS[dtype_of(b).ir]}", i)
        for i, (b, n) in enumerate(zip(func.buffers, names, strict=True))
    )
    launch = Launch((tile.grid, 1, 1), tile.num_warps, _STAGES, parameters, constants,
                    func.aliased_numbers)  # fmt: skip
    return TritonKernel(name, source, launch)


_HEADER = """import triton
import triton.language as tl
"""


def _parameter_names(func: FuncOp) -> list[str]:
    """One name a buffer, those of the IR where they are names."""
    found: list[str] = []
    for i, buffer in enumerate(func.buffers):
        hint = buffer.name_hint or f"b{i}"
        name = f"{hint if hint.isidentifier() else f'b{i}'}_ptr"
        found.append(name if name not in found else f"{name[:-4]}_{i}_ptr")
    return found


def _signature(name: str, parameters: list[str], constants: list[str]) -> str:
    arguments = [*parameters, *(f"{c}: tl.constexpr" for c in constants)]
    whole = f"def {name}({', '.join(arguments)}):"
    if len(whole) <= _WIDTH:
        return whole
    lines, line = [f"def {name}("], ""
    for a in arguments:
        if len(line) + len(a) + 6 > _WIDTH:
            lines.append(f"    {line.rstrip()}")
            line = ""
        line += f"{a}, "
    return "\n".join([*lines, f"    {line.rstrip()}", "):"])


def _docstring(func: FuncOp) -> list[str]:
    """What the kernel is of, by its name, and the user's lines that it comes from."""
    ops = func.sym_name.data.rstrip("0123456789").rstrip("_").replace("_", ", ")
    lines = source_lines(func)
    return textwrap.wrap(f'"""{ops}: {lines}"""' if lines else f'"""{ops}"""', _WIDTH,
                         initial_indent="    ", subsequent_indent="    ")  # fmt: skip
