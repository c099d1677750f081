"""From a region to a Program: cached on disk by what was traced, else through the passes."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from ..codegen import cache
from ..ir.errors import CompileError
from ..runtime import _C
from .bisect.bundle import write_where_asked
from .dumps import Dump as Dumped
from .dumps import Identity
from .passed import PREFIXES, Dump, add_seconds, is_direct, run_all_passes, stages, steps
from .phases import note_phases
from .region import Region
from .resume.edits import Edits, are_asked, edits_of, tell_of_others

if TYPE_CHECKING:
    from ..codegen.kernel_code import Code
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
    numbers: tuple[int, ...] = ()
    """Of the forward and the backward Program, by which a profile knows them."""
    fixed: str = ""
    """Why they are not, where another size came before."""
    edits: Edits | None = None
    """What stood in the place of steps of the region."""
    _codes: list[dict[str, Code]] = field(default_factory=list[Any], repr=False)

    @property
    def edited(self) -> tuple[str, ...]:
        """The files that these come from."""
        return () if self.edits is None else self.edits.files

    def stages(self) -> dict[str, str]:
        """The text of each stage, by name."""
        return stages(self.region, self.edits) if self.family is None else self.family.stages()

    def codes(self) -> list[dict[str, Code]]:
        """The generated code of the kernels of each Program, by name; made when first asked for,
        and kept, as the texts of stages are."""
        if self.family is not None:
            return self.family.codes()
        if not self._codes:
            device = self.region.device
            passed = run_all_passes(self.region, edits=self.edits)
            self._codes = [codes_of(kernels_in(m, device), device) for m in passed.modules]
        return self._codes


@dataclass(frozen=True)
class Lowered:
    """Serialised Programs with their machine code, the forward one first, what each part of making
    them took, and where it was asked for the source of each kernel, by file name."""

    programs: list[tuple[dict[str, Any], bytes]]
    seconds: dict[str, float]
    kernels: dict[str, str]


def build(region: Region, name: str) -> Built:
    """Compile `region`, or load it from the cache where the same was compiled before."""
    started = time.perf_counter()
    told = describe(region)
    identity = Identity(name, cache.entry_name(told))
    edits = edits_of(region, identity)
    if edits is None:
        tell_of_others(region, identity)
    key = cache.key_of(told if edits is None else told + edits.told)
    write_where_asked(region, name, key, edits)
    dumped = Dumped.asked()
    if dumped is None and (found := _load(key, region, name)) is not None:
        found.seconds["load"] = time.perf_counter() - started
        found.edits = edits
        return found
    with _naming_what_is_missing():
        dump, trail = (None, None) if dumped is None else (dumped.note, dumped.trail)
        lowered = lower(region, dump, trail, edits)
    cache.store(key, *_joined(lowered.programs))
    if dumped is not None:
        dumped.write(f"{name}-{key[:8]}", identity, steps(region), lowered.kernels, region)
    programs = [program(spec, code, region.device) for spec, code in lowered.programs]
    built = of_programs(region, name, [spec for spec, _ in lowered.programs], programs)
    built.seconds, built.edits = lowered.seconds, edits
    built.dumps = {} if dumped is None else dict(dumped.stages)
    return built


def is_edited(region: Region, name: str) -> bool:
    """Whether something stands in the place of a step of `region`."""
    if not are_asked():
        return False
    return edits_of(region, Identity(name, cache.entry_name(describe(region)))) is not None


def tell_unedited(region: Region, name: str) -> None:
    """A warning where edits are there for the function of a region that comes from no dump."""
    if are_asked():
        tell_of_others(region, Identity(name, cache.entry_name(describe(region))))


def dump_where_asked(region: Region, name: str) -> None:
    """Dumps a region that shares its Programs with other sizes as it is for its own: what is edited
    there is for these."""
    dumped = Dumped.asked()
    if dumped is None:
        return
    trace = cache.entry_name(describe(region))
    lowered = lower(region, dumped.note, dumped.trail)
    title = f"{name}-{trace[:8]}"
    dumped.write(title, Identity(name, trace), steps(region), lowered.kernels, region)


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
    numbers = tuple(p.number for p in programs)
    return Built(forward, specs[0], gradient, region, numbers=numbers)


def lower(
    region: Region, dump: Dump | None = None, trail: Trail | None = None, edits: Edits | None = None
) -> Lowered:
    """The Programs of `region`; `dump` gets the text of each stage of each, and is why the source
    of kernels is kept. `edits` stand in the place of steps."""
    passed = run_all_passes(region, dump, trail=trail, edits=edits)
    seconds = passed.seconds
    programs = [_serialized(module, region.device, seconds) for module in passed.modules]
    for (spec, _), apart in zip(programs, passed.apart, strict=True):
        spec["unfused"] = apart
    note_phases([spec for spec, _ in programs], region)
    if region.is_differentiable:
        programs[1][0]["kept"] = passed.kept
    kernels: dict[str, str] = {}
    for module, prefix in zip(passed.modules, PREFIXES, strict=False):
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
                 is_direct(region.device))  # fmt: skip
    everything = (values, nodes, region.inputs, region.results, region.writes, region.names, ties,
                  place, region.on_host, region.padding, region.start)  # fmt: skip
    return json.dumps(everything, default=repr)
