"""Tests of compiled regions pass on a CUDA device; their kernels only a GPU can run."""

import pytest

from on_cuda import run

# What a file has that is about the CPU, and why.
COMPILED = {
    "test_capture.py": {
        "test_a_damaged_cache_entry_is_rebuilt": "counts the entries of the CPU's backend",
    },
    "test_replay.py": {},
    "test_compiled_gradients.py": {
        "test_gradients_through_a_compiled_forward_are_torchs[rows picked]": "an index on the CPU",
        "test_both_programs_come_from_the_cache_and_either_is_rebuilt":
            "counts the entries of the CPU's backend",
    },
    "test_optim.py": {},
}  # fmt: skip


@pytest.mark.parametrize("file", COMPILED)
def test_compiled(file: str) -> None:
    run(file, COMPILED[file])
