"""Functions of `math` as device functions, printed from their expansions in the scalar language.

So they give the same bits on the GPU as on the CPU, as long as sums of products are not contracted,
but for those of float32 that are written with exp, which is the hardware's.
"""

from __future__ import annotations

from functools import cache

from xdsl.builder import Builder
from xdsl.dialects.builtin import UnknownLoc
from xdsl.ir import Block, SSAValue
from xdsl.rewriter import InsertPoint

from ....ir.dtypes import BY_IR, DType, float32
from ....ir.scalar.arith import emit, scalar_type
from ....ir.scalar.expression import KINDS, argument, make
from ....ir.scalar.functions import BOUNDS, expand
from .convert import held_type
from .library import LIBRARY
from .nodes import Node, Writer
from .scalar import scalar
from .text import function_text

_ARGUMENTS = "xy"


BY_HARDWARE = frozenset({"exp"})
"""Functions of float32 that `library` has, and others are written with."""

_LESS_EXACT = {"erf": 2.0, "exp": 2.0, "sigmoid": 4.0, "tanh": 2.5}


def bound_of(kind: str, dtype: DType) -> float:
    """The largest error of a function here, in units in the last place."""
    exact = BOUNDS[kind][dtype.name]
    return _LESS_EXACT.get(kind, exact) if dtype is float32 else exact


def definitions(names: list[str]) -> str:
    """The functions `names` and those that they call, each once and before its callers."""
    texts: dict[str, str] = {}
    for name in names:
        _define(name, texts)
    return "".join(f"\n\n@triton.jit{text}" for text in texts.values())


def _define(name: str, texts: dict[str, str]) -> None:
    if name in texts:
        return
    if name in LIBRARY:
        texts[name] = LIBRARY[name]
        return
    text, calls = _written_out(name)
    for inner in calls:
        _define(inner, texts)
    texts[name] = text


@cache
def _written_out(name: str) -> tuple[str, tuple[str, ...]]:
    """The text of a function of `math`, and the functions that it calls."""
    kind, _, type_ = name.partition("_")
    dtype = BY_IR[type_ or "f32"]
    count = KINDS[kind].arity
    whole = make(kind, *(argument(i, dtype) for i in range(count)))
    root = expand(whole, BY_HARDWARE if dtype is float32 else frozenset())
    block = Block(arg_types=[scalar_type(dtype)] * count)
    (result,) = emit([root], block.args, Builder(InsertPoint.at_end(block)), UnknownLoc())
    w = Writer()
    held = held_type(block.args[0].type)
    given = [Node(_ARGUMENTS[i], (), held, named=True) for i in range(count)]
    values: dict[SSAValue, Node] = dict(zip(block.args, given, strict=True))
    for op in block.ops:
        values[op.results[0]] = scalar(w, op, [values[v] for v in op.operands])
    heading = [
        f"def {name}({', '.join(_ARGUMENTS[:count])}):",
        f'    """Within {bound_of(kind, dtype):g} units in the last place."""',
    ]
    body = function_text(w.frames[0], [*_ARGUMENTS[:count], *w.functions, name], values[result])
    return "\n" + "\n".join([*heading, *body]) + "\n", tuple(w.functions)
