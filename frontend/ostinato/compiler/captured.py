"""A region as an IR module at stage `captured`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xdsl.dialects.builtin import ModuleOp, StringAttr, UnitAttr
from xdsl.ir import Attribute

from ..ir.graph import HOST, NAME, GraphTensor, close_main, open_main
from ..ir.locations import line_location
from ..ir.op import OPS, Type, building
from ..ir.pins import pin_attribute
from ..passes.pipeline import uncollected
from ..runtime import _C
from .region import Node, Region


def to_module(region: Region) -> ModuleOp:
    """The region as a module.

    Of a differentiable region it also takes the cotangents of its results, after the inputs, and
    gives those of its inputs, after the results.
    """
    writer = _Writer(region)
    with building(writer.builder), uncollected():
        for node in region.nodes:
            writer.add(node)
        results = writer.results()
    close_main(writer.module, results, region.writes, writer.start)
    return writer.module


class _Writer:
    """A module being written, and what stands in it for values of the trace, by their number."""

    def __init__(self, region: Region) -> None:
        self.region = region
        self.start = line_location(*region.start)
        self.outputs = [region.results[i] for i in region.ties.results]
        types = [self._type(v) for v in (*region.inputs, *self.outputs)]
        self.module, self.builder, arguments = open_main(
            types, self._attributes(), [self.start] * len(types)
        )
        self.builder.location = self.start
        self.cotangents = arguments[len(region.inputs) :]
        self.made = dict(zip(region.inputs, arguments, strict=False))

    def _type(self, value: int) -> Type:
        _, dtype, shape, wrapped, *_ = self.region.values[value]
        return Type(tuple(shape), dtype, wrapped)

    def _attributes(self) -> list[dict[str, Attribute]]:
        """Those of each argument: its name, and whether the CPU holds it."""
        region = self.region
        names = region.names + [f"gradient{i}" for i in region.ties.results]
        found: list[dict[str, Attribute]] = [{NAME: StringAttr(name)} for name in names]
        for attributes, hosted in zip(found, region.on_host, strict=False):
            if hosted:
                attributes[HOST] = UnitAttr()
        return found

    def add(self, node: Node) -> None:
        """Writes the ops of a node."""
        if node.line is not None:
            self.builder.location = line_location(*node.line)
        self.builder.pin = pin_attribute(node.pin)
        given = [self._value(v) for v in node.operands]
        self.made.update(zip(node.results, self._results_of(node, given), strict=True))

    def results(self) -> list[Any]:
        """What the region hands over, and the gradients of its inputs."""
        self.builder.pin = None
        handed = [self._value(v) for v in self.region.results]
        if self.outputs:
            self.builder.location = self.start
            wanted = [self.made[self.region.inputs[i]] for i in self.region.ties.wanted]
            outputs = [self.made[v] for v in self.outputs]
            handed += self.builder.gradient(outputs, self.cotangents, wanted)
        return handed

    def _value(self, value: int) -> GraphTensor | None:
        if value < 0:
            return None
        if value not in self.made:
            kind, _, _, _, tensor, _ = self.region.values[value]
            assert kind == "number", f"value {value} of the trace is used before it is made"
            self.made[value] = self.builder.constant(_C.item_now(tensor))
        return self.made[value]

    def _results_of(self, node: Node, given: list[Any]) -> Sequence[Any]:
        if node.name is None:
            return self.builder.gradient(given[:1], given[1:2], given[2:])
        op = OPS[node.name]
        attrs = {p.name: v for p, v in zip(op.attrs, node.attrs, strict=True)}
        made = self.builder.apply_op(op, op.grouped(given), attrs)
        results: list[Any] = [*made] if isinstance(made, tuple) else [made]
        if node.no_grad and op.vjp_rule is not None and not op.name.endswith("_step"):
            results = [OPS["detach"](r) if r.dtype.is_floating_point else r for r in results]
        return results
