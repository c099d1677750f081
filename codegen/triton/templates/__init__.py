"""Hand-written Triton kernels for ops that are launched instead of called."""

from __future__ import annotations

from collections.abc import Mapping

from .attention import ATTENTION, ATTENTION_BACKWARD, ATTENTION_BACKWARD_STACKED
from .call import Template

TEMPLATES: Mapping[str, Template] = {
    "attention": ATTENTION,
    "attention_backward": ATTENTION_BACKWARD,
    "attention_backward_stacked": ATTENTION_BACKWARD_STACKED,
}
"""By name of the op."""
