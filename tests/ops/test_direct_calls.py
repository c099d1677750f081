"""Direct calls of ops with operands that they were not made for are refused or right, no crash."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ostinato as ot
from ostinato.runtime import _C

TESTS = Path(__file__).parent


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *args], capture_output=True, text=True, check=False, cwd=TESTS, timeout=300
    )


def test_no_call_crashes_or_reads_beyond_its_operands() -> None:
    done = run("direct_calls.py", "0")
    calls = done.stdout.splitlines()
    assert done.returncode == 0, f"in call {calls[-1:]}: {done.stderr[-2000:]}"
    assert len(calls) > 10_000


def test_reading_beyond_an_operand_is_a_crash() -> None:
    """Negative control: the memory of operands ends where they do."""
    script = """
import ctypes, numpy as np
from direct_calls import GuardedBlocks
t = GuardedBlocks(1).place(np.ones(5))
print(ctypes.string_at(t.data_ptr(), 40).hex(), flush=True)
ctypes.string_at(t.data_ptr() + 40, 8)
"""
    done = run("-c", script)
    assert done.stdout.strip() == np.ones(5).tobytes().hex()
    assert done.returncode == -signal.SIGSEGV


def ones(*shape: int, dtype: Any = ot.float32) -> Any:
    return ot.ones(*shape, dtype=dtype)


ATTENTION = {"attn_mask": None, "is_causal": False, "scale": 1.0}
NORM = {"weight": None, "normalized_shape": (4,), "eps": 1e-5}
LOSS = {"ignore_index": -100, "reduction": "none", "label_smoothing": 0.0}


def attention(**changed: Any) -> dict[str, Any]:
    given = {name: ones(2, 3, 4) for name in ("g", "query", "key", "value", "out")}
    return given | {"logsumexp": ones(2, 3)} | ATTENTION | changed


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (
        "attention_backward",
        attention(**{n: ones(2, 3, 4, dtype=ot.bool) for n in ("query", "key", "value")}),
        "query has dtype bool; give a floating-point dtype",
    ),
    (
        "attention_backward",
        attention(value=ones(2, 3, 4, dtype=ot.int64)),
        "dtypes float32 and int64 differ; convert one of the operands with `.to(dtype)`",
    ),
    ("attention_backward", attention(g=ones(2, 3)), "g has shape (2, 3); give (2, 3, 4)"),
    (
        "attention_backward",
        attention(out=ones(2, 3, 3)),
        "out has shape (2, 3, 3); give (2, 3, 4)",
    ),
    (
        "attention_backward",
        attention(logsumexp=ones(2, 1)),
        "logsumexp has shape (2, 1); give (2, 3)",
    ),
    (
        "layer_norm_backward",
        {"g": ones(4), "input": ones(2, 4), **NORM},
        "g has shape (4,); give (2, 4)",
    ),
    (
        "layer_norm_backward",
        {"g": ones(2, 4), "input": ones(2, 4, dtype=ot.bool), **NORM},
        "input has dtype bool; give a floating-point dtype",
    ),
    (
        "rms_norm_backward",
        {"g": ones(2, 4), "input": ones(2, 4), **NORM, "weight": ones(2)},
        "shape (2,) is not the normalized shape (4,); give the last sizes of the input, and weight "
        "and bias of that shape",
    ),
    (
        "cross_entropy_backward",
        {"g": ones(2), "input": ones(3, 5), "target": ones(3, dtype=ot.int64), **LOSS},
        "g has shape (2,); give (3,)",
    ),
    (
        "cross_entropy_backward",
        {"g": ones(3), "input": ones(3, 5, dtype=ot.int64), "target": ones(3, dtype=ot.int64)}
        | LOSS,
        "input has dtype int64; give a floating-point dtype",
    ),
    (
        "linear",
        {"input": ones(2, 3), "weight": ones(4, 3), "bias": ones(3)},
        "bias (3,) does not fit weight (4, 3); give shape (4,)",
    ),
]


@pytest.mark.parametrize(("op", "given", "message"), REFUSED)
def test_what_does_not_fit_is_named(op: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises((ot.ShapeError, ot.DTypeError)) as caught:
        _C.call(op, **given)
    assert str(caught.value) == f"{op}: {message}"
