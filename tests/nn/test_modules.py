"""Trees of modules: what they list, save, load, convert and refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import ostinato as ot
from ostinato import nn


def tree(library: Any, modules: Any) -> Any:
    """A module with a shared parameter, buffers, and a module that is there twice."""

    class Inner(modules.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lin = modules.Linear(2, 2)
            self.scale = modules.Parameter(library.ones(2))
            self.bias = None

    class Outer(modules.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = Inner()
            self.own = modules.Parameter(library.zeros(3))
            self.register_buffer("mean", library.ones(2))
            self.register_buffer("cache", library.ones(1), persistent=False)
            self.again = self.first
            self.tied = self.own
            self.items = modules.ModuleList([modules.Tanh(), modules.Linear(2, 1, bias=False)])
            self.number = 3.5

    return Outer()


LISTS = {
    "named_parameters": lambda m: [n for n, _ in m.named_parameters()],
    "named_parameters below": lambda m: [n for n, _ in m.named_parameters("x")],
    "own parameters": lambda m: [n for n, _ in m.named_parameters(recurse=False)],
    "named_buffers": lambda m: [n for n, _ in m.named_buffers()],
    "named_modules": lambda m: [n for n, _ in m.named_modules()],
    "named_children": lambda m: [n for n, _ in m.named_children()],
    "state_dict": lambda m: sorted(m.state_dict()),
    "counts": lambda m: [len(list(f())) for f in (m.parameters, m.buffers, m.modules, m.children)],
    "repr": repr,
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_are_pytorchs(name: str) -> None:
    assert LISTS[name](tree(ot, nn)) == LISTS[name](tree(torch, torch.nn))


def test_training_mode_reaches_all() -> None:
    m = tree(ot, nn)
    assert all(x.training for x in m.modules())
    assert m.eval() is m and not any(x.training for x in m.modules())
    m.first.train()
    assert m.first.lin.training and not m.training


def test_apply_goes_from_the_leaves_up() -> None:
    orders: list[list[str]] = []
    for m in (tree(ot, nn), tree(torch, torch.nn)):
        seen: list[str] = []
        m.apply(lambda x, seen=seen: seen.append(type(x).__name__))
        orders.append(seen)
    assert orders[0] == orders[1]


def test_zero_grad_drops_or_clears() -> None:
    m = nn.Linear(2, 2)
    for set_to_none in (False, True):
        m(ot.ones(1, 2)).sum().backward()
        assert m.bias is not None and m.bias.grad.tolist() == [1, 1]
        m.zero_grad(set_to_none)
        assert (m.bias.grad is None) == set_to_none
    m.zero_grad(False)


def test_requires_grad() -> None:
    m = nn.Linear(2, 2).requires_grad_(False)
    assert not m(ot.ones(1, 2)).requires_grad
    assert m.requires_grad_()(ot.ones(1, 2)).requires_grad


def test_state_dict_shares_memory_and_loads_back() -> None:
    m, other = tree(ot, nn), tree(ot, nn)
    state = m.state_dict()
    assert not any(t.requires_grad for t in state.values())
    other.load_state_dict(state)
    for name, t in other.state_dict().items():
        np.testing.assert_array_equal(t.numpy(), state[name].numpy())
    with ot.no_grad():
        m.own.add_(1)
    assert state["own"].tolist() == [1, 1, 1] and other.own.tolist() == [0, 0, 0]


def test_loading_loosely_says_what_differs() -> None:
    m = nn.Linear(2, 1)
    keys = m.load_state_dict({"weight": ot.ones(1, 2), "more": ot.ones(1)}, strict=False)
    assert keys.missing_keys == ["bias"] and keys.unexpected_keys == ["more"]
    assert m.weight.tolist() == [[1, 1]]


def test_conversion_keeps_parameters_and_converts_gradients() -> None:
    m: Any = nn.Sequential(nn.Linear(2, 2))
    m.register_buffer("count", ot.zeros(1, dtype=ot.int64))
    m.register_buffer("mean", ot.zeros(1))
    p = m[0].weight
    m(ot.ones(1, 2)).sum().backward()
    assert m.to("cpu", ot.float64) is m
    assert m[0].weight is p and p.dtype is ot.float64 and p.grad.dtype is ot.float64
    assert p.requires_grad and p.is_leaf and isinstance(p, nn.Parameter)
    assert (m.count.dtype, m.mean.dtype) == (ot.int64, ot.float64)
    x = ot.ones(1, 2, dtype=ot.float64)
    assert m(x).dtype is ot.float64
    assert [f().mean.dtype for f in (m.half, m.bfloat16, m.double, m.float)] == [
        ot.float16, ot.bfloat16, ot.float64, ot.float32,
    ]  # fmt: skip


def test_parameters_share_memory_with_their_data() -> None:
    data = ot.zeros(2)
    p = nn.Parameter(data)
    data.add_(1)
    assert p.tolist() == [1, 1] and p.requires_grad and not data.requires_grad
    assert repr(p) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"
    assert not nn.Parameter(ot.zeros(1), requires_grad=False).requires_grad
    assert type(p * 2) is ot.Tensor


def test_module_lists_are_lists() -> None:
    layers = [nn.Linear(1, i + 1) for i in range(3)]
    m = nn.ModuleList(layers[:1]).append(layers[1]).extend(layers[2:])
    assert len(m) == 3 and list(m) == layers and m[-1] is layers[2]
    assert list(m[1:]) == layers[1:] and isinstance(m[:1], nn.ModuleList)
    m.insert(1, nn.Tanh())
    assert [n for n, _ in m.named_parameters()][2:4] == ["2.weight", "2.bias"]
    del m[0]
    m[0] = nn.ReLU()
    assert [type(x).__name__ for x in m] == ["ReLU", "Linear", "Linear"]


def test_sequential_slices_are_sequential() -> None:
    m = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    x = ot.ones(1, 2)
    np.testing.assert_array_equal(m[2](m[:2](x)).detach().numpy(), m(x).detach().numpy())


def test_submodules_by_name() -> None:
    m = tree(ot, nn)
    assert m.get_submodule("first.lin") is m.first.lin and m.get_submodule("") is m


def replaced_parameter() -> None:
    nn.Linear(2, 1).weight = ot.zeros(1, 2)  # pyright: ignore[reportAttributeAccessIssue]


ERRORS: dict[str, tuple[Any, type[Exception], str]] = {
    "strict keys": (
        lambda: nn.Linear(2, 1).load_state_dict({"weight": ot.ones(1, 2), "more": ot.ones(1)}),
        RuntimeError,
        "load_state_dict: missing 'bias' and unexpected 'more'; Linear needs exactly its own keys, "
        "or give strict=False",
    ),
    "many keys": (
        lambda: nn.Sequential(*[nn.Linear(1, 1) for _ in range(4)]).load_state_dict({}),
        RuntimeError,
        "load_state_dict: missing '0.weight', '0.bias', '1.weight', '1.bias', '2.weight' and 3 "
        "more; Sequential needs exactly its own keys, or give strict=False",
    ),
    "shape": (
        lambda: nn.Linear(2, 1, bias=False).load_state_dict({"weight": ot.ones(2, 2)}),
        ot.ShapeError,
        "load_state_dict: shapes weight (2, 2) came; Linear has (1, 2); build it as the saved one "
        "was",
    ),
    "parameter": (
        replaced_parameter,
        TypeError,
        "Linear.weight: a Tensor came for a parameter; give an nn.Parameter, or change the old one "
        "in place under no_grad",
    ),
    "submodule": (
        lambda: nn.Sequential(nn.Tanh()).get_submodule("0.lin"),
        AttributeError,
        "get_submodule: Sequential has no '0.lin'",
    ),
    "integer dtype": (
        lambda: nn.Tanh().to(ot.int64),
        TypeError,
        "to: dtype ostinato.int64 came; a module needs a floating-point one",
    ),
    "forward": (
        lambda: nn.Module()(1),
        NotImplementedError,
        "Module: forward is missing; define it",
    ),
    "index": (
        lambda: nn.ModuleList([nn.Tanh()])[1],
        IndexError,
        "ModuleList: index 1 came; it holds 1 modules",
    ),
    "dropout": (
        lambda: nn.Dropout(1.5),
        ValueError,
        "Dropout: p 1.5 came; give a probability from 0 to 1",
    ),
    "heads": (
        lambda: nn.MultiheadAttention(6, 4),
        ot.ShapeError,
        "MultiheadAttention: embed_dim 6 and num_heads 4 came; give an embed_dim that num_heads "
        "divides",
    ),
    "attention input": (
        lambda: nn.MultiheadAttention(6, 2)(*[ot.zeros(4, 6)] * 3),
        ot.ShapeError,
        "MultiheadAttention: query of shape (4, 6) came; give (length, batch, 6)",
    ),
    "gain": (
        lambda: nn.init.calculate_gain("swish"),
        ValueError,
        "calculate_gain: 'swish' came; give one of linear, sigmoid, leaky_relu, tanh, relu, selu",
    ),
    "fan": (
        lambda: nn.init.kaiming_uniform_(ot.zeros(3)),
        ot.ShapeError,
        "kaiming_uniform_: shape (3,) came; give a tensor of at least 2 axes",
    ),
    "fan mode": (
        lambda: nn.init.kaiming_normal_(ot.zeros(3, 2), mode="out"),
        ValueError,
        "kaiming_normal_: mode 'out' came; give 'fan_in' or 'fan_out'",
    ),
    "eye": (
        lambda: nn.init.eye_(ot.zeros(3)),
        ot.ShapeError,
        "eye_: shape (3,) came; give a tensor of 2 axes",
    ),
    "norm type": (
        lambda: nn.utils.clip_grad_norm_([], 1.0, 0.0),
        ValueError,
        "clip_grad_norm_: norm_type 0.0 came; give a positive number",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    call, kind, text = ERRORS[name]
    with pytest.raises(kind) as caught:
        call()
    assert caught.value.args == (text,)


def test_nothing_is_loaded_where_anything_is_wrong() -> None:
    m = nn.Linear(2, 1)
    before = m.bias.tolist() if m.bias is not None else None
    with pytest.raises(ot.ShapeError):
        m.load_state_dict({"bias": ot.ones(1) * 9, "weight": ot.ones(3)})
    assert m.bias is not None and m.bias.tolist() == before
