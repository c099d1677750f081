"""Programs of eager calls: derived once for a structure, kept on the disk, rebuilt if damaged."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ostinato as ot
from ostinato.codegen import derived
from ostinato.ir.dtypes import float32
from ostinato.ir.symbolic import derive
from ostinato.runtime import _C

STEP = """
import ostinato as ot
from ostinato import nn
from ostinato.runtime import _C
ot.manual_seed(0)
x = ot.rand(4, 6)
model = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 3))
for _ in range(4):
    nn.functional.cross_entropy(model(x), ot.tensor([0, 1, 2, 0])).backward()
grads = [p.grad.sum().item() for p in model.parameters()]
c = _C.program_counts()
print(c["derived"], c["loaded"], c["tapes derived"], c["tapes loaded"], c["tape runs"], grads)
"""


def run(folder: Path | str) -> tuple[list[int], str]:
    """Programs of calls derived and loaded, of tapes derived and loaded, runs of those; and the
    gradients: of `STEP` in a process of its own, in which only the cache may warn."""
    done = subprocess.run(
        [sys.executable, "-c", STEP], env={"OSTINATO_CACHE": str(folder)}, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    *counts, gradients = done.stdout.split(maxsplit=5)
    assert ("is rebuilt" in done.stderr) == (done.stderr != ""), done.stderr
    return [int(c) for c in counts], gradients


def test_a_warm_process_derives_nothing(tmp_path: Path) -> None:
    (calls, *others), gradients = run(tmp_path)
    assert calls > 2 and others == [0, 1, 0, 2]
    assert run(tmp_path) == ([0, calls, 0, 1, 2], gradients)


def test_without_a_cache_every_process_derives(tmp_path: Path) -> None:
    assert run("0") == run("0") == run(tmp_path / "cold")


def test_a_process_with_damaged_entries_derives_again(tmp_path: Path) -> None:
    whole = run(tmp_path)
    for entry in tmp_path.iterdir():
        entry.write_bytes(entry.read_bytes()[:-3])
    assert run(tmp_path) == whole
    assert run(tmp_path)[0][0] == 0


CALL = ("gradient", "matmul", [(float32, 2, 0, False)] * 2, [(float32, 2, 0, False)], [],
        [True, True], [True])  # fmt: skip
VECTOR = [(float32, 1, 0, False)]
TAPE = ([("exp", VECTOR, VECTOR, [], [(-1, 0, -2)], [(3, False)], 0, float32)], 0, [])
MADE: dict[str, Callable[[], tuple[Any, bool]]] = {
    "call": lambda: derived.program_of(*CALL),
    "tape": lambda: derived.tape_program_of(*TAPE),
}
DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda b: b[:-7],
    "changed": lambda b: b.replace(b'"slots"', b'"sluts"'),
    "other": lambda b: b"junk",
    "empty": lambda b: b"",
}


@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("kind", MADE)
def test_a_damaged_entry_is_rebuilt_with_a_warning(
    kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path))
    make = MADE[kind]
    assert make()[1]
    (entry,) = tmp_path.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(DAMAGE[name](whole))
    with pytest.warns(UserWarning, match="is rebuilt: its digest does not fit"):
        assert make()[1]
    assert entry.read_bytes() == whole
    assert not make()[1]


@pytest.mark.parametrize("kind", MADE)
def test_an_entry_that_is_no_program_is_rebuilt_with_a_warning(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path))
    MADE[kind]()
    (entry,) = tmp_path.iterdir()
    derived.cache.store(entry.name, {"inputs": 0}, b"")
    with pytest.warns(UserWarning, match="is rebuilt: 'slots'"):
        assert MADE[kind]()[1]


@pytest.mark.parametrize("kind", MADE)
def test_a_cache_that_cannot_be_written_is_said_and_does_no_harm(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path / "file" / kind))
    with pytest.warns(UserWarning, match="Programs are not cached"):
        assert MADE[kind]()[1]
    assert MADE[kind]()[1], "said once"


ADD = {"kind": "call", "op": "add", "operands": [0, 0], "last": [], "results": [1], "attrs": [],
       "call": 0, "operand": 0}  # fmt: skip
PROGRAM: dict[str, Any] = {"inputs": 1, "slots": 2, "serves": 1, "numbers": [], "steps": [ADD],
                           "outputs": [1], "reads": [0]}  # fmt: skip
SIZES = ADD | {"op": "reshape", "operands": [0]}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "slot": ({"outputs": [2]}, "a Program has no slot 2"),
    "inputs": ({"inputs": 3}, "a Program has more inputs than slots"),
    "step": ({"steps": [ADD | {"kind": "sub"}]}, "a Program has the unknown step sub"),
    "op": ({"steps": [ADD | {"op": "odd"}]}, "a Program calls the unknown op odd"),
    "call": ({"steps": [ADD | {"call": 1}]}, "a Program has a step of no call"),
    "absent": ({"steps": [ADD | {"operands": [-1, 0], "last": [0]}]},
               "a Program frees an operand that is absent"),
    "results": ({"steps": [ADD | {"results": []}]},
                "a Program calls add with another signature"),
    "gradient": (
        {"steps": [ADD | {"kind": "gradient", "op": "eq", "variant": 0, "compute": "float32",
                          "dtype": "float32"}]},
        "a Program wants a gradient of eq that is missing",
    ),
    "size step": ({"steps": [SIZES | {"attrs": [["sizes", [[[10, 0, 0, 0]]]]]}]},
                  "a Program has an unknown size step"),
    "size depth": ({"steps": [SIZES | {"attrs": [["sizes", [[[4, 0, 0, 0]]]]]}]},
                   "a Program has a size expression out of bounds"),
    "size end": ({"steps": [SIZES | {"attrs": [["sizes", [[[0, 1, 0, 0], [0, 1, 0, 0]]]]]}]},
                 "a Program has a size expression without an end"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_program_is_refused(name: str) -> None:
    _C.Program(PROGRAM)
    change, text = REFUSED[name]
    with pytest.raises(ValueError) as error:
        _C.Program(PROGRAM | change)
    assert str(error.value) == text


def test_results_that_nobody_uses_take_no_part() -> None:
    tensors = [(float32, 3, 0, False)] * 3
    call = ("gradient", "attention", [*tensors, None], [tensors[0], (float32, 2, 0, False)],
            [True, 0.5], [True] * 3 + [False])  # fmt: skip
    names = [s["op"] for s in derive(*call, [True, False])["steps"]]
    assert names == ["attention_backward"]
    assert len(derive(*call, [True, True])["steps"]) > 10


def test_the_gradient_of_a_sum_of_results_is_the_sum_of_gradients() -> None:
    q = ot.rand(1, 2, 5, 4).requires_grad_()
    out, logsumexp = _C.call("attention", q, q, q, None, True, 0.5)
    alone = [ot.autograd.gradients(r.sum(), [q], retain_graph=True)[0] for r in (out, logsumexp)]
    (both,) = ot.autograd.gradients(out.sum() + logsumexp.sum(), [q])
    np.testing.assert_allclose((alone[0] + alone[1]).numpy(), both.numpy(), rtol=1e-5, atol=1e-6)
