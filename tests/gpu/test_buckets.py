"""Arguments padded to buckets on a CUDA device: the tables of tests/compiler/test_buckets.py."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Generator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import bucket_cases
import ostinato as ot
import test_buckets


@pytest.fixture(autouse=True)
def on_the_device() -> Generator[None]:
    """What tests make lies there."""
    with ot.device("cuda"):
        yield


@pytest.fixture(scope="module")
def cases() -> ModuleType:
    """The table once more, its weights on the device."""
    found = importlib.util.spec_from_file_location("cases_on_cuda", Path(bucket_cases.__file__))
    assert found is not None and found.loader is not None
    made = sys.modules[found.name] = importlib.util.module_from_spec(found)
    with ot.device("cuda"):
        found.loader.exec_module(made)
    return made


@pytest.mark.parametrize("poisoned", (False, True))
@pytest.mark.parametrize("name", [c.name for c in bucket_cases.RIGHT])
def test_each_size_gives_what_eager_ops_give(
    name: str, poisoned: bool, cases: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    if poisoned:
        test_buckets.poison(monkeypatch)
    case = next(c for c in cases.RIGHT if c.name == name)
    compiled = test_buckets.run(case, (5, 16, 40), tolerance=1e-4)
    assert {v.region.device for v in compiled.variants} == {"cuda:0"}


@pytest.mark.parametrize("causal", (True, False))
def test_a_training_step_learns_the_same(causal: bool) -> None:
    dims = dict.fromkeys(("batch.x", "batch.y"), test_buckets.STEPS["both"])
    _, ours, _ = test_buckets.trained(dims, causal)
    _, wanted, _ = test_buckets.trained(None, causal)
    np.testing.assert_allclose(ours, wanted, rtol=2e-3)
