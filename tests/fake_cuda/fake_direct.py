"""OSTINATO_ALLOCATOR=direct: one allocation of the driver a tensor, so that checkers see bounds."""

import ostinato as ot
from fake_driver import Fake


def test_each_tensor_is_an_allocation(fake: Fake) -> None:
    x = ot.empty(3, device="cuda")
    y = ot.empty(0, device="cuda")
    assert fake.calls("MemAlloc") == ["MemAlloc 12", "MemAlloc 1"]
    del x
    assert fake.calls("MemFree") == ["MemFree 12"]
    assert ot.cuda.memory_reserved() == ot.cuda.memory_allocated() == 1
    assert [s["total_size"] for s in ot.cuda.memory_snapshot()] == [1]
    del y
    assert ot.cuda.memory_snapshot() == []


def test_memory_on_other_streams_still_waits(fake: Fake) -> None:
    fake.set_busy(True)
    x = ot.empty(3, device="cuda")
    side = ot.cuda.Stream()
    x.record_stream(side)
    fake.calls()
    del x
    assert fake.calls("MemFree", "EventRecord")[0].startswith("EventRecord")
    side.synchronize()
    ot.empty(1, device="cuda")
    assert "MemFree 12" in fake.calls("MemFree")


def test_pinned_memory(fake: Fake) -> None:
    x = ot.ones(3).pin_memory()
    assert fake.calls("MemHostAlloc") == ["MemHostAlloc 12"]
    assert x.to("cuda", non_blocking=True).tolist() == [1.0, 1.0, 1.0]
    del x
    ot.ones(3).pin_memory()
    assert fake.calls("MemFreeHost")
