"""Layouts of what calls give: written in the order in which it is read, where the kernel can."""

from __future__ import annotations

from xdsl.ir import Block, SSAValue

from .fusion_views import Views
from .target import Target

Strides = tuple[int, ...]


def result_layouts(block: Block, views: Views, target: Target) -> dict[SSAValue, Strides]:
    """Strides in memory for results of calls that are better not row-major."""
    return {}



