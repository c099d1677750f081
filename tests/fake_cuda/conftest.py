"""Tests on the fake driver: each begins without calls, failures and cached memory."""

import gc
from collections.abc import Iterator

import pytest

import ostinato as ot
from fake_driver import Fake


@pytest.fixture
def fake() -> Iterator[Fake]:
    """The driver, with both devices in use and no memory cached."""
    driver = Fake()
    for index in range(ot.cuda.device_count()):
        ot.empty(1, device=f"cuda:{index}")
    gc.collect()
    ot.cuda.empty_cache()
    for index in range(ot.cuda.device_count()):
        ot.cuda.reset_peak_memory_stats(index)
    driver.races()
    driver.calls()
    yield driver
    driver.recover()
    driver.set_busy(False)
    gc.collect()
    ot.cuda.set_per_process_memory_fraction(1.0, 0)
