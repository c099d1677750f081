"""Device functions that generated kernels call: what Triton's own ops do not mean exactly.

A module defines those that its kernel calls. Functions of `math` are written out from the scalar
language (`functions`), but for `exp` of float32, which most kernels that wait for arithmetic
wait for: it is here with all others.
"""

from __future__ import annotations

from xdsl.ir import Operation

from ....ir.errors import CompileError
from ....ir.scalar.arith import function_of
from ....ir.scalar.functions import EXPANSIONS

LIBRARY = {
    # x = n ln 2 + r; the hardware has 2 ** (1 + r / ln 2), and 2 ** (n - 1) is put together.
    "exp": '''
def exp(x):
    """Within 2 units in the last place; 0 where it is less than 1.7e-38."""
    x = tl.maximum(x, -87.5, propagate_nan=tl.PropagateNan.ALL)
    x = tl.minimum(x, 88.8, propagate_nan=tl.PropagateNan.ALL)
    shifted = tl.fma(x, 1.4426950216293335, 12583038.0)
    n = shifted - 12583038.0
    r = tl.fma(n, 0.00021219444170128554, tl.fma(n, -0.693359375, x))
    power = (shifted.to(tl.int32, bitcast=True) << 23).to(tl.float32, bitcast=True)
    return tl.exp2(tl.fma(r, 1.4426950216293335, 1.0)) * power
''',
    "maximum": '''
def maximum(a, b):
    """A NaN wins; of equal ones `b`."""
    return tl.where((a > b) | (a != a), a, b)
''',
    "minimum": '''
def minimum(a, b):
    """A NaN wins; of equal ones `b`."""
    return tl.where((a < b) | (a != a), a, b)
''',
    "highest": '''
def highest(a, b):
    """A NaN wins."""
    return tl.maximum(a, b, propagate_nan=tl.PropagateNan.ALL)
''',
    "lowest": '''
def lowest(a, b):
    """A NaN wins."""
    return tl.minimum(a, b, propagate_nan=tl.PropagateNan.ALL)
''',
    "product": """
def product(a, b):
    return a * b
""",
    "truncate": """
def truncate(x):
    return tl.where(x < 0, tl.ceil(x), tl.floor(x))
""",
    "round_even": '''
def round_even(x):
    """The nearest integer, half to even."""
    down = tl.floor(x)
    rest = x - down
    half = down * 0.5
    up = (rest > 0.5) | ((rest == 0.5) & (half != tl.floor(half)))
    near = tl.where(up, down + 1.0, down)
    return tl.where(near == 0, x * 0.0, near)
''',
    "divide": '''
def divide(a, b):
    """The quotient rounded toward zero; 0 by zero."""
    negates = b == -1
    safe = b + (b == 0).to(b.dtype) + negates.to(b.dtype) * 2
    return tl.where(b == 0, b, tl.where(negates, b * a, a // safe))
''',
    "floor_divide": '''
def floor_divide(a, b):
    """The quotient rounded down; 0 by zero."""
    negates = b == -1
    safe = b + (b == 0).to(b.dtype) + negates.to(b.dtype) * 2
    quotient = a // safe
    rest = a - quotient * safe
    down = quotient - ((rest != 0) & ((rest ^ safe) < 0)).to(b.dtype)
    return tl.where(b == 0, b, tl.where(negates, b * a, down))
''',
    "remainder": '''
def remainder(a, b):
    """The remainder with the sign of `a`; 0 by zero."""
    safe = b + (b == 0).to(b.dtype) + (b == -1).to(b.dtype) * 2
    return a % safe
''',
    "divide_unsigned": '''
def divide_unsigned(a, b):
    """The quotient; 0 by zero."""
    safe = b + (b == 0).to(b.dtype)
    return tl.where(b == 0, b, a // safe)
''',
    "remainder_unsigned": '''
def remainder_unsigned(a, b):
    """The remainder; 0 by zero."""
    safe = b + (b == 0).to(b.dtype)
    return a % safe
''',
}
"""The text of each function, by name."""


def function_name(op: Operation) -> str:
    """The device function for a `math` op: `exp`, or `exp_f64` of doubles.

    Raises CompileError where the op has no meaning on the GPU.
    """
    type_ = str(op.results[0].type)
    if op.name.startswith("math.") and type_ in ("f16", "bf16"):
        raise CompileError(f"triton: {op.name} of {type_}; cast to f32 first")
    function = function_of(op)
    if function is None or function.kind not in EXPANSIONS:
        raise CompileError(f"triton: {op.name} has no lowering; use arith and math ops")
    return function.kind if type_ == "f32" else f"{function.kind}_{type_}"
