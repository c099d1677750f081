"""The CUDA devices of this machine, and which of them a thread uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ..device import device as _device
from ..runtime import _C

# A device, its text or its number; None is the current device of the thread.
Place: TypeAlias = _device | str | int | None


@dataclass(frozen=True)
class DeviceProperties:
    """What a device is; sizes in bytes."""

    name: str
    major: int
    minor: int
    total_memory: int
    multi_processor_count: int
    warp_size: int
    max_threads_per_block: int
    max_threads_per_multi_processor: int
    shared_memory_per_block_optin: int
    L2_cache_size: int
    uuid: str


def is_available() -> bool:
    """Whether there is a CUDA device and a driver for it."""
    return _C.cuda_is_available()


def device_count() -> int:
    """How many CUDA devices there are, 0 without a driver."""
    return _C.cuda_device_count()


def get_device_properties(device: Place = None) -> DeviceProperties:
    """What a device is."""
    return DeviceProperties(**_C.cuda_properties(device))


def get_device_name(device: Place = None) -> str:
    """The name that its maker gave a device."""
    return get_device_properties(device).name


def get_device_capability(device: Place = None) -> tuple[int, int]:
    """The compute capability of a device: (9, 0) is sm_90."""
    properties = get_device_properties(device)
    return properties.major, properties.minor


def can_device_access_peer(device: Place, peer: Place) -> bool:
    """Whether kernels of `device` may reach the memory of `peer`."""
    return _C.cuda_reaches(_C.cuda_index(device), _C.cuda_index(peer))


def current_device() -> int:
    """The number of the device that "cuda" means in this thread, 0 at first."""
    return _C.cuda_current_device()


def set_device(device: Place) -> None:
    """Make `device` the one that "cuda" means in this thread."""
    _C.cuda_set_device(_C.cuda_index(device))


def synchronize(device: Place = None) -> None:
    """Wait until a device has done all that was queued."""
    _C.cuda_synchronize(device)


class device:
    """A context in which "cuda" means `device`; None changes nothing."""

    def __init__(self, device: Place) -> None:
        self.index = _C.cuda_index(device)
        self._before: list[int] = []

    def __enter__(self) -> None:
        self._before.append(current_device())
        set_device(self.index)

    def __exit__(self, *_: object) -> None:
        set_device(self._before.pop())
