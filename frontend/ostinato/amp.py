"""Automatic mixed precision: `autocast` regions, and the scaling of losses for float16."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, TypeVar

from .autograd import no_grad
from .ir.dtypes import DType, bfloat16, float16
from .ops import functions
from .runtime import _C
from .tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])

_DEVICES = {"cpu": bfloat16, "cuda": float16}
"""Where autocast works, and to which dtype it casts by default (as in PyTorch)."""


class autocast:
    """A context manager and decorator: inside, on devices of `device_type`, matrix products and
    attention take operands cast to `dtype` (bfloat16 or float16), and ops that need its range or
    precision - norms, softmax, losses, sums, powers - operands cast to float32. The op table says
    which do.

    Parameters stay float32, and so do their gradients: the casts are recorded. Backward runs
    outside; it has the dtypes of forward. As `torch.autocast`.
    """

    def __init__(self, device_type: str, dtype: DType | None = None, enabled: bool = True) -> None:
        if device_type not in _DEVICES:
            raise ValueError(f"autocast: device {device_type!r} came; give 'cpu' or 'cuda'")
        dtype = dtype or _DEVICES[device_type]
        if dtype not in (bfloat16, float16):
            raise ValueError(f"autocast: dtype {dtype} came; give bfloat16 or float16")
        self.device_type, self.dtype = device_type, dtype
        self._state = (dtype, device_type == "cuda") if enabled else None
        self._before: list[Any] = []

    def __enter__(self) -> autocast:
        self._before.append(_C.autocast())
        _C.set_autocast(self._state)
        return self

    def __exit__(self, *exc: object) -> None:
        _C.set_autocast(self._before.pop())

    def __call__(self, fn: F) -> F:
        @functools.wraps(fn)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self:
                return fn(*args, **kwargs)

        return wrapped  # pyright: ignore[reportReturnType]


def is_autocast_enabled() -> bool:
    """Whether ops of this thread cast their operands."""
    return _C.autocast() is not None


class GradScaler:
    """Scales a loss up, so that gradients in float16 do not vanish, and back before the step.

    `scale(loss).backward(); step(optimizer); update()`. A step whose gradients overflowed is left
    out, and `update` then multiplies the scale by `backoff_factor`; after `growth_interval` steps
    without one it multiplies it by `growth_factor`. As `torch.amp.GradScaler`.
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

    def scale(self, outputs: Tensor) -> Tensor:
        """`outputs` times the scale."""
        return outputs * self._scale if self.enabled else outputs

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients of `optimizer` by the scale, once a step: before clipping them.

        RuntimeError where that was done already since the last `update`.
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
        with no_grad():
            for g in grads:
                g.mul_(1.0 / self._scale)
        self._overflowed[id(optimizer)] = not _all_finite(grads)

    def step(self, optimizer: Any) -> None:
        """`optimizer.step()` on unscaled gradients, left out where one is not finite."""
        if not self.enabled:
            optimizer.step()
            return
        if id(optimizer) not in self._overflowed:
            self.unscale_(optimizer)
        if not self._overflowed[id(optimizer)]:
            optimizer.step()

    def update(self, new_scale: float | None = None) -> None:
        """Set the scale of the next step, by what became of this one or to `new_scale`."""
        if not self.enabled:
            return
        overflowed = any(self._overflowed.values())
        self._overflowed.clear()
        if new_scale is not None:
            self._scale = new_scale
        elif overflowed:
            self._scale, self._good_steps = self._scale * self._backoff_factor, 0
        else:
            self._good_steps += 1
            if self._good_steps == self._growth_interval:
                self._scale, self._good_steps = self._scale * self._growth_factor, 0

    def get_scale(self) -> float:
        """The factor in use, 1 where the scaler is not enabled."""
        return self._scale if self.enabled else 1.0

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` goes on from."""
        return {"scale": self._scale, "good_steps": self._good_steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` returned."""
        self._scale, self._good_steps = state_dict["scale"], state_dict["good_steps"]


def _all_finite(grads: list[Tensor]) -> bool:
    """Whether every element is finite: one value is read, whatever the number of tensors."""
    if not grads:
        return True
    largest = functions.stack([functions.amax(functions.abs(g)).double() for g in grads])
    return math.isfinite(float(functions.amax(largest).item()))
