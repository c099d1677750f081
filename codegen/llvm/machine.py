"""LLVM for a CPU: what it can do, and objects made of module text."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# (llvmlite is not annotated.)

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, wraps
from threading import RLock
from typing import ParamSpec, TypeVar

import llvmlite.binding as llvm

from ...ir.errors import CompileError

P = ParamSpec("P")
T = TypeVar("T")

_NEEDED = ("avx2", "f16c", "fma")

_working = RLock()
# A lock of llvmlite that another thread holds would stay held in a child.
os.register_at_fork(
    before=_working.acquire, after_in_parent=_working.release, after_in_child=_working.release
)


def _alone(fn: Callable[P, T]) -> Callable[P, T]:
    """One of such calls at a time, none of them while the process forks."""

    @wraps(fn)
    def locked(*args: P.args, **kwargs: P.kwargs) -> T:
        with _working:
            return fn(*args, **kwargs)

    return locked


@dataclass(frozen=True)
class Machine:
    """An open target machine; `attributes` go on every function, `header` on every module."""

    machine: llvm.TargetMachine
    cpu: str
    features: str
    header: str
    attributes: str

    @property
    def target(self) -> str:
        """The CPU and its features, as LLVM calls them."""
        return f"{self.cpu} {self.features}".rstrip()

    @_alone
    def object_of(self, text: str) -> bytes:
        """The relocatable object of the module `text`. Raises CompileError if LLVM refuses it."""
        context = llvm.create_context()
        return self.machine.emit_object(_parsed(text, context))

    @_alone
    def assembly_of(self, text: str) -> str:
        """The assembly of the module `text`. Raises CompileError if LLVM refuses it."""
        context = llvm.create_context()
        return self.machine.emit_assembly(_parsed(text, context))


@cache
@_alone
def host() -> Machine:
    """The machine that runs us. Raises CompileError where it is no x86-64 with AVX2."""
    triple = llvm.get_process_triple()
    if not triple.startswith("x86_64"):
        raise CompileError(
            f"llvm: the machine is {triple}; compiled kernels need x86-64, run eagerly"
        )
    found = llvm.get_host_cpu_features()
    missing = [name for name in _NEEDED if not found.get(name)]
    if missing:
        raise CompileError(
            f"llvm: the machine lacks {', '.join(missing)}; compiled kernels need "
            f"{', '.join(_NEEDED)}, run eagerly"
        )
    return _machine(llvm.get_host_cpu_name(), found.flatten(), 512 if found.get("avx512f") else 256)


@cache
@_alone
def baseline() -> Machine:
    """The least machine that can run compiled kernels: x86-64-v3, with AVX2."""
    return _machine("x86-64-v3", "", 256)


def target_machine(cpu: str, features: str) -> llvm.TargetMachine:
    """A new target machine. Code lies anywhere and refers to itself only."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
        cpu=cpu, features=features, opt=2, reloc="pic", codemodel="small"
    )


def _machine(cpu: str, features: str, vector_bits: int) -> Machine:
    machine = target_machine(cpu, features)
    header = f'target datalayout = "{machine.target_data}"\ntarget triple = "{machine.triple}"\n'
    # Without "no-builtins" a loop of stores may become a call of memset.
    attributes = f'nounwind willreturn "no-builtins" "prefer-vector-width"="{vector_bits}"'
    return Machine(machine, cpu, features, header, attributes)


def _parsed(text: str, context: llvm.ContextRef) -> llvm.ModuleRef:
    try:
        module = llvm.parse_assembly(text, context)
        module.verify()
        return module
    except RuntimeError as error:
        raise CompileError(f"llvm: refused our text: {error}") from error
