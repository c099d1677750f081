"""Attributes read of what no name leads to: guarded of every object that the function met.

`pick(x).on` and `for o in found: o.on` read `on` of something that the bytecode does not show. It
is among what the capture met otherwise: arguments, globals, closures, what containers hold, and
what attributes lead to. So the attributes of these names are guarded of all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from ..runtime import _C
from .bytecode import Chain, Loose, Position
from .lookup import VALUES, is_module, is_of_package, kind_of, own_attributes


@dataclass
class Met:
    """Objects that a capture met, and the names that it reads of any of them."""

    objects: dict[int, Any] = field(default_factory=dict[int, Any])
    places: dict[str, list[tuple[CodeType, Position]]] = field(default_factory=dict[str, Any])
    """Where attributes of each name are read."""
    asked: set[str] = field(default_factory=set[str])
    """Names of attributes that may not be there."""
    _of_classes: dict[Any, list[str]] = field(default_factory=dict[Any, Any])

    def add(self, value: Any) -> None:
        """Something that user code came by."""
        if not isinstance(value, (_C.Tensor, *VALUES)) and (
            is_module(value) or not is_of_package(value)
        ):
            self.objects.setdefault(id(value), value)

    def note(self, code: CodeType, read: Loose | Chain) -> None:
        """An attribute is read of something that cannot be told; or a chain could not be followed
        to its end."""
        name = read.name if isinstance(read, Loose) else read.steps[-1][1]
        if isinstance(name, str):
            self.places.setdefault(name, []).append((code, read.position))
        if isinstance(read, Loose) and read.asked:
            self.asked.add(read.name)

    def look_at_all(self, look_at: Callable[[Any, str], None]) -> None:
        """Calls `look_at` for each object and name that may have been read of it; what that meets
        is looked at as well."""
        done = 0
        while done < len(self.objects):
            every = list(self.objects.values())
            for value in every[done:]:
                for name in self._names_in(value):
                    look_at(value, name)
            done = len(every)

    def _names_in(self, value: Any) -> set[str]:
        own = own_attributes(value)
        names = {name for name in self.places if name in own} | self.asked
        names.update(self._names_of(kind_of(value)))
        return names.union(self._names_of(value)) if isinstance(value, type) else names

    def _names_of(self, kind: Any) -> list[str]:
        """Those that a class, or one above it, has."""
        if kind not in self._of_classes:
            spaces: list[Any] = [vars(k) for k in kind.__mro__ if k is not object]
            found = [n for n in self.places if any(n in space for space in spaces)]
            self._of_classes[kind] = found
        return self._of_classes[kind]
