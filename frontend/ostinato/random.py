"""Random state: Philox4x32-10 generators, each a seed and an offset."""

from __future__ import annotations

from .creation import tensor
from .ir.dtypes import int64
from .runtime import _C
from .tensor import Tensor

Generator = _C.Generator


def manual_seed(seed: int) -> Generator:
    """Set the seed of the default generator and return it; it is an int of 64 bits."""
    if not isinstance(seed, int):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"manual_seed: a {type(seed).__name__} came; give an int")
    if not -(1 << 63) <= seed < 1 << 63:
        raise ValueError(f"manual_seed: {seed} came; give an int of 64 bits")
    return _C.default_generator().manual_seed(seed)


def get_rng_state() -> Tensor:
    """The state of the default generator, int64[2]: seed and offset."""
    generator = _C.default_generator()
    return tensor([generator.initial_seed(), generator.offset], dtype=int64, device="cpu")


def set_rng_state(state: Tensor) -> None:
    """Go on from a state that `get_rng_state` returned."""
    seed, offset = (int(v) for v in state.tolist())
    _C.default_generator().manual_seed(seed).offset = offset
