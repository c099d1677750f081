"""What tells calls of a compiled function apart before any guard is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from ..ir.dtypes import DType
from ..runtime import _C

Shape = tuple[int, ...]


class TensorLeaf(NamedTuple):
    """What of a tensor among the arguments makes another variant."""

    shape: Shape
    dtype: str
    requires_grad: bool
    is_leaf: bool
    device: Any


class NumberLeaf(NamedTuple):
    """A number, whose value is live."""

    kind: str


class ObjectLeaf(NamedTuple):
    """Anything else, which counts by identity."""

    number: int


Leaf = TensorLeaf | NumberLeaf | ObjectLeaf | bool | str | bytes | None
"""Of texts and flags the value counts."""


class Settings(NamedTuple):
    """What the thread or process has set that changes what ops do."""

    grad_mode: bool
    autocast: Any
    default_device: Any
    current_cuda_device: int
    matmul_precision: int


class CallKey(NamedTuple):
    """Calls with equal ones have entries in common."""

    structure: Any
    leaves: tuple[Leaf, ...]
    settings: Settings
    names: tuple[type, ...] = ()
    """Of what kind the keys of dictionaries are: 1, True and 1.0 are equal."""

    @property
    def shapes(self) -> list[Shape]:
        """That of each leaf; () of what is no tensor."""
        return [leaf.shape if isinstance(leaf, TensorLeaf) else () for leaf in self.leaves]

    def with_shapes(self, shapes: Sequence[Shape]) -> CallKey:
        """The same for tensors of other shapes."""
        pairs = zip(self.leaves, shapes, strict=True)
        leaves = (
            leaf._replace(shape=shape) if isinstance(leaf, TensorLeaf) else leaf
            for leaf, shape in pairs
        )
        return self._replace(leaves=tuple(leaves))

    @property
    def without_sizes(self) -> CallKey:
        """What calls have in common that differ in sizes only."""
        return self.with_shapes([(-1,) * len(shape) for shape in self.shapes])


def key_of(structure: Any, leaves: Sequence[Any]) -> CallKey:
    """The key of a call whose arguments have these leaves, in the settings of now."""
    names = () if _is_flat(structure) else _kinds_of_names(structure.paths())
    return CallKey(structure, tuple(map(_leaf, leaves)), _settings(), names)


def _kinds_of_names(paths: Sequence[tuple[Any, ...]]) -> tuple[type, ...]:
    return tuple(type(cast("object", name)) for path in paths for name in path)


def _is_flat(structure: Any) -> bool:
    """Whether there are no containers but the arguments and the keywords."""
    return structure.num_nodes == structure.num_leaves + 3


def is_number(leaf: Any) -> bool:
    """Whether it is a plain number, of Python or NumPy, of which only the value counts."""
    of_numpy = isinstance(leaf, float) and type(leaf).__module__ == "numpy"
    return type(leaf) in (int, float) or of_numpy


def kept_objects(leaves: Sequence[Any]) -> list[Any]:
    """The leaves that a key names by id."""
    return [x for x in leaves if isinstance(_leaf(x), ObjectLeaf)]


def _settings() -> Settings:
    return Settings(_C.grad_enabled(), _C.autocast(), _C.device_of(None),
                    _C.cuda_current_device(), _C.float32_matmul_precision())  # fmt: skip


def _leaf(leaf: Any) -> Leaf:
    if isinstance(leaf, _C.Tensor):
        dtype: DType = leaf.dtype
        return TensorLeaf(leaf.shape, dtype.name, leaf.requires_grad, leaf.is_leaf, leaf.device)
    if type(leaf) in (bool, str, bytes) or leaf is None:
        return leaf
    if is_number(leaf):
        return NumberLeaf(type(leaf).__name__)
    return ObjectLeaf(id(leaf))
