"""What the kernel dialect's verifiers check, above all that each path has one vector axis."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NoReturn

from xdsl.dialects.builtin import (
    AffineMapAttr,
    BFloat16Type,
    Float16Type,
    Float32Type,
    Float64Type,
    IndexType,
    IntegerAttr,
    IntegerType,
    StringAttr,
    i1,
)
from xdsl.ir import Attribute, Block, BlockArgument, Operation, OpResult, SSAValue
from xdsl.ir.affine import AffineMap
from xdsl.utils.exceptions import VerifyException

from ..integers import integers_of
from .types import BufferType

_LOOPS = ("kernel.for", "kernel.reduce")
_NAME = re.compile(r"[A-Za-z_][\w.$]*", re.ASCII)
_LOCAL_BYTES = 64 * 1024
_WIDE = (Float32Type, Float64Type)
_FLOATS = (Float16Type, BFloat16Type, *_WIDE)


def _refuse(op: Operation, problem: str) -> NoReturn:
    raise VerifyException(f"{op.name}: {problem}")


def _is_integer(type_: Attribute) -> bool:
    return isinstance(type_, IntegerType) and type_ != i1


def _is_wide(type_: Attribute) -> bool:
    return isinstance(type_, _WIDE) or _is_integer(type_)


def _is_bool(type_: Attribute) -> bool:
    return type_ == i1


_COMBINES: dict[str, tuple[str, Callable[[Attribute], bool]]] = {
    "sum": ("f32, f64 or an integer", _is_wide),
    "prod": ("f32, f64 or an integer", _is_wide),
    "max": ("f32, f64 or an integer", _is_wide),
    "min": ("f32, f64 or an integer", _is_wide),
    "umax": ("an integer", _is_integer),
    "umin": ("an integer", _is_integer),
    "any": ("i1", _is_bool),
    "all": ("i1", _is_bool),
}


def check_combiners(op: Operation, kinds: Sequence[str]) -> None:
    """A reduction's combiners exist, fit the types that they combine, and match what is yielded."""
    end = op.regions[0].block.last_op
    yielded = [] if end is None else [v.type for v in end.operands]
    if not len(kinds) == len(op.results) == len(yielded):
        _refuse(
            op,
            f"{len(kinds)} combiners, {len(yielded)} yielded values and "
            f"{len(op.results)} results; it must have as many of each",
        )
    if not kinds:
        _refuse(op, "no combiner; give at least one")
    for kind, type_, result in zip(kinds, yielded, op.results, strict=True):
        if kind not in _COMBINES:
            _refuse(op, f"combiner `{kind}`; it must be one of {', '.join(_COMBINES)}")
        wanted, fits = _COMBINES[kind]
        if not fits(type_):
            _refuse(op, f"`{kind}` of {type_}; it takes {wanted}")
        if result.type != type_:
            _refuse(
                op,
                f"`{kind}` of {type_} has a result of type {result.type}; the types must be equal",
            )


def check_access(
    op: Operation, buffer: SSAValue, map_: AffineMap, indices: Sequence[SSAValue], value: Attribute
) -> None:
    """A load's or store's buffer, offset and value fit each other."""
    assert isinstance(buffer.type, BufferType)
    if len(map_.results) != 1:
        _refuse(op, f"a map with {len(map_.results)} results; it must have one, the offset")
    if len(indices) != map_.num_dims + map_.num_symbols:
        _refuse(
            op,
            f"{len(indices)} indices for a map of {map_.num_dims} dims and "
            f"{map_.num_symbols} symbols; give one for each",
        )
    for i, index in enumerate(indices[: map_.num_dims]):
        if not isinstance(index, BlockArgument):
            _refuse(op, f"dim {i} is a computed value; dims are loop indices, pass it as a symbol")
    if value != buffer.type.value_type:
        _refuse(
            op, f"a value of type {value} in a {buffer.type}; it must be {buffer.type.value_type}"
        )


def check_guard(
    op: Operation, mask: SSAValue | None, other: SSAValue | None, value: Attribute
) -> None:
    """A masked load says what it gives where the mask is false."""
    if (mask is None) != (other is None):
        _refuse(op, "a mask and a value for masked-off elements go together; give both or neither")
    if other is not None and other.type != value:
        _refuse(op, f"a masked-off value of type {other.type}; it must be {value}")


def check_nest(func: Operation) -> None:
    """A kernel's arguments, options and whole loop nest keep the dialect's rules."""
    arguments = func.regions[0].block.args
    buffers = [a for a in arguments if isinstance(a.type, BufferType)]
    if not arguments or arguments[-1].type != IndexType():
        _refuse(func, "its last block argument must be the parallel index, of type index")
    for i, argument in enumerate(arguments[:-1]):
        wanted = "a !kernel.buffer" if i < len(buffers) else "an index"
        is_right = argument in buffers if i < len(buffers) else argument.type == IndexType()
        if not is_right:
            _refuse(func, f"argument {i} is a {argument.type}; it must be {wanted}")
    for number in integers_of(func.properties.get("aliased")):
        if not 0 <= number < len(buffers):
            _refuse(func, f"aliased buffer {number}; there are {len(buffers)} buffers")
    name = func.properties["sym_name"]
    if not isinstance(name, StringAttr) or not _NAME.fullmatch(name.data):
        _refuse(
            func,
            f"the name `{name.data if isinstance(name, StringAttr) else name}`; "
            f"use letters, digits, `_`, `.` and `$`",
        )
    _check_options(func)
    _check_end(func, "kernel.return")
    _check_locals(func)
    _check_block(func, func.regions[0].block, func if "vector" in func.properties else None)


def _option(op: Operation, name: str) -> int | None:
    value = op.properties.get(name)
    return value.value.data if isinstance(value, IntegerAttr) else None


def _has_size(op: Operation) -> bool:
    if op.name == "kernel.func":
        number = _option(op, "size")
        given = [a for a in op.regions[0].block.args[:-1] if a.type == IndexType()]
        return number is not None and 0 <= number < len(given)
    return bool(op.operands)


def _check_options(op: Operation) -> None:
    count = _option(op, "extent" if op.name == "kernel.func" else "count")
    if count is None and not _has_size(op):
        _refuse(op, "neither a number nor a size of the kernel says how long it is")
    if count is not None and count < 0:
        _refuse(op, f"{count} iterations; it must be 0 or more")
    for name in ("unroll", "grain"):
        value = _option(op, name)
        if value is not None and value < 1:
            _refuse(op, f"{name} {value}; it must be 1 or more")
    if "unroll" in op.properties and "vector" not in op.properties:
        _refuse(op, "unroll without vector; only a vector axis is unrolled")


def _check_end(op: Operation, name: str) -> None:
    end = op.regions[0].block.last_op
    if end is None or end.name != name:
        _refuse(op, f"its body must end in {name}")


def _check_locals(func: Operation) -> None:
    scratch = [op for op in func.regions[0].block.ops if op.name == "kernel.local"]
    if scratch and "vector" in func.properties:
        _refuse(scratch[0], "the parallel axis is the vector axis; scratch needs a serial one")
    total = sum(_scratch_bytes(op) for op in scratch)
    if total > _LOCAL_BYTES:
        _refuse(scratch[0], f"{total} bytes of scratch in one kernel; at most {_LOCAL_BYTES}")


def _scratch_bytes(op: Operation) -> int:
    type_ = op.results[0].type
    count = _option(op, "count")
    assert isinstance(type_, BufferType)
    if count is None or count < 1:
        _refuse(op, f"{count} elements; it must be 1 or more")
    return count * type_.dtype.itemsize


def _check_block(func: Operation, block: Block, vector: Operation | None) -> None:
    """Checks the ops of one loop body; `vector` is the vector axis around or at it."""
    inner = [op for op in block.ops if op.name in _LOOPS]
    if not inner and vector is None:
        _refuse(func, "a path of loops without a vector axis; mark exactly one of them `vector`")
    for op in block.ops:
        if op.name in _LOOPS:
            _check_loop(func, op, vector)
        else:
            _check_op(func, op)
            if op.name == "kernel.store":
                _check_store(func, op, vector)


def _check_loop(func: Operation, op: Operation, vector: Operation | None) -> None:
    _check_options(op)
    _check_end(op, "kernel.yield")
    args = op.regions[0].block.args
    if len(args) != 1 or args[0].type != IndexType():
        _refuse(op, "its body must have one argument, the loop index, of type index")
    end = op.regions[0].block.last_op
    if op.name == "kernel.for" and end is not None and end.operands:
        _refuse(op, f"it yields {len(end.operands)} values; a loop yields none, reduce or store")
    if "vector" in op.properties:
        if vector is not None:
            _refuse(
                op, f"a second vector axis inside a vector {vector.name}; a path has exactly one"
            )
        vector = op
    _check_block(func, op.regions[0].block, vector)


def _check_op(func: Operation, op: Operation) -> None:
    if op.regions or op.name.partition(".")[0] not in ("arith", "math", "kernel"):
        _refuse(op, "not an op of a kernel; use arith, math and kernel ops")
    if op.name == "kernel.func":
        _refuse(op, "inside a kernel; kernels do not nest")
    if op.name == "kernel.local" and op.parent_op() is not func:
        _refuse(op, "inside a loop; scratch belongs in the body of kernel.func")
    for value in (*op.operands, *op.results):
        if not isinstance(value.type, (IntegerType, IndexType, BufferType, *_FLOATS)):
            _refuse(op, f"a value of type {value.type}; a kernel's values are scalars")


def _check_store(func: Operation, op: Operation, vector: Operation | None) -> None:
    """A store reaches another element in each parallel iteration and in each lane."""
    if _option(func, "extent") != 1 and not isinstance(op.operands[1], OpResult):
        _check_reaches(op, func, "parallel iteration")
    if vector is not None and vector is not func and _option(vector, "count") != 1:
        _check_reaches(op, vector, "lane")


def _check_reaches(op: Operation, axis: Operation, what: str) -> None:
    index = axis.regions[0].block.args[-1]
    attribute = op.properties["map"]
    assert isinstance(attribute, AffineMapAttr)
    map_ = attribute.data
    used = map_.results[0].used_dims() if map_.results else ()
    dims = [v for i, v in enumerate(op.operands[2 : 2 + map_.num_dims]) if i in used]
    if index not in dims and not map_.num_symbols:
        _refuse(
            op,
            f"every {what} of {axis.name} stores to the same element; use its index in the offset",
        )
