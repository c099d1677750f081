"""Devices: where tensors lie and ops run."""

from __future__ import annotations

from types import TracebackType
from typing import ClassVar

from .runtime import _C


class device:
    """A place for tensors: `device("cpu")`, `device("cuda")`, `device("cuda:1")`, `device(1)`.

    `index` is None for "cuda" without a number, which stands for the current device of the thread
    that uses it. Devices equal the text that names them. As a context manager, a device is where
    functions such as `ot.zeros` make tensors. Raises ValueError for another text.
    """

    __slots__ = ("_before", "index", "type")
    type: str
    index: int | None
    _TYPES: ClassVar[tuple[str, ...]] = ("cpu", "cuda")

    def __init__(self, type: str | int | device, index: int | None = None) -> None:
        name = f"cuda:{type}" if isinstance(type, int) else str(type)
        self.type, colon, number = name.partition(":")
        digits = number.isascii() and number.isdigit()
        if self.type not in self._TYPES or (colon and (not digits or index is not None)):
            raise ValueError(
                f"device: {name!r} came; give 'cpu', 'cuda' or, of several GPUs, 'cuda:1'"
            )
        self.index = int(number) if colon else index
        if self.index is not None and self.index < 0:
            raise ValueError(f"device: index {index} came; give a number from 0")
        self._before: list[device] = []
        if self.type == "cpu":
            if self.index:
                raise ValueError(f"device: {name!r} came; there is one CPU: give 'cpu'")
            self.index = None

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return f"device({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, str | device) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))

    def __enter__(self) -> device:
        self._before.append(_C.set_creation_device(self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _C.set_creation_device(self._before.pop())


def get_default_device() -> device:
    """Where functions such as `ot.zeros` make tensors in this thread."""
    return _C.device_of(None)


def set_default_device(device: device | str) -> None:
    """Say where functions such as `ot.zeros` make tensors in this thread."""
    _C.set_creation_device(device)
