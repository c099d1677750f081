"""Kernels as the text of one LLVM module.

The text is written directly, with explicit vector types. xDSL's `llvm` dialect with a converter
would build every instruction twice more, as an op and as an llvmlite object: too slow where a whole
training step must compile in seconds; and its converter lacks bf16 and several casts.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import SSAValue

from ...ir.dialects.kernel import BufferType, FuncOp
from ...ir.errors import CompileError
from .access import Buffer
from .nest import NestWriter
from .writer import Value, Writer


def module_text(kernels: Sequence[FuncOp], header: str, attributes: str) -> str:
    """The module of `kernels`; `header` goes before them, `attributes` on each function.

    Raises CompileError where names repeat or an op has no lowering.
    """
    names = [k.sym_name.data for k in kernels]
    for name in names:
        if names.count(name) > 1:
            raise CompileError(f"llvm: two kernels are named {name}; give each its own name")
    declared: set[str] = set()
    metadata = _Metadata()
    functions = [_function(k, declared, metadata) for k in kernels]
    return "\n".join(
        [
            header,
            *functions,
            *sorted(declared),
            f"attributes #0 = {{ {attributes} }}",
            *metadata.lines,
            "",
        ]
    )


class _Metadata:
    """Numbered metadata nodes of a module."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def node(self, text: str) -> str:
        """A reference to a new node; `%self` in `text` is its own number."""
        name = f"!{len(self.lines)}"
        self.lines.append(f"{name} = {text.replace('%self', name)}")
        return name


def _function(func: FuncOp, declared: set[str], metadata: _Metadata) -> str:
    writer = Writer(declared)
    buffers = _buffers(func, writer, metadata)
    sizes = _sizes(func, writer)
    begin, end = Value("%begin", "i64"), Value("%end", "i64")
    NestWriter(func, writer, buffers, sizes).write(begin, end)
    return (
        f"define void @{func.sym_name.data}"
        f"(ptr noalias readonly %buffers, i64 %begin, i64 %end) #0 {{\n{writer.text()}\n}}\n"
    )


def _buffers(func: FuncOp, w: Writer, metadata: _Metadata) -> dict[SSAValue, Buffer]:
    """The buffers of a kernel; those that may overlap share one alias scope."""
    groups: dict[SSAValue, int] = {
        value: -1 if i in func.aliased_numbers else i for i, value in enumerate(func.buffers)
    }
    written = {
        groups[op.operands[1]]
        for op in func.walk()
        if op.name == "kernel.store" and op.operands[1] in groups
    }
    domain = metadata.node("distinct !{%self}")
    scopes = {g: metadata.node(f"distinct !{{%self, {domain}}}") for g in set(groups.values())}
    notes = {group: _note(metadata, group, scopes) for group in scopes}
    table = Value("%buffers", "ptr")
    buffers: dict[SSAValue, Buffer] = {}
    for i, value in enumerate(func.buffers):
        assert isinstance(value.type, BufferType)
        entry = w.pure(f"getelementptr ptr, {table}, i64 {i}", "ptr", 1, [table])
        pointer = w.pure(f"load ptr, {entry}", "ptr", 1, [entry])
        group = groups[value]
        buffers[value] = Buffer(pointer, value.type.dtype, notes[group], group in written)
    return buffers


def _sizes(func: FuncOp, w: Writer) -> dict[SSAValue, Value]:
    """The sizes of a kernel, which lie after the pointers."""
    table = Value("%buffers", "ptr")
    found: dict[SSAValue, Value] = {}
    for i, value in enumerate(func.sizes, len(func.buffers)):
        entry = w.pure(f"getelementptr i64, {table}, i64 {i}", "ptr", 1, [table])
        found[value] = w.pure(f"load i64, {entry}", "i64", 1, [entry])
    return found


def _note(metadata: _Metadata, group: int, scopes: dict[int, str]) -> str:
    own = metadata.node(f"!{{{scopes[group]}}}")
    others = metadata.node(f"!{{{', '.join(s for g, s in scopes.items() if g != group)}}}")
    return f", !alias.scope {own}, !noalias {others}"
