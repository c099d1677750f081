"""What fusion and lowering ask of a machine: costs, sizes of pieces, and what is a library call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Shape = tuple[str, tuple[int, ...]]
"""The dtype of a tensor, by name, and its sizes."""


@dataclass(frozen=True)
class Kernels:
    """What is known of the kernels that run an op whole, given the shapes of its operands (None
    for an absent one): whether they take those, and the memory that they need beside results."""

    take: Callable[[Sequence[Shape | None]], bool] = field(default=lambda shapes: True)
    scratch: Callable[[Sequence[Shape | None]], Sequence[Shape]] = field(default=lambda shapes: ())


@dataclass(frozen=True)
class Target:
    """A description of a machine. Costs are nanoseconds, element by element, on one core of a CPU
    or on a whole GPU.

    Calls: `claims` are the composites that kernels run whole, if `kernels` has no more to say of
    them, `strided_results` the ops whose kernels write results in any layout.

    Costs: `byte_cost` of a byte written to or read from memory, `load_cost` of an element that lies
    in the nearest cache, `op_costs` by kind of scalar node (`default_op_cost` for the others),
    `launch_cost` of a kernel, `operand_cost` of one more buffer of it.

    Cuts (fixed, so that results do not depend on the number of threads): column reductions of at
    least four times `chunk_rows` rows are cut into about `pieces`, of a quarter of `chunk_rows` at
    least, unless there are `wide_columns` columns; row reductions into runs of about
    `chunk_elements`. `column_block` columns are one iteration of the parallel axis.

    Limits: `most_buffers` of a kernel, `scratch_bytes` of one, `grain_elements` that are worth a
    thread if each takes `grain_cost` or less, `lanes` below which a row is no vector loop of its
    own.

    On a machine of `tiles` an iteration of the parallel axis works on whole rows, or blocks of
    columns, in registers: rows are not cut where strides change, and blocks of columns are as
    narrow as it takes (down to `column_block`, from four times that) to have `programs` iterations.
    Launches are batched up to `most_batched` buffers; 0 leaves them apart.

    Sizes: `symbols` pairs a prime that stands for a size yet to come with the size that choices
    take it for. They then are the same whatever the prime is.
    """

    name: str
    claims: frozenset[str]
    strided_results: frozenset[str] = frozenset()
    kernels: Mapping[str, Kernels] = field(default_factory=dict[str, Kernels])
    byte_cost: float = 0.1
    op_costs: dict[str, float] = field(default_factory=dict[str, float])
    default_op_cost: float = 0.02
    load_cost: float = 0.05
    launch_cost: float = 1000.0
    operand_cost: float = 50.0
    chunk_rows: int = 32
    pieces: int = 16
    wide_columns: int = 8192
    chunk_elements: int = 16384
    column_block: int = 64
    most_buffers: int = 40
    scratch_bytes: int = 48 * 1024
    grain_elements: int = 16384
    grain_cost: float = 0.2
    lanes: int = 16
    tiles: bool = False
    programs: int = 1
    most_batched: int = 0
    symbols: tuple[tuple[int, int], ...] = ()

    def grain(self, cost: float) -> int:
        """How many elements that take `cost` nanoseconds each are worth a thread."""
        return int(self.grain_elements / max(1.0, cost / self.grain_cost))

    def typical(self, count: int) -> int:
        """`count` as choices by size take it."""
        scale = 1
        for prime, size in self.symbols:
            while count and count % prime == 0:
                count, scale = count // prime, scale * size
        return count * scale

    def fixed(self, count: int) -> int:
        """The part of `count` that divides it whatever the sizes to come are."""
        for prime, _ in self.symbols:
            while count and count % prime == 0:
                count //= prime
        return count


ATTENTION = frozenset({"attention", "attention_backward"})

CPU = Target(
    name="cpu",
    claims=ATTENTION | {"index_select_backward"},
    strided_results=ATTENTION,
    op_costs={
        "div": 0.4, "sqrt": 0.4, "rsqrt": 0.8, "exp": 0.25, "exp2": 0.25, "expm1": 0.35,
        "log": 0.35, "log2": 0.35, "log1p": 0.4, "sin": 0.5, "cos": 0.5, "tan": 0.8,
        "tanh": 0.4, "sigmoid": 0.5, "erf": 0.4, "pow": 1.5, "mulhi": 0.1, "rem": 2.0,
        "mod": 2.0, "floordiv": 2.0,
    },
)  # fmt: skip
"""Two or more cores with 512-bit vectors; library calls for what BLAS does."""

_FLOP = 2e-5

CUDA = Target(
    name="cuda",
    claims=CPU.claims | {"attention_backward_stacked"},
    strided_results=CPU.strided_results | {"attention_backward_stacked"},
    byte_cost=3e-4,
    op_costs={kind: 150 * _FLOP * cost for kind, cost in CPU.op_costs.items()},
    default_op_cost=_FLOP,
    load_cost=1e-3,
    launch_cost=1500.0,
    operand_cost=5.0,
    chunk_rows=32,
    pieces=256,
    wide_columns=32768,
    chunk_elements=8192,
    column_block=32,
    most_buffers=60,
    scratch_bytes=0,
    lanes=8,
    tiles=True,
    programs=264,
    most_batched=480,  # pointers: more than 4 KB of parameters are another ABI
)
"""An H100 or H200: 3.3 TB/s, about 50 TFLOP/s in float32, 132 multiprocessors."""
