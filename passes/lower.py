"""Lowering: fusions become launches of kernels, everything else calls and views.

Fusions of equal structure share one kernel, so that a model of twelve equal layers compiles the
kernels of one.

What the CPU computes for a device comes first, then one `program.upload` of what the device reads
of it, then everything else.
"""

from __future__ import annotations

from collections.abc import Hashable

from xdsl.dialects.builtin import DictionaryAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Operation, SSAValue

from ..ir.dialects.ot import ConstantOp, FusionOp, TableOp
from ..ir.dialects.ot.types import to_ir_type
from ..ir.dialects.program import CallOp, LaunchOp, ViewOp
from ..ir.dialects.program import ConstantOp as ProgramConstant
from ..ir.dtypes import BY_NAME
from ..ir.graph import HOST, main_of, writes_of
from ..ir.op import Type
from ..ir.pins import PIN
from .fusion.index import Linear
from .fusion.layouts import LAYOUTS, layouts_of, strides_in_memory
from .fusion.types import dtype_of, shape_of
from .fusion.views import Views, is_view
from .lowering.columns import lower_columns
from .lowering.fused import Fused, Kernel
from .lowering.host import Uploads
from .lowering.pointwise import lower_pointwise
from .lowering.rows import lower_rows
from .rewriter import take_lines
from .target import Shape, Target
from .trail import OFF, Trail

_LOWERINGS = {"pointwise": lower_pointwise, "rows": lower_rows, "columns": lower_columns}


def lower(module: ModuleOp, target: Target, trail: Trail = OFF) -> None:
    """Takes a module from stage `fused` to stage `kernels`."""
    lowering = _Lowering(main_of(module), target, trail)
    lowering.run()
    if not trail.done:
        lowering.erase_old()
    lowering.arrange()


class _Lowering:
    """Puts launches, calls and views in front of the ops of a block that they take the place of,
    and kernels in front of its function."""

    def __init__(self, func: FuncOp, target: Target, trail: Trail) -> None:
        self.func, self.target, self.trail = func, target, trail
        self.block = block = func.body.block
        self.old = list(block.ops)
        self.values: dict[SSAValue, SSAValue] = {a: a for a in block.args}
        self.uploads = Uploads(func)
        self.kernels: dict[Hashable, Kernel] = {}
        self.made: list[Operation] = []
        self.layouts = layouts_of(block)
        self.views = Views(block, layouts=self.layouts)
        self.writes = writes_of(func)
        self._names: dict[str, int] = {}

    def run(self) -> None:
        """Lowers one op after the other; where it stops, the rest reads what has been made."""
        for op in self.old:
            if self.trail.done:
                break
            match op:
                case FusionOp():
                    self._launch(op)
                case ConstantOp():
                    self._add(op, ProgramConstant(op.value, op.number.type))
                case ReturnOp():
                    self._add(op, ReturnOp.create(operands=self._returned(op)))
                case TableOp() if is_view(op):
                    self._view(op)
                case TableOp():
                    self._call(op)
                case _:
                    raise AssertionError(f"{op.name} is no op of stage fused")
        if self.trail.done:
            for value, new in self.values.items():
                if new is not value:
                    value.replace_all_uses_with(new)

    def erase_old(self) -> None:
        """Erases what was lowered."""
        for op in self.old:
            op.detach()
        for op in reversed(self.old):
            op.drop_all_references()

    def arrange(self) -> None:
        """Brings the ops that were made in the order in which they run."""
        if not self.uploads.host:
            return
        for op in self.made:
            op.detach()
        rest = self.block.first_op
        for op in self.uploads.arranged(self.made):
            if rest is None:
                self.block.add_op(op)
            else:
                self.block.insert_op_before(op, rest)

    def _returned(self, end: ReturnOp) -> list[SSAValue]:
        """The results. A value of the host that an argument on the device is given is uploaded."""
        values = [self.values[v] for v in end.operands]
        for r, a in self.writes:
            if end.operands[r] in self.uploads.host and self.block.args[a] not in self.uploads.host:
                values[r] = self._cloned(self._on_device(end.operands[r]))
        return values

    def _cloned(self, value: SSAValue) -> SSAValue:
        copy = CallOp.of("clone", [value], [1], DictionaryAttr({}), [value.type])
        assert isinstance(value.owner, Operation)
        copy.location = value.owner.location
        self._insert(copy)
        return copy.outputs[0]

    def _on_device(self, value: SSAValue) -> SSAValue:
        """The memory to read `value` from in a kernel."""
        made = self.values[value]
        return self.uploads.of(made) if value in self.uploads.host else made

    def _add(self, old: Operation, new: Operation) -> None:
        new.location = old.location
        self._insert(new)
        for a, b in zip(old.results, new.results, strict=False):
            self.values[a] = b
            b.name_hint = a.name_hint

    def _insert(self, op: Operation) -> None:
        self.made.append(op)
        self.block.insert_op_before(op, self.old[0])

    def _view(self, op: Operation) -> None:
        found = self.views.in_memory(op.results[0])
        if found is None:
            return  # Nothing reads it but a later view.
        base, strides, start = found
        source = self.values[base] if op.results[0] in self.uploads.host else self._on_device(base)
        self._add(op, ViewOp(source, strides, start, op.results[0].type))
        self.trail.note("view", op)

    def _call(self, op: TableOp) -> None:
        counts = [
            len(o) if isinstance(o, list) else int(o is not None)  # pyright: ignore
            for o in op.grouped_operands()
        ]
        given = DictionaryAttr(
            {k: v for k, v in op.properties.items() if k in {p.name for p in op.SCHEMA.attrs}}
        )
        scratch = self._scratch(op)
        call = CallOp.of(op.SCHEMA.name, [self.values[v] for v in op.operands], counts, given,
                      [*(r.type for r in op.results), *scratch])  # fmt: skip
        if LAYOUTS in op.attributes:
            call.give_layouts([*strides_in_memory(op), *((),) * len(scratch)])
        if HOST in op.attributes:
            call.attributes[HOST] = op.attributes[HOST]
        self._add(op, call)
        self.trail.note("call", op)

    def _scratch(self, op: TableOp) -> list[Attribute]:
        """The types of the memory that the kernels of a call need beside its results."""
        known = self.target.kernels.get(op.SCHEMA.name)
        if known is None:
            return []
        shapes: list[Shape | None] = [
            None if o is None else (dtype_of(o).name, shape_of(o))  # pyright: ignore
            for o in op.grouped_operands()
        ]
        return [to_ir_type(Type(sizes, BY_NAME[name])) for name, sizes in known.scratch(shapes)]

    def _launch(self, op: FusionOp) -> None:
        layouts: dict[SSAValue, Linear] = {
            a: self.layouts[v]
            for a, v in zip(op.body.block.args, op.inputs, strict=True) if v in self.layouts
        }  # fmt: skip
        key = structure(op, layouts)
        kernel = self.kernels.get(key)
        if kernel is None:
            fused = Fused(op, self.target, layouts)
            kernel = _LOWERINGS[fused.kind](fused, self._fresh(fused.name()))
            self.kernels[key] = kernel
            kernels = self.func.parent
            assert kernels is not None
            kernels.insert_op_before(kernel.func, self.func)
        take_lines(kernel.func, op)
        inputs = [self._on_device(op.inputs[i]) for i in kernel.inputs]
        launch = LaunchOp.of(kernel.func.sym_name.data, inputs, [r.type for r in op.results],
                             kernel.reuse)  # fmt: skip
        if PIN in op.attributes:
            launch.attributes[PIN] = op.attributes[PIN]
        self._add(op, launch)
        kind = op.attributes.get("kind")
        rewrite = kind.data if isinstance(kind, StringAttr) else "pointwise"
        self.trail.note(rewrite, op, f"ot.fusion, as kernel {kernel.func.sym_name.data}")

    def _fresh(self, name: str) -> str:
        number = self._names.get(name, 0)
        self._names[name] = number + 1
        return f"{name}_{number}"


def structure(op: FusionOp, layouts: dict[SSAValue, Linear]) -> Hashable:
    """Equal for fusions that the same kernel computes."""
    block = op.body.block
    numbers: dict[SSAValue, int] = {}
    about = {name: a for name, a in op.attributes.items() if name != PIN}
    parts: list[Hashable] = [tuple(sorted(about.items()))]
    for a in block.args:
        numbers[a] = len(numbers)
        parts.append((a.type, layouts.get(a)))
    for inner in block.ops:
        operands = tuple(numbers[v] for v in inner.operands)
        # Attributes do not tell 0.0 from -0.0.
        text = repr(inner.python_value) if isinstance(inner, ConstantOp) else ""
        parts.append((inner.name, operands, text or tuple(inner.properties.items())))
        for r in inner.results:
            numbers[r] = len(numbers)
            parts.append(r.type)
    return tuple(parts)
