"""A plugin, `pytest -p on_cuda`: tensors of tests are made on a CUDA device and read from there.

So the tests that are written for the CPU check a GPU as they stand.
"""

import subprocess
import sys
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import pytest

import ostinato as ot
from watched_tests import INSIDE

# Files of tests that run on a device, and what each has that is about the CPU, and why.
EAGER: dict[str, dict[str, str]] = {
    "runtime/test_tape.py": {},
    "runtime/test_tape_keys.py": {},
    "runtime/test_tape_program.py": {},
    "project/test_layers.py": {},
    "codegen/test_derived.py": {},
    "nn/test_nn.py": {"test_repr_is_pytorchs": "as the release of PyTorch that it was written for"},
    "nn/test_modules.py": {
        "test_conversion_keeps_parameters_and_converts_gradients": "its optimizer is on the CPU",
        "test_parameters_share_memory_with_their_data": "shows a tensor without a device",
    },
}  # fmt: skip
TAPE = "about the tape, with so many calls that the stand-in takes long"
# Of these, what the stand-in for a GPU leaves out.
NOT_ON_STAND_IN = {
    "runtime/test_tape.py": {
        "test_a_second_backward_in_a_capture": "compiles a region",
        "test_a_long_chain_is_freed_without_recursion": TAPE,
    },
    "runtime/test_tape_program.py": {
        "test_a_compiled_function_is_a_node_of_the_tape": "compiles a region",
        "test_threads_make_and_run_programs_at_once": TAPE,
    },
    "nn/test_nn.py": {"test_limits_of_a_captured_clip_stay_live": "compiles a region"},
    "runtime/test_tape_keys.py": {"test_few_programs_are_kept_and_the_last_ones_are": TAPE},
}
STAND_IN = "CPU"
"""The name of its device."""

COMPILED: dict[str, dict[str, str]] = {
    "compiler/test_capture.py": {
        "test_a_damaged_cache_entry_is_rebuilt": "counts the entries of the CPU's backend",
    },
    "compiler/test_replay.py": {},
    "compiler/test_follow.py": {},
    "compiler/test_compiled_gradients.py": {
        "test_what_backward_keeps_goes_with_the_results":
            "an array shares memory with tensors of the CPU only",
        "test_both_programs_come_from_one_entry_of_the_cache":
            "counts the entries of the CPU's backend",
    },
    "compiler/test_some_cotangents.py": {
        "test_each_has_an_entry_of_the_cache": "counts the entries of the CPU's backend",
    },
    "compiler/test_compiled_refusals.py": {},
    "compiler/test_region_leaves.py": {},
    "nn/test_optim.py": {},
    "programs/test_awkward.py": {
        **dict.fromkeys(
            (f"test_eager_calls_are_those_of_torch[{name}]" for name in (
                "numpy_of_a_result", "array_changed_after_the_tensor_was_made",
                "memory_seen_by_numpy", "caller_changes_the_array", "closure_over_an_array",
                "array_of_what_is_changed", "arrays_of_a_parameter_and_its_gradient",
            )),
            "an array shares memory with tensors of the CPU only",
        ),
        **dict.fromkeys(
            (f"test_compiled_calls_are_those_of_the_eager_function[{name}]" for name in (
                "index_is_out_of_range", "part_of_the_indices_counts", "gathered_out_of_range",
                "class_is_out_of_range", "class_that_is_ignored", "index_after_a_break",
            )),
            "indices that lie on a GPU are not looked at before a region runs",
        ),
        "test_eager_calls_are_those_of_torch[autocast_inside]": "asks for autocast of the CPU",
    },
    "programs/test_programs.py": dict.fromkeys(
        ("test_compiled_steps_are_those_of_eager[beam search]",
         "test_beam_search_runs_on_what_minigpt_learnt"),
        "the corpus that it reads is an array, which the plugin moves",
    ),
    "compiler/test_sizes.py": {},
    "compiler/test_empty.py": {},
    "inspection/test_watch.py": {},
    "inspection/test_watch_regions.py": {
        "test_threads_each_find_their_call": "its threads have the CPU for their default device",
    },
    "inspection/test_resume.py": {},
    "inspection/test_resume_tools.py": {
        "test_a_backward_that_was_edited_runs_where_nan_is_looked_for":
            "what backward keeps, and so what an edit of it reaches, is another choice there",
    },
    "inspection/test_anomaly.py": {},
    "inspection/test_closeness.py": {},
    "inspection/test_check.py": {
        "test_a_wrong_rewrite_is_reported_on_the_first_call[codegen": "in the CPU's backend",
    },
}  # fmt: skip

_FROM_NUMPY = ot.from_numpy
_NUMPY = ot.Tensor.numpy


def _from_numpy(array: Any) -> ot.Tensor:
    return _FROM_NUMPY(array).to("cuda")


def _numpy(self: ot.Tensor) -> Any:
    return _NUMPY(self.cpu())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, Any, Any]:
    """Puts what a test makes on the device."""
    ot.from_numpy = _from_numpy
    ot.Tensor.numpy = _numpy
    try:
        with ot.device("cuda"):
            return (yield)
    finally:
        ot.from_numpy = _FROM_NUMPY
        ot.Tensor.numpy = _NUMPY


def run(file: str, left_out: Iterable[str]) -> None:
    """Runs tests/`file` with this plugin in a process of its own, without the tests `left_out`."""
    folder = Path(__file__).parent
    on_stand_in = ot.cuda.get_device_name() == STAND_IN
    names = [*left_out, *(NOT_ON_STAND_IN.get(file, {}) if on_stand_in else [])]
    options = [f"--deselect=tests/{file}::{name}" for name in names]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "on_cuda", "-p", "no:cacheprovider",
               INSIDE]  # fmt: skip
    done = subprocess.run(
        [*command, *options, f"tests/{file}"],
        cwd=folder.parent, capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
