"""Why some planted errors are found by no check: the changed code does the same."""

_GROUPS: list[tuple[str, list[str]]] = [
    (
        "the gradient is zero: a zero with another sign, or no gradient, is zero as well",
        [
            f"gradient: {op}: {damage}: the answer for {operand}"
            for damage in ("negate", "drop a term")
            for op, operand in (
                ("sign", "x"),
                ("floor", "x"),
                ("ceil", "x"),
                ("trunc", "x"),
                ("round", "x"),
                ("floor_divide", "x"),
                ("floor_divide", "y"),
            )
        ],
    ),
    (
        "logical_and does not depend on the order of its operands",
        [
            "gradient: pow: swap operands: logical_and(eq(x, 0.0), ge(y, 0.0)) -> "
            "logical_and(ge(y, 0.0), eq(x, 0.0))"
        ],
    ),
    (
        "x is a vector there, and its new last axis is axis 1",
        ["gradient: matmul: negate: unsqueeze(x, dim=-1) -> unsqueeze(x, dim=1)"],
    ),
    (
        "the order matters for NaN and -0.0 only, and a difference of counts is neither",
        [
            "gradient: _spread_divisor: swap operands: maximum(n - correction, 0.0) -> "
            "maximum(0.0, n - correction)"
        ],
    ),
    (
        "the result never has more than one axis",
        [
            f"{family}: {op}: wrong axis: {change}"
            for family in ("shape", "shape in C++")
            for op in ("iota", "size_tensor", "randperm", "rng_advance")
            for change in ("axes backwards", "the first axis last")
        ],
    ),
    (
        "sizes in C++ are numbers; this part is for symbols",
        [
            "shape in C++: broadcast_shapes: wrong axis: out[i] -> out[i - 1] #3",
            "shape in C++: _solved: off by one: s != -1 -> s != -2",
            "shape in C++: _solved: off by one: s == -1 -> s == -2",
            "shape in C++: Linear: wrong axis: w[1] -> w[1 - 1] #2",
            "shape in C++: from_front: off by one: dim_max(-index, 0) -> dim_max(-index, 1)",
            "shape in C++: from_front: off by one: dim_min(dim_max(-index, 0), 1) -> "
            "dim_min(dim_max(-index, 0), 2)",
            "shape in C++: Selected: wrong axis: shape[at] -> shape[at - 1]",
            "shape in C++: Taken: wrong axis: shape[at] -> shape[at - 1]",
        ],
    ),
    (
        "axis 0 of a matrix is its second to last",
        [
            f"{family}: MatMul: off by one: len(b) > 1 -> len(b) > 2"
            for family in ("shape", "shape in C++")
        ],
    ),
    (
        "any two numbers that differ refuse an operand without axes",
        [f"{f}: MatMul: off by one: (0, 1) -> (0, 2)" for f in ("shape", "shape in C++")],
    ),
    (
        "the number is that of no axis",
        [
            f"{family}: Scattered: off by one: _check_index(name, 'src', src, index, -1) -> "
            "_check_index(name, 'src', src, index, -2)"
            for family in ("shape", "shape in C++")
        ],
    ),
    (
        "the difference is squared",
        ["kernel: layer_norm: swap operands: arith.subf 8: two operands exchanged"],
    ),
    (
        "an index is never negative: its quotient rounded down is that rounded to zero",
        [
            "kernel: positions: swap operands: arith.cmpi 12: two operands exchanged",
            "kernel: positions: drop a term: arith.select 16: the last operand instead",
        ],
    ),
    (
        "both become one aligned unit",
        ["plan: _aligned: off by one: max(size, 1) -> max(size, 2)"],
    ),
    (
        "of two gaps of one size either serves",
        ["plan: _best_gap: off by one: gap < best[0] -> gap <= best[0]"],
    ),
]

REASONS = {name: reason for reason, names in _GROUPS for name in names}
