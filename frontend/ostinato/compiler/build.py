"""From a region to a Program: cached on disk by what was traced, else through the passes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..codegen import cache
from ..runtime import _C
from .region import Region, to_module

DUMP = "OSTINATO_DUMP"
"""The environment variable: a directory that every stage of every region is written to."""


@dataclass
class Built:
    """A Program that can run, and what making it told."""

    program: Any
    spec: dict[str, Any]
    region: Region
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    from_cache: bool = False
    dumps: dict[str, str] = field(default_factory=dict[str, str])


def build(region: Region, name: str) -> Built:
    """Compile `region`, or load it from the cache where the same was compiled before."""
    started = time.perf_counter()
    key = cache.key_of(describe(region))
    dumping = os.environ.get(DUMP)
    if not dumping and (found := cache.load(key)) is not None:
        spec, code = found
        try:
            program = _C.CompiledProgram(spec, code)
        except Exception as error:
            cache.discard(key, str(error))
        else:
            seconds = {"load": time.perf_counter() - started}
            return Built(program, spec, region, seconds, from_cache=True)
    return _compile(region, name, key, dumping)


def _compile(region: Region, name: str, key: str, dumping: str | None) -> Built:
    dumps: dict[str, str] = {}
    keep: Callable[[str, str], object] | None = dumps.__setitem__ if dumping else None
    spec, code, seconds = lower(region, keep)
    cache.store(key, spec, code)
    if dumping:
        write_dumps(Path(dumping), name, key, dumps)
    return Built(_C.CompiledProgram(spec, code), spec, region, seconds, dumps=dumps)


def lower(
    region: Region, dump: Callable[[str, str], object] | None = None
) -> tuple[dict[str, Any], bytes, dict[str, float]]:
    """The serialised Program of `region`, its machine code, and what each part took."""
    from ..codegen.llvm.backend import LLVMBackend
    from ..codegen.program import serialize
    from ..ir.dialects.kernel import FuncOp
    from ..ir.text import print_module
    from ..passes.pipeline import run_passes

    started = time.perf_counter()
    module = to_module(region)
    seconds = {"capture": time.perf_counter() - started}
    if dump is not None:
        dump("captured", print_module(module))
    seconds |= run_passes(module, dump=dump).seconds
    started = time.perf_counter()
    spec = serialize(module)
    wanted = set(spec["kernels"])
    kernels = [k for k in module.ops if isinstance(k, FuncOp) and k.sym_name.data in wanted]
    code = LLVMBackend().build(kernels).data if kernels else b""
    return spec, code, seconds | {"codegen": time.perf_counter() - started}


def stages(region: Region) -> dict[str, str]:
    """The text of `region` at every stage, by name."""
    texts: dict[str, str] = {}
    lower(region, texts.__setitem__)
    return texts


def describe(region: Region) -> str:
    """All that compiling depends on, as text; source lines come along since dumps show them."""
    values = [
        (kind, dtype.name, tuple(shape), wrapped, _C.item_now(t) if kind == "number" else None)
        for kind, dtype, shape, wrapped, t in region.values
    ]
    nodes = [(n.name, n.operands, n.results, n.attrs, n.line, n.no_grad) for n in region.nodes]
    everything = (values, nodes, region.inputs, region.results, region.writes, region.names)
    return json.dumps(everything, default=repr)


def write_dumps(folder: Path, name: str, key: str, dumps: dict[str, str]) -> None:
    """One file a stage, in order: `NAME-KEY/0-captured.mlir` and so on."""
    target = folder / f"{name}-{key[:8]}"
    target.mkdir(parents=True, exist_ok=True)
    for i, (stage, text) in enumerate(dumps.items()):
        (target / f"{i}-{stage}.mlir").write_text(text)
