"""The check of compiled functions reports wrong kernels of a GPU on the first call."""

from __future__ import annotations

from pathlib import Path

import pytest

import ostinato as ot
from planted_passes import Wrong
from planted_triton import WRONG


@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: w.name)
def test_a_wrong_kernel_is_reported_on_the_first_call(
    wrong: Wrong, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path))  # wrong kernels are not kept for others
    from_numpy = ot.from_numpy
    monkeypatch.setattr(ot, "from_numpy", lambda array: from_numpy(array).to("cuda"))
    fn, args = wrong.program()
    checked = ot.compile(fn, check="first")
    with wrong.planted(), pytest.warns(ot.CheckWarning):
        checked(*args)
    (found,) = checked.mismatches
    assert found.pass_name == "codegen" and found.expected != found.found
    assert any(line.startswith(f"{fn.__code__.co_filename}:") for line in found.lines)
