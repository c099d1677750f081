"""From a region to serialised Programs with their machine code: through the passes and code
generation, or from the cache on disk."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from ..codegen import cache
from ..ir.errors import CompileError
from ..runtime import _C
from .dumps import Dump as Dumped
from .dumps import Identity
from .passed import PREFIXES, Dump, Narrow, add_seconds, run_all_passes, run_narrowed, steps
from .phases import note_phases
from .region import Region

if TYPE_CHECKING:
    from ..codegen.kernel_code import Code
    from ..passes.trail import Trail
    from .resume.edits import Edits


@dataclass(frozen=True)
class Wanted:
    """Which Programs of a region: the forward one and that of its gradient, with `edits` in the
    place of steps, or by `narrow` the backward one for some cotangents. `told` is what they depend
    on, `name` that of the function."""

    region: Region
    name: str
    told: str
    edits: Edits | None = None
    narrow: Narrow | None = None

    @property
    def identity(self) -> Identity:
        """What tells dumps of them from others."""
        return Identity(self.name, cache.entry_name(self.told))

    @property
    def key(self) -> str:
        """The name of their entry in the cache."""
        edits = [self.edits, None if self.narrow is None else self.narrow.edits]
        return cache.key_of(self.told + "".join(e.told for e in edits if e is not None))


@dataclass(frozen=True)
class Made:
    """Programs that can run and what they were serialised as, the forward one first."""

    specs: list[dict[str, Any]]
    programs: list[Any]
    seconds: dict[str, float]
    from_cache: bool
    stages: dict[str, str] = field(default_factory=dict[str, str])
    """Those that were dumped."""


@dataclass(frozen=True)
class Lowered:
    """Serialised Programs with their machine code, the forward one first, what each part of making
    them took, and where it was asked for the source of each kernel, by file name."""

    programs: list[tuple[dict[str, Any], bytes]]
    seconds: dict[str, float]
    kernels: dict[str, str]


def made(wanted: Wanted) -> Made:
    """The Programs, from the cache where the same were made before; dumped where the environment
    asks for it."""
    started = time.perf_counter()
    key, region = wanted.key, wanted.region
    dumped = Dumped.asked()
    if dumped is None and (found := _load(key, region.device)) is not None:
        specs, programs = found
        return Made(specs, programs, {"load": time.perf_counter() - started}, from_cache=True)
    with _naming_what_is_missing():
        dump, trail = (None, None) if dumped is None else (dumped.note, dumped.trail)
        lowered = lower(region, dump, trail, wanted.edits, wanted.narrow)
    cache.store(key, *_joined(lowered.programs))
    if dumped is not None:
        made_by = steps(region, narrowed=wanted.narrow is not None)
        title = f"{wanted.name}-{key[:8]}"
        dumped.write(title, wanted.identity, made_by, lowered.kernels, region)
    programs = [program(spec, code, region.device) for spec, code in lowered.programs]
    stages = {} if dumped is None else dict(dumped.stages)
    specs = [spec for spec, _ in lowered.programs]
    return Made(specs, programs, lowered.seconds, from_cache=False, stages=stages)


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


def _load(key: str, device: str) -> tuple[list[dict[str, Any]], list[Any]] | None:
    """What the cache has, as data and ready to run."""
    found = cache.load(key)
    if found is None:
        return None
    try:
        parts = _apart(*found)
        return [spec for spec, _ in parts], [program(*part, device) for part in parts]
    except Exception as error:
        cache.discard(key, str(error))
        return None


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


_NARROWED = PREFIXES[1:]


def lower(
    region: Region, dump: Dump | None = None, trail: Trail | None = None,
    edits: Edits | None = None, narrow: Narrow | None = None,
) -> Lowered:  # fmt: skip
    """The Programs of `region`, or by `narrow` one; `dump` gets the text of each stage of each, and
    is why the source of kernels is kept. `edits` stand in the place of steps."""
    if narrow is None:
        passed, prefixes = run_all_passes(region, dump, trail=trail, edits=edits), PREFIXES
    else:
        passed, prefixes = run_narrowed(region, narrow, dump, trail=trail, edits=edits), _NARROWED
    seconds = passed.seconds
    programs = [_serialized(module, region.device, seconds) for module in passed.modules]
    for (spec, _), apart in zip(programs, passed.apart, strict=True):
        spec["unfused"] = apart
    note_phases([spec for spec, _ in programs], region, [p != "" for p in prefixes])
    if region.is_differentiable:  # the backward one is the last
        spec, _ = programs[-1]
        spec |= {"kept": passed.kept, "halves": passed.halves}
    kernels: dict[str, str] = {}
    for module, prefix in zip(passed.modules, prefixes, strict=False):
        sources = {} if dump is None else _sources(module, region.device)
        kernels |= {prefix + name: text for name, text in sources.items()}
    return Lowered(programs, seconds, kernels)


def _sources(module: Any, device: str) -> dict[str, str]:
    """The source of each kernel of a planned module, by file name."""
    from ..codegen.kernel_code import llvm_codes

    kernels = kernels_in(module, device)
    if device == "cpu":
        return {f"{name}.ll": code.source for name, code in llvm_codes(kernels).items()}
    return {f"{k.name}.py": k.source for k in kernels}


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


def kernels_in(module: Any, device: str) -> list[Any]:
    """The kernels that the Program of a planned module launches."""
    from ..codegen.kernel_code import llvm_kernels, triton_kernels

    return llvm_kernels(module) if device == "cpu" else triton_kernels(module, settings_for(device))


def codes_of(kernels: list[Any], device: str) -> dict[str, Code]:
    """The generated code of kernels, by name."""
    from ..codegen.kernel_code import llvm_codes, triton_codes

    if device == "cpu":
        return llvm_codes(kernels)
    return triton_codes(kernels, _C.cuda_capability(device))


def settings_for(device: str) -> Any:
    """What kernels for a GPU may depend on besides their operands."""
    from ..codegen.triton.templates.call import Settings

    precision = "tf32" if _C.float32_matmul_precision() else "ieee"
    return Settings(_C.cuda_capability(device), precision)


def program_of(module: Any, device: str) -> Any:
    """A module at stage `planned`, ready to run; the cache is left out."""
    return program(*_serialized(module, device, {}), device)
