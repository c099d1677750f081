"""Loads and stores: offsets from affine maps, masks of tiles, and what is known of memory.

A load of an element that this program has loaded or stored already is that value, until a store
to the same storage intervenes. Threads of a program see each other's stores only after a barrier.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from xdsl.ir import Operation, SSAValue
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineSymExpr,
)

from ....ir.dialects.kernel import BufferType, FuncOp, LoadOp, LocalOp, StoreOp
from ....ir.dialects.kernel.types import value_type
from ....ir.dtypes import DType
from ....ir.errors import CompileError
from ....ir.locations import lines_of
from .convert import held_type
from .integers import alike, is_natural
from .nodes import AND, ATOM, LOOSE, NO_AXES, SUM, Axes, Node, Store, Writer, literal
from .scalar import compare, natural_quotient, signless
from .streams import Access, aliases, place_of, written_in

ROWS, LANES = "rows", "lanes"
"""The axes of a tile. Only lanes of one vector axis exist at a time."""

POINTERS = {
    "i1": "i8", "ui8": "i8", "i8": "i8", "i16": "i16", "i32": "i32", "i64": "i64",
    "f16": "fp16", "bf16": "bf16", "f32": "fp32", "f64": "fp64",
}  # fmt: skip
"""What Triton's signatures call elements in memory; a bool is a byte that is 0 or 1."""


def dtype_of(buffer: SSAValue) -> DType:
    """The element type of a buffer."""
    assert isinstance(buffer.type, BufferType)
    return buffer.type.dtype


def source_lines(op: Operation) -> str:
    """The user's lines that an op comes from: `models.py:60, 61; step.py:7`."""
    files: dict[str, list[str]] = {}
    for x in lines_of(op.location):
        files.setdefault(x.filename.data.rpartition("/")[2], []).append(str(x.line.data))
    return "; ".join(f"{name}:{', '.join(lines)}" for name, lines in files.items())


@dataclass
class Shape:
    """The open tile: its axes in order with the names of their sizes, and which elements exist.

    `bounds` holds the mask of each axis that has one.
    """

    sizes: dict[str, str] = field(default_factory=dict[str, str])
    bounds: dict[str, Node] = field(default_factory=dict[str, Node])
    is_matrix: bool = False

    def text(self, axes: Axes) -> str:
        """The shape of a value that varies along `axes`: `[ROWS, 1]`."""
        if not self.is_matrix:
            return f"[{self.sizes[LANES]}]" if LANES in axes else "[]"
        return "[" + ", ".join(self.sizes[a] if a in axes else "1" for a in (ROWS, LANES)) + "]"


class Memory:
    """Accesses of one kernel, and what they tell about later ones."""

    def __init__(
        self, w: Writer, func: FuncOp, shape: Shape, pointers: dict[SSAValue, Node]
    ) -> None:
        self.w, self.shape, self.pointers = w, shape, pointers
        self.storage = aliases(func)
        self.written = {self.storage.get(b, b) for b in written_in([func])}
        self.versions: dict[SSAValue, int] = {}
        self.loaded: dict[SSAValue, set[Hashable]] = {}
        self.stored: set[SSAValue] = set()

    def load(self, op: LoadOp, indices: Sequence[Node], mask: Node | None,
             other: Node | None) -> Node:  # fmt: skip
        """The value of a `kernel.load`."""
        offset = self.offset(op, indices)
        if isinstance(op.buffer.owner, LocalOp):
            return self._recall(op.buffer, offset)
        storage = self.storage[op.buffer]
        wanted = self._wanted(offset.axes, mask)
        key = ("load", op.buffer, self.versions.get(storage, 0), offset, wanted, other)
        known = self.w.known(_literal_key(key))
        if known is None:
            self._see(storage, op)
            known = self._loaded(op, offset, mask, wanted, other)
            depth = self.w.depth if storage in self.written else known.depth
            self.w.frames[depth].known[_literal_key(key)] = known
        return known

    def _loaded(self, op: LoadOp, offset: Node, mask: Node | None, wanted: Node | None,
                other: Node | None) -> Node:  # fmt: skip
        dtype = dtype_of(op.buffer)
        axes = offset.axes | (mask.axes if mask else NO_AXES)
        place, operands = self._place(op.buffer, offset, axes)
        if wanted is not None:
            operands.append(wanted)
            place += f", mask={{{len(operands) - 1}:t}}"
        if mask is not None and other is not None:
            operands.append(other)
            place += f", other={{{len(operands) - 1}:t}}"
        held = "int8" if dtype.ir == "i1" else held_type(value_type(dtype))
        fixed = self.storage[op.buffer] in self.written
        depth = max([self.w.depth if fixed else 0, *(n.depth for n in operands)])
        hint = self.pointers[op.buffer].hint
        node = Node(f"tl.load({place})", tuple(operands), held, axes, hint=hint, named=True,
                    ranks=self._ranks(len(operands), place))  # fmt: skip
        self.w.place(node, depth)
        if dtype.ir != "i1":
            return node
        node.hint = f"{hint}_byte"
        return compare(self.w, "!=", node, literal(0, "int8"), hint)

    def store(self, op: StoreOp, value: Node, indices: Sequence[Node], mask: Node | None) -> None:
        """Writes a `kernel.store`."""
        offset = self.offset(op, indices)
        if isinstance(op.buffer.owner, LocalOp):
            self._keep(op.buffer, offset, value)
            return
        self.put(op, value, offset, mask)

    def put(self, op: StoreOp, value: Node, offset: Node, mask: Node | None) -> None:
        """Stores `value` where `op` does."""
        storage = self.storage[op.buffer]
        self._see(storage, op)
        axes = offset.axes | value.axes | (mask.axes if mask else NO_AXES)
        wanted = self._wanted(axes, mask)
        place, operands = self._place(op.buffer, offset, axes)
        operands.append(value)
        place += f", {{{len(operands) - 1}:t}}"
        if wanted is not None:
            operands.append(wanted)
            place += f", mask={{{len(operands) - 1}:t}}"
        lines = source_lines(op)
        self.w.frames[-1].items.append(Store(f"tl.store({place})", tuple(operands), lines))
        version = self.versions[storage] = self.versions.get(storage, 0) + 1
        if mask is None:
            key = ("load", op.buffer, version, offset, self._wanted(offset.axes, None), None)
            self.w.note(_literal_key(key), value)

    def offset(self, op: Access, indices: Sequence[Node]) -> Node:
        """The element that an access touches."""
        dims = op.map.data.num_dims
        return self._affine(op.map.data.results[0], indices[:dims], indices[dims:])

    def _affine(self, expr: AffineExpr, dims: Sequence[Node], symbols: Sequence[Node]) -> Node:
        match expr:
            case AffineConstantExpr():
                return literal(expr.value, "int64")
            case AffineDimExpr():
                return dims[expr.position]
            case AffineSymExpr():
                return symbols[expr.position]
            case AffineBinaryOpExpr(kind=AffineBinaryOpKind.Add):
                parts = [self._affine(e, dims, symbols) for e in _summands(expr)]
                return self._sum(parts)
            case AffineBinaryOpExpr():
                left, right = (self._affine(e, dims, symbols) for e in (expr.lhs, expr.rhs))
                return self._scaled(expr.kind, left, right)
            case _:
                raise AssertionError(f"{expr} is no affine expression")

    def _sum(self, parts: list[Node]) -> Node:
        """The sum of `parts`, what varies least first: so that it is made outside of loops."""
        fixed = sum(int(p.number or 0) for p in parts if p.is_literal)
        varying = [p for p in parts if not p.is_literal]
        varying.sort(key=lambda p: (p.depth, len(p.axes), LANES in p.axes))
        if not varying:
            return literal(fixed, "int64")
        total = varying[0]
        for part in varying[1:]:
            total = signless(self.w, "+", total, part, "int64")
        if fixed:
            symbol, by = "+" if fixed > 0 else "-", literal(abs(fixed), "int64")
            total = signless(self.w, symbol, total, by, "int64")
        return total

    def _scaled(self, kind: AffineBinaryOpKind, a: Node, b: Node) -> Node:
        if kind is AffineBinaryOpKind.Mul:
            a, b = (b, a) if a.is_literal else (a, b)
            return a if b.number == 1 else signless(self.w, "*", a, b, "int64")
        if kind is AffineBinaryOpKind.CeilDiv:
            less = signless(self.w, "-", b, literal(1, "int64"), "int64")
            a = signless(self.w, "+", a, less, "int64")
        symbol = "%" if kind is AffineBinaryOpKind.Mod else "//"
        if a.is_literal and b.is_literal:
            number, by = int(a.number or 0), int(b.number or 0)
            return literal(number % by if symbol == "%" else number // by, "int64")
        if is_natural(a) and b.low is not None and b.low > 0:
            return natural_quotient(self.w, symbol, a, b)
        return self._floored(symbol, *alike(self.w, a, b))

    def _floored(self, symbol: str, a: Node, b: Node) -> Node:
        down = self.w.function("floor_divide", [a, b], a.held)
        if symbol == "//":
            return down
        back = signless(self.w, "*", down, b, "int64")
        return signless(self.w, "-", a, back, "int64")

    def _place(self, buffer: SSAValue, offset: Node, axes: Axes) -> tuple[str, list[Node]]:
        """The text of a pointer, for all of `axes`, and its operands."""
        pointer = self.pointers[buffer]
        if offset.is_literal and not offset.number:
            text, operands = "{0}", [pointer]
        else:
            text, operands = "{0} + {1}", [pointer, offset]
        if axes != offset.axes:
            text = f"tl.broadcast_to({text}, {self.shape.text(axes)})"
        return text, operands

    def _ranks(self, count: int, place: str) -> tuple[int, ...]:
        first = (ATOM, SUM) if "{0} + {1}" in place else (LOOSE,)
        return (*first, *([LOOSE] * (count - len(first))))

    def _wanted(self, axes: Axes, mask: Node | None) -> Node | None:
        """Which elements of a tile over `axes` are touched; None for all."""
        tests = [
            self.shape.bounds[a] for a in (ROWS, LANES) if a in axes and a in self.shape.bounds
        ]
        if mask is not None:
            tests.append(mask)
        if not tests:
            return None
        whole = tests[0]
        for test in tests[1:]:
            whole = self.w.infix("&", whole, test, "int1", AND, hint="mask")
        return whole

    def _keep(self, buffer: SSAValue, offset: Node, value: Node) -> None:
        version = self.versions[buffer] = self.versions.get(buffer, 0) + 1
        self.w.note(_literal_key(("local", buffer, version, offset)), value)

    def _recall(self, buffer: SSAValue, offset: Node) -> Node:
        version = self.versions.get(buffer, 0)
        known = self.w.known(_literal_key(("local", buffer, version, offset)))
        if known is None:
            raise CompileError(
                "triton: scratch is read at other elements than were stored last; "
                "store them in an output"
            )
        return known

    def _see(self, storage: SSAValue, op: Access) -> None:
        """Puts a barrier before `op` where it needs what another thread may not have done yet."""
        if storage not in self.written:
            return
        place = _place_in_storage(op)
        if isinstance(op, LoadOp):
            if storage in self.stored:
                self.barrier()
            self.loaded.setdefault(storage, set()).add(place)
        else:
            if self.loaded.get(storage, set()) - {place}:
                self.barrier()
            self.stored.add(storage)

    def barrier(self) -> None:
        """All threads of the program wait for each other."""
        self.w.frames[-1].items.append(Store("tl.debug_barrier()"))
        self.loaded.clear()
        self.stored.clear()

    def enter(self, loop: Operation) -> None:
        """Forgets what the iterations of a loop may change; called before and after its body."""
        for buffer in written_in([loop]):
            storage = self.storage.get(buffer, buffer)
            self.versions[storage] = self.versions.get(storage, 0) + 1

    def settle(self, loop: Operation, index: SSAValue, without: AbstractSet[Access]) -> bool:
        """Before a loop: a barrier where it touches what was touched before. True where an
        iteration may touch what another one stored, so that each must end in a barrier. The
        accesses in `without` are not made."""
        every = [o for o in loop.walk() if isinstance(o, (LoadOp, StoreOp))]
        accesses = [o for o in every if o not in without]
        places: dict[SSAValue, set[Hashable]] = {}
        shared, stored = set[SSAValue](), set[SSAValue]()
        for op in accesses:
            storage = self.storage.get(op.buffer)
            if storage is None or storage not in self.written:
                continue
            places.setdefault(storage, set()).add(_place_in_storage(op))
            if isinstance(op, StoreOp):
                stored.add(storage)
            elif index not in op.indices:
                shared.add(storage)
        if any(s in self.stored or (s in stored and s in self.loaded) for s in places):
            self.barrier()
        return any(len(places[s]) > 1 or s in shared for s in stored)


def _place_in_storage(op: Access) -> Hashable:
    """Equal for accesses of the same elements, of whichever of the buffers that may be one."""
    return place_of(op)[1:]


def _summands(expr: AffineExpr) -> list[AffineExpr]:
    if isinstance(expr, AffineBinaryOpExpr) and expr.kind is AffineBinaryOpKind.Add:
        return [*_summands(expr.lhs), *_summands(expr.rhs)]
    return [expr]


def _literal_key(key: tuple[object, ...]) -> tuple[object, ...]:
    """A key in which equal literals are equal."""
    return tuple(
        (repr(k.number), k.held) if isinstance(k, Node) and k.is_literal else k for k in key
    )
