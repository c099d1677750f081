"""Values of the graph dialect as tensors of the op table: applying an op builds an IR op.

module, builder, (x, y) = open_main([Type((2, 3), float32)] * 2, locations=[at, at])
with building(builder):
    z = softmax(x * y, dim=-1)
close_main(module, [z])
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from xdsl.dialects.builtin import (
    UNKNOWN_LOC,
    ArrayAttr,
    DenseArrayBase,
    DictionaryAttr,
    LocationAttr,
    ModuleOp,
    StringAttr,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, SSAValue

from .dialects.integers import SEGMENTS, integers_attribute, segment_sizes
from .dialects.ot import ConstantOp, GradientOp, class_of, has_segments
from .dialects.ot.types import to_ir_type, to_property, to_table_type
from .op import Builder, Op, Type, Value, is_list
from .pins import PIN

NAME, WRITES, SHARES = "ot.name", "ot.writes", "ot.shares"
"""The argument attribute with a tensor's name; the function attributes with what is written back,
and that says that a result may be the very argument that it equals."""

HOST = "ot.host"
"""In a region for a device that the CPU drives: the attribute of arguments that lie in the CPU's
memory, and of ops that the CPU computes before the device starts."""


def type_of(value: SSAValue) -> Type:
    """Shape, dtype and wrappedness of an IR value."""
    return to_table_type(value.type)


class GraphTensor(Value):
    """An IR value; ops on it are inserted where its builder stands. Equal if the value is."""

    __slots__ = ("builder", "dtype", "shape", "value", "wrapped")

    def __init__(self, value: SSAValue, builder: GraphBuilder, type_: Type | None = None) -> None:
        type_ = type_ or to_table_type(value.type)
        self.value, self.builder = value, builder
        self.shape, self.dtype, self.wrapped = type_.shape, type_.dtype, type_.wrapped

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GraphTensor) and self.value is other.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return f"GraphTensor({self.value.type})"

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        """The result, or the tuple of results, of the new IR op."""
        return self.builder.apply_op(op, operands, attrs)


class GraphBuilder(Builder):
    """Inserts ops at the end of `block`, or before an op of it, with the location it holds."""

    def __init__(
        self, block: Block, location: LocationAttr = UNKNOWN_LOC, before: Operation | None = None
    ) -> None:
        self.block, self.location, self.before = block, location, before
        self.pin: Attribute | None = None  # see `pins`
        self._constants: dict[tuple[type, bytes | int], SSAValue] = {}
        self._newest: Operation | None = None

    def insert(self, op: Operation) -> None:
        """Puts `op` at the insertion point, with the current location if it has none."""
        if op.location == UNKNOWN_LOC:
            op.location = self.location
        if self.pin is not None:
            op.attributes[PIN] = self.pin
        if self.before is None:
            self.block.add_op(op)
        else:
            self.block.insert_op_before(op, self.before)

    def wrap(self, value: SSAValue) -> GraphTensor:
        """`value` as a tensor on which ops build here."""
        return GraphTensor(value, self)

    def constant(self, value: bool | int | float) -> GraphTensor:
        """A Python number as a value: one `ot.constant` at the start of the block for each."""
        key = (type(value), struct.pack("d", value) if isinstance(value, float) else value)
        known = self._constants.get(key)
        if known is None or known.owner.parent is not self.block:
            op = ConstantOp.of(value)
            op.location = self.location
            self._constants[key] = known = op.number
            self._insert_first(op)
        return GraphTensor(known, self)

    def _insert_first(self, constant: Operation) -> None:
        """At the start of the block, where it dominates every later use; in order of creation."""
        newest, first = self._newest, self.block.first_op
        if newest is not None and newest.parent is self.block:
            self.block.insert_op_after(constant, newest)
        elif first is not None:
            self.block.insert_op_before(constant, first)
        else:
            self.block.add_op(constant)
        self._newest = constant

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        """The result, or the tuple of results, of `op` on tensors and numbers.

        Raises ShapeError or DTypeError where the operands do not fit.
        """
        lifted = [self._lift(o) for o in operands]
        types = op.infer(lifted, attrs)
        made = self._create(op, lifted, attrs, types)
        results = tuple(GraphTensor(r, self, t) for r, t in zip(made.results, types, strict=True))
        return results[0] if len(results) == 1 else results

    def _lift(self, operand: Any) -> Any:
        if isinstance(operand, (bool, int, float)):
            return self.constant(operand)
        if is_list(operand):
            return [self._lift(o) for o in operand]
        assert operand is None or isinstance(operand, GraphTensor), f"{operand!r} is no IR value"
        return operand

    def _create(
        self, op: Op, operands: Sequence[Any], attrs: Mapping[str, Any], types: Sequence[Type]
    ) -> Operation:
        flat: list[SSAValue] = []
        sizes: list[int] = []
        for o in operands:
            part = o if is_list(o) else () if o is None else (o,)
            sizes.append(len(part))
            flat += [v.value for v in part]
        properties = {
            p.name: to_property(p.kind, attrs[p.name])
            for p in op.attrs
            if attrs[p.name] is not None
        }
        if has_segments(op):
            properties[SEGMENTS] = segment_sizes(sizes)
        made = class_of(op.name).create(
            operands=flat, result_types=[to_ir_type(t) for t in types], properties=properties,
            location=self.location,
        )  # fmt: skip
        self.insert(made)
        return made

    def gradient(
        self,
        outputs: Sequence[GraphTensor],
        cotangents: Sequence[GraphTensor],
        wrt: Sequence[GraphTensor],
    ) -> list[GraphTensor]:
        """`ot.gradient`: the cotangents of `wrt`, each of its value's type."""
        op = GradientOp(*([v.value for v in part] for part in (outputs, cotangents, wrt)))
        self.insert(op)
        return [GraphTensor(r, self) for r in op.results]


def open_main(
    arguments: Sequence[Type],
    attributes: Sequence[Mapping[str, Attribute]] = (),
    locations: Sequence[LocationAttr] = (),
) -> tuple[ModuleOp, GraphBuilder, list[GraphTensor]]:
    """A module with an unfinished `func.func @main`, a builder in it, and its arguments.

    `attributes` and `locations` are those of the arguments, one for each or none at all.
    """
    types = [to_ir_type(t) for t in arguments]
    given = ArrayAttr([DictionaryAttr(dict(a)) for a in attributes])
    func = FuncOp("main", (types, []), arg_attrs=given if any(attributes) else None)
    for argument, location in zip(func.args, locations, strict=False):
        argument.location = location
    for argument, names in zip(func.args, attributes, strict=False):
        name = names.get(NAME)
        if isinstance(name, StringAttr):
            argument.name_hint = _hint(name.data)
    builder = GraphBuilder(func.body.block)
    values = [GraphTensor(a, builder, t) for a, t in zip(func.args, arguments, strict=True)]
    return ModuleOp([func]), builder, values


def _hint(name: str) -> str:
    plain = "".join(c if c.isascii() and c.isalnum() else "_" for c in name)
    return plain if plain[:1].isalpha() else f"v{plain}"


def close_main(
    module: ModuleOp,
    results: Iterable[GraphTensor],
    writes: Sequence[tuple[int, int]] = (),
    location: LocationAttr = UNKNOWN_LOC,
) -> None:
    """Ends the module's `@main`. `writes`: (result index, index of the argument that is given the
    result's elements at the end)."""
    func = main_of(module)
    end = ReturnOp.create(operands=[r.value for r in results])
    end.location = func.location = module.location = location
    func.body.block.add_op(end)
    func.update_function_type()
    if writes:
        pairs = [integers_attribute(pair) for pair in writes]
        func.attributes[WRITES] = ArrayAttr(pairs)


def main_of(module: ModuleOp) -> FuncOp:
    """The function of a captured region."""
    func = module.body.block.first_op
    while func is not None and not isinstance(func, FuncOp):
        func = func.next_op
    assert func is not None, "the module has no func.func"
    return func


def is_host_argument(func: FuncOp, index: int) -> bool:
    """Whether an argument lies in the memory of the CPU that drives the region's device."""
    given: Any = func.arg_attrs
    return given is not None and HOST in given.data[index].data


def shares_arguments(func: FuncOp) -> bool:
    """Whether a result may lie in the memory of an argument that nothing is written to."""
    return SHARES in func.attributes


def writes_of(func: FuncOp) -> list[tuple[int, int]]:
    """(result index, argument index) for each result that is written back."""
    given: Any = func.attributes.get(WRITES, ())
    pairs = [p.get_values() for p in given if isinstance(p, DenseArrayBase)]
    return [(int(r), int(a)) for r, a in pairs]
