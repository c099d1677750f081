"""Parts of a module as modules of their own: what leads to a few values from others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, BlockArgument, Operation, SSAValue

from ...ir.dialects.kernel import BatchOp
from ...ir.dialects.program import LaunchOp
from ...ir.graph import NAME, WRITES, main_of, type_of
from ...ir.interpret.module import run


@dataclass(frozen=True)
class Small:
    """A module and arguments for it."""

    module: ModuleOp
    inputs: list[Any]


class Whole:
    """A module with the value of everything in `@main` on some inputs."""

    def __init__(self, module: ModuleOp, inputs: Sequence[Any]) -> None:
        self.module, self.main = module, main_of(module)
        self.ops = list(self.main.body.block.ops)[:-1]
        self.values = _all_values(module, inputs)

    def around(self, seeds: Iterable[Operation], up: int, down: int) -> list[Operation]:
        """The ops that are at most `up` steps before one of `seeds`, or `down` steps after it."""
        found = set(seeds)
        for _ in range(down):
            found |= {use.operation for op in found for r in op.results for use in r.uses}
        for _ in range(up):
            found |= {
                v.owner for op in found for v in op.operands if isinstance(v.owner, Operation)
            }
        return [op for op in self.ops if op in found]

    def cut(self, kept: Sequence[Operation], wanted: Sequence[SSAValue] | None = None) -> Small:
        """A module of the ops `kept`, which takes what these read of others, and gives `wanted`,
        by default what others or nothing in the module reads."""
        inside = set(kept)
        wanted = self.leaving(inside) if wanted is None else wanted
        read = dict.fromkeys(v for op in kept for v in op.operands if v.owner not in inside)
        given = [*read, *(v for v in dict.fromkeys(wanted) if v.owner not in inside | set(read))]
        given = list(dict.fromkeys(given))
        main = self._main(given, kept, wanted)
        kernels = _launched(kept, self.module)
        made = ModuleOp([*(k.clone() for k in kernels), main])
        made.location = self.module.location
        return Small(made, [self.values[v] for v in given])

    def leaving(self, inside: set[Operation]) -> list[SSAValue]:
        """The values that ops `inside` make and others, or none at all, read."""
        return [
            r for op in self.ops if op in inside for r in op.results
            if not any(u.operation in inside for u in r.uses)
            or any(u.operation not in inside for u in r.uses)
        ]  # fmt: skip

    def _main(
        self, given: Sequence[SSAValue], kept: Sequence[Operation], wanted: Sequence[SSAValue]
    ) -> FuncOp:
        block = Block(arg_types=[v.type for v in given])
        values: dict[SSAValue, SSAValue] = dict(zip(given, block.args, strict=True))
        for old, new in zip(given, block.args, strict=True):
            new.name_hint = old.name_hint
            owner = old.owner
            new.location = owner.location if isinstance(owner, Operation) else self.main.location
        for op in kept:
            block.add_op(op.clone(value_mapper=values))
        end = ReturnOp(*(values[v] for v in wanted))
        end.location = self.main.location
        block.add_op(end)
        main = FuncOp("main", ([v.type for v in given], [v.type for v in wanted]))
        main.body.detach_block(main.body.block)
        main.body.add_block(block)
        names = [DictionaryAttr({**self._attributes(v, i)}) for i, v in enumerate(given)]
        main.properties["arg_attrs"] = ArrayAttr(names)
        main.attributes = {k: v for k, v in self.main.attributes.items() if k != WRITES}
        main.location = self.main.location
        return main

    def _attributes(self, value: SSAValue, index: int) -> Mapping[str, Attribute]:
        known: Any = self.main.arg_attrs
        if isinstance(value, BlockArgument):
            return known.data[value.index].data if known is not None else {}
        return {NAME: StringAttr(f"cut{index}")}


def _launched(kept: Sequence[Operation], module: ModuleOp) -> list[Operation]:
    """The kernels that `kept` launch, those of batches first."""
    names = {op.kernel_name for op in kept if isinstance(op, LaunchOp)}
    for batch in module.ops:
        if isinstance(batch, BatchOp) and batch.sym_name.data in names:
            names |= {m.kernel for m in batch.members}
    named = (op for op in module.ops if not isinstance(op, FuncOp))
    return [op for op in named if op.sym_name.data in names]  # pyright: ignore


def _all_values(module: ModuleOp, inputs: Sequence[Any]) -> dict[SSAValue, Any]:
    """What everything in `@main` is: as if it all was returned."""
    main = main_of(module)
    end = main.body.block.last_op
    assert end is not None
    returned = list(end.operands)
    made = [r for op in main.body.block.ops for r in op.results]
    end.operands = made
    try:
        found = run(module, inputs)
    finally:
        end.operands = returned
    values: dict[SSAValue, Any] = dict(zip(main.args, inputs, strict=True))
    values |= {v: x.item() if type_of(v).wrapped else x for v, x in zip(made, found, strict=True)}
    return values
