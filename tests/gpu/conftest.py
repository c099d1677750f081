"""Every test of this folder needs a CUDA device."""

from pathlib import Path

import pytest

from ostinato.runtime import _C

FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests, and skip them where there is no device."""
    skip = pytest.mark.skip(
        reason="no CUDA device; tests/runtime/test_cuda_on_cpu.py runs these on the CPU"
    )
    available = _C.cuda_is_available()
    for item in items:
        if item.path.parent == FOLDER:
            item.add_marker(pytest.mark.gpu)
            if not available:
                item.add_marker(skip)
