"""Automatic mixed precision: `autocast` regions, and the scaling of losses for float16."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, TypeVar, overload

from .autograd import no_grad
from .ir.dtypes import DType, bfloat16, float16
from .ops import functions
from .runtime import _C
from .tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])

_DEVICES = {"cpu": bfloat16, "cuda": float16}
"""Where autocast works, and to which dtype it casts by default (as in PyTorch)."""

_MOST = 3.4028234663852886e38
"""A scale does not grow beyond what float32 holds."""


class autocast:
    """A context manager and decorator: inside, on devices of `device_type`, matrix products and
    attention take operands cast to `dtype` (bfloat16 or float16), and ops that need its range or
    precision - norms, softmax, losses, sums, powers - operands cast to float32. The op table says
    which do.

    Parameters stay float32, and so do their gradients: the casts are recorded. Backward runs
    outside; it has the dtypes of forward. As `torch.autocast`.
    """

    def __init__(self, device_type: str, dtype: DType | None = None, enabled: bool = True) -> None:
        _check(device_type)
        dtype = dtype or _DEVICES[device_type]
        if dtype not in (bfloat16, float16):
            raise ValueError(f"autocast: dtype {dtype} came; give bfloat16 or float16")
        self.device_type, self.dtype, self._enabled = device_type, dtype, enabled
        self._before: list[tuple[DType | None, DType | None]] = []

    def __enter__(self) -> autocast:
        cpu, cuda = _C.autocast()
        self._before.append((cpu, cuda))
        dtype = self.dtype if self._enabled else None
        _C.set_autocast(*((cpu, dtype) if self.device_type == "cuda" else (dtype, cuda)))
        return self

    def __exit__(self, *exc: object) -> None:
        _C.set_autocast(*self._before.pop())

    def __call__(self, fn: F) -> F:
        @functools.wraps(fn)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self:
                return fn(*args, **kwargs)

        return wrapped  # pyright: ignore[reportReturnType]


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Whether ops of this thread cast their operands on devices of a type, or of any."""
    states: dict[str, DType | None] = dict(zip(_DEVICES, _C.autocast(), strict=True))
    if device_type is None:
        return any(states.values())
    _check(device_type)
    return states[device_type] is not None


def _check(device_type: str) -> None:
    if device_type not in _DEVICES:
        raise ValueError(f"autocast: device {device_type!r} came; give 'cpu' or 'cuda'")


class GradScaler:
    """Scales a loss up, so that gradients in float16 do not vanish, and back before the step.

    `scale(loss).backward(); step(optimizer); update()`. A step whose gradients overflowed is left
    out, and `update` then multiplies the scale by `backoff_factor`; after `growth_interval` steps
    without one it multiplies it by `growth_factor`. As `torch.amp.GradScaler`. `step` looks at a
    value, so it stays outside of compiled functions; `scale` and `backward` may be inside.
    """

    def __init__(
        self, device: str = "cuda", init_scale: float = 65536.0, growth_factor: float = 2.0,
        backoff_factor: float = 0.5, growth_interval: int = 2000, enabled: bool = True,
    ) -> None:  # fmt: skip
        if growth_factor <= 1 or not 0 < backoff_factor < 1 or growth_interval < 1:
            raise ValueError(
                f"GradScaler: growth_factor {growth_factor}, backoff_factor {backoff_factor} and "
                f"growth_interval {growth_interval} came; give above 1, between 0 and 1, at least 1"
            )
        self.device, self.enabled = device, enabled
        self._scale = init_scale
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval, self._good_steps = growth_interval, 0
        self._overflowed: dict[int, bool] = {}
        self._stepped: set[int] = set()

    @overload
    def scale(self, outputs: Tensor) -> Tensor: ...
    @overload
    def scale(self, outputs: list[Tensor]) -> list[Tensor]: ...
    @overload
    def scale(self, outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]: ...
    def scale(self, outputs: Tensor | list[Tensor] | tuple[Tensor, ...]) -> Any:
        """`outputs` times the scale: a tensor, or a list or tuple of them."""
        if isinstance(outputs, Tensor):
            return outputs * self._factor() if self.enabled else outputs
        scaled = (self.scale(t) for t in outputs)
        return tuple(scaled) if isinstance(outputs, tuple) else list(scaled)

    def _factor(self) -> Any:
        """The scale, which replays of a captured step read again."""
        from .compiler.live import live_attribute

        return live_attribute(self, "_scale")

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of `optimizer` by the scale, once a step: before clipping them.

        RuntimeError where that was done already since the last `update`; ValueError where a
        gradient is float16, in which the quotient may vanish.
        """
        if not self.enabled:
            return
        if id(optimizer) in self._overflowed:
            raise RuntimeError("unscale_: it was called already for this step; call update() first")
        grads = [
            p.grad
            for group in optimizer.param_groups
            for p in group["params"]
            if p.grad is not None
        ]
        if any(g.dtype is float16 for g in grads):
            raise ValueError("unscale_: a gradient is float16; keep parameters in float32")
        if grads:
            with no_grad():
                for g in grads:
                    g.mul_(1.0 / self._scale)
            self._overflowed[id(optimizer)] = not _all_finite(grads)

    def step(self, optimizer: Any) -> Any:
        """`optimizer.step()` on unscaled gradients, left out where one is not finite.

        RuntimeError where it was called already since the last `update`, or no parameter has a
        gradient.
        """
        if not self.enabled:
            return optimizer.step()
        if id(optimizer) in self._stepped:
            raise RuntimeError("step: it was called already for this step; call update() first")
        if id(optimizer) not in self._overflowed:
            self.unscale_(optimizer)
        if id(optimizer) not in self._overflowed:
            raise RuntimeError(
                "step: no parameter of the optimizer has a gradient; call "
                "scale(loss).backward() first"
            )
        self._stepped.add(id(optimizer))
        return None if self._overflowed[id(optimizer)] else optimizer.step()

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Set the scale of the next step, by what became of this one or to `new_scale`.

        RuntimeError where neither `unscale_` nor `step` was called since the last time.
        """
        if not self.enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._overflowed:
            raise RuntimeError("update: no gradient was looked at; call step(optimizer) first")
        elif any(self._overflowed.values()):
            self._scale, self._good_steps = self._scale * self._backoff_factor, 0
        else:
            self._count_good_step()
        self._overflowed.clear()
        self._stepped.clear()

    def _count_good_step(self) -> None:
        self._good_steps += 1
        if self._good_steps < self._growth_interval:
            return
        grown = self._scale * self._growth_factor
        self._scale, self._good_steps = grown if grown <= _MOST else self._scale, 0

    def is_enabled(self) -> bool:
        """Whether it scales at all."""
        return self.enabled

    def get_scale(self) -> float:
        """The factor in use, 1 where the scaler is not enabled."""
        return self._scale if self.enabled else 1.0

    def get_growth_factor(self) -> float:
        """What the scale grows by."""
        return self._growth_factor

    def get_backoff_factor(self) -> float:
        """What the scale shrinks by."""
        return self._backoff_factor

    def get_growth_interval(self) -> int:
        """After how many good steps the scale grows."""
        return self._growth_interval

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` goes on from, under PyTorch's names; nothing of one that is not
        enabled."""
        if not self.enabled:
            return {}
        return {
            "scale": self._scale, "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor, "growth_interval": self._growth_interval,
            "_growth_tracker": self._good_steps,
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` returned. RuntimeError where it is empty."""
        if not self.enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "load_state_dict: an empty state came, of a scaler that is not enabled; give one "
                "of a scaler that is"
            )
        self._scale, self._good_steps = state_dict["scale"], state_dict["_growth_tracker"]
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]


def _all_finite(grads: list[Tensor]) -> bool:
    """Whether every element is finite: one value is read on each device, for all tensors there."""
    largest: dict[str, list[Tensor]] = {}
    for g in (g for g in grads if g.numel()):
        largest.setdefault(str(g.device), []).append(functions.amax(functions.abs(g)).double())
    highest = [functions.amax(functions.stack(tensors)) for tensors in largest.values()]
    return all(math.isfinite(float(t.item())) for t in highest)
