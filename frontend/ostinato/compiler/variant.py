"""One compiled form of a function: what it was captured for, and how to replay it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..runtime import _C
from .padding.replays import PaddedReplays
from .region import Region

if TYPE_CHECKING:
    from .built import Built
    from .check import Check


@functools.cache
def optree() -> Any:
    """The library of argument trees, loaded when first needed."""
    import optree

    # For good: functions see the order of what they are given.
    _settings.enter_context(optree.dict_insertion_ordered(True, namespace=_TREES["namespace"]))
    return optree


_settings = ExitStack()
_TREES: dict[str, Any] = {"none_is_leaf": True, "namespace": "ostinato"}


def flattened(tree: Any) -> tuple[list[Any], Any]:
    """The leaves of nested containers, None among them, and the structure."""
    return optree().tree_flatten(tree, **_TREES)


def mapped(fn: Callable[[Any], Any], tree: Any) -> Any:
    """The same containers with `fn` of each leaf."""
    return optree().tree_map(fn, tree, **_TREES)


@dataclass(repr=False)
class Variant:
    """A region with its Programs; `structure` is that of what the function returns."""

    built: Built
    structure: Any
    objects: list[Any] = field(default_factory=list[Any])  # given by id, which stays theirs
    check: Check | None = None

    def __post_init__(self) -> None:
        padding = self.built.padding
        self.replays: Any = (
            _C.Replay(self.built.program, self.region)
            if padding is None
            else PaddedReplays(self.built.program, self.region, padding)
        )

    def __repr__(self) -> str:
        name = self.built.sizes or ", ".join(self.region.names)
        return f"<variant for {name or 'no inputs'}: {self.calls} calls>"

    @property
    def region(self) -> Region:
        """The captured region."""
        return self.built.region

    @property
    def calls(self) -> int:
        """How often it ran."""
        return self.replays.runs

    def fits(self, leaves: list[Any]) -> bool:
        """Whether everything that the capture relied on is as it was."""
        return self.replays.fits(leaves)

    def run(self, leaves: list[Any]) -> list[Any]:
        """What the Program makes for these leaves, checked where its turn has come."""
        if _C.anomaly():
            from .check.anomaly import run_looked_at

            return run_looked_at(self, leaves)
        return self.replays.run(leaves) if self.check is None else self.check.run(self, leaves)

    def replay(self, leaves: list[Any]) -> Any:
        """The same as the function returns it."""
        return optree().tree_unflatten(self.structure, self.run(leaves))

    def result_of(self) -> Callable[[list[Any]], Any] | None:
        """What makes the result of the list that a replay gives; None where it is one element."""
        tree, structure = optree(), self.structure
        if tree.treespec_is_leaf(structure, strict=True):
            return None
        if structure == tree.tree_structure((0,) * structure.num_leaves, **_TREES):
            return tuple
        return structure.unflatten
