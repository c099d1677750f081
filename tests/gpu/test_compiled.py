"""Tests of compiled regions pass on a CUDA device; their kernels only a GPU can run."""

import pytest

from on_cuda import COMPILED, run


@pytest.mark.parametrize("file", COMPILED)
def test_compiled(file: str) -> None:
    run(file, COMPILED[file])
