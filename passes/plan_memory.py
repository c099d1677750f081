"""Memory: every tensor of a region gets a place, so that the peak is known before the region runs.

Intermediates lie at fixed offsets of one arena. Results lie in fresh memory, or where they are
written back in that of their argument, if nothing reads its old elements later. A kernel that reads
an element only where it stores one writes over an operand that dies with it. What the CPU computes
for a device has memory of its own there, and the device's copies lie in the arena side by side.
"""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp

from ..ir.dialects.integers import integer_attribute
from ..ir.graph import main_of
from ..ir.interpret.program import ARENA, HOST_BYTES
from .memory.emit import Emitting
from .memory.place import place
from .memory.plan import Plan
from .trail import OFF, Trail


def plan_memory(module: ModuleOp, reuse: bool = True, trail: Trail = OFF) -> int:
    """Takes a module from stage `kernels` to stage `planned`; returns the bytes of the arena.

    Without `reuse` no byte serves two values, so that a checker of memory can tell them apart.
    Where it has to stop, what is not placed by then lies apart from all else.
    """
    func = main_of(module)
    plan = Plan(module, func, trail)
    plan.run()
    if not reuse:
        for block in plan.blocks:
            block.start, block.end = 0, len(plan.ops)
    size = place([b for b in plan.blocks if b.kind == "arena"], plan.shares)
    on_host = place([b for b in plan.blocks if b.kind == "host"], plan.shares)
    Emitting(func, plan).run()
    func.attributes[ARENA] = integer_attribute(size)
    if on_host:
        func.attributes[HOST_BYTES] = integer_attribute(on_host)
    return size
