"""What became of a compiled function: regions, breaks, kernels, memory, and what did not fuse."""

from .facts import Kernel, Memory, Program, Unfused
from .kernels import KernelCode, Kernels
from .report import Break, Explanation, Followed, Region

__all__ = [
    "Break", "Explanation", "Followed", "Kernel", "KernelCode", "Kernels", "Memory",
    "Program", "Region", "Unfused",
]  # fmt: skip
