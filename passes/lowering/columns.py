"""Column fusions: vectors of columns, each adding up its run of rows, and ops on the sums."""

from __future__ import annotations

from ..fusion.index import identity, normal
from .fused import Fused, Kernel, divisor_near, store_all, through
from .rows import lower_rows
from .space import Axis


def lower_columns(fused: Fused, name: str) -> Kernel:
    """The kernel of a fusion with column reductions and none of rows."""
    columns = _Columns(fused, name)
    return lower_rows(fused, name) if columns.is_streamed else columns.build()


class _Columns:
    def __init__(self, fused: Fused, name: str) -> None:
        self.fused, self.name = fused, name
        self.length, self.runs = fused.attribute("length"), fused.attribute("outer")
        self.size = fused.size
        self.folded = self.size // (self.length * self.runs)
        self.full = identity(self.size)
        self.column = normal(0, [
            (1, self.length, 1), (self.length * self.folded, self.runs, self.length)])  # fmt: skip
        self.full_outputs = [o for o in fused.outputs if o.size == self.size]
        self.column_outputs = [o for o in fused.outputs if o.size != self.size]

    @property
    def is_streamed(self) -> bool:
        """True where reading whole rows is better than reading blocks of columns."""
        after = any(o.node is None or not o.node.is_reduction for o in self.column_outputs)
        target = self.fused.target
        length, runs = target.typical(self.length), target.typical(self.runs)
        many = runs >= 8 and target.typical(self.folded) * length >= 4096
        return many and not after and length >= target.column_block and not target.tiles

    def build(self) -> Kernel:
        items = self.fused.items(self.length)
        for o in self.full_outputs:
            items.add(o.value, through(o.link, self.full))
        for o in self.column_outputs:
            items.add(o.value, through(o.link, self.column))
        nodes = list(items.folds)
        block = self._block()
        blocks = self.length // block
        grain = self.fused.grain(items, block * self.folded)
        b, emission = self.fused.open(self.name, items, self.runs * blocks, grain=grain)
        axes = emission.space.axes
        run = self.length * self.folded
        axes.append(Axis(b.index, run, self.runs, 0, divisor=blocks))
        whole = self.runs == 1
        axes.append(Axis(b.index, block, blocks, 0, whole=whole))
        with emission.loop(block, 1, vector=True, unroll=4 if self._is_wide(block) else None):
            depth = emission.depth
            with emission.reduce([n.combiner for n in nodes], self.folded, self.length) as sums:
                given = [emission.element(n, self.full) for n in nodes]
                store_all(emission, self.full_outputs, self.full)
                sums.give(*given)
            emission.phase = 1
            for node, ssa in zip(nodes, sums.results, strict=True):
                emission.keep(node.result, self.column, ssa, depth)
            store_all(emission, self.column_outputs, self.column)
        return self.fused.close(b, emission)

    def _is_wide(self, block: int) -> bool:
        return self.fused.target.typical(block) >= 64

    def _block(self) -> int:
        """The columns that one iteration of the parallel axis takes."""
        target = self.fused.target
        wanted = target.column_block
        if target.tiles:
            wanted *= 4
            while (
                wanted > target.column_block
                and target.typical(self.runs * self.length) < wanted * target.programs
            ):
                wanted //= 2
        if target.typical(self.length) <= wanted:
            return self.length
        block = divisor_near(target.fixed(self.length), wanted, 4 * wanted)
        return block if block >= 16 else self.length
