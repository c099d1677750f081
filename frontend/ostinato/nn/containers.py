"""Modules that hold modules in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self, overload

from ..compiler.live import note_module
from .module import Module


class ModuleList(Module):
    """A list of modules, named "0", "1", and so on."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        self._set(list(modules))

    def _set(self, modules: list[Module]) -> None:
        for index in range(len(self)):
            delattr(self, str(index))
        for index, module in enumerate(modules):
            setattr(self, str(index), module)

    def __len__(self) -> int:
        note_module(self)
        return sum(isinstance(v, Module) for v in vars(self).values())

    def __iter__(self) -> Iterator[Module]:
        note_module(self)
        return iter([v for v in vars(self).values() if isinstance(v, Module)])

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> Module | Self:
        chosen = list(self)[index] if isinstance(index, slice) else self._at(index)
        return type(self)._of(chosen) if isinstance(chosen, list) else chosen

    def __setitem__(self, index: int, module: Module) -> None:
        self._at(index)
        setattr(self, str(index % len(self)), module)

    def __delitem__(self, index: int) -> None:
        self._at(index)
        kept = list(self)
        del kept[index]
        self._set(kept)

    def append(self, module: Module) -> Self:
        """Add `module` at the end."""
        setattr(self, str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add all of `modules` at the end."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> None:
        """Put `module` before the one at `index`."""
        changed = list(self)
        changed.insert(index, module)
        self._set(changed)

    def _at(self, index: int) -> Module:
        count = len(self)
        if not -count <= index < count:
            name = type(self).__name__
            raise IndexError(f"{name}: index {index} came; it holds {count} modules")
        return vars(self)[str(index % count)]

    @classmethod
    def _of(cls, modules: list[Module]) -> Self:
        return cls(modules)


class Sequential(ModuleList):
    """Modules applied one after the other."""

    def __init__(self, *modules: Module) -> None:
        super().__init__(modules)

    @classmethod
    def _of(cls, modules: list[Module]) -> Self:
        return cls(*modules)

    def forward(self, x: Any) -> Any:
        """The last module's result."""
        for module in self:
            x = module(x)
        return x
