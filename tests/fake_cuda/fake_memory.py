"""The caching allocator: what it asks the driver for, what it reuses, and what it says."""

import gc
import threading
from typing import Any

import pytest

import ostinato as ot
from fake_driver import Fake

KIB, MIB = 1 << 10, 1 << 20
STATES = {"allocated_bytes": ("used",), "active_bytes": ("used", "waiting")}


def of_bytes(count: int, device: str = "cuda") -> ot.Tensor:
    return ot.empty(count, dtype=ot.uint8, device=device)


def stat(name: str, what: str = "current", device: Any = None) -> int:
    return ot.cuda.memory_stats(device)[f"{name}.all.{what}"]


def assert_statistics_agree(device: Any = None) -> None:
    """The statistics are the sums of what the snapshot shows."""
    segments = ot.cuda.memory_snapshot(device)
    blocks = [b for s in segments for b in s["blocks"]]
    assert stat("reserved_bytes", device=device) == sum(s["total_size"] for s in segments)
    assert stat("segment", device=device) == len(segments)
    for name, states in STATES.items():
        held = [b for b in blocks if b["state"] in states]
        assert stat(name, device=device) == sum(b["size"] for b in held)
        assert stat({"allocated_bytes": "allocation"}.get(name, "active"), device=device) == len(
            held
        )
    used = [b["requested_size"] for b in blocks if b["state"] == "used"]
    assert stat("requested_bytes", device=device) == sum(used)
    for s in segments:
        at = s["address"]
        for b in s["blocks"]:
            assert b["address"] == at
            at += b["size"]
        assert at == s["address"] + s["total_size"]
        pairs = zip(s["blocks"], s["blocks"][1:], strict=False)
        assert all("free" != a["state"] or "free" != b["state"] for a, b in pairs)


# Asked for, the block that comes, the segment that the driver gives for it.
SIZES = [
    (0, 512, 2 * MIB),
    (1, 512, 2 * MIB),
    (513, 1024, 2 * MIB),
    (MIB, MIB, 2 * MIB),
    (MIB + 1, MIB + 512, 20 * MIB),
    (9 * MIB, 9 * MIB, 20 * MIB),
    (10 * MIB, 10 * MIB, 10 * MIB),
    (11 * MIB + 1, 12 * MIB, 12 * MIB),
]


@pytest.mark.parametrize(("asked", "block", "segment"), SIZES)
def test_sizes(asked: int, block: int, segment: int, fake: Fake) -> None:
    x = of_bytes(asked)
    assert fake.calls("MemAlloc") == [f"MemAlloc {segment}"]
    assert stat("allocated_bytes") == block
    assert stat("requested_bytes") == asked
    assert x.data_ptr() % 256 == 0
    assert_statistics_agree()


def test_blocks_are_split_merged_and_reused(fake: Fake) -> None:
    a, b, c = (of_bytes(512 * KIB) for _ in range(3))
    first = a.data_ptr()
    assert [b.data_ptr() - first, c.data_ptr() - first] == [512 * KIB, MIB]
    del a, b
    assert_statistics_agree()
    d = of_bytes(MIB)  # the room of the first two
    assert d.data_ptr() == first
    assert len(fake.calls("MemAlloc")) == 1
    del c, d
    assert [len(s["blocks"]) for s in ot.cuda.memory_snapshot()] == [1]


def test_the_smallest_that_fits_and_was_freed_last_is_taken(fake: Fake) -> None:
    kept = [of_bytes(n * KIB) for n in (4, 1, 2, 1, 8, 1, 2, 1)]
    at = [t.data_ptr() for t in kept]
    for i in (0, 2, 4, 6):
        kept[i] = ot.zeros(())
    assert of_bytes(2 * KIB).data_ptr() == at[6]
    one, two = of_bytes(2 * KIB), of_bytes(2 * KIB)
    assert (one.data_ptr(), two.data_ptr()) == (at[6], at[2])
    assert of_bytes(3 * KIB).data_ptr() == at[0]


def test_streams_have_memory_of_their_own(fake: Fake) -> None:
    address = of_bytes(100).data_ptr()
    with ot.cuda.stream(ot.cuda.Stream()):
        assert of_bytes(100).data_ptr() != address
    assert of_bytes(100).data_ptr() == address
    assert stat("segment") == 2


def test_memory_goes_back_when_asked(fake: Fake) -> None:
    x, y = of_bytes(100), of_bytes(30 * MIB)
    del y
    fake.calls()
    ot.cuda.empty_cache()
    assert fake.calls("MemFree") == [f"MemFree {30 * MIB}"]
    assert stat("reserved_bytes") == 2 * MIB
    assert x.numel() == 100
    free, total = ot.cuda.mem_get_info()
    assert total - free == 2 * MIB


def test_memory_in_use_on_another_stream_waits(fake: Fake) -> None:
    fake.set_busy(True)
    side = ot.cuda.Stream()
    x = of_bytes(100)
    address = x.data_ptr()
    x.record_stream(side)
    del x
    assert (stat("allocated_bytes"), stat("active_bytes")) == (0, 512)
    assert_statistics_agree()
    y = of_bytes(100)
    assert y.data_ptr() != address
    side.synchronize()
    z = of_bytes(100)
    assert z.data_ptr() == address
    assert_statistics_agree()


@pytest.mark.parametrize("recorded", [True, False])
def test_reuse_is_ordered_only_where_it_is_recorded(recorded: bool, fake: Fake) -> None:
    fake.set_busy(True)
    side = ot.cuda.Stream()
    x = ot.ones(1000, device="cuda")
    y = ot.zeros(1000).pin_memory()
    side.wait_stream(ot.cuda.current_stream())
    with side:
        y.copy_(x, non_blocking=True)
    if recorded:
        x.record_stream(side)
    del x
    ot.zeros(1000, device="cuda")
    assert bool(fake.races()) is not recorded


def test_a_private_pool_keeps_its_memory(fake: Fake) -> None:
    pool = ot.cuda.MemPool()
    common = of_bytes(100).data_ptr()
    with ot.cuda.use_mem_pool(pool):
        own = of_bytes(100).data_ptr()
        assert own != common
        assert of_bytes(100, "cuda:1").data_ptr() not in (own, common)
    assert of_bytes(100).data_ptr() == common
    assert [s["is_private"] for s in ot.cuda.memory_snapshot()].count(True) == 1
    ot.cuda.empty_cache()
    assert stat("segment") == 1
    with ot.cuda.use_mem_pool(pool):
        again = of_bytes(100)
        assert again.data_ptr() == own
    del pool
    gc.collect()
    assert [s["is_private"] for s in ot.cuda.memory_snapshot()] == [False]
    assert again.numel() == 100
    del again
    assert of_bytes(100).data_ptr() == own
    assert_statistics_agree()


def test_the_driver_refuses_and_the_cache_goes_back(fake: Fake) -> None:
    cached = of_bytes(30 * MIB)
    del cached
    with ot.cuda.stream(ot.cuda.Stream()):
        waiting = of_bytes(12 * MIB)
        waiting.record_stream(ot.cuda.default_stream())
        del waiting
    fake.calls()
    fake.fail("MemAlloc")
    x = of_bytes(40 * MIB)
    assert fake.calls("MemAlloc", "MemFree") == [
        f"MemAlloc {40 * MIB}",
        f"MemFree {30 * MIB}",
        f"MemFree {12 * MIB}",
        f"MemAlloc {40 * MIB}",
    ]
    assert (stat("reserved_bytes"), x.numel()) == (40 * MIB, 40 * MIB)
    assert ot.cuda.memory_stats()["num_alloc_retries"] >= 1
    assert_statistics_agree()


def test_what_just_fits_is_found(fake: Fake) -> None:
    blocks = [of_bytes(100 * MIB) for _ in range(2)]
    x = of_bytes(50 * MIB)
    # 6 MiB are left, no room for a segment of 20.
    y = of_bytes(5 * MIB)
    assert_statistics_agree()
    assert len(blocks) + x.numel() + y.numel() == 2 + 55 * MIB


def test_out_of_memory_says_what_there_is(fake: Fake) -> None:
    failures = ot.cuda.memory_stats()["num_ooms"]
    held = [of_bytes(100 * MIB), of_bytes(100 * MIB)]
    line = of_bytes.__code__.co_firstlineno + 1
    with pytest.raises(ot.OutOfMemoryError) as caught:
        of_bytes(100 * MIB)
    assert str(caught.value) == (
        "out of memory on cuda:0 (Fake GPU 0): 100.00 MiB asked, 56.00 MiB of 256.00 MiB free; "
        "this process has 200.00 MiB reserved and 200.00 MiB of it in tensors; "
        f"the largest holders: {__file__}:{line} 200.00 MiB in 2 tensors; "
        "free tensors, or use smaller batches or a narrower dtype"
    )
    assert isinstance(caught.value, RuntimeError)
    assert ot.cuda.memory_stats()["num_ooms"] == failures + 1
    assert_statistics_agree()
    del held
    assert of_bytes(100 * MIB).numel() == 100 * MIB


def test_a_fraction_is_the_most(fake: Fake) -> None:
    ot.cuda.set_per_process_memory_fraction(0.25)
    x = of_bytes(60 * MIB)
    with pytest.raises(ot.OutOfMemoryError, match=r"and may reserve 64\.00 MiB; "):
        of_bytes(10 * MIB)
    del x
    assert of_bytes(64 * MIB).numel() == 64 * MIB
    with pytest.raises(ValueError, match=r"fraction 1\.5 came; give above 0, at most 1"):
        ot.cuda.set_per_process_memory_fraction(1.5)


def test_idle_memory_goes_before_more_is_asked_for(fake: Fake) -> None:
    ot.cuda.set_per_process_memory_fraction(1.0, collect=0.25)
    sizes = [20 * MIB, 22 * MIB, 12 * MIB]
    blocks = [of_bytes(n) for n in sizes]
    del blocks[1], blocks[0]  # 22 MiB lie idle for longer than 20
    fake.calls()
    x = of_bytes(24 * MIB)
    assert fake.calls("MemFree", "MemAlloc") == [f"MemFree {22 * MIB}", f"MemAlloc {24 * MIB}"]
    assert x.numel() + blocks[0].numel() == 36 * MIB


def test_peaks_and_totals(fake: Fake) -> None:
    before = stat("allocated_bytes", "allocated")
    x = of_bytes(3 * MIB)
    del x
    assert (ot.cuda.memory_allocated(), ot.cuda.max_memory_allocated()) == (0, 3 * MIB)
    assert (ot.cuda.memory_reserved(), ot.cuda.max_memory_reserved()) == (20 * MIB, 20 * MIB)
    ot.cuda.reset_peak_memory_stats()
    assert ot.cuda.max_memory_allocated() == 0
    assert stat("allocated_bytes", "allocated") - before == 3 * MIB
    assert stat("allocated_bytes", "allocated") == stat("allocated_bytes", "freed")


def test_devices_have_memory_of_their_own(fake: Fake) -> None:
    x = of_bytes(100, "cuda:1")
    assert (stat("allocated_bytes", device=0), stat("allocated_bytes", device=1)) == (0, 512)
    assert x.device.index == 1


def test_threads_share_the_memory_of_a_device(fake: Fake) -> None:
    def work(seed: int) -> None:
        held: list[ot.Tensor] = []
        for i in range(300):
            held.append(of_bytes((seed * 7919 + i * 104729) % (3 * MIB)))
            if len(held) > 8:
                del held[(seed + i) % 8]

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert stat("allocated_bytes") == 0
    assert_statistics_agree()


def test_memory_freed_by_another_thread_is_reused(fake: Fake) -> None:
    held = [of_bytes(100)]
    address = held[0].data_ptr()
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    assert of_bytes(100).data_ptr() == address


def test_lines_are_known_where_the_tape_wants_them_or_memory_is_made(fake: Fake) -> None:
    x = ot.ones(MIB, device="cuda")
    y = x + x
    z = x.requires_grad_() * 2
    run = ot.compile(lambda x: x.detach().softmax(0))
    out = run(x)
    here = test_lines_are_known_where_the_tape_wants_them_or_memory_is_made.__code__.co_firstlineno
    blocks = [b for s in ot.cuda.memory_snapshot() for b in s["blocks"] if b["state"] == "used"]
    lines = {b["address"]: b["line"] for b in blocks}
    found = [lines[t.data_ptr()] for t in (x, y, z, out)]
    assert found == [
        f"{__file__}:{here + 1}",
        None,
        f"{__file__}:{here + 3}",
        f"{__file__}:{here + 4}",
    ]
