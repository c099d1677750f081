"""From a region to a Program: cached on disk by what was traced, else through the passes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from ..codegen import cache
from ..ir.errors import CompileError
from ..runtime import _C
from .bisect.bundle import write_where_asked
from .dumps import Dump as Dumped
from .region import Region, to_module

if TYPE_CHECKING:
    from ..passes.padding.node import Plan
    from ..passes.pipeline import Report
    from ..passes.trail import Trail
    from .padding.bucketed import Bucketed
    from .padding.replays import Padding
    from .sizes.family import Family


@dataclass
class Built:
    """A Program that can run, and what making it told. `backward` is there for a region that
    belongs to the tape outside."""

    program: Any
    spec: dict[str, Any]
    backward: dict[str, Any] | None
    region: Region
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    from_cache: bool = False
    dumps: dict[str, str] = field(default_factory=dict[str, str])
    family: Family | Bucketed | None = None
    """Of a region that shares its kernels with other sizes: all that do."""
    padding: Padding | None = None
    """How inputs are padded for the Program, and results cut."""
    sizes: str = ""
    """The sizes that it was bound for: `N = 37`."""
    fixed: str = ""
    """Why they are not, where another size came before."""


@dataclass(frozen=True)
class Lowered:
    """Serialised Programs with their machine code, the forward one first, what each part of making
    them took, and where it was asked for the source of each kernel, by file name."""

    programs: list[tuple[dict[str, Any], bytes]]
    seconds: dict[str, float]
    kernels: dict[str, str]


Dump = Callable[[str, str], object]
Symbols = tuple[tuple[int, int], ...]
"""Sizes that stand for others, each with the one that passes take it for (see `passes/target`)."""


def build(region: Region, name: str) -> Built:
    """Compile `region`, or load it from the cache where the same was compiled before."""
    started = time.perf_counter()
    key = cache.key_of(describe(region))
    write_where_asked(region, name, key)
    dumped = Dumped.asked()
    if dumped is None and (found := _load(key, region, name)) is not None:
        found.seconds["load"] = time.perf_counter() - started
        return found
    with _naming_what_is_missing():
        dump, trail = (None, None) if dumped is None else (dumped.note, dumped.trail)
        lowered = lower(region, dump, trail)
    cache.store(key, *_joined(lowered.programs))
    if dumped is not None:
        dumped.write(f"{name}-{key[:8]}", steps(region), lowered.kernels, region)
    programs = [program(spec, code, region.device) for spec, code in lowered.programs]
    built = of_programs(region, name, [spec for spec, _ in lowered.programs], programs)
    built.seconds = lowered.seconds
    built.dumps = {} if dumped is None else dict(dumped.stages)
    return built


@contextmanager
def _naming_what_is_missing() -> Generator[None]:
    """What compiles is imported on first use; an environment may lack it."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _COMPILERS:
            raise
        raise CompileError(
            f"compile: the package {package} is missing; `pip install {package}` brings it, and "
            "without ot.compile the function runs as it is"
        ) from error


_COMPILERS = ("llvmlite", "networkx", "xdsl")


def _joined(programs: list[tuple[dict[str, Any], bytes]]) -> tuple[dict[str, Any], bytes]:
    """Programs as one entry: no forward is ever met by the backward that another process made."""
    sizes = [len(code) for _, code in programs]
    record = {"programs": [spec for spec, _ in programs], "sizes": sizes}
    return record, b"".join(code for _, code in programs)


def _apart(record: dict[str, Any], code: bytes) -> list[tuple[dict[str, Any], bytes]]:
    """What `_joined` joined."""
    sizes: list[int] = record["sizes"]
    codes = [code[end - size : end] for size, end in zip(sizes, accumulate(sizes), strict=True)]
    return list(zip(record["programs"], codes, strict=True))


def _load(key: str, region: Region, name: str) -> Built | None:
    found = cache.load(key)
    if found is None:
        return None
    try:
        parts = _apart(*found)
        programs = [program(spec, code, region.device) for spec, code in parts]
    except Exception as error:
        cache.discard(key, str(error))
        return None
    built = of_programs(region, name, [spec for spec, _ in parts], programs)
    built.from_cache = True
    return built


def program(spec: dict[str, Any], code: bytes, device: str, owner: Any = None) -> Any:
    """What runs a serialised Program; kernels and memory are those of `owner`, a Program that
    differs in sizes, where it is given."""
    if device == "cpu":
        return _C.CompiledProgram(spec, code, device, [], owner)
    from ..codegen.products import choose_products
    from ..codegen.triton.container import records

    made = _C.CompiledProgram(spec, code, device, records(code) if code else [], owner)
    choose_products(made, device)
    return made


def of_programs(
    region: Region, name: str, specs: list[dict[str, Any]], programs: list[Any]
) -> Built:
    """What runs `region`, of its Programs and what they were made from."""
    forward = programs[0]
    backward = programs[1] if len(programs) > 1 else None
    gradient = [*specs, None][1]
    ties = region.ties
    if ties.results or ties.spent:
        kept = [] if gradient is None else [tuple(k) for k in gradient["kept"]]
        called = f"the compiled function {name}"
        shown = len(region.results)
        forward = _C.RegionProgram(
            forward, backward, called, ties.results, ties.wanted, kept, ties.spent, shown
        )
    return Built(forward, specs[0], gradient, region)


def lower(region: Region, dump: Dump | None = None, trail: Trail | None = None) -> Lowered:
    """The Programs of `region`; `dump` gets the text of each stage of each, and is why the source
    of kernels is kept."""
    passed = run_all_passes(region, dump, trail=trail)
    seconds = passed.seconds
    programs = [_serialized(module, region.device, seconds) for module in passed.modules]
    for (spec, _), apart in zip(programs, passed.apart, strict=True):
        spec["unfused"] = apart
    if region.is_differentiable:
        programs[1][0]["kept"] = passed.kept
    kernels: dict[str, str] = {}
    for module, prefix in zip(passed.modules, _PREFIXES, strict=False):
        sources = {} if dump is None else _sources(module, region.device)
        kernels |= {prefix + name: text for name, text in sources.items()}
    return Lowered(programs, seconds, kernels)


_PREFIXES = ("", "backward-")
"""Of what belongs to the forward Program and to the backward one."""


def _sources(module: Any, device: str) -> dict[str, str]:
    from ..codegen.sources import llvm_sources, triton_sources

    return llvm_sources(module) if device == "cpu" else triton_sources(module, settings_for(device))


@dataclass(frozen=True)
class Passed:
    """Modules at stage `planned`, the forward one first, what that keeps for the backward one (see
    `Split`), what each pass took, and what of each module did not fuse (see `as_rows`)."""

    modules: list[Any]
    kept: list[tuple[bool, int]]
    seconds: dict[str, float]
    apart: list[list[list[Any]]]


def run_all_passes(
    region: Region, dump: Dump | None = None, symbols: Symbols = (), reuse: bool = True,
    trail: Trail | None = None,
) -> Passed:  # fmt: skip
    """The modules that `region` becomes; `dump` gets the text after each of `steps`, `trail` is
    told of rewrites. `symbols` are sizes that stand for others (see `Target`); without `reuse` all
    memory is apart."""
    from ..ir.text import print_module
    from ..passes.pipeline import run_passes
    from ..passes.reasons import as_rows
    from ..passes.split import split

    started = time.perf_counter()
    wants_apart = region.padding is not None and region.padding.apart
    options = options_for(region.device, symbols, reuse, wants_apart)
    options = options if trail is None else replace(options, trail=trail)
    module = to_module(region)
    seconds = {"capture": time.perf_counter() - started}
    if dump is not None:
        dump("captured", print_module(module))
    report = _joined_passes(module, region, options, dump)
    seconds |= report.seconds
    if not region.is_differentiable:
        return Passed([module], [], seconds, [as_rows(report.results["fuse"])])
    started = time.perf_counter()
    changed = [argument for _, argument in region.assigned]
    parts = split(module, len(region.inputs), len(region.results), changed, options.target)
    seconds["split"] = time.perf_counter() - started
    apart: list[list[list[Any]]] = []
    for part, prefix in zip((parts.forward, parts.backward), _PREFIXES, strict=True):
        named = None if dump is None else _prefixed(dump, prefix)
        if named is not None:
            named("simplified", print_module(part))
        report = run_passes(part, APART, options, dump=named)
        add_seconds(seconds, report.seconds)
        apart.append(as_rows(report.results["fuse"]))
    return Passed([parts.forward, parts.backward], parts.kept, seconds, apart)


def _joined_passes(module: Any, region: Region, options: Any, dump: Dump | None) -> Report:
    """Runs the passes before `split`, or all where nothing is split."""
    from ..passes.pipeline import run_passes

    names = JOINT if region.is_differentiable else (*JOINT, *APART)
    if region.padding is None:
        return run_passes(module, names, options, dump=dump)
    seconds = run_passes(module, FIRST, options, dump=dump).seconds
    seconds["mask_padding"] = _mask(module, region, region.padding, dump)
    report = run_passes(module, names[len(FIRST) :], options, dump=dump)
    report.seconds = seconds | report.seconds
    return report


def _mask(module: Any, region: Region, plan: Plan, dump: Dump | None) -> float:
    """Keeps padding out of results; what that took."""
    from ..ir.text import print_module
    from ..passes.padding.mask import mask_padding

    started = time.perf_counter()
    mask_padding(module, plan, len(region.inputs) - len(plan.numbers))
    if dump is not None:
        dump("masked", print_module(module))
    return time.perf_counter() - started


def steps(region: Region) -> list[tuple[str, str]]:
    """What `run_all_passes` does, in order: the module, `joint`, `forward` or `backward`, and what
    makes it or changes it."""
    if not region.is_differentiable:
        return [("forward", name) for name in ("capture", *JOINT, *APART)]
    apart = [(part, name) for part in ("forward", "backward") for name in ("split", *APART)]
    return [("joint", name) for name in ("capture", *JOINT)] + apart


FIRST = ("autodiff", "decompose")
JOINT = (*FIRST, "simplify")
APART = ("join_products", "fuse", "lower", "batch", "plan_memory")
"""Passes over the graph of results and gradients, those of them that come before padding is masked,
and passes over forward and backward apart."""


def _prefixed(dump: Dump, prefix: str) -> Dump:
    """`simplified` is the joint module; what it is split into is `forward` at that stage."""
    forward = {} if prefix else {"simplified": "forward"}
    return lambda stage, text: dump(prefix + forward.get(stage, stage), text)


def add_seconds(total: dict[str, float], more: dict[str, float]) -> None:
    """Adds `more` to `total`, by name."""
    for name, seconds in more.items():
        total[name] = total.get(name, 0.0) + seconds


def _serialized(
    module: Any, device: str, seconds: dict[str, float]
) -> tuple[dict[str, Any], bytes]:
    """A module at stage `planned` as data, and the machine code of its kernels."""
    started = time.perf_counter()
    spec, code = _cpu_program(module) if device == "cpu" else _gpu_program(module, device)
    add_seconds(seconds, {"codegen": time.perf_counter() - started})
    return spec, code


def _cpu_program(module: Any) -> tuple[dict[str, Any], bytes]:
    from ..codegen.llvm.backend import LLVMBackend
    from ..codegen.program import serialize
    from ..ir.dialects.kernel import FuncOp

    spec = serialize(module)
    wanted = set(spec["kernels"])
    kernels = [k for k in module.ops if isinstance(k, FuncOp) and k.sym_name.data in wanted]
    return spec, LLVMBackend().build(kernels).data if kernels else b""


def _gpu_program(module: Any, device: str) -> tuple[dict[str, Any], bytes]:
    from ..codegen.triton.program import gpu_program

    spec, code, _ = gpu_program(module, settings_for(device))
    return spec, code


def settings_for(device: str) -> Any:
    """What kernels for a GPU may depend on besides their operands."""
    from ..codegen.triton.templates.call import Settings

    precision = "tf32" if _C.float32_matmul_precision() else "ieee"
    return Settings(_C.cuda_capability(device), precision)


def options_for(device: str, symbols: Symbols = (), reuse: bool = True, apart: bool = False) -> Any:
    """What passes are told of the device, of sizes that stand for others, and whether attention
    becomes other ops."""
    from ..passes.pipeline import Options
    from ..passes.target import ATTENTION

    target = replace(_target(device, bool(symbols)), symbols=symbols)
    if apart:
        target = replace(target, claims=target.claims - ATTENTION)
    return Options(target, reuse=reuse and not _is_direct(device))


def program_of(module: Any, device: str) -> Any:
    """A module at stage `planned`, ready to run; the cache is left out."""
    return program(*_serialized(module, device, {}), device)


def _is_direct(device: str) -> bool:
    """Whether a checker of memory is to see each tensor of a Program apart."""
    return device != "cpu" and _C.cuda_allocates_directly()


def _target(device: str, varies: bool) -> Any:
    from ..passes.target import CPU, CUDA, Kernels

    if device == "cpu":
        return CPU
    from ..codegen.triton.templates import TEMPLATES

    known = {
        name: Kernels(t.take, t.any_scratch if varies else t.scratch)
        for name, t in TEMPLATES.items()
    }
    return replace(CUDA, kernels=known)


def stages(region: Region) -> dict[str, str]:
    """The text of `region` at every stage, by name."""
    texts: dict[str, str] = {}
    run_all_passes(region, texts.__setitem__)
    return texts


def described(region: Region) -> Any:
    """The same as lists of what JSON has."""
    return json.loads(describe(region))


def describe(region: Region) -> str:
    """All that compiling depends on, as text; source lines come along since dumps show them."""
    values = [
        (kind, dtype.name, tuple(shape), wrapped, _C.item_now(t) if kind == "number" else None)
        for kind, dtype, shape, wrapped, t, _ in region.values
    ]
    nodes = [
        (n.name, n.operands, n.results, n.attrs, n.line, n.no_grad, n.pin) for n in region.nodes
    ]
    ties = (region.ties.results, region.ties.wanted, region.assigned)
    place: tuple[Any, ...] = ("cpu",)
    if region.device != "cpu":
        place = (_C.cuda_capability(region.device), _C.float32_matmul_precision(),
                 _is_direct(region.device))  # fmt: skip
    everything = (values, nodes, region.inputs, region.results, region.writes, region.names, ties,
                  place, region.on_host, region.padding)  # fmt: skip
    return json.dumps(everything, default=repr)
