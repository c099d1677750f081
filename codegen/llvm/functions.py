"""`math` functions written out in ops that LLVM has instructions for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from xdsl.builder import Builder
from xdsl.dialects.builtin import UnknownLoc
from xdsl.ir import Attribute, Block, Operation, SSAValue
from xdsl.rewriter import InsertPoint

from ...ir.errors import CompileError
from ...ir.scalar.arith import emit, function_of
from ...ir.scalar.expression import Scalar
from ...ir.scalar.functions import expand


@dataclass(frozen=True)
class WrittenOut:
    """A block of primitive ops; its arguments are the function's operands."""

    block: Block
    result: SSAValue


def written_out(op: Operation) -> WrittenOut:
    """The primitives that compute the `math` op `op`, made once for each function and type.

    Raises CompileError where the op is no function that has an expansion.
    """
    type_ = str(op.results[0].type)
    if op.name.startswith("math.") and type_ in ("f16", "bf16"):
        raise CompileError(f"llvm: {op.name} of {type_}; cast to f32 first")
    function = function_of(op)
    if function is None:
        raise CompileError(f"llvm: {op.name} has no lowering; use arith and math ops")
    return _block(function, tuple(v.type for v in op.operands))


@cache
def _block(function: Scalar, types: tuple[Attribute, ...]) -> WrittenOut:
    root = expand(function)
    if root is function:
        raise CompileError(
            f"llvm: {function.kind} on {function.dtype.name} has no expansion; "
            f"write it in other functions"
        )
    block = Block(arg_types=types)
    (result,) = emit([root], block.args, Builder(InsertPoint.at_end(block)), UnknownLoc())
    return WrittenOut(block, result)
