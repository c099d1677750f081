"""Pins: what the user wants fused and what apart, as an attribute of the ops that this is about.

A pin is a number: the ops of a positive one are to be one kernel, those of a negative one stay
apart from all others; no two blocks of the user's code have the same.
"""

from __future__ import annotations

from xdsl.dialects.builtin import IntegerAttr
from xdsl.ir import Attribute, Operation

from .dialects.integers import integer_attribute

PIN = "ot.pin"


def pin_attribute(pin: int) -> Attribute | None:
    """The attribute for a pin, None for none."""
    return integer_attribute(pin) if pin else None


def pin_of(op: Operation) -> int:
    """The pin of an op, 0 for none."""
    found = op.attributes.get(PIN)
    return found.value.data if isinstance(found, IntegerAttr) else 0
