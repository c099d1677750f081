"""LLVM for the machine that runs us: its features, and objects made of module text."""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# (llvmlite is not annotated.)

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import llvmlite.binding as llvm

from ...ir.errors import CompileError


@dataclass(frozen=True)
class Machine:
    """An open target machine; `attributes` go on every function, `header` on every module."""

    machine: llvm.TargetMachine
    cpu: str
    features: str
    header: str
    attributes: str

    def fresh(self) -> llvm.TargetMachine:
        """Another target machine of the same kind, for an owner of its own."""
        return _target_machine(self.cpu, self.features)

    def object_of(self, text: str) -> bytes:
        """The relocatable object of the module `text`."""
        return self.machine.emit_object(_parsed(text))

    def assembly_of(self, text: str) -> str:
        """The assembly of the module `text`."""
        return self.machine.emit_assembly(_parsed(text))


@cache
def host() -> Machine:
    """The machine that runs us. Raises CompileError where it is no x86-64 with AVX2."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    triple = llvm.get_process_triple()
    if not triple.startswith("x86_64"):
        raise CompileError(f"llvm: the machine is {triple}; compiled kernels need x86-64, "
                           f"run eagerly")
    found = llvm.get_host_cpu_features()
    missing = [name for name in ("avx2", "f16c", "fma") if not found.get(name)]
    if missing:
        raise CompileError(f"llvm: the machine lacks {', '.join(missing)}; compiled kernels need "
                           f"AVX2, F16C and FMA, run eagerly")
    cpu, features = llvm.get_host_cpu_name(), found.flatten()
    machine = _target_machine(cpu, features)
    width = 512 if found.get("avx512f") else 256
    header = (f'target datalayout = "{machine.target_data}"\n'
              f'target triple = "{machine.triple}"\n')
    attributes = f'nounwind willreturn "no-builtins" "prefer-vector-width"="{width}"'
    return Machine(machine, cpu, features, header, attributes)


def _target_machine(cpu: str, features: str) -> llvm.TargetMachine:
    return llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
        cpu=cpu, features=features, opt=2, reloc="pic", codemodel="small")


def _parsed(text: str) -> llvm.ModuleRef:
    try:
        module = llvm.parse_assembly(text)
        module.verify()
        return module
    except RuntimeError as error:
        raise CompileError(f"llvm: refused our text: {error}") from error
