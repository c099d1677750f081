"""Tests written for the CPU pass with their tensors on a CUDA device (tests/on_cuda.py)."""

import pytest

from on_cuda import EAGER, run


@pytest.mark.parametrize("file", EAGER)
def test_eager(file: str) -> None:
    run(file, EAGER[file])
