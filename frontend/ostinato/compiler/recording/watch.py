"""`watch`, which records a value, and `watching`, which switches that off and on."""

from __future__ import annotations

import math
from typing import TypeVar

from ...runtime import _C
from ..frames import user_line
from ..live import LiveNumber, current_session
from ..pins import nofuse
from ..sources import live_given
from .channels import EAGER, Fed

T = TypeVar("T")

KEEP, KEEP_WHOLE = 1000, 8
"""How many values a channel keeps where nothing is said, and how many whole tensors."""


def watch(
    value: T, name: str = "", *, every: int = 1, whole: bool = False, keep: int | None = None
) -> T:
    """Records `value`, a tensor, each time that this line runs, in replays of compiled functions
    too; `ot.watched()` or `f.watched()` shows what there is. Returns the tensor that it was given.

    Of one element that element is recorded, of more of them statistics in float64: mean, standard
    deviation, least and largest of the finite ones, and how many are NaN or infinite. With `whole`
    it is a copy. Nothing waits for a GPU before somebody looks. Values are told apart by name, or
    by line where they have none.

    every: only values of every so many calls are kept, none for 0. In a compiled function its calls
        count, elsewhere each run of the line does. Another number compiles nothing again.
    keep: so many values are there at most, and the oldest goes first: 1000, or 8 whole ones.

    TypeError for what is no tensor, ValueError for a negative number.
    """
    if not isinstance(value, _C.Tensor):
        raise TypeError(f"watch: a {type(value).__name__} came; give a tensor")
    if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"watch: name={name!r} came; give a string")
    _check("every", every)
    _check("keep", keep)
    session = current_session()
    channels = EAGER if session is None else session.feeds.channels
    room = (KEEP_WHOLE if whole else KEEP) if keep is None else keep
    channel = channels.find(name, user_line(), room)
    if session is None:
        is_due = _C.watching() and every > 0 and channel.steps % every == 0
        channel.add(_C.next_call(), every, _parts(value, whole) if is_due else [])
        return value
    parts = _parts(value, whole)
    if session.following:
        session.feeds.held.append(parts)
        if not channel.add(session.feeds.call, every, parts):
            for part in parts:
                session.tracer.spare(part)
        return value
    given = live_given(every)
    is_live = isinstance(given, LiveNumber)
    now, read = (int(given.value), given.read) if is_live else (every, None)
    session.feeds.fed.append(Fed(channel, parts, now, read))
    return value


def _check(what: str, number: int | LiveNumber | None) -> None:
    now = number.value if type(number) is LiveNumber else number
    if now is not None and (not isinstance(now, int) or now < 0):
        raise ValueError(f"watch: {what}={now!r} came; give a whole number from 0 on")


def _parts(value: _C.Tensor, whole: bool) -> list[_C.Tensor]:
    """The tensors that are kept: a copy, or what `Statistics.of` takes. They have no gradient and
    belong to no block of `fuse` or `nofuse`. Statistics have kernels of their own, which only calls
    run that keep them."""
    pin, recording = _C.exchange_pin(0), _C.grad_enabled()
    _C.set_grad_enabled(False)
    try:
        x = value.detach()
        if whole or x.numel() <= 1:
            return [x.clone()]
        with nofuse():
            return _sums(x)
    finally:
        _C.set_grad_enabled(recording)
        _C.exchange_pin(pin)


def _sums(x: _C.Tensor) -> list[_C.Tensor]:
    """Count, sum, sum of squares, minimum and maximum of the finite elements, in float64; how many
    elements are NaN, and infinite."""
    ops = _C.ops
    wide = x.double()
    finite = ops.isfinite(wide)
    known = ops.where(finite, wide, 0.0)
    return [
        finite.sum(), known.sum(), (known * known).sum(),
        ops.where(finite, wide, math.inf).amin(), ops.where(finite, wide, -math.inf).amax(),
        ops.isnan(wide).sum(), ops.isinf(wide).sum(),
    ]  # fmt: skip


class watching:
    """`with ot.watching(False):` switches `watch` off inside, in all threads, and (True) on again.

    Nothing is compiled again; calls are still counted. Works as a decorator of nothing: it is a
    block, which puts back what was set before.
    """

    def __init__(self, on: bool = True) -> None:
        self.on = on
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(_C.watching())
        _C.set_watching(self.on)

    def __exit__(self, *error: object) -> None:
        _C.set_watching(self._before.pop())
