"""Graphs of compiled regions as the driver gets them: kernels do nothing, products are computed."""

from __future__ import annotations

import gc
import os
import re
import signal
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest

import ostinato as ot
import ostinato.nn.functional as F
from fake_driver import Fake, Node
from ostinato import nn, optim
from step_conflicts import conflicts

CHANGES = (
    "GraphExecKernelNodeSetParams", "GraphExecChildGraphNodeSetParams", "GraphLaunch",
    "GraphInstantiate", "GraphCreate",
)  # fmt: skip


@pytest.fixture(autouse=True)
def cached(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache for this process."""
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def values(*shape: int, seed: int = 0) -> ot.Tensor:
    """Normal numbers on the device."""
    array = np.random.default_rng(seed).standard_normal(shape)
    return ot.from_numpy(array.astype(np.float32)).to("cuda")


def built(step: Any) -> Any:
    """What compiling the only variant of a function made."""
    (variant,) = step.variants
    return variant.built


def order_of(nodes: list[Node]) -> Any:
    """Which node comes before which, directly or not."""
    edges = [(b, n.number) for n in nodes for b in n.before]
    order = nx.DiGraph(edges)
    order.add_nodes_from(n.number for n in nodes)
    return nx.transitive_closure(order)


def names_of(spec: dict[str, Any]) -> list[str]:
    """What a node for each step of the device is to be called."""
    named = {"launch": lambda s: s["kernel"], "call": lambda _: "child"}
    return [
        named[s["kind"]](s) if s["kind"] in named else "store_slots" for s in spec["instructions"]
        if not s.get("host")
    ]  # fmt: skip


def unordered(spec: dict[str, Any], nodes: list[Node]) -> set[tuple[int, int]]:
    """Steps that meet in some byte, one of them writing, with no path between their nodes."""
    on_device = [i for i, s in enumerate(spec["instructions"]) if not s.get("host")]
    node_of = dict(zip(on_device, (n.number for n in nodes), strict=True))
    order = order_of(nodes)
    return {
        (a, b) for a, b in conflicts(spec) if not order.has_edge(node_of[a], node_of[b])
    }  # fmt: skip


def training_step() -> tuple[Callable[..., Any], list[Any], Any]:
    """A whole step of a small model."""
    model = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 4)).to("cuda")
    opt = optim.AdamW(model.parameters(), lr=1e-2)

    def step(x: Any, y: Any) -> Any:
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        opt.zero_grad()
        return loss.detach()

    return step, [values(8, 16), ot.zeros(8, dtype=ot.int64, device="cuda")], opt


def two_branches(x: Any, y: Any) -> Any:
    """Two kernels, and a call and a kernel that have nothing in common with them."""
    weights, sums = x.softmax(-1).sum(0), y.cumsum(-1)
    return weights * x, sums.amax(-1, keepdim=True) - y


def test_a_node_a_step_and_paths_between_all_that_meet(fake: Fake) -> None:
    step, inputs, _ = training_step()
    run = ot.compile(step)
    run(*inputs)
    spec, nodes = built(run).spec, fake.graph()
    assert [n.name for n in nodes] == names_of(spec)
    assert len(conflicts(spec)) > len(nodes)
    assert unordered(spec, nodes) == set()
    for node in (n for n in nodes if n.name == "child"):  # a set became a kernel
        assert [c.split()[0] for c in node.children] == ["product", "store_word"]


def test_each_lost_edge_is_noticed(fake: Fake) -> None:
    step, inputs, _ = training_step()
    ot.compile(step)(*inputs)
    edges = sum(len(n.before) for n in fake.graph())
    noticed = 0
    for lost in range(1, edges + 1):
        run = ot.compile(step)
        fake.lose_edge(lost)
        run(*inputs)
        nodes = fake.graph()
        assert sum(len(n.before) for n in nodes) == edges - 1
        noticed += bool(unordered(built(run).spec, nodes))
    assert noticed == edges


def test_a_lost_edge_between_products_gives_wrong_numbers(fake: Fake) -> None:
    x, w = values(4, 16), values(16, 16, seed=1)
    fn = lambda x: x @ w @ w  # noqa: E731
    wanted = fn(x).cpu().numpy()
    np.testing.assert_allclose(ot.compile(fn)(x).cpu().numpy(), wanted, rtol=1e-5)
    fake.lose_edge(1)
    assert not np.allclose(ot.compile(fn)(x).cpu().numpy(), wanted, rtol=1e-1)


def test_independent_branches_are_parallel(fake: Fake) -> None:
    run = ot.compile(two_branches)
    run(values(8, 8), values(16, 4))
    nodes = fake.graph()
    order = order_of(nodes)
    branches = list(nx.weakly_connected_components(order))
    assert sorted(map(len, branches)) == [2, 2]
    assert unordered(built(run).spec, nodes) == set()


def test_what_moved_is_patched_and_nothing_else(fake: Fake) -> None:
    run = ot.compile(lambda x, y: (x.softmax(-1) * y, y.sum(0)))
    y, first, second = values(4, 4), values(4, 4, seed=1), values(4, 4, seed=2)
    kept = [run(first, y)]
    kernels = len(fake.graph())
    fake.calls()
    kept += [run(second, y)]
    found = {p for n in fake.graph() for p in n.pointers}
    given = {t.data_ptr() for t in (y, second, *kept[1])}
    assert given <= found
    assert not found & {t.data_ptr() for t in (first, *kept[0])}
    assert len(fake.calls("GraphExecKernelNodeSetParams")) == kernels == 2
    del kept[1:]
    run(second, y)  # its results lie where those before did
    assert [c.split()[0] for c in fake.calls(*CHANGES)] == ["GraphLaunch"]


def test_a_schedule_and_new_inputs_record_nothing_anew(fake: Fake) -> None:
    step, (x, y), opt = training_step()
    run = ot.compile(step)
    kept = [run(x, y)]
    fake.calls()
    for i in range(10):
        opt.param_groups[0]["lr"] = 1e-2 / (2 + i)
        kept.append(run(values(8, 16, seed=i), y.clone()))
        calls = fake.calls(*CHANGES)
        assert not {"GraphInstantiate", "GraphCreate"} & {c.split()[0] for c in calls}
        assert "GraphExecKernelNodeSetParams store_slots" in calls
        assert calls[-1].startswith("GraphLaunch")
    run(x, y)
    fake.calls()
    assert len({t.data_ptr() for t in kept}) == len(kept)
    counters = built(run).program.counters()
    assert (counters["builds"], counters["copies"]) == (1, 0)


def test_statistics_that_are_not_kept_are_nodes_that_are_switched_off(fake: Fake) -> None:
    def fn(x: Any) -> Any:
        y = x @ x
        ot.watch(y, "y", every=3)
        return y.tanh()

    run = ot.compile(fn)
    switched: list[list[str]] = []
    for i in range(7):
        run(values(8, 8, seed=i))
        calls = [c.split() for c in fake.calls("GraphNodeSetEnabled")]
        assert all("tanh" not in name for _, name, *_ in calls)
        switched.append([word for *_, word in calls])
    number = len(switched[1])
    assert number > 0
    off, on, same = ["0"] * number, ["1"] * number, list[str]()
    assert switched == [same, off, same, on, off, same, on]
    counters = built(run).program.counters()
    assert (counters["builds"], counters["replays"]) == (1, 7)


def test_products_of_new_inputs_are_right_and_results_stay(fake: Fake) -> None:
    w = values(16, 8, seed=1)
    run = ot.compile(lambda x: (x @ w) @ w.t())
    inputs = [values(4, 16, seed=s) for s in range(6)]
    found = [run(x) for x in inputs]
    for x, y in zip(inputs, found, strict=True):
        np.testing.assert_allclose(y.cpu().numpy(), (x @ w @ w.t()).cpu().numpy(), rtol=1e-4)
    counters = built(run).program.counters()
    assert (counters["builds"], counters["recaptures"]) == (1, 2 * (len(inputs) - 1))


def test_a_product_of_a_slice_runs_by_the_same_algorithm(fake: Fake) -> None:
    w, data = values(16, 8, seed=1), values(12, 16)
    run = ot.compile(lambda x: x @ w)
    for first in (0, 1, 5, 0):
        x = data[first : first + 4]
        np.testing.assert_allclose(run(x).cpu().numpy(), (x @ w).cpu().numpy(), rtol=1e-4)
    assert built(run).program.counters()["builds"] == 1


def softmax_of_product() -> tuple[Any, ot.Tensor, Any]:
    """A compiled product and a kernel after it, their input, and the right product."""
    w, x = values(16, 8, seed=1), values(4, 16)

    def fn(x: Any) -> Any:
        y = x @ w
        return y, y.softmax(-1)

    return ot.compile(fn), x, (x @ w).cpu().numpy()


HERE = rf"\({__file__}:\d+\)"
KERNEL, PRODUCT = rf"kernel amax_sum_div_0 {HERE}", rf"op matmul {HERE}"
# A function of the driver, which of its calls fails, and what the first run says then.
ANY = "cuda: %s failed with CUDA_ERROR_INVALID_VALUE: a planned failure"
CAPTURE = f"{ANY}, in the capture of {PRODUCT}"
STEPS = r"a replay of 2 steps \(OSTINATO_GRAPH=0 runs them one by one, and names the one\)"
BUILDS = {
    "ModuleLoadData": ANY % f"loading {KERNEL}",
    "ModuleGetFunction": ANY % f"loading {KERNEL}",
    **{name: CAPTURE % f"cu{name}" for name in (
        "StreamBeginCapture", "StreamEndCapture", "GraphGetNodes", "GraphNodeGetType",
        "GraphMemsetNodeGetParams", "GraphNodeGetDependencies", "GraphNodeGetDependentNodes",
        "GraphAddKernelNode", "GraphAddDependencies", "GraphDestroyNode")},
    "GraphCreate": ANY % "making a graph of 2 steps",
    "GraphAddChildGraphNode": ANY % f"adding to a graph {PRODUCT}",
    "GraphAddKernelNode 2": ANY % f"adding to a graph {KERNEL}",
    "GraphInstantiate": ANY % "making a graph of 2 steps",
    "GraphLaunch": ANY % STEPS,
}  # fmt: skip
# The same of a run whose input moved.
REPLAYS = {
    "StreamBeginCapture": BUILDS["StreamBeginCapture"],
    "StreamEndCapture": BUILDS["StreamEndCapture"],
    "GraphExecChildGraphNodeSetParams": ANY % f"changing in a graph {PRODUCT}",
    "GraphExecKernelNodeSetParams": ANY % f"changing in a graph {KERNEL}",
    "GraphLaunch": BUILDS["GraphLaunch"],
}


def failed(run: Callable[[ot.Tensor], object], x: ot.Tensor, text: str) -> None:
    """`run` of `x` raises an error with this text."""
    with pytest.raises(ot.DeviceError) as caught:
        run(x)
    assert re.fullmatch(text, str(caught.value)), str(caught.value)


@pytest.mark.parametrize("function", BUILDS)
def test_a_failure_of_the_first_run(function: str, fake: Fake) -> None:
    run, x, wanted = softmax_of_product()
    softmax_of_product()[0](x)  # kernels of the package are loaded
    gc.collect()
    before = fake.live()
    name, _, nth = function.partition(" ")
    fake.fail(name, int(nth or 1), result=1)
    failed(run, x, BUILDS[function])
    y, _ = run(x)
    np.testing.assert_allclose(y.cpu().numpy(), wanted, rtol=1e-5)
    assert [n.name for n in fake.graph()] == ["child", "amax_sum_div_0"]
    del run
    gc.collect()
    assert fake.live() == before


def test_a_first_run_without_memory(fake: Fake) -> None:
    run, *_ = softmax_of_product()
    x = values(1 << 16, 16)  # more than what is cached has room for
    fake.fail("MemAlloc", every=True)
    with pytest.raises(ot.OutOfMemoryError, match="out of memory on cuda:0"):
        run(x)
    fake.recover()
    assert run(x)[0].shape == (1 << 16, 8)


@pytest.mark.parametrize("function", REPLAYS)
def test_a_failure_of_a_replay(function: str, fake: Fake) -> None:
    run, x, wanted = softmax_of_product()
    first = run(x * 0)
    before = fake.live()
    fake.fail(function, result=1)
    failed(run, x, REPLAYS[function])
    y, z = run(x)
    np.testing.assert_allclose(y.cpu().numpy(), wanted, rtol=1e-5)
    found = {p for n in fake.graph() for p in n.pointers}
    assert {y.data_ptr(), z.data_ptr()} <= found
    assert not found & {t.data_ptr() for t in first}
    assert fake.live() == before
    assert built(run).program.counters()["builds"] == 1


def test_numbers_that_a_failed_patch_held_come_with_the_next_run(fake: Fake) -> None:
    step, inputs, opt = training_step()
    run = ot.compile(step)
    run(*inputs)
    opt.param_groups[0]["lr"] = 0.5
    fake.fail("GraphExecKernelNodeSetParams", result=1)
    with pytest.raises(ot.DeviceError, match=r"changing in a graph the upload of numbers "):
        run(*inputs)
    fake.calls()
    run(*inputs)
    run(*inputs)
    patched = fake.calls("GraphExecKernelNodeSetParams")
    assert patched.count("GraphExecKernelNodeSetParams store_slots") == 1


def test_runs_on_two_streams_follow_each_other_and_keep_their_memory(fake: Fake) -> None:
    fake.set_busy(True)
    run, x, _ = softmax_of_product()
    side = ot.cuda.Stream()
    run(x)
    fake.calls()
    with ot.cuda.stream(side):
        run(x)
    calls = fake.calls("EventRecord", "StreamWaitEvent", "GraphLaunch")
    (_, event, _, main), (_, waiting, _, awaited), (*_, launched) = (c.split() for c in calls)
    assert (event, waiting) == (awaited, launched) and main != waiting
    del run
    gc.collect()
    waiting_blocks = [
        b["size"] for s in ot.cuda.memory_snapshot() for b in s["blocks"] if b["state"] == "waiting"
    ]
    assert len(waiting_blocks) >= 2  # the arena, and what the product works in
    side.synchronize()


def test_a_forked_process_drops_its_copy(fake: Fake) -> None:
    run, x, _ = softmax_of_product()
    run(x)
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        del run
        gc.collect()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert fake.live()["execs"] >= 1


def test_a_region_runs_where_its_tensors_lie(fake: Fake) -> None:
    w, x = values(16, 8, seed=1).to("cuda:1"), values(4, 16).to("cuda:1")
    run = ot.compile(lambda x: x @ w)
    wanted = (x.cpu() @ w.cpu()).numpy()
    fake.calls()
    for _ in range(2):
        y = run(x)
        assert y.device == "cuda:1"
        np.testing.assert_allclose(y.cpu().numpy(), wanted, rtol=1e-4)
    calls = fake.calls("GraphLaunch", "MemcpyDtoHAsync")
    launched = [c.split()[-1] for c in calls if c.startswith("Graph")]
    copied = [c.split()[-1] for c in calls if c.startswith("Memcpy")]
    assert launched == copied[-len(launched) :]
    with pytest.raises(ot.CaptureError, match="tensors of one region lie on"):
        ot.compile(lambda x: (x * 2).to("cuda:0"), verify="trust")(x)


def test_a_tensor_made_from_numbers_is_an_input_on_the_device() -> None:
    made = ot.compile(lambda x: x + ot.tensor([1.0, 2.0, 3.0], device="cuda"), fullgraph=True)
    kept = [made(values(3, seed=i)) for i in range(3)]
    region = built(made).region
    assert len(kept) == 3 and not made.breaks
    assert {str(region.values[v][4].device) for v in region.inputs} == {"cuda:0"}
    assert "to_device" not in [node.name for node in region.nodes]
