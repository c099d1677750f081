"""Long short-term memory (Hochreiter & Schmidhuber 1997), written out step by step."""

from __future__ import annotations

import math

from .. import Tensor, device, empty, float32, sigmoid, stack, tanh, zeros
from ..ir.dtypes import DType
from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter

State = tuple[Tensor, Tensor]


def _advanced(gates: Tensor, c: Tensor) -> State:
    """The next (h, c) from the sums that the gates i, f, g, o see: (..., 4·hidden)."""
    i, f, g, o = gates.chunk(4, -1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def _start(shape: tuple[int, ...], x: Tensor) -> State:
    """The state before anything was read, beside x."""
    start = zeros(shape, dtype=x.dtype, device=x.device)
    return start, start


class _Recurrent(Module):
    """What both layers share: sizes, and parameters that start uniform in ±1/sqrt(hidden)."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size

    def _add_parameters(self, suffix: str, width: int, dtype: DType, place: object) -> None:
        """The weights and biases of four gates over `width` inputs and the hidden state."""
        gates = 4 * self.hidden_size
        shapes = {
            "weight_ih": (gates, width), "weight_hh": (gates, self.hidden_size),
            "bias_ih": (gates,), "bias_hh": (gates,),
        }  # fmt: skip
        for name, shape in shapes.items():
            made = Parameter(empty(shape, dtype=dtype, device=place))
            setattr(self, name + suffix, made)

    def reset_parameters(self) -> None:
        """Draw new weights."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size else 0.0
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)


class LSTMCell(_Recurrent):
    """One step of an LSTM: gates i, f, g, o of x @ weight_ih.T + h @ weight_hh.T + biases."""

    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter
    bias_hh: Parameter

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        dtype: DType = float32,
        device: device | str | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self._add_parameters("", input_size, dtype, device)
        self.reset_parameters()

    def forward(self, x: Tensor, state: State | None = None) -> State:
        """(batch, input) and (h, c), each (batch, hidden) and 0 at first, to the next (h, c)."""
        h, c = state or _start((*x.shape[:-1], self.hidden_size), x)
        gates = F.linear(x, self.weight_ih, self.bias_ih)
        return _advanced(gates + F.linear(h, self.weight_hh, self.bias_hh), c)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}"


class LSTM(_Recurrent):
    """Layers of LSTM over a sequence, each reading what the one below says at every step."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        batch_first: bool = False,
        dtype: DType = float32,
        device: device | str | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.num_layers = num_layers
        self.batch_first = batch_first
        for layer in range(num_layers):
            width = hidden_size if layer else input_size
            self._add_parameters(f"_l{layer}", width, dtype, device)
        self.reset_parameters()

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """(length, batch, input), or (batch, length, input) with `batch_first`, and (h, c), each
        (layers, batch, hidden) and 0 at first, to the top layer's h at every step and the last
        (h, c) of all layers."""
        axis = 1 if self.batch_first else 0
        state = state or _start((self.num_layers, x.shape[1 - axis], self.hidden_size), x)
        ends: list[State] = []
        for layer, (h, c) in enumerate(zip(*state, strict=True)):
            x, end = self._layer(layer, x, h, c, axis)
            ends.append(end)
        h, c = (stack(list(part)) for part in zip(*ends, strict=True))
        return x, (h, c)

    def _layer(
        self, layer: int, x: Tensor, h: Tensor, c: Tensor, axis: int
    ) -> tuple[Tensor, State]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        w_x, w_h, b_x, b_h = (getattr(self, f"{name}_l{layer}") for name in names)
        # What the gates see of the input is one product for all steps.
        said: list[Tensor] = []
        for gates in F.linear(x, w_x, b_x + b_h).unbind(axis):
            h, c = _advanced(gates + F.linear(h, w_h), c)
            said.append(h)
        return stack(said, axis), (h, c)

    def extra_repr(self) -> str:
        given = f"{self.input_size}, {self.hidden_size}"
        if self.num_layers != 1:
            given += f", num_layers={self.num_layers}"
        return given + (", batch_first=True" if self.batch_first else "")
