"""Sizes that vary, as the driver gets them: cubins loaded once, and a graph for each size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

import ostinato as ot
import ostinato.nn.functional as F
from fake_driver import Fake
from ostinato.codegen.triton import client

DIM = 32


@pytest.fixture(autouse=True)
def cached(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache for this process."""
    monkeypatch.setenv("OSTINATO_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def compiled_kernels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the kernels that are compiled from now on."""
    found: list[str] = []
    plain = client.compile_all

    def compile_all(jobs: Sequence[client.Job]) -> list[client.Made]:
        found.extend(job.name for job in jobs)
        return plain(jobs)

    monkeypatch.setattr(client, "compile_all", compile_all)
    return found


def read(x: Any) -> Any:
    """Attention, and what looks like it, written out."""
    q = x.reshape(*x.shape[:2], 2, DIM // 2).transpose(1, 2)
    a = F.scaled_dot_product_attention(q, q, q, is_causal=True)
    return F.softmax(x @ x.transpose(1, 2), -1) @ x + a.transpose(1, 2).flatten(2)


def of_length(n: int) -> Any:
    """A sequence."""
    return ot.zeros(4, n, DIM, device="cuda")


@pytest.fixture
def any_length() -> Any:
    """The function, with a variant for any length."""
    compiled = ot.compile(read)
    for n in (30, 64):
        compiled(of_length(n))
    first, second = compiled.ledger
    assert not first.sizes and second.sizes[0].startswith("size N in [11, "), str(compiled.ledger)
    return compiled


def test_a_new_size_compiles_nothing_and_has_a_graph(
    fake: Fake, any_length: Any, compiled_kernels: list[str]
) -> None:
    for sizes, loads in (((13, 100, 200, 24), True), ((14, 90, 199, 25), False)):
        for n in sizes:
            fake.calls()
            any_length(of_length(n))
            calls = [c.split()[0] for c in fake.calls("GraphInstantiate", "ModuleLoadData")]
            assert calls.count("GraphInstantiate") == 1
            assert loads or "ModuleLoadData" not in calls
    for n in (13, 100, 64):
        fake.calls()
        any_length(of_length(n))
        assert fake.calls("GraphInstantiate", "ModuleLoadData", "GraphExecKernelNodeSetParams")
    assert compiled_kernels == [] and len(any_length.ledger) == 2


def test_programs_and_sizes_are_those_of_the_size(fake: Fake) -> None:
    compiled = ot.compile(lambda x: x * 2 + 1)
    for n in (30, 64, 5000):
        compiled(ot.zeros(n, 3, device="cuda"))
    (node,) = fake.graph()
    built = compiled.variants[-1].built
    (step,) = built.spec["instructions"]
    assert built.sizes == "N = 5000" and step["sizes"] == [15000]
    assert 15000 in node.pointers and step["programs"] * 1024 >= 15000


def test_kernels_are_told_as_the_driver_launches_them(fake: Fake) -> None:
    """Of a Program for one size, and of one for any, which sizes choose kernels of."""
    compiled = ot.compile(lambda x: F.softmax(x * 2, dim=-1).sum(dim=0))
    for n in (30, 64):
        compiled(ot.zeros(8, n, device="cuda"))
        nodes = {node.name: node.launch for node in fake.graph()}
        every = [k for k in compiled.kernels() if k.region == f"variant {n // 64}"]
        assert {k.name: (*k.launches, k.threads, k.shared) for k in every} == nodes
        for k in every:
            assert (k.language, k.grain, k.assembly, k.stack) == ("Triton", None, None, 0)
            assert f"@triton.jit\ndef {k.name}(" in k.source and 0 < (k.registers or 0) < 256


def test_sizes_on_two_streams_share_memory_in_turn(fake: Fake, any_length: Any) -> None:
    side = ot.cuda.Stream()
    fake.races()
    for n in (30, 64, 47, 64):
        given = of_length(n)
        any_length(given)
        side.wait_stream(ot.cuda.current_stream())
        with ot.cuda.stream(side):
            any_length(given)
    assert fake.races() == []
