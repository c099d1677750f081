"""The table that compiled kernels are tested by: every kernel, with what NumPy says it stores."""

import kernel_accesses
import kernel_pointwise
import kernel_reductions
from kernel_table import CASES

__all__ = ["CASES"]

assert kernel_pointwise and kernel_reductions and kernel_accesses
