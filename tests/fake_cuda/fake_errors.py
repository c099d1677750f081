"""Failures of the driver as users meet them."""

import os
import signal
from pathlib import Path

import pytest

import ostinato as ot
from error_pages import ON_A_DEVICE, Page
from fake_driver import ILLEGAL_ADDRESS, Fake


def test_a_failed_copy(fake: Fake) -> None:
    fake.fail("MemcpyHtoDAsync", result=1)
    with pytest.raises(ot.DeviceError) as caught:
        ot.tensor([1.0, 2.0]).to("cuda")
    assert str(caught.value) == (
        "cuda: cuMemcpyHtoDAsync failed with CUDA_ERROR_INVALID_VALUE: a planned failure"
    )
    assert ot.tensor([1.0, 2.0]).to("cuda").tolist() == [1.0, 2.0]


def test_a_lost_device(fake: Fake) -> None:
    held = [ot.ones(3, device="cuda")]
    fake.lose_device(ILLEGAL_ADDRESS)
    for call in (held[0].cpu, ot.cuda.synchronize, lambda: held[0].to("cuda:1")):
        with pytest.raises(ot.DeviceError) as caught:
            call()
        assert "CUDA_ERROR_ILLEGAL_ADDRESS: a planned failure; work queued before" in str(
            caught.value
        )
        assert "the device is lost to this process: start a new one" in str(caught.value)
    held.clear()  # freeing never raises


def test_a_failed_launch_names_the_kernel(fake: Fake) -> None:
    x = ot.ones(2, 3, device="cuda")
    fake.fail("LaunchKernel", result=719)
    with pytest.raises(ot.DeviceError, match=r"cuda: the launch of \w+ failed with CUDA_ERROR_LA"):
        _ = x + x


def test_a_forked_process_says_so(fake: Fake) -> None:
    ot.ones(2, device="cuda")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        try:
            ot.ones(2, device="cuda")
        except ot.DeviceError as error:
            os.write(write, str(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    text = os.read(read, 1000).decode()
    assert text.startswith("cuda: this process was forked from one that uses CUDA")
    assert "spawn" in text


def test_the_page_of_out_of_memory_shows_what_happens(fake: Fake, tmp_path: Path) -> None:
    page = Page.read(ON_A_DEVICE)
    assert page.told == page.run(tmp_path)
