"""Why values pass through memory in the four benchmark models: each reason is confirmed by pinning
the pair into one kernel, which must be right where the reason is cost, and refused elsewhere. And
which lines their kernels come from, which must be those of a list."""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import models
import numpy as np
import optree
import pytest
from xdsl.dialects.builtin import LocationAttr, ModuleOp
from xdsl.traits import SymbolTable

import ostinato as ot
from kernel_lines import GELU, QKV, ROWS, TOKENS, expected
from ostinato import optim
from ostinato.compiler.attempt import Attempt, Policy
from ostinato.compiler.captured import to_module
from ostinato.compiler.passed import options_for
from ostinato.ir.dialects.program import CallOp, LaunchOp
from ostinato.ir.errors import CompileError
from ostinato.ir.graph import main_of
from ostinato.ir.interpret.module import run
from ostinato.ir.locations import MOST_LINES, fuse_locations, told_lines
from ostinato.ir.pins import PIN, pin_attribute
from ostinato.passes import batch, rewriter
from ostinato.passes import fuse as fuse_module
from ostinato.passes.fuse import fuse
from ostinato.passes.fusion.extraction import Extraction
from ostinato.passes.fusion.groups import Grouping
from ostinato.passes.fusion.pins import pairs_apart
from ostinato.passes.fusion.prepare import prepare
from ostinato.passes.fusion.recompute import Storage
from ostinato.passes.pipeline import Options, run_passes
from ostinato.passes.reasons import Reason, table_name
from ostinato.passes.target import CPU, CUDA
from watched_tests import ALL

LEGAL = {Reason.STORED, Reason.LIMIT, Reason.BATCH, Reason.FEW}
"""One kernel would be right, and is not expected to be faster."""
ILLEGAL = {Reason.CALL, Reason.ACCESS, Reason.DOMAIN, Reason.UNFINISHED, Reason.CYCLE}
"""One kernel cannot compute both."""
MODELS = {
    "reverse": models.REVERSE,
    "minigpt": replace(models.MINIGPT, layers=2),
    "vit": replace(models.VIT, layers=2),
    "gpt2": replace(models.GPT2, layers=2),
}
"""At the benchmarks' sizes, but for the number of blocks."""
DEEP = {
    "reverse": models.REVERSE,
    "minigpt": models.MINIGPT,
    "vit": models.VIT,
    "gpt2": models.GPT2,
}
TO_FUSE = ("autodiff", "decompose", "simplify", "join_products")
TO_KERNELS = ("fuse", "lower", "batch")
TINY = models.Config(dim=8, heads=2, layers=1, classes=11, length=6, batch=2)


def training_step(config: models.Config) -> tuple[Callable[..., Any], tuple[Any, Any]]:
    is_vit = isinstance(config, models.ImageConfig)
    ot.manual_seed(0)
    model = models.VisionTransformer(config) if is_vit else models.LanguageModel(config)
    optimizer = optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)

    def step(x: Any, y: Any) -> Any:
        loss = model(x, y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    if is_vit:
        images = ot.randn(config.batch, config.channels, config.image, config.image)
        return step, (images, ot.randint(0, config.classes, (config.batch,)))
    tokens = ot.randint(0, config.classes, (2, config.batch, config.length))
    return step, (tokens[0], tokens[1])


@cache
def captured(name: str) -> ModuleOp:
    """A whole training step; a copy of it is to be changed."""
    return captured_step(MODELS.get(name, TINY))


def captured_step(config: models.Config) -> ModuleOp:
    step, args = training_step(config)
    given: Any = (args, {})
    leaves, structure = optree.tree_flatten(given, none_is_leaf=True)
    policy = Policy(follows=False, breaks=False)
    fn = ot.compile(step).fn
    found: Any = Attempt(fn, "step", leaves, structure, policy).capture()
    return to_module(found[0])


@cache
def prepared(name: str) -> ModuleOp:
    module = captured(name).clone()
    run_passes(module, TO_FUSE, options_for("cpu"))
    prepare(module, CPU)
    return module


@dataclass(frozen=True)
class Pair:
    """Positions of two ops in `@main`, and why they are in different kernels."""

    source: int
    node: int
    reason: Reason
    told: tuple[str, str]


def pairs_of(module: ModuleOp) -> Iterator[Pair]:
    """All pairs that fusion leaves apart, as `explain()` lists them."""
    block = main_of(module).body.block
    position = {op: i for i, op in enumerate(block.ops)}
    grouping = Grouping(Extraction(block, CPU), CPU)
    storage = Storage(grouping, block.last_op.operands)  # type: ignore[union-attr]
    for source, _, node, reason in pairs_apart(grouping, storage):
        told = table_name(source.op), table_name(node.op)
        yield Pair(position[source.op], position[node.op], reason, told)


def kinds(module: ModuleOp) -> list[Pair]:
    """One pair of each kind: the layers of a model are alike."""
    found: dict[tuple[Any, ...], Pair] = {}
    for pair in pairs_of(module):
        found.setdefault((pair.told, pair.reason), pair)
    return list(found.values())


def forced(module: ModuleOp, pair: Pair) -> ModuleOp | CompileError:
    """The module fused with the pair pinned together, or why that is refused."""
    copy = module.clone()
    ops = list(main_of(copy).body.block.ops)
    for at in (pair.source, pair.node):
        ops[at].attributes[PIN] = pin_attribute(1)  # type: ignore[assignment]
    try:
        fuse(copy, CPU)
    except CompileError as error:
        return error
    return copy


@pytest.mark.parametrize("name", MODELS)
def test_reasons_are_confirmed_by_pinning(name: str) -> None:
    module = prepared(name)
    found = kinds(module)
    assert len(found) > 10
    for pair in found:
        made = forced(module, pair)
        refused = str(made) if isinstance(made, CompileError) else ""
        if pair.reason in LEGAL:
            assert not refused, pair
        elif pair.reason in ILLEGAL:
            assert f"({pair.reason}: " in refused, (pair, refused)
        else:
            # One kernel is right unless the call lies between, or what else keeps them apart.
            assert pair.reason is Reason.DEPTH
            assert not refused or any(f"({r}: " in refused for r in ILLEGAL), (pair, refused)


def test_what_was_pinned_computes_the_same() -> None:
    module = prepared("tiny")
    inputs = _inputs_of(module)
    wanted = run(module, inputs)
    legal = 0
    for pair in kinds(module):
        made = forced(module, pair)
        if isinstance(made, CompileError):
            continue
        legal += 1
        for got, want in zip(run(made, inputs), wanted, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6, err_msg=str(pair))
    assert legal >= 3


def _inputs_of(module: ModuleOp) -> list[Any]:
    from ostinato.cli import random_arguments

    return random_arguments(module, {}, 0)


# Which lines kernels come from.

TARGETS = {"cpu": CPU, "cuda": CUDA}


def launched(module: ModuleOp) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The name, without its number, and the source lines of each launch and call."""
    for op in main_of(module).body.block.ops:
        if isinstance(op, LaunchOp | CallOp):
            name = op.callee.data if isinstance(op, CallOp) else op.kernel_name
            yield re.sub(r"_\d+$", "", name), tuple(map(text_of, told_lines(op.location)))


def text_of(line: str) -> str:
    """What stands at `file:line`."""
    file, _, number = line.rpartition(":")
    return linecache.getline(file, int(number)).strip()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("target", TARGETS)
def test_the_lines_of_kernels_are_those_of_the_list(
    name: str, target: str, request: pytest.FixtureRequest
) -> None:
    deep = request.config.getoption("--round-trips") == ALL
    letter = name[0].upper()
    module = captured_step(DEEP[name]) if deep else captured(name).clone()
    run_passes(module, (*TO_FUSE, *TO_KERNELS), Options(TARGETS[target]))
    found = {(kernel, frozenset(lines)) for kernel, lines in launched(module)}
    assert found == expected(letter + letter.lower() if deep else letter, target == "cpu")
    shared: dict[str, set[str]] = {}
    for op in main_of(module).body.block.ops:
        if isinstance(op, LaunchOp):
            shared.setdefault(op.kernel_name, set()).update(told_lines(op.location))
    for kernel, lines in shared.items():
        own = told_lines(SymbolTable.lookup_symbol(module, kernel).location)
        assert set(own) == lines if len(lines) <= MOST_LINES else set(own) < lines, kernel


def test_the_lines_listed_are_in_the_models() -> None:
    """Each stands once in a file, and each row is about other launches."""
    places = "".join(Path(file).read_text() for file in (models.__file__, __file__)).splitlines()
    stripped = [line.strip() for line in places]
    lines = {line for row in ROWS for line in row.lines}
    assert all(stripped.count(line) == 1 for line in lines), lines - set(stripped)


def lost(locations: Iterable[LocationAttr]) -> LocationAttr:
    """The first line, without the others."""
    return fuse_locations([next(iter(locations))])


def late() -> Callable[[Iterable[LocationAttr]], LocationAttr]:
    """Merges lines into those of what came before."""
    met: list[LocationAttr] = []

    def merged(locations: Iterable[LocationAttr]) -> LocationAttr:
        met.append(fuse_locations(locations))
        return met[max(0, len(met) - 2)]

    return merged


PLANTED = {"rewriter": (rewriter, lost), "fuse": (fuse_module, late()), "batch": (batch, lost)}


@pytest.mark.breaks_ir
@pytest.mark.parametrize("home", PLANTED)
def test_a_pass_that_merges_lines_wrongly_is_noticed(
    home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, merged = PLANTED[home]
    monkeypatch.setattr(module, "fuse_locations", merged)
    step = captured("reverse").clone()
    run_passes(step, (*TO_FUSE, *TO_KERNELS), Options(CUDA))
    found = {(kernel, frozenset(lines)) for kernel, lines in launched(step)}
    assert found != expected("R", on_cpu=False)


@pytest.mark.parametrize("line", [GELU, TOKENS])
def test_a_wrong_line_is_noticed(line: str) -> None:
    module = prepared("reverse").clone()
    ops = list(main_of(module).body.block.ops)
    other = next(op for op in ops if QKV in map(text_of, told_lines(op.location)))
    for op in ops:
        if line in map(text_of, told_lines(op.location)):
            op.location = other.location
    run_passes(module, TO_KERNELS, Options(CPU))
    found = {(kernel, frozenset(lines)) for kernel, lines in launched(module)}
    assert found != expected("R", True)
