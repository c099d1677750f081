"""Datasets and batches of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from . import Generator, Tensor, arange, randperm, stack, tensor
from .ir.errors import ShapeError


class Dataset(Protocol):
    """What has a length and samples at 0 to length - 1; a sample is a tensor or a tuple of some."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...


class TensorDataset:
    """Sample i is row i of each tensor. Raises ShapeError where their first axes differ."""

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors or any(t.ndim == 0 or t.shape[0] != tensors[0].shape[0] for t in tensors):
            came = ", ".join(str(tuple(t.shape)) for t in tensors) or "nothing"
            raise ShapeError(f"TensorDataset: {came} came; give tensors with equally many rows")
        self.tensors = tensors

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def take(self, indices: Tensor) -> tuple[Tensor, ...]:
        """The samples at int64 `indices` (n,) as one batch."""
        return tuple(t.index_select(0, indices.to(t.device)) for t in self.tensors)


class DataLoader:
    """Batches of a dataset, in order or in a new random order each time it is iterated.

    Samples are stacked by `collate_fn`; a dataset with a method `take(indices)` makes its own
    batches. The last, smaller batch is left out with `drop_last`.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 1,
        shuffle: bool = False,
        drop_last: bool = False,
        generator: Generator | None = None,
        collate_fn: Callable[[Sequence[Any]], Any] | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"DataLoader: batch_size {batch_size} came; give at least 1")
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.generator = generator
        self.collate_fn = collate_fn

    def __len__(self) -> int:
        count = len(self.dataset)
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        count = len(self.dataset)
        order = randperm(count, generator=self.generator) if self.shuffle else arange(count)
        for batch in range(len(self)):
            first = batch * self.batch_size
            yield self._batch(order[first : min(first + self.batch_size, count)])

    def _batch(self, indices: Tensor) -> Any:
        take = getattr(self.dataset, "take", None)
        if take is not None and self.collate_fn is None:
            return take(indices)
        return (self.collate_fn or collate)([self.dataset[i] for i in indices.tolist()])


def collate(samples: Sequence[Any]) -> Any:
    """Stack samples along a new first axis; tuples position by position, numbers as tensors."""
    first = samples[0]
    if isinstance(first, tuple | list):
        return tuple(collate(column) for column in zip(*samples, strict=True))
    if isinstance(first, Tensor):
        return stack(list(samples))
    return tensor(list(samples))
