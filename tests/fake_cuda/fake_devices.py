"""Devices, streams and events, as ot.cuda shows them."""

import threading

import pytest

import ostinato as ot
from fake_driver import Fake
from ostinato import nn, optim


def test_properties(fake: Fake) -> None:
    assert ot.cuda.is_available()
    assert ot.cuda.device_count() == 2
    p = ot.cuda.get_device_properties("cuda:1")
    assert (p.name, p.major, p.minor, p.multi_processor_count) == ("Fake GPU 1", 9, 0, 132)
    assert p.uuid == "10111213-1415-1617-1819-1a1b1c1d1e1f"
    assert ot.cuda.get_device_name(0) == "Fake GPU 0"
    assert ot.cuda.get_device_capability() == (9, 0)
    assert ot.cuda.can_device_access_peer(0, 1)


def test_the_current_device_is_of_a_thread(fake: Fake) -> None:
    seen: list[object] = []
    with ot.cuda.device(1):
        assert ot.zeros(2, device="cuda").device == "cuda:1"
        thread = threading.Thread(
            target=lambda: seen.append(str(ot.zeros(2, device="cuda").device))
        )
        thread.start()
        thread.join()
    assert seen == ["cuda:0"]
    assert ot.cuda.current_device() == 0
    ot.cuda.set_device("cuda:1")
    assert ot.tensor([1.0]).cuda().device == ot.device("cuda", 1)
    ot.cuda.set_device(0)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: ot.zeros(2, device="cuda:2"), "device: cuda:2 came; this machine has 2 CUDA"),
        (lambda: ot.cuda.set_device(5), "device: cuda:5 came; this machine has 2 CUDA devices"),
        (lambda: ot.cuda.Stream("cpu"), "cuda: device 'cpu' came; give a CUDA device, or its"),
    ],
)
def test_devices_that_do_not_exist(call: object, text: str, fake: Fake) -> None:
    with pytest.raises(ValueError, match=text):
        call()  # pyright: ignore[reportCallIssue]


def test_where_tensors_are_made(fake: Fake) -> None:
    x = ot.zeros(2, 3, device="cuda:1")
    made = {
        "zeros": ot.zeros(2, device="cuda:1"),
        "ones": ot.ones(2, dtype=ot.int32, device=ot.device("cuda", 1)),
        "full": ot.full((2,), 3.0, device="cuda:1"),
        "tensor": ot.tensor([1, 2], device="cuda:1"),
        "empty": ot.empty(2, device="cuda:1"),
        "zeros_like": ot.zeros_like(x),
        "empty_like": ot.empty_like(x),
        "full_like": ot.full_like(x, 2.0),
        "as_tensor": ot.as_tensor([1.0], device="cuda:1"),
        "a tensor's own": ot.tensor(x),
    }
    assert {name: str(t.device) for name, t in made.items()} == dict.fromkeys(made, "cuda:1")
    assert ot.zeros_like(x, device="cpu").device == "cpu"
    assert ot.tensor(x, device="cpu").device == "cpu"
    with ot.device("cuda:1"):
        assert ot.zeros(2).device == "cuda:1"
        assert ot.tensor([1.0]).device == "cuda:1"
        assert ot.zeros_like(ot.zeros(2, device="cpu")).device == "cpu"
    assert ot.zeros(2).device == "cpu"


def test_modules_and_their_optimizers(fake: Fake) -> None:
    last = nn.Linear(3, 2, bias=False)
    model = nn.Sequential(nn.LayerNorm(3), last)
    weight = last.weight.tolist()
    optimizer = optim.Adam(model.to("cuda").parameters())
    state = [t for values in optimizer.state.values() for t in values.values()]
    assert {str(t.device) for t in (*model.parameters(), *state)} == {"cuda:0"}
    model.cpu()
    assert last.weight.tolist() == weight
    model.cuda(1)
    assert last.weight.device == "cuda:1"
    assert nn.LayerNorm(3, device="cuda").weight.device == "cuda:0"


def test_checkpoints_of_a_device(fake: Fake, tmp_path: object) -> None:
    x = ot.tensor([1.0, 2.0], device="cuda")
    half = ot.tensor([1.5], dtype=ot.bfloat16, device="cuda:1")
    path = f"{tmp_path}/x.safetensors"
    ot.checkpoint.save_safetensors({"x": x, "half": half}, path)
    found = ot.checkpoint.load_safetensors(path)
    assert {name: str(t.device) for name, t in found.items()} == {"x": "cpu", "half": "cpu"}
    there = ot.checkpoint.load_safetensors(path, device="cuda:1")
    assert (there["x"].device, there["x"].tolist()) == ("cuda:1", [1.0, 2.0])
    assert there["half"].tolist() == [1.5]


def test_streams(fake: Fake) -> None:
    first = ot.cuda.current_stream()
    assert first == ot.cuda.default_stream(0)
    side = ot.cuda.Stream(priority=-1)
    assert (side.device, side.priority, side == first) == ("cuda:0", -1, False)
    number = fake.calls("StreamCreateWithPriority")[-1].split()[1]
    with ot.cuda.stream(side):
        assert ot.cuda.current_stream() == side
        ot.tensor([1.0, 2.0]).cuda()
        assert fake.calls("MemcpyHtoDAsync") == [f"MemcpyHtoDAsync 8 stream {number}"]
    assert ot.cuda.current_stream() == first
    event = side.record_event()
    first.wait_event(event)
    first.wait_stream(side)
    kinds = [c.split()[0] for c in fake.calls("EventRecord", "StreamWaitEvent")]
    assert kinds == ["EventRecord", "StreamWaitEvent", "EventRecord", "StreamWaitEvent"]
    outside = ot.cuda.ExternalStream(side.cuda_stream)
    assert outside == side


def test_a_stream_brings_its_device(fake: Fake) -> None:
    there = ot.cuda.Stream(device=1)
    with ot.cuda.stream(there):
        assert ot.cuda.current_device() == 1
        assert ot.zeros(2, device="cuda").device == "cuda:1"
        assert ot.cuda.current_stream() == there
    assert ot.cuda.current_device() == 0
    assert ot.cuda.current_stream(1) == ot.cuda.default_stream(1)
    ot.cuda.set_stream(there)
    assert (ot.cuda.current_device(), ot.cuda.current_stream()) == (1, there)
    ot.cuda.set_stream(ot.cuda.default_stream(1))
    ot.cuda.set_device(0)


def test_a_stream_is_used_again(fake: Fake) -> None:
    handle = ot.cuda.Stream(priority=-2).cuda_stream
    assert ot.cuda.Stream(priority=-2).cuda_stream == handle
    assert ot.cuda.Stream(priority=-3).cuda_stream != handle
    assert fake.calls("StreamDestroy") == []


def test_busy_streams_and_events(fake: Fake) -> None:
    fake.set_busy(True)
    stream, event = ot.cuda.current_stream(), ot.cuda.Event()
    assert event.query()
    ot.zeros(3, device="cuda")
    event.record()
    assert not stream.query() and not event.query()
    event.synchronize()
    assert event.query() and stream.query()
    ot.zeros(3, device="cuda")
    assert not stream.query()
    ot.cuda.synchronize()
    assert stream.query()


def test_time_between_events(fake: Fake) -> None:
    first, last, plain = (ot.cuda.Event(enable_timing=t) for t in (True, True, False))
    first.record()
    for _ in range(3):
        ot.zeros(2, device="cuda")
    last.record()
    plain.record()
    last.synchronize()
    assert first.elapsed_time(last) == 3.0
    with pytest.raises(ValueError, match="an event came that has no enable_timing; make both"):
        first.elapsed_time(plain)
    with pytest.raises(ValueError, match="an event came that was not recorded; make both"):
        first.elapsed_time(ot.cuda.Event(enable_timing=True))


def test_ranges_cost_nothing_without_a_profiler(fake: Fake) -> None:
    with ot.cuda.nvtx.range("step"):
        ot.cuda.nvtx.mark("here")
    assert ot.cuda.nvtx.range_push("a") < 0
    assert ot.cuda.nvtx.range_pop() < 0


def test_generators_name_a_device(fake: Fake) -> None:
    g = ot.Generator(7, device="cuda:1")
    assert (g.device, g.initial_seed()) == ("cuda:1", 7)


def test_autocast_is_of_a_kind_of_device(fake: Fake) -> None:
    x = ot.ones(2, 2)
    y = x.cuda()
    with ot.autocast("cuda", ot.bfloat16):
        assert ((y @ y).dtype, (x @ x).dtype) == (ot.bfloat16, ot.float32)
        with ot.autocast("cpu", ot.float16):
            assert ((y @ y).dtype, (x @ x).dtype) == (ot.bfloat16, ot.float16)
    with ot.autocast("cuda"):
        assert (y @ y).dtype is ot.float16
    assert (y @ y).dtype is ot.float32


def test_compiled_calls_depend_on_the_current_device(fake: Fake) -> None:
    @ot.compile
    def f() -> ot.Tensor:
        return ot.ones(3, device="cuda") * 2

    for _ in range(2):
        for index in (0, 1):
            with ot.cuda.device(index):
                assert f().device == f"cuda:{index}"
    assert len(f.variants) == 2
    assert "current cuda device was 0, is 1; set it once" in str(f.ledger)
