"""Containers that a call is given: a replay would hand out others with the same in them."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from typing import Any, cast

KINDS = (list, dict, deque)
"""Those that functions change, and whose identity therefore counts."""


def containers_in(value: Any) -> Iterator[Any]:
    """`value` where it is one, and all that lie in it."""
    if isinstance(value, KINDS):
        yield value
    if isinstance(value, (tuple, *KINDS)):
        held = cast("Any", value)
        parts: Iterable[Any] = held.values() if isinstance(value, dict) else held
        for part in parts:
            yield from containers_in(part)


def grows_when_read(value: Any) -> bool:
    """Whether looking for what is not there puts it in."""
    return isinstance(value, defaultdict) and cast("Any", value).default_factory is not None
