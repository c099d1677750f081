"""Streams, which run what is queued on them in order, and events in their work."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from ..device import device as _device
from ..runtime import _C
from .devices import Place, current_device, set_device


class Stream:
    """A queue of work of one device; lower numbers of `priority` go first (0 at most, -5 at least;
    others are the nearest of these).

    As a context manager, the stream is where ops of this thread on its device are queued, and its
    device the current one. Memory is reused in order of the stream that it was made on:
    `Tensor.record_stream` tells of another.
    """

    __slots__ = ("_before", "_native")

    def __init__(self, device: Place = None, priority: int = 0) -> None:
        self._native = _C.cuda_new_stream(device, priority)
        self._before: list[tuple[int, Stream]] = []

    @classmethod
    def _of(cls, native: _C.CudaStream) -> Stream:
        made = Stream.__new__(cls)
        made._native = native
        made._before = []
        return made

    @property
    def device(self) -> _device:
        """Where it runs."""
        return _device("cuda", self._native.device)

    @property
    def priority(self) -> int:
        """As given, or the nearest that the device has."""
        return self._native.priority

    @property
    def cuda_stream(self) -> int:
        """The driver's handle."""
        return self._native.handle

    def query(self) -> bool:
        """Whether all that was queued is done."""
        return self._native.is_idle()

    def synchronize(self) -> None:
        """Wait until all that was queued is done."""
        self._native.synchronize()

    def wait_event(self, event: Event) -> None:
        """What is queued from now on runs after `event`."""
        if not isinstance(event, Event):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"wait_event: a {type(event).__name__} came; give an Event")
        event.wait(self)

    def wait_stream(self, stream: Stream) -> None:
        """What is queued from now on runs after what is queued on `stream` now."""
        self.wait_event(_checked(stream, "wait_stream").record_event())

    def record_event(self, event: Event | None = None) -> Event:
        """`event`, or a new one, at the end of what is queued now."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def __enter__(self) -> Stream:
        self._before.append((current_device(), current_stream(self.device)))
        set_stream(self)
        return self

    def __exit__(self, *_: object) -> None:
        device, stream = self._before.pop()
        set_stream(stream)
        set_device(device)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and (
            (self._native.device, self._native.handle)
            == (other._native.device, other._native.handle)
        )

    def __hash__(self) -> int:
        return hash((self._native.device, self._native.handle))

    def __repr__(self) -> str:
        return f"cuda.Stream(device={str(self.device)!r}, cuda_stream={self.cuda_stream:#x})"


class ExternalStream(Stream):
    """A stream of another library by its handle; that library keeps it alive."""

    __slots__ = ()

    def __init__(self, stream_ptr: int, device: Place = None) -> None:
        self._native = _C.cuda_external_stream(device, stream_ptr)
        self._before = []


class Event:
    """A point in the work of a stream, set by `record`; with `enable_timing` it tells the time.

    It belongs to the device of the stream that it is first recorded on.
    """

    __slots__ = ("_native", "enable_timing")

    def __init__(self, enable_timing: bool = False) -> None:
        self.enable_timing = enable_timing
        self._native: _C.CudaEvent | None = None

    def record(self, stream: Stream | None = None) -> None:
        """The end of what is queued now on `stream`, or the current one."""
        stream = current_stream() if stream is None else _checked(stream, "record")
        if self._native is None:
            self._native = _C.CudaEvent(stream._native.device, self.enable_timing)
        self._native.record(stream._native)

    def wait(self, stream: Stream | None = None) -> None:
        """What is queued from now on on `stream`, or the current one, runs after this event."""
        stream = current_stream() if stream is None else _checked(stream, "wait")
        if self._native is not None:
            self._native.wait(stream._native)

    def query(self) -> bool:
        """Whether it is over; True for one that was never recorded."""
        return self._native is None or self._native.is_done()

    def synchronize(self) -> None:
        """Wait until it is over."""
        if self._native is not None:
            self._native.synchronize()

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this event to `end_event` of the same device; wait for both first.

        Raises ValueError where one was not recorded, is not over, or is without `enable_timing`.
        """
        for event in (self, end_event):
            if event._native is None or not event.enable_timing:
                lack = "was not recorded" if event.enable_timing else "has no enable_timing"
                raise ValueError(
                    f"elapsed_time: an event came that {lack}; make both with "
                    "enable_timing=True, record them, and wait for them"
                )
        assert self._native is not None
        assert end_event._native is not None
        return self._native.elapsed(end_event._native)


def _checked(stream: object, what: str) -> Stream:
    if not isinstance(stream, Stream):
        raise TypeError(f"{what}: a {type(stream).__name__} came; give a Stream")
    return stream


def current_stream(device: Place = None) -> Stream:
    """Where ops of this thread on a device are queued."""
    return Stream._of(_C.cuda_current_stream(device))


def default_stream(device: Place = None) -> Stream:
    """Where ops on a device are queued unless a thread says else."""
    return Stream._of(_C.cuda_default_stream(device))


def set_stream(stream: Stream) -> None:
    """Ops of this thread on the stream's device, which becomes the current one, are queued there
    from now on."""
    set_device(_checked(stream, "set_stream").device)
    _C.cuda_set_stream(stream._native)


@contextmanager
def stream(stream: Stream | None) -> Generator[None]:
    """A context in which ops are queued on `stream`; None changes nothing."""
    if stream is None:
        yield
        return
    with _checked(stream, "stream"):
        yield
