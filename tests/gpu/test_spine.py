"""Tests written for the CPU pass with their tensors on a CUDA device (tests/on_cuda.py)."""

import pytest

from on_cuda import run

# What a file has that is about the CPU, and why.
EAGER = {
    "test_tape.py": {},
    "test_tape_keys.py": {},
    "test_tape_program.py": {},
    "test_layers.py": {},
    "test_derived.py": {},
    "test_nn.py": {"test_repr_is_pytorchs": "as the release of PyTorch that it was written for"},
    "test_modules.py": {
        "test_conversion_keeps_parameters_and_converts_gradients": "its optimizer is on the CPU",
        "test_parameters_share_memory_with_their_data": "shows a tensor without a device",
    },
}  # fmt: skip


@pytest.mark.parametrize("file", EAGER)
def test_eager(file: str) -> None:
    run(file, EAGER[file])
