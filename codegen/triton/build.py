"""From Triton source to cubins: what is cached is loaded, the rest is compiled side by side."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache as memoize
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ...ir.errors import CompileError
from .. import cache
from . import client
from .cubin import Resources, resources
from .kernel import ALIGNMENT, TritonKernel

_SHARED_BYTES = {80: 163, 86: 99, 87: 163, 89: 99, 90: 227, 100: 227, 103: 227, 120: 99, 121: 99}
"""KiB of shared memory that one block of a compute capability may use, for what we know."""


@dataclass(frozen=True)
class BuiltKernel:
    """A kernel and its cubin.

    A launch passes the pointers of `kernel.launch.parameters`, its `sizes`, and then two more
    pointers, of scratch memory, which are null since no kernel takes any. `shared` bytes above
    48 KiB must be asked for.
    """

    kernel: TritonKernel
    symbol: str
    warps: int
    shared: int
    resources: Resources
    cubin: bytes

    @property
    def record(self) -> dict[str, Any]:
        """All but source and cubin, of values that JSON has."""
        launch = self.kernel.launch
        return {
            "name": self.kernel.name, "symbol": self.symbol,
            "warps": self.warps, "shared": self.shared,
            "parameters": [{"type": p.type, "aligned": p.aligned} for p in launch.parameters],
            "sizes": [p.type for p in launch.sizes],
            "alignment": ALIGNMENT, "registers": self.resources.registers,
            "local_bytes": self.resources.local_bytes,
        }  # fmt: skip


def build(kernels: Sequence[TritonKernel], cc: int) -> list[BuiltKernel]:
    """The cubins of `kernels` for compute capability `cc` (90 is 9.0), in their order.

    Raises CompileError where Triton is missing or refuses a kernel, and where a kernel asks for
    more shared memory than there is, or for scratch memory.
    """
    jobs = [job_of(kernel, cc) for kernel in kernels]
    keys = [_key(job) for job in jobs]
    made: dict[str, client.Made] = {}
    missing: dict[str, client.Job] = {}
    for key, job in zip(keys, jobs, strict=True):
        found = None if key in made or key in missing else cache.load(key)
        if found is not None:
            made[key] = client.Made(found[1], found[0])
        elif key not in made:
            missing[key] = job
    # The longest take longest, so they go first.
    order = sorted(missing, key=lambda key: -len(missing[key].source))
    for key, new in zip(order, client.compile_all([missing[k] for k in order]), strict=True):
        made[key] = new
        cache.store(key, new.about, new.cubin)
    return [_checked(k, made[key], cc) for k, key in zip(kernels, keys, strict=True)]


def job_of(kernel: TritonKernel, cc: int) -> client.Job:
    """What the compile server is asked for `kernel`."""
    launch = kernel.launch
    return client.Job(
        name=kernel.name,
        source=kernel.source,
        signature=launch.signature,
        constants=dict(launch.constants),
        divisible={p.name: ALIGNMENT for p in launch.parameters if p.aligned}
        | {p.name: p.divisor for p in launch.sizes if p.divisor > 1},
        options={
            "num_warps": launch.num_warps,
            "num_stages": launch.num_stages,
            "enable_fp_fusion": launch.fp_fusion,
        },
        cc=cc,
    )


def _key(job: client.Job) -> str:
    text = "\n".join((_tools(), job.text, job.source))
    return f"cubin-{cache.entry_name(text)}"


@memoize
def _tools() -> str:
    """What turns a job into a cubin: Triton and our server."""
    source = Path(__file__).with_name("server.py").read_bytes()
    return f"triton {version('triton')} {hashlib.sha256(source).hexdigest()}"


def _checked(kernel: TritonKernel, made: client.Made, cc: int) -> BuiltKernel:
    about = made.about
    most = _SHARED_BYTES.get(cc, 99) * 1024
    if about["shared"] > most:
        raise CompileError(
            f"triton: {kernel.name} takes {about['shared']} bytes of shared memory; "
            f"sm_{cc} has {most} for a block"
        )
    for kind in ("global_scratch", "profile_scratch"):
        if about[kind]:
            raise CompileError(
                f"triton: {kernel.name} takes {about[kind]} bytes of {kind.replace('_', ' ')}; "
                "our launches pass none"
            )
    found = resources(made.cubin)
    expected = len(kernel.launch.parameters) + len(kernel.launch.sizes) + 2
    if found.parameters != expected:
        raise CompileError(
            f"triton: the cubin of {kernel.name} takes {found.parameters} parameters, "
            f"its launch gives {expected}"
        )
    return BuiltKernel(kernel, about["symbol"], about["warps"], about["shared"], found, made.cubin)
