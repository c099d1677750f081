"""The native runtime: tensors, dispatcher, kernels, tape, tracer and executor."""

from ._C import Generator as Generator
from ._C import Tensor as Tensor
